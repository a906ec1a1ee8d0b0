"""The one door to the ASN.1 codec (docs/decisions/0003), and what it cannot express.

`cryptography.hazmat.asn1` encodes typed structures; its interface may still change, so the version is pinned
and nothing but this module imports it. Raw slices are wrapped by `tlv` without being decoded.
"""

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
    "decode",
    "encode",
    "explicit",
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
    size = len(contents)
    if size < 0x80:  # noqa: PLR2004 - X.690 8.1.3.4: the short form, written here because most elements have it
        return bytes((tag, size)) + contents
    return bytes((tag,)) + encode_length(size) + contents


def sequence_of(*parts: bytes) -> bytes:
    """Wrap encoded elements in a SEQUENCE."""
    return tlv(SEQUENCE, *parts)


def set_of(*parts: bytes) -> bytes:
    """Wrap encoded elements in a SET OF, in DER's order (X.690, section 11.6)."""
    return tlv(SET, *sorted(parts))


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
