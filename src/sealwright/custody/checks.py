"""The final checks over one request, made by the key holder for itself just before a key is used.

(1) the entry is in the log that was just proved, (2) a principal known here signed these very bytes lately,
(3) the key exists, is active, and belongs to the principal's subscriber, (4) scheme and digests are allowed for
the key, (5) the recorded intent says exactly what was asked, (6) Cedar's `sign` permits it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Literal

from sealwright.custody.state import key_view, principal_view
from sealwright.domain.errors import (
    DeniedError,
    InvalidRequestError,
    MalformedError,
    NotFoundError,
    UnauthenticatedError,
    VerificationError,
)
from sealwright.domain.events import RequestIntended, decode_event
from sealwright.domain.keys import DigestAlgorithm, InputModel, KeyState, Lifetime
from sealwright.domain.messages import KeyView, LogAdvance, PrincipalView, SignerContext, SigningRequestBody, SignItem
from sealwright.domain.records import CustodyState, KeyRecord, PrincipalRecord
from sealwright.structures.http_signatures import PublicKey
from sealwright.structures.http_signatures import check as check_request_signature
from sealwright.structures.merkle import leaf_hash, root_over
from sealwright.structures.signing_requests import (
    check_target,
    decision_context,
    proof_sha256,
    read_body,
    read_digests,
    statement_sha256,
)

PROOF_TOLERANCE = 600
"""Seconds by which the time in a proof of request may differ from the key holder's clock."""

Decide = Callable[[Literal["request", "sign"], PrincipalView, KeyView, Mapping[str, object]], str]
"""Cedar: (action, principal, key, context) -> empty if allowed, else why not."""

LoadKey = Callable[[bytes], PublicKey]
"""Loads a public key (SubjectPublicKeyInfo), remembering those it loaded before."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that passed every check: only this can be signed."""

    record: KeyRecord
    digest: DigestAlgorithm
    digests: tuple[bytes, ...]
    scheme: str
    parameters: Mapping[str, str]
    context: SignerContext
    intent_sha256: bytes
    statement_sha256: bytes  # what the principal signed: it is signed for once


def check_entry(item: SignItem, log: LogAdvance) -> RequestIntended:
    """(1) The intent is one of the entries whose hashes just went into the tree; so it can be presented once."""
    position = item.index - log.from_size
    if not 0 <= position < len(log.leaf_hashes) or log.leaf_hashes[position] != leaf_hash(item.intent):
        raise VerificationError("the intent is not in the log")
    try:
        event = decode_event(item.intent)
    except MalformedError as error:
        raise VerificationError(f"the log's entry is no intent: {error.detail}") from None
    if not isinstance(event, RequestIntended):
        raise VerificationError("the log's entry is no intent to sign")
    return event


def _check_time(intent: RequestIntended, now: int) -> None:
    """(1) too: the entry is dated as it was made, so that nobody can record today what should have been yesterday."""
    try:
        recorded = datetime.fromisoformat(intent.time).timestamp()
    except ValueError:
        raise VerificationError("the intent has no time") from None
    if not intent.time.endswith("Z") or abs(recorded - now) > PROOF_TOLERANCE:
        raise VerificationError("the intent is not dated by this clock", hint="check the clocks of face and key holder")


def check_principal(
    item: SignItem, intent: RequestIntended, state: CustodyState, authority: str, now: int, load: LoadKey
) -> PrincipalRecord:
    """(2) The principal named in the intent signed these bytes, as a signing request to this service, lately."""
    principal = state.principals.get(intent.principal)
    if principal is None or item.proof.authority != authority:
        raise UnauthenticatedError
    check_target(item.proof)
    signature = check_request_signature(item.proof, load(principal.public_key), now, PROOF_TOLERANCE)
    if signature.key_id != principal.name:
        raise UnauthenticatedError
    return principal


def check_request(
    item: SignItem, log: LogAdvance, state: CustodyState, authority: str, now: int, load: LoadKey, decide: Decide
) -> Admitted:
    """Make all checks, in the order told above. Raises the error that tells which one failed."""
    intent = check_entry(item, log)
    _check_time(intent, now)
    principal = check_principal(item, intent, state, authority, now, load)
    request = read_body(item.proof.body)
    record = check_key(state, principal, request)
    if record.chain and now >= record.valid_until:
        raise DeniedError(f"the certificate of key {record.name!r} has expired", hint="have the key certified anew")
    algorithm, digests = read_digests(request)
    _check_intent(intent, item, request, record, state, root_over(digests))
    refusal = decide("sign", principal_view(principal), key_view(record), decision_context(request))
    if refusal:
        raise DeniedError(refusal)
    context = SignerContext(
        chain=record.chain,
        key_algorithm=record.algorithm,
        protection=record.protection,
        ephemeral=record.lifetime is Lifetime.EPHEMERAL,
    )
    intent_sha256 = sha256(item.intent).digest()
    spent = statement_sha256(item.proof)
    return Admitted(record, algorithm, digests, request.scheme, request.parameters, context, intent_sha256, spent)


def check_key(state: CustodyState, principal: PrincipalRecord, request: SigningRequestBody) -> KeyRecord:
    """(3) and (4): the key is the subscriber's own, is active, and may be used with this scheme and input."""
    record = state.keys.get(request.key)
    if record is None or record.subscriber != principal.subscriber:
        raise NotFoundError(f"there is no key {request.key!r}", hint="`sealwright whoami` lists the keys you can use")
    if record.state is not KeyState.ACTIVE:
        raise DeniedError(f"key {record.name!r} is {record.state.value}, not active")
    if request.scheme not in record.schemes:
        raise DeniedError(f"key {record.name!r} may not be used with the scheme {request.scheme!r}")
    if request.input != InputModel.DIGEST.value:
        raise InvalidRequestError("this service takes digests (input model `digest`)")
    return record


def _check_intent(
    intent: RequestIntended,
    item: SignItem,
    request: SigningRequestBody,
    record: KeyRecord,
    state: CustodyState,
    digests_root: bytes,
) -> None:
    """(5) What was recorded is what is asked: otherwise the record would tell another story than the signature."""
    certificate = sha256(record.chain[0]).hexdigest() if record.chain else ""
    said = (
        intent.subscriber,
        intent.key,
        intent.scheme,
        intent.digest_algorithm,
        intent.count,
        intent.digests_root,
        intent.request,
        intent.proof,
        intent.input,
        intent.certificate,
        intent.blind,
    )
    asked = (
        record.subscriber,
        request.key,
        request.scheme,
        request.digest_algorithm,
        len(request.artifacts),
        digests_root.hex(),
        sha256(item.proof.body).hexdigest(),
        proof_sha256(item.proof).hex(),
        request.input,
        certificate,
        False,
    )
    if said != asked:
        raise VerificationError("the recorded intent does not say what the request asks")
    if intent.records_version != state.version:
        raise VerificationError("the intent was recorded under another version of keys and policies")
