"""Takes work that blocks off the event loop, a batch at a time: one hand-over to a thread serves all that waits."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

_In = TypeVar("_In")
_Out = TypeVar("_Out")


class Batches(Generic[_In, _Out]):
    """Runs `work` on each item in the pool; at most `threads` batches of at most `size` items at once.

    A hand-over to a thread and back costs 100 microseconds of one core where both compete for it. Idle, a
    batch has one item and leaves at once; under load it has what arrived meanwhile. For one event loop.
    """

    def __init__(self, work: Callable[[_In], _Out], pool: ThreadPoolExecutor, threads: int, size: int) -> None:
        self._work = work
        self._pool = pool
        self._threads = threads
        self._size = size
        self._waiting: deque[tuple[_In, asyncio.Future[_Out]]] = deque()
        self._running: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """How many items no thread has taken yet."""
        return len(self._waiting)

    async def run(self, item: _In) -> _Out:
        """Return what `work` makes of the item, or raise what it raises."""
        future: asyncio.Future[_Out] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if len(self._running) < self._threads:
            task = asyncio.create_task(self._drain())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return await future

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(self._size, len(self._waiting)))]
            items = [item for item, future in batch if not future.cancelled()]
            futures = [future for _, future in batch if not future.cancelled()]
            outcomes = await loop.run_in_executor(self._pool, self._all, items)
            for future, (result, error) in zip(futures, outcomes, strict=True):
                if future.cancelled():
                    continue
                if error is not None:
                    future.set_exception(error)
                else:
                    future.set_result(result)  # type: ignore[arg-type] # without an error there is a result

    def _all(self, items: list[_In]) -> list[tuple[_Out | None, Exception | None]]:
        outcomes: list[tuple[_Out | None, Exception | None]] = []
        for item in items:
            try:
                outcomes.append((self._work(item), None))
            except Exception as error:  # noqa: BLE001 - handed to the one who waits for this item
                outcomes.append((None, error))
        return outcomes
