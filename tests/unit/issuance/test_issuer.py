from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sealwright.domain import oids
from sealwright.domain.errors import (
    ConfigurationError,
    ConflictError,
    InvalidRequestError,
    MalformedError,
    UnsupportedError,
)
from sealwright.domain.keys import KeyAlgorithm
from sealwright.issuance.building import Wish
from sealwright.issuance.profiles import CODE_SIGNING, EPHEMERAL_CODE_SIGNING, PRIVATE_CODE_SIGNING, ROOT
from sealwright.structures.x509 import crl_urls, extended_key_usages, issuer_urls, policies
from tests.unit.issuance.world import (
    BASE_URL,
    NOW,
    PUBLISHER,
    SERVICE,
    SOFTWARE,
    World,
    private_key,
    public_bytes,
)

WHOLE_NOW = NOW.replace(microsecond=0)
SUBSCRIBER = public_bytes(private_key(KeyAlgorithm.P256, "subscriber"))


@pytest.fixture
def world() -> World:
    return World()


def extension_of(certificate: x509.Certificate, dotted: str) -> x509.Extension[x509.ExtensionType]:
    return certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier(dotted))


def test_a_private_certificate_carries_the_mark_and_no_reserved_identifier(world: World) -> None:
    certificate = world.leaf("private-code-signing")
    assert policies(certificate) == (f"{oids.PROTECTION_POLICY}.4",)
    assert extended_key_usages(certificate) == (oids.EKU_CODE_SIGNING,)
    assert crl_urls(certificate) == (f"{BASE_URL}/crl/code-signing.crl",)
    assert issuer_urls(certificate) == (f"{BASE_URL}/ca/code-signing.cer",)
    assert not extension_of(certificate, oids.KEY_PROTECTION).critical
    assert certificate.serial_number.bit_length() == 128
    assert certificate.not_valid_before_utc == WHOLE_NOW
    assert certificate.not_valid_after_utc == WHOLE_NOW + timedelta(days=460, seconds=-1)


def test_an_audited_authority_issues_by_the_requirements() -> None:
    world = World(audited=True)
    assert policies(world.leaf("code-signing", SERVICE)) == (oids.CABF_CODE_SIGNING, f"{oids.PROTECTION_POLICY}.3")
    stamp = world.leaf("timestamp", None)
    assert policies(stamp) == (oids.CABF_TIMESTAMP,)
    assert stamp.extensions.get_extension_for_class(x509.ExtendedKeyUsage).critical
    with pytest.raises(InvalidRequestError, match="beside a software key"):
        world.leaf("code-signing", SOFTWARE)


def test_an_authority_without_audit_issues_no_reserved_identifier(world: World) -> None:
    for name, protection in (("code-signing", SERVICE), ("timestamp", None)):
        with pytest.raises(InvalidRequestError, match="reserved-policy"):
            world.leaf(name, protection)
    assert policies(world.leaf("private-timestamp")) == (f"{oids.PROTECTION_POLICY}.4",)


def test_an_ephemeral_certificate_lives_ten_minutes_and_began_a_minute_ago(world: World) -> None:
    world.now += timedelta(hours=1)
    certificate = world.leaf("ephemeral-code-signing")
    begin = world.now.replace(microsecond=0) - timedelta(minutes=1)
    assert certificate.not_valid_before_utc == begin
    assert certificate.not_valid_after_utc == begin + timedelta(minutes=10, seconds=-1)


def test_no_certificate_begins_before_the_certificate_above_it(world: World) -> None:
    assert world.leaf("ephemeral-code-signing").not_valid_before_utc == WHOLE_NOW


def test_the_intent_is_recorded_before_the_key_is_used(world: World) -> None:
    world.leaf("private-code-signing")
    assert world.diary == ["intent", "sign", "certificate"]
    assert len(world.records.intents) == len(world.records.certificates) == 4


def test_several_certificates_are_recorded_together(world: World) -> None:
    issuer = world.hierarchy.code_signing
    wish = Wish(PRIVATE_CODE_SIGNING, PUBLISHER, SUBSCRIBER, SOFTWARE)
    certificates = issuer.certify([issuer.prepare(wish) for _ in range(3)], world.records)
    assert world.diary == ["intent", "sign", "sign", "sign", "certificate"]
    assert len(set(certificates)) == 3


def test_a_token_is_good_for_one_certificate(world: World) -> None:
    issuer = world.hierarchy.code_signing
    prepared = issuer.prepare(Wish(PRIVATE_CODE_SIGNING, PUBLISHER, SUBSCRIBER, SOFTWARE))
    [token] = issuer.record([prepared], world.records)
    with pytest.raises(ConflictError, match="prepared by one CA"):
        world.hierarchy.timestamp.issue(token)
    issuer.issue(token)
    with pytest.raises(ConflictError, match="used once"):
        issuer.issue(token)
    with pytest.raises(ConflictError, match="serial"):
        issuer.record([prepared], world.records)
    with pytest.raises(ConflictError, match="prepared by one CA"):
        world.hierarchy.timestamp.record([prepared], world.records)


def test_what_the_rules_refuse_never_reaches_the_key(world: World) -> None:
    with pytest.raises(InvalidRequestError, match="subject") as caught:
        world.leaf("private-code-signing", subject={"O": "nobody"})
    assert "lacks CN" in str(caught.value)
    assert "private-code-signing" in caught.value.hint
    assert world.diary == []


@pytest.mark.parametrize(
    ("validity", "message"),
    [
        (timedelta(days=461), "longer than"),
        (timedelta(days=40_000_000), "no certificate can be made"),
        (timedelta(days=-1), "no certificate can be made"),
        (timedelta(0), "no certificate can be made"),
        (timedelta(seconds=1), "expired already"),
    ],
)
def test_a_validity_that_the_profile_forbids_is_refused(world: World, validity: timedelta, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        world.leaf("private-code-signing", validity=validity)


def test_no_certificate_outlives_the_ca(world: World) -> None:
    world.now += timedelta(days=3600)
    with pytest.raises(InvalidRequestError, match="outlive"):
        world.leaf("private-code-signing")
    world.now += timedelta(days=60)
    with pytest.raises(InvalidRequestError, match="CA certificate is not valid now"):
        world.leaf("private-code-signing")


def test_weak_and_foreign_keys_are_refused(world: World) -> None:
    with pytest.raises(InvalidRequestError, match="rsa-2048"):
        world.leaf("private-code-signing", key=rsa.generate_private_key(65537, 2048))
    with pytest.raises(InvalidRequestError, match="exponent"):
        world.leaf("private-code-signing", key=rsa.generate_private_key(3, 3072))
    with pytest.raises(InvalidRequestError, match="secp256k1"):
        world.leaf("private-code-signing", key=ec.generate_private_key(ec.SECP256K1()))
    edwards = (
        ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )
    for public_key, error in ((edwards, UnsupportedError), (b"0", MalformedError), (bytes(9000), MalformedError)):
        with pytest.raises(error):
            world.hierarchy.code_signing.prepare(Wish(PRIVATE_CODE_SIGNING, PUBLISHER, public_key, SOFTWARE))


def test_a_serial_without_randomness_is_refused(world: World) -> None:
    issuer = world.hierarchy.code_signing
    issuer._randomness = lambda count: bytes(count - 1) + b"\1"
    with pytest.raises(InvalidRequestError, match="serial"):
        issuer.prepare(Wish(PRIVATE_CODE_SIGNING, PUBLISHER, SUBSCRIBER, SOFTWARE))
    issuer._randomness = bytes
    with pytest.raises(InvalidRequestError, match="no certificate can be made"):
        issuer.prepare(Wish(PRIVATE_CODE_SIGNING, PUBLISHER, SUBSCRIBER, SOFTWARE))


def test_a_certificate_whose_key_protection_nobody_knows_is_refused(world: World) -> None:
    with pytest.raises(InvalidRequestError, match="nobody says how the key is protected"):
        world.leaf("private-code-signing", None)


def test_key_and_certificate_of_a_ca_must_belong_together(world: World) -> None:
    certificate = world.hierarchy.root.certificate.public_bytes(Encoding.DER)
    with pytest.raises(ConfigurationError, match="do not belong together"):
        world.builder.issuer(world.key("other"), certificate, "root")


def test_a_root_signs_itself_and_nobody_else_makes_a_root(world: World) -> None:
    with pytest.raises(InvalidRequestError, match="a root signs itself"):
        world.hierarchy.root.prepare(Wish(ROOT, {"CN": "x", "O": "x"}, SUBSCRIBER))
    nascent = world.builder.issuer(world.key("new"), None, "root")
    with pytest.raises(InvalidRequestError, match="a root signs itself"):
        nascent.prepare(Wish(CODE_SIGNING, PUBLISHER, SUBSCRIBER, SOFTWARE))
    with pytest.raises(ConfigurationError, match="no certificate yet"):
        _ = nascent.certificate


def test_a_ca_issues_only_for_its_own_purpose(world: World) -> None:
    with pytest.raises(InvalidRequestError, match="cannot issue for"):
        world.hierarchy.timestamp.prepare(Wish(EPHEMERAL_CODE_SIGNING, PUBLISHER, SUBSCRIBER, SOFTWARE))
