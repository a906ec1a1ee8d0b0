import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealwright.domain.errors import MalformedError
from sealwright.structures.streams import read_exactly, views


class Slow(io.BytesIO):
    """A raw stream that gives at most three bytes at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, 3))

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override] # what views() gives
        return super().readinto(memoryview(buffer)[:3])


@given(data=st.binary(max_size=60), chunk=st.integers(1, 70))
def test_the_pieces_together_are_the_file(data: bytes, chunk: int) -> None:
    found = [(start, bytes(piece)) for start, piece in views(Slow(data), len(data), chunk)]
    assert b"".join(piece for _, piece in found) == data
    assert [start for start, _ in found] == list(range(0, len(data), chunk))
    assert read_exactly(Slow(data), len(data)) == data


def test_a_file_that_ends_too_early_is_malformed() -> None:
    with pytest.raises(MalformedError, match="became shorter"):
        read_exactly(io.BytesIO(b"abc"), 4)
    with pytest.raises(MalformedError, match="became shorter"):
        list(views(io.BytesIO(b"abc"), 4, 10))
