from datetime import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sealwright.domain import oids
from sealwright.verification import chains
from sealwright.verification.chains import Chain, find_chain
from sealwright.verification.checks import Result
from sealwright.verification.trust import trust_store
from tests.pki import Identity
from tests.unit.verification import workshop as w
from tests.unit.verification.workshop import DAY, NOW, YEAR, Workshop

UNKNOWN_EXTENSION = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\0")


@pytest.fixture(scope="module")
def shop() -> Workshop:
    return Workshop()


def found(leaf: Identity, *roots: Identity, pool: tuple[Identity, ...] = (), at: datetime = NOW) -> Chain:
    trust = trust_store([root.certificate for root in roots])
    others = (*leaf.above, *(one.certificate for one in pool))
    return find_chain(leaf.certificate, others, trust, oids.EKU_CODE_SIGNING, at)


def test_a_path_to_a_trusted_root_passes(shop: Workshop) -> None:
    chain = found(shop.publisher, shop.tsa_root, shop.root)
    assert chain.result is Result.PASSED
    assert chain.path == (shop.publisher.certificate, shop.ca.certificate, shop.root.certificate)
    assert chain.detail == "leads to Root"


def test_an_intermediate_that_was_given_as_trusted_only_helps(shop: Workshop) -> None:
    bare = Identity(shop.publisher.certificate, shop.publisher.key, shop.publisher.algorithm)
    assert found(bare, shop.ca).result is Result.INDETERMINATE
    assert found(bare, shop.ca, shop.root).result is Result.PASSED


def test_a_missing_intermediate_is_named(shop: Workshop) -> None:
    bare = Identity(shop.publisher.certificate, shop.publisher.key, shop.publisher.algorithm)
    chain = found(bare, shop.root)
    assert chain.result is Result.INDETERMINATE
    assert chain.detail == "the issuer of Publisher, CN=CA, is not at hand"


def test_an_embedded_root_that_nobody_trusts_is_named(shop: Workshop) -> None:
    chain = found(shop.publisher, shop.tsa_root, pool=(shop.root,))
    assert chain.detail == "the root Root is not trusted here"
    assert "--trust" in chain.hint


def test_a_trusted_namesake_of_the_issuer_is_not_the_issuer(shop: Workshop) -> None:
    impostor = w.authority("Root", None, 60)
    chain = found(shop.publisher, impostor)
    assert chain.result is Result.INDETERMINATE
    assert "no certificate at hand that is named CN=Root has issued CA" in chain.detail


def test_a_leaf_that_was_issued_by_a_leaf_fails(shop: Workshop) -> None:
    child = w.leaf("Child", shop.publisher, 61)
    chain = found(child, shop.root)
    assert chain.result is Result.FAILED
    assert chain.detail == "Publisher issued a certificate, but is no certification authority"


def test_an_issuer_without_basic_constraints_fails(shop: Workshop) -> None:
    bare = w.issue("Bare CA", shop.root, w.key(62), extensions=((w.key_usage(certifies=True), True),))
    assert "no certification authority" in found(w.leaf("Child", bare, 61), shop.root).detail


def test_an_issuer_whose_key_may_not_sign_certificates_fails(shop: Workshop) -> None:
    mute = w.authority("Mute CA", shop.root, 63, usage=w.key_usage(lists=True))
    chain = found(w.leaf("Child", mute, 61), shop.root)
    assert (chain.result, chain.detail) == (Result.FAILED, "the key of Mute CA may not sign certificates")


def test_an_issuer_without_key_usage_may_sign_certificates(shop: Workshop) -> None:
    basic = x509.BasicConstraints(ca=True, path_length=None)
    plain = w.issue("Plain CA", shop.root, w.key(64), extensions=((basic, True),))
    assert found(w.leaf("Child", plain, 61), shop.root).result is Result.PASSED


def test_an_authority_for_another_purpose_fails(shop: Workshop) -> None:
    usages = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), False)
    other = w.authority("Other CA", shop.root, 65, extra=(usages,))
    assert "for this purpose" in found(w.leaf("Child", other, 61), shop.root).detail
    every = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), False)
    anything = w.authority("Any CA", shop.root, 66, extra=(every,))
    assert found(w.leaf("Child", anything, 61), shop.root).result is Result.PASSED


def test_more_authorities_than_the_path_length_allows_fail(shop: Workshop) -> None:
    upper = w.authority("Upper CA", shop.root, 67, path_length=0)
    lower = w.authority("Lower CA", upper, 68)
    chain = found(w.leaf("Child", lower, 61), shop.root)
    assert (chain.result, chain.detail) == (
        Result.FAILED,
        "the authority Upper CA may not have so many authorities below it",
    )
    assert found(w.leaf("Child", upper, 61), shop.root).result is Result.PASSED


@pytest.mark.parametrize("where", ["leaf", "authority"])
def test_an_unknown_critical_extension_fails_and_one_that_is_not_critical_passes(where: str, shop: Workshop) -> None:
    for critical, result in ((True, Result.FAILED), (False, Result.PASSED)):
        extra = ((UNKNOWN_EXTENSION, critical),)
        issuer = shop.ca if where == "leaf" else w.authority("Odd CA", shop.root, 69, extra=extra)
        odd = w.leaf("Odd", issuer, 61, extra=extra if where == "leaf" else ())
        chain = found(odd, shop.root)
        assert chain.result is result
        assert ("1.2.3.4" in chain.detail) is critical


def test_an_expired_authority_fails_at_a_time_after_its_end_alone(shop: Workshop) -> None:
    old = w.authority("Old CA", shop.root, 70, last=NOW - 30 * DAY)
    child = w.leaf("Child", old, 61)
    chain = found(child, shop.root)
    assert (chain.result, "Old CA was not valid at" in chain.detail) == (Result.FAILED, True)
    assert found(child, shop.root, at=NOW - 31 * DAY).result is Result.PASSED
    assert found(child, shop.root, at=NOW + 6 * YEAR).result is Result.FAILED


def test_of_two_paths_the_one_that_holds_is_taken(shop: Workshop) -> None:
    """A cross-certified authority: the older certificate has expired, the newer has not."""
    old = w.authority("Cross CA", shop.root, 71, last=NOW - DAY)
    new = w.authority("Cross CA", shop.root, 71)
    child = w.leaf("Child", old, 61)
    assert found(child, shop.root, pool=(old, new)).path[1] == new.certificate


def test_a_short_rsa_key_of_an_authority_proves_nothing(shop: Workshop) -> None:
    basic = x509.BasicConstraints(ca=True, path_length=None)
    weak = w.issue("Weak CA", shop.root, rsa.generate_private_key(65537, 1024), extensions=((basic, True),))  # noqa: S505 - the point of it
    chain = found(w.leaf("Child", weak, 61), shop.root)
    assert (chain.result, chain.detail) == (Result.INDETERMINATE, "the key of Weak CA proves nothing: RSA of 1024 bits")


def test_a_curve_that_we_do_not_judge_proves_nothing(shop: Workshop) -> None:
    odd = ec.generate_private_key(ec.SECP256K1())
    made = w.issue("Odd", shop.ca, odd, extensions=((x509.BasicConstraints(ca=False, path_length=None), True),))
    assert found(made, shop.root).result is Result.INDETERMINATE


def test_a_signature_by_an_algorithm_that_we_do_not_judge_proves_nothing(shop: Workshop) -> None:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Sha-3")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(shop.ca.certificate.subject)
        .public_key(w.key(72).public_key())
        .serial_number(7)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .sign(shop.ca.key, hashes.SHA3_256())
    )
    chain = found(Identity(certificate, w.key(72), shop.ca.algorithm, shop.publisher.above), shop.root)
    assert chain.result is Result.INDETERMINATE
    assert "proves nothing" in chain.detail


def test_what_the_library_alone_objects_to_fails(shop: Workshop) -> None:
    """Name constraints: we leave them to the library."""
    only = x509.NameConstraints(permitted_subtrees=[x509.DNSName("example.test")], excluded_subtrees=None)
    narrow = w.authority("Narrow CA", shop.root, 73, extra=((only, True),))
    names = (x509.SubjectAlternativeName([x509.DNSName("example.org")]), False)
    chain = found(w.leaf("Child", narrow, 61, extra=(names,)), shop.root)
    assert chain.result is Result.FAILED
    assert "is refused" in chain.detail


def test_a_path_longer_than_any_in_use_is_not_followed(shop: Workshop) -> None:
    issuer = shop.root
    for number in range(chains.MAX_DEPTH):
        issuer = w.authority(f"CA {number}", issuer, 74 + number)
    assert found(w.leaf("Child", issuer, 61), shop.root).result is Result.INDETERMINATE


def test_a_crowd_of_look_alikes_costs_a_bounded_number_of_checks(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Authorities of one name and one key that issued each other: every order of them is a path."""
    crowd = [w.issue("Crowd", None, w.key(85), extensions=(), serial=number + 1) for number in range(30)]
    crowd += [
        Identity(one.certificate, one.key, one.algorithm)
        for one in (w.authority("Crowd", crowd[0], 85, path_length=number) for number in range(30))
    ]
    calls = 0

    def counted(*_: object) -> bool:
        nonlocal calls
        calls += 1
        return True

    monkeypatch.setattr(chains, "_issued", counted)
    chain = found(w.leaf("Child", crowd[0], 61), shop.root, pool=tuple(crowd))
    assert chain.result is Result.INDETERMINATE
    assert 0 < calls <= 64


def test_many_trusted_paths_that_are_all_bad_are_not_all_judged(shop: Workshop) -> None:
    olds = tuple(w.authority("Twin CA", shop.root, 86, last=NOW - DAY, path_length=number) for number in range(20))
    assert found(w.leaf("Child", olds[0], 61), shop.root, pool=olds).result is Result.FAILED


def test_a_name_without_a_common_name_is_shown_whole(shop: Workshop) -> None:
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Only")])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).serial_number(1)
    builder = builder.public_key(shop.root.certificate.public_key()).not_valid_before(NOW).not_valid_after(NOW + DAY)
    assert chains.name_of(builder.sign(shop.root.key, hashes.SHA256())) == "O=Only"
