"""The key holder's records: frozen, and empty at first."""

import dataclasses

import pytest

from sealwright.domain.keys import KeyAlgorithm, KeyState, Lifetime, Module, Operator, Protection
from sealwright.domain.records import CustodyState, KeyRecord, PolicyRecord, PrincipalRecord, SeenLog, Uses

RECORDS = [
    KeyRecord(
        name="release",
        subscriber="acme",
        algorithm=KeyAlgorithm.P256,
        lifetime=Lifetime.PERSISTENT,
        state=KeyState.CREATED,
        protection=Protection(Operator.SUBSCRIBER, Operator.SUBSCRIBER, Module.NONE),
        schemes=("authenticode",),
    ),
    PrincipalRecord("ci", "workload", "acme", b"\x30"),
    PolicyRecord("acme", "", 1),
    SeenLog(),
    CustodyState(),
    Uses(SeenLog(), {}, {}),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_cannot_be_changed(record: object) -> None:
    name = next(iter(type(record).__annotations__))
    with pytest.raises((AttributeError, dataclasses.FrozenInstanceError)):
        setattr(record, name, None)


def test_a_new_key_holder_knows_nobody_and_has_seen_no_log() -> None:
    state = CustodyState()
    assert (state.version, state.dual_control, state.halted) == (0, False, "")
    assert not state.keys
    assert not state.principals
    assert not state.policies
    assert state.seen == SeenLog(size=0, frontier=b"", checkpoint="")


def test_a_principal_is_no_administrator_unless_it_is_said() -> None:
    assert not PrincipalRecord("ci", "workload", "acme", b"\x30").administrator
