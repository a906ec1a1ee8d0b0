"""The key holder: believes nobody, checks for itself, counts before it uses a key, and only then signs."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC
from hashlib import sha256

import msgspec

from sealwright.contracts import Clock, KeyStore, Scheme
from sealwright.custody.administration import Administration
from sealwright.custody.checks import PROOF_TOLERANCE, Admitted, Decide, LoadKey, check_request
from sealwright.custody.state import CustodyStore, key_view, policy_view, principal_view
from sealwright.custody.use import IssueAll, KeyUse, RunAll, refusal
from sealwright.custody.witness import advance
from sealwright.domain.actions import CertifyKey, ChangeKeyState, CreateKey, EnrolPrincipal, action_name, subject_of
from sealwright.domain.errors import ConflictError, LogMistrustedError, SealwrightError
from sealwright.domain.events import AdministratorActed, AdministratorRefused, LogHalted, timestamp
from sealwright.domain.messages import (
    AdminAnswer,
    AdminEnvelope,
    BatchAnswer,
    SignAnswer,
    SignBatch,
    SignItem,
    Snapshot,
)
from sealwright.domain.records import CustodyState, PrincipalRecord, SeenLog, Uses
from sealwright.structures.merkle import Frontier
from sealwright.structures.note import Verifier, cosignature_line, split_note


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the key holder needs from outside itself, wired by its process."""

    authority: str  # host and port that proofs of request are made out to
    log: Verifier  # of the face's log
    witness: Verifier  # our own, type cosignature
    witness_sign: Callable[[bytes], bytes]
    store: CustodyStore
    key_store: KeyStore
    administration: Administration
    scheme: Callable[[str], Scheme]
    decide: Decide
    load_key: LoadKey
    issue_all: IssueAll
    run_all: RunAll
    clock: Clock


class KeyHolder:
    """One instance in one process; calls come one after another, so that state needs no lock."""

    def __init__(self, outside: Surroundings) -> None:
        self._out = outside
        self._state = outside.store.load()
        self._use = KeyUse(outside.key_store, outside.scheme, outside.issue_all, outside.run_all)
        with suppress(SealwrightError):  # what a crash left undone; the records forbid its use all the same
            outside.administration.destroy_marked(self._state, self._state.keys)

    @property
    def state(self) -> CustodyState:
        """What the key holder knows now."""
        return self._state

    def snapshot(self) -> Snapshot:
        """Return the records that decide, as the face needs them."""
        state = self._state
        return Snapshot(
            version=state.version,
            dual_control=state.dual_control,
            keys=[key_view(record) for record in state.keys.values()],
            principals=[principal_view(record) for record in state.principals.values()],
            policies=[policy_view(record) for record in state.policies.values()],
            log_size=state.seen.size,
            witness=self._out.witness.encode(),
            halted=state.halted,
        )

    def sign(self, batch: SignBatch) -> BatchAnswer:
        """Check and sign a batch; refusals of single requests stand in their place.

        Raises LogMistrustedError for all of it, now and from now on, if the log contradicts what was seen;
        VerificationError, MalformedError or InvalidRequestError if the batch itself makes no sense.
        """
        if self._state.halted:
            raise LogMistrustedError(self._state.halted)
        try:
            seen = advance(self._state.seen, batch.log, self._out.log)
        except LogMistrustedError as error:
            self._halt(error.detail, batch.log.checkpoint)
            raise
        now = int(self._out.clock().timestamp())
        answers: list[SignAnswer | Admitted] = [self._check(item, batch, now) for item in batch.items]
        answers = self._refuse_spent(answers)
        self._count(answers, seen, now)
        done = self._sign_all(answers)
        text = split_note(batch.log.checkpoint)[0]
        line = cosignature_line(text, self._out.witness, self._out.witness_sign, now)
        return BatchAnswer(done, line, self._state.version)

    def _check(self, item: SignItem, batch: SignBatch, now: int) -> SignAnswer | Admitted:
        out = self._out
        try:
            return check_request(item, batch.log, self._state, out.authority, now, out.load_key, out.decide)
        except SealwrightError as error:
            return refusal(error)

    def _refuse_spent(self, answers: list[SignAnswer | Admitted]) -> list[SignAnswer | Admitted]:
        """Refuse proofs that were used: the same one under another intent would be an invented request."""
        proofs = [answer.statement_sha256 for answer in answers if isinstance(answer, Admitted)]
        spent = self._out.store.spent(proofs) if proofs else set()
        left: list[SignAnswer | Admitted] = []
        for answer in answers:
            if isinstance(answer, Admitted):
                if answer.statement_sha256 in spent:
                    left.append(refusal(ConflictError("this proof of request was used before: sign it anew")))
                    continue
                spent.add(answer.statement_sha256)
            left.append(answer)
        return left

    def _count(self, answers: Sequence[SignAnswer | Admitted], seen: SeenLog, now: int) -> None:
        """Make durable, before any key is used, how far the log was seen and what is about to be used."""
        per_key: dict[str, int] = {}
        proofs: dict[bytes, int] = {}
        for answer in answers:
            if isinstance(answer, Admitted):
                per_key[answer.record.name] = per_key.get(answer.record.name, 0) + len(answer.digests)
                proofs[answer.statement_sha256] = now + 2 * PROOF_TOLERANCE
        self._out.store.use(Uses(seen, per_key, proofs), now)
        self._state = replace(self._state, seen=seen)

    def _sign_all(self, answers: Sequence[SignAnswer | Admitted]) -> list[SignAnswer]:
        signed = iter(self._use.sign([answer for answer in answers if isinstance(answer, Admitted)]))
        return [next(signed) if isinstance(answer, Admitted) else answer for answer in answers]

    def _halt(self, reason: str, checkpoint: str) -> None:
        seen = self._state.seen
        event = LogHalted(
            time=timestamp(self._out.clock()),
            seen_size=seen.size,
            seen_root=Frontier.decode(seen.size, seen.frontier).root.hex(),
            shown=sha256(checkpoint.encode()).hexdigest(),
            reason=reason,
        )
        self._out.store.halt(reason, event)
        self._state = replace(self._state, halted=reason)

    def found(self, administrator: PrincipalRecord) -> None:
        """Make the first administrator known, who signs everything that follows; only an empty state can be founded.

        Nothing that comes over the socket leads here. Raises ConflictError if there is somebody already.
        """
        if self._state.version or self._state.principals:
            raise ConflictError("the key holder has its first administrator already")
        founded = replace(self._state, version=1, principals={administrator.name: administrator})
        event = AdministratorActed(
            time=timestamp(self._out.clock()),
            administrators=[administrator.name],
            action="found",
            subject=administrator.name,
            request=sha256(administrator.public_key).hexdigest(),
            records_version=1,
        )
        self._out.store.change(founded, event, "founding", msgspec.msgpack.encode(administrator))
        self._state = founded

    def administer(self, envelope: AdminEnvelope) -> AdminAnswer:
        """Carry out an administrative request. Raises DeniedError and what the act itself raises."""
        now = self._out.clock().astimezone(UTC)
        administration = self._out.administration
        names = administration.signers(envelope, self._state)
        digest = sha256(envelope.request).hexdigest()
        try:
            request = administration.entitled(envelope, names, self._state, now)
            if self._out.store.carried_out(request.id):
                raise ConflictError("this administrative request was carried out before")
            changed = administration.carry_out(request, self._state)
        except SealwrightError as error:
            refused = AdministratorRefused(time=timestamp(now), administrators=names, code=error.code, request=digest)
            self._out.store.record(refused)
            raise
        event = AdministratorActed(
            time=timestamp(now),
            administrators=names,
            action=action_name(request.action),
            subject=subject_of(request.action),
            request=digest,
            records_version=changed.version,
        )
        self._out.store.change(changed, event, request.id, msgspec.msgpack.encode(envelope))
        self._state = changed
        if isinstance(request.action, ChangeKeyState):
            administration.destroy_marked(changed, [request.action.name])
        answer = AdminAnswer(version=changed.version, detail=f"{event.action} {event.subject}".strip())
        match request.action:
            case CreateKey(name=name) | CertifyKey(name=name) | ChangeKeyState(name=name):
                return msgspec.structs.replace(answer, key=key_view(changed.keys[name]))
            case EnrolPrincipal(name=name):
                return msgspec.structs.replace(answer, principal=principal_view(changed.principals[name]))
            case _:
                return answer
