"""What issuance.records.AuthorisationUses promises, on every database."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from sealwright.domain.errors import ConflictError, NotFoundError
from sealwright.storage.ca import AuthorityDatabase
from sealwright.storage.migrations import migrate
from tests.contract.conftest import NewDatabase
from tests.unit.custody.world import LOG

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def database(new_database: NewDatabase, open_database: Callable[[str], Engine]) -> AuthorityDatabase:
    engine = open_database(new_database())
    migrate(engine, "ca")
    made = AuthorityDatabase(engine, LOG, lambda: NOON)
    made.create()
    return made


def test_a_use_counts_for_those_after_it_in_the_same_call_and_later(database: AuthorityDatabase) -> None:
    use = ("standing", NOON, 3, NOON - HOUR)
    assert database.claim([use, use]) == [True, True]
    assert database.claim([use, use]) == [True, False]
    later = ("standing", NOON + 2 * HOUR, 3, NOON + HOUR)
    assert database.claim([use, later, later]) == [False, True, True]
    assert database.claim([later, later]) == [True, False]


def test_what_is_used_once_is_used_once_whenever(database: AuthorityDatabase) -> None:
    first, second = ("one", NOON, 1, None), ("two", NOON, 1, None)
    assert database.claim([first, second, first]) == [True, True, False]
    assert database.claim([("one", NOON + 1000 * HOUR, 1, None), ("three", NOON, 1, None)]) == [False, True]
    assert database.claim([]) == []


def test_an_officer_is_known_by_name(database: AuthorityDatabase) -> None:
    database.enrol_officer("bob", b"key")
    assert database.officer("bob") == b"key"
    assert database.officer("eve") is None
    database.enrol_officer("bob", b"key")
    with pytest.raises(ConflictError):
        database.enrol_officer("bob", b"another key")


def test_a_serial_number_is_used_once_under_its_authority_and_a_refused_batch_leaves_nothing(
    database: AuthorityDatabase,
) -> None:
    database.save_intents([("a", "leaf", "01", "x", b"tbs"), ("b", "leaf", "01", "x", b"tbs")])
    with pytest.raises(ConflictError):
        database.save_intents([("a", "leaf", "02", "x", b"tbs"), ("a", "leaf", "01", "y", b"other")])
    database.save_intents([("a", "leaf", "02", "x", b"tbs")])
    database.save_certificates([("a", "01", b"one"), ("b", "01", b"other"), ("a", "02", b"two")])
    assert list(database.certificates("a")) == [b"one", b"two"]
    assert list(database.certificates("b")) == [b"other"]


def test_a_revoked_certificate_is_on_the_list_of_its_authority_alone(database: AuthorityDatabase) -> None:
    database.save_intents([("a", "leaf", "0f", "x", b"tbs"), ("b", "leaf", "10", "x", b"tbs")])
    assert database.revoke("0f", NOON, "key-compromise") == "a"
    assert database.revoked("a") == [(15, NOON, "key-compromise")]
    assert database.revoked("b") == []
    with pytest.raises(NotFoundError):
        database.revoke("ff", NOON, "key-compromise")


def test_the_newest_list_of_each_authority_is_kept_and_numbers_only_rise(database: AuthorityDatabase) -> None:
    assert database.crl("a") is None
    for number in (1, 2):
        assert database.next_crl_number("a") == number
        database.save_crl("a", number, NOON + number * HOUR, bytes([number]), 0)
    assert database.crl("a") == (NOON + 2 * HOUR, b"\x02")
    assert (database.crl("b"), database.next_crl_number("b")) == (None, 1)
