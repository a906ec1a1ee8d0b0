"""Files on the publisher's machine: read in one pass by two threads, and replaced whole or not at all.

A result is written to a temporary file beside its target, and takes the target's place only when everything
about it was checked. Works alike on POSIX and Windows, where an open file cannot be replaced.
"""

import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO, Final, cast

from sealwright.contracts import Together
from sealwright.domain.errors import ConfigurationError, ConflictError, NotFoundError

LARGE: Final = 4 << 20
"""From this size in bytes on, two threads read faster than one."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What tells whether a file is still the one that was read: size in bytes, time of change, place, mode bits."""

    size: int
    changed_ns: int
    inode: int
    mode: int

    @classmethod
    def of(cls, file: BinaryIO) -> "Snapshot":
        """Look at an open file."""
        found = os.fstat(file.fileno())
        return cls(found.st_size, found.st_mtime_ns, found.st_ino, stat.S_IMODE(found.st_mode))


def open_input(path: Path) -> BinaryIO:
    """Open a file for reading, unbuffered. Raises NotFoundError, or ConfigurationError if it is not readable."""
    try:
        if path.is_dir():
            raise ConfigurationError(f"{path} is a directory", hint="name the files in it")
        return path.open("rb", buffering=0)
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}") from None


def need_unchanged(path: Path, file: BinaryIO, before: Snapshot) -> None:
    """Raise ConflictError if the file is not the one that was read before."""
    if Snapshot.of(file) != before:
        raise ConflictError(
            f"{path} changed while it was being signed", hint="let the build finish, then sign the file again"
        )


@contextmanager
def replacement(target: Path, mode: int) -> Iterator[BinaryIO]:
    """Give a temporary file that becomes `target`, with these mode bits, if the block ends without an error.

    The block must leave the file complete; it is flushed to the disk before it takes its place. After an error
    nothing is left behind. Raises ConfigurationError if the target's directory cannot be written.
    """
    target = Path(os.path.realpath(target))  # a link stays a link: the file behind it is replaced
    try:
        output = NamedTemporaryFile(dir=target.parent, prefix=f".{target.name[:64]}.", suffix=".part", delete=False)  # noqa: SIM115 - closed below, before it is renamed
    except OSError as error:
        raise _unwritable(target, error) from None
    temporary = Path(output.name)
    try:
        with output:
            yield cast("BinaryIO", output.file)
            output.flush()
            os.fsync(output.fileno())
        temporary.chmod(mode)
        temporary.replace(target)
    except OSError as error:
        raise _unwritable(target, error) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    _sync_directory(target.parent)


def _unwritable(target: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"{target} cannot be written: {error.strerror or error}",
        hint="nothing was changed; is there space and permission?",
    )


def _sync_directory(directory: Path) -> None:
    """Make a rename last through a crash, where the system can (not on Windows)."""
    if os.name != "posix":
        return
    with suppress(OSError):
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def two_threads(size: int) -> Iterator[Together | None]:
    """Give what does two pieces of work at once for a file of that size; None where that would not pay."""
    if size < LARGE or (os.cpu_count() or 1) < 2:  # noqa: PLR2004 - the second thread needs a second core
        yield None
        return
    with ThreadPoolExecutor(1, "hash") as pool:

        def together(one: Callable[[], object], other: Callable[[], object]) -> None:
            pending = pool.submit(one)
            other()
            pending.result()

        yield together


class _WriteBehind:
    """A file whose pieces are written by another thread, one at a time and in order, while the next is made."""

    def __init__(self, file: BinaryIO, pool: ThreadPoolExecutor) -> None:
        self._file = file
        self._pool = pool
        self._pending: Future[int] | None = None

    def write(self, piece: bytes) -> int:
        self.flush()
        self._pending = self._pool.submit(self._file.write, piece)
        return len(piece)

    def seek(self, offset: int, whence: int = 0) -> int:
        self.flush()
        return self._file.seek(offset, whence)

    def flush(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()


@contextmanager
def write_behind(output: BinaryIO, size: int) -> Iterator[BinaryIO]:
    """Give a view of the file, to be written and sought in only, that does not wait for the disk.

    Everything is written when the block ends. Raises OSError there or at the next piece. A file smaller than
    `LARGE` is given as it is.
    """
    if size < LARGE:
        yield output
        return
    with ThreadPoolExecutor(1, "write") as pool:
        behind = _WriteBehind(output, pool)
        yield cast("BinaryIO", behind)
        behind.flush()


@contextmanager
def syncing(output: BinaryIO) -> Iterator[None]:
    """Bring what was written to the disk while the block reads it; raises OSError at the end of the block."""
    output.flush()
    with ThreadPoolExecutor(1, "sync") as pool:
        pending = pool.submit(os.fsync, output.fileno())
        yield
        pending.result()
