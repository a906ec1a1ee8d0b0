from contextlib import suppress
from datetime import UTC, datetime

import pytest
from asn1crypto import core
from hypothesis import example, given
from hypothesis import strategies as st

from sealwright.domain.errors import MalformedError
from sealwright.structures import ber
from sealwright.structures.asn1 import tlv

arcs = st.tuples(st.integers(0, 2), st.integers(0, 39), st.lists(st.integers(0, 2**130), max_size=4))


@given(arcs)
@example((2, 999, [3]))
def test_object_identifiers_of_any_size_are_read_as_asn1crypto_writes_them(parts: tuple[int, int, list[int]]) -> None:
    first, second, rest = parts
    text = ".".join(map(str, (first, second, *rest)))
    encoded = core.ObjectIdentifier(text).dump()
    if len(encoded) > 66:
        with pytest.raises(MalformedError):
            ber.read(encoded).oid()
    else:
        assert ber.read(encoded).oid() == text


@given(st.integers(-(2**600), 2**600))
def test_integers_are_read_with_their_sign(value: int) -> None:
    assert ber.read(core.Integer(value).dump()).integer() == value


@given(st.integers(0, 2**32 - 1))
def test_lengths_are_written_as_der_wants_them(length: int) -> None:
    written = ber.encode_length(length)
    if length < 128:
        assert written == bytes([length])
    else:
        assert written[0] == 0x80 + len(written) - 1
        assert written[1] != 0
        assert int.from_bytes(written[1:], "big") == length


@pytest.mark.parametrize(
    ("tag", "text", "moment"),
    [
        (ber.UTC_TIME, b"491231235959Z", datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (ber.UTC_TIME, b"500101000000Z", datetime(1950, 1, 1, tzinfo=UTC)),
        (ber.UTC_TIME, b"680229000000Z", datetime(1968, 2, 29, tzinfo=UTC)),
        (ber.UTC_TIME, b"990101000000Z", datetime(1999, 1, 1, tzinfo=UTC)),
        (ber.GENERALIZED_TIME, b"20500101000000Z", datetime(2050, 1, 1, tzinfo=UTC)),
        (ber.GENERALIZED_TIME, b"20261123190955.25Z", datetime(2026, 11, 23, 19, 9, 55, 250_000, tzinfo=UTC)),
    ],
)
def test_times_are_read_in_utc(tag: int, text: bytes, moment: datetime) -> None:
    assert ber.read(tlv(tag, text)).time() == moment


@pytest.mark.parametrize("text", [b"", b"20261123190955", b"20261323190955Z", b"2026112319095\xffZ"])
def test_a_time_in_another_form_is_malformed(text: bytes) -> None:
    with pytest.raises(MalformedError):
        ber.read(tlv(ber.GENERALIZED_TIME, text)).time()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30",
        b"\x30\x01",
        b"\x30\x81",
        b"\x30\x85\0\0\0\0\0",
        b"\x1f\x01\x00",
        b"\x04\x00\x00",
        b"\x30\x80\x04\x01",
        b"\x30\x80\x04\x01x",
        b"\x30\x80\x04\x80\0\0\0\0",
        b"\x24\x80\x02\x01x\0\0",
        b"\x30\x80" * 40,
        b"\x30\x80" + b"\x05\0" * 100_001 + b"\0\0",
    ],
    ids=range(13),
)
def test_what_breaks_the_rules_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        _walk(ber.read(data))


def test_indefinite_lengths_are_made_definite_and_strings_joined() -> None:
    data = b"\x30\x80\x24\x80\x04\x02ab\x04\x01c\0\0\x02\x01\x05\0\0"
    cursor = ber.read(data).sequence()
    assert cursor.take().octets() == b"abc"
    assert cursor.take().integer() == 5
    assert ber.read(data).raw == b"\x30\x08\x04\x03abc\x02\x01\x05"


def test_definite_elements_inside_an_indefinite_one_are_kept() -> None:
    data = b"\x30\x80\x30\x03\x04\x01x\0\0"
    assert ber.read(data).raw == b"\x30\x05\x30\x03\x04\x01x"


def test_an_indefinite_length_is_found_behind_object_identifiers() -> None:
    data = b"\x30\x07\x06\x01\x2a\xa0\x80\0\0"
    assert ber.read(data).raw == b"\x30\x05\x06\x01\x2a\xa0\x00"


@pytest.mark.parametrize("data", [b"\x30\x02\x06", b"\x30\x01\x06", b"\x30\x03\x06\x05\x01"])
def test_the_look_for_indefinite_lengths_leaves_errors_to_the_reader(data: bytes) -> None:
    with pytest.raises(MalformedError):
        _walk(ber.read(data))


def test_octets_may_follow_only_if_the_caller_says_so() -> None:
    with pytest.raises(MalformedError, match="follow"):
        ber.read(b"\x05\0\0\0")
    assert ber.read(b"\x05\0\0\0", trailing=True).raw == b"\x05\0"


def test_a_cursor_takes_fields_in_order_and_optional_ones_by_tag() -> None:
    cursor = ber.read(tlv(0x30, b"\x05\0", b"\x80\x01x", b"\x02\x01\x07", b"\x02\x01\x08")).sequence()
    assert cursor.maybe(0x81) is None
    cursor.take(ber.NULL)
    optional = cursor.maybe(0x80)
    assert optional is not None
    assert optional.contents == b"x"
    assert [element.integer() for element in cursor.rest()] == [7, 8]
    assert cursor.maybe(ber.INTEGER) is None
    with pytest.raises(MalformedError, match="missing"):
        cursor.take()


def test_a_value_of_another_type_is_malformed() -> None:
    null = ber.read(b"\x05\0")
    for reading in (null.oid, null.integer, null.octets, null.sequence, null.time, null.only_child):
        with pytest.raises(MalformedError):
            reading()
    with pytest.raises(MalformedError):
        ber.read(b"\x30\x04\x05\0\x05\0").only_child()
    with pytest.raises(MalformedError):
        ber.read(b"\x02\0").integer()
    for octets in (b"\x06\0", b"\x06\x01\x80"):
        with pytest.raises(MalformedError):
            ber.read(octets).oid()


@given(data=st.binary(max_size=200), trailing=st.booleans())
def test_noise_raises_nothing_but_our_error(data: bytes, *, trailing: bool) -> None:
    with suppress(MalformedError):
        _walk(ber.read(data, trailing=trailing))


def _walk(element: ber.Element) -> None:
    if element.tag & 0x20:
        for child in element.children():
            _walk(child)
