import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from sealwright.domain import oids
from sealwright.domain.errors import (
    InvalidRequestError,
)
from sealwright.domain.keys import KeyAlgorithm
from sealwright.issuance.building import Publication, Wish
from sealwright.issuance.issuer import Issuer
from sealwright.issuance.profiles import PRIVATE_CODE_SIGNING
from sealwright.structures.x509 import crl_urls, extended_key_usages, issuer_urls, policies
from tests.unit.issuance.world import (
    BASE_URL,
    PUBLISHER,
    SOFTWARE,
    World,
    private_key,
    public_bytes,
)

SUBSCRIBER = public_bytes(private_key(KeyAlgorithm.P256, "subscriber"))


@pytest.fixture
def world() -> World:
    return World()


def test_the_hierarchy_is_what_the_profiles_say(world: World) -> None:
    root, code_signing = world.hierarchy.root.certificate, world.hierarchy.code_signing.certificate
    assert root.subject.rfc4514_string() == "CN=Example Root,O=Example B.V.,C=NL"
    assert crl_urls(root) == issuer_urls(root) == policies(root) == extended_key_usages(root) == ()
    assert crl_urls(code_signing) == (f"{BASE_URL}/crl/root.crl",)
    assert issuer_urls(code_signing) == (f"{BASE_URL}/ca/root.cer",)
    assert extended_key_usages(code_signing) == (oids.EKU_CODE_SIGNING,)
    assert extended_key_usages(world.hierarchy.timestamp.certificate) == (oids.EKU_TIMESTAMPING,)
    assert policies(code_signing) == ("2.5.29.32.0",)
    with pytest.raises(InvalidRequestError, match="<= 64"):
        world.builder.hierarchy(world.keys, "x" * 80, {"O": "Example"})


def test_an_issuer_takes_up_its_work_again_from_stored_parts(world: World) -> None:
    certificate = world.hierarchy.code_signing.certificate.public_bytes(Encoding.DER)
    again = Issuer(
        world.keys.code_signing,
        certificate,
        Publication(BASE_URL, "code-signing"),
        clock=world.clock,
        randomness=world.randomness,
    )
    assert again.prepare(Wish(PRIVATE_CODE_SIGNING, PUBLISHER, SUBSCRIBER, SOFTWARE)).intent.serial
