import struct

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from hypothesis import given
from hypothesis import strategies as st

from sealwright.structures.word_sum import MODULUS, BlockSum, IntegerSum, word_sum

EXTREMES = st.sampled_from([b"\0", b"\xff", b"\xff\0", b"\xff" * 8 + b"\0" * 8, b"\0" * 15 + b"\xff", b"\xff\xfe" * 8])
PIECES = st.lists(st.binary(max_size=70) | st.builds(bytes.__mul__, EXTREMES, st.integers(0, 60)), max_size=6)


def reference(data: bytes) -> int:
    words: tuple[int, ...] = struct.unpack(f"<{-(-len(data) // 2)}H", data + bytes(len(data) % 2))
    return sum(words) % MODULUS


@pytest.mark.parametrize("kind", [BlockSum, IntegerSum])
@given(pieces=PIECES)
def test_the_sum_is_that_of_all_words_however_the_stream_is_cut(
    kind: type[BlockSum | IntegerSum], pieces: list[bytes]
) -> None:
    total = kind()
    for piece in pieces:
        total.update(memoryview(piece))
    assert total.value() == reference(b"".join(pieces))


@pytest.mark.parametrize("kind", [BlockSum, IntegerSum])
@pytest.mark.parametrize("byte", [b"\xff", b"\xfe", b"\x01", b"\0"])
@pytest.mark.parametrize("size", [16, 17, 65_535, 65_536, 1_000_003])
def test_carries_are_not_lost_in_long_streams(kind: type[BlockSum | IntegerSum], byte: bytes, size: int) -> None:
    total = kind()
    total.update(byte * size)
    assert total.value() == reference(byte * size)


def test_where_openssl_has_no_poly1305_integers_do_it() -> None:
    def refused() -> BlockSum:
        raise UnsupportedAlgorithm("not in FIPS mode")

    assert isinstance(word_sum(), BlockSum)
    assert isinstance(word_sum(refused), IntegerSum)
