"""A small timestamp PKI for the tests: root, timestamp CA, authority; keys that sign by `contracts.SigningKey`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

HASHES: dict[DigestAlgorithm, hashes.SHA256 | hashes.SHA384 | hashes.SHA512] = {
    DigestAlgorithm.SHA256: hashes.SHA256(),
    DigestAlgorithm.SHA384: hashes.SHA384(),
    DigestAlgorithm.SHA512: hashes.SHA512(),
}
NOT_BEFORE = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
NOW = datetime(2026, 11, 23, 10, 30, 15, 999_999, tzinfo=UTC)
TIMESTAMPING: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.TIME_STAMPING,)


@dataclass
class MemoryKey:
    """A signing key in memory."""

    private: PrivateKey
    algorithm: KeyAlgorithm
    public_key: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.public_key = self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, digest: bytes, algorithm: DigestAlgorithm) -> bytes:
        prehashed = utils.Prehashed(HASHES[algorithm])
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(digest, padding.PKCS1v15(), prehashed)
        return self.private.sign(digest, ec.ECDSA(prehashed))


@cache
def private_key(algorithm: KeyAlgorithm, number: int = 0) -> PrivateKey:
    del number  # tells several keys of one kind apart
    if algorithm.is_rsa:
        return rsa.generate_private_key(65537, 3072)
    curves = {KeyAlgorithm.P256: ec.SECP256R1(), KeyAlgorithm.P384: ec.SECP384R1()}
    return ec.generate_private_key(curves.get(algorithm, ec.SECP521R1()))


def private_pem(algorithm: KeyAlgorithm) -> bytes:
    return private_key(algorithm).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def signing_key(algorithm: KeyAlgorithm) -> MemoryKey:
    return MemoryKey(private_key(algorithm), algorithm)


def name(common: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test"), x509.NameAttribute(NameOID.COMMON_NAME, common)]
    )


def _authority(common: str, issuer: str, issuer_number: int, number: int) -> x509.Certificate:
    public = private_key(KeyAlgorithm.P256, number).public_key()
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name(common))
        .issuer_name(name(issuer))
        .public_key(public)
        .serial_number(1000 + number)
        .not_valid_before(NOT_BEFORE - timedelta(days=1))
        .not_valid_after(NOT_BEFORE + timedelta(days=7000))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(private_key(KeyAlgorithm.P256, issuer_number), hashes.SHA256())
    )


@cache
def root() -> x509.Certificate:
    return _authority("Test root", "Test root", 1, 1)


@cache
def intermediate() -> x509.Certificate:
    return _authority("Test timestamp CA", "Test root", 1, 2)


def leaf(
    public_key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    *,
    digest: hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | hashes.SHA3_256 | None = None,
    purposes: Sequence[x509.ObjectIdentifier] = TIMESTAMPING,
    critical: bool = True,
    policy: str = "",
    not_after: datetime = NOT_BEFORE + timedelta(days=4000),
) -> x509.Certificate:
    issuer = private_key(KeyAlgorithm.P256, 2)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name("Test TSA"))
        .issuer_name(name("Test timestamp CA"))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=False,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=critical)
    if policy:
        information = x509.PolicyInformation(x509.ObjectIdentifier(policy), None)
        builder = builder.add_extension(x509.CertificatePolicies([information]), critical=False)
    return builder.sign(issuer, digest or hashes.SHA256())


def der(*certificates: x509.Certificate) -> tuple[bytes, ...]:
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in certificates)


@cache
def chain(algorithm: KeyAlgorithm, digest: DigestAlgorithm = DigestAlgorithm.SHA256) -> tuple[bytes, ...]:
    return der(leaf(private_key(algorithm).public_key(), digest=HASHES[digest]), intermediate())
