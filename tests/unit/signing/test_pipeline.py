"""The path of a signing request through the face: every way it can end, and what is recorded of it."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from sealwright.custody.state import key_view
from sealwright.domain.errors import (
    ConflictError,
    DeniedError,
    InvalidRequestError,
    LogMistrustedError,
    NotFoundError,
    SealwrightError,
    UnauthenticatedError,
    UnavailableError,
    WeakDigestError,
)
from sealwright.domain.events import (
    AnyEvent,
    RequestCompleted,
    RequestFailed,
    RequestIntended,
    RequestRefused,
    encode_event,
)
from sealwright.domain.messages import EntryProof, KeyView, PrincipalView, ProofOfRequest, SignAnswer, Snapshot
from sealwright.domain.records import EarlierRequest
from sealwright.signing.pipeline import Pipeline, Ports, request_identity
from sealwright.signing.refusals import AnonymousRefusals
from sealwright.signing.steps import Authenticated, Completed, Received, Recorded, Records
from sealwright.structures.merkle import Frontier, leaf_hash, root_of
from sealwright.structures.signing_requests import proof_sha256
from tests.unit.custody.world import CI, LOG, NOW, MemoryKeyStore, body, key_record, proof, spki

CHECKPOINT = LOG.checkpoint(Frontier())
PRINCIPAL = PrincipalView("ci", "workload", "acme", spki(CI))


@dataclass
class Entry:
    """signing.pipeline.Placed."""

    index: int
    entry: bytes
    checkpoint: str = CHECKPOINT

    def proof(self) -> EntryProof:
        return EntryProof(self.entry, self.index, self.index + 1, [])


@dataclass
class MemoryLog:
    """signing.pipeline.Log; `broken` names the calls that fail."""

    events: list[AnyEvent] = field(default_factory=list)
    known: dict[bytes, EarlierRequest] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    evidence: list[bytes] = field(default_factory=list)

    def _append(self, event: AnyEvent, call: str) -> Entry:
        if call in self.broken:
            raise UnavailableError("the journal cannot be written")
        self.events.append(event)
        return Entry(len(self.events) - 1, encode_event(event))

    async def intend(
        self, identity: bytes, event: RequestIntended, request_sha256: bytes, evidence: bytes
    ) -> Entry | EarlierRequest:
        await asyncio.sleep(0)
        before = self.known.get(identity)
        if before and (before.response is not None or before.request_sha256 != request_sha256):
            return before
        placed = self._append(event, "intend")
        self.evidence.append(evidence)
        self.known[identity] = EarlierRequest(request_sha256, event.records_version, placed.index, None, None)
        return placed

    async def conclude(self, identity: bytes, event: RequestCompleted | RequestFailed, response: bytes | None) -> Entry:
        placed = self._append(event, "conclude")
        before = self.known[identity]
        self.known[identity] = EarlierRequest(
            before.request_sha256, before.records_version, before.intent, placed.index, response
        )
        return placed

    async def note(self, event: RequestRefused) -> None:
        self._append(event, "note")

    async def prove(self, index: int) -> tuple[EntryProof, str]:
        return EntryProof(encode_event(self.events[index]), index, len(self.events), []), CHECKPOINT


@dataclass
class MemoryHolder:
    """signing.pipeline.Holder: signs, answers an error, or does not answer."""

    log: MemoryLog
    answer: SignAnswer | SealwrightError | None = None
    asked: list[Recorded] = field(default_factory=list)
    gate: asyncio.Event | None = None

    async def sign(self, recorded: Recorded) -> tuple[SignAnswer, EntryProof, str]:
        assert encode_event(self.log.events[recorded.index]) == recorded.entry  # the intent is durable
        self.asked.append(recorded)
        if self.gate:
            await self.gate.wait()
        if isinstance(self.answer, SealwrightError):
            raise self.answer
        digests = recorded.authorised.understood.digests
        answer = self.answer or SignAnswer(signatures=[b"signed " + digest for digest in digests])
        return answer, EntryProof(recorded.entry, recorded.index, recorded.index + 1, []), CHECKPOINT


class World:
    def __init__(self) -> None:
        self.log = MemoryLog()
        self.holder = MemoryHolder(self.log)
        self.refusals = AnonymousRefusals()
        self.denied = ""
        self.unknown = False
        self.version = 3
        self.keys: list[KeyView] = [key_view(key_record(MemoryKeyStore(), "release"))]
        self.pipeline = Pipeline(
            Ports(
                authenticate=self._authenticate,
                decide=lambda *_: self.denied,
                records=self._records,
                log=self.log,
                holder=self.holder,
                refusals=self.refusals,
                clock=lambda: NOW,
            )
        )

    def _authenticate(self, _proof: ProofOfRequest) -> PrincipalView:
        if self.unknown:
            raise UnauthenticatedError
        return PRINCIPAL

    def _records(self) -> Records:
        return Records(Snapshot(self.version, False, self.keys, [PRINCIPAL], [], 0, ""))

    def run(self, signed: ProofOfRequest | None = None) -> Completed:
        return run(self.pipeline.run(Received(signed or proof(body(2)))))

    def kinds(self) -> list[type[AnyEvent]]:
        return [type(event) for event in self.log.events]


def run(work: Coroutine[Any, Any, Completed]) -> Completed:
    return asyncio.run(work)


def test_a_request_goes_the_whole_path_and_leaves_intent_and_outcome() -> None:
    world = World()
    signed = proof(body(2))
    response = world.run(signed).response
    assert world.kinds() == [RequestIntended, RequestCompleted]
    intent, outcome = world.log.events
    assert isinstance(intent, RequestIntended)
    assert isinstance(outcome, RequestCompleted)
    assert (intent.principal, intent.key, intent.count, intent.records_version) == ("ci", "release", 2, 3)
    assert intent.proof == proof_sha256(signed).hex()
    assert msgspec.msgpack.decode(world.log.evidence[0], type=ProofOfRequest) == signed
    assert outcome.signatures_root == root_of([leaf_hash(one) for one in response.signatures]).hex()
    assert (outcome.intent, outcome.count, len(response.signatures), response.replayed) == (0, 2, 2, False)
    assert (response.receipt.intent.index, response.receipt.outcome.index) == (0, 1)


def test_an_answered_request_is_answered_again_and_not_signed_again() -> None:
    world = World()
    first, second = world.run().response, world.run().response
    assert second.replayed
    assert second.signatures == first.signatures
    assert second.receipt.intent == first.receipt.intent
    assert len(world.holder.asked) == 1
    assert world.kinds() == [RequestIntended, RequestCompleted]


def test_a_replay_is_authorised_afresh() -> None:
    world = World()
    world.run()
    world.denied = "not any more"
    with pytest.raises(DeniedError):
        world.run()
    assert world.kinds()[-1] is RequestRefused


def test_a_replay_is_void_after_the_records_changed_and_that_is_recorded() -> None:
    world = World()
    world.run()
    world.version += 1
    with pytest.raises(ConflictError, match="changed since"):
        world.run()
    assert world.kinds() == [RequestIntended, RequestCompleted, RequestRefused]


def test_an_idempotency_key_is_for_one_request_and_its_misuse_is_recorded() -> None:
    world = World()
    world.run()
    with pytest.raises(ConflictError, match="another request"):
        world.run(proof(body(3)))
    assert world.kinds() == [RequestIntended, RequestCompleted, RequestRefused]


def test_the_same_request_at_the_same_time_is_worked_on_once() -> None:
    world = World()

    async def both() -> None:
        world.holder.gate = asyncio.Event()
        first = asyncio.create_task(world.pipeline.run(Received(proof())))
        while not world.holder.asked:  # noqa: ASYNC110 - what is waited for is no event
            await asyncio.sleep(0)
        with pytest.raises(UnavailableError) as caught:
            await world.pipeline.run(Received(proof()))
        assert caught.value.retry_after == 1
        world.holder.gate.set()
        assert (await first).response.signatures
        assert (await world.pipeline.run(Received(proof()))).response.replayed

    asyncio.run(both())
    assert world.kinds() == [RequestIntended, RequestCompleted]


def test_an_earlier_request_without_an_outcome_elsewhere_is_waited_for() -> None:
    world = World()
    signed = proof()
    identity = request_identity(Authenticated(Received(signed), PRINCIPAL))
    from hashlib import sha256  # noqa: PLC0415 - only here

    world.log.known[identity] = EarlierRequest(sha256(signed.body).digest(), 3, 0, None, b"half written")
    with pytest.raises(UnavailableError):
        world.run(signed)


def test_strangers_are_counted_and_not_recorded() -> None:
    world = World()
    world.unknown = True
    for _ in range(3):
        with pytest.raises(UnauthenticatedError):
            world.run()
    assert world.log.events == []
    entry = world.refusals.take(NOW)
    assert entry
    assert (entry.count, entry.codes) == (3, {"unauthenticated": 3})
    world.refusals.give_back(entry)
    assert world.refusals.take(NOW) == entry
    assert world.refusals.take(NOW) is None


def test_a_request_without_an_idempotency_key_is_nobodys() -> None:
    with pytest.raises(UnauthenticatedError):
        World().run(msgspec.structs.replace(proof(), idempotency_key=""))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", InvalidRequestError),
        (b"\xff", InvalidRequestError),
        (body(key="other"), NotFoundError),
        (body(key="k" * 500), NotFoundError),
        (body(input="file"), InvalidRequestError),
        (body(scheme="other"), DeniedError),
        (body(digest_algorithm="sha1"), WeakDigestError),
    ],
)
def test_what_an_authenticated_principal_may_not_have_is_recorded_one_by_one(
    data: bytes, error: type[SealwrightError]
) -> None:
    world = World()
    with pytest.raises(error):
        world.run(proof(data))
    (refused,) = world.log.events
    assert isinstance(refused, RequestRefused)
    assert (refused.principal, refused.code) == ("ci", error.code)
    assert len(refused.key) <= 64


@pytest.mark.parametrize("changes", [{"subscriber": "other"}, {"state": "suspended"}, {"state": "destroyed"}])
def test_a_key_that_is_not_the_callers_or_not_active_is_refused(changes: dict[str, str]) -> None:
    world = World()
    world.keys = [msgspec.structs.replace(world.keys[0], **changes)]
    with pytest.raises((NotFoundError, DeniedError)):
        world.run()
    assert world.kinds() == [RequestRefused]
    assert not world.holder.asked


def test_a_proof_for_another_act_is_refused() -> None:
    world = World()
    with pytest.raises(UnauthenticatedError):
        world.run(proof(path="/v1/signing-requests/preview"))
    assert world.kinds() == [RequestRefused]


def test_no_policy_no_signature() -> None:
    world = World()
    world.denied = "no policy permits it"
    with pytest.raises(DeniedError, match="no policy"):
        world.run()
    assert world.kinds() == [RequestRefused]


# --- After the intent ------------------------------------------------------------------------------------------


def test_nothing_is_signed_if_the_intent_cannot_be_recorded() -> None:
    world = World()
    world.log.broken = {"intend"}
    with pytest.raises(UnavailableError):
        world.run()
    assert not world.holder.asked
    world.log.broken = set()
    assert world.run().response.signatures


def test_a_signature_whose_outcome_cannot_be_recorded_does_not_leave() -> None:
    world = World()
    world.log.broken = {"conclude"}
    with pytest.raises(UnavailableError):
        world.run()
    assert world.kinds() == [RequestIntended]  # open: it counts as used


def test_a_refusal_of_the_key_holder_is_the_outcome() -> None:
    world = World()
    world.holder.answer = SignAnswer(code="denied", detail="not with this key", retry_after=None)
    with pytest.raises(DeniedError, match="not with this key"):
        world.run()
    outcome = world.log.events[-1]
    assert isinstance(outcome, RequestFailed)
    assert (outcome.intent, outcome.code) == (0, "denied")
    world.holder.answer = None
    assert world.run().response.signatures  # the same request may be sent again


@pytest.mark.parametrize("error", [LogMistrustedError("halted"), ConflictError("the log went back")])
def test_a_batch_that_was_refused_as_a_whole_used_no_key_and_leaves_no_open_intent(error: SealwrightError) -> None:
    world = World()
    world.holder.answer = error
    with pytest.raises(type(error)):
        world.run()
    assert world.kinds() == [RequestIntended, RequestFailed]


def test_a_key_holder_that_does_not_answer_leaves_the_intent_open() -> None:
    world = World()
    world.holder.answer = UnavailableError("the key holder does not answer", retry_after=2)
    with pytest.raises(UnavailableError):
        world.run()
    assert world.kinds() == [RequestIntended]
    world.holder.answer = None
    assert world.run().response.signatures


def test_anonymous_refusals_of_many_kinds_stay_few() -> None:
    refusals = AnonymousRefusals()
    for number in range(100):
        error = UnauthenticatedError()
        error.__class__ = type(f"Error{number}", (UnauthenticatedError,), {"code": f"code-{number}"})
        refusals.count(error)
    entry = refusals.take(NOW)
    assert entry
    assert (entry.count, len(entry.codes), entry.codes["other"]) == (100, 33, 68)
