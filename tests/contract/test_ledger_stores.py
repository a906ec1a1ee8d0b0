"""What a role's log promises on every database: it only grows, and proves what it holds at any size."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from sealwright.domain.errors import ConfigurationError, NotFoundError, UnavailableError
from sealwright.domain.events import AnyEvent, RequestFailed, RequestIntended, ServiceStarted
from sealwright.domain.records import EarlierRequest
from sealwright.ledger.audit import StoredEntry, prove
from sealwright.storage.ledger import LedgerTables
from sealwright.storage.migrations import METADATA, migrate
from sealwright.storage.role_log import LogReader, RoleLog
from sealwright.storage.signing import Conclude, Intend, Note, SigningDatabase, Written
from sealwright.structures.merkle import Frontier, check_inclusion, leaf_hash
from sealwright.structures.tlog import open_checkpoint
from tests.contract.conftest import NewDatabase
from tests.unit.custody.world import LOG

MOMENT = "2026-11-23T12:00:00.000000Z"
Open = Callable[[str], Engine]


def event(number: int) -> AnyEvent:
    return ServiceStarted(time=MOMENT, role="tsa", version=str(number))


@pytest.fixture
def url(new_database: NewDatabase, open_database: Open) -> str:
    address = new_database()
    engine = open_database(address)
    migrate(engine, "signing")
    database = SigningDatabase(engine, LOG)
    database.create()
    database.create()  # what exists is left as it is
    return address


@pytest.fixture
def database(url: str, open_database: Open) -> SigningDatabase:
    return SigningDatabase(open_database(url), LOG)


def test_a_database_without_its_tables_says_what_to_do(new_database: NewDatabase, open_database: Open) -> None:
    engine = open_database(new_database())
    with pytest.raises(UnavailableError) as caught:
        SigningDatabase(engine, LOG).head()
    assert "migrate" in caught.value.hint


def test_a_database_without_a_log_names_init(new_database: NewDatabase, open_database: Open) -> None:
    engine = open_database(new_database())
    migrate(engine, "signing")
    with pytest.raises(ConfigurationError):
        SigningDatabase(engine, LOG).head()


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(1, 400), min_size=1, max_size=5), data=st.data())
def test_what_is_stored_leads_to_the_same_roots_and_proofs_as_the_whole_tree(
    url: str, open_database: Open, sizes: list[int], data: st.DataObject
) -> None:
    engine = open_database(url)
    log = RoleLog(engine, METADATA["signing"], LOG)
    database = SigningDatabase(engine, LOG)
    before = database.head().size
    for size in sizes:
        log.record(*[event(number) for number in range(size)])
    head = database.head()
    assert head.size == before + sum(sizes)
    stored = list(LogReader(open_database(f"reads:{url}"), METADATA["signing"]).entries(0, head.size))
    leaves = [leaf_hash(entry) for _, entry, _ in stored]
    whole = Frontier().extended(leaves)
    assert head.frontier == whole
    assert open_checkpoint(head.checkpoint, LOG.verifier).root == whole.root
    size = data.draw(st.integers(0, head.size))
    assert database.frontier_at(size) == Frontier().extended(leaves[:size])
    assert open_checkpoint(database.checkpoint(whole), LOG.verifier).size == head.size
    index = data.draw(st.integers(0, head.size - 1))
    proof, checkpoint = database.prove(index)
    assert proof.entry == stored[index][1]
    check_inclusion(leaves[index], index, proof.size, proof.proof, open_checkpoint(checkpoint, LOG.verifier).root)
    for level in (1, 2):
        assert len(database.hashes(level, 0, 10_000)) == head.size >> (8 * level)
    assert prove((StoredEntry(*row) for row in stored), open_checkpoint(head.checkpoint, LOG.verifier)).intents == 0


def test_an_entry_that_is_not_there_is_not_found(database: SigningDatabase) -> None:
    with pytest.raises(NotFoundError):
        database.prove(0)


def test_two_writers_take_turns(url: str, open_database: Open) -> None:
    def write(_number: int) -> None:
        log = RoleLog(open_database(url), METADATA["signing"], LOG)
        for number in range(20):
            log.record(event(number))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, range(3)))
    reader = LogReader(open_database(f"reads:{url}"), METADATA["signing"])
    head = reader.head()
    assert head.size == 60
    prove((StoredEntry(*row) for row in reader.entries(0, 60)), open_checkpoint(head.checkpoint, LOG.verifier))


def test_a_transaction_that_fails_leaves_nothing(url: str, open_database: Open) -> None:
    engine = open_database(url)
    tables = LedgerTables(METADATA["signing"])

    def fail() -> None:
        with engine.begin() as connection:
            tables.append(connection, [b"{}"], LOG, tables.head(connection, lock=True))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert SigningDatabase(engine, LOG).head().size == 0


def test_reading_does_not_wait_for_the_writer(url: str, open_database: Open) -> None:
    engine = open_database(url)
    database = SigningDatabase(engine, LOG)
    tables = LedgerTables(METADATA["signing"])
    with engine.begin() as connection:
        tables.append(connection, [b"{}"], LOG, tables.head(connection, lock=True))
        assert database.head().size == 0
        assert database.hashes(0, 0, 10) == []
    assert database.head().size == 1


def test_the_file_of_a_sqlite_database_may_have_any_name(new_database: NewDatabase, open_database: Open) -> None:
    address = new_database()
    if not address.startswith("sqlite"):
        pytest.skip("only SQLite databases are files")
    address = address.removesuffix(".db") + "%20a%23b%2520c.db"
    log = RoleLog(open_database(address), METADATA["tsa"], LOG)
    migrate(open_database(address), "tsa")
    log.create()
    log.record(event(1))
    assert LogReader(open_database(f"reads:{address}"), METADATA["tsa"]).head().size == 1


# --- Requests ---------------------------------------------------------------------------------------------------


def intend(identity: bytes = b"i" * 32, request: bytes = b"r" * 32, now: int = 1_000, **more: object) -> Intend:
    intended = RequestIntended(
        time=MOMENT,
        principal="ci",
        subscriber="acme",
        key="release",
        scheme="plain",
        digest_algorithm="sha256",
        count=1,
        digests_root="00",
        request="00",
        proof="00",
        records_version=int(str(more.get("version", 1))),
    )
    return Intend(identity, intended, request, b"e" * 32, b"evidence", now)


def conclude(intent: int, response: bytes | None = b"answer", identity: bytes = b"i" * 32) -> Conclude:
    return Conclude(identity, RequestFailed(time=MOMENT, intent=intent, code="x"), response)


def entry_of(result: Written | EarlierRequest) -> Written:
    assert isinstance(result, Written)
    return result


def test_a_batch_is_one_transaction_with_proofs_for_each_entry(database: SigningDatabase) -> None:
    results = database.commit([intend(bytes([n]) * 32) for n in range(5)] + [Note(event(1))])
    for index, result in enumerate(results):
        written = entry_of(result)
        assert written.index == index
        proof = written.proof()
        root = open_checkpoint(written.checkpoint, LOG.verifier).root
        check_inclusion(leaf_hash(proof.entry), index, proof.size, proof.proof, root)


def test_an_answered_request_is_known_again_and_nothing_is_written(database: SigningDatabase) -> None:
    database.commit([intend()])
    database.commit([conclude(0)])
    (earlier,) = database.commit([intend()])
    assert earlier == EarlierRequest(b"r" * 32, 1, 0, 1, b"answer")
    assert database.head().size == 2


def test_an_open_request_that_comes_again_names_the_intent_before(database: SigningDatabase) -> None:
    database.commit([intend()])
    again = entry_of(database.commit([intend(version=2)])[0])
    assert b'"retry_of":0' in again.entry
    database.commit([conclude(1)])
    assert database.commit([intend()])[0] == EarlierRequest(b"r" * 32, 2, 1, 2, b"answer")


def test_a_failed_request_that_comes_again_is_no_retry_of_an_open_intent(database: SigningDatabase) -> None:
    database.commit([intend()])
    database.commit([conclude(0, None)])
    again = entry_of(database.commit([intend()])[0])
    assert b"retry_of" not in again.entry
    third = entry_of(database.commit([intend()])[0])  # the second has no outcome yet
    assert b'"retry_of":2' in third.entry


def test_the_same_name_for_another_request_is_told(database: SigningDatabase) -> None:
    database.commit([intend()])
    (earlier,) = database.commit([intend(request=b"s" * 32)])
    assert earlier == EarlierRequest(b"r" * 32, 1, 0, None, None)


def test_the_same_request_twice_in_one_batch_fails_nobody(database: SigningDatabase) -> None:
    results = database.commit([intend(), intend(), intend(request=b"s" * 32), intend(b"j" * 32), conclude(1), intend()])
    assert [type(result) for result in results] == [
        Written,
        Written,
        EarlierRequest,
        Written,
        Written,
        EarlierRequest,
    ]
    assert b'"retry_of":0' in entry_of(results[1]).entry
    assert results[5] == EarlierRequest(b"r" * 32, 1, 1, 3, b"answer")


def test_evidence_is_kept_once_under_its_digest(url: str, open_database: Open) -> None:
    from sqlalchemy import text  # noqa: PLC0415 - only here

    engine = open_database(url)
    SigningDatabase(engine, LOG).commit([intend(), intend(b"j" * 32)])
    with engine.begin() as connection:
        rows = connection.execute(text("SELECT kind, created, data FROM evidence")).all()
    assert [(row[0], row[1], bytes(row[2])) for row in rows] == [("proof-of-request", 1_000, b"evidence")]


def test_the_window_of_a_request_ends(database: SigningDatabase) -> None:
    database.commit([intend(now=1_000), intend(b"j" * 32, now=2_000)])
    database.forget(2_000)
    again = database.commit([intend(), intend(b"j" * 32)])
    assert b"retry_of" not in entry_of(again[0]).entry
    assert b"retry_of" in entry_of(again[1]).entry
