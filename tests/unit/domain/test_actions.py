"""Administrative requests: what is signed is what is read, and nothing else is read."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealwright.domain.actions import (
    AdminRequest,
    AnyAction,
    CertifyKey,
    ChangeKeyState,
    ClearHalt,
    CreateKey,
    EnableDualControl,
    EnrolPrincipal,
    RevokePrincipal,
    SetPolicy,
    action_name,
    decode_request,
    encode_request,
    subject_of,
)
from sealwright.domain.errors import MalformedError

ACTS: dict[str, tuple[AnyAction, str]] = {
    "enrol-principal": (EnrolPrincipal(name="ci", kind="workload", subscriber="acme", public_key=b"\x30"), "ci"),
    "revoke-principal": (RevokePrincipal(name="ci"), "ci"),
    "create-key": (
        CreateKey(
            name="release", subscriber="acme", algorithm="p-256", lifetime="persistent", schemes=["authenticode"]
        ),
        "release",
    ),
    "certify-key": (CertifyKey(name="release", chain=[b"\x30\x00"]), "release"),
    "change-key-state": (ChangeKeyState(name="release", state="suspended"), "release"),
    "set-policy": (SetPolicy(subscriber="acme", text="permit(principal, action, resource);"), "acme"),
    "enable-dual-control": (EnableDualControl(), ""),
    "clear-halt": (ClearHalt(size=3, frontier=bytes(64)), ""),
}


def request(action: AnyAction) -> AdminRequest:
    return AdminRequest(id="1", deployment="log.example", not_after="2026-12-01T00:00:00Z", action=action)


def test_every_act_of_the_list_is_tested() -> None:
    assert {action.__class__ for action, _ in ACTS.values()} == set(AnyAction.__args__)


@pytest.mark.parametrize("name", ACTS)
def test_an_act_is_read_as_it_was_signed(name: str) -> None:
    action, subject = ACTS[name]
    assert decode_request(encode_request(request(action))) == request(action)
    assert action_name(action) == name
    assert subject_of(action) == subject


def test_an_act_that_is_not_in_the_list_is_refused() -> None:
    data = encode_request(request(EnableDualControl())).replace(b"enable-dual-control", b"disable-dual-control")
    with pytest.raises(MalformedError):
        decode_request(data)


@pytest.mark.parametrize("name", ACTS)
def test_an_act_with_a_field_too_many_is_refused(name: str) -> None:
    plain = msgspec.json.decode(encode_request(request(ACTS[name][0])))
    with pytest.raises(MalformedError):
        decode_request(msgspec.json.encode({**plain, "extra": 1}))
    plain["action"]["extra"] = 1
    with pytest.raises(MalformedError):
        decode_request(msgspec.json.encode(plain))


@given(noise=st.binary())
def test_noise_is_no_administrative_request(noise: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_request(noise)


@given(data=st.data())
def test_a_damaged_request_is_read_or_refused_with_the_one_error(data: st.DataObject) -> None:
    good = encode_request(request(data.draw(st.sampled_from(list(ACTS.values())))[0]))
    spot = data.draw(st.integers(min_value=0, max_value=len(good) - 1))
    damaged = good[:spot] + data.draw(st.binary(max_size=8)) + good[spot + data.draw(st.integers(0, 8)) :]
    try:
        decode_request(damaged)
    except MalformedError:
        return


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(MalformedError):
        decode_request(encode_request(request(RevokePrincipal(name="ci"))).replace(b"ci", b"\xff\xfe"))
