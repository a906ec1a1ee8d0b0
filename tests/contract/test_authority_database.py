"""What issuance.records.AuthorisationUses promises, on every database."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

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
