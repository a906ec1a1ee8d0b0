from datetime import timedelta

import pytest

from sealwright.domain import oids
from sealwright.domain.errors import InvalidRequestError
from sealwright.domain.keys import KeyAlgorithm
from sealwright.issuance.profiles import CODE_SIGNING_CA, PROFILES, RESERVED_POLICIES, ROOT, Kind, find_profile


def test_every_profile_is_found_by_its_name() -> None:
    assert [find_profile(name).name for name in PROFILES] == list(PROFILES)
    with pytest.raises(InvalidRequestError, match="no certificate profile 'tls'") as caught:
        find_profile("tls")
    assert "private-code-signing" in caught.value.hint


def test_no_leaf_lives_longer_than_the_requirements_allow() -> None:
    for name in ("code-signing", "private-code-signing", "ephemeral-code-signing"):
        assert PROFILES[name].max_validity <= timedelta(days=460)
    for profile in PROFILES.values():
        assert timedelta(0) < profile.default_validity <= profile.max_validity


def test_reserved_identifiers_stand_in_audited_profiles_only() -> None:
    assert {name for name, profile in PROFILES.items() if profile.reserved} == {"code-signing", "timestamp"}
    assert PROFILES["timestamp"].policies == (oids.CABF_TIMESTAMP,)
    private = [profile for name, profile in PROFILES.items() if name.startswith(("private", "ephemeral"))]
    assert len(private) == 3
    assert all(RESERVED_POLICIES.isdisjoint(profile.policies) and profile.mark for profile in private)


def test_ca_keys_are_stronger_than_rsa_3072() -> None:
    for profile in PROFILES.values():
        assert (KeyAlgorithm.RSA_3072 in profile.key_algorithms) is not profile.is_ca
        assert KeyAlgorithm.P256 in profile.key_algorithms


def test_only_ephemeral_certificates_are_covered_by_standing_authorisations() -> None:
    assert [name for name, profile in PROFILES.items() if profile.standing] == ["ephemeral-code-signing"]
    assert (ROOT.kind, CODE_SIGNING_CA.kind) == (Kind.ROOT, Kind.SUB_CA)
    assert not ROOT.has_pointers
    assert CODE_SIGNING_CA.has_pointers
