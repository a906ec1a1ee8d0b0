import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sealwright.domain import oids
from sealwright.domain.errors import ConfigurationError, ConflictError, DeniedError, InvalidRequestError
from sealwright.domain.messages import IssueAnswer
from sealwright.issuance.authority import Authority
from sealwright.structures.protection import read_key_protection
from tests.unit.issuance.world import World, single, standing


@pytest.fixture
def world() -> World:
    return World()


def test_an_authorised_request_gets_its_chain_without_the_root(world: World) -> None:
    answer = world.authority.issue(world.request(single()))
    leaf, above = (x509.load_der_x509_certificate(der) for der in answer.chain)
    leaf.verify_directly_issued_by(above)
    assert above == world.hierarchy.code_signing.certificate
    mark = leaf.extensions.get_extension_for_oid(x509.ObjectIdentifier(oids.KEY_PROTECTION)).value
    assert isinstance(mark, x509.UnrecognizedExtension)
    stated = read_key_protection(mark.value)
    assert (stated.model, stated.custodian) == ("software", "sign.example.org")
    assert world.records.certificates["code-signing", f"{leaf.serial_number:x}"] == answer.chain[0]
    intent = world.records.intents["code-signing", f"{leaf.serial_number:x}"]
    assert intent.authorisation == "authorisation-1"
    assert intent.to_be_signed == leaf.tbs_certificate_bytes


def test_timestamp_certificates_come_from_the_timestamp_ca(world: World) -> None:
    answer = world.authority.issue(world.request(single(profile="private-timestamp")))
    assert answer.chain[1] == world.hierarchy.timestamp.certificate.public_bytes(Encoding.DER)


def test_a_batch_is_answered_in_order_with_two_transactions(world: World) -> None:
    requests = [
        world.request(standing(id="s")),
        world.request(single(id="wrong", subject={"CN": ""})),
        world.request(standing(id="s")),
        world.request(standing(id="s")),
        world.request(single(id="tls", profile="tls")),
    ]
    answers = world.authority.issue_batch(requests)
    kinds = [IssueAnswer, InvalidRequestError, IssueAnswer, DeniedError, InvalidRequestError]
    assert [type(answer) for answer in answers] == kinds
    assert world.diary == ["intent", "sign", "sign", "certificate"]


def test_a_request_that_no_rule_allows_does_not_spend_its_authorisation(world: World) -> None:
    with pytest.raises(InvalidRequestError):
        world.authority.issue(world.request(single(validity_days=999)))
    assert world.records.uses == []


def test_records_that_fail_fail_every_certificate_of_the_batch(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(intents: object) -> None:
        raise ConflictError(f"no room for {intents.__class__.__name__}")

    monkeypatch.setattr(world.records, "save_intents", refuse)
    answers = world.authority.issue_batch([world.request(standing()), world.request(single(id="2"))])
    assert [type(answer) for answer in answers] == [ConflictError, ConflictError]
    assert "sign" not in world.diary


def test_an_authority_without_the_ca_for_a_profile_says_so(world: World) -> None:
    alone = Authority([world.hierarchy.code_signing], world.authoriser, world.records)
    with pytest.raises(DeniedError, match="no CA for profile 'private-timestamp'"):
        alone.issue(world.request(single(profile="private-timestamp")))


def test_two_cas_for_one_purpose_or_a_root_cannot_be_an_authority(world: World) -> None:
    issuer = world.hierarchy.code_signing
    for issuers in ([issuer, issuer], [world.hierarchy.root]):
        with pytest.raises(ConfigurationError, match="extended key usage of its own"):
            Authority(issuers, world.authoriser, world.records)
