"""A throw-away public-key infrastructure for tests: two roots, their CAs, leaves of three key types and a TSA.

Every certificate below a root names a CRL distribution point that nothing serves; the current CRLs are at hand
as bytes and as files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm

CRL_BASE = "http://localhost:9/crl"
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_HASHES: Mapping[DigestAlgorithm, hashes.HashAlgorithm] = {
    DigestAlgorithm.SHA256: hashes.SHA256(),
    DigestAlgorithm.SHA384: hashes.SHA384(),
    DigestAlgorithm.SHA512: hashes.SHA512(),
}


def new_key(algorithm: KeyAlgorithm) -> PrivateKey:
    """Generate a key in memory."""
    curves: Mapping[KeyAlgorithm, ec.EllipticCurve] = {
        KeyAlgorithm.P256: ec.SECP256R1(),
        KeyAlgorithm.P384: ec.SECP384R1(),
        KeyAlgorithm.P521: ec.SECP521R1(),
    }
    if algorithm in curves:
        return ec.generate_private_key(curves[algorithm])
    return rsa.generate_private_key(65537, int(algorithm.value.removeprefix("rsa-")))


@dataclass(frozen=True)
class Identity:
    """A certificate with its private key and the certificates above it, without the root."""

    certificate: x509.Certificate
    key: PrivateKey
    algorithm: KeyAlgorithm
    above: tuple[x509.Certificate, ...] = ()

    @property
    def chain(self) -> tuple[bytes, ...]:
        """DER, the identity's own certificate first."""
        return tuple(c.public_bytes(serialization.Encoding.DER) for c in (self.certificate, *self.above))

    def sign(self, digest: bytes, algorithm: DigestAlgorithm) -> bytes:
        """Sign a digest as contracts.SigningKey does."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(digest, padding.PKCS1v15(), Prehashed(_HASHES[algorithm]))
        return self.key.sign(digest, ec.ECDSA(Prehashed(_HASHES[algorithm])))

    def key_pem(self) -> bytes:
        """The private key as unencrypted PKCS #8."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


class Pki:
    """Everything that a test of signing or verifying needs; `leaves` by key algorithm."""

    def __init__(self, now: datetime | None = None) -> None:
        self.now = (now or datetime.now(UTC)).replace(microsecond=0)
        self.root = self._authority("Test Root", None)
        self.code_ca = self._authority("Test Code Signing CA", self.root)
        self.tsa_root = self._authority("Test Timestamp Root", None)
        self.tsa_ca = self._authority("Test Timestamp CA", self.tsa_root)
        self.leaves = {
            algorithm: self.leaf(algorithm)
            for algorithm in (KeyAlgorithm.P256, KeyAlgorithm.P384, KeyAlgorithm.RSA_3072)
        }
        self.tsa = self.leaf(
            KeyAlgorithm.P256, "Test TSA", self.tsa_ca, ExtendedKeyUsageOID.TIME_STAMPING, critical_usage=True
        )

    def leaf(
        self,
        algorithm: KeyAlgorithm,
        name: str = "Test Publisher",
        issuer: Identity | None = None,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING,
        *,
        critical_usage: bool = False,
        extensions: tuple[x509.ExtensionType, ...] = (),
        days: int = 365,
    ) -> Identity:
        """Issue an end-entity certificate; `extensions` are added, not critical."""
        issuer = issuer or self.code_ca
        key = new_key(algorithm)
        builder = self._builder(_name(name), issuer.certificate.subject, key, days)
        builder = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=critical_usage)
            .add_extension(_crl_point(issuer.certificate), critical=False)
            .add_extension(_authority_identifier(issuer.certificate), critical=False)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return Identity(builder.sign(issuer.key, hashes.SHA256()), key, algorithm, (issuer.certificate,))

    def crl(self, issuer: Identity, revoked: Mapping[int, datetime] | None = None) -> bytes:
        """Make the issuer's current CRL in DER; `revoked` maps serial numbers to revocation dates."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.certificate.subject)
            .last_update(self.now - timedelta(hours=1))
            .next_update(self.now + timedelta(days=7))
            .add_extension(x509.CRLNumber(1), critical=False)
            .add_extension(_authority_identifier(issuer.certificate), critical=False)
        )
        for serial, moment in (revoked or {}).items():
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(moment).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def crls(self, revoked: Mapping[int, datetime] | None = None) -> list[bytes]:
        """Return the current CRLs of all four authorities; `revoked` concerns the code signing CA."""
        return [
            self.crl(self.code_ca, revoked),
            *(self.crl(authority) for authority in (self.root, self.tsa_root, self.tsa_ca)),
        ]

    def roots_pem(self) -> bytes:
        """Return both roots."""
        return b"".join(
            root.certificate.public_bytes(serialization.Encoding.PEM) for root in (self.root, self.tsa_root)
        )

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write `roots.pem` and `crls.pem` (each CRL in PEM) and return their paths."""
        roots, crls = folder / "roots.pem", folder / "crls.pem"
        roots.write_bytes(self.roots_pem())
        pem = (x509.load_der_x509_crl(der).public_bytes(serialization.Encoding.PEM) for der in self.crls())
        crls.write_bytes(b"".join(pem))
        return roots, crls

    def _authority(self, name: str, issuer: Identity | None) -> Identity:
        key = new_key(KeyAlgorithm.P256)
        builder = self._builder(_name(name), issuer.certificate.subject if issuer else _name(name), key, 3650)
        builder = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_key_usage(signs=False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        if issuer is None:
            return Identity(builder.sign(key, hashes.SHA256()), key, KeyAlgorithm.P256)
        builder = builder.add_extension(_crl_point(issuer.certificate), critical=False).add_extension(
            _authority_identifier(issuer.certificate), critical=False
        )
        return Identity(builder.sign(issuer.key, hashes.SHA256()), key, KeyAlgorithm.P256)

    def _builder(self, subject: x509.Name, issuer: x509.Name, key: PrivateKey, days: int) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - timedelta(days=1))
            .not_valid_after(self.now + timedelta(days=days))
        )


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "NL"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Sealwright Tests"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=not signs,
        crl_sign=not signs,
        encipher_only=False,
        decipher_only=False,
    )


def _crl_point(issuer: x509.Certificate) -> x509.CRLDistributionPoints:
    name = issuer.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    address = f"{CRL_BASE}/{str(name).lower().replace(' ', '-')}.crl"
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(address)], None, None, None)
    return x509.CRLDistributionPoints([point])


def _authority_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
