import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from sealwright.domain.errors import (
    VerificationError,
)
from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm
from sealwright.issuance.building import Wish
from sealwright.issuance.profiles import PRIVATE_CODE_SIGNING
from tests.unit.issuance.world import (
    PUBLISHER,
    SOFTWARE,
    MemoryKey,
    World,
    private_key,
    public_bytes,
)

SUBSCRIBER = public_bytes(private_key(KeyAlgorithm.P256, "subscriber"))


@pytest.fixture
def world() -> World:
    return World()


def test_a_faulty_key_publishes_nothing(world: World) -> None:
    class Faulty(MemoryKey):
        def sign(self, digest: bytes, algorithm: DigestAlgorithm) -> bytes:
            return super().sign(bytes(len(digest)), algorithm)

    key = Faulty(private_key(world.algorithm, "code-signing"), world.algorithm)
    certificate = world.hierarchy.code_signing.certificate.public_bytes(Encoding.DER)
    issuer = world.builder.issuer(key, certificate, "code-signing")
    with pytest.raises(VerificationError, match="nothing was issued") as caught:
        issuer.certify([issuer.prepare(Wish(PRIVATE_CODE_SIGNING, PUBLISHER, SUBSCRIBER, SOFTWARE))], world.records)
    assert "key store" in caught.value.hint
    assert len(world.records.intents) == 1 + len(world.records.certificates)


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.P384, KeyAlgorithm.P521, KeyAlgorithm.RSA_4096])
def test_every_kind_of_ca_key_signs_a_chain_that_holds(algorithm: KeyAlgorithm) -> None:
    world = World(algorithm)
    certificate = world.leaf("private-code-signing")
    code_signing, root = world.hierarchy.code_signing.certificate, world.hierarchy.root.certificate
    certificate.verify_directly_issued_by(code_signing)
    code_signing.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)
    assert certificate.signature_hash_algorithm is not None
    assert certificate.signature_hash_algorithm.name == algorithm.digest.value
