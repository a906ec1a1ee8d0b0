"""Every role's schema, made by its migrations on each engine, is the one that the program works with."""

from collections.abc import Callable

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine

from sealwright.storage.migrations import METADATA, migrate, pending
from tests.contract.conftest import NewDatabase


@pytest.mark.parametrize("role", METADATA)
def test_migrations_lead_to_the_tables_that_the_program_expects(
    new_database: NewDatabase, open_database: Callable[[str], Engine], role: str
) -> None:
    engine = open_database(new_database())
    with engine.begin() as connection:
        assert pending(connection, role) != []
    assert migrate(engine, role)
    assert not migrate(engine, role)
    with engine.begin() as connection:
        assert list(pending(connection, role)) == []
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA[role]) == []
