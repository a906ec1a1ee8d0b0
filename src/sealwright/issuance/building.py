"""Builds the to-be-signed certificate of a profile (RFC 5280, section 4; CSBR 7.1.2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID

from sealwright.contracts import Randomness
from sealwright.domain import oids
from sealwright.domain.errors import ConfigurationError, InvalidRequestError, UnsupportedError
from sealwright.domain.keys import Protection
from sealwright.issuance.profiles import Profile
from sealwright.issuance.signature import CaSigner, ToBeSigned
from sealwright.structures import ber
from sealwright.structures.protection import key_protection_extension
from sealwright.structures.x509 import build_name, load_public_key, subject_key_identifier

SERIAL_BYTES: Final = 16  # CSBR 7.1 asks for 64 random bits; RFC 5280 allows 20 octets
_KEY_IDENTIFIER_BYTES: Final = 20
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Publication:
    """Where relying parties fetch what a CA publishes: plain HTTP (CSBR 7.1.2.2, 7.1.2.3), no slash at the end.

    The label names the CA in addresses and records, such as `code-signing`.
    """

    base_url: str
    label: str

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme != "http" or not parts.netloc or parts.query or parts.fragment or self.base_url.endswith("/"):
            raise ConfigurationError(
                f"{self.base_url!r} cannot be where CRLs and CA certificates are published",
                hint="give an address such as http://pki.example.org, without a slash at the end",
            )

    @property
    def crl_url(self) -> str:
        """The CRL's address (CRL distribution point)."""
        return f"{self.base_url}/crl/{self.label}.crl"

    @property
    def certificate_url(self) -> str:
        """The CA certificate's address (authority information access, caIssuers), DER."""
        return f"{self.base_url}/ca/{self.label}.cer"


@dataclass(frozen=True, slots=True)
class Parent:
    """The CA above a certificate: its own certificate and its publication."""

    certificate: x509.Certificate
    publication: Publication


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of a certificate; `validity` None stands for the profile's default.

    `protection` states how the subject's key is kept, from the registration authority's record only;
    `custodian` names the service that keeps it.
    """

    profile: Profile
    subject: Mapping[str, str]
    public_key: bytes
    protection: Protection | None = None
    custodian: str | None = None
    validity: timedelta | None = None


def expected_policies(profile: Profile, protection: Protection | None) -> tuple[str, ...]:
    """Return the policy identifiers that a certificate of this profile carries, the mark's last."""
    if profile.mark and protection is not None:
        return (*profile.policies, f"{oids.PROTECTION_POLICY}.{protection.model.value}")
    return profile.policies


def key_identifier(public_key: bytes) -> bytes:
    """Return 160 bits of the SHA-256 of a SubjectPublicKeyInfo's key bits (RFC 7093, section 2, method 1)."""
    _, bits = ber.read(public_key).children()
    return sha256(bits.octets(ber.BIT_STRING)[1:]).digest()[:_KEY_IDENTIFIER_BYTES]


def build(signer: CaSigner, wish: Wish, parent: Parent | None, now: datetime, randomness: Randomness) -> ToBeSigned:
    """Return the certificate before its signature; `parent` is None for a self-signed root.

    Raises InvalidRequestError for what no certificate can hold, MalformedError and UnsupportedError for keys.
    """
    profile = wish.profile
    key = load_public_key(wish.public_key)
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise UnsupportedError("certificates are made for RSA and elliptic curve keys (CSBR 6.1.5)")
    subject = build_name(wish.subject)
    not_before = (now - profile.backdate).replace(microsecond=0)
    if parent is not None:
        not_before = max(not_before, parent.certificate.not_valid_before_utc)
    validity = profile.default_validity if wish.validity is None else wish.validity
    try:
        # notAfter is inclusive (RFC 5280, section 4.1.2.5), hence one second less.
        builder = (
            x509.CertificateBuilder()
            .issuer_name(subject if parent is None else parent.certificate.subject)
            .subject_name(subject)
            .public_key(key)
            .serial_number(int.from_bytes(randomness(SERIAL_BYTES), "big"))
            .not_valid_before(not_before)
            .not_valid_after(not_before + validity - _SECOND)
        )
    except (ValueError, OverflowError) as error:
        raise InvalidRequestError(f"no certificate can be made of this: {error}") from None
    for extension, critical in _extensions(wish, parent):
        builder = builder.add_extension(extension, critical)
    return signer.build(builder)


def _extensions(wish: Wish, parent: Parent | None) -> list[tuple[x509.ExtensionType, bool]]:
    profile = wish.profile
    found: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(profile.is_ca, None), True),
        (_key_usage(profile), True),
        (x509.SubjectKeyIdentifier(key_identifier(wish.public_key)), False),
    ]
    if profile.extended_key_usage is not None:
        usage = x509.ExtendedKeyUsage([x509.ObjectIdentifier(profile.extended_key_usage)])
        found.append((usage, profile.extended_key_usage_critical))
    if identifiers := expected_policies(profile, wish.protection):
        policies = [x509.PolicyInformation(x509.ObjectIdentifier(policy), None) for policy in identifiers]
        found.append((x509.CertificatePolicies(policies), False))
    if parent is not None:
        found += _pointers(parent)
    if profile.mark_extension and wish.protection is not None:
        value = key_protection_extension(wish.protection, wish.custodian)
        found.append((x509.UnrecognizedExtension(x509.ObjectIdentifier(oids.KEY_PROTECTION), value), False))
    return found


def _pointers(parent: Parent) -> list[tuple[x509.ExtensionType, bool]]:
    crl = x509.UniformResourceIdentifier(parent.publication.crl_url)
    certificate = x509.UniformResourceIdentifier(parent.publication.certificate_url)
    access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, certificate)
    return [
        (x509.AuthorityKeyIdentifier(subject_key_identifier(parent.certificate), None, None), False),
        (x509.CRLDistributionPoints([x509.DistributionPoint([crl], None, None, None)]), False),
        (x509.AuthorityInformationAccess([access]), False),
    ]


def _key_usage(profile: Profile) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not profile.is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=profile.is_ca,
        crl_sign=profile.is_ca,
        encipher_only=False,
        decipher_only=False,
    )
