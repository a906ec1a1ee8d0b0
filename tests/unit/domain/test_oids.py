"""Object identifiers: well formed, each with one meaning, ours under our own arc."""

from uuid import UUID

import pytest
from cryptography.x509 import ObjectIdentifier

from sealwright.domain import oids

ALL = {name: value for name, value in vars(oids).items() if name.isupper() and isinstance(value, str)}
OURS = ("KEY_PROTECTION", "PROTECTION_POLICY", "SIGNATURE_PROTECTION", "TSA_POLICY_PROVEN_CLOCK")


@pytest.mark.parametrize("name", ALL)
def test_an_identifier_is_accepted_by_another_makers_reader(name: str) -> None:
    assert ObjectIdentifier(ALL[name]).dotted_string == ALL[name]


def test_no_two_names_stand_for_the_same_identifier() -> None:
    assert len(set(ALL.values())) == len(ALL)


def test_our_arc_is_a_uuid_as_x667_wants_it() -> None:
    root, number = oids.ID_SW.rsplit(".", 1)
    assert root == "2.25"
    assert UUID(int=int(number)).version in {1, 4, 5, 7}


@pytest.mark.parametrize("name", OURS)
def test_what_is_ours_stands_under_our_arc(name: str) -> None:
    assert ALL[name].startswith(f"{oids.ID_SW}.")


def test_the_reserved_identifiers_are_those_of_the_requirements() -> None:
    # CSBR 3.10, section 7.1.6.1.
    assert oids.CABF_CODE_SIGNING == "2.23.140.1.4.1"
    assert oids.CABF_EV_CODE_SIGNING == "2.23.140.1.3"
    assert oids.CABF_TIMESTAMP == "2.23.140.1.4.2"
