"""Databases for the contract suites: SQLite files, and a throw-away PostgreSQL cluster on a Unix socket."""

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from sealwright.storage.engine import open_engine, open_reader

NewDatabase = Callable[[], str]
"""Makes an empty database and returns its URL."""

_numbers = itertools.count()


def _programs() -> Path | None:
    """Return the folder of PostgreSQL's server programs: Debian keeps them out of PATH."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return folders[-1] if folders else None


def _as_postgres() -> list[str]:
    """Return what makes a command run as another user than root, whom PostgreSQL refuses."""
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[Path]:
    programs = _programs()
    if programs is None or not (programs / "initdb").exists():
        pytest.skip("PostgreSQL is not installed (Debian package postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="sealwright-pg-", dir="/tmp"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    run = {"check": True, "capture_output": True, "timeout": 120, "cwd": "/"}
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c max_connections=50"
    control = [*_as_postgres(), str(programs / "pg_ctl"), "-D", str(folder / "data"), "-w"]
    try:
        initialise = [str(programs / "initdb"), "-D", str(folder / "data"), "-U", "sealwright", "-A", "trust", "-N"]
        subprocess.run([*_as_postgres(), *initialise, "-E", "UTF8", "--locale=C"], **run)  # type: ignore[call-overload] # noqa: PLW1510 - `run` has check
        subprocess.run([*control, "-l", str(folder / "log"), "-o", options, "start"], **run)  # type: ignore[call-overload] # noqa: PLW1510 - `run` has check
        yield folder
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=False, capture_output=True, timeout=60, cwd="/")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.foreign)])
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> NewDatabase:
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path / f'{next(_numbers)}.db'}"
    folder: Path = request.getfixturevalue("postgres_socket")

    def make() -> str:
        name = f"t{os.getpid()}_{next(_numbers)}"
        admin = create_engine(f"postgresql+psycopg://sealwright@/postgres?host={folder}", isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        admin.dispose()
        return f"postgresql+psycopg://sealwright@/{name}?host={folder}"

    return make


@pytest.fixture
def open_database() -> Iterator[Callable[[str], Engine]]:
    """Open databases that are closed after the test; `reader` of the URL is `reads:` before it."""
    opened: list[Engine] = []

    def open_one(url: str) -> Engine:
        reads = url.startswith("reads:")
        opened.append(open_reader(url.removeprefix("reads:")) if reads else open_engine(url))
        return opened[-1]

    yield open_one
    for engine in opened:
        engine.dispose()
