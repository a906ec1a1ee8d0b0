"""What a relying party trusts: root certificates, helpers to find a way to them, and revocation lists."""

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from sealwright.domain.errors import MalformedError
from sealwright.structures.cms import load_certificate

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----([A-Za-z0-9+/=\s]*)-----END \1-----")
_CERTIFICATE_LABELS: Final = (b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE")
_CRL_LABELS: Final = (b"X509 CRL",)
_DER_START: Final = b"\x30"


@dataclass(frozen=True, slots=True)
class TrustStore:
    """Trusted roots, intermediates that only help to find a way to a root, and revocation lists."""

    roots: tuple[x509.Certificate, ...] = ()
    intermediates: tuple[x509.Certificate, ...] = ()
    crls: tuple[x509.CertificateRevocationList, ...] = ()


def trust_store(
    certificates: Iterable[x509.Certificate], crls: Iterable[x509.CertificateRevocationList] = ()
) -> TrustStore:
    """Sort certificates: one that names itself as its issuer is a root, any other only helps."""
    roots: list[x509.Certificate] = []
    others: list[x509.Certificate] = []
    for certificate in dict.fromkeys(certificates):
        (roots if certificate.subject == certificate.issuer else others).append(certificate)
    return TrustStore(tuple(roots), tuple(others), tuple(crls))


def read_certificates(data: bytes) -> list[x509.Certificate]:
    """Read one certificate in DER or any number in PEM. Raises MalformedError, also if there is none."""
    found = [load_certificate(der) for der in _encoded(data, _CERTIFICATE_LABELS)]
    if not found:
        raise MalformedError("there is no certificate in it", hint="give certificates in PEM or DER")
    return found


def read_crls(data: bytes) -> list[x509.CertificateRevocationList]:
    """Read one revocation list in DER or any number in PEM. Raises MalformedError, also if there is none."""
    found = [_load_crl(der) for der in _encoded(data, _CRL_LABELS)]
    if not found:
        raise MalformedError("there is no certificate revocation list in it", hint="give CRLs in PEM or DER")
    return found


def _encoded(data: bytes, labels: Sequence[bytes]) -> list[bytes]:
    if data[:1] == _DER_START:
        return [data]
    try:
        return [base64.b64decode(body) for label, body in _PEM.findall(data) if label in labels]
    except binascii.Error:
        raise MalformedError("the PEM text is damaged") from None


def _load_crl(der: bytes) -> x509.CertificateRevocationList:
    try:
        crl = x509.load_der_x509_crl(der)
        # Parsing is lazy; touch what others will read, so that every error is raised here.
        _ = crl.extensions, crl.issuer, crl.last_update_utc, crl.next_update_utc
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise MalformedError(f"a certificate revocation list cannot be read: {error}") from None
    return crl
