"""Group commit: whatever waits shares one durable transaction, written by one thread, at once when idle.

While one transaction is on its way to the disk, new submissions gather; they are the next one. Nothing is
acknowledged before the transaction that holds it was committed.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from sealwright.domain.errors import SealwrightError, UnavailableError

S = TypeVar("S")
R = TypeVar("R")

_MOST_AT_ONCE = 512


class Journal(Generic[S, R]):
    """Submits records to `commit`, which makes a whole batch durable and returns one result for each."""

    def __init__(self, commit: Callable[[Sequence[S]], Sequence[R]], *, most_at_once: int = _MOST_AT_ONCE) -> None:
        self._commit = commit
        self._most = most_at_once
        self._waiting: list[tuple[S, asyncio.Future[R]]] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._running: asyncio.Task[None] | None = None
        self._closed = False

    def submit(self, record: S) -> "asyncio.Future[R]":
        """Hand in a record; the future is done when the record is durable."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        if self._closed:
            future.set_exception(UnavailableError("the service is stopping", retry_after=2))
            return future
        self._waiting.append((record, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return future

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                records = [record for record, _ in batch]
                try:
                    results = await loop.run_in_executor(self._thread, self._write, records)
                except SealwrightError as error:
                    _fail(batch, error)
                except Exception as error:  # noqa: BLE001 - a database's own error: nothing of the batch is durable
                    failure = UnavailableError(f"the journal cannot be written: {error}", retry_after=2)
                    failure.__cause__ = error
                    _fail(batch, failure)
                else:
                    for (_, future), result in zip(batch, results, strict=True):
                        if not future.done():
                            future.set_result(result)
        finally:
            self._running = None

    def _write(self, records: Sequence[S]) -> Sequence[R]:
        results = self._commit(records)
        if len(results) != len(records):
            raise SealwrightError(f"{len(results)} results for {len(records)} records")
        return results

    async def close(self) -> None:
        """Write what waits, then accept nothing more."""
        self._closed = True
        while self._running is not None:
            await self._running
        self._thread.shutdown()


def _fail(batch: Sequence[tuple[object, asyncio.Future[R]]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
