"""The one door to the ASN.1 codec (docs/decisions/0003), and what it cannot express.

`cryptography.hazmat.asn1` encodes typed structures; its interface may still change, so the version is pinned
and nothing but this module imports it. Raw slices are wrapped by `tlv` without being decoded.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeVar, cast

from cryptography.hazmat.asn1 import (
    TLV,
    BitString,
    Default,
    Explicit,
    GeneralizedTime,
    IA5String,
    Implicit,
    Null,
    SetOf,
    decode_der,
    encode_der,
    sequence,
)
from cryptography.x509 import ObjectIdentifier

from sealwright.domain.errors import MalformedError
from sealwright.structures.ber import (
    NULL,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    SET,
    encode_length,
)

__all__ = [
    "TLV",
    "BitString",
    "Default",
    "Explicit",
    "GeneralizedTime",
    "IA5String",
    "Implicit",
    "Null",
    "ObjectIdentifier",
    "SetOf",
    "SetTemplate",
    "decode",
    "encode",
    "explicit",
    "header",
    "null",
    "octet_string",
    "oid",
    "sequence",
    "sequence_of",
    "set_of",
    "tlv",
]

_T = TypeVar("_T")


def encode(value: object) -> bytes:
    """Return the DER of a value whose class was declared with `sequence`."""
    return encode_der(value)


def decode(cls: type[_T], data: bytes) -> _T:
    """Decode strict DER as a declared class, or raise MalformedError."""
    try:
        return cast("_T", decode_der(cast("type[Any]", cls), data))
    except ValueError as error:
        raise MalformedError(f"this is no DER of {cls.__name__}: {error}") from None


def tlv(tag: int, *parts: bytes) -> bytes:
    """Return identifier octet, length and the parts joined."""
    contents = b"".join(parts)
    return header(tag, len(contents)) + contents


def header(tag: int, size: int) -> bytes:
    """Return identifier octet and length of an element whose contents have so many bytes."""
    if size < 0x80:  # noqa: PLR2004 - X.690 8.1.3.4: the short form, written here because most elements have it
        return bytes((tag, size))
    return bytes((tag,)) + encode_length(size)


def sequence_of(*parts: bytes) -> bytes:
    """Wrap encoded elements in a SEQUENCE."""
    return tlv(SEQUENCE, *parts)


def set_of(*parts: bytes) -> bytes:
    """Wrap encoded elements in a SET OF, in DER's order (X.690, section 11.6)."""
    return tlv(SET, *sorted(parts))


class SetTemplate:
    """A SET OF elements of which some end in octets that change: what stays and its order are settled once.

    A part is an encoded element without its last octets, and how many those are. The parts must differ before
    their ends, so that these decide nothing about DER's order (X.690, section 11.6).
    """

    __slots__ = ("_pieces", "_places")

    def __init__(self, parts: Sequence[tuple[bytes, int]]) -> None:
        size = sum(len(octets) + left for octets, left in parts)
        changing = [octets for octets, left in parts if left]
        pieces = [header(SET, size)]
        places: list[int] = []
        for octets, left in sorted(parts):
            pieces[-1] += octets
            if left:
                places.append(changing.index(octets))
                pieces.append(b"")
        self._pieces = pieces
        self._places = places

    def fill(self, *ends: bytes) -> bytes:
        """Return the set with these ends, in the order of the parts; the caller has checked their lengths."""
        filled = [self._pieces[0]]
        for place, piece in zip(self._places, self._pieces[1:], strict=True):
            filled += (ends[place], piece)
        return b"".join(filled)


def explicit(number: int, *parts: bytes) -> bytes:
    """Wrap encoded elements in the context tag [number], constructed."""
    return tlv(0xA0 | number, *parts)


def octet_string(octets: bytes) -> bytes:
    """Return an OCTET STRING."""
    return tlv(OCTET_STRING, octets)


def null() -> bytes:
    """Return NULL."""
    return bytes((NULL, 0))


@lru_cache(maxsize=256)
def oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER from dotted text; arcs of any size (2.25.UUID) are allowed."""
    arcs = [int(arc) for arc in dotted.split(".")]
    out = bytearray()
    for arc in (arcs[0] * 40 + arcs[1], *arcs[2:]):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        out += bytes(reversed(groups))
    return tlv(OBJECT_IDENTIFIER, bytes(out))
