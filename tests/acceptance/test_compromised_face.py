"""A program that owns the user-facing process gets no signature that no principal asked for, and none off the log."""

import json
import secrets
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from sealwright.domain.actions import (
    AdminRequest,
    AnyAction,
    ChangeKeyState,
    ClearHalt,
    EnrolPrincipal,
    RevokePrincipal,
    SetPolicy,
    encode_request,
)
from sealwright.domain.errors import (
    ConflictError,
    DeniedError,
    InvalidRequestError,
    LogMistrustedError,
    MalformedError,
    SealwrightError,
    UnavailableError,
    VerificationError,
)
from sealwright.domain.events import AdministratorActed, LogHalted, ServiceStarted, encode_event, timestamp
from sealwright.domain.messages import AdminEnvelope, AdminSignature, LogAdvance, ProofOfRequest, SignItem
from sealwright.servers.deployment import utc_now
from sealwright.servers.embedded import running
from sealwright.servers.web.rpc import BlockingRpcClient
from sealwright.storage.keyholder import KeyHolderDatabase
from sealwright.structures.http_signatures import PrivateKey, admin_bytes, signer
from sealwright.structures.merkle import Frontier, leaf_hash
from tests.acceptance.rogue import RogueFace, copy_of, rogue_face
from tests.acceptance.world import House, body_of, digest, fields_of, make, new_key, sealwright, spki

replace = msgspec.structs.replace


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A deployment that never ran; copied for tests that leave traces."""
    return make(tmp_path_factory.mktemp("fresh") / "d")


@pytest.fixture(scope="module")
def rogue(fresh: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RogueFace]:
    with rogue_face(copy_of(fresh, tmp_path_factory.mktemp("rogue") / "d")) as face:
        yield face


@pytest.fixture
def own(fresh: House, tmp_path: Path) -> House:
    return copy_of(fresh, tmp_path / "d")


def uses(face: RogueFace) -> int:
    deployment = face.house.deployment
    engine = deployment.reader("keyholder")
    try:
        return KeyHolderDatabase(engine, deployment.log_signer("keyholder")).uses()["default"]
    finally:
        engine.dispose()


def test_control_what_the_workload_signed_gets_its_signatures(rogue: RogueFace) -> None:
    answer = rogue.ask(rogue.proof([digest("control"), digest("control 2")]))
    assert (answer.code, len(answer.signatures)) == ("", 2)


# --- A request that no principal signed ----------------------------------------------------------------------


def forged(face: RogueFace) -> Iterator[tuple[str, ProofOfRequest]]:
    body, other = body_of([digest("wanted")]), body_of([digest("asked for")])
    true = face.proof_over(other)
    yield "signed by the face's own key", face.proof_over(body, new_key())
    yield "no signature", replace(face.proof_over(body), signature="", signature_input="")
    yield "zeros", replace(face.proof_over(body), signature=f"sig=:{'A' * 86}==:")
    yield "a changed digest", replace(true, body=body)
    yield "another's idempotency key", replace(true, idempotency_key="other")
    yield "another name", replace(true, signature_input=true.signature_input.replace('"cli"', '"operator"'))
    yield "for another service", replace(true, authority="other.example")
    yield "a service that the proof was made for", _made_for(face, body, "other.example")
    yield "too old", face.proof_over(body, created=int(time.time()) - 3_600)
    yield "far ahead", face.proof_over(body, created=int(time.time()) + 3_600)
    yield "a GET that was signed", _of_a_get(face, body)
    yield "for another path", face.proof_over(body, path="/v1/elsewhere")


def _made_for(face: RogueFace, body: bytes, authority: str) -> ProofOfRequest:
    elsewhere = RogueFace(face.house, face.client)
    fields = fields_of(face.house, body)
    return ProofOfRequest(
        "POST",
        authority,
        "/v1/signing-requests",
        body,
        fields["Idempotency-Key"],
        fields["Signature-Input"],
        elsewhere.proof_over(body).signature,
    )


def _of_a_get(face: RogueFace, body: bytes) -> ProofOfRequest:
    asked = face.proof_over(b"", method="GET", path="/v1/whoami")
    return replace(asked, body=body)


FORGERIES = [
    *("signed by the face's own key", "no signature", "zeros", "a changed digest", "another's idempotency key"),
    *("another name", "for another service", "a service that the proof was made for", "too old", "far ahead"),
    *("a GET that was signed", "for another path"),
]


@pytest.mark.parametrize("forgery", FORGERIES)
def test_no_signature_for_a_request_that_no_principal_signed(rogue: RogueFace, forgery: str) -> None:
    answer = rogue.ask(dict(forged(rogue))[forgery])
    assert answer.signatures == []
    assert answer.code == "unauthenticated"


def test_the_list_of_forgeries_is_whole(rogue: RogueFace) -> None:
    assert [name for name, _ in forged(rogue)] == FORGERIES


def test_the_operators_signature_is_no_workloads(rogue: RogueFace) -> None:
    proof = rogue.proof_over(body_of([digest("x")]), rogue.house.operator_key, principal="operator")
    answer = rogue.ask(proof, principal="operator")
    assert (answer.signatures, answer.code) == ([], "denied")  # authenticated, and no policy lets a person sign


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"key": "no-such-key"}, "not-found"),
        ({"scheme": "raw"}, "denied"),
        ({"input": "file"}, "invalid-request"),
        ({"digest_algorithm": "sha1"}, "weak-digest"),
        ({"digest_algorithm": "sha512"}, "digest-length"),
        ({"parameters": {"attributes": "00"}}, "invalid-request"),
    ],
    ids=str,
)
def test_a_true_signature_over_a_wrong_request_is_not_enough(
    rogue: RogueFace, changed: dict[str, Any], code: str
) -> None:
    answer = rogue.ask(rogue.proof_over(body_of([digest("wrong request")], **changed)))
    assert (answer.signatures, answer.code) == ([], code)


# --- An intent that is not in the log, or tells another story ------------------------------------------------


@pytest.mark.parametrize("shift", [-1, 1, 2, 1_000_000, -1_000_000, 2**60])
def test_no_signature_for_an_intent_at_another_place(rogue: RogueFace, shift: int) -> None:
    proof = rogue.proof([digest("place")])
    entry = rogue.intent(proof)
    index = rogue.append(entry, b"another entry")
    answer = rogue.show([SignItem(proof, entry, index + shift)]).answers[0]
    assert (answer.signatures, answer.code) == ([], "verification")


def test_no_signature_for_an_intent_that_was_never_written(rogue: RogueFace) -> None:
    proof = rogue.proof([digest("never written")])
    index = rogue.append(b"something else in its place")
    answer = rogue.show([SignItem(proof, rogue.intent(proof), index)]).answers[0]
    assert (answer.signatures, answer.code) == ([], "verification")


def test_no_signature_without_any_growth_of_the_log(rogue: RogueFace) -> None:
    proof = rogue.proof([digest("no growth")])
    answer = rogue.show([SignItem(proof, rogue.intent(proof), len(rogue.leaves))]).answers[0]
    assert (answer.signatures, answer.code) == ([], "verification")


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"{}",
        encode_event(ServiceStarted(time=timestamp(utc_now()), role="signing", version="1")),
        b'{"event":"signing:request:intended"}',
        b"\xff" * 100,
    ],
)
def test_no_signature_for_an_entry_that_is_no_intent(rogue: RogueFace, entry: bytes) -> None:
    index = rogue.append(entry)
    answer = rogue.show([SignItem(rogue.proof([digest("no intent")]), entry, index)]).answers[0]
    assert (answer.signatures, answer.code) == ([], "verification")


def test_no_signature_for_an_intent_that_is_written_in_another_way(rogue: RogueFace) -> None:
    proof = rogue.proof([digest("spaces")])
    entry = json.dumps(json.loads(rogue.intent(proof))).encode()
    index = rogue.append(entry)
    answer = rogue.show([SignItem(proof, entry, index)]).answers[0]
    assert (answer.signatures, answer.code) == ([], "verification")


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("principal", "operator", "unauthenticated"),
        ("principal", "nobody", "unauthenticated"),
        ("subscriber", "second", "verification"),
        ("key", "other", "verification"),
        ("scheme", "raw", "verification"),
        ("digest_algorithm", "sha512", "verification"),
        ("count", 2, "verification"),
        ("count", 0, "verification"),
        ("digests_root", "00" * 32, "verification"),
        ("request", "00" * 32, "verification"),
        ("proof", "00" * 32, "verification"),
        ("records_version", 0, "verification"),
        ("records_version", 1_000, "verification"),
        ("certificate", "", "verification"),
        ("certificate", "00" * 32, "verification"),
        ("input", "file", "verification"),
        ("blind", True, "verification"),
    ],
    ids=str,
)
def test_no_signature_for_an_intent_that_tells_another_story(
    rogue: RogueFace, field: str, value: object, code: str
) -> None:
    answer = rogue.ask(rogue.proof([digest("story")]), **{field: value})
    assert (answer.signatures, answer.code) == ([], code)


# --- The same thing twice ------------------------------------------------------------------------------------


def test_no_signature_for_a_proof_under_a_second_intent(rogue: RogueFace) -> None:
    proof = rogue.proof([digest("second intent")])
    before = uses(rogue)
    assert rogue.ask(proof).code == ""
    assert uses(rogue) == before + 1
    for _ in range(2):
        answer = rogue.ask(proof)
        assert (answer.signatures, answer.code) == ([], "conflict")
    assert uses(rogue) == before + 1


def test_no_second_signature_for_an_intent_presented_twice(rogue: RogueFace) -> None:
    proof = rogue.proof([digest("twice")])
    entry = rogue.intent(proof)
    item = SignItem(proof, entry, rogue.append(entry))
    together = rogue.show([item, item]).answers
    assert [len(answer.signatures) for answer in together] == [1, 0]
    rogue.append(b"something new")
    again = rogue.show([item]).answers[0]
    assert (again.signatures, again.code) == ([], "verification")


def test_a_refused_request_in_a_batch_does_not_hold_up_the_others(rogue: RogueFace) -> None:
    true, false = rogue.proof([digest("true")]), rogue.proof([digest("false")], new_key())
    entries = [rogue.intent(proof) for proof in (true, false)]
    index = rogue.append(*entries)
    answers = rogue.show([SignItem(true, entries[0], index), SignItem(false, entries[1], index + 1)]).answers
    assert [(len(answer.signatures), answer.code) for answer in answers] == [(1, ""), (0, "unauthenticated")]


# --- Policies, keys and principals ---------------------------------------------------------------------------


def act(face: RogueFace, action: AnyAction, *, deployment: str = "", lasts: timedelta = timedelta(hours=1)) -> bytes:
    return encode_request(
        AdminRequest(
            id=secrets.token_hex(16),
            deployment=deployment or face.house.deployment.settings.log_origin,
            not_after=(utc_now() + lasts).isoformat(timespec="seconds"),
            action=action,
        )
    )


def sealed(request: bytes, name: str, key: PrivateKey, over: bytes | None = None) -> AdminEnvelope:
    _, sign = signer(key)
    return AdminEnvelope(request, [AdminSignature(name, sign(admin_bytes(request) if over is None else over))])


ANYBODY = SetPolicy(subscriber="first", text="permit (principal, action, resource);")


def unentitled(face: RogueFace, mine: EllipticCurvePrivateKey) -> Iterator[tuple[str, AdminEnvelope]]:
    request, other = act(face, ANYBODY), act(face, RevokePrincipal(name="cli"))
    operator, workload = face.house.operator_key, face.house.workload_key
    yield "nobody's signature", AdminEnvelope(request, [])
    yield "the workload's key", sealed(request, "cli", workload)
    yield "the workload's key in the operator's name", sealed(request, "operator", workload)
    yield "a key of its own", sealed(request, "operator", mine)
    yield "an unknown name", sealed(request, "nobody", mine)
    yield (
        "the operator's signature over another act",
        AdminEnvelope(request, sealed(other, "operator", operator).signatures),
    )
    yield "the operator's signature without its domain", sealed(request, "operator", operator, request)
    yield "an act for another deployment", sealed(act(face, ANYBODY, deployment="other"), "operator", operator)
    yield "an act out of its time", sealed(act(face, ANYBODY, lasts=timedelta(seconds=-1)), "operator", operator)
    yield "an act without end", sealed(act(face, ANYBODY, lasts=timedelta(days=30)), "operator", operator)


UNENTITLED = [
    *("nobody's signature", "the workload's key", "the workload's key in the operator's name", "a key of its own"),
    *("an unknown name", "the operator's signature over another act", "the operator's signature without its domain"),
    *("an act for another deployment", "an act out of its time", "an act without end"),
]


@pytest.mark.parametrize("attempt", UNENTITLED)
def test_no_policy_that_nobody_entitled_has_signed(rogue: RogueFace, attempt: str) -> None:
    envelopes = dict(unentitled(rogue, new_key()))
    assert list(envelopes) == UNENTITLED
    before = rogue.snapshot()
    with pytest.raises((DeniedError, VerificationError)):
        rogue.administer(envelopes[attempt])
    after = rogue.snapshot()
    assert (after.version, after.policies, after.principals) == (before.version, before.policies, before.principals)


def test_an_act_is_carried_out_once(own: House) -> None:
    with rogue_face(own) as face:
        suspended, active = (
            sealed(act(face, ChangeKeyState(name="default", state=state)), "operator", own.operator_key)
            for state in ("suspended", "active")
        )
        face.administer(suspended)
        face.administer(active)
        version = face.snapshot().version
        with pytest.raises(ConflictError):
            face.administer(suspended)  # what the operator said once is not said for ever
        assert face.snapshot().version == version
        assert face.ask(face.proof([digest("still active")])).code == ""


def test_what_an_administrator_decided_holds_for_the_face_at_once(own: House) -> None:
    with rogue_face(own) as face:
        proof = face.proof([digest("revoked")])
        before = face.snapshot().version
        face.administer(sealed(act(face, RevokePrincipal(name="cli")), "operator", own.operator_key))
        answer = face.ask(proof)
        assert (answer.signatures, answer.code) == ([], "unauthenticated")
        answer = face.ask(proof, records_version=before)
        assert (answer.signatures, answer.code) == ([], "unauthenticated")
        acted = [event for event in own.events("keyholder") if isinstance(event, AdministratorActed)]
        assert (acted[-1].action, acted[-1].subject) == ("revoke-principal", "cli")


def test_a_principal_without_a_policy_gets_nothing(own: House) -> None:
    key = new_key()
    enrol = EnrolPrincipal(name="robot", kind="workload", subscriber="first", public_key=spki(key))
    with rogue_face(own) as face:
        face.administer(sealed(act(face, enrol), "operator", own.operator_key))
        proof = face.proof_over(body_of([digest("robot")]), key, principal="robot")
        answer = face.ask(proof, principal="robot")
        assert (answer.signatures, answer.code) == ([], "denied")


# --- The socket itself ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", [0, 4, 200])
def test_there_is_nothing_else_behind_the_socket(rogue: RogueFace, operation: int) -> None:
    with pytest.raises(MalformedError):
        rogue.client.call(operation, b"")


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x93\x01\x02\x03", b"\xdd\xff\xff\xff\xff", bytes(1_000)])
@pytest.mark.parametrize("operation", [2, 3])
def test_nonsense_is_refused_and_the_key_holder_goes_on(rogue: RogueFace, operation: int, payload: bytes) -> None:
    with pytest.raises(MalformedError):
        rogue.client.call(operation, payload)
    assert rogue.snapshot().halted == ""


def test_a_frame_beyond_the_limit_is_not_waited_for(own: House) -> None:
    with rogue_face(own) as face:
        rude = BlockingRpcClient(face.client._path, "key holder", 10)
        connection = rude._connect()
        connection.sendall(b"\xff\xff\xff\xff\x02")
        assert connection.recv(1) == b""
        rude.close()
        assert face.ask(face.proof([digest("after the rude one")])).code == ""


# --- Another log ---------------------------------------------------------------------------------------------


def nonsense(face: RogueFace) -> Iterator[tuple[str, LogAdvance]]:
    """Give advances that anybody could have made up: they are refused, and are evidence of nothing."""
    size, more = len(face.leaves), [leaf_hash(b"more")]
    true = face.checkpoint([*face.leaves, *more])
    yield "unsigned", LogAdvance(size, more, true.replace("\n\n", "\n\n\u2014 x AAAA\n").split("\u2014 local")[0])
    yield "no note", LogAdvance(size, more, "hello")
    yield "another size", LogAdvance(size, [*more, *more], true)
    yield "from elsewhere", LogAdvance(0, [*face.leaves, *more], true)
    yield "short hashes", LogAdvance(size, [b"short"], true)
    yield "changed root", LogAdvance(size, more, true.replace(true.split("\n")[2], "A" * 43 + "="))


@pytest.mark.parametrize("number", range(6))
def test_what_the_log_did_not_sign_is_refused_and_halts_nothing(rogue: RogueFace, number: int) -> None:
    if not rogue.leaves:
        assert rogue.ask(rogue.proof([digest("first")])).code == ""
    name, advance = list(nonsense(rogue))[number]
    with pytest.raises((VerificationError, MalformedError, InvalidRequestError)):
        rogue.show([], advance)
    assert rogue.snapshot().halted == "", name
    assert rogue.ask(rogue.proof([digest(name)])).code == ""


def rewritten(face: RogueFace) -> Iterator[tuple[str, LogAdvance]]:
    """Give histories that the log's own key signed, and that contradict the one that was seen."""
    size, more = len(face.leaves), [leaf_hash(b"more")]
    other = [leaf_hash(b"another history"), *face.leaves[1:]]
    yield "an entry replaced", LogAdvance(size, more, face.checkpoint([*other, *more]))
    yield "a fork at the same size", LogAdvance(size, [], face.checkpoint(other))
    yield "other leaves than those shown", LogAdvance(size, more, face.checkpoint([*face.leaves, leaf_hash(b"x")]))
    yield "rolled back", LogAdvance(size, [], face.checkpoint(face.leaves[:-1]))
    yield "begun anew", LogAdvance(0, [], face.checkpoint([]))
    swapped = [face.leaves[1], face.leaves[0], *face.leaves[2:]]
    yield "reordered", LogAdvance(size, more, face.checkpoint([*swapped, *more]))


REWRITTEN = [
    *("an entry replaced", "a fork at the same size", "other leaves than those shown", "rolled back", "begun anew"),
    "reordered",
]


@pytest.mark.parametrize("way", REWRITTEN)
def test_nothing_at_all_is_signed_after_a_rewritten_log(own: House, way: str) -> None:
    with rogue_face(own) as face:
        for number in range(3):
            assert face.ask(face.proof([digest(f"history {number}")])).code == ""
        histories = dict(rewritten(face))
        assert list(histories) == REWRITTEN
        proof = face.proof([digest("with the other history")])
        item = SignItem(proof, face.intent(proof), len(face.leaves))
        with pytest.raises(LogMistrustedError):
            face.show([item], histories[way])
        assert face.snapshot().halted
        with pytest.raises(LogMistrustedError):
            face.ask(face.proof([digest("back to the true log")]))
    assert [type(event) for event in own.events("keyholder")][-1] is LogHalted


def test_a_halt_outlives_the_key_holders_process(own: House) -> None:
    with rogue_face(own) as face:
        assert face.ask(face.proof([digest("seen")])).code == ""
        with pytest.raises(LogMistrustedError):
            face.show([], LogAdvance(len(face.leaves), [], face.checkpoint([])))
        leaves, seen = face.leaves, face.seen
    with rogue_face(own) as face:
        face.leaves, face.seen = leaves, seen
        assert face.snapshot().halted
        with pytest.raises(LogMistrustedError):
            face.ask(face.proof([digest("after a restart")]))


def test_a_halt_is_seen_everywhere_and_ends_when_an_administrator_says_so(own: House) -> None:
    with rogue_face(own) as face:
        assert face.ask(face.proof([digest("seen")])).code == ""
        with pytest.raises(LogMistrustedError):
            face.show([], LogAdvance(len(face.leaves), [], face.checkpoint([])))
    told = sealwright("doctor", own.directory)
    assert told.returncode == 1
    assert "signing is halted" in told.stdout.decode()
    with running(own.directory):
        ready = own.ask("GET", "/readyz")
        assert ready.status == 503
        assert b"halted" in ready.body
        assert own.ask("GET", "/healthz").status == 200
        body = body_of([digest("halted")])
        answer = own.ask("POST", "/v1/signing-requests", body, fields_of(own, body))
        assert answer.status in {403, 409}, answer.body
        assert own.ask("GET", "/v1/status").document["halted"]
        status = own.ask("GET", "/v1/status").document
        clear = ClearHalt(size=status["log_size"], frontier=bytes.fromhex(status["log_frontier"]))
        _, sign = signer(own.workload_key)
        request = encode_request(
            AdminRequest(
                id="0",
                deployment=own.deployment.settings.log_origin,
                not_after=(utc_now() + timedelta(hours=1)).isoformat(timespec="seconds"),
                action=clear,
            )
        )
        with pytest.raises(SealwrightError):
            own.service().administer(AdminEnvelope(request, [AdminSignature("cli", sign(admin_bytes(request)))]))
        assert own.ask("GET", "/readyz").status == 503
        own.carry_out(clear)
        assert own.ask("GET", "/readyz").status == 200
        body = body_of([digest("again")])
        answer = own.ask("POST", "/v1/signing-requests", body, fields_of(own, body))
        assert answer.status == 200, answer.body
    assert sealwright("doctor", own.directory).returncode == 0
    assert own.audit()["holds"]


def test_the_database_of_the_face_gives_no_way_around(own: House) -> None:
    """A face whose database was rewritten, its head signed anew, is found by `ledger verify` and the key holder."""
    with running(own.directory):
        for number in range(3):
            body = body_of([digest(f"true {number}")])
            assert own.ask("POST", "/v1/signing-requests", body, fields_of(own, body)).status == 200
    rewrite(own)
    done = sealwright("ledger", "verify", own.directory, "--json")
    assert done.returncode == 1
    signing = next(log for log in json.loads(done.stdout)["logs"] if log["role"] == "signing")
    assert "rewritten" in signing["error"]
    with running(own.directory):
        body = body_of([digest("on a rewritten log")])
        answer = own.ask("POST", "/v1/signing-requests", body, fields_of(own, body))
        assert answer.status != 200
        assert own.ask("GET", "/readyz").status == 503


def rewrite(house: House) -> None:
    """Replace one entry of the face's log, and make everything in its database fit again."""
    import sqlite3  # noqa: PLC0415 - only here

    entries = house.entries()
    entries[0] = encode_event(ServiceStarted(time=timestamp(utc_now()), role="signing", version="9"))
    leaves = [leaf_hash(entry) for entry in entries]
    frontier = Frontier().extended(leaves)
    checkpoint = house.deployment.log_signer("signing").checkpoint(frontier)
    with sqlite3.connect(house.deployment.role_directory("signing") / "signing.db") as connection:
        connection.execute("UPDATE log_entry SET entry = ?, leaf_hash = ? WHERE idx = 0", (entries[0], leaves[0]))
        connection.execute("UPDATE log_head SET frontier = ?, checkpoint = ?", (frontier.encode(), checkpoint))
    connection.close()


def test_a_key_holder_that_is_gone_is_no_reason_to_sign(own: House) -> None:
    with rogue_face(own) as face:
        proof = face.proof([digest("gone")])
        entry = face.intent(proof)
    with pytest.raises((UnavailableError, OSError)):
        face.show([SignItem(proof, entry, face.append(entry))])
