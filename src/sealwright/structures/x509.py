"""X.509 as the rooms above need it: names, key hashes, what a certificate says, and signatures over it (RFC 5280)."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Final, TypedDict, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from sealwright.domain import oids
from sealwright.domain.errors import InvalidRequestError, MalformedError, UnsupportedError
from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm
from sealwright.structures.signatures import verify_signature

# Countries first and the person or organisation last, as CAs write names (X.521).
_ATTRIBUTES: Final[Mapping[str, x509.ObjectIdentifier]] = {
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "CN": NameOID.COMMON_NAME,
}
_EC_PUBLIC_KEY: Final = "1.2.840.10045.2.1"  # id-ecPublicKey (RFC 5480)
_RSA: Final = {3072: KeyAlgorithm.RSA_3072, 4096: KeyAlgorithm.RSA_4096}
_CURVES: Final = {"secp256r1": KeyAlgorithm.P256, "secp384r1": KeyAlgorithm.P384, "secp521r1": KeyAlgorithm.P521}
_CURVE_LABELS: Final = {name: algorithm.value for name, algorithm in _CURVES.items()}
_MAX_SPKI = 8192

_T = TypeVar("_T", bound=x509.ExtensionType)


class CertificateSummary(TypedDict):
    """What reports show of a certificate; times are RFC 3339 in UTC, serial and digest are lower-case hex."""

    subject: str
    issuer: str
    serial: str
    sha256: str
    not_before: str
    not_after: str
    policies: list[str]
    key_algorithm: str


def build_name(fields: Mapping[str, str]) -> x509.Name:
    """Return the name with the fields CN, O, L, ST and C; or raise InvalidRequestError for others or bad values."""
    if unknown := sorted(set(fields) - set(_ATTRIBUTES)):
        raise InvalidRequestError(f"a name cannot hold {', '.join(unknown)}", hint="use CN, O, L, ST and C")
    try:
        return x509.Name(
            [x509.NameAttribute(oid, fields[field]) for field, oid in _ATTRIBUTES.items() if field in fields]
        )
    except ValueError as error:
        raise InvalidRequestError(f"the name is not valid: {error}") from None


def spki_sha256(public_key: bytes) -> str:
    """Return the SHA-256 of a SubjectPublicKeyInfo (DER) in hex: how authorisations and records name a key."""
    return sha256(public_key).hexdigest()


def public_key_of(certificate: x509.Certificate) -> bytes:
    """Return the certificate's SubjectPublicKeyInfo in DER, or raise MalformedError."""
    try:
        return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise MalformedError(f"the certificate's public key cannot be read: {error}") from None


def load_public_key(public_key: bytes) -> PublicKeyTypes:
    """Read a SubjectPublicKeyInfo (DER, at most 8,192 bytes), or raise MalformedError."""
    if len(public_key) > _MAX_SPKI:
        raise MalformedError(f"a public key of {len(public_key)} bytes is longer than any that is used here")
    try:
        return load_der_public_key(public_key)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise MalformedError(f"the public key cannot be read: {error}") from None


def key_algorithm(key: PublicKeyTypes) -> KeyAlgorithm:
    """Tell which of our key types this is, or raise UnsupportedError (CSBR 6.1.5 names the sizes and curves)."""
    found = None
    if isinstance(key, rsa.RSAPublicKey):
        found = _RSA.get(key.key_size)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        found = _CURVES.get(key.curve.name)
    if found is None:
        raise UnsupportedError(
            f"a key of type {key_description(key)} cannot be used",
            hint="use " + ", ".join(algorithm.value for algorithm in KeyAlgorithm),
        )
    return found


def key_description(key: PublicKeyTypes) -> str:
    """Name any key type in the style of KeyAlgorithm, those that Sealwright does not make among them."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"rsa-{key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _CURVE_LABELS.get(key.curve.name, key.curve.name)
    return type(key).__name__.removesuffix("PublicKey").lower()


def verify_by_key(public_key: bytes, signature: bytes, data: bytes, digest: DigestAlgorithm) -> None:
    """Check a signature over data by a SubjectPublicKeyInfo (DER): RSASSA-PKCS1-v1_5, or ECDSA as a DER SEQUENCE.

    Raises VerificationError if it does not hold, MalformedError and UnsupportedError for a key that cannot be
    read or is of another kind.
    """
    key = load_public_key(public_key)
    if isinstance(key, rsa.RSAPublicKey):
        verify_signature(key, oids.RSA_ENCRYPTION, digest, signature, data)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        verify_signature(key, _EC_PUBLIC_KEY, digest, signature, data)
    else:
        raise UnsupportedError(f"signatures by a key of type {key_description(key)} are not checked here")


def policies(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the certificate policy identifiers as dotted text, in the certificate's order."""
    extension = _extension(certificate, x509.CertificatePolicies)
    return tuple(policy.policy_identifier.dotted_string for policy in extension) if extension else ()


def extended_key_usages(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the extended key usages as dotted text; none if the extension is absent."""
    extension = _extension(certificate, x509.ExtendedKeyUsage)
    return tuple(usage.dotted_string for usage in extension) if extension else ()


def crl_urls(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the addresses of the CRL distribution points."""
    points = _extension(certificate, x509.CRLDistributionPoints) or ()
    return tuple(
        name.value
        for point in points
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    )


def issuer_urls(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the addresses of the issuer's certificate (authority information access, caIssuers)."""
    return tuple(
        access.access_location.value
        for access in _extension(certificate, x509.AuthorityInformationAccess) or ()
        if access.access_method == AuthorityInformationAccessOID.CA_ISSUERS
        and isinstance(access.access_location, x509.UniformResourceIdentifier)
    )


def subject_key_identifier(certificate: x509.Certificate) -> bytes:
    """Return the subject key identifier; empty if the extension is absent."""
    extension = _extension(certificate, x509.SubjectKeyIdentifier)
    return extension.digest if extension else b""


def certificate_summary(certificate: x509.Certificate) -> CertificateSummary:
    """Return what reports show of a certificate, whoever made it; an unreadable key is called `unknown`."""
    try:
        algorithm = key_description(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm):
        algorithm = "unknown"
    return CertificateSummary(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        serial=f"{certificate.serial_number:x}",
        sha256=sha256(certificate.public_bytes(Encoding.DER)).hexdigest(),
        not_before=certificate.not_valid_before_utc.isoformat().replace("+00:00", "Z"),
        not_after=certificate.not_valid_after_utc.isoformat().replace("+00:00", "Z"),
        policies=list(policies(certificate)),
        key_algorithm=algorithm,
    )


def _extension(certificate: x509.Certificate, kind: type[_T]) -> _T | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except (ValueError, x509.DuplicateExtension) as error:
        raise MalformedError(f"the certificate's extensions cannot be read: {error}") from None
