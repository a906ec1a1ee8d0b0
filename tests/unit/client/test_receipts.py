import hashlib
from collections.abc import Callable
from functools import cache

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sealwright.client.receipts import LogKeys, check_response
from sealwright.client.service import SigningService
from sealwright.client.transport import Identity, Transport
from sealwright.domain.errors import MalformedError, VerificationError
from sealwright.domain.events import RequestFailed, encode_event
from sealwright.domain.messages import Artifact, Receipt, SigningRequestBody, SigningResponse
from sealwright.structures.note import Verifier, split_note
from tests.unit.client.fake_service import SERVER, WORKLOAD, FakeService, log_entries, raw

REQUEST = SigningRequestBody(
    key="release",
    scheme="authenticode",
    digest_algorithm="sha256",
    artifacts=[Artifact(hashlib.sha256(bytes([number])).hexdigest()) for number in range(3)],
)


@cache
def world() -> tuple[FakeService, SigningResponse]:
    service = FakeService()
    transport = Transport(SERVER, service, Identity(WORKLOAD, *service.workload_signer()))
    return service, SigningService(transport).sign(REQUEST, "once")


def keys() -> LogKeys:
    service, _ = world()
    return LogKeys.decode(service.log.encode(), service.witness.encode())


def with_receipt(change: Callable[[Receipt], Receipt]) -> SigningResponse:
    _, response = world()
    return replace(response, receipt=change(response.receipt))


def check(response: SigningResponse, request: SigningRequestBody = REQUEST, principal: str = WORKLOAD) -> None:
    check_response(response, request, principal, keys())


def test_a_true_receipt_tells_where_intent_and_outcome_stand() -> None:
    checked = check_response(world()[1], REQUEST, WORKLOAD, keys())
    assert (checked.intent_index, checked.outcome_index, checked.cosigned_seconds) == (1, 2, 1_700_000_000)
    assert checked.intent.principal == WORKLOAD


def test_every_digest_needs_its_signature() -> None:
    _, response = world()
    with pytest.raises(VerificationError, match="2 signatures to 3 digests"):
        check(replace(response, signatures=response.signatures[:2]))


def test_other_signatures_than_those_recorded_are_found() -> None:
    _, response = world()
    with pytest.raises(VerificationError, match="other signatures"):
        check(replace(response, signatures=response.signatures[::-1]))


@pytest.mark.parametrize(
    "request_",
    [
        replace(REQUEST, artifacts=REQUEST.artifacts[::-1]),
        replace(REQUEST, key="other"),
        replace(REQUEST, parameters={"program_name": "x"}),
        replace(REQUEST, digest_algorithm="sha384"),
    ],
)
def test_an_intent_that_says_something_else_is_found(request_: SigningRequestBody) -> None:
    with pytest.raises(VerificationError, match="does not say what was asked"):
        check(world()[1], request_)


def test_an_intent_in_somebody_else_s_name_is_found() -> None:
    with pytest.raises(VerificationError, match="does not say what was asked"):
        check(world()[1], principal="mallory")


def test_a_digest_that_is_no_hex_is_found() -> None:
    artifacts = [Artifact("zz"), *REQUEST.artifacts[1:]]
    with pytest.raises(VerificationError, match="hexadecimal"):
        check(world()[1], replace(REQUEST, artifacts=artifacts))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: replace(r, intent=replace(r.intent, index=0)), "does not lead"),
        (lambda r: replace(r, intent=replace(r.intent, size=9)), "different sizes"),
        (lambda r: replace(r, intent=replace(r.intent, entry=r.intent.entry + b" ")), "does not lead"),
        (lambda r: replace(r, outcome=replace(r.outcome, proof=[])), "inclusion proof"),
        (lambda r: replace(r, origin="elsewhere"), "speaks of the log"),
        (lambda r: replace(r, intent_checkpoint=r.outcome_checkpoint, intent=r.outcome), "no valid signature"),
        (lambda r: replace(r, intent_checkpoint="nonsense"), "cannot be read"),
        (lambda r: replace(r, outcome=r.intent, outcome_checkpoint=r.intent_checkpoint), "not the outcome"),
    ],
)
def test_a_receipt_that_was_changed_is_found(change: Callable[[Receipt], Receipt], says: str) -> None:
    with pytest.raises(VerificationError, match=says):
        check(with_receipt(change))


def test_a_checkpoint_that_the_key_holder_did_not_cosign_is_found() -> None:
    def uncosigned(receipt: Receipt) -> Receipt:
        text, _ = split_note(receipt.intent_checkpoint)
        line = receipt.intent_checkpoint[len(text) + 1 :].splitlines()[0]
        return replace(receipt, intent_checkpoint=f"{text}\n{line}\n")

    with pytest.raises(VerificationError, match="no valid signature of localhost/holder"):
        check(with_receipt(uncosigned))


def test_a_log_of_another_key_is_found() -> None:
    other = Verifier("localhost/log", raw(Ed25519PrivateKey.generate()))
    with pytest.raises(VerificationError, match="no valid signature"):
        check_response(world()[1], REQUEST, WORKLOAD, LogKeys(other, keys().witness))


def test_a_plain_signature_is_no_cosignature() -> None:
    service, response = world()
    log_as_witness = LogKeys(service.log, service.log)
    with pytest.raises(VerificationError, match="no cosignature"):
        check_response(response, REQUEST, WORKLOAD, log_as_witness)


def test_an_entry_of_another_kind_is_no_intent() -> None:
    service, response = world()
    entry = encode_event(RequestFailed(time="2026-01-01T00:00:00.000000Z", intent=1, code="denied"))
    proof, note = log_entries([entry], 0, service.log, service.log_key)
    both = LogKeys(service.log, Verifier("w", raw(service.witness_key)).as_witness())
    with pytest.raises(VerificationError, match="no valid signature of w"):
        check_response(
            replace(response, receipt=replace(response.receipt, intent=proof, intent_checkpoint=note)),
            REQUEST,
            WORKLOAD,
            both,
        )


def test_the_log_s_keys_are_read_from_their_text_form() -> None:
    with pytest.raises(MalformedError):
        LogKeys.decode("no key", "none")


@given(st.data())
def test_a_receipt_with_any_byte_changed_does_not_pass(data: st.DataObject) -> None:
    _, response = world()
    encoded = bytearray(msgspec.json.encode(response.receipt))
    position = data.draw(st.integers(0, len(encoded) - 1))
    encoded[position] ^= data.draw(st.integers(1, 127))
    try:
        receipt = msgspec.json.decode(bytes(encoded), type=Receipt)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return
    if receipt == response.receipt:
        return
    try:
        check(replace(response, receipt=receipt))
    except VerificationError:
        return
    # What is not covered: white space and lines of strangers in a note do not change what it says.
    assert (receipt.intent, receipt.outcome) == (response.receipt.intent, response.receipt.outcome)
