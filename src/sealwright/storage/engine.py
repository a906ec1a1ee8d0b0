"""Opens a role's database by URL: SQLite (embedded) with one writing process, or PostgreSQL."""

from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.pool import NullPool, QueuePool

from sealwright.domain.errors import UnavailableError

_SQLITE_WAIT_MS = 10_000
_RETRY_AFTER = 2


def open_engine(url: str) -> Engine:
    """Open the database; connections are made when they are first used.

    A database that does not answer raises UnavailableError.
    SQLite runs with a write-ahead log and full synchronisation: a transaction that was committed is on disk.
    """
    if not url.startswith("sqlite"):
        return _typed(create_engine(url, poolclass=QueuePool, pool_size=4, max_overflow=4, pool_pre_ping=True))
    options = {"check_same_thread": False, "timeout": 10}
    engine = _typed(create_engine(url, connect_args=options, poolclass=QueuePool))
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin)
    return engine


def reading(engine: Engine) -> Engine:
    """Return the same engine for transactions that only read: on SQLite they do not wait for the writer."""
    return engine.execution_options(reads_only=True)


def open_reader(url: str) -> Engine:
    """Open a database for reading only, as the command line does while a deployment runs."""
    if not url.startswith("sqlite"):
        return _typed(create_engine(url, poolclass=NullPool))
    path = quote(url.removeprefix("sqlite:///"))
    engine = _typed(create_engine(f"sqlite:///file:{path}?mode=ro&uri=true", poolclass=NullPool))
    event.listen(engine, "connect", _prepare_sqlite_reader)
    return engine


def _typed(engine: Engine) -> Engine:
    event.listen(engine, "handle_error", _translate)
    return engine


def _translate(context: ExceptionContext) -> None:
    """Make an error of our tree of a database that is away, locked, full, or without its tables."""
    error = context.sqlalchemy_exception
    if isinstance(error, (OperationalError, ProgrammingError)):
        reason = " ".join(str(error.orig).split())
        raise UnavailableError(
            f"the database cannot be used: {reason}",
            hint="is it there, and has it this version's schema? `sealwright doctor` and `sealwright migrate` tell",
            retry_after=_RETRY_AFTER,
        ) from error


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


def _begin(connection: Connection) -> None:
    # Who only reads must not take the writer's lock: strangers ask for tiles while signatures are recorded.
    reads = connection.get_execution_options().get("reads_only", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
