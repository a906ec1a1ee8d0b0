"""The final checks: each one is the only thing that stands between a lie and a signature."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from sealwright.custody.checks import PROOF_TOLERANCE, Admitted, check_request
from sealwright.domain.errors import (
    DeniedError,
    DigestLengthError,
    InvalidRequestError,
    NotFoundError,
    SealwrightError,
    UnauthenticatedError,
    VerificationError,
    WeakDigestError,
)
from sealwright.domain.events import RequestIntended, timestamp
from sealwright.domain.keys import KeyState
from sealwright.domain.messages import Artifact, ProofOfRequest, SignItem
from sealwright.domain.records import PrincipalRecord
from sealwright.structures import http_signatures as hs
from tests.unit.custody.world import (
    ALICE,
    AUTHORITY,
    CI,
    NOW,
    OTHER,
    World,
    body,
    key_record,
    principals,
    proof,
    spki,
)


def check(world: World, item: SignItem) -> Admitted:
    out = world.surroundings()
    now = int(world.now.timestamp())
    return check_request(item, world.advance(), world.holder.state, AUTHORITY, now, out.load_key, out.decide)


def test_an_honest_request_is_admitted_with_all_that_signing_needs() -> None:
    world = World()
    admitted = check(world, world.item(proof(body(3))))
    assert admitted.record.name == "release"
    assert len(admitted.digests) == 3
    assert admitted.context.chain == admitted.record.chain
    assert not admitted.context.ephemeral


LIES: dict[str, object] = {
    "subscriber": "other",
    "key": "other",
    "scheme": "other",
    "digest_algorithm": "sha384",
    "count": 2,
    "digests_root": "00" * 32,
    "request": "00" * 32,
    "proof": "00" * 32,
    "records_version": 6,
    "certificate": "00" * 32,
    "input": "file",
    "blind": True,
}


def test_every_field_of_an_intent_is_compared_but_time_principal_and_retry() -> None:
    # The time has a test of its own, the principal is whose signature is checked, a retry names an older intent.
    assert set(LIES) | {"time", "principal", "retry_of"} == set(RequestIntended.__struct_fields__)


@pytest.mark.parametrize("name", LIES)
def test_an_intent_that_tells_another_story_is_refused(name: str) -> None:
    world, signed = World(), proof()
    item = world.item(signed, world.intent(signed, **{name: LIES[name]}))
    with pytest.raises(VerificationError):
        check(world, item)


def test_a_key_whose_certificate_expired_is_not_used() -> None:
    world = World()
    item = world.item(proof())
    end = world.holder.state.keys["release"].valid_until
    out = world.surroundings()

    def at(moment: int) -> Admitted:
        state = replace(
            world.holder.state,
            keys={"release": msgspec.structs.replace(world.holder.state.keys["release"], valid_until=moment)},
        )
        now = int(world.now.timestamp())
        return check_request(item, world.advance(), state, AUTHORITY, now, out.load_key, out.decide)

    assert end > world.now.timestamp()
    assert at(int(world.now.timestamp()) + 1).record.name == "release"
    for moment in (0, int(world.now.timestamp()), int(world.now.timestamp()) - 1):
        with pytest.raises(DeniedError, match="expired"):
            at(moment)


@pytest.mark.parametrize("time", ["", "yesterday", "2026-11-23T12:00:00.000000", "2020-01-01T00:00:00.000000Z"])
def test_an_intent_that_is_dated_otherwise_is_refused(time: str) -> None:
    world, signed = World(), proof()
    item = world.item(signed, world.intent(signed, time=time))
    with pytest.raises(VerificationError, match=r"time|dated"):
        check(world, item)


def test_an_intent_may_wait_as_long_as_its_proof() -> None:
    world, signed = World(), proof()
    moment = timestamp(world.now - timedelta(seconds=PROOF_TOLERANCE - 1))
    assert check(world, world.item(signed, world.intent(signed, time=moment))).record.name == "release"


def test_an_intent_that_is_not_among_the_new_entries_is_refused() -> None:
    world = World()
    first = world.item(proof())
    world.holder.sign(world.batch(first))
    world.entries.append(b"more")
    for index in (0, 1, 2, -1):
        with pytest.raises(VerificationError, match="not in the log"):
            check(world, SignItem(first.proof, first.intent, index))


@pytest.mark.parametrize("entry", [b"", b"{}", b"\xff", b'{"event":"service:process:started"}'])
def test_an_entry_that_is_no_intent_is_refused(entry: bytes) -> None:
    world = World()
    with pytest.raises(VerificationError):
        check(world, world.item(proof(), entry or b" "))


def test_an_event_of_another_kind_is_no_intent() -> None:
    from sealwright.domain.events import RequestFailed, encode_event  # noqa: PLC0415 - only here

    world = World()
    entry = encode_event(RequestFailed(time="2026-11-23T12:00:00.000000Z", intent=0, code="x"))
    with pytest.raises(VerificationError, match="no intent to sign"):
        check(world, world.item(proof(), entry))


def late(seconds: int) -> ProofOfRequest:
    return proof(created=NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "signed",
    [
        pytest.param(lambda: proof(key=OTHER), id="another key"),
        pytest.param(lambda: proof(name="alice"), id="another key id"),
        pytest.param(lambda: proof(authority="elsewhere.example"), id="another service"),
        pytest.param(lambda: proof(path="/v1/something-else"), id="another act"),
        pytest.param(lambda: late(-PROOF_TOLERANCE - 1), id="too old"),
        pytest.param(lambda: late(PROOF_TOLERANCE + 1), id="too far ahead"),
        pytest.param(lambda: msgspec.structs.replace(proof(), body=body(2)), id="another body"),
        pytest.param(lambda: msgspec.structs.replace(proof(), idempotency_key="2"), id="another idempotency key"),
        pytest.param(lambda: msgspec.structs.replace(proof(), signature=""), id="no signature"),
        pytest.param(lambda: msgspec.structs.replace(proof(), method="GET"), id="another method"),
    ],
)
def test_what_no_principal_signed_lately_for_this_service_is_refused(signed: Callable[[], ProofOfRequest]) -> None:
    world = World()
    with pytest.raises(UnauthenticatedError):
        check(world, world.item(signed()))


def test_the_tolerance_reaches_to_its_last_second() -> None:
    world = World()
    for number, seconds in enumerate((-PROOF_TOLERANCE, PROOF_TOLERANCE)):
        assert check(world, world.item(late(seconds))).record.name == "release", number


def test_a_principal_cannot_be_named_by_the_face_in_another_ones_place() -> None:
    world = World()
    world.put(principals=principals(PrincipalRecord("twin", "workload", "acme", spki(CI))))
    signed = proof()
    with pytest.raises(UnauthenticatedError):
        check(world, world.item(signed, world.intent(signed, principal="twin")))
    with pytest.raises(UnauthenticatedError):
        check(world, world.item(signed, world.intent(signed, principal="nobody")))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"subscriber": "other"}, NotFoundError),
        ({"state": KeyState.SUSPENDED}, DeniedError),
        ({"state": KeyState.CREATED}, DeniedError),
        ({"state": KeyState.DESTROYED}, DeniedError),
        ({"schemes": ("other",)}, DeniedError),
    ],
)
def test_a_key_that_may_not_be_used_is_not_used(changes: dict[str, object], error: type[SealwrightError]) -> None:
    world = World()
    world.put(keys={"release": msgspec.structs.replace(world.holder.state.keys["release"], **changes)})
    with pytest.raises(error):
        check(world, world.item(proof()))


def test_a_key_that_does_not_exist_is_not_found() -> None:
    world = World()
    signed = proof(body(key="nothing"))
    entry = world.intent(proof(), key="nothing")
    with pytest.raises(NotFoundError):
        check(world, world.item(signed, entry))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"input": "file"}, InvalidRequestError),
        ({"digest_algorithm": "sha1"}, WeakDigestError),
        ({"digest_algorithm": "sha256" + "-" * 1_000}, WeakDigestError),
        ({"digest_algorithm": "sha512"}, DigestLengthError),
        ({"artifacts": []}, InvalidRequestError),
    ],
)
def test_a_request_that_breaks_a_rule_is_refused(changes: dict[str, object], error: type[SealwrightError]) -> None:
    world = World()
    signed = proof(body(1, **changes))
    with pytest.raises(error):
        check(world, world.item(signed, world.intent(proof())))


@pytest.mark.parametrize("digest", ["ab " * 21 + "a", "zz" * 32, "a" * 63, "\u0661" * 64])
def test_a_digest_is_written_in_hexadecimal_and_nothing_else(digest: str) -> None:
    world = World()
    with pytest.raises(InvalidRequestError):
        check(world, world.item(proof(body(artifacts=[Artifact(digest)])), world.intent(proof())))


def test_policy_has_the_last_word() -> None:
    world = World(denied="not on Fridays")
    with pytest.raises(DeniedError, match="Fridays"):
        check(world, world.item(proof()))


def test_an_administrator_is_no_workload_by_being_one() -> None:
    world = World()
    signed = proof(key=ALICE, name="alice")
    with pytest.raises(UnauthenticatedError):
        check(world, world.item(signed))  # the intent names the workload


def test_a_negated_signature_is_the_same_statement() -> None:
    """ECDSA's (r, s) and (r, n - s) both hold: whoever owns the face could else have one request signed twice."""
    world, signed = World(), proof()
    twin = msgspec.structs.replace(signed, signature=negated(signed.signature))
    assert twin != signed
    first, second = (check(world, world.item(one)) for one in (signed, twin))
    assert first.statement_sha256 == second.statement_sha256


def test_another_spelling_of_a_signature_is_the_same_statement() -> None:
    world, signed = World(), proof()
    last = signed.signature[-4]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    spelled = signed.signature[:-4] + alphabet[alphabet.index(last) ^ 1] + signed.signature[-3:]
    twin = msgspec.structs.replace(signed, signature=spelled)
    first, second = (check(world, world.item(one)) for one in (signed, twin))
    assert first.statement_sha256 == second.statement_sha256


def negated(signature: str) -> str:
    from base64 import b64decode, b64encode  # noqa: PLC0415 - only here

    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    both = b64decode(signature.removeprefix("sig=:").removesuffix(":"))
    s = order - int.from_bytes(both[32:], "big")
    return f"sig=:{b64encode(both[:32] + s.to_bytes(32, 'big')).decode()}:"


def test_two_keys_of_one_subscriber_are_told_apart() -> None:
    world = World()
    both = {**world.holder.state.keys, "second": key_record(world.key_store, "second")}
    world.put(keys=both)
    signed = proof(body(key="second"))
    assert check(world, world.item(signed)).record.name == "second"
    assert hs.algorithm_of(hs.load_public_key(spki(CI))) == hs.ECDSA_P256
