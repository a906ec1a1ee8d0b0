"""Files on the publisher's machine: read in one pass by two threads, and replaced whole or not at all.

A result is written to a temporary file beside its target, and takes the target's place only when everything
about it was checked. Works alike on POSIX and Windows, where an open file cannot be replaced.
"""

import os
import stat
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp
from threading import Event
from typing import TYPE_CHECKING, BinaryIO, Final, Self, cast

from sealwright.contracts import Together
from sealwright.domain.errors import ConfigurationError, ConflictError, NotFoundError

if TYPE_CHECKING:
    from io import RawIOBase

LARGE: Final = 4 << 20
"""From this size in bytes on, several threads are faster than one."""

_PIECE = 1 << 18  # bytes copied at once, from and to memory that the processor has at hand
_FICLONE = 0x40049409  # linux/fs.h


def is_large(size: int) -> bool:
    """Say whether several threads are worth their start for a file of that size."""
    return size >= LARGE


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
        if path.exists() and not path.is_file():  # opening a pipe would wait for its writer, for ever
            raise ConfigurationError(f"{path} is no regular file")
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


class Replacement:
    """A temporary file beside its target: it takes the target's place when it is published, and is removed if not.

    A context manager; its end may come twice. Raises ConfigurationError for what the operating system refuses,
    in the block as well.
    """

    def __init__(self, target: Path, mode: int) -> None:
        self._target = Path(os.path.realpath(target))  # a link stays a link: the file behind it is replaced
        self._mode = mode
        self._interrupted = Event()
        self._pool: ThreadPoolExecutor | None = None
        self._copied: Future[None] | None = None
        try:
            handle, name = mkstemp(dir=self._target.parent, prefix=f".{self._target.name[:64]}.", suffix=".part")
        except OSError as error:
            raise _unwritable(self._target, error) from None
        self._temporary: Path | None = Path(name)
        self.file: BinaryIO = os.fdopen(handle, "w+b")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._interrupted.set()
        if self._pool is not None:
            self._pool.shutdown()
        with suppress(OSError):
            self.file.close()  # fails again where writing has failed
        if self._temporary is not None:
            with suppress(OSError):
                self._temporary.unlink(missing_ok=True)
            self._temporary = None
        if isinstance(error, OSError):
            raise _unwritable(self._target, error) from None

    def begin_copy(self, source: Path) -> None:
        """Make the file a copy of this one, and bring it to the disk, while the caller does something else.

        Nobody else may use the file until `end_copy` has returned.
        """
        self._pool = ThreadPoolExecutor(1, "copy")
        self._copied = self._pool.submit(self._copy, open_input(source))
        self._pool.submit(os.fsync, self.file.fileno())  # an error comes again when it is published

    def end_copy(self) -> None:
        """Wait until the copy is complete, if not on the disk."""
        if self._copied is None:
            return
        try:
            self._copied.result()
        except OSError as error:
            raise _unwritable(self._target, error) from None

    def _copy(self, source: BinaryIO) -> None:
        with source:
            if _clone(source, self.file):
                return
            readinto = cast("RawIOBase", source).readinto
            buffer = memoryview(bytearray(_PIECE))
            while not self._interrupted.is_set() and (count := readinto(buffer)):
                self.file.write(buffer[:count])
            self.file.flush()

    def publish(self) -> None:
        """Put the file, which must be complete, in its target's place; it is on the disk before. Raises OSError."""
        if self._temporary is None:
            raise ValueError("the replacement is closed")
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        self._temporary.chmod(self._mode)
        self._temporary.replace(self._target)
        self._temporary = None
        _sync_directory(self._target.parent)


def _clone(source: BinaryIO, output: BinaryIO) -> bool:
    """Let both files share their blocks until one changes, where the file system can (Btrfs, XFS); say if it did."""
    if sys.platform == "linux":
        from fcntl import ioctl  # noqa: PLC0415 - not on Windows

        with suppress(OSError):
            ioctl(output.fileno(), _FICLONE, source.fileno())
            return True
    return False


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


def _cores() -> int:
    """Count the processor cores that this process may use, as far as the system tells."""
    cores = os.cpu_count() or 1
    if sys.platform == "linux":
        cores = min(cores, len(os.sched_getaffinity(0)))
    return cores


@contextmanager
def two_threads(size: int) -> Iterator[Together | None]:
    """Give what does two pieces of work at once for a file of that size; None where that would not pay."""
    if not is_large(size) or _cores() < 2:  # noqa: PLR2004 - the second thread needs a second core
        yield None
        return
    with ThreadPoolExecutor(1, "hash") as pool:

        def together(one: Callable[[], object], other: Callable[[], object]) -> None:
            pending = pool.submit(one)
            other()
            pending.result()

        yield together


@contextmanager
def syncing(output: BinaryIO) -> Iterator[None]:
    """Bring what was written to the disk while the block reads it; raises OSError at the end of the block."""
    output.flush()
    with ThreadPoolExecutor(1, "sync") as pool:
        pending = pool.submit(os.fsync, output.fileno())
        yield
        pending.result()
