from pathlib import Path

import pytest
from sqlalchemy import create_engine

from sealwright.storage.engine import open_engine
from sealwright.storage.migrations import METADATA, migrate, pending
from sealwright.storage.schema import NEWEST, is_newest


@pytest.mark.parametrize("role", METADATA)
def test_the_newest_version_is_the_last_migration(role: str, tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'one.db'}")
    with engine.begin() as connection:
        assert pending(connection, role)[-1] == NEWEST[role]
        assert not is_newest(connection, role), "an empty database has no schema"
    migrate(engine, role)
    with engine.begin() as connection:
        assert is_newest(connection, role)
    engine.dispose()


def test_another_version_is_not_the_newest(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'one.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num TEXT)")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('0000')")
        assert not is_newest(connection, "ca")
    engine.dispose()
