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

_PIECE = 50_000


class SigningLog:
    """Submits to the journal, and remembers the leaf hashes that the key holder has not seen yet."""

    def __init__(self, database: SigningDatabase, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._journal: Journal[Submission, Result] = Journal(self._commit)
        self._head: Head = database.head()
        self._first = self._head.size  # index of the first remembered leaf hash
        self._hashes: list[bytes] = []

    @property
    def head(self) -> Head:
        """Where the log stands; what it holds is durable."""
        return self._head

    def _commit(self, batch: Sequence[Submission]) -> Sequence[Result]:
        results = list(self._database.commit(batch))
        written = next((result for result in results if isinstance(result, Written)), None)
        if written is not None:
            # One writer thread, and the loop reads the two together only after it was told: see `grown_since`.
            self._hashes.extend(written.grown.leaf_hashes)
            self._head = written.grown.head
        return results

    def remember_from(self, size: int) -> None:
        """Load the leaf hashes from `size` on: what the key holder says it has seen."""
        if size >= self._first:
            return
        loaded: list[bytes] = []
        while size + len(loaded) < self._first:
            start = size + len(loaded)
            loaded += self._database.hashes(0, start, min(_PIECE, self._first - start))
        self._hashes[:0] = loaded
        self._first = size

    def frontier_at(self, size: int) -> Frontier:
        """Return the right edge of the log when it had that size."""
        return self._database.frontier_at(size)

    def grown_since(self, size: int, most: int) -> tuple[list[bytes], Head]:
        """Return the leaf hashes from `size` on and the head they lead to. Raises ConflictError if it went back."""
        head = self._head
        if not self._first <= size <= head.size:
            raise ConflictError(f"the key holder saw {size} entries, the log has {head.size}")
        if head.size - size > most:
            raise ConflictError(f"the key holder is {head.size - size} entries behind")
        start = size - self._first
        return self._hashes[start : head.size - self._first], head

    def forget_before(self, size: int) -> None:
        """Drop the leaf hashes that the key holder has seen."""
        count = size - self._first
        if count > 0:
            del self._hashes[:count]
            self._first = size

    async def intend(
        self, identity: bytes, event: RequestIntended, request_sha256: bytes, evidence: bytes
    ) -> Written | EarlierRequest:
        """Record an intent, unless the same request was answered before."""
        now = int(self._clock().timestamp())
        record = Intend(identity, event, request_sha256, bytes.fromhex(event.proof), evidence, now)
        return await self._journal.submit(record)

    async def conclude(
        self, identity: bytes, event: RequestCompleted | RequestFailed, response: bytes | None
    ) -> Written:
        """Record an outcome."""
        return _written(await self._journal.submit(Conclude(identity, event, response)))

    async def note(self, event: AnyEvent) -> None:
        """Record an event that belongs to no request."""
        await self._journal.submit(Note(event))

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
