"""Reading a file in pieces, from a raw stream as well: one that gives fewer bytes than it was asked for."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, cast

from sealwright.domain.errors import MalformedError

if TYPE_CHECKING:
    from io import BufferedIOBase


def read_exactly(file: BinaryIO, length: int) -> bytes:
    """Read that many bytes. Raises MalformedError if the file ends before."""
    piece = file.read(length)
    while len(piece) < length:
        more = file.read(length - len(piece))
        if not more:
            raise _became_shorter()
        piece += more
    return piece


def views(file: BinaryIO, end: int, chunk: int) -> Iterator[tuple[int, memoryview]]:
    """Read a file up to `end` in pieces of at most `chunk` bytes, each with its offset. Raises MalformedError.

    All pieces lie in one buffer: each may be changed, and is good until the next is asked for. New memory for
    every piece would cost half as much as its hash.
    """
    readinto = cast("BufferedIOBase", file).readinto
    buffer = memoryview(bytearray(min(chunk, end)))
    file.seek(0)
    for start in range(0, end, chunk):
        view = buffer[: end - start]
        filled = 0
        while filled < len(view):
            count = readinto(view[filled:])
            if not count:
                raise _became_shorter()
            filled += count
        yield start, view


def _became_shorter() -> MalformedError:
    return MalformedError("the file became shorter while it was read")
