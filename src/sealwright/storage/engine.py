"""Opens a role's database by URL: SQLite (embedded) with one writing process, or PostgreSQL."""

from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import NullPool, QueuePool

_SQLITE_WAIT_MS = 10_000


def open_engine(url: str) -> Engine:
    """Open the database; connections are made when they are first used.

    SQLite runs with a write-ahead log and full synchronisation: a transaction that was committed is on disk.
    """
    if not url.startswith("sqlite"):
        return create_engine(url, poolclass=QueuePool, pool_size=4, max_overflow=4, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"check_same_thread": False, "timeout": 10}, poolclass=QueuePool)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def open_reader(url: str) -> Engine:
    """Open a database for reading only, as the command line does while a deployment runs."""
    if not url.startswith("sqlite"):
        return create_engine(url, poolclass=NullPool)
    path = url.removeprefix("sqlite:///")
    engine = create_engine(f"sqlite:///file:{path}?mode=ro&uri=true", poolclass=NullPool)
    event.listen(engine, "connect", _prepare_sqlite_reader)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own connection
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={_SQLITE_WAIT_MS}",
        "wal_autocheckpoint=4000",
        "cache_size=-16384",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _prepare_sqlite_reader(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own connection
    connection.execute(f"PRAGMA busy_timeout={_SQLITE_WAIT_MS}")


def _begin_immediate(connection: Any) -> None:  # noqa: ANN401 - the hook's own type
    connection.exec_driver_sql("BEGIN IMMEDIATE")
