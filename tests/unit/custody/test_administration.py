"""Administrative acts: who is entitled, what an act may change, and what no act can do."""

from collections.abc import Iterator
from datetime import timedelta

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sealwright.domain.actions import (
    AnyAction,
    CertifyKey,
    ChangeKeyState,
    ClearHalt,
    CreateKey,
    EnableDualControl,
    EnrolPrincipal,
    RevokePrincipal,
    SetPolicy,
)
from sealwright.domain.errors import (
    ConflictError,
    DeniedError,
    InvalidRequestError,
    MalformedError,
    NotFoundError,
    SealwrightError,
    UnavailableError,
    VerificationError,
)
from sealwright.domain.events import AdministratorActed, AdministratorRefused
from sealwright.domain.keys import KeyState, Lifetime, Module, Operator, Protection
from sealwright.domain.messages import AdminEnvelope, Authorisation
from sealwright.domain.records import PrincipalRecord
from tests.unit.custody.world import (
    ALICE,
    BOB,
    CAROL,
    CI,
    DEPLOYMENT,
    HELD,
    NOW,
    OTHER,
    MemoryKeyStore,
    World,
    act,
    chain_for,
    principals,
    seen_of,
    spki,
)

ADMIN = ("alice", ALICE)
SECOND = PrincipalRecord("bob", "person", "acme", spki(BOB), administrator=True)
POLICY = SetPolicy(subscriber="acme", text="permit(principal, action, resource);")


def enrol(**changes: object) -> EnrolPrincipal:
    plain = EnrolPrincipal(name="carol", kind="person", subscriber="acme", public_key=spki(CAROL))
    return msgspec.structs.replace(plain, **changes)


def create(**changes: object) -> CreateKey:
    plain = CreateKey(name="new", subscriber="acme", algorithm="p-256", lifetime="persistent", schemes=["plain"])
    return msgspec.structs.replace(plain, **changes)


def state_of(name: str, state: KeyState) -> ChangeKeyState:
    return ChangeKeyState(name=name, state=state.value)


# --- Who is entitled -------------------------------------------------------------------------------------------


def unentitled() -> Iterator[tuple[str, AdminEnvelope]]:
    good = act(POLICY, ADMIN)
    yield "nobody", AdminEnvelope(good.request, [])
    yield "a workload", act(POLICY, ("ci", CI))
    yield "an unknown name", act(POLICY, ("mallory", OTHER))
    yield "another key", act(POLICY, ("alice", OTHER))
    yield "one twice", act(POLICY, ADMIN, ADMIN)
    yield "another request's", AdminEnvelope(act(POLICY, ADMIN, id="2").request, good.signatures)
    yield "one good, one bad", act(POLICY, ADMIN, ("mallory", OTHER))


@pytest.mark.parametrize("case", list(unentitled()), ids=lambda case: case[0])
def test_only_administrators_are_heard_and_strangers_leave_no_trace(case: tuple[str, AdminEnvelope]) -> None:
    world = World()
    with pytest.raises((DeniedError, VerificationError)):
        world.holder.administer(case[1])
    assert (world.store.events, world.holder.state.version) == ([], 7)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"deployment": "another"}, DeniedError),
        ({"not_after": NOW.isoformat()}, DeniedError),
        ({"not_after": (NOW + timedelta(days=2)).isoformat()}, DeniedError),
        ({"not_after": "2026-11-23T13:00:00"}, InvalidRequestError),
        ({"not_after": "soon"}, InvalidRequestError),
    ],
)
def test_a_signed_request_out_of_place_or_time_is_refused_and_recorded(
    changes: dict[str, str], error: type[SealwrightError]
) -> None:
    world = World()
    with pytest.raises(error):
        world.holder.administer(act(POLICY, ADMIN, **changes))
    refused = world.store.events[-1]
    assert isinstance(refused, AdministratorRefused)
    assert refused.administrators == ["alice"]


def test_bytes_that_are_no_request_are_refused_even_if_signed() -> None:
    world = World()
    from sealwright.domain.messages import AdminSignature  # noqa: PLC0415 - only here
    from sealwright.structures import http_signatures as hs  # noqa: PLC0415 - only here

    signature = hs.signer(ALICE)[1](hs.admin_bytes(b"{}"))
    with pytest.raises(MalformedError):
        world.holder.administer(AdminEnvelope(b"{}", [AdminSignature("alice", signature)]))


def test_an_act_is_carried_out_once_and_a_replay_is_recorded() -> None:
    world = World()
    envelope = act(POLICY, ADMIN)
    assert world.holder.administer(envelope).version == 8
    for holder in (world.holder, world.restarted()):
        with pytest.raises(ConflictError, match="before"):
            holder.administer(envelope)
    assert [type(event) for event in world.store.events] == [
        AdministratorActed,
        AdministratorRefused,
        AdministratorRefused,
    ]


# --- Dual control ----------------------------------------------------------------------------------------------


def dual() -> World:
    world = World()
    world.put(principals=principals(SECOND))
    world.holder.administer(act(EnableDualControl(), ADMIN))
    return world


def test_dual_control_needs_two_administrators_who_are_not_the_same() -> None:
    world = dual()
    for envelope in (act(POLICY, ADMIN, id="2"), act(POLICY, ADMIN, ADMIN, id="2")):
        with pytest.raises(DeniedError):
            world.holder.administer(envelope)
    assert world.holder.administer(act(POLICY, ("bob", BOB), ADMIN, id="2")).version == 9
    acted = world.store.events[-1]
    assert isinstance(acted, AdministratorActed)
    assert acted.administrators == ["bob", "alice"]


def test_one_of_two_signatures_is_a_refusal_that_is_recorded() -> None:
    world = dual()
    with pytest.raises(DeniedError, match="2 administrators"):
        world.holder.administer(act(POLICY, ADMIN, id="2"))
    assert isinstance(world.store.events[-1], AdministratorRefused)


def test_one_key_under_two_names_is_not_two_administrators() -> None:
    compressed = ALICE.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    prefix = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    world = World()
    for key in (spki(ALICE), prefix + compressed, spki(CI)):
        with pytest.raises(ConflictError, match="public key"):
            world.holder.administer(act(enrol(public_key=key, administrator=True), ADMIN))


def test_dual_control_is_not_for_one() -> None:
    with pytest.raises(ConflictError):
        World().holder.administer(act(EnableDualControl(), ADMIN))


def test_the_last_administrators_stay() -> None:
    world = World()
    with pytest.raises(ConflictError, match="last"):
        world.holder.administer(act(RevokePrincipal(name="alice"), ADMIN))
    both = (ADMIN, ("bob", BOB))
    world = dual()
    with pytest.raises(ConflictError, match="last"):
        world.holder.administer(act(RevokePrincipal(name="bob"), *both, id="2"))
    world.holder.administer(act(enrol(administrator=True), *both, id="3"))
    world.holder.administer(act(RevokePrincipal(name="bob"), *both, id="4"))
    assert sorted(world.holder.state.principals) == ["alice", "carol", "ci"]
    assert world.holder.state.dual_control
    with pytest.raises(DeniedError):
        world.holder.administer(act(POLICY, *both, id="5"))


# --- Principals and policies -------------------------------------------------------------------------------------


def test_a_principal_is_enrolled_and_forgotten() -> None:
    world = World()
    answer = world.holder.administer(act(enrol(kind="workload"), ADMIN))
    assert answer.principal
    assert answer.principal.name == "carol"
    world.holder.administer(act(RevokePrincipal(name="carol"), ADMIN, id="2"))
    assert "carol" not in world.holder.state.principals


@pytest.mark.parametrize(
    ("action", "error"),
    [
        (enrol(name="Carol!"), InvalidRequestError),
        (enrol(subscriber=""), InvalidRequestError),
        (enrol(kind="robot"), InvalidRequestError),
        (enrol(kind="workload", administrator=True), InvalidRequestError),
        (enrol(name="ci"), ConflictError),
        (enrol(public_key=b"\x30\x00"), MalformedError),
        (RevokePrincipal(name="nobody"), NotFoundError),
        (SetPolicy(subscriber="A", text=""), InvalidRequestError),
        (SetPolicy(subscriber="acme", text="x" * 70_000), InvalidRequestError),
        (SetPolicy(subscriber="acme", text="nonsense"), InvalidRequestError),
        (create(name="release"), ConflictError),
        (create(name=""), InvalidRequestError),
        (create(subscriber="?"), InvalidRequestError),
        (create(algorithm="rsa-1024"), InvalidRequestError),
        (create(lifetime="forever"), InvalidRequestError),
        (create(schemes=[]), InvalidRequestError),
        (create(schemes=["plain", "other"]), InvalidRequestError),
        (CertifyKey(name="nothing"), NotFoundError),
        (CertifyKey(name="release"), InvalidRequestError),
        (CertifyKey(name="release", chain=[b"\x30\x00"]), MalformedError),
        (CertifyKey(name="release", chain=chain_for(spki(OTHER))), InvalidRequestError),
        (CertifyKey(name="release", chain=[b""] * 9), InvalidRequestError),
        (ChangeKeyState(name="nothing", state="active"), NotFoundError),
        (ChangeKeyState(name="release", state="lost"), InvalidRequestError),
        (ClearHalt(size=0, frontier=b""), ConflictError),
    ],
)
def test_an_act_that_breaks_a_rule_changes_nothing_and_is_recorded(
    action: AnyAction, error: type[SealwrightError]
) -> None:
    world = World()
    before = world.holder.state
    with pytest.raises(error):
        world.holder.administer(act(action, ADMIN))
    assert world.holder.state == before
    assert list(world.key_store.keys) == ["release"]
    assert [type(event) for event in world.store.events] == [AdministratorRefused]


def test_a_policy_is_replaced_and_counted() -> None:
    world = World()
    world.holder.administer(act(POLICY, ADMIN))
    world.holder.administer(act(msgspec.structs.replace(POLICY, subscriber="new"), ADMIN, id="2"))
    assert {name: policy.version for name, policy in world.holder.state.policies.items()} == {"acme": 2, "new": 1}


# --- Keys --------------------------------------------------------------------------------------------------------


def test_a_key_is_born_in_the_store_certified_and_used() -> None:
    world = World()
    world.key_store.create("new", world.holder.state.keys["release"].algorithm)  # what a crash left behind
    answer = world.holder.administer(act(create(), ADMIN))
    assert answer.key
    assert (answer.key.state, answer.key.public_key) == ("created", world.key_store.keys["new"].public_key)
    certify = CertifyKey(name="new", chain=chain_for(answer.key.public_key))
    answer = world.holder.administer(act(certify, ADMIN, id="2"))
    assert answer.key
    assert answer.key.state == "active"
    assert world.holder.state.keys["new"].protection == HELD


def test_a_chain_whose_links_do_not_hold_is_refused() -> None:
    world = World()
    leaf = chain_for(world.holder.state.keys["release"].public_key)[0]
    with pytest.raises(MalformedError):
        world.holder.administer(act(CertifyKey(name="release", chain=[leaf, chain_for(spki(OTHER))[0]]), ADMIN))


ALLOWED = {
    (KeyState.CREATED, KeyState.DESTROYED),
    (KeyState.ACTIVE, KeyState.SUSPENDED),
    (KeyState.ACTIVE, KeyState.DESTROYED),
    (KeyState.SUSPENDED, KeyState.ACTIVE),
    (KeyState.SUSPENDED, KeyState.DESTROYED),
}


@pytest.mark.parametrize("after", KeyState)
@pytest.mark.parametrize("before", KeyState)
def test_a_key_changes_its_state_only_along_its_life(before: KeyState, after: KeyState) -> None:
    world = World()
    record = msgspec.structs.replace(world.holder.state.keys["release"], state=before)
    world.put(keys={"release": record})
    if (before, after) in ALLOWED:
        assert world.holder.administer(act(state_of("release", after), ADMIN)).key
        assert world.holder.state.keys["release"].state is after
    else:
        with pytest.raises(ConflictError):
            world.holder.administer(act(state_of("release", after), ADMIN))
    gone = KeyState.DESTROYED in {before, world.holder.state.keys["release"].state}
    assert ("release" in world.key_store.keys) is not gone


def test_a_key_without_a_valid_state_cannot_be_certified() -> None:
    for state in (KeyState.SUSPENDED, KeyState.DESTROYED):
        world = World()
        record = msgspec.structs.replace(world.holder.state.keys["release"], state=state)
        world.put(keys={"release": record})
        with pytest.raises(ConflictError):
            world.holder.administer(act(CertifyKey(name="release", chain=list(record.chain)), ADMIN))


def test_a_key_is_destroyed_only_after_that_was_recorded() -> None:
    world = World()
    world.store.broken = True
    with pytest.raises(UnavailableError):
        world.holder.administer(act(state_of("release", KeyState.DESTROYED), ADMIN))
    assert "release" in world.key_store.keys
    world.store.broken = False
    world.store.requests.add("used")
    with pytest.raises(ConflictError):
        world.holder.administer(act(state_of("release", KeyState.DESTROYED), ADMIN, id="used"))
    assert "release" in world.key_store.keys


def test_a_destruction_that_a_crash_cut_off_is_finished_at_the_next_start() -> None:
    world = World()
    world.key_store.away = True
    with pytest.raises(UnavailableError):
        world.holder.administer(act(state_of("release", KeyState.DESTROYED), ADMIN))
    assert world.holder.state.keys["release"].state is KeyState.DESTROYED
    world.restarted()  # the module is still away: the key holder starts all the same
    assert "release" in world.key_store.keys
    world.key_store.away = False
    world.restarted()
    assert "release" not in world.key_store.keys


def standing(**changes: object) -> bytes:
    plain = Authorisation("s", "private-code-signing", {"CN": "Acme"}, HELD, NOW.isoformat(), standing=True)
    return msgspec.json.encode(msgspec.structs.replace(plain, **changes))


def test_an_ephemeral_key_has_an_authorisation_instead_of_a_key() -> None:
    world = World()
    world.holder.administer(act(create(lifetime="ephemeral"), ADMIN))
    record = world.holder.state.keys["new"]
    assert (record.lifetime, record.public_key) == (Lifetime.EPHEMERAL, b"")
    assert "new" not in world.key_store.keys
    other = Protection(Operator.CA, Operator.CA, Module.HSM)
    for number, bad in enumerate((b"", b"\xff", standing(standing=False), standing(protection=other))):
        with pytest.raises(InvalidRequestError):
            world.holder.administer(act(CertifyKey(name="new", authorisation=bad), ADMIN, id=f"bad{number}"))
    certify = CertifyKey(name="new", authorisation=standing(), officer="alice", officer_signature=b"s")
    world.holder.administer(act(certify, ADMIN, id="3"))
    record = world.holder.state.keys["new"]
    assert (record.state, record.officer, record.authorisation) == (KeyState.ACTIVE, "alice", standing())
    world.holder.administer(act(state_of("new", KeyState.DESTROYED), ADMIN, id="4"))
    assert world.holder.state.keys["new"].state is KeyState.DESTROYED


def test_the_protection_of_a_key_is_derived_from_where_it_lives() -> None:
    world = World(key_store=MemoryKeyStore(module=Module.HSM.value))
    world.holder.administer(act(create(), ADMIN))
    assert world.holder.state.keys["new"].protection == Protection(Operator.SUBSCRIBER, Operator.SUBSCRIBER, Module.HSM)


# --- Taking up signing again ---------------------------------------------------------------------------------------


def test_a_halt_is_cleared_at_a_size_that_fits_its_hashes() -> None:
    world = World()
    world.put(halted="rewritten")
    seen = seen_of([b"a", b"b", b"c"])
    for bad in (ClearHalt(size=4, frontier=seen.frontier), ClearHalt(size=-1, frontier=b"")):
        with pytest.raises(MalformedError):
            world.holder.administer(act(bad, ADMIN))
    assert world.holder.state.halted
    world.holder.administer(act(ClearHalt(size=3, frontier=seen.frontier), ADMIN, id="2"))
    assert (world.holder.state.halted, world.holder.state.seen) == ("", seen)


def test_acts_are_made_out_to_this_deployment() -> None:
    assert World().surroundings().administration.deployment == DEPLOYMENT
