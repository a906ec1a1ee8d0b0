from datetime import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sealwright.domain.keys import KeyAlgorithm
from sealwright.verification.checks import Result
from sealwright.verification.revocation import Revocation, judge_path
from tests.unit.verification import workshop as w
from tests.unit.verification.workshop import DAY, NOW, Revoked, Workshop

SIGNED = NOW - 10 * DAY


@pytest.fixture(scope="module")
def shop() -> Workshop:
    return Workshop()


def judged(
    shop: Workshop, *crls: x509.CertificateRevocationList, at: datetime = SIGNED, timestamping: bool = False
) -> Revocation:
    """Judge the publisher's certificate alone."""
    path = (shop.publisher.certificate, shop.ca.certificate)
    (found,) = judge_path(path, crls, at, NOW, timestamping=timestamping)
    return found


def revoked(shop: Workshop, entry: Revoked) -> x509.CertificateRevocationList:
    return w.crl(shop.ca, {shop.publisher.certificate.serial_number: entry})


def test_every_certificate_but_the_root_is_judged(shop: Workshop) -> None:
    path = (shop.publisher.certificate, shop.ca.certificate, shop.root.certificate)
    found = judge_path(path, [w.crl(shop.ca), w.crl(shop.root)], SIGNED, NOW)
    assert [one.result for one in found] == [Result.PASSED, Result.PASSED]
    assert [one.detail for one in found] == ["Publisher is not revoked", "CA is not revoked"]


def test_a_revoked_authority_fails(shop: Workshop) -> None:
    path = (shop.ca.certificate, shop.root.certificate)
    crl = w.crl(shop.root, {shop.ca.certificate.serial_number: Revoked(NOW - 20 * DAY)})
    assert judge_path(path, [crl], SIGNED, NOW)[0].result is Result.FAILED


def test_no_list_at_all_leaves_it_open(shop: Workshop) -> None:
    assert judged(shop).result is Result.INDETERMINATE


def test_a_list_of_another_issuer_does_not_count(shop: Workshop) -> None:
    other = w.crl(shop.tsa_ca, {shop.publisher.certificate.serial_number: Revoked(NOW - 20 * DAY)})
    assert judged(shop, other).result is Result.INDETERMINATE


def test_a_list_in_the_issuers_name_by_another_key_does_not_count(shop: Workshop) -> None:
    forged = w.crl(shop.ca, signer=shop.tsa_ca)
    assert judged(shop, forged).result is Result.INDETERMINATE


def test_a_list_by_an_issuer_that_may_not_sign_lists_does_not_count(shop: Workshop) -> None:
    ca = w.authority("CA", shop.root, 2, usage=w.key_usage(certifies=True))
    path = (shop.publisher.certificate, ca.certificate)
    assert judge_path(path, [w.crl(shop.ca)], SIGNED, NOW)[0].result is Result.INDETERMINATE


def test_a_list_by_an_issuer_without_key_usage_counts(shop: Workshop) -> None:
    ca = w.issue("CA", shop.root, w.key(2), extensions=((x509.BasicConstraints(ca=True, path_length=None), True),))
    path = (shop.publisher.certificate, ca.certificate)
    assert judge_path(path, [w.crl(shop.ca)], SIGNED, NOW)[0].result is Result.PASSED


def test_an_outdated_list_leaves_it_open_but_still_proves_a_revocation(shop: Workshop) -> None:
    old = w.crl(shop.ca, this_update=NOW - 9 * DAY, next_update=NOW - 2 * DAY)
    assert judged(shop, old).detail == "the revocation list by CA is out of date"
    entry = {shop.publisher.certificate.serial_number: Revoked(NOW - 20 * DAY)}
    proof = w.crl(shop.ca, entry, this_update=NOW - 9 * DAY, next_update=NOW - 2 * DAY)
    assert judged(shop, proof).result is Result.FAILED
    assert judged(shop, old, w.crl(shop.ca)).result is Result.PASSED


def test_a_list_from_the_future_is_not_current(shop: Workshop) -> None:
    assert judged(shop, w.crl(shop.ca, this_update=NOW + DAY)).result is Result.INDETERMINATE


@pytest.mark.parametrize(
    ("since", "result"),
    [(SIGNED - DAY, Result.FAILED), (SIGNED, Result.FAILED), (SIGNED + DAY, Result.PASSED)],
)
def test_what_counts_is_whether_it_was_revoked_after_the_signature(
    since: datetime, result: Result, shop: Workshop
) -> None:
    found = judged(shop, revoked(shop, Revoked(since, x509.ReasonFlags.key_compromise)))
    assert found.result is result
    assert ("CSBR 4.9.6" in found.detail) is (result is Result.PASSED)


def test_a_key_that_is_suspect_since_before_the_signature_leaves_it_open(shop: Workshop) -> None:
    suspect = Revoked(SIGNED + DAY, suspect_since=SIGNED - DAY)
    assert judged(shop, revoked(shop, suspect)).result is Result.INDETERMINATE
    later = Revoked(SIGNED + 2 * DAY, suspect_since=SIGNED + DAY)
    assert judged(shop, revoked(shop, later)).result is Result.PASSED


@pytest.mark.parametrize(
    ("reason", "result"),
    [
        (x509.ReasonFlags.superseded, Result.PASSED),
        (x509.ReasonFlags.cessation_of_operation, Result.PASSED),
        (x509.ReasonFlags.affiliation_changed, Result.PASSED),
        (x509.ReasonFlags.key_compromise, Result.FAILED),
        (None, Result.FAILED),
    ],
)
def test_a_timestamp_authority_that_lost_its_key_voids_all_its_timestamps(
    reason: x509.ReasonFlags | None, result: Result, shop: Workshop
) -> None:
    crl = revoked(shop, Revoked(SIGNED + DAY, reason))
    assert judged(shop, crl, timestamping=True).result is result


def _point(**options: object) -> x509.IssuingDistributionPoint:
    fields: dict[str, object] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**(fields | options))  # type: ignore[arg-type] # a table of any options


@pytest.mark.parametrize(
    ("extension", "result"),
    [
        (_point(only_contains_user_certs=True), Result.PASSED),
        (_point(only_contains_ca_certs=True), Result.INDETERMINATE),
        (_point(only_contains_attribute_certs=True), Result.INDETERMINATE),
        (_point(indirect_crl=True), Result.INDETERMINATE),
        (_point(only_some_reasons=frozenset({x509.ReasonFlags.key_compromise})), Result.INDETERMINATE),
        (x509.DeltaCRLIndicator(1), Result.INDETERMINATE),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), Result.INDETERMINATE),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_list_counts_within_its_scope_alone(extension: x509.ExtensionType, result: Result, shop: Workshop) -> None:
    assert judged(shop, w.crl(shop.ca, extensions=((extension, True),))).result is result


def test_a_list_that_is_signed_with_sha_1_does_not_count(shop: Workshop) -> None:
    """The algorithm's identifier is exchanged, in both places; it is refused before the signature is looked at."""
    private = w.key(30, KeyAlgorithm.RSA_3072)
    ca = w.issue("RSA CA", shop.root, private, extensions=((x509.BasicConstraints(ca=True, path_length=None), True),))
    leaf = w.leaf("Child", ca, 61)
    path = (leaf.certificate, ca.certificate)
    crl = w.crl(ca)
    assert judge_path(path, [crl], SIGNED, NOW)[0].result is Result.PASSED
    sha256, sha1 = (bytes.fromhex("2a864886f70d0101") + bytes([last]) for last in (11, 5))
    weak = x509.load_der_x509_crl(crl.public_bytes(Encoding.DER).replace(sha256, sha1))
    assert judge_path(path, [weak], SIGNED, NOW)[0].result is Result.INDETERMINATE


def test_a_list_of_end_users_says_nothing_of_authorities(shop: Workshop) -> None:
    crl = w.crl(shop.root, extensions=((_point(only_contains_user_certs=True), True),))
    path = (shop.ca.certificate, shop.root.certificate)
    assert judge_path(path, [crl], SIGNED, NOW)[0].result is Result.INDETERMINATE


def test_a_certificate_without_basic_constraints_is_an_end_users(shop: Workshop) -> None:
    plain = w.issue("Plain", shop.ca, w.key(44))
    crl = w.crl(shop.ca, extensions=((_point(only_contains_user_certs=True), True),))
    path = (plain.certificate, shop.ca.certificate)
    assert judge_path(path, [crl], SIGNED, NOW)[0].result is Result.PASSED
