"""The face's batches over a true database and a true key holder: whatever the order and load, the log fits."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from sealwright.domain.actions import ClearHalt, SetPolicy
from sealwright.domain.errors import (
    ConflictError,
    InvalidRequestError,
    LogMistrustedError,
    SealwrightError,
    UnavailableError,
)
from sealwright.domain.events import ServiceStarted
from sealwright.domain.messages import AdminAnswer, AdminEnvelope, BatchAnswer, SignBatch, Snapshot
from sealwright.ledger.audit import StoredEntry, prove
from sealwright.servers.signing import holder as holder_module
from sealwright.servers.signing import log as log_module
from sealwright.servers.signing.holder import BatchingHolder
from sealwright.servers.signing.log import SigningLog
from sealwright.signing.pipeline import Pipeline, Ports
from sealwright.signing.refusals import AnonymousRefusals
from sealwright.signing.steps import Completed, Received, Records
from sealwright.storage.engine import open_engine
from sealwright.storage.migrations import METADATA, migrate
from sealwright.storage.role_log import LogReader
from sealwright.storage.signing import SigningDatabase
from sealwright.structures.merkle import check_inclusion, leaf_hash
from sealwright.structures.tlog import open_checkpoint
from tests.unit.custody.world import ALICE as ADMIN_KEY
from tests.unit.custody.world import AUTHORITY, LOG, NOW, WITNESS, World, act, body, proof

STARTED = ServiceStarted(time="2026-11-23T12:00:00.000000Z", role="signing", version="1")


class Port:
    """The key holder as the face sees it; `lose` answers are lost on the way back, `fail` calls never arrive."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lose = self.fail = self.snapshots = 0
        self.batches: list[SignBatch] = []

    async def snapshot(self) -> Snapshot:
        await asyncio.sleep(0)
        self.snapshots += 1
        return self.world.holder.snapshot()

    async def sign(self, batch: SignBatch) -> BatchAnswer:
        await asyncio.sleep(0)
        if self.fail:
            self.fail -= 1
            raise UnavailableError("away")
        self.batches.append(batch)
        answer = await asyncio.to_thread(self.world.holder.sign, batch)
        if self.lose:
            self.lose -= 1
            raise UnavailableError("the answer was lost")
        return answer

    async def administer(self, envelope: AdminEnvelope) -> AdminAnswer:
        return self.world.holder.administer(envelope)


class Face:
    def __init__(self, folder: Path, world: World) -> None:
        self.engine = open_engine(f"sqlite:///{folder / 'signing.db'}")
        migrate(self.engine, "signing")
        self.database = SigningDatabase(self.engine, LOG)
        self.database.create()
        self.world, self.port = world, Port(world)
        self.start()

    def start(self) -> None:
        """Begin anew, as a restarted process does."""
        self.log = SigningLog(self.database, lambda: NOW)
        self.records: Records | None = None
        self.holder = BatchingHolder(self.port, self.log, self._know)
        self.pipeline = Pipeline(
            Ports(
                authenticate=lambda _proof: self._records().principals["ci"],
                decide=lambda *_: "",
                records=self._records,
                log=self.log,
                holder=self.holder,
                refusals=AnonymousRefusals(),
                clock=lambda: NOW,
            )
        )

    def _know(self, records: Records) -> None:
        self.records = records

    def _records(self) -> Records:
        assert self.records
        return self.records

    async def ask(self, *numbers: int, count: int = 1) -> list[Completed | BaseException]:
        if self.records is None:
            await self.holder.refresh()
        proofs = [proof(body(count), idempotency=str(number)) for number in numbers]
        asked = (self.pipeline.run(Received(one)) for one in proofs)
        return await asyncio.gather(*asked, return_exceptions=True)

    def check(self) -> None:
        """Prove the whole log, as `ledger verify` does."""
        head = self.database.head()
        reader = LogReader(self.engine, METADATA["signing"])
        rows = (StoredEntry(*row) for row in reader.entries(0, head.size))
        prove(rows, open_checkpoint(head.checkpoint, LOG.verifier))
        assert not self.world.holder.snapshot().halted


@pytest.fixture
def face(tmp_path: Path) -> Iterator[Face]:
    made = Face(tmp_path, World())
    yield made
    made.engine.dispose()


def good(results: list[Completed | BaseException]) -> list[Completed]:
    assert [result for result in results if not isinstance(result, Completed)] == []
    return [result for result in results if isinstance(result, Completed)]


def test_more_requests_than_a_batch_holds_are_all_signed_with_receipts_that_hold(face: Face) -> None:
    """Intents that are durable before their batch goes must not be passed over by the batch before."""
    results = good(asyncio.run(face.ask(*range(700))))
    assert len(face.port.batches) > 2
    for result in results[::50]:
        receipt = result.response.receipt
        for entry, checkpoint in (
            (receipt.intent, receipt.intent_checkpoint),
            (receipt.outcome, receipt.outcome_checkpoint),
        ):
            root = open_checkpoint(checkpoint, LOG.verifier).root
            check_inclusion(leaf_hash(entry.entry), entry.index, entry.size, entry.proof, root)
        assert WITNESS.check(receipt.intent_checkpoint)
    face.check()


def test_requests_that_trickle_in_while_others_are_signed_are_all_signed(face: Face) -> None:
    async def main() -> list[Completed | BaseException]:
        await face.holder.refresh()
        tasks = []
        for number in range(300):
            tasks.append(asyncio.create_task(face.ask(number)))
            if number % 7 == 0:
                await face.log.note(STARTED)
            await asyncio.sleep(0)
        return [result for results in await asyncio.gather(*tasks) for result in results]

    good(asyncio.run(main()))
    face.check()


def test_a_batch_is_small_enough_for_its_answer(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holder_module, "_MOST_SIGNATURES", 10)
    good(asyncio.run(face.ask(*range(12), count=4)))
    assert max(len(batch.items) for batch in face.port.batches) == 2
    monkeypatch.setattr(holder_module, "_MOST_BYTES", 10)
    good(asyncio.run(face.ask(*range(20, 24))))
    assert [len(batch.items) for batch in face.port.batches[-4:]] == [1, 1, 1, 1]
    good(asyncio.run(face.ask(30, count=11)))  # a single request goes however large it is


def test_a_key_holder_that_is_far_behind_is_brought_near_in_pieces(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holder_module, "_MOST_HASHES", 50)
    monkeypatch.setattr(log_module, "_REMEMBERED", 20)

    async def main() -> list[Completed | BaseException]:
        for _ in range(180):
            await face.log.note(STARTED)
        return await face.ask(1)

    good(asyncio.run(main()))
    assert len(face.log._hashes) <= 41
    assert [len(batch.log.leaf_hashes) for batch in face.port.batches] == [50, 50, 50, 31]
    face.check()


def test_a_lost_answer_leaves_open_intents_and_the_next_batch_goes_on(face: Face) -> None:
    async def main() -> None:
        good(await face.ask(1))
        face.port.lose = 1
        (lost,) = await face.ask(2)
        assert isinstance(lost, UnavailableError)
        good(await face.ask(3))
        face.port.fail = 1
        (away,) = await face.ask(4)
        assert isinstance(away, UnavailableError)
        good(await face.ask(4, 5))

    asyncio.run(main())
    face.check()


def test_a_restarted_face_finds_its_place(face: Face) -> None:
    good(asyncio.run(face.ask(1, 2, 3)))
    face.start()
    good(asyncio.run(face.ask(4)))
    face.world.restarted()
    face.start()
    good(asyncio.run(face.ask(5)))
    face.check()


def test_a_key_holder_elsewhere_than_remembered_is_asked_once_more(face: Face) -> None:
    async def main() -> None:
        good(await face.ask(1))
        assert face.holder._seen
        face.holder._seen = await asyncio.to_thread(face.log.frontier_at, face.holder._seen.size - 1)
        good(await face.ask(2))

    asyncio.run(main())
    face.check()


def test_a_key_holder_that_never_fits_is_reported_and_not_asked_for_ever(
    face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(batch: SignBatch) -> BatchAnswer:
        raise InvalidRequestError(f"not {batch.log.from_size}")

    monkeypatch.setattr(face.port, "sign", refuse)
    (result,) = asyncio.run(face.ask(1))
    assert isinstance(result, InvalidRequestError)


def test_a_log_from_a_backup_is_not_shown_to_the_key_holder(face: Face, tmp_path: Path) -> None:
    good(asyncio.run(face.ask(1, 2, 3)))
    other = tmp_path / "backup"
    other.mkdir()
    restored = Face(other, face.world)
    (result,) = asyncio.run(restored.ask(4))
    assert isinstance(result, ConflictError)
    assert "backup" in result.hint
    assert not face.world.holder.snapshot().halted
    restored.engine.dispose()


def test_entries_of_a_commit_that_seemed_lost_are_read_again(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = face.database.commit

    async def main() -> None:
        good(await face.ask(1))

        def cut_off(batch: object) -> object:
            commit(batch)  # type: ignore[arg-type] # handed on as it came
            raise ConnectionError("cut off right after the commit")

        monkeypatch.setattr(face.database, "commit", cut_off)
        with pytest.raises(UnavailableError):
            await face.log.note(STARTED)
        monkeypatch.setattr(face.database, "commit", commit)
        good(await face.ask(2))

    asyncio.run(main())
    face.check()


def test_a_halted_key_holder_leaves_no_intent_open(face: Face) -> None:
    async def main() -> None:
        good(await face.ask(1))
        face.world.put(halted="rewritten")
        (result,) = await face.ask(2)
        assert isinstance(result, LogMistrustedError)
        head = face.log.head
        clear = ClearHalt(size=head.size, frontier=head.frontier.encode())
        await face.holder.administer(act(clear, ("alice", ADMIN_KEY)))
        good(await face.ask(3))

    asyncio.run(main())
    face.check()


def test_an_administrative_act_between_record_and_key_asks_for_another_try(face: Face) -> None:
    async def main() -> None:
        good(await face.ask(1))
        policy = SetPolicy(subscriber="acme", text="forbid(principal, action, resource);")
        face.world.holder.administer(act(policy, ("alice", ADMIN_KEY)))  # not through this face
        (result,) = await face.ask(2)
        assert isinstance(result, UnavailableError)
        assert result.retry_after == 1
        good(await face.ask(2))

    asyncio.run(main())
    face.check()


def test_an_act_that_was_carried_out_is_no_failure_if_the_records_cannot_be_fetched(
    face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> Snapshot:
        raise UnavailableError("away")

    monkeypatch.setattr(face.port, "snapshot", away)
    policy = SetPolicy(subscriber="acme", text="permit(principal, action, resource);")
    answer = asyncio.run(face.holder.administer(act(policy, ("alice", ADMIN_KEY))))
    assert answer.version == 8


def test_strangers_who_ask_for_the_state_reach_the_key_holder_once_a_second(face: Face) -> None:
    async def main() -> None:
        states = await asyncio.gather(*(face.holder.recent() for _ in range(100)))
        assert len(set(map(id, states))) == 1
        assert face.port.snapshots == 1
        face.holder._refreshed = (asyncio.get_running_loop().time() - 2, states[0])
        await face.holder.recent()
        assert face.port.snapshots == 2

    asyncio.run(main())


def test_closing_finishes_what_was_begun(face: Face) -> None:
    async def main() -> None:
        await face.holder.refresh()
        asked = asyncio.create_task(face.ask(1, 2, 3))
        while face.holder._running is None:  # noqa: ASYNC110 - what is waited for is no event
            await asyncio.sleep(0)
        await face.holder.close()
        good(await asked)
        await face.log.close()
        with pytest.raises(SealwrightError):
            await face.log.note(STARTED)

    asyncio.run(main())


def test_a_proof_is_made_out_to_one_service() -> None:
    assert replace(proof(), body=b"").authority == AUTHORITY
