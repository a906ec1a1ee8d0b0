from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sealwright.domain import oids
from sealwright.domain.errors import (
    ConfigurationError,
)
from sealwright.domain.keys import KeyAlgorithm
from sealwright.issuance.building import Publication, expected_policies, key_identifier
from sealwright.issuance.profiles import CODE_SIGNING, ROOT
from tests.unit.issuance.world import (
    SERVICE,
    SOFTWARE,
    private_key,
    public_bytes,
)

SUBSCRIBER = public_bytes(private_key(KeyAlgorithm.P256, "subscriber"))


@pytest.mark.parametrize("base", ["https://a", "http://", "http://a/", "http://a?b", "ftp://a", "a", "http://a/p#f"])
def test_publication_is_plain_http(base: str) -> None:
    with pytest.raises(ConfigurationError, match="published"):
        Publication(base, "root")


def test_what_a_ca_publishes_has_addresses_by_its_label() -> None:
    publication = Publication("http://pki.example.org:8080/trust", "timestamp")
    assert publication.crl_url == "http://pki.example.org:8080/trust/crl/timestamp.crl"
    assert publication.certificate_url == "http://pki.example.org:8080/trust/ca/timestamp.cer"


def test_the_policies_of_a_certificate_follow_its_profile_and_protection() -> None:
    assert expected_policies(CODE_SIGNING, SERVICE) == (oids.CABF_CODE_SIGNING, f"{oids.PROTECTION_POLICY}.3")
    assert expected_policies(CODE_SIGNING, None) == (oids.CABF_CODE_SIGNING,)
    assert expected_policies(ROOT, SOFTWARE) == ()


def test_the_key_identifier_is_the_short_sha_256_of_the_key_bits() -> None:
    key = private_key(KeyAlgorithm.P256, "subscriber").public_key()
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert key_identifier(SUBSCRIBER) == sha256(point).digest()[:20]
