"""Certificate revocation lists (RFC 5280, section 5; CSBR 4.9.7, 7.2)."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509

from sealwright.domain import oids
from sealwright.domain.errors import InvalidRequestError
from sealwright.issuance.issuer import Issuer
from sealwright.issuance.records import Revocation, RevocationReason
from sealwright.structures.x509 import extended_key_usages, subject_key_identifier

# CSBR 4.9.7: nextUpdate at most 10 days after thisUpdate for code signing certificates, 12 months for others.
CODE_SIGNING_LIFETIME: Final = timedelta(days=10)
OTHER_LIFETIME: Final = timedelta(days=365)
_MAX_NUMBER: Final = 1 << 159  # RFC 5280, section 5.2.3: at most 20 octets


def crl_lifetime(certificate: x509.Certificate) -> timedelta:
    """Return the longest time between thisUpdate and nextUpdate that a CA's CRL may have (CSBR 4.9.7)."""
    if oids.EKU_CODE_SIGNING in extended_key_usages(certificate):
        return CODE_SIGNING_LIFETIME
    return OTHER_LIFETIME


def build_crl(
    issuer: Issuer, revoked: Iterable[Revocation], number: int, now: datetime, lifetime: timedelta | None = None
) -> bytes:
    """Return the signed CRL of a CA in DER; `lifetime` None stands for the longest that is allowed.

    A date of revocation in the past is allowed and expected (CSBR 4.9.1, 4.9.6); one in the future is not, nor
    a serial that stands twice: both raise InvalidRequestError, as does a lifetime or number out of bounds.
    """
    longest = crl_lifetime(issuer.certificate)
    lifetime = longest if lifetime is None else lifetime
    if not timedelta(0) < lifetime <= longest:
        raise InvalidRequestError(f"the next CRL must follow within {longest} (CSBR 4.9.7)")
    if not 0 < number < _MAX_NUMBER:
        raise InvalidRequestError("a CRL number is positive and has at most 20 octets")
    this_update = now.astimezone(UTC).replace(microsecond=0)
    key = x509.AuthorityKeyIdentifier(subject_key_identifier(issuer.certificate), None, None)
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=issuer.certificate.subject,
        last_update=this_update,
        next_update=this_update + lifetime,
        extensions=[
            x509.Extension(x509.AuthorityKeyIdentifier.oid, False, key),
            x509.Extension(x509.CRLNumber.oid, False, x509.CRLNumber(number)),
        ],
        revoked_certificates=_entries(revoked, now),
    )
    return issuer.signer.sign(issuer.signer.build(builder))


def _entries(revoked: Iterable[Revocation], now: datetime) -> list[x509.RevokedCertificate]:
    entries: dict[int, x509.RevokedCertificate] = {}
    for revocation in revoked:
        if revocation.serial in entries:
            raise InvalidRequestError(f"serial {revocation.serial:x} is revoked twice in one list")
        if revocation.at > now:
            raise InvalidRequestError(f"serial {revocation.serial:x} has a date of revocation in the future")
        entries[revocation.serial] = _entry(revocation)
    return list(entries.values())


def _entry(revocation: Revocation) -> x509.RevokedCertificate:
    at = revocation.at.astimezone(UTC).replace(microsecond=0)
    # CSBR 7.2.2: an invalidityDate equals the revocationDate.
    extensions: list[x509.Extension[x509.ExtensionType]] = [
        x509.Extension(x509.InvalidityDate.oid, False, x509.InvalidityDate(at.replace(tzinfo=None)))
    ]
    # RFC 5280, section 5.3.1: `unspecified` is said by leaving the reason out.
    if revocation.reason is not RevocationReason.UNSPECIFIED:
        reason = x509.CRLReason(x509.ReasonFlags(revocation.reason.value))
        extensions.insert(0, x509.Extension(x509.CRLReason.oid, False, reason))
    return x509.RevokedCertificateBuilder(revocation.serial, at, extensions).build()
