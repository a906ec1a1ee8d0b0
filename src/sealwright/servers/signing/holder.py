"""Gathers recorded requests into batches for the key holder, and follows what it has seen of the log.

While one batch is at the key holder the next one gathers. A batch carries every leaf hash since the last one,
so that the key holder can follow the log by itself (docs/decisions/0007).
"""

import asyncio
from collections.abc import Callable

from sealwright.contracts import KeyHolderPort
from sealwright.domain.errors import ConflictError, SealwrightError, UnavailableError
from sealwright.domain.messages import (
    AdminAnswer,
    AdminEnvelope,
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

_MOST_ITEMS = 256
_MOST_BYTES = 4 * 1024 * 1024
_MOST_HASHES = 100_000

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
        self._refreshing = asyncio.Lock()

    async def refresh(self) -> Records:
        """Fetch the key holder's records, and find out how far it has followed the log."""
        async with self._refreshing:
            snapshot = await self._port.snapshot()
            records = Records(snapshot)
            self._version = snapshot.version
            self._changed(records)
            return records

    async def administer(self, envelope: AdminEnvelope) -> AdminAnswer:
        """Pass an administrative request on, and fetch the records that it changed."""
        answer = await self._port.administer(envelope)
        await self.refresh()
        self._seen = None  # an act may have set the key holder's view of the log anew
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
                    self._seen = None
                    failure = error if isinstance(error, SealwrightError) else UnavailableError(str(error))
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(failure)
        finally:
            self._running = None

    def _take(self) -> list[tuple[Recorded, asyncio.Future[_Answer]]]:
        size = count = 0
        for recorded, _ in self._waiting[:_MOST_ITEMS]:
            size += len(_proof(recorded).body)
            if count and size > _MOST_BYTES:
                break
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    async def _send(self, batch: list[tuple[Recorded, asyncio.Future[_Answer]]]) -> None:
        seen = self._seen or await self._find_place()
        hashes, head = self._log.grown_since(seen.size, _MOST_HASHES)
        advance = LogAdvance(seen.size, hashes, head.checkpoint)
        items = [SignItem(_proof(recorded), recorded.entry, recorded.index) for recorded, _ in batch]
        answer = await self._port.sign(SignBatch(advance, items))
        growth = Growth(seen, hashes)
        self._seen = head.frontier
        self._log.forget_before(head.size)
        checkpoint = head.checkpoint + answer.cosignature
        for (recorded, future), single in zip(batch, answer.answers, strict=True):
            proof = EntryProof(recorded.entry, recorded.index, head.size, growth.proof(recorded.index))
            if not future.done():
                future.set_result((single, proof, checkpoint))
        if answer.version != self._version:
            await self.refresh()

    async def _find_place(self) -> Frontier:
        """Learn how far the key holder is, and bring it near if it is far behind."""
        records = await self.refresh()
        size = records.snapshot.log_size
        if size > self._log.head.size:
            raise ConflictError(f"the key holder saw {size} entries, the log has {self._log.head.size}")
        await asyncio.to_thread(self._log.remember_from, size)
        return await asyncio.to_thread(self._log.frontier_at, size)

    async def close(self) -> None:
        """Finish what was begun."""
        while self._running is not None:
            await self._running


def _proof(recorded: Recorded) -> ProofOfRequest:
    return recorded.authorised.understood.authenticated.received.proof
