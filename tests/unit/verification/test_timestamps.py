import pytest
from cryptography import x509

from sealwright.domain import oids
from sealwright.domain.keys import DigestAlgorithm
from sealwright.structures.cms import with_unsigned
from sealwright.verification.checks import Result, Step
from sealwright.verification.reading import COUNTERSIGNATURE
from sealwright.verification.trust import trust_store
from sealwright.verification.verdict import Verdict
from tests.unit.verification import workshop as w
from tests.unit.verification.workshop import DAY, NOW, Revoked, Workshop

FILE = w.program()


@pytest.fixture(scope="module")
def shop() -> Workshop:
    return Workshop()


@pytest.fixture(scope="module")
def signed(shop: Workshop) -> bytes:
    return w.sign(FILE, shop.publisher)


def test_a_timestamp_of_another_signature_fails(shop: Workshop, signed: bytes) -> None:
    other = w.sign(w.program(b"\x90" * 512), shop.publisher)
    judged = w.judge(w.stamp(signed, w.token(shop.tsa, other, NOW - DAY)), FILE, shop.trust())
    assert w.amiss(judged) == {"timestamp": "failed"}
    assert "another digest" in w.check(judged, Step.TIMESTAMP).detail


def test_a_token_with_a_wrong_imprint_fails(shop: Workshop, signed: bytes) -> None:
    judged = w.judge(w.stamp(signed, w.token(shop.tsa, signed, NOW - DAY, imprint=bytes(32))), FILE, shop.trust())
    assert w.amiss(judged) == {"timestamp": "failed"}


def test_a_token_whose_time_was_changed_fails(shop: Workshop, signed: bytes) -> None:
    token = w.token(shop.tsa, signed, NOW - DAY)
    judged = w.judge(w.stamp(signed, token.replace(b"20261122120000Z", b"20251122120000Z")), FILE, shop.trust())
    assert w.amiss(judged) == {"timestamp": "failed"}


def test_rubbish_in_place_of_a_token_fails(shop: Workshop, signed: bytes) -> None:
    judged = w.judge(w.stamp(signed, b"\x30\x00"), FILE, shop.trust())
    assert w.amiss(judged) == {"timestamp": "failed"}
    assert judged.timestamp is None


@pytest.mark.parametrize("algorithm", DigestAlgorithm)
def test_an_imprint_by_any_allowed_digest_passes(algorithm: DigestAlgorithm, shop: Workshop, signed: bytes) -> None:
    token = w.token(shop.tsa, signed, NOW - DAY, algorithm=algorithm)
    assert w.judge(w.stamp(signed, token), FILE, shop.trust()).verdict is Verdict.PASSED


def test_an_unknown_timestamp_root_is_indeterminate(shop: Workshop, signed: bytes) -> None:
    judged = w.judge(shop.stamped(signed, NOW - DAY), FILE, trust_store([shop.root.certificate]))
    assert judged.verdict is Verdict.INDETERMINATE
    assert w.amiss(judged) == {"timestamp-chain": "indeterminate"}
    assert "--trust" in w.check(judged, Step.TIMESTAMP_CHAIN).hint


def test_an_expired_certificate_under_an_unproven_timestamp_stays_open(shop: Workshop) -> None:
    signature = w.sign(FILE, w.leaf("Expired", shop.ca, 45, last=NOW - DAY))
    only = trust_store([shop.root.certificate])
    judged = w.judge(shop.stamped(signature, NOW - 2 * DAY), FILE, only)
    assert w.amiss(judged) == {"timestamp-chain": "indeterminate", "validity": "indeterminate"}
    judged = w.judge(shop.stamped(signature, NOW), FILE, only)
    assert w.amiss(judged) == {"timestamp-chain": "indeterminate", "validity": "indeterminate"}


def test_a_bad_path_at_an_unproven_time_stays_open(shop: Workshop) -> None:
    old = w.authority("Old CA", shop.root, 70, last=NOW - 30 * DAY)
    signature = w.sign(FILE, w.leaf("Child", old, 61))
    judged = w.judge(shop.stamped(signature, NOW - DAY), FILE, trust_store([shop.root.certificate]))
    assert w.check(judged, Step.CHAIN).result is Result.INDETERMINATE


def test_a_certificate_that_is_not_for_timestamps_fails(shop: Workshop, signed: bytes) -> None:
    wrong = w.leaf("No TSA", shop.tsa_ca, 90, usages=(w.CODE_SIGNING,), critical=True)
    assert w.amiss(w.judge(shop.stamped(signed, NOW - DAY, wrong), FILE, shop.trust()))["timestamp"] == "failed"


def test_the_authority_must_have_been_valid_at_the_time_it_states(shop: Workshop, signed: bytes) -> None:
    past = w.leaf("Past TSA", shop.tsa_ca, 91, usages=(w.TIME_STAMPING,), critical=True, last=NOW - 5 * DAY)
    judged = w.judge(shop.stamped(signed, NOW - DAY, past), FILE, shop.trust())
    assert w.amiss(judged) == {"timestamp-chain": "failed"}
    assert judged.judged_at == NOW
    assert w.judge(shop.stamped(signed, NOW - 6 * DAY, past), FILE, shop.trust()).verdict is Verdict.PASSED


def test_a_timestamp_of_the_future_is_indeterminate(shop: Workshop, signed: bytes) -> None:
    stamped = shop.stamped(signed, NOW - DAY)
    judged = w.judge(stamped, FILE, shop.trust(), NOW - 2 * DAY)
    assert w.amiss(judged) == {"timestamp": "indeterminate"}
    assert w.check(judged, Step.TIMESTAMP).hint == "judge at a later time"
    judged = w.judge(shop.stamped(signed, NOW + DAY), FILE, shop.trust())
    assert "clock" in w.check(judged, Step.TIMESTAMP).hint


@pytest.mark.parametrize("last_is_good", [True, False])
def test_of_several_timestamps_one_that_holds_is_enough(shop: Workshop, signed: bytes, *, last_is_good: bool) -> None:
    good, bad = w.token(shop.tsa, signed, NOW - DAY), w.token(shop.tsa, signed, NOW - DAY, imprint=bytes(32))
    stamped = signed
    for token in (bad, good) if last_is_good else (good, bad):
        stamped = w.stamp(stamped, token)
    assert w.judge(stamped, FILE, shop.trust()).verdict is Verdict.PASSED


def test_more_timestamps_than_anybody_needs_fail(shop: Workshop, signed: bytes) -> None:
    stamped = signed
    for _ in range(9):
        stamped = w.stamp(stamped, b"\x30\x00")
    assert w.amiss(w.judge(stamped, FILE, shop.trust())) == {"structure": "failed"}


def test_a_countersignature_of_old_is_not_judged(shop: Workshop, signed: bytes) -> None:
    judged = w.judge(with_unsigned(signed, COUNTERSIGNATURE, b"\x30\x00"), FILE, shop.trust())
    assert w.amiss(judged) == {"timestamp": "indeterminate"}
    expired = w.sign(FILE, w.leaf("Expired", shop.ca, 45, last=NOW - DAY))
    judged = w.judge(with_unsigned(expired, COUNTERSIGNATURE, b"\x30\x00"), FILE, shop.trust())
    assert w.amiss(judged) == {"timestamp": "indeterminate", "validity": "indeterminate"}


def test_the_reserved_policy_counts_in_the_authoritys_certificate_alone(shop: Workshop, signed: bytes) -> None:
    policy = x509.PolicyInformation(x509.ObjectIdentifier(oids.CABF_TIMESTAMP), None)
    extra = ((x509.CertificatePolicies([policy]), False),)
    audited = w.leaf("Audited TSA", shop.tsa_ca, 92, usages=(w.TIME_STAMPING,), critical=True, extra=extra)
    judged = w.judge(shop.stamped(signed, NOW - DAY, audited), FILE, shop.trust())
    assert w.check(judged, Step.TIMESTAMP_POLICY).result is Result.PASSED
    assert judged.timestamp
    assert judged.timestamp.reserved_policy
    claimed = w.token(shop.tsa, signed, NOW - DAY, policy=oids.CABF_TIMESTAMP)
    judged = w.judge(w.stamp(signed, claimed), FILE, shop.trust())
    assert w.check(judged, Step.TIMESTAMP_POLICY).result is Result.NOT_APPLICABLE
    assert judged.verdict is Verdict.PASSED


def test_an_unproven_clock_is_a_warning(shop: Workshop, signed: bytes) -> None:
    token = w.token(shop.tsa, signed, NOW - DAY, policy=oids.TSA_POLICY_UNPROVEN_CLOCK)
    judged = w.judge(w.stamp(signed, token), FILE, shop.trust(*shop.crls()))
    assert any("clock" in warning for warning in judged.warnings)


def test_an_imprint_by_sha_1_proves_nothing(shop: Workshop, signed: bytes) -> None:
    """The identifier alone is exchanged: the token is read no further than that."""
    token = w.token(shop.tsa, signed, NOW - DAY, imprint=bytes(32))
    imprint = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00"
    assert imprint in token
    judged = w.judge(w.stamp(signed, token.replace(imprint, imprint[:-3] + b"\x09\x05\x00")), FILE, shop.trust())
    assert w.amiss(judged) == {"timestamp": "indeterminate"}


def test_a_token_that_is_signed_by_an_unknown_algorithm_proves_nothing(shop: Workshop, signed: bytes) -> None:
    ecdsa = b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"
    token = w.token(shop.tsa, signed, NOW - DAY)
    head, _, tail = token.rpartition(ecdsa)
    judged = w.judge(w.stamp(signed, head + ecdsa[:-1] + b"\x09" + tail), FILE, shop.trust())
    assert w.amiss(judged) == {"timestamp": "indeterminate"}


@pytest.mark.parametrize(
    ("reason", "result"),
    [(x509.ReasonFlags.key_compromise, Result.FAILED), (x509.ReasonFlags.superseded, Result.PASSED)],
)
def test_a_revoked_authority_voids_its_timestamps_unless_its_key_is_safe(
    reason: x509.ReasonFlags, result: Result, shop: Workshop, signed: bytes
) -> None:
    entry = {shop.tsa.certificate.serial_number: Revoked(NOW - DAY, reason)}
    stamped = shop.stamped(signed, NOW - 10 * DAY)
    judged = w.judge(stamped, FILE, shop.trust(*shop.crls(tsa_revoked=entry)))
    assert w.check(judged, Step.REVOCATION).result is result
