"""CMS SignedData (RFC 5652, section 5; PKCS #7 1.5 for Authenticode): built with one signer, read strictly.

Built: a `SignerTemplate` prepares once what is the same in every signature of one certificate. Read: raw
slices of what was signed are kept, so that a verifier hashes the very bytes that the signer hashed.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import new as new_hash

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.utils import CryptographyDeprecationWarning

from sealwright.domain import oids
from sealwright.domain.errors import MalformedError, UnsupportedError, WeakDigestError
from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm
from sealwright.structures import ber
from sealwright.structures.asn1 import SetTemplate, header, null, octet_string, oid, sequence_of, set_of, tlv

DIGEST_OIDS: Mapping[DigestAlgorithm, str] = {
    DigestAlgorithm.SHA256: oids.SHA256,
    DigestAlgorithm.SHA384: oids.SHA384,
    DigestAlgorithm.SHA512: oids.SHA512,
}
DIGESTS_BY_OID: Mapping[str, DigestAlgorithm] = {value: key for key, value in DIGEST_OIDS.items()}
_ECDSA_OIDS = {
    DigestAlgorithm.SHA256: oids.ECDSA_WITH_SHA256,
    DigestAlgorithm.SHA384: oids.ECDSA_WITH_SHA384,
    DigestAlgorithm.SHA512: oids.ECDSA_WITH_SHA512,
}
_UNSIGNED = 0xA1  # [1] IMPLICIT UnsignedAttributes
_MAX_SIGNERS = 16
_MAX_CERTIFICATES = 64
_MAX_ATTRIBUTES = 64
# What `cryptography` raises of a certificate beside ValueError, and TypeError for a name of the wrong string type.
_UNREADABLE = (x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType, UnsupportedAlgorithm)

Attributes = Mapping[str, tuple[bytes, ...]]


def digest_algorithm_der(digest: DigestAlgorithm) -> bytes:
    """Return the AlgorithmIdentifier of a digest, with NULL parameters as PKCS #7 readers expect."""
    return sequence_of(oid(DIGEST_OIDS[digest]), null())


def attribute(identifier: str, *values: bytes) -> bytes:
    """Return one Attribute with its encoded values."""
    return sequence_of(oid(identifier), set_of(*values))


class SignerTemplate:
    """The constant parts of SignedData by one certificate: made once, used for every signature.

    `chain` is DER, the signer's own certificate first; `version` is 1 for PKCS #7 and Authenticode content,
    3 for CMS content types other than id-data (RFC 5652, section 5.1).
    """

    __slots__ = (
        "_content_type",
        "_digest_head",
        "_frame",
        "_head",
        "_middle",
        "_signature_algorithm",
        "_signer_head",
        "digest",
    )

    def __init__(
        self,
        chain: Sequence[bytes],
        digest: DigestAlgorithm,
        key: KeyAlgorithm,
        content_type: str,
        *,
        version: int,
        embed: bool = True,
    ) -> None:
        leaf = x509.load_der_x509_certificate(chain[0])
        self._frame = lru_cache(64)(self._make_frame)  # an ECDSA signature's length differs, the rest hardly
        self.digest = digest
        digest_der = digest_algorithm_der(digest)
        identifier = sequence_of(leaf.issuer.public_bytes(), integer(leaf.serial_number))
        self._content_type = attribute(oids.CONTENT_TYPE, oid(content_type))
        # The digest stands last, and always has the same length.
        self._digest_head = attribute(oids.MESSAGE_DIGEST, octet_string(bytes(digest.size)))[: -digest.size]
        self._head = integer(version) + set_of(digest_der)
        self._middle = tlv(0xA0, *sorted(chain)) if embed else b""
        self._signer_head = integer(1) + identifier + digest_der
        self._signature_algorithm = (
            sequence_of(oid(oids.RSA_ENCRYPTION), null()) if key.is_rsa else sequence_of(oid(_ECDSA_OIDS[digest]))
        )

    def signed_attributes(self, content_digest: bytes, *others: bytes) -> bytes:
        """Return the signed attributes as the SET OF that is hashed and signed (RFC 5652, section 5.4).

        Raises DigestLengthError if the content's digest is not by the template's algorithm.
        """
        return set_of(self._content_type, self._digest_head + self.digest.check(content_digest), *others)

    def attributes_template(self, *others: tuple[bytes, int]) -> SetTemplate:
        """Return the signed attributes as a template: filled with the content's digest, then with the others' ends."""
        return SetTemplate([(self._content_type, 0), (self._digest_head, self.digest.size), *others])

    def assemble(self, encapsulated: bytes, signed: bytes, signature: bytes, unsigned: Sequence[bytes] = ()) -> bytes:
        """Return the ContentInfo around the encapsulated content (DER), the signed attributes and signature."""
        more = tlv(_UNSIGNED, *sorted(unsigned)) if unsigned else b""
        head, middle, end = self._frame(len(encapsulated), len(signed), len(signature), len(more))
        return b"".join((head, encapsulated, middle, signed[1:], end, signature, more))

    def _make_frame(self, encapsulated: int, signed: int, signature: int, unsigned: int) -> tuple[bytes, bytes, bytes]:
        """Return what stands before the content, the signed attributes and the signature, for parts of these sizes."""
        end = self._signature_algorithm + header(ber.OCTET_STRING, signature)
        rest = len(self._signer_head) + signed + len(end) + signature + unsigned
        signer = header(ber.SEQUENCE, rest)
        before = self._middle + header(ber.SET, len(signer) + rest) + signer
        data = header(ber.SEQUENCE, size := len(self._head) + encapsulated + len(before) + rest)
        outer = oid(oids.SIGNED_DATA) + header(0xA0, len(data) + size) + data
        head = header(ber.SEQUENCE, len(outer) + size) + outer + self._head
        middle = before + self._signer_head + b"\xa0"  # instead of the signed attributes' first octet, SET OF
        return head, middle, end


def integer(value: int) -> bytes:
    """Return a non-negative INTEGER."""
    return tlv(ber.INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


@dataclass(frozen=True, slots=True)
class SignerInfo:
    """One signer of SignedData, with the raw slices that verification needs."""

    element: ber.Element
    issuer: bytes
    serial: int
    digest_oid: str
    signed_raw: bytes | None
    signed: Attributes
    signature_oid: str
    signature: bytes
    unsigned: Attributes

    @property
    def digest(self) -> DigestAlgorithm:
        """The digest algorithm, or WeakDigestError for one that is not allowed."""
        try:
            return DIGESTS_BY_OID[self.digest_oid]
        except KeyError:
            raise WeakDigestError(f"the signature uses the digest {self.digest_oid}") from None

    def one(self, attributes: Attributes, identifier: str) -> bytes | None:
        """Return the single value of an attribute, None if absent; MalformedError if there are several."""
        values = attributes.get(identifier, ())
        if len(values) > 1:
            raise MalformedError(f"attribute {identifier} must have one value")
        return values[0] if values else None

    def signed_bytes(self) -> bytes:
        """Return the bytes under the signature: the signed attributes with the SET OF tag."""
        if self.signed_raw is None:
            raise UnsupportedError("the signature has no signed attributes")
        return b"\x31" + self.signed_raw[1:]


@dataclass(frozen=True, slots=True)
class SignedData:
    """SignedData as read: `content` is the element inside the encapsulated content's [0], None if detached."""

    content_type: str
    content: ber.Element | None
    certificates: tuple[bytes, ...]
    signers: tuple[SignerInfo, ...]
    raw: bytes

    def certificate_of(self, signer: SignerInfo) -> x509.Certificate:
        """Find the signer's certificate among those embedded, or raise MalformedError."""
        for der in self.certificates:
            certificate = load_certificate(der)
            if certificate.serial_number == signer.serial and certificate.issuer.public_bytes() == signer.issuer:
                return certificate
        raise MalformedError("the signer's certificate is not embedded in the signature")


def load_certificate(der: bytes) -> x509.Certificate:
    """Read a certificate, or raise MalformedError."""
    fields = ber.read(der).sequence().take().sequence()
    fields.maybe(0xA0)
    # RFC 5280, section 4.1.2.2. `cryptography` only warns, and a warning is no answer to a hostile file.
    if fields.take().integer() <= 0:
        raise MalformedError("an embedded certificate's serial number is not positive")
    try:
        with warnings.catch_warnings():
            # The same of serial numbers inside extensions, which say nothing that we rely on.
            warnings.filterwarnings("ignore", "Parsed a serial number", CryptographyDeprecationWarning)
            certificate = x509.load_der_x509_certificate(der)
            # Parsing is lazy; touch what others will read, so that every error is raised here.
            _ = certificate.extensions, certificate.subject, certificate.issuer, certificate.serial_number
    except (*_UNREADABLE, ValueError, TypeError) as error:
        raise MalformedError(f"an embedded certificate cannot be read: {error}") from None
    return certificate


def read_signed_data(data: bytes) -> SignedData:
    """Read a ContentInfo with SignedData, BER or DER, zero padding allowed behind it; or raise MalformedError."""
    root = ber.read(data, trailing=True)
    outer = root.sequence()
    if outer.take().oid() != oids.SIGNED_DATA:
        raise MalformedError("this is no CMS SignedData")
    body = outer.take(0xA0).only_child().sequence()
    body.take(ber.INTEGER)
    body.take(ber.SET)
    content_type, content = _encapsulated(body.take(ber.SEQUENCE))
    certificates = body.maybe(0xA0)
    body.maybe(0xA1)
    signers = list(body.take(ber.SET).children())
    if not 0 < len(signers) <= _MAX_SIGNERS:
        raise MalformedError("SignedData has no signer, or too many")
    ders = tuple(c.raw for c in certificates.children() if c.tag == ber.SEQUENCE) if certificates else ()
    if len(ders) > _MAX_CERTIFICATES:
        raise MalformedError("SignedData carries too many certificates")
    return SignedData(content_type, content, ders, tuple(_signer(s) for s in signers), root.raw)


def _encapsulated(element: ber.Element) -> tuple[str, ber.Element | None]:
    cursor = element.sequence()
    content_type = cursor.take().oid()
    wrapped = cursor.maybe(0xA0)
    return content_type, wrapped.only_child() if wrapped else None


def _signer(element: ber.Element) -> SignerInfo:
    cursor = element.sequence()
    cursor.take(ber.INTEGER)
    identifier = cursor.take()
    if identifier.tag != ber.SEQUENCE:
        raise UnsupportedError("signers named by subject key identifier are not used in code signing")
    name = identifier.sequence()
    issuer, serial = name.take(ber.SEQUENCE).raw, name.take().integer()
    digest_oid = cursor.take().sequence().take().oid()
    signed = cursor.maybe(0xA0)
    signature_oid = cursor.take().sequence().take().oid()
    signature = cursor.take().octets()
    unsigned = cursor.maybe(0xA1)
    return SignerInfo(
        element,
        issuer,
        serial,
        digest_oid,
        signed.raw if signed else None,
        read_attributes(signed),
        signature_oid,
        signature,
        read_attributes(unsigned),
    )


def read_attributes(element: ber.Element | None) -> Attributes:
    """Read a SET OF Attribute into identifier -> encoded values; a repeated identifier is malformed."""
    found: dict[str, tuple[bytes, ...]] = {}
    if element is None:
        return found
    for child in element.children():
        cursor = child.sequence()
        identifier = cursor.take().oid()
        if identifier in found or len(found) == _MAX_ATTRIBUTES:
            raise MalformedError(f"attribute {identifier} stands twice, or there are too many")
        found[identifier] = tuple(value.raw for value in cursor.take(ber.SET).children())
    return found


def with_unsigned(data: bytes, identifier: str, value: bytes) -> bytes:
    """Return the SignedData with one more value in the first signer's unsigned attribute.

    All other bytes are kept as they are; only the lengths around the signer are written anew.
    """
    signed_data = read_signed_data(data)
    signer = signed_data.signers[0]
    merged = {key: list(values) for key, values in signer.unsigned.items()}
    merged.setdefault(identifier, []).append(value)
    fields = [field for field in signer.element.children() if field.tag != _UNSIGNED]
    unsigned = tlv(_UNSIGNED, *sorted(attribute(key, *values) for key, values in merged.items()))
    replaced = sequence_of(*(field.raw for field in fields), unsigned)
    return _replace(ber.read(signed_data.raw), signer.element, replaced)


def _replace(element: ber.Element, old: ber.Element, new: bytes) -> bytes:
    """Return the element's encoding with one descendant replaced and the lengths on its path rewritten."""
    if (element.start, element.end) == (old.start, old.end):
        return new
    if element.start <= old.start and old.end <= element.end:
        return tlv(element.tag, *(_replace(child, old, new) for child in element.children()))
    return element.raw


def content_digest(content: ber.Element, digest: DigestAlgorithm) -> bytes:
    """Hash the content's value without its tag and length (RFC 5652, section 5.4; Authenticode the same)."""
    return new_hash(digest.value, content.contents).digest()
