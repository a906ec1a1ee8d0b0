from contextlib import suppress

import pytest
from asn1crypto import core
from hypothesis import given
from hypothesis import strategies as st

from sealwright.domain.errors import MalformedError
from sealwright.domain.oids import ID_SW
from sealwright.structures import asn1


@asn1.sequence
class Pair:
    """A declared structure."""

    number: int
    text: bytes


def test_a_declared_structure_is_encoded_and_decoded() -> None:
    encoded = asn1.encode(Pair(number=5, text=b"ab"))
    assert encoded == b"\x30\x07\x02\x01\x05\x04\x02ab"
    decoded = asn1.decode(Pair, encoded)
    assert (decoded.number, decoded.text) == (5, b"ab")


@given(st.binary(max_size=30))
def test_decoding_noise_raises_nothing_but_our_error(noise: bytes) -> None:
    with suppress(MalformedError):
        asn1.decode(Pair, noise)


def test_wrong_der_is_named_by_its_class() -> None:
    with pytest.raises(MalformedError, match="Pair"):
        asn1.decode(Pair, b"\x30\x00")


@pytest.mark.parametrize("dotted", ["1.2.840.113549.1.7.2", "2.5.29.15", "2.999.3", "0.9", ID_SW])
def test_object_identifiers_are_written_as_asn1crypto_writes_them(dotted: str) -> None:
    assert asn1.oid(dotted) == core.ObjectIdentifier(dotted).dump()


@given(st.lists(st.binary(min_size=1, max_size=5).map(asn1.octet_string), max_size=6))
def test_a_set_of_is_in_the_order_that_der_prescribes(parts: list[bytes]) -> None:
    whole = asn1.set_of(*sorted(parts, reverse=True))
    assert whole == asn1.set_of(*parts) == asn1.tlv(0x31, *sorted(parts))


def test_the_small_builders_write_their_tags() -> None:
    assert asn1.sequence_of(asn1.null(), asn1.octet_string(b"a")) == b"\x30\x05\x05\x00\x04\x01a"
    assert asn1.explicit(2, asn1.null()) == b"\xa2\x02\x05\x00"
    assert asn1.tlv(0x04, bytes(200))[:3] == b"\x04\x81\xc8"


@given(
    middles=st.lists(st.binary(max_size=300), min_size=1, max_size=5),
    ends=st.lists(st.binary(max_size=40), min_size=5, max_size=5),
)
def test_a_set_template_gives_what_set_of_gives(middles: list[bytes], ends: list[bytes]) -> None:
    whole = [
        asn1.sequence_of(asn1.oid(f"1.2.{i}"), asn1.octet_string(middle + end))
        for i, (middle, end) in enumerate(zip(middles, ends, strict=False))
    ]
    sizes = [len(end) for _, end in zip(whole, ends, strict=False)]
    template = asn1.SetTemplate(
        [(octets[: len(octets) - size], size) for octets, size in zip(whole, sizes, strict=True)]
    )
    assert template.fill(*(end for end in ends[: len(whole)] if end)) == asn1.set_of(*whole)
