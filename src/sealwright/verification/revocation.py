"""Whether the certificates of a path were revoked, by the revocation lists that were given (RFC 5280, section 6.3).

A code signing certificate that was revoked after the timestamp keeps what it signed before (CSBR 4.9.6). An
authority's timestamps survive its revocation only if the reason says that the key was not lost (RFC 3161,
section 4).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from sealwright.verification.chains import name_of
from sealwright.verification.checks import Result

_HARMLESS: Final = frozenset(
    (
        x509.ReasonFlags.unspecified,
        x509.ReasonFlags.affiliation_changed,
        x509.ReasonFlags.superseded,
        x509.ReasonFlags.cessation_of_operation,
    )
)
_CLOCKS_APART: Final = timedelta(minutes=5)  # a list may come from an authority whose clock is ahead
_WEAK: Final = (hashes.MD5, hashes.SHA1)
_UNDERSTOOD: Final = (x509.IssuingDistributionPoint, x509.AuthorityKeyIdentifier, x509.CRLNumber)


@dataclass(frozen=True, slots=True)
class Revocation:
    """What the lists say of one certificate."""

    result: Result
    detail: str


def judge_path(
    path: Sequence[x509.Certificate],
    crls: Sequence[x509.CertificateRevocationList],
    at: datetime,
    now: datetime,
    *,
    timestamping: bool = False,
) -> list[Revocation]:
    """Judge every certificate of a path but its root, at the time when it was used."""
    return [
        _judge(certificate, issuer, crls, at, now, timestamping=timestamping) for certificate, issuer in pairwise(path)
    ]


def _judge(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    crls: Sequence[x509.CertificateRevocationList],
    at: datetime,
    now: datetime,
    *,
    timestamping: bool,
) -> Revocation:
    name = name_of(certificate)
    lists = [crl for crl in crls if _covers(crl, certificate, issuer)]
    # A revocation is final: an outdated list proves it as well.
    for crl in lists:
        entry = crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
        if entry is not None:
            return _revoked(name, entry, at, timestamping=timestamping)
    if not lists:
        return Revocation(Result.INDETERMINATE, f"no revocation list by {name_of(issuer)} covers {name}")
    if not any(_is_current(crl, now) for crl in lists):
        return Revocation(Result.INDETERMINATE, f"the revocation list by {name_of(issuer)} is out of date")
    return Revocation(Result.PASSED, f"{name} is not revoked")


def _revoked(name: str, entry: x509.RevokedCertificate, at: datetime, *, timestamping: bool) -> Revocation:
    since = entry.revocation_date_utc
    text = f"{name} was revoked at {since:%Y-%m-%d %H:%M:%S} UTC"
    if since <= at:
        return Revocation(Result.FAILED, f"{text}, not after the signature")
    if timestamping and _reason(entry) not in _HARMLESS:
        return Revocation(Result.FAILED, f"{text} for a reason that voids all its timestamps (RFC 3161, section 4)")
    suspected = _suspected_since(entry)
    if suspected is not None and suspected <= at:
        return Revocation(
            Result.INDETERMINATE, f"{text}, and its key is suspect since {suspected:%Y-%m-%d %H:%M:%S} UTC"
        )
    return Revocation(Result.PASSED, f"{text}, after the signature (CSBR 4.9.6)")


def _reason(entry: x509.RevokedCertificate) -> x509.ReasonFlags | None:
    try:
        return entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return None


def _suspected_since(entry: x509.RevokedCertificate) -> datetime | None:
    try:
        return entry.extensions.get_extension_for_class(x509.InvalidityDate).value.invalidity_date_utc
    except x509.ExtensionNotFound:
        return None


def _covers(crl: x509.CertificateRevocationList, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether a list is by this issuer's key, and about such certificates (RFC 5280, section 5.2.5)."""
    if crl.issuer != certificate.issuer or crl.issuer != issuer.subject:
        return False
    for extension in crl.extensions:
        if extension.critical and not isinstance(extension.value, _UNDERSTOOD):
            return False  # a delta list, among others
        if isinstance(extension.value, x509.IssuingDistributionPoint) and not _in_scope(
            extension.value, is_authority=_is_authority(certificate)
        ):
            return False
    return _may_sign_lists(issuer) and _is_signed(crl, issuer)


def _in_scope(point: x509.IssuingDistributionPoint, *, is_authority: bool) -> bool:
    if point.indirect_crl or point.only_some_reasons or point.only_contains_attribute_certs:
        return False
    return not (point.only_contains_user_certs if is_authority else point.only_contains_ca_certs)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _may_sign_lists(issuer: x509.Certificate) -> bool:
    try:
        return issuer.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True


def _is_signed(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    try:
        if isinstance(crl.signature_hash_algorithm, _WEAK):
            return False
        return crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type] # other keys: TypeError
    except (InvalidSignature, UnsupportedAlgorithm, TypeError, ValueError):
        return False


def _is_current(crl: x509.CertificateRevocationList, now: datetime) -> bool:
    """Tell whether a list is in its time; one without nextUpdate never is (RFC 5280, section 5.1.2.5)."""
    return crl.next_update_utc is not None and crl.last_update_utc <= now + _CLOCKS_APART and now <= crl.next_update_utc
