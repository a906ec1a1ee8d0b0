"""The key holder: counts before it uses, signs what was admitted, halts for ever on a rewritten log."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from sealwright.custody.state import key_view
from sealwright.domain.actions import ClearHalt
from sealwright.domain.errors import (
    ConflictError,
    LogMistrustedError,
    SealwrightError,
    UnavailableError,
)
from sealwright.domain.events import LogHalted
from sealwright.domain.keys import SOFTWARE_WARNING, KeyAlgorithm, Lifetime
from sealwright.domain.messages import IssueAnswer, IssueRequest, LogAdvance, SignAnswer
from sealwright.domain.records import CustodyState, PrincipalRecord
from sealwright.structures.merkle import Frontier, leaf_hash
from tests.unit.custody.test_checks import negated
from tests.unit.custody.world import (
    ALICE,
    LOG,
    WITNESS,
    World,
    act,
    body,
    chain_for,
    key_record,
    proof,
    seen_of,
    spki,
)


def opened(world: World, answer: SignAnswer, entry: bytes, name: str = "release") -> list[bytes]:
    """Check each signature of an answer with the key's own certificate, and return the digests."""
    digests = []
    for blob in answer.signatures:
        digest, signed, signature = msgspec.msgpack.decode(blob)
        assert signed.endswith(digest + sha256(entry).digest())
        public = load_der_public_key(world.holder.state.keys[name].public_key)
        assert isinstance(public, ec.EllipticCurvePublicKey)
        public.verify(signature, signed, ec.ECDSA(SHA256()))
        digests.append(digest)
    return digests


def test_a_batch_is_signed_in_order_and_its_checkpoint_cosigned() -> None:
    world = World()
    items = [world.item(proof(body(count), idempotency=str(count))) for count in (1, 3)]
    batch = world.batch(*items)
    answer = world.holder.sign(batch)
    assert [len(one.signatures) for one in answer.answers] == [1, 3]
    for one, item in zip(answer.answers, items, strict=True):
        opened(world, one, item.intent)
    assert WITNESS.check(batch.log.checkpoint + answer.cosignature) == int(world.now.timestamp())
    assert world.store.uses == {"release": 4}
    assert world.holder.snapshot().log_size == 2


def test_uses_are_durable_before_a_key_is_used() -> None:
    world = World()
    key = world.key_store.keys["release"]
    used = key.sign

    def sign(digest: bytes, algorithm: object) -> bytes:
        world.store.happened.append("sign")
        return used(digest, algorithm)  # type: ignore[arg-type] # handed on as it came

    key.sign = sign  # type: ignore[method-assign] # watched
    world.holder.sign(world.batch(world.item(proof(body(2)))))
    assert world.store.happened == ["use", "sign", "sign"]


def test_nothing_is_signed_if_uses_cannot_be_counted() -> None:
    world = World()
    item = world.item(proof())
    world.store.broken = True
    with pytest.raises(UnavailableError):
        world.holder.sign(world.batch(item))
    assert world.holder.state.seen.size == 0
    world.store.broken = False
    assert world.holder.sign(world.batch(item)).answers[0].signatures


def test_a_proof_is_signed_for_once_under_any_intent_and_in_any_spelling() -> None:
    world = World()
    signed = proof()
    twin = msgspec.structs.replace(signed, signature=negated(signed.signature))
    first = world.holder.sign(world.batch(world.item(signed), world.item(twin)))
    assert [(len(one.signatures), one.code) for one in first.answers] == [(1, ""), (0, "conflict")]
    again = world.holder.sign(world.batch(world.item(signed), world.item(twin)))
    assert [one.code for one in again.answers] == ["conflict", "conflict"]
    world.restarted()
    assert world.holder.sign(world.batch(world.item(twin))).answers[0].code == "conflict"
    assert world.store.uses == {"release": 1}


def test_one_refused_request_spoils_no_other() -> None:
    world = World()
    items = [
        world.item(proof(idempotency="1")),
        world.item(proof(body(parameters={"bad": "1"}), idempotency="2")),
        world.item(proof(idempotency="3"), b"{}"),
        world.item(proof(idempotency="4")),
    ]
    answers = world.holder.sign(world.batch(*items)).answers
    assert [(len(one.signatures), one.code) for one in answers] == [
        (1, ""),
        (0, "invalid-request"),
        (0, "verification"),
        (1, ""),
    ]


def test_a_key_that_was_exchanged_in_the_store_is_not_used() -> None:
    world = World()
    world.key_store.keys["release"] = world.key_store.ephemeral(KeyAlgorithm.P256)
    answer = world.holder.sign(world.batch(world.item(proof()))).answers[0]
    assert (answer.signatures, answer.code) == ([], "unavailable")


def test_a_key_that_fails_answers_for_itself() -> None:
    world = World()
    world.put(keys={**world.holder.state.keys, "second": key_record(world.key_store, "second")})

    def fail(_digest: bytes, _algorithm: object) -> bytes:
        raise UnavailableError("the token was pulled out", retry_after=9)

    world.key_store.keys["second"].sign = fail  # type: ignore[method-assign, assignment] # broken
    items = [world.item(proof(body(2, key="second"), idempotency="2")), world.item(proof())]
    answers = world.holder.sign(world.batch(*items)).answers
    assert (answers[0].signatures, answers[0].code, answers[0].retry_after) == ([], "unavailable", 9)
    assert answers[1].signatures


def test_a_renewed_chain_is_used_at_once() -> None:
    world = World()
    world.holder.sign(world.batch(world.item(proof(idempotency="1"))))
    record = world.holder.state.keys["release"]
    chain = (record.chain[0], chain_for(spki(ALICE))[1])
    renewed = msgspec.structs.replace(record, chain=chain)
    world.put(keys={"release": renewed})
    world.holder.sign(world.batch(world.item(proof(idempotency="2"))))
    assert world.scheme.prepared == 2
    world.holder.sign(world.batch(world.item(proof(idempotency="3"))))
    assert world.scheme.prepared == 2


def test_what_was_prepared_is_forgotten_in_the_end() -> None:
    world = World()
    for number in range(0, 300, 50):
        items = [
            world.item(proof(body(parameters={"name": str(n)}), idempotency=str(n))) for n in range(number, number + 50)
        ]
        world.holder.sign(world.batch(*items))
    assert world.scheme.prepared == 300
    world.holder.sign(world.batch(world.item(proof(body(parameters={"name": "0"}), idempotency="again"))))
    assert world.scheme.prepared == 301


# --- Ephemeral keys ------------------------------------------------------------------------------------------


def ephemeral(world: World) -> None:
    record = key_record(world.key_store, "once")
    record = msgspec.structs.replace(record, lifetime=Lifetime.EPHEMERAL, public_key=b"", chain=())
    del world.key_store.keys["once"]
    world.put(keys={**world.holder.state.keys, "once": record})


def test_an_ephemeral_key_is_made_and_certified_for_each_digest_and_left_nowhere() -> None:
    world = World()
    ephemeral(world)
    asked: list[IssueRequest] = []

    def issue(requests: Sequence[IssueRequest]) -> list[IssueAnswer | SealwrightError]:
        asked.extend(requests)
        return [IssueAnswer(chain_for(request.public_key)) for request in requests]

    world.issue = issue
    items = [world.item(proof(body(2, key="once"))), world.item(proof(idempotency="2"))]
    answers = world.holder.sign(world.batch(*items)).answers
    assert [len(one.signatures) for one in answers] == [2, 1]
    assert len({request.public_key for request in asked}) == 2
    assert list(world.key_store.keys) == ["release"]


@pytest.mark.parametrize("whole", [True, False])
def test_a_certificate_that_is_refused_fails_its_request_alone(*, whole: bool) -> None:
    world = World()
    ephemeral(world)

    def issue(requests: Sequence[IssueRequest]) -> list[IssueAnswer | SealwrightError]:
        if whole:
            raise UnavailableError("the CA does not answer")
        return [UnavailableError("the CA refuses"), *(IssueAnswer(chain_for(r.public_key)) for r in requests[1:])]

    world.issue = issue
    items = [world.item(proof(body(2, key="once"))), world.item(proof(idempotency="2"))]
    answers = world.holder.sign(world.batch(*items)).answers
    assert [(len(one.signatures), one.code) for one in answers] == [(0, "unavailable"), (1, "")]


def test_a_certificate_for_another_key_is_not_signed_with() -> None:
    world = World()
    ephemeral(world)
    world.issue = lambda requests: [IssueAnswer(chain_for(spki(ALICE))) for _ in requests]
    answer = world.holder.sign(world.batch(world.item(proof(body(key="once"))))).answers[0]
    assert (answer.signatures, answer.code) == ([], "unavailable")


def test_a_certificate_that_cannot_be_read_is_not_signed_with() -> None:
    world = World()
    ephemeral(world)
    for chain in ([], [b"\x30\x00"]):
        world.issue = lambda requests, chain=chain: [IssueAnswer(chain) for _ in requests]
        item = world.item(proof(body(key="once"), idempotency=str(len(chain))))
        answer = world.holder.sign(world.batch(item)).answers[0]
        assert (answer.signatures, answer.code) == ([], "unavailable")


# --- Mistrust ------------------------------------------------------------------------------------------------


def test_after_a_rewritten_log_nothing_is_signed_until_administrators_say_so() -> None:
    world = World()
    world.holder.sign(world.batch(world.item(proof(idempotency="1"))))
    true = list(world.entries)
    item = world.item(proof(idempotency="2"))
    forged = LogAdvance(1, [leaf_hash(item.intent)], world.advance(0, [b"other", item.intent]).checkpoint)
    with pytest.raises(LogMistrustedError, match="rewritten"):
        world.holder.sign(msgspec.structs.replace(world.batch(item), log=forged))
    for holder in (world.holder, world.restarted()):
        with pytest.raises(LogMistrustedError):
            holder.sign(world.batch(item))
        assert holder.snapshot().halted
    halted = world.store.events[-1]
    assert isinstance(halted, LogHalted)
    assert (halted.seen_size, halted.seen_root) == (1, Frontier().extended([leaf_hash(true[0])]).root.hex())
    assert world.store.uses == {"release": 1}
    seen = seen_of(world.entries)
    world.holder.administer(act(ClearHalt(size=seen.size, frontier=seen.frontier), ("alice", ALICE)))
    assert not world.holder.snapshot().halted
    assert world.holder.sign(world.batch(world.item(proof(idempotency="3")))).answers[0].signatures


def test_a_batch_without_sense_halts_nothing() -> None:
    world = World()
    item = world.item(proof())
    for log in (LogAdvance(5, [], LOG.checkpoint(Frontier())), LogAdvance(0, [], "nonsense")):
        with pytest.raises(SealwrightError):
            world.holder.sign(msgspec.structs.replace(world.batch(item), log=log))
    assert not world.holder.snapshot().halted
    assert world.holder.sign(world.batch(item)).answers[0].signatures


# --- The beginning ---------------------------------------------------------------------------------------------


def test_only_an_empty_key_holder_is_founded() -> None:
    world = World()
    alice = PrincipalRecord("alice", "person", "acme", spki(ALICE), administrator=True)
    with pytest.raises(ConflictError):
        world.holder.found(alice)
    world.store.state = CustodyState()
    holder = world.restarted()
    holder.found(alice)
    assert (holder.state.version, list(holder.state.principals)) == (1, ["alice"])
    with pytest.raises(ConflictError):
        holder.found(replace_name(alice))


def replace_name(record: PrincipalRecord) -> PrincipalRecord:
    return msgspec.structs.replace(record, name="mallory")


def test_the_snapshot_shows_what_others_may_know_and_no_more() -> None:
    world = World()
    snapshot = world.holder.snapshot()
    view = snapshot.keys[0]
    assert view == key_view(world.holder.state.keys["release"])
    assert view.warning == SOFTWARE_WARNING
    assert {one.name: one.administrator for one in snapshot.principals} == {"ci": False, "alice": True}
    assert snapshot.policies[0].subscriber == "acme"
    assert not replace(world.holder.state, halted="x").seen.size
