from datetime import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from sealwright.domain import oids
from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm, Module, Operator, Protection
from sealwright.structures import asn1, ber, cms
from sealwright.structures.protection import key_protection_extension
from sealwright.verification.checks import Result, Step
from sealwright.verification.trust import TrustStore, trust_store
from sealwright.verification.verdict import Verdict
from tests.pki import Identity
from tests.unit.verification import workshop as w
from tests.unit.verification.workshop import DAY, NOW, YEAR, Workshop

FILE = w.program()
CHANGED = w.program(b"\xcd" + b"\xcc" * 511)


@pytest.fixture(scope="module")
def shop() -> Workshop:
    return Workshop()


@pytest.fixture(scope="module")
def signed(shop: Workshop) -> bytes:
    return w.sign(FILE, shop.publisher, parameters={"program_name": "Test", "program_url": "https://example.test/"})


def test_a_good_signature_passes_every_check_and_says_what_it_knows(shop: Workshop, signed: bytes) -> None:
    judged = w.judge(shop.stamped(signed, NOW - DAY), FILE, shop.trust(*shop.crls()))
    assert judged.verdict is Verdict.PASSED
    assert w.amiss(judged) == {}
    assert [check.step.number for check in judged.checks] == list(range(1, 15))
    assert judged.certificate == shop.publisher.certificate
    assert judged.chain == (shop.publisher.certificate, shop.ca.certificate, shop.root.certificate)
    assert (judged.program_name, judged.program_url) == ("Test", "https://example.test/")
    assert judged.judged_at == NOW - DAY
    assert judged.warnings == ()
    assert judged.timestamp
    assert judged.timestamp.time == NOW - DAY
    assert judged.timestamp.token_policy == oids.TSA_POLICY_PROVEN_CLOCK
    assert judged.key_protection
    assert (judged.key_protection.model, judged.key_protection.lifetime) == ("signing-service", "persistent")


def test_a_changed_byte_in_the_file_fails_the_digest(shop: Workshop, signed: bytes) -> None:
    judged = w.judge(signed, CHANGED, shop.trust())
    assert judged.verdict is Verdict.FAILED
    assert w.amiss(judged) == {"file-digest": "failed"}


def test_a_digest_that_was_exchanged_fails_the_message_digest(shop: Workshop, signed: bytes) -> None:
    judged = w.judge(signed.replace(w.file_digest(FILE), w.file_digest(CHANGED)), CHANGED, shop.trust())
    assert w.amiss(judged) == {"message-digest": "failed"}


def test_changed_signed_attributes_fail_the_signature_value(shop: Workshop, signed: bytes) -> None:
    judged = w.judge(signed.replace("Test".encode("utf-16-be"), "Tost".encode("utf-16-be")), FILE, shop.trust())
    assert w.amiss(judged) == {"signature-value": "failed"}


def test_a_certificate_of_the_same_name_and_number_with_another_key_fails(shop: Workshop, signed: bytes) -> None:
    serial = shop.publisher.certificate.serial_number
    double = w.leaf("Publisher", shop.ca, 40, serial=serial)
    forged = _with_certificates(signed, double.chain)
    assert w.amiss(w.judge(forged, FILE, shop.trust())) == {"signature-value": "failed"}


def test_another_certificate_in_place_of_the_signers_fails(shop: Workshop, signed: bytes) -> None:
    stranger = w.leaf("Stranger", shop.ca, 41)
    judged = w.judge(_with_certificates(signed, stranger.chain), FILE, shop.trust())
    assert judged.verdict is Verdict.FAILED
    assert w.amiss(judged) == {"algorithms": "failed"}
    assert w.check(judged, Step.CHAIN).result is Result.NOT_APPLICABLE
    assert judged.certificate is None


def test_a_signature_without_a_signers_certificate_fails(shop: Workshop, signed: bytes) -> None:
    judged = w.judge(_with_certificates(signed, ()), FILE, shop.trust())
    assert w.check(judged, Step.ALGORITHMS).detail == "the signer's certificate is not embedded in the signature"


def test_rubbish_fails_the_first_check_and_no_other_is_reached(shop: Workshop) -> None:
    judged = w.judge(b"\x30\x03\x02\x01\x01", FILE, shop.trust())
    assert judged.verdict is Verdict.FAILED
    assert {check.result for check in judged.checks[1:]} == {Result.NOT_APPLICABLE}


def test_a_signature_of_other_content_is_no_authenticode_signature(shop: Workshop, signed: bytes) -> None:
    judged = w.judge(w.token(shop.tsa, signed, NOW), FILE, shop.trust())
    assert w.amiss(judged) == {"structure": "failed"}


def test_two_signers_in_one_structure_fail(shop: Workshop, signed: bytes) -> None:
    signer = cms.read_signed_data(signed).signers[0].element.raw
    doubled = _replaced(signed, asn1.set_of(signer), asn1.set_of(signer, signer))
    judged = w.judge(doubled, FILE, shop.trust())
    assert "one signer" in w.check(judged, Step.STRUCTURE).detail


@pytest.mark.parametrize("missing", [oids.CONTENT_TYPE, oids.MESSAGE_DIGEST])
def test_a_missing_signed_attribute_fails(missing: str, shop: Workshop, signed: bytes) -> None:
    original = cms.read_signed_data(signed).signers[0].element
    signer = original.raw.replace(asn1.oid(missing), asn1.oid(missing[:-1] + "9"))
    judged = w.judge(signed.replace(original.raw, signer), FILE, shop.trust())
    assert w.amiss(judged)["message-digest"] == "failed"


def test_a_signature_without_signed_attributes_fails(shop: Workshop, signed: bytes) -> None:
    original = cms.read_signed_data(signed).signers[0].element
    fields = [field.raw for field in original.children() if field.tag != 0xA0]
    judged = w.judge(
        _replaced(signed, asn1.set_of(original.raw), asn1.set_of(asn1.sequence_of(*fields))), FILE, shop.trust()
    )
    assert w.amiss(judged)["structure"] == "failed"


def test_a_digest_by_sha_1_is_indeterminate_because_it_proves_nothing(shop: Workshop, signed: bytes) -> None:
    original = cms.read_signed_data(signed)
    info = asn1.sequence_of(asn1.oid(oids.SHA256), asn1.null())
    sha1 = asn1.sequence_of(asn1.oid("1.3.14.3.2.26"), asn1.null())
    signer = original.signers[0].element
    fields = [field.raw.replace(info, sha1) if field.raw == info else field.raw for field in signer.children()]
    old = _replaced(signed, asn1.set_of(signer.raw), asn1.set_of(asn1.sequence_of(*fields)))
    judged = w.judge(old, FILE, shop.trust())
    assert judged.verdict is Verdict.INDETERMINATE
    assert w.amiss(judged)["algorithms"] == "indeterminate"


def test_an_unknown_root_is_indeterminate_and_says_how_to_trust_it(signed: bytes) -> None:
    judged = w.judge(signed, FILE, TrustStore())
    assert judged.verdict is Verdict.INDETERMINATE
    assert w.amiss(judged) == {"chain": "indeterminate"}
    assert "--trust" in w.check(judged, Step.CHAIN).hint
    assert judged.chain == ()


@pytest.mark.parametrize("usage", [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, None])
def test_a_certificate_that_is_not_for_code_signing_fails(usage: x509.ObjectIdentifier | None, shop: Workshop) -> None:
    other = w.leaf("Server", shop.ca, 42, usages=(usage,) if usage else ())
    judged = w.judge(w.sign(FILE, other), FILE, shop.trust())
    assert w.amiss(judged) == {"usage": "failed"}


def test_a_key_that_may_not_sign_fails(shop: Workshop) -> None:
    other = w.leaf("Mute", shop.ca, 43, usage=w.key_usage())
    assert w.amiss(w.judge(w.sign(FILE, other), FILE, shop.trust())) == {"usage": "failed"}


def test_a_certificate_without_key_usage_may_sign(shop: Workshop) -> None:
    extensions = ((x509.ExtendedKeyUsage([w.CODE_SIGNING]), False),)
    plain = w.issue("Plain", shop.ca, w.key(44), extensions=extensions)
    assert w.judge(w.sign(FILE, plain), FILE, shop.trust()).verdict is Verdict.PASSED


def test_an_expired_certificate_fails_without_a_timestamp_and_passes_with_one(shop: Workshop) -> None:
    expired = w.leaf("Expired", shop.ca, 45, last=NOW - DAY)
    signature = w.sign(FILE, expired)
    judged = w.judge(signature, FILE, shop.trust())
    assert w.amiss(judged) == {"validity": "failed"}
    assert "timestamp" in w.check(judged, Step.VALIDITY).hint
    assert w.judge(shop.stamped(signature, NOW - 2 * DAY), FILE, shop.trust()).verdict is Verdict.PASSED


def test_a_timestamp_outside_the_certificates_life_fails(shop: Workshop) -> None:
    expired = w.leaf("Expired", shop.ca, 45, last=NOW - 3 * DAY)
    judged = w.judge(shop.stamped(w.sign(FILE, expired), NOW - 2 * DAY), FILE, shop.trust())
    assert w.amiss(judged) == {"validity": "failed"}


def test_a_certificate_that_is_not_valid_yet_fails(shop: Workshop) -> None:
    early = w.leaf("Early", shop.ca, 46, first=NOW + DAY)
    assert w.amiss(w.judge(w.sign(FILE, early), FILE, shop.trust())) == {"validity": "failed"}


def test_another_time_of_judgement_may_change_the_verdict(shop: Workshop, signed: bytes) -> None:
    assert w.judge(signed, FILE, shop.trust(), NOW + 2 * YEAR).verdict is Verdict.FAILED
    expired = w.leaf("Expired", shop.ca, 45, last=NOW - DAY)
    judged = w.judge(w.sign(FILE, expired), FILE, shop.trust(), NOW - 2 * DAY)
    assert judged.verdict is Verdict.PASSED
    assert judged.judged_at == NOW - 2 * DAY


def test_lifetime_signing_ends_a_signature_with_its_certificate_whatever_its_timestamp(shop: Workshop) -> None:
    lifetime = x509.ObjectIdentifier(oids.EKU_LIFETIME_SIGNING)
    usages = (w.CODE_SIGNING, lifetime)
    alive = w.leaf("Alive", shop.ca, 47, usages=usages)
    judged = w.judge(shop.stamped(w.sign(FILE, alive), NOW - 2 * DAY), FILE, shop.trust())
    assert judged.verdict is Verdict.PASSED
    assert w.check(judged, Step.LIFETIME_SIGNING).result is Result.PASSED
    ended = w.leaf("Ended", shop.ca, 48, usages=usages, last=NOW - DAY)
    judged = w.judge(shop.stamped(w.sign(FILE, ended), NOW - 2 * DAY), FILE, shop.trust())
    assert w.amiss(judged) == {"validity": "failed", "lifetime-signing": "failed"}


def test_revoked_before_the_timestamp_fails_and_after_it_passes(shop: Workshop, signed: bytes) -> None:
    stamped = shop.stamped(signed, NOW - 10 * DAY)
    serial = shop.publisher.certificate.serial_number

    def judged(since: datetime) -> Result:
        found = w.judge(stamped, FILE, shop.trust(*shop.crls({serial: since})))
        return w.check(found, Step.REVOCATION).result

    assert judged(NOW - 11 * DAY) is Result.FAILED
    assert judged(NOW - 10 * DAY) is Result.FAILED
    assert judged(NOW - 9 * DAY) is Result.PASSED


def test_a_revoked_certificate_without_a_timestamp_fails(shop: Workshop, signed: bytes) -> None:
    serial = shop.publisher.certificate.serial_number
    judged = w.judge(signed, FILE, shop.trust(*shop.crls({serial: NOW - DAY})))
    assert w.amiss(judged) == {"revocation": "failed"}


def test_without_any_list_revocation_is_not_checked_and_a_warning_says_so(shop: Workshop, signed: bytes) -> None:
    judged = w.judge(signed, FILE, shop.trust())
    assert judged.verdict is Verdict.PASSED
    assert judged.warnings == ("revocation was not checked",)
    assert w.check(judged, Step.REVOCATION).result is Result.NOT_APPLICABLE


def test_lists_that_do_not_cover_every_certificate_leave_it_open(shop: Workshop, signed: bytes) -> None:
    judged = w.judge(signed, FILE, shop.trust(w.crl(shop.ca)))
    assert w.amiss(judged) == {"revocation": "indeterminate"}
    assert "by Root" in w.check(judged, Step.REVOCATION).detail


def test_without_a_path_to_a_root_lists_say_nothing(shop: Workshop, signed: bytes) -> None:
    judged = w.judge(signed, FILE, TrustStore(crls=tuple(shop.crls())))
    assert w.check(judged, Step.REVOCATION).result is Result.NOT_APPLICABLE


def test_a_signers_certificate_that_is_trusted_itself_needs_no_path(shop: Workshop) -> None:
    extensions = ((x509.ExtendedKeyUsage([w.CODE_SIGNING]), False),)
    alone = w.issue("Alone", None, w.key(49), extensions=extensions)
    trust = trust_store([alone.certificate], shop.crls())
    judged = w.judge(w.sign(FILE, alone), FILE, trust)
    assert judged.verdict is Verdict.PASSED
    assert w.check(judged, Step.REVOCATION).result is Result.NOT_APPLICABLE


@pytest.mark.parametrize("algorithm", DigestAlgorithm)
@pytest.mark.parametrize("kind", [KeyAlgorithm.P256, KeyAlgorithm.P384, KeyAlgorithm.P521, KeyAlgorithm.RSA_3072])
def test_every_key_and_digest_that_we_make_passes(
    kind: KeyAlgorithm, algorithm: DigestAlgorithm, shop: Workshop
) -> None:
    private = w.key(50, kind)
    extensions = ((x509.ExtendedKeyUsage([w.CODE_SIGNING]), False),)
    made = w.issue("Made", shop.ca, private, extensions=extensions)
    identity = Identity(made.certificate, private, kind, made.above)
    judged = w.judge(w.sign(FILE, identity, algorithm=algorithm), FILE, shop.trust())
    assert judged.verdict is Verdict.PASSED
    assert judged.digest_algorithm == algorithm.value


def test_a_short_rsa_key_proves_nothing_and_a_middling_one_is_called_so(shop: Workshop) -> None:
    extensions = ((x509.ExtendedKeyUsage([w.CODE_SIGNING]), False),)
    for bits, verdict in ((1024, Verdict.INDETERMINATE), (2048, Verdict.PASSED)):
        private = rsa.generate_private_key(65537, bits)
        made = w.issue(f"RSA {bits}", shop.ca, private, extensions=extensions)
        identity = Identity(made.certificate, private, KeyAlgorithm.RSA_3072, made.above)
        judged = w.judge(w.sign(FILE, identity), FILE, shop.trust())
        assert judged.verdict is verdict
        assert str(bits) in w.check(judged, Step.ALGORITHMS).detail


def _statement(model_of: Protection) -> tuple[x509.ExtensionType, bool]:
    value = key_protection_extension(model_of, "https://example.test/")
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(oids.KEY_PROTECTION), value), False


def _policies(*numbers: int) -> tuple[x509.ExtensionType, bool]:
    identifiers = [x509.ObjectIdentifier(f"{oids.PROTECTION_POLICY}.{number}") for number in numbers]
    return x509.CertificatePolicies([x509.PolicyInformation(one, None) for one in identifiers]), False


SOFTWARE = Protection(operator=Operator.SUBSCRIBER, generated_by=Operator.SUBSCRIBER, module=Module.NONE)


@pytest.mark.parametrize(
    ("extra", "in_signature", "model", "result"),
    [
        ((), w.HOSTED, "signing-service", Result.PASSED),
        ((_statement(w.HOSTED), _policies(3)), w.HOSTED, "signing-service", Result.PASSED),
        ((_policies(3),), w.HOSTED, "signing-service", Result.PASSED),
        ((_statement(SOFTWARE),), w.HOSTED, "software", Result.NOT_APPLICABLE),
        ((_statement(w.HOSTED), _policies(4)), w.HOSTED, "unknown", Result.NOT_APPLICABLE),
        ((_policies(3, 4),), w.HOSTED, "unknown", Result.NOT_APPLICABLE),
        ((_policies(99),), w.HOSTED, "unknown", Result.NOT_APPLICABLE),
    ],
)
def test_the_mark_says_who_states_what_and_disagreement_is_a_warning(
    extra: w.Extensions, in_signature: Protection, model: str, result: Result, shop: Workshop
) -> None:
    marked = w.leaf("Marked", shop.ca, 51, extra=extra)
    judged = w.judge(w.sign(FILE, marked, protection=in_signature), FILE, shop.trust(*shop.crls()))
    assert judged.verdict is Verdict.PASSED
    assert w.check(judged, Step.KEY_PROTECTION).result is result
    assert judged.key_protection
    assert judged.key_protection.model == model
    assert bool(judged.warnings) is (result is Result.NOT_APPLICABLE)


def test_a_signature_that_says_nothing_of_its_key_is_no_worse_for_it(shop: Workshop, signed: bytes) -> None:
    # Unsigned by this change, so only the mark's own check is looked at.
    silent = signed.replace(asn1.oid(oids.SIGNATURE_PROTECTION), asn1.oid(f"{oids.ID_SW}.7"))
    judged = w.judge(silent, FILE, shop.trust())
    check = w.check(judged, Step.KEY_PROTECTION)
    assert (check.result, check.detail.split(":")[0]) == (Result.NOT_APPLICABLE, "unknown")
    assert judged.key_protection
    assert (judged.key_protection.model, judged.key_protection.lifetime) == ("unknown", "unknown")


def test_an_unreadable_part_is_a_warning(shop: Workshop, signed: bytes) -> None:
    name = asn1.tlv(0x80, "Test".encode("utf-16-be"))
    broken = signed.replace(name, b"\x87" + name[1:])
    judged = w.judge(broken, FILE, shop.trust())
    assert any("cannot be read" in warning for warning in judged.warnings)
    assert judged.program_name is None


def _with_certificates(signature: bytes, chain: tuple[bytes, ...]) -> bytes:
    signed_data = cms.read_signed_data(signature)
    return _replaced(signature, asn1.tlv(0xA0, *sorted(signed_data.certificates)), asn1.tlv(0xA0, *sorted(chain)))


def _replaced(signature: bytes, old: bytes, new: bytes) -> bytes:
    """Replace one element right inside SignedData and write the lengths around it anew."""
    outer = ber.read(signature)
    kind, wrapped = outer.children()
    fields = [field.raw for field in wrapped.only_child().children()]
    assert old in fields
    fields[fields.index(old)] = new
    return asn1.sequence_of(kind.raw, asn1.explicit(0, asn1.sequence_of(*fields)))
