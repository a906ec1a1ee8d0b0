"""What the verification tests need: certificates that break one rule each, signed programs, tokens, lists."""

import hashlib
import io
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sealwright.contracts import AttachMode
from sealwright.domain import oids
from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm, Module, Operator, Protection
from sealwright.domain.messages import SignerContext
from sealwright.formats.pe import PE
from sealwright.schemes.authenticode import Authenticode
from sealwright.structures.cms import read_signed_data, with_unsigned
from sealwright.structures.tsp import TokenTemplate
from sealwright.structures.tsp_messages import TimestampRequest
from sealwright.verification.authenticode import judge_signature
from sealwright.verification.checks import Check, Result, Step
from sealwright.verification.files import verify_file
from sealwright.verification.trust import TrustStore, trust_store
from sealwright.verification.verdict import FileVerdict, Moment, SignatureVerdict
from tests.pki import Identity, PrivateKey, new_key

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)
YEAR = 365 * DAY
SHA256 = DigestAlgorithm.SHA256
CODE_SIGNING = ExtendedKeyUsageOID.CODE_SIGNING
TIME_STAMPING = ExtendedKeyUsageOID.TIME_STAMPING
HOSTED = Protection(operator=Operator.THIRD_PARTY, generated_by=Operator.THIRD_PARTY, module=Module.HSM)

Extensions = Sequence[tuple[x509.ExtensionType, bool]]


@cache
def key(number: int, algorithm: KeyAlgorithm = KeyAlgorithm.P256) -> PrivateKey:
    """Keys are made once in a test run; `number` tells several of one kind apart."""
    del number
    return new_key(algorithm)


def key_usage(*, signs: bool = False, certifies: bool = False, lists: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certifies,
        crl_sign=lists,
        encipher_only=False,
        decipher_only=False,
    )


def issue(
    name: str,
    issuer: Identity | None,
    private: PrivateKey,
    *,
    extensions: Extensions = (),
    first: datetime = NOW - YEAR,
    last: datetime = NOW + YEAR,
    serial: int | None = None,
) -> Identity:
    """Issue a certificate with just these extensions; without an issuer it signs itself."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(private.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(first)
        .not_valid_after(last)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    certificate = builder.sign(issuer.key if issuer else private, hashes.SHA256())
    above = (issuer.certificate, *issuer.above) if issuer and issuer.certificate.issuer != subject else ()
    # A chain as signatures carry it: without the root.
    return Identity(certificate, private, KeyAlgorithm.P256, tuple(one for one in above if one.subject != one.issuer))


def authority(  # noqa: PLR0913 - each test changes one thing
    name: str,
    issuer: Identity | None,
    number: int,
    *,
    extra: Extensions = (),
    ca: bool = True,
    usage: x509.KeyUsage | None = None,
    path_length: int | None = None,
    first: datetime = NOW - 5 * YEAR,
    last: datetime = NOW + 5 * YEAR,
) -> Identity:
    basic = x509.BasicConstraints(ca=ca, path_length=path_length)
    extensions = ((basic, True), (usage or key_usage(certifies=True, lists=True), True), *extra)
    return issue(name, issuer, key(number), extensions=extensions, first=first, last=last)


def leaf(  # noqa: PLR0913 - each test changes one thing
    name: str,
    issuer: Identity,
    number: int,
    *,
    usages: Sequence[x509.ObjectIdentifier] = (CODE_SIGNING,),
    critical: bool = False,
    usage: x509.KeyUsage | None = None,
    extra: Extensions = (),
    first: datetime = NOW - YEAR,
    last: datetime = NOW + YEAR,
    serial: int | None = None,
) -> Identity:
    extensions: list[tuple[x509.ExtensionType, bool]] = [(x509.BasicConstraints(ca=False, path_length=None), True)]
    extensions.append((usage or key_usage(signs=True), True))
    if usages:
        extensions.append((x509.ExtendedKeyUsage(usages), critical))
    extensions += extra
    return issue(name, issuer, key(number), extensions=extensions, first=first, last=last, serial=serial)


class Workshop:
    """A publisher, a timestamp authority, and the authorities above them."""

    def __init__(self) -> None:
        self.root = authority("Root", None, 1)
        self.ca = authority("CA", self.root, 2)
        self.publisher = leaf("Publisher", self.ca, 5)
        self.tsa_root = authority("Timestamp Root", None, 3)
        self.tsa_ca = authority("Timestamp CA", self.tsa_root, 4)
        self.tsa = leaf("TSA", self.tsa_ca, 6, usages=(TIME_STAMPING,), critical=True)

    def trust(self, *crls: x509.CertificateRevocationList) -> TrustStore:
        return trust_store((self.root.certificate, self.tsa_root.certificate), crls)

    def crls(
        self, revoked: Mapping[int, datetime] | None = None, tsa_revoked: "Mapping[int, Revoked] | None" = None
    ) -> list[x509.CertificateRevocationList]:
        return [
            crl(self.root),
            crl(self.ca, {serial: Revoked(since) for serial, since in (revoked or {}).items()}),
            crl(self.tsa_root),
            crl(self.tsa_ca, tsa_revoked),
        ]

    def stamped(self, signature: bytes, time: datetime, tsa: Identity | None = None) -> bytes:
        """Return the signature with a timestamp."""
        return stamp(signature, token(tsa or self.tsa, signature, time))


@dataclass(frozen=True)
class Revoked:
    since: datetime
    reason: x509.ReasonFlags | None = None
    suspect_since: datetime | None = None


def crl(
    issuer: Identity,
    revoked: Mapping[int, Revoked] | None = None,
    *,
    this_update: datetime = NOW - DAY,
    next_update: datetime = NOW + 7 * DAY,
    extensions: Extensions = (),
    signer: Identity | None = None,
) -> x509.CertificateRevocationList:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(this_update)
        .next_update(next_update)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    for serial, entry in (revoked or {}).items():
        record = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(entry.since)
        if entry.reason is not None:
            record = record.add_extension(x509.CRLReason(entry.reason), critical=False)
        if entry.suspect_since is not None:
            record = record.add_extension(x509.InvalidityDate(entry.suspect_since), critical=False)
        builder = builder.add_revoked_certificate(record.build())
    return builder.sign((signer or issuer).key, hashes.SHA256())


def program(body: bytes = b"\xcc" * 512) -> bytes:
    """Build the smallest PE file with one section."""
    optional_size = 112 + 16 * 8
    end = 0x98 + optional_size + 40
    file = bytearray(1024)
    file[:2] = b"MZ"
    struct.pack_into("<I", file, 60, 0x80)
    struct.pack_into("<4sHHIIIHH", file, 0x80, b"PE\0\0", 0x8664, 1, 0, 0, 0, optional_size, 0x22)
    struct.pack_into("<H", file, 0x98, 0x20B)
    struct.pack_into("<I", file, 0x98 + 60, 1024)
    struct.pack_into("<I", file, 0x98 + 108, 16)
    file[end - 40 : end] = struct.pack("<8sIIII16x", b".text", len(body), 0x1000, len(body), 1024)
    return bytes(file) + body


def file_digest(data: bytes, algorithm: DigestAlgorithm = SHA256) -> bytes:
    return PE().digest(io.BytesIO(data), algorithm).digest


def sign(
    data: bytes,
    identity: Identity,
    *,
    protection: Protection = HOSTED,
    parameters: Mapping[str, str] | None = None,
    algorithm: DigestAlgorithm = SHA256,
) -> bytes:
    """Return an Authenticode signature over a program."""
    context = SignerContext(chain=identity.chain, key_algorithm=identity.algorithm, protection=protection)
    prepared = Authenticode().prepare(context, algorithm, parameters or {})
    digest = file_digest(data, algorithm)
    signed = prepared.to_be_signed(digest, hashlib.sha256(b"intent").digest())
    value = identity.sign(hashlib.new(algorithm.value, signed).digest(), algorithm)
    return prepared.assemble(digest, signed, value)


def signature_value(signature: bytes) -> bytes:
    return read_signed_data(signature).signers[0].signature


def token(
    tsa: Identity,
    signature: bytes,
    time: datetime,
    *,
    imprint: bytes | None = None,
    policy: str = oids.TSA_POLICY_PROVEN_CLOCK,
    algorithm: DigestAlgorithm = SHA256,
) -> bytes:
    """Return a timestamp token for a signature, with the authority's chain."""
    digest = imprint or hashlib.new(algorithm.value, signature_value(signature)).digest()
    template = TokenTemplate(tsa.chain, SHA256, tsa.algorithm)
    info = template.info(TimestampRequest(algorithm, digest, certificates=True), policy, 1, time)
    signed = template.signed_attributes(info, time)
    value = tsa.sign(hashlib.sha256(signed).digest(), SHA256)
    return template.assemble(info, signed, value, certificates=True)


def stamp(signature: bytes, token_der: bytes) -> bytes:
    return with_unsigned(signature, oids.SPC_RFC3161_TIMESTAMP, token_der)


def attach(data: bytes, signature: bytes, mode: AttachMode = "replace") -> bytes:
    output = io.BytesIO()
    PE().attach(io.BytesIO(data), output, signature, mode)
    return output.getvalue()


def judge(signature: bytes, data: bytes, trust: TrustStore, at: datetime | None = None) -> SignatureVerdict:
    return judge_signature(signature, lambda algorithm: file_digest(data, algorithm), trust, Moment(NOW, at))


def judge_file(data: bytes, trust: TrustStore, at: datetime | None = None) -> FileVerdict:
    return verify_file(io.BytesIO(data), PE(), trust, at, NOW)


def check(verdict: SignatureVerdict, step: Step) -> Check:
    return next(check for check in verdict.checks if check.step is step)


def amiss(verdict: SignatureVerdict) -> dict[str, str]:
    """Return code -> result of what did not pass and applies."""
    good = (Result.PASSED, Result.NOT_APPLICABLE)
    return {check.step.code: check.result.value for check in verdict.checks if check.result not in good}


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)
