from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography import x509

from sealwright.domain.errors import InvalidRequestError
from sealwright.domain.keys import KeyAlgorithm
from sealwright.issuance.records import Revocation, RevocationReason
from sealwright.issuance.revocation import build_crl, crl_lifetime
from sealwright.structures.x509 import subject_key_identifier
from tests.unit.issuance.world import NOW, World

WORLD = World()
ISSUER = WORLD.hierarchy.code_signing
THIS_UPDATE = NOW.replace(microsecond=0)


def crl(*revoked: Revocation, number: int = 1, lifetime: timedelta | None = None) -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(build_crl(ISSUER, revoked, number, NOW, lifetime))


def test_an_empty_list_says_who_when_and_which() -> None:
    found = crl(number=7)
    assert list(found) == []
    assert found.issuer == ISSUER.certificate.subject
    assert found.last_update_utc == THIS_UPDATE
    assert found.next_update_utc == THIS_UPDATE + timedelta(days=10)
    assert found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 7
    key = found.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert key.key_identifier == subject_key_identifier(ISSUER.certificate)


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.P256, KeyAlgorithm.P384, KeyAlgorithm.RSA_4096])
def test_the_signature_holds_for_every_kind_of_ca_key(algorithm: KeyAlgorithm) -> None:
    issuer = World(algorithm).hierarchy.timestamp
    found = x509.load_der_x509_crl(build_crl(issuer, [], 1, NOW))
    key = issuer.certificate.public_key()
    assert found.is_signature_valid(key)  # type: ignore[arg-type] # CA keys here are RSA or elliptic curve


def test_lists_for_cas_and_timestamps_live_a_year_and_for_code_signing_ten_days() -> None:
    assert crl_lifetime(ISSUER.certificate) == timedelta(days=10)
    for issuer in (WORLD.hierarchy.root, WORLD.hierarchy.timestamp):
        assert crl_lifetime(issuer.certificate) == timedelta(days=365)


def test_the_invalidity_date_is_the_revocation_date_even_long_ago() -> None:
    at = datetime(2026, 1, 2, 4, 4, 5, 999, tzinfo=timezone(timedelta(hours=1)))
    found = crl(Revocation(5, at, RevocationReason.KEY_COMPROMISE), Revocation(6, NOW))
    first, second = found
    assert (first.serial_number, second.serial_number) == (5, 6)
    assert first.revocation_date_utc == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    for entry in (first, second):
        invalidity = entry.extensions.get_extension_for_class(x509.InvalidityDate).value
        assert invalidity.invalidity_date_utc == entry.revocation_date_utc
    reason = first.extensions.get_extension_for_class(x509.CRLReason).value.reason
    assert reason is x509.ReasonFlags.key_compromise
    with pytest.raises(x509.ExtensionNotFound):
        second.extensions.get_extension_for_class(x509.CRLReason)


def test_every_reason_is_one_of_rfc_5280_without_hold() -> None:
    reasons = [reason for reason in RevocationReason if reason is not RevocationReason.UNSPECIFIED]
    found = crl(*(Revocation(number, NOW, reason) for number, reason in enumerate(reasons, 1)))
    names = [entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value for entry in found]
    assert names == [reason.value for reason in reasons]
    assert "certificateHold" not in names


@pytest.mark.parametrize("lifetime", [timedelta(days=10, seconds=1), timedelta(0), timedelta(days=-1)])
def test_a_list_that_lives_too_long_is_not_made(lifetime: timedelta) -> None:
    with pytest.raises(InvalidRequestError, match=r"4\.9\.7"):
        crl(lifetime=lifetime)
    assert crl(lifetime=timedelta(days=7)).next_update_utc == THIS_UPDATE + timedelta(days=7)


@pytest.mark.parametrize("number", [0, -1, 1 << 159])
def test_a_number_out_of_bounds_is_refused(number: int) -> None:
    with pytest.raises(InvalidRequestError, match="CRL number"):
        crl(number=number)


def test_an_entry_in_the_future_or_twice_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="future"):
        crl(Revocation(1, NOW + timedelta(seconds=1)))
    with pytest.raises(InvalidRequestError, match="twice"):
        crl(Revocation(1, NOW), Revocation(1, NOW))
