"""The path of one signing request through the face.

(1) authenticate, (2) understand, (3) authorise, (4) record the intent, (5) have it signed by the key holder,
(6) record the outcome; only then answer. What fails after (1) is recorded as a refusal; what fails after (4)
has an intent in the log, and an outcome too if it is certain that no key was used.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, Protocol

import msgspec
from msgspec import Struct

from sealwright.contracts import Clock
from sealwright.domain.errors import (
    ConflictError,
    DeniedError,
    InvalidRequestError,
    LogMistrustedError,
    NotFoundError,
    SealwrightError,
    UnauthenticatedError,
    UnavailableError,
    error_of,
)
from sealwright.domain.events import RequestCompleted, RequestFailed, RequestIntended, RequestRefused, timestamp
from sealwright.domain.keys import InputModel, KeyState
from sealwright.domain.messages import (
    EntryProof,
    KeyView,
    PrincipalView,
    ProofOfRequest,
    Receipt,
    SignAnswer,
    SigningResponse,
)
from sealwright.domain.records import EarlierRequest
from sealwright.signing.refusals import AnonymousRefusals
from sealwright.signing.steps import (
    Authenticated,
    Authorised,
    Completed,
    Received,
    Recorded,
    Records,
    Signed,
    Understood,
)
from sealwright.structures.merkle import root_over
from sealwright.structures.signing_requests import (
    check_target,
    decision_context,
    proof_sha256,
    read_body,
    read_digests,
)

Authenticate = Callable[[ProofOfRequest], PrincipalView]
"""Returns the principal whose key signed the request, or raises UnauthenticatedError."""

Decide = Callable[[Literal["request", "sign"], PrincipalView, KeyView, Mapping[str, object]], str]
"""Cedar: (action, principal, key, context) -> empty if allowed, else why not."""


class Held(Struct, frozen=True, array_like=True):
    """What is kept of an answered request, to answer it again within the window."""

    signatures: tuple[bytes, ...]
    intent: EntryProof
    checkpoint: str


class Placed(Protocol):
    """An entry that became durable."""

    @property
    def index(self) -> int:
        """Its place in the log."""
        ...

    @property
    def entry(self) -> bytes:
        """Its bytes."""
        ...

    @property
    def checkpoint(self) -> str:
        """The checkpoint of its transaction."""
        ...

    def proof(self) -> EntryProof:
        """Return its inclusion proof under that checkpoint."""
        ...


class Log(Protocol):
    """The signing role's log and the requests in it; every call returns when its entry is durable."""

    async def intend(
        self, identity: bytes, event: RequestIntended, request_sha256: bytes, evidence: bytes
    ) -> Placed | EarlierRequest:
        """Record an intent, unless the same request was answered before."""
        ...

    async def conclude(
        self, identity: bytes, event: RequestCompleted | RequestFailed, response: bytes | None
    ) -> Placed:
        """Record an outcome."""
        ...

    async def note(self, event: RequestRefused) -> None:
        """Record a refusal."""
        ...

    async def prove(self, index: int) -> tuple[EntryProof, str]:
        """Return an older entry, proved under the newest checkpoint."""
        ...


class Holder(Protocol):
    """The key holder, behind whatever gathers requests into batches."""

    async def sign(self, recorded: Recorded) -> tuple[SignAnswer, EntryProof, str]:
        """Return the answer, the intent's proof and the cosigned checkpoint.

        Raises UnavailableError if the key holder did not answer: then nobody knows whether the key was used.
        """
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """What the pipeline needs from outside."""

    authenticate: Authenticate
    decide: Decide
    records: Callable[[], Records]
    log: Log
    holder: Holder
    refusals: AnonymousRefusals
    clock: Clock


class Pipeline:
    """Takes requests from the wire to the answer."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._working: set[bytes] = set()

    async def run(self, received: Received) -> Completed:
        """Go the whole path. Raises the SealwrightError of the step that refused."""
        try:
            authenticated = self.authenticate(received)
        except SealwrightError as error:
            self._ports.refusals.count(error)
            raise
        try:
            authorised = self.authorise(self.understand(authenticated))
        except SealwrightError as error:
            await self._refused(authenticated, error)
            raise
        identity = request_identity(authorised.understood.authenticated)
        if identity in self._working:
            raise UnavailableError("this very request is being worked on", retry_after=1)
        self._working.add(identity)
        try:
            try:
                recorded = await self.record(authorised, identity)
            except ConflictError as error:
                await self._refused(authenticated, error)
                raise
            if isinstance(recorded, Completed):
                return recorded
            return await self.complete(await self.sign(recorded))
        finally:
            self._working.discard(identity)

    def authenticate(self, received: Received) -> Authenticated:
        """(1) Find out who asks, by the signature over this very request."""
        principal = self._ports.authenticate(received.proof)
        if not received.proof.idempotency_key:
            raise UnauthenticatedError("the request has no Idempotency-Key header")
        return Authenticated(received, principal)

    def understand(self, authenticated: Authenticated) -> Understood:
        """(2) Read the request, and find the key among those that the principal's subscriber owns."""
        check_target(authenticated.received.proof)
        request = read_body(authenticated.received.proof.body)
        algorithm, digests = read_digests(request)
        key = self._ports.records().keys.get(request.key)
        if key is None or key.subscriber != authenticated.principal.subscriber:
            raise NotFoundError(
                f"there is no key {request.key!r}", hint="`sealwright whoami` lists the keys you can use"
            )
        if request.input != InputModel.DIGEST.value:
            raise InvalidRequestError("this service takes digests (input model `digest`)")
        return Understood(authenticated, request, algorithm, digests, key)

    def authorise(self, understood: Understood) -> Authorised:
        """(3) Ask policy whether the principal may ask; the key holder decides again over the use of the key."""
        records, key = self._ports.records(), understood.key
        if key.state != KeyState.ACTIVE.value:
            raise DeniedError(f"key {key.name!r} is {key.state}, not active")
        if understood.request.scheme not in key.schemes:
            raise DeniedError(f"key {key.name!r} may not be used with the scheme {understood.request.scheme!r}")
        context = decision_context(understood.request)
        refusal = self._ports.decide("request", understood.authenticated.principal, key, context)
        if refusal:
            raise DeniedError(refusal)
        return Authorised(understood, records.version)

    async def record(self, authorised: Authorised, identity: bytes) -> Recorded | Completed:
        """(4) Record the intent durably; a request that was answered before is answered again from the record."""
        understood = authorised.understood
        request, key = understood.request, understood.key
        proof = understood.authenticated.received.proof
        body_sha256 = sha256(proof.body).digest()
        event = RequestIntended(
            time=timestamp(self._ports.clock()),
            principal=understood.authenticated.principal.name,
            subscriber=key.subscriber,
            key=request.key,
            scheme=request.scheme,
            digest_algorithm=request.digest_algorithm,
            count=len(understood.digests),
            digests_root=root_over(understood.digests).hex(),
            request=body_sha256.hex(),
            proof=proof_sha256(proof).hex(),
            records_version=authorised.records_version,
            certificate=sha256(key.chain[0]).hexdigest() if key.chain else "",
            input=request.input,
        )
        placed = await self._ports.log.intend(identity, event, body_sha256, msgspec.msgpack.encode(proof))
        if isinstance(placed, EarlierRequest):
            return await self._again(authorised, identity, body_sha256, placed)
        return Recorded(authorised, identity, placed.entry, placed.index)

    async def _again(
        self, authorised: Authorised, identity: bytes, body_sha256: bytes, earlier: EarlierRequest
    ) -> Completed:
        if earlier.request_sha256 != body_sha256:
            raise ConflictError("this idempotency key was used for another request", hint="choose a new key")
        if earlier.records_version != authorised.records_version:
            raise ConflictError(
                "keys, certificates or policies changed since this request was answered",
                hint="send it with a new idempotency key",
            )
        if earlier.response is None or earlier.outcome is None:
            raise UnavailableError("this very request is being worked on", retry_after=1)
        held = msgspec.msgpack.decode(earlier.response, type=Held)
        outcome, checkpoint = await self._ports.log.prove(earlier.outcome)
        key = authorised.understood.request.key
        return Completed(_response(identity, key, held, outcome, checkpoint, replayed=True))

    async def sign(self, recorded: Recorded) -> Signed:
        """(5) Have the key holder check everything for itself and make the signatures."""
        try:
            answer, intent, checkpoint = await self._ports.holder.sign(recorded)
        except (ConflictError, LogMistrustedError) as error:
            await self._failed(recorded, error.code)  # the batch was refused as a whole: no key was used
            raise
        if answer.code:
            await self._failed(recorded, answer.code)
            raise error_of(answer.code, answer.detail, retry_after=answer.retry_after)
        return Signed(recorded, tuple(answer.signatures), intent, checkpoint)

    async def _failed(self, recorded: Recorded, code: str) -> None:
        failed = RequestFailed(time=timestamp(self._ports.clock()), intent=recorded.index, code=code)
        await self._ports.log.conclude(recorded.id, failed, None)

    async def complete(self, signed: Signed) -> Completed:
        """(6) Record the outcome durably; what this returns may leave the service."""
        recorded = signed.recorded
        event = RequestCompleted(
            time=timestamp(self._ports.clock()),
            intent=recorded.index,
            count=len(signed.signatures),
            signatures_root=root_over(signed.signatures).hex(),
        )
        held = Held(signed.signatures, signed.intent, signed.checkpoint)
        placed = await self._ports.log.conclude(recorded.id, event, msgspec.msgpack.encode(held))
        key = recorded.authorised.understood.request.key
        return Completed(_response(recorded.id, key, held, placed.proof(), placed.checkpoint))

    async def _refused(self, authenticated: Authenticated, error: SealwrightError) -> None:
        proof = authenticated.received.proof
        key = ""
        with suppress(SealwrightError):
            key = read_body(proof.body).key[:64]
        await self._ports.log.note(
            RequestRefused(
                time=timestamp(self._ports.clock()),
                principal=authenticated.principal.name,
                code=error.code,
                request=sha256(proof.body).hexdigest(),
                key=key,
            )
        )


def request_identity(authenticated: Authenticated) -> bytes:
    """Return what makes a request the same request: principal and idempotency key, hashed."""
    name, key = authenticated.principal.name, authenticated.received.proof.idempotency_key
    return sha256(f"{name}\n{key}".encode()).digest()


def _response(
    identity: bytes, key: str, held: Held, outcome: EntryProof, checkpoint: str, *, replayed: bool = False
) -> SigningResponse:
    origin = checkpoint.split("\n", 1)[0]
    receipt = Receipt(origin, held.intent, held.checkpoint, outcome, checkpoint)
    return SigningResponse(identity.hex(), key, list(held.signatures), receipt, replayed)
