"""Group commit: nothing is acknowledged before it is durable, and a failure fails its own batch only."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from sealwright.domain.errors import ConflictError, SealwrightError, UnavailableError
from sealwright.storage.journal import Journal


class Disk:
    """Makes batches durable when it is let; fails as told."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.failures: list[Exception] = []
        self.short = False

    def commit(self, batch: Sequence[int]) -> Sequence[int]:
        self.gate.wait(10)
        if self.failures:
            raise self.failures.pop(0)
        self.batches.append(list(batch))
        return [number * 10 for number in batch][: -1 if self.short else None]


def test_what_waits_shares_a_transaction_and_results_keep_their_order() -> None:
    async def main() -> None:
        disk = Disk()
        disk.gate.clear()
        journal = Journal(disk.commit, most_at_once=4)
        first = journal.submit(1)
        await asyncio.sleep(0.01)
        rest = [journal.submit(number) for number in range(2, 9)]
        assert not first.done()
        disk.gate.set()
        assert await asyncio.gather(first, *rest) == [10 * number for number in range(1, 9)]
        assert disk.batches == [[1], [2, 3, 4, 5], [6, 7, 8]]
        await journal.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("failure", "error"),
    [(ConflictError("taken"), ConflictError), (OSError("disk full"), UnavailableError)],
)
def test_a_batch_that_cannot_be_written_fails_and_later_ones_go_on(
    failure: Exception, error: type[SealwrightError]
) -> None:
    async def main() -> None:
        disk = Disk()
        disk.failures.append(failure)
        journal = Journal(disk.commit, most_at_once=2)
        futures = [journal.submit(number) for number in range(4)]
        results = await asyncio.gather(*futures, return_exceptions=True)
        assert [type(result) for result in results] == [error, error, int, int]
        assert await journal.submit(5) == 50
        await journal.close()

    asyncio.run(main())


def test_a_commit_with_too_few_results_fails_its_batch_instead_of_leaving_it_waiting() -> None:
    async def main() -> None:
        disk = Disk()
        disk.short = True
        journal = Journal(disk.commit)
        with pytest.raises(SealwrightError):
            await asyncio.wait_for(journal.submit(1), 5)
        disk.short = False
        assert await journal.submit(2) == 20
        await journal.close()

    asyncio.run(main())


def test_one_who_gave_up_waiting_disturbs_nobody() -> None:
    async def main() -> None:
        disk = Disk()
        disk.gate.clear()
        journal = Journal(disk.commit)
        gone, stays = journal.submit(1), journal.submit(2)
        await asyncio.sleep(0.01)
        gone.cancel()
        disk.gate.set()
        assert await stays == 20
        disk.failures.append(OSError())
        again = journal.submit(3)
        await asyncio.sleep(0)
        again.cancel()
        await journal.close()

    asyncio.run(main())


def test_closing_writes_what_waits_and_takes_nothing_more() -> None:
    async def main() -> None:
        disk = Disk()
        disk.gate.clear()
        journal = Journal(disk.commit, most_at_once=1)
        futures = [journal.submit(number) for number in range(3)]
        closing = asyncio.create_task(journal.close())
        await asyncio.sleep(0.01)
        with pytest.raises(UnavailableError):
            await journal.submit(9)
        disk.gate.set()
        await closing
        assert [future.result() for future in futures] == [0, 10, 20]

    asyncio.run(main())
