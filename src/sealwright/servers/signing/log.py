"""The pipeline's log over the group-committing journal of the signing database."""

import asyncio
from collections.abc import Sequence

from sealwright.contracts import Clock
from sealwright.domain.errors import ConflictError
from sealwright.domain.events import AnyEvent, RequestCompleted, RequestFailed, RequestIntended
from sealwright.domain.messages import EntryProof
from sealwright.domain.records import EarlierRequest
from sealwright.storage.journal import Journal
from sealwright.storage.signing import Conclude, Intend, Note, Result, SigningDatabase, Submission, Written
from sealwright.structures.merkle import Frontier
from sealwright.structures.tlog import Head

_REMEMBERED = 200_000


class SigningLog:
    """Submits to the journal, and remembers the leaf hashes that the key holder has not seen yet."""

    def __init__(self, database: SigningDatabase, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._journal: Journal[Submission, Result] = Journal(self._commit)
        self._head: Head = database.head()
        self._first = self._head.size  # index of the first remembered leaf hash; changed in the event loop only
        self._hashes: list[bytes] = []

    @property
    def head(self) -> Head:
        """Where the log stands; what it holds is durable."""
        return self._head

    def _commit(self, batch: Sequence[Submission]) -> Sequence[Result]:
        results = list(self._database.commit(batch))
        written = next((result for result in results if isinstance(result, Written)), None)
        if written is not None:
            # One writer thread; the loop reads the head first, so that its hashes are there: see `grown`.
            # Entries that others wrote, or that a lost connection made us believe unwritten, are read again.
            missed = written.grown.growth.before.size - self._head.size
            if missed:
                self._hashes.extend(self._database.hashes(0, self._head.size, missed))
            self._hashes.extend(written.grown.leaf_hashes)
            self._head = written.grown.head
        return results

    def frontier_at(self, size: int) -> Frontier:
        """Return the right edge of the log when it had that size."""
        return self._database.frontier_at(size)

    async def grown(self, seen: Frontier, size: int) -> tuple[list[bytes], Head]:
        """Return the leaf hashes from `seen` on up to `size`, and the head of the log at that size.

        Raises ConflictError if the log never had them: it went back, or `seen` is of another log.
        """
        head = self._head
        if not seen.size <= size <= head.size:
            raise ConflictError(f"the key holder saw {seen.size} entries; {size} of {head.size} were to follow")
        if seen.size >= self._first:
            hashes = self._hashes[seen.size - self._first : size - self._first]
        else:
            hashes = await asyncio.to_thread(self._database.hashes, 0, seen.size, size - seen.size)
        frontier = seen.extended(hashes)
        if frontier.size == head.size:
            return hashes, Head(frontier, head.checkpoint)
        return hashes, Head(frontier, self._database.checkpoint(frontier))

    def forget_before(self, size: int) -> None:
        """Drop the leaf hashes that the key holder has seen."""
        count = size - self._first
        if count > 0:
            del self._hashes[:count]
            self._first = size

    async def _submit(self, record: Submission) -> Result:
        result = await self._journal.submit(record)
        if len(self._hashes) > 2 * _REMEMBERED:  # the key holder is away: what it missed can be read again
            self.forget_before(self._head.size - _REMEMBERED)
        return result

    async def intend(
        self, identity: bytes, event: RequestIntended, request_sha256: bytes, evidence: bytes
    ) -> Written | EarlierRequest:
        """Record an intent, unless the same request was answered before."""
        now = int(self._clock().timestamp())
        record = Intend(identity, event, request_sha256, bytes.fromhex(event.proof), evidence, now)
        return await self._submit(record)

    async def conclude(
        self, identity: bytes, event: RequestCompleted | RequestFailed, response: bytes | None
    ) -> Written:
        """Record an outcome."""
        return _written(await self._submit(Conclude(identity, event, response)))

    async def note(self, event: AnyEvent) -> None:
        """Record an event that belongs to no request."""
        await self._submit(Note(event))

    async def prove(self, index: int) -> tuple[EntryProof, str]:
        """Return an older entry, proved under the newest checkpoint."""
        return await asyncio.to_thread(self._database.prove, index)

    async def close(self) -> None:
        """Write what waits, then accept nothing more."""
        await self._journal.close()


def _written(result: Result) -> Written:
    if not isinstance(result, Written):
        raise ConflictError("the outcome was taken for another request")
    return result
