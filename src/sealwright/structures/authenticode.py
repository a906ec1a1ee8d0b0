"""The Spc* structures of Authenticode, shared by the Windows formats.

Source: Microsoft, "Windows Authenticode Portable Executable Signature Format" (2008) and [MS-OSHARED] 2.3.2.4.
Built with the declarative codec where it can express them; BMPString and implicit raw values by `tlv`.
"""

from dataclasses import dataclass
from hashlib import new as new_hash
from typing import TYPE_CHECKING

from sealwright.domain import oids
from sealwright.domain.errors import MalformedError, WeakDigestError
from sealwright.structures import asn1, ber, cms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealwright.domain.keys import DigestAlgorithm

_TAG_0, _TAG_1 = 0x80, 0x81  # IMPLICIT, primitive
_EXPLICIT_0, _EXPLICIT_1 = 0xA0, 0xA1
_OBSOLETE = "<<<Obsolete>>>"  # the text that Microsoft's document prescribes for SpcPeImageData.file
_MAX_NESTED = 16


@asn1.sequence
class SpcPeImageData:
    """What kind of thing was hashed; `file` is `[0] EXPLICIT SpcLink`."""

    flags: asn1.BitString
    file: asn1.TLV


@asn1.sequence
class SpcAttributeTypeAndOptionalValue:
    """The type of the hashed object and its description."""

    type: asn1.ObjectIdentifier
    value: SpcPeImageData


@asn1.sequence
class AlgorithmIdentifier:
    """A digest algorithm, with the NULL parameters that Windows writes."""

    algorithm: asn1.ObjectIdentifier
    parameters: asn1.Null


@asn1.sequence
class DigestInfo:
    """A digest and its algorithm (PKCS #7, section 9.4)."""

    algorithm: AlgorithmIdentifier
    digest: bytes


@asn1.sequence
class SpcIndirectDataContent:
    """The content that an Authenticode signature of a PE file signs: the digest of a file, not the file."""

    data: SpcAttributeTypeAndOptionalValue
    message_digest: DigestInfo


@dataclass(frozen=True, slots=True)
class IndirectData:
    """SpcIndirectDataContent as read: the type of its object and the file's digest."""

    object_type: str
    algorithm: "DigestAlgorithm"
    digest: bytes


@dataclass(frozen=True, slots=True)
class OpusInfo:
    """SpcSpOpusInfo as read: the publisher's name of the program and an address to learn more; None if absent."""

    program_name: str | None
    program_url: str | None


class IndirectDataTemplate:
    """SpcIndirectDataContent of PE files for one digest algorithm: all but the digest is prepared once."""

    __slots__ = ("_algorithm", "_encapsulated", "_hashed")

    def __init__(self, algorithm: "DigestAlgorithm") -> None:
        content = asn1.encode(
            SpcIndirectDataContent(
                data=SpcAttributeTypeAndOptionalValue(
                    type=asn1.ObjectIdentifier(oids.SPC_PE_IMAGE_DATA),
                    value=SpcPeImageData(
                        flags=asn1.BitString(b"", 0),
                        file=asn1.decode(asn1.TLV, asn1.explicit(0, asn1.explicit(2, _string(_OBSOLETE)))),
                    ),
                ),
                message_digest=DigestInfo(
                    algorithm=AlgorithmIdentifier(
                        algorithm=asn1.ObjectIdentifier(cms.DIGEST_OIDS[algorithm]), parameters=asn1.Null()
                    ),
                    digest=bytes(algorithm.size),
                ),
            )
        )
        element = ber.read(content)
        self._algorithm = algorithm
        # The digest stands last, so that one prefix serves every file.
        self._hashed = new_hash(algorithm.value, content[element.body : -algorithm.size])
        encapsulated = asn1.sequence_of(asn1.oid(oids.SPC_INDIRECT_DATA), asn1.explicit(0, content))
        self._encapsulated = encapsulated[: -algorithm.size]

    def content_digest(self, digest: bytes) -> bytes:
        """Hash the content's value, as messageDigest wants it. Raises DigestLengthError."""
        hashed = self._hashed.copy()
        hashed.update(self._algorithm.check(digest))
        return hashed.digest()

    def encapsulated(self, digest: bytes) -> bytes:
        """Return the ContentInfo inside SignedData. Raises DigestLengthError."""
        return self._encapsulated + self._algorithm.check(digest)


def opus_info(program_name: str = "", program_url: str = "") -> bytes:
    """Return SpcSpOpusInfo; an empty text leaves its field out.

    The caller has checked that the name is of the Basic Multilingual Plane and the address is ASCII.
    """
    name = asn1.explicit(0, _string(program_name)) if program_name else b""
    more = asn1.explicit(1, asn1.tlv(_TAG_0, program_url.encode("ascii"))) if program_url else b""
    return asn1.sequence_of(name, more)


def statement_type() -> bytes:
    """Return SpcStatementType with the one purpose in use, individual code signing."""
    return asn1.sequence_of(asn1.oid(oids.SPC_INDIVIDUAL))


def read_indirect_data(content: ber.Element) -> IndirectData:
    """Read the content of an Authenticode SignedData. Raises MalformedError, or WeakDigestError for SHA-1 and MD5."""
    cursor = content.sequence()
    object_type = cursor.take(ber.SEQUENCE).sequence().take().oid()
    digest_info = cursor.take(ber.SEQUENCE).sequence()
    identifier = digest_info.take(ber.SEQUENCE).sequence().take().oid()
    digest = digest_info.take().octets()
    algorithm = cms.DIGESTS_BY_OID.get(identifier)
    if algorithm is None:
        raise WeakDigestError(f"the signature covers a digest of algorithm {identifier}")
    if len(digest) != algorithm.size:
        raise MalformedError("the digest in the signature has another length than its algorithm's")
    return IndirectData(object_type, algorithm, digest)


def read_opus_info(der: bytes) -> OpusInfo:
    """Read SpcSpOpusInfo; a link of another kind than an address is ignored. Raises MalformedError."""
    cursor = ber.read(der).sequence()
    name = cursor.maybe(_EXPLICIT_0)
    more = cursor.maybe(_EXPLICIT_1)
    url: str | None = None
    if more is not None:
        link = more.only_child()
        url = _decoded(link.contents, "ascii") if link.tag == _TAG_0 else None
    return OpusInfo(None if name is None else _read_string(name.only_child()), url)


def nested_signatures(data: bytes) -> "Sequence[bytes]":
    """Return the signatures nested in the first signer of an Authenticode signature. Raises MalformedError."""
    found = cms.read_signed_data(data).signers[0].unsigned.get(oids.SPC_NESTED_SIGNATURE, ())
    if len(found) > _MAX_NESTED:
        raise MalformedError(f"more than {_MAX_NESTED} signatures are nested in another")
    return found


def nest(outer: bytes, inner: bytes) -> bytes:
    """Return the outer signature with the inner one added to its first signer's nested signatures."""
    return cms.with_unsigned(outer, oids.SPC_NESTED_SIGNATURE, check_signature(inner))


def check_signature(data: bytes) -> bytes:
    """Return the Authenticode signature without what follows it; MalformedError if it is none."""
    signed = cms.read_signed_data(data)
    if signed.content_type != oids.SPC_INDIRECT_DATA or signed.content is None:
        raise MalformedError("this is no Authenticode signature: it signs another kind of content")
    return signed.raw


def _string(text: str) -> bytes:
    """Return SpcString as `[0] IMPLICIT BMPString`."""
    return asn1.tlv(_TAG_0, text.encode("utf-16-be"))


def _read_string(element: ber.Element) -> str:
    if element.tag == _TAG_1:
        return _decoded(element.contents, "ascii")
    return _decoded(element.octets(_TAG_0), "utf-16-be")


def _decoded(octets: bytes, encoding: str) -> str:
    try:
        return octets.decode(encoding)
    except UnicodeDecodeError:
        raise MalformedError("a text in SpcSpOpusInfo is not in the encoding that it claims") from None
