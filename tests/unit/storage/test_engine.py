"""How databases are opened: durable, closed to writers where only read, and with errors of our tree."""

from pathlib import Path

import pytest
from sqlalchemy import text

from sealwright.domain.errors import UnavailableError
from sealwright.storage.engine import open_engine, open_reader, reading


def test_a_sqlite_transaction_is_on_the_disk_when_it_is_committed(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'a.db'}")
    with engine.begin() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    engine.dispose()


def test_a_reader_cannot_write_and_makes_no_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with pytest.raises(UnavailableError), open_reader(url).connect():
        pass
    assert not list(tmp_path.iterdir())
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
    with open_reader(url).connect() as connection, pytest.raises(UnavailableError, match="readonly"):
        connection.execute(text("INSERT INTO t VALUES (1)"))
    with reading(engine).begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM t")).scalar() == 0
    engine.dispose()


def test_a_database_server_that_is_away_is_one_of_our_errors() -> None:
    for engine in (open_engine(NOWHERE), open_reader(NOWHERE)):
        with pytest.raises(UnavailableError) as caught, engine.connect():
            pass
        assert caught.value.retry_after
        engine.dispose()


NOWHERE = "postgresql+psycopg://nobody@/nothing?host=/nonexistent&connect_timeout=2"
