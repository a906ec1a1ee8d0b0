"""What custody.state.CustodyStore promises, on every database."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from sealwright.domain.errors import ConfigurationError, ConflictError
from sealwright.domain.events import AdministratorActed, LogHalted, decode_event
from sealwright.domain.keys import KeyState
from sealwright.domain.records import CustodyState, PolicyRecord, Uses
from sealwright.storage.keyholder import KeyHolderDatabase
from sealwright.storage.migrations import METADATA, migrate
from sealwright.storage.role_log import LogReader
from tests.contract.conftest import NewDatabase
from tests.unit.custody.world import LOG, MemoryKeyStore, key_record, principals, seen_of

MOMENT = "2026-11-23T12:00:00.000000Z"
EVENT = AdministratorActed(time=MOMENT, administrators=["alice"], action="x", subject="", request="", records_version=1)
Reopen = Callable[[], KeyHolderDatabase]


@pytest.fixture
def reopen(new_database: NewDatabase, open_database: Callable[[str], Engine]) -> Reopen:
    """Open the same database again at each call, as a new process would."""
    url = new_database()
    migrate(open_database(url), "keyholder")

    def again() -> KeyHolderDatabase:
        return KeyHolderDatabase(open_database(url), LOG)

    return again


@pytest.fixture
def store(reopen: Reopen) -> KeyHolderDatabase:
    database = reopen()
    database.create()
    database.create()
    return database


def state() -> CustodyState:
    keys = {name: key_record(MemoryKeyStore(), name) for name in ("one", "two")}
    policies = {"acme": PolicyRecord("acme", "permit(principal, action, resource);", 1)}
    return CustodyState(1, False, keys, principals(), policies, seen_of([b"a", b"b", b"c"]), "")


def test_an_empty_database_names_init(reopen: Reopen) -> None:
    with pytest.raises(ConfigurationError):
        reopen().load()


def test_a_new_key_holder_knows_nothing(store: KeyHolderDatabase) -> None:
    assert store.load() == CustodyState()


def test_what_was_changed_is_read_again(store: KeyHolderDatabase, reopen: Reopen) -> None:
    first = state()
    store.change(first, EVENT, "1", b"envelope")
    assert reopen().load() == first
    keys = {"one": first.keys["one"], "three": key_record(MemoryKeyStore(), "three", state=KeyState.SUSPENDED)}
    second = replace(first, version=2, dual_control=True, keys=keys, principals={}, halted="why")
    store.change(second, EVENT, "2", b"envelope")
    assert reopen().load() == second


def test_a_request_is_carried_out_once(store: KeyHolderDatabase) -> None:
    assert not store.carried_out("1")
    store.change(state(), EVENT, "1", b"envelope")
    assert store.carried_out("1")
    with pytest.raises(ConflictError):
        store.change(replace(state(), version=9), EVENT, "1", b"envelope")
    assert store.load().version == 1


def test_a_proof_is_spent_until_it_expires(store: KeyHolderDatabase, reopen: Reopen) -> None:
    one, two = b"1" * 32, b"2" * 32
    assert store.spent([one, two]) == set()
    store.use(Uses(seen_of([]), {}, {one: 1_100, two: 5_000}), 1_000)
    assert reopen().spent([one, two, b"3" * 32]) == {one, two}
    store.use(Uses(seen_of([]), {}, {}), 1_030)
    assert store.spent([one]) == {one}  # the tidying waits a minute
    store.use(Uses(seen_of([]), {}, {}), 1_100)
    assert store.spent([one]) == {one}  # it holds through its last second
    store.use(Uses(seen_of([]), {}, {}), 1_200)
    assert store.spent([one, two]) == {two}


def test_uses_and_the_log_that_was_seen_are_counted_together(store: KeyHolderDatabase, reopen: Reopen) -> None:
    store.change(state(), EVENT, "1", b"envelope")
    seen = seen_of([b"a", b"b", b"c", b"d"])
    store.use(Uses(seen, {"one": 3, "two": 1}, {}), 1_000)
    store.use(Uses(seen, {"one": 2}, {}), 1_000)
    assert dict(reopen().uses()) == {"one": 5, "two": 1}
    assert reopen().load().seen == seen
    changed = replace(state(), version=2)
    store.change(changed, EVENT, "2", b"envelope")
    assert dict(store.uses()) == {"one": 5, "two": 1}  # an act does not begin the count anew


def test_a_spent_proof_makes_the_whole_use_fail(store: KeyHolderDatabase) -> None:
    store.change(state(), EVENT, "1", b"envelope")
    store.use(Uses(seen_of([]), {"one": 1}, {b"1" * 32: 9_000}), 1_000)
    with pytest.raises(Exception, match=r"(?i)unique"):
        store.use(Uses(seen_of([b"a"]), {"one": 1}, {b"1" * 32: 9_000}), 1_000)
    assert dict(store.uses()) == {"one": 1, "two": 0}
    assert store.load().seen == seen_of([])


def test_a_halt_outlives_the_process_and_is_in_the_log(
    new_database: NewDatabase, open_database: Callable[[str], Engine]
) -> None:
    url = new_database()
    migrate(open_database(url), "keyholder")
    store = KeyHolderDatabase(open_database(url), LOG)
    store.create()
    event = LogHalted(time=MOMENT, seen_size=1, seen_root="", shown="", reason="rewritten")
    store.halt("rewritten", event)
    store.record(EVENT)
    assert KeyHolderDatabase(open_database(f"reads:{url}"), LOG).load().halted == "rewritten"
    reader = LogReader(open_database(f"reads:{url}"), METADATA["keyholder"])
    assert [decode_event(entry) for _, entry, _ in reader.entries(0, 10)] == [event, EVENT]
