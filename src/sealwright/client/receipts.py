"""Checking a receipt: the proof that what was asked and what was answered stand in the service's log.

(1) The answer has one signature for each digest. (2) Both entries are in the log, under checkpoints that the log
signed. (3) The key holder cosigned the intent's checkpoint. (4) The intent says what we asked. (5) The outcome
says what we got for it. Proofs are RFC 6962 and RFC 9162; checkpoints are C2SP tlog-checkpoint and
tlog-cosignature.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from sealwright.client.service import request_bytes
from sealwright.domain.errors import MalformedError, VerificationError
from sealwright.domain.events import AnyEvent, RequestCompleted, RequestIntended, decode_event
from sealwright.domain.messages import EntryProof, Receipt, SigningRequestBody, SigningResponse
from sealwright.structures.merkle import check_inclusion, leaf_hash, root_of
from sealwright.structures.note import Checkpoint, Verifier, split_note


@dataclass(frozen=True, slots=True)
class LogKeys:
    """The keys a client knows the service's log by: the log's own and the key holder's as its witness."""

    log: Verifier
    witness: Verifier

    @classmethod
    def decode(cls, log: str, witness: str) -> "LogKeys":
        """Read both from their text form (C2SP signed-note verifier keys), or raise MalformedError."""
        return cls(Verifier.decode(log), Verifier.decode(witness).as_witness())


@dataclass(frozen=True, slots=True)
class CheckedReceipt:
    """What a receipt proves: the places of intent and outcome, and when the key holder cosigned (since 1970)."""

    intent_index: int
    outcome_index: int
    cosigned_seconds: int
    intent: RequestIntended


def check_response(
    response: SigningResponse, request: SigningRequestBody, principal: str, keys: LogKeys
) -> CheckedReceipt:
    """Check an answer to our request, made by `principal`. Raises VerificationError for the first thing amiss."""
    try:
        return _check(response, request, principal, keys)
    except MalformedError as error:
        raise VerificationError(f"the receipt cannot be read: {error.detail}") from error


def _check(response: SigningResponse, request: SigningRequestBody, principal: str, keys: LogKeys) -> CheckedReceipt:
    receipt = response.receipt
    # (1) One signature for each digest.
    if len(response.signatures) != len(request.artifacts):
        raise VerificationError(
            f"the service answered {len(response.signatures)} signatures to {len(request.artifacts)} digests"
        )
    # (2) Both entries are in the log that we know.
    intent = _entry(receipt, receipt.intent, receipt.intent_checkpoint, keys.log)
    outcome = _entry(receipt, receipt.outcome, receipt.outcome_checkpoint, keys.log)
    # (3) The key holder saw the intent in the log before it used the key.
    cosigned = keys.witness.check(receipt.intent_checkpoint)
    if cosigned is None:
        raise VerificationError("the key holder's signature on the checkpoint is no cosignature")
    # (4) The intent is ours.
    if not isinstance(intent, RequestIntended):
        raise VerificationError("the receipt's first entry is no intent to sign")
    _check_intent(intent, request, principal)
    # (5) The outcome is that intent's, and holds these signatures.
    if not isinstance(outcome, RequestCompleted) or outcome.intent != receipt.intent.index:
        raise VerificationError("the receipt's second entry is not the outcome of the first")
    if (outcome.count, outcome.signatures_root) != (len(response.signatures), _root(response.signatures)):
        raise VerificationError("the recorded outcome names other signatures than those received")
    return CheckedReceipt(receipt.intent.index, receipt.outcome.index, cosigned, intent)


def _entry(receipt: Receipt, proof: EntryProof, note: str, log: Verifier) -> AnyEvent:
    """Check that an entry stands in the log under a checkpoint that the log signed, and read it."""
    log.check(note)
    checkpoint = Checkpoint.decode(split_note(note)[0])
    if not checkpoint.origin == receipt.origin == log.name:
        raise VerificationError(f"the receipt speaks of the log {checkpoint.origin!r}, not of {log.name!r}")
    if checkpoint.size != proof.size:
        raise VerificationError("the receipt's proof and checkpoint speak of different sizes of the log")
    check_inclusion(leaf_hash(proof.entry), proof.index, proof.size, proof.proof, checkpoint.root)
    return decode_event(proof.entry)


def _check_intent(intent: RequestIntended, request: SigningRequestBody, principal: str) -> None:
    """Compare the intent with what was asked; `request` is the SHA-256 of the bytes that were sent."""
    try:
        digests = [bytes.fromhex(artifact.digest) for artifact in request.artifacts]
    except ValueError:
        raise VerificationError("a digest of the request is not hexadecimal") from None
    said = (
        intent.principal,
        intent.key,
        intent.scheme,
        intent.digest_algorithm,
        intent.input,
        intent.count,
        intent.digests_root,
        intent.request,
    )
    asked = (
        principal,
        request.key,
        request.scheme,
        request.digest_algorithm,
        request.input,
        len(digests),
        _root(digests),
        sha256(request_bytes(request)).hexdigest(),
    )
    if said != asked:
        raise VerificationError("the recorded intent does not say what was asked")


def _root(items: Sequence[bytes]) -> str:
    return root_of([leaf_hash(item) for item in items]).hex()
