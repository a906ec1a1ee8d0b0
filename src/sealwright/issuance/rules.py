"""Rules that judge a certificate before the CA's key is used; each reads the finished bytes, not the request.

A rule returns what is wrong in one sentence, or nothing. Its code and its section lead to the requirement.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import gcd
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtensionOID, NameOID

from sealwright.domain import oids
from sealwright.domain.errors import UnsupportedError
from sealwright.domain.keys import Protection, ProtectionModel
from sealwright.issuance.building import expected_policies
from sealwright.issuance.profiles import FORBIDDEN_KEY_USAGES, RESERVED_POLICIES, Profile
from sealwright.issuance.subjects import subject_fault
from sealwright.structures.protection import key_protection_extension
from sealwright.structures.x509 import (
    crl_urls,
    extended_key_usages,
    issuer_urls,
    key_algorithm,
    policies,
    subject_key_identifier,
)

_FIELDS: Final = {
    NameOID.COUNTRY_NAME: "C",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.LOCALITY_NAME: "L",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.COMMON_NAME: "CN",
}
_OWN_CRITICALITY: Final = frozenset(
    {ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE}
)  # judged by their own rules
_ALWAYS: Final = _OWN_CRITICALITY | {ExtensionOID.SUBJECT_KEY_IDENTIFIER, ExtensionOID.CERTIFICATE_POLICIES}
_POINTERS: Final = frozenset(
    {
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.CRL_DISTRIBUTION_POINTS,
        ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
    }
)
_SERIAL_BITS: Final = 64
_SMALL_FACTORS_BELOW: Final = 752  # CSBR 6.1.6
_MIN_EXPONENT, _MAX_EXPONENT_BITS = 65537, 256
_CLOCK_SLACK: Final = timedelta(minutes=5)


def _product_of_primes(limit: int) -> int:
    product = 2
    for candidate in range(3, limit, 2):
        if gcd(candidate, product) == 1:
            product *= candidate
    return product


_SMALL_PRIMES: Final = _product_of_primes(_SMALL_FACTORS_BELOW)


@dataclass(frozen=True, slots=True)
class Case:
    """A certificate to be judged, and what it must agree with; `parent` is None for a self-signed root."""

    profile: Profile
    certificate: x509.Certificate
    parent: x509.Certificate | None
    protection: Protection | None
    custodian: str | None
    audited: bool
    now: datetime


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that a certificate breaks."""

    code: str
    section: str
    detail: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: `judge` returns what is wrong, or an empty text."""

    code: str
    section: str
    judge: Callable[[Case], str]


def _version(case: Case) -> str:
    return "" if case.certificate.version is x509.Version.v3 else "the certificate is not X.509 version 3"


def _serial(case: Case) -> str:
    if case.certificate.serial_number.bit_length() > _SERIAL_BITS:
        return ""
    return f"the serial number has not more than {_SERIAL_BITS} bits, so it cannot hold that many random ones"


def _key(case: Case) -> str:
    key = case.certificate.public_key()
    try:
        algorithm = key_algorithm(key)
    except UnsupportedError as error:
        return error.detail
    if algorithm not in case.profile.key_algorithms:
        return f"a key of type {algorithm.value} is too weak for a {case.profile.title} certificate"
    if not isinstance(key, rsa.RSAPublicKey):
        return ""
    numbers = key.public_numbers()
    if numbers.e < _MIN_EXPONENT or numbers.e.bit_length() > _MAX_EXPONENT_BITS or numbers.e % 2 == 0:
        return f"the RSA exponent must be odd and between {_MIN_EXPONENT} and 2^{_MAX_EXPONENT_BITS} - 1"
    if gcd(numbers.n, _SMALL_PRIMES) != 1:
        return f"the RSA modulus has a factor below {_SMALL_FACTORS_BELOW}"
    return ""


def _validity(case: Case) -> str:
    start, end = case.certificate.not_valid_before_utc, case.certificate.not_valid_after_utc
    length = end - start + timedelta(seconds=1)
    if length > case.profile.max_validity:
        return f"a validity of {length} is longer than the {case.profile.max_validity} of the profile"
    if start > case.now or case.now - start > case.profile.backdate + _CLOCK_SLACK:
        return "notBefore is in the future, or further back than the profile allows"
    return "" if end > case.now else "the certificate would have expired already"


def _within_parent(case: Case) -> str:
    if case.parent is None:
        return ""
    if not case.parent.not_valid_before_utc <= case.now <= case.parent.not_valid_after_utc:
        return "the CA certificate is not valid now"
    if case.certificate.not_valid_after_utc > case.parent.not_valid_after_utc:
        return "the certificate would outlive the CA certificate: ask for less, or renew the CA"
    return ""


def _subject(case: Case) -> str:
    subject: dict[str, str] = {}
    for attribute in case.certificate.subject:
        field = _FIELDS.get(attribute.oid)
        if field is None or field in subject:
            return f"the subject holds {attribute.rfc4514_attribute_name} where it may not, or twice"
        subject[field] = str(attribute.value)
    return subject_fault(case.profile, subject)


def _issuer(case: Case) -> str:
    above = case.certificate.subject if case.parent is None else case.parent.subject
    if case.certificate.issuer.public_bytes() == above.public_bytes():
        return ""
    return "the issuer's name is not byte for byte the CA's subject"


def _basic_constraints(case: Case) -> str:
    extension = case.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    if extension.critical and extension.value.ca is case.profile.is_ca and extension.value.path_length is None:
        return ""
    return f"basicConstraints must be critical, with cA {case.profile.is_ca} and no path length"


def _key_usage(case: Case) -> str:
    extension = case.certificate.extensions.get_extension_for_class(x509.KeyUsage)
    usage, is_ca = extension.value, case.profile.is_ca
    wanted = (not is_ca, is_ca, is_ca)
    others = usage.content_commitment, usage.key_encipherment, usage.data_encipherment, usage.key_agreement
    if extension.critical and (usage.digital_signature, usage.key_cert_sign, usage.crl_sign) == wanted:
        return "keyUsage has bits that nobody needs" if any(others) else ""
    return "keyUsage must be critical: keyCertSign and cRLSign for a CA, digitalSignature alone for a leaf"


def _extended_key_usage(case: Case) -> str:
    usages = extended_key_usages(case.certificate)
    wanted = case.profile.extended_key_usage
    if forbidden := FORBIDDEN_KEY_USAGES.intersection(usages):
        return f"extended key usage {', '.join(sorted(forbidden))} is forbidden"
    if usages != (() if wanted is None else (wanted,)):
        return f"the extended key usage must be {wanted or 'absent'}"
    if wanted is None:
        return ""
    extension = case.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    if extension.critical is not case.profile.extended_key_usage_critical:
        return "the criticality of the extended key usage is not the profile's"
    above = extended_key_usages(case.parent) if case.parent else ()
    return f"a CA for {', '.join(above)} cannot issue for {wanted}" if above and wanted not in above else ""


def _policies(case: Case) -> str:
    found = policies(case.certificate)
    if case.profile.mark and case.protection is None:
        return "nobody says how the key is protected, and this profile states it"
    if found != expected_policies(case.profile, case.protection):
        return "the policy identifiers are not those of the profile and of the key's protection"
    return ""


def _reserved(case: Case) -> str:
    if RESERVED_POLICIES.isdisjoint(policies(case.certificate)):
        return ""
    if case.protection is not None and case.protection.model is ProtectionModel.SOFTWARE:
        return "a reserved CA/Browser Forum policy identifier must not stand beside a software key"
    return "" if case.audited else "a reserved CA/Browser Forum policy identifier needs an audited authority"


def _pointers(case: Case) -> str:
    crls, issuers = crl_urls(case.certificate), issuer_urls(case.certificate)
    if not case.profile.has_pointers:
        return "a root has no CRL distribution point and no issuer address" if crls or issuers else ""
    if len(crls) == len(issuers) == 1 and all(url.startswith("http://") for url in crls + issuers):
        return ""
    return "the CRL and the issuer's certificate each need one plain HTTP address"


def _key_identifiers(case: Case) -> str:
    if not subject_key_identifier(case.certificate):
        return "the subject key identifier is missing"
    if case.parent is None:
        return ""
    extension = case.certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    if extension.value.key_identifier == subject_key_identifier(case.parent):
        return ""
    return "the authority key identifier is not the CA's subject key identifier"


def _nothing_else(case: Case) -> str:
    allowed = {*_ALWAYS, x509.ObjectIdentifier(oids.KEY_PROTECTION)} if case.profile.mark_extension else {*_ALWAYS}
    if case.profile.has_pointers:
        allowed.update(_POINTERS)
    for extension in case.certificate.extensions:
        if extension.oid not in allowed:
            return f"extension {extension.oid.dotted_string} has no place in the profile"
        if extension.critical and extension.oid not in _OWN_CRITICALITY:
            return f"extension {extension.oid.dotted_string} must not be critical"
    return ""


def _mark(case: Case) -> str:
    if not case.profile.mark_extension or case.protection is None:
        return ""
    wanted = key_protection_extension(case.protection, case.custodian)
    for extension in case.certificate.extensions:
        value = extension.value
        if extension.oid.dotted_string == oids.KEY_PROTECTION and isinstance(value, x509.UnrecognizedExtension):
            return "" if value.value == wanted else "the key-protection mark is not what was verified"
    return "the key-protection mark is missing"


RULES: Final = (
    Rule("version", "CSBR 7.1.1", _version),
    Rule("serial", "CSBR 7.1", _serial),
    Rule("key", "CSBR 6.1.5, 6.1.6", _key),
    Rule("validity", "CSBR 6.3.2", _validity),
    Rule("within-parent", "RFC 5280 6.1", _within_parent),
    Rule("subject", "CSBR 7.1.4.2", _subject),
    Rule("issuer", "CSBR 7.1.4.1", _issuer),
    Rule("basic-constraints", "CSBR 7.1.2", _basic_constraints),
    Rule("key-usage", "CSBR 7.1.2", _key_usage),
    Rule("extended-key-usage", "CSBR 7.1.2.2, 7.1.2.3", _extended_key_usage),
    Rule("policies", "CSBR 7.1.2, 7.1.6", _policies),
    Rule("reserved-policy", "CSBR 7.1.6.1", _reserved),
    Rule("pointers", "CSBR 7.1.2.2, 7.1.2.3", _pointers),
    Rule("key-identifiers", "CSBR 7.1.2.2, 7.1.2.3", _key_identifiers),
    Rule("nothing-else", "CSBR 7.1.2.4", _nothing_else),
    Rule("mark", "CSBR 7.1.2.4", _mark),
)


def lint(case: Case) -> Iterator[Finding]:
    """Judge a certificate by every rule, and return what is broken."""
    for rule in RULES:
        try:
            detail = rule.judge(case)
        except x509.ExtensionNotFound as error:
            detail = f"extension {error.oid.dotted_string} is missing"
        if detail:
            yield Finding(rule.code, rule.section, detail)
