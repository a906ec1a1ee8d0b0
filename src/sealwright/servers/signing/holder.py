"""Gathers recorded requests into batches for the key holder, and follows what it has seen of the log.

While one batch is at the key holder the next one gathers. A batch carries every leaf hash since the last one,
so that the key holder can follow the log by itself (docs/decisions/0007). It ends with its own last intent: the
key holder accepts an intent only when it first sees it, and later ones belong to later batches.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from sealwright.contracts import KeyHolderPort
from sealwright.domain.errors import (
    ConflictError,
    InvalidRequestError,
    SealwrightError,
    UnavailableError,
    VerificationError,
)
from sealwright.domain.messages import (
    AdminAnswer,
    AdminEnvelope,
    BatchAnswer,
    EntryProof,
    LogAdvance,
    ProofOfRequest,
    SignAnswer,
    SignBatch,
    SignItem,
)
from sealwright.servers.signing.log import SigningLog
from sealwright.signing.steps import Recorded, Records
from sealwright.structures.merkle import Frontier, Growth
from sealwright.structures.tlog import Head

_MOST_ITEMS = 256
_MOST_BYTES = 4 * 1024 * 1024
_MOST_SIGNATURES = 2_000  # of up to 12 KiB each: the answer has to fit into one frame
_MOST_HASHES = 100_000
_RECENT = 1.0

_Answer = tuple[SignAnswer, EntryProof, str]


class BatchingHolder:
    """Implements signing.pipeline.Holder over the key holder's port."""

    def __init__(self, port: KeyHolderPort, log: SigningLog, changed: Callable[[Records], None]) -> None:
        self._port = port
        self._log = log
        self._changed = changed
        self._seen: Frontier | None = None
        self._version = -1
        self._waiting: list[tuple[Recorded, asyncio.Future[_Answer]]] = []
        self._running: asyncio.Task[None] | None = None
        self._refreshing, self._asking = asyncio.Lock(), asyncio.Lock()
        self._refreshed: tuple[float, Records] | None = None

    async def refresh(self) -> Records:
        """Fetch the key holder's records, and find out how far it has followed the log."""
        async with self._refreshing:
            snapshot = await self._port.snapshot()
            records = Records(snapshot)
            self._version = snapshot.version
            self._changed(records)
            self._refreshed = asyncio.get_running_loop().time(), records
            return records

    async def recent(self) -> Records:
        """Return records that are a second old at most: strangers who ask for the state do not load the key holder."""
        async with self._asking:
            if self._refreshed is None or asyncio.get_running_loop().time() - self._refreshed[0] > _RECENT:
                return await self.refresh()
            return self._refreshed[1]

    async def administer(self, envelope: AdminEnvelope) -> AdminAnswer:
        """Pass an administrative request on, and fetch the records that it changed."""
        answer = await self._port.administer(envelope)
        self._seen = None  # an act may have set the key holder's view of the log anew
        with suppress(SealwrightError):  # the act is done, whatever happens now; the next batch brings the records too
            await self.refresh()
        return answer

    async def sign(self, recorded: Recorded) -> _Answer:
        """Return the key holder's answer, the intent's proof and the cosigned checkpoint."""
        future: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((recorded, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch = self._take()
                try:
                    await self._send(batch)
                except Exception as error:  # noqa: BLE001 - whatever went wrong, those who wait are told
                    self._seen = self._refreshed = None
                    failure = error if isinstance(error, SealwrightError) else UnavailableError(str(error))
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(failure)
        finally:
            self._running = None

    def _take(self) -> list[tuple[Recorded, asyncio.Future[_Answer]]]:
        size = count = signatures = 0
        for recorded, _ in self._waiting[:_MOST_ITEMS]:
            size += len(_proof(recorded).body)
            signatures += len(recorded.authorised.understood.digests)
            if count and (size > _MOST_BYTES or signatures > _MOST_SIGNATURES):
                break
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    async def _send(self, batch: list[tuple[Recorded, asyncio.Future[_Answer]]]) -> None:
        end = max(recorded.index for recorded, _ in batch) + 1
        items = [SignItem(_proof(recorded), recorded.entry, recorded.index) for recorded, _ in batch]
        known = self._seen
        try:
            growth, head, answer = await self._show(known or await self._find_place(), end, items)
        except InvalidRequestError:
            if known is None:
                raise
            # The key holder stands elsewhere than remembered, and signed nothing: ask it, then try once more.
            growth, head, answer = await self._show(await self._find_place(), end, items)
        checkpoint = head.checkpoint + answer.cosignature
        for (recorded, future), single in zip(batch, answer.answers, strict=True):
            proof = EntryProof(recorded.entry, recorded.index, head.size, growth.proof(recorded.index))
            if not future.done():
                future.set_result((_overtaken(recorded, single, answer.version), proof, checkpoint))
        if answer.version != self._version:
            await self.refresh()

    async def _show(self, seen: Frontier, end: int, items: list[SignItem]) -> tuple[Growth, Head, BatchAnswer]:
        """Show the key holder how the log grew up to `end`, in pieces if that is far; the items go with the last."""
        while end - seen.size > _MOST_HASHES:
            _, head, _ = await self._show_piece(seen, seen.size + _MOST_HASHES, [])
            seen = head.frontier
        return await self._show_piece(seen, end, items)

    async def _show_piece(self, seen: Frontier, end: int, items: list[SignItem]) -> tuple[Growth, Head, BatchAnswer]:
        hashes, head = await self._log.grown(seen, max(end, seen.size))
        answer = await self._port.sign(SignBatch(LogAdvance(seen.size, hashes, head.checkpoint), items))
        self._seen = head.frontier
        self._log.forget_before(head.size)
        return Growth(seen, hashes), head, answer

    async def _find_place(self) -> Frontier:
        """Learn how far the key holder followed the log. Raises ConflictError if it saw more than there is."""
        size = (await self.refresh()).snapshot.log_size
        if size > self._log.head.size:
            raise ConflictError(
                f"the key holder saw {size} entries, the log has {self._log.head.size}",
                hint="if the log's database came from a backup, `sealwright ledger verify` tells what is missing",
            )
        return await asyncio.to_thread(self._log.frontier_at, size)

    async def close(self) -> None:
        """Finish what was begun."""
        while self._running is not None:
            await self._running


def _proof(recorded: Recorded) -> ProofOfRequest:
    return recorded.authorised.understood.authenticated.received.proof


def _overtaken(recorded: Recorded, answer: SignAnswer, version: int) -> SignAnswer:
    """Tell the client to send the request again if an administrative act came between record and key."""
    if answer.code == VerificationError.code and recorded.authorised.records_version != version:
        return SignAnswer(
            code=UnavailableError.code,
            detail="keys or policies changed while the request was on its way",
            retry_after=1,
        )
    return answer
