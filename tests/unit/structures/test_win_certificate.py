import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealwright.domain.errors import MalformedError, UnsupportedError
from sealwright.structures.win_certificate import MAX_TABLE, Certificate, Checksum, read_table, write_table


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8))
def test_what_was_written_is_read_again_with_its_padding(contents: list[bytes]) -> None:
    entries = [Certificate(data + bytes(-len(data) % 8)) for data in contents]
    table = write_table([Certificate(data) for data in contents])
    assert len(table) % 8 == 0
    assert read_table(table) == entries
    assert read_table(table + bytes(16)) == entries


def test_an_entry_whose_length_leaves_its_padding_out_is_read() -> None:
    table = struct.pack("<IHH", 13, 0x0200, 2) + b"first\0\0\0" + struct.pack("<IHH", 14, 0x0100, 1) + b"second"
    assert read_table(table) == [Certificate(b"first"), Certificate(b"second", 1, 0x0100)]


@pytest.mark.parametrize(
    "table",
    [
        b"\x01",
        struct.pack("<IHH", 8, 0x0200, 2),
        struct.pack("<IHH", 100, 0x0200, 2) + bytes(8),
        struct.pack("<IHH", 16, 0x0300, 2) + bytes(8),
        (struct.pack("<IHH", 16, 0x0200, 2) + b"contents") * 17,
    ],
    ids=["cut off", "empty", "too long", "unknown revision", "too many"],
)
def test_a_damaged_table_is_malformed(table: bytes) -> None:
    with pytest.raises(MalformedError):
        read_table(table)


def test_a_table_that_would_be_too_large_is_refused() -> None:
    with pytest.raises(UnsupportedError):
        write_table([Certificate(bytes(MAX_TABLE))])


@given(st.lists(st.binary(max_size=40).map(lambda data: data + bytes(len(data) % 2)), max_size=6))
def test_the_checksum_is_the_sum_with_carry_of_all_words(pieces: list[bytes]) -> None:
    checksum = Checksum()
    for piece in pieces:
        checksum.update(piece)
    whole = b"".join(pieces)
    total = 0
    for (word,) in struct.iter_unpack("<H", whole):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    assert checksum.value(len(whole)) == total + len(whole)


@pytest.mark.parametrize("size", [0, 2, 16_384, 16_386, 100_000])
def test_the_checksum_of_ones_never_returns_to_zero(size: int) -> None:
    checksum = Checksum()
    checksum.update(b"\xff" * size)
    assert checksum.value(0) == (0xFFFF if size else 0)
