"""Timestamp tokens (RFC 3161, section 2.4.2; RFC 5816): made by an authority, read and checked by others.

The messages that carry them are in `tsp_messages`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from sealwright.domain import oids
from sealwright.domain.errors import MalformedError, SealwrightError, VerificationError, WeakDigestError
from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm
from sealwright.structures import ber
from sealwright.structures.asn1 import explicit, octet_string, oid, sequence_of, tlv
from sealwright.structures.cms import (
    DIGESTS_BY_OID,
    SignedData,
    SignerInfo,
    SignerTemplate,
    attribute,
    content_digest,
    integer,
    read_signed_data,
)
from sealwright.structures.signatures import verify_signature
from sealwright.structures.tsp_messages import MAX_RESPONSE, TimestampRequest, signed_integer

SIGNING_CERTIFICATE: Final = "1.2.840.113549.1.9.16.2.12"  # RFC 2634: ESSCertID, by SHA-1

_CMS_VERSION = 3  # RFC 5652, section 5.1: the content is not id-data
_FIRST_YEAR_OF_GENERALIZED_TIME = 2050  # RFC 5652, section 11.3
_MICROSECONDS_MAX = 999


class TokenTemplate:
    """What is the same in every token of one authority: prepared once, used for every stamp.

    `chain` is DER, the authority's own certificate first, then those above it without the root; `digest`
    serves content and signature; `accuracy` stands in TSTInfo if the clock's deviation is known.
    """

    __slots__ = ("_accuracy", "_bare", "_content_type", "_full", "_signing_certificate", "digest")

    def __init__(
        self, chain: Sequence[bytes], digest: DigestAlgorithm, key: KeyAlgorithm, accuracy: timedelta | None = None
    ) -> None:
        self.digest = digest
        self._full = SignerTemplate(chain, digest, key, oids.TST_INFO, version=_CMS_VERSION)
        self._bare = SignerTemplate(chain, digest, key, oids.TST_INFO, version=_CMS_VERSION, embed=False)
        # ESSCertIDv2 with the default SHA-256 left out (RFC 5035, section 4).
        essential = sequence_of(octet_string(hashlib.sha256(chain[0]).digest()))
        self._signing_certificate = attribute(oids.SIGNING_CERTIFICATE_V2, sequence_of(sequence_of(essential)))
        self._accuracy = b"" if accuracy is None else _accuracy_der(accuracy)
        self._content_type = oid(oids.TST_INFO)

    def info(self, request: TimestampRequest, policy: str, serial: int, time: datetime) -> bytes:
        """Return TSTInfo in DER; `time` is in UTC and is cut to the second."""
        return sequence_of(
            b"\x02\x01\x01",
            oid(policy),
            request.message_imprint(),
            integer(serial),
            tlv(ber.GENERALIZED_TIME, _time_text(time)),
            self._accuracy,
            b"" if request.nonce is None else signed_integer(request.nonce),
        )

    def signed_attributes(self, info: bytes, time: datetime) -> bytes:
        """Return the signed attributes over TSTInfo: the very bytes that are hashed and signed."""
        text = _time_text(time)
        value = (
            tlv(ber.UTC_TIME, text[2:])
            if time.year < _FIRST_YEAR_OF_GENERALIZED_TIME
            else tlv(ber.GENERALIZED_TIME, text)
        )
        return self._full.signed_attributes(
            hashlib.new(self.digest.value, info).digest(),
            attribute(oids.SIGNING_TIME, value),
            self._signing_certificate,
        )

    def assemble(self, info: bytes, signed: bytes, signature: bytes, *, certificates: bool) -> bytes:
        """Return the token, with the authority's certificates if they were asked for (certReq)."""
        template = self._full if certificates else self._bare
        encapsulated = sequence_of(self._content_type, explicit(0, octet_string(info)))
        return template.assemble(encapsulated, signed, signature)


def _time_text(time: datetime) -> bytes:
    return b"%04d%02d%02d%02d%02d%02dZ" % (time.year, time.month, time.day, time.hour, time.minute, time.second)


def _accuracy_der(accuracy: timedelta) -> bytes:
    seconds = accuracy.days * 86_400 + accuracy.seconds
    millis, micros = divmod(accuracy.microseconds, 1000)
    return sequence_of(
        integer(seconds) if seconds else b"",
        _retag(0x80, millis) if millis else b"",
        _retag(0x81, micros) if micros else b"",
    )


def _retag(tag: int, value: int) -> bytes:
    return bytes((tag,)) + integer(value)[1:]


@dataclass(frozen=True, slots=True)
class TimestampToken:
    """A token as read: TSTInfo's fields, and the SignedData around them.

    `certificate` is the signer's if the token embeds it. Nothing is checked yet: `check_token` does that.
    """

    time: datetime
    policy: str
    algorithm: DigestAlgorithm
    imprint: bytes
    serial: int
    nonce: int | None
    accuracy: timedelta | None
    ordering: bool
    certificate: x509.Certificate | None
    signed_data: SignedData
    content: ber.Element

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """The embedded certificates, DER."""
        return self.signed_data.certificates

    @property
    def raw(self) -> bytes:
        """The token itself: ContentInfo with SignedData, as it is embedded in signatures."""
        return self.signed_data.raw

    @property
    def signer(self) -> SignerInfo:
        """The token's one signer."""
        return self.signed_data.signers[0]


def read_token(data: bytes) -> TimestampToken:
    """Read a token. Raises MalformedError, UnsupportedError; WeakDigestError for an imprint by SHA-1."""
    if len(data) > MAX_RESPONSE:
        raise MalformedError(f"the timestamp token is longer than {MAX_RESPONSE} bytes")
    signed_data = read_signed_data(data)
    content = signed_data.content
    if signed_data.content_type != oids.TST_INFO or content is None:
        raise MalformedError("the SignedData is no timestamp token: its content is not TSTInfo")
    if len(signed_data.signers) != 1:
        raise MalformedError("a timestamp token has exactly one signer (RFC 3161, section 2.4.2)")
    signer = signed_data.signers[0]
    certificate = signed_data.certificate_of(signer) if signed_data.certificates else None
    cursor = ber.read(content.octets()).sequence()
    if cursor.take().integer() != 1:
        raise MalformedError("TSTInfo is of another version than 1")
    policy = cursor.take().oid()
    algorithm, imprint = _imprint(cursor.take(ber.SEQUENCE))
    serial = cursor.take().integer()
    time = cursor.take(ber.GENERALIZED_TIME).time()
    accuracy = cursor.maybe(ber.SEQUENCE)
    ordering = cursor.maybe(ber.BOOLEAN)
    nonce = cursor.maybe(ber.INTEGER)
    return TimestampToken(
        time,
        policy,
        algorithm,
        imprint,
        serial,
        nonce.integer() if nonce else None,
        _accuracy(accuracy) if accuracy else None,
        ordering is not None and ordering.contents not in (b"", b"\0"),
        certificate,
        signed_data,
        content,
    )


def _imprint(element: ber.Element) -> tuple[DigestAlgorithm, bytes]:
    cursor = element.sequence()
    identifier = cursor.take(ber.SEQUENCE).sequence().take().oid()
    digest = cursor.take().octets()
    if identifier not in DIGESTS_BY_OID:
        raise WeakDigestError(f"the timestamp's imprint uses the digest {identifier}")
    return DIGESTS_BY_OID[identifier], digest


def _accuracy(element: ber.Element) -> timedelta:
    cursor = element.sequence()
    seconds, millis, micros = cursor.maybe(ber.INTEGER), cursor.maybe(0x80), cursor.maybe(0x81)
    parts = (
        seconds.integer() if seconds else 0,
        millis.integer(0x80) if millis else 0,
        micros.integer(0x81) if micros else 0,
    )
    limits = (10**9, _MICROSECONDS_MAX, _MICROSECONDS_MAX)
    if any(not 0 <= part <= limit for part, limit in zip(parts, limits, strict=True)):
        raise MalformedError("the timestamp's accuracy is out of range")
    return timedelta(seconds=parts[0], milliseconds=parts[1], microseconds=parts[2])


def check_token(
    token: TimestampToken,
    expected_digest: bytes,
    algorithm: DigestAlgorithm,
    nonce: int | None = None,
    certificate: x509.Certificate | None = None,
) -> x509.Certificate:
    """Check that a token stamps this digest and that its own certificate signed it; return that certificate.

    Checked: imprint, nonce if given, content type, message digest, the binding to the certificate
    (ESSCertIDv2, RFC 5816), extended key usage critical and timeStamping alone (RFC 3161, section 2.3), and
    the signature. `certificate` serves tokens that embed none. Whether the certificate leads to a trusted
    root and was valid then, is the verifier's question. Raises VerificationError.
    """
    if token.algorithm is not algorithm or token.imprint != expected_digest:
        raise VerificationError("the timestamp is for another digest")
    if nonce is not None and token.nonce != nonce:
        raise VerificationError("the timestamp does not repeat the nonce of the request")
    leaf = token.certificate or certificate
    if leaf is None:
        raise VerificationError("the timestamp carries no certificate", hint="ask for it with certReq")
    try:
        check_timestamping_usage(leaf)
        _check_signed_attributes(token)
        _check_binding(token.signer, leaf)
        verify_signature(
            _public_key(leaf),
            token.signer.signature_oid,
            token.signer.digest,
            token.signer.signature,
            token.signer.signed_bytes(),
        )
    except VerificationError:
        raise
    except SealwrightError as error:
        raise VerificationError(f"the timestamp cannot be checked: {error.detail}", hint=error.hint) from error
    return leaf


def check_timestamping_usage(certificate: x509.Certificate) -> None:
    """Check that the certificate serves timestamps and nothing else (RFC 3161, section 2.3; CSBR 7.1.2.3).

    Raises VerificationError.
    """
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        raise VerificationError("the timestamp authority's certificate has no extended key usage") from None
    if not usage.critical or [purpose.dotted_string for purpose in usage.value] != [oids.EKU_TIMESTAMPING]:
        raise VerificationError(
            "the timestamp authority's certificate must name timeStamping alone as its key usage, and critically"
        )


def _check_signed_attributes(token: TimestampToken) -> None:
    signer = token.signer
    content_type = signer.one(signer.signed, oids.CONTENT_TYPE)
    if content_type != oid(oids.TST_INFO):
        raise VerificationError("the timestamp's signed content type is not TSTInfo")
    digest = signer.one(signer.signed, oids.MESSAGE_DIGEST)
    if digest != octet_string(content_digest(token.content, signer.digest)):
        raise VerificationError("the timestamp's message digest does not match its content")


def _check_binding(signer: SignerInfo, certificate: x509.Certificate) -> None:
    """Check ESSCertIDv2, or the older ESSCertID where it is alone (RFC 5816, section 2.2.1)."""
    second = signer.one(signer.signed, oids.SIGNING_CERTIFICATE_V2)
    first = signer.one(signer.signed, SIGNING_CERTIFICATE)
    value = second or first
    if value is None:
        raise VerificationError("the timestamp does not name its signer's certificate (ESSCertID)")
    identifier = ber.read(value).sequence().take(ber.SEQUENCE).sequence().take(ber.SEQUENCE).sequence()
    name = "sha1"
    if second is not None:
        algorithm = identifier.maybe(ber.SEQUENCE)
        digest_oid = algorithm.sequence().take().oid() if algorithm else oids.SHA256
        if digest_oid not in DIGESTS_BY_OID:
            raise WeakDigestError(f"the timestamp names its certificate by the digest {digest_oid}")
        name = DIGESTS_BY_OID[digest_oid].value
    encoded = certificate.public_bytes(Encoding.DER)
    if identifier.take().octets() != hashlib.new(name, encoded, usedforsecurity=False).digest():
        raise VerificationError("the timestamp names another certificate than the one that came with it")
    serial = identifier.maybe(ber.SEQUENCE)
    if serial is not None:
        fields = serial.sequence()
        fields.take(ber.SEQUENCE)
        if fields.take().integer() != certificate.serial_number:
            raise VerificationError("the timestamp names a certificate with another serial number")


def _public_key(certificate: x509.Certificate) -> CertificatePublicKeyTypes:
    try:
        return certificate.public_key()
    except (UnsupportedAlgorithm, ValueError) as error:
        raise VerificationError(f"the timestamp authority's public key cannot be read: {error}") from None
