"""What the service refuses, as a stranger or a subscriber meets it over HTTP, and what the ledger says of it."""

import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from sealwright.domain.actions import ChangeKeyState, CreateKey, EnrolPrincipal, RevokePrincipal, SetPolicy
from sealwright.domain.events import AnonymousRefused, RequestCompleted, RequestIntended, RequestRefused
from sealwright.policy.schema import default_policy
from sealwright.servers.embedded import running
from tests.acceptance.world import Answer, House, body_of, digest, fields_of, make, new_key, spki

SIGN = "/v1/signing-requests"


@dataclass(frozen=True)
class Second:
    """A second subscriber with a workload of its own."""

    subscriber: str
    workload: str
    key: EllipticCurvePrivateKey


@pytest.fixture(scope="module")
def second(house: House) -> Second:
    key = new_key()
    house.carry_out(EnrolPrincipal(name="robot", kind="workload", subscriber="second", public_key=spki(key)))
    house.carry_out(SetPolicy(subscriber="second", text=default_policy("second", "robot")))
    house.carry_out(
        CreateKey(
            name="theirs", subscriber="second", algorithm="p-256", lifetime="persistent", schemes=["authenticode"]
        )
    )
    return Second("second", "robot", key)


def ask(house: House, body: bytes, fields: dict[str, str] | None = None) -> Answer:
    return house.ask("POST", SIGN, body, fields)


def refused(answer: Answer, status: int, code: str) -> dict[str, object]:
    """Check that an answer is a problem document of this kind."""
    assert answer.status == status, answer.body
    assert answer.fields["content-type"] == "application/problem+json"
    problem = answer.document
    assert {"type", "title", "status", "code", "detail"} <= problem.keys()
    assert (problem["status"], problem["code"], problem["type"]) == (status, code, f"/problems/{code}")
    assert problem["title"]
    assert problem["detail"]
    return problem


def refusals(house: House) -> list[RequestRefused]:
    return [event for event in house.events() if isinstance(event, RequestRefused)]


# --- Strangers: refused, counted, never written one by one ---------------------------------------------------


def test_strangers_are_refused_and_leave_no_entry_each(house: House) -> None:
    body = body_of([digest("stranger")])
    good = fields_of(house, body)
    before = len(house.entries())
    now = int(time.time())
    anonymous = [
        ask(house, body),  # no credentials at all
        ask(house, body, {**good, "Signature": ""}),
        ask(house, body, fields_of(house, body, key=new_key())),  # another's key
        ask(house, body, fields_of(house, body, principal="nobody")),  # unknown workload
        ask(house, body, fields_of(house, body, created=now - 3_600)),  # stale
        ask(house, body, fields_of(house, body, created=now + 3_600)),
        ask(house, body_of([digest("changed")]), good),  # a digest changed after it was signed
        ask(house, body, {**good, "Idempotency-Key": "another"}),
        house.ask("GET", "/v1/whoami"),
        house.ask("GET", "/v1/keys", b"", fields_of(house, b"", method="GET", path="/v1/whoami")),
    ]
    for answer in anonymous:
        refused(answer, 401, "unauthenticated")
        assert answer.fields["www-authenticate"].startswith("Signature")
    assert len(house.entries()) == before


def test_a_changed_body_is_refused_whatever_its_content_digest_says(house: House) -> None:
    body, changed = body_of([digest("a")]), body_of([digest("b")])
    fields = fields_of(house, body)
    fitting = fields_of(house, changed)["Content-Digest"]
    refused(ask(house, changed, fields), 401, "unauthenticated")
    refused(ask(house, changed, {**fields, "Content-Digest": fitting}), 401, "unauthenticated")


def test_unknown_names_and_wrong_keys_get_the_same_answer(house: House) -> None:
    body = body_of([digest("names")])
    answers = [
        ask(house, body, fields_of(house, body, principal="nobody")),
        ask(house, body, fields_of(house, body, key=new_key())),
    ]
    assert answers[0].body == answers[1].body


def test_a_revoked_workload_is_a_stranger(house: House) -> None:
    key, body = new_key(), body_of([digest("revoked")])
    house.carry_out(EnrolPrincipal(name="short-lived", kind="workload", subscriber="first", public_key=spki(key)))
    known = ask(house, body, fields_of(house, body, principal="short-lived", key=key))
    refused(known, 403, "denied")  # known, but no policy permits it anything
    house.carry_out(RevokePrincipal(name="short-lived"))
    refused(ask(house, body, fields_of(house, body, principal="short-lived", key=key)), 401, "unauthenticated")


# --- Authenticated principals: refused, and each refusal is an entry -----------------------------------------


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"digest_algorithm": "sha1", "digests": [bytes(20)]}, 400, "weak-digest"),
        ({"digest_algorithm": "SHA-1", "digests": [bytes(20)]}, 400, "weak-digest"),
        ({"digest_algorithm": "md5", "digests": [bytes(16)]}, 400, "weak-digest"),
        ({"digests": [bytes(20)]}, 400, "digest-length"),
        ({"digests": [digest("fine"), bytes(31)]}, 400, "digest-length"),
        ({"digest_algorithm": "sha384"}, 400, "digest-length"),
        ({"digests": []}, 400, "invalid-request"),
        ({"digests": [bytes(32)] * 1_001}, 400, "invalid-request"),
        ({"scheme": "raw"}, 403, "denied"),
        ({"scheme": "unheard-of"}, 403, "denied"),
        ({"key": "no-such-key"}, 404, "not-found"),
        ({"key": "theirs"}, 404, "not-found"),
        ({"input": "file"}, 400, "invalid-request"),
        ({"parameters": {"unheard-of": "x"}}, 400, "invalid-request"),
    ],
    ids=str,
)
def test_refusals_of_a_known_principal_are_entries(
    house: House, second: Second, changed: dict[str, object], status: int, code: str
) -> None:
    del second  # whose key must not be ours to see
    digests = changed.get("digests", [digest("refused")])
    assert isinstance(digests, list)
    body = body_of(digests, **{name: value for name, value in changed.items() if name != "digests"})
    before = refusals(house)
    refused(ask(house, body, fields_of(house, body)), status, code)
    if "parameters" in changed:
        return  # found by the key holder, after the intent was recorded: that intent has its outcome
    (entry,) = refusals(house)[len(before) :]
    assert (entry.principal, entry.code) == ("cli", code)


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b'{"key":"default"}', b"\xff\xfe", b'{"key":1}', b"{}x"])
def test_a_body_that_is_no_request_is_refused_and_recorded(house: House, body: bytes) -> None:
    before = len(refusals(house))
    refused(ask(house, body, fields_of(house, body)), 400, "invalid-request")
    assert len(refusals(house)) == before + 1


def test_unknown_fields_of_the_request_are_refused(house: House) -> None:
    document = json.loads(body_of([digest("fields")]))
    body = json.dumps({**document, "attributes": "a client does not decide about these"}).encode()
    refused(ask(house, body, fields_of(house, body)), 400, "invalid-request")


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(house: House) -> None:
    body = b" " * (512 * 1024 + 1)
    before = len(house.entries())
    refused(ask(house, body, fields_of(house, body)), 413, "too-large")
    assert len(house.entries()) == before


def test_another_subscribers_key_looks_as_if_it_did_not_exist(house: House, second: Second) -> None:
    ours, theirs = body_of([digest("x")], key="default"), body_of([digest("x")], key="no-such-key")
    signed = [fields_of(house, body, principal=second.workload, key=second.key) for body in (ours, theirs)]
    seen, unseen = ask(house, ours, signed[0]), ask(house, theirs, signed[1])
    detail = refused(seen, 404, "not-found")["detail"]
    assert detail == str(refused(unseen, 404, "not-found")["detail"]).replace("no-such-key", "default")


def test_a_subscriber_sees_its_own_keys_alone(house: House, second: Second) -> None:
    for path, mine in (("/v1/whoami", {}), ("/v1/keys", {"principal": second.workload, "key": second.key})):
        fields = fields_of(house, b"", method="GET", path=path, **mine)  # type: ignore[arg-type]  # of several kinds
        answer = house.ask("GET", path, b"", fields)
        assert answer.status == 200, answer.body
        document = json.loads(answer.body)
        keys = document["keys"] if isinstance(document, dict) else document
        assert {key["subscriber"] for key in keys} == {"second" if mine else "first"}
        assert {key["name"] for key in keys} >= {"theirs" if mine else "default"}


def test_a_suspended_key_signs_nothing_until_it_is_resumed(house: House) -> None:
    body = body_of([digest("suspended")])
    house.carry_out(ChangeKeyState(name="default", state="suspended"))
    try:
        problem = refused(ask(house, body, fields_of(house, body)), 403, "denied")
        assert "suspended" in str(problem["detail"])
    finally:
        house.carry_out(ChangeKeyState(name="default", state="active"))
    assert ask(house, body, fields_of(house, body)).status == 200


# --- The same request again ---------------------------------------------------------------------------------


def counts(house: House) -> tuple[int, int, int]:
    tally = Counter(type(event) for event in house.events())
    return tally[RequestIntended], tally[RequestCompleted], house.audit()["uses"]["default"]


def test_a_replayed_request_is_answered_again_and_counted_once(house: House) -> None:
    body = body_of([digest("replayed")])
    fields = fields_of(house, body)
    first = ask(house, body, fields)
    assert first.status == 200, first.body
    counted = counts(house)
    for again in (fields, fields_of(house, body, idempotency_key=fields["Idempotency-Key"])):
        second = ask(house, body, again)
        assert second.status == 200, second.body
        assert second.document["replayed"] is True
        assert second.document["signatures"] == first.document["signatures"]
    assert counts(house) == counted


def test_an_idempotency_key_belongs_to_one_request(house: House) -> None:
    body, other = body_of([digest("one")]), body_of([digest("two")])
    assert ask(house, body, fields_of(house, body, idempotency_key="k-1")).status == 200
    refused(ask(house, other, fields_of(house, other, idempotency_key="k-1")), 409, "conflict")


def test_a_replay_after_the_records_changed_is_refused(house: House) -> None:
    body = body_of([digest("void")])
    fields = fields_of(house, body)
    assert ask(house, body, fields).status == 200
    house.carry_out(ChangeKeyState(name="default", state="suspended"))
    house.carry_out(ChangeKeyState(name="default", state="active"))
    refused(ask(house, body, fields), 409, "conflict")


def test_a_request_signed_without_an_idempotency_key_is_refused(house: House) -> None:
    body = body_of([digest("keyless")])
    fields = fields_of(house, body)
    del fields["Idempotency-Key"]
    refused(ask(house, body, fields), 401, "unauthenticated")


# --- Everything else that is not there ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", SIGN),
        ("PUT", SIGN),
        ("DELETE", "/v1/keys"),
        ("POST", "/v1/whoami"),
        ("POST", SIGN + "/"),
        ("GET", "/"),
        ("GET", "/v1/../v1/keys"),
        ("GET", "/problems/no-such-problem"),
        ("GET", "/log/tile/0/xyz"),
        ("GET", "/log/tile/0/999"),
        ("OPTIONS", "/v1/keys"),
    ],
)
def test_what_is_not_there_is_a_problem_too(house: House, method: str, path: str) -> None:
    refused(house.ask(method, path), 404, "not-found")


def test_an_unsigned_administrative_request_is_refused(house: House) -> None:
    for body in (b"", b"{}", b"[1]", json.dumps({"request": "", "signatures": []}).encode()):
        answer = house.ask("POST", "/v1/admin-requests", body)
        assert answer.status in {400, 403}, answer.body
        refused(answer, answer.status, answer.document["code"])


def test_every_code_leads_to_a_page(house: House) -> None:
    codes = [
        *("unauthenticated", "denied", "not-found", "conflict", "too-large", "invalid-request", "weak-digest"),
        *("digest-length", "unavailable", "log-mistrusted", "internal"),
    ]
    for code in codes:
        page = house.ask("GET", f"/problems/{code}")
        assert (page.status, page.fields["content-type"]) == (200, "text/html; charset=utf-8")
        assert code in page.body.decode()


def test_answers_carry_no_traceback_and_no_server_name(house: House) -> None:
    answer = ask(house, b"{")
    assert "server" not in answer.fields
    assert b"Traceback" not in answer.body


def test_strangers_are_written_down_in_aggregate_when_the_service_stops(tmp_path: Path) -> None:
    house = make(tmp_path / "d")
    body = body_of([digest("crowd")])
    with running(house.directory):
        for _ in range(7):
            refused(ask(house, body), 401, "unauthenticated")
        assert ask(house, body, fields_of(house, body)).status == 200
    entries = [event for event in house.events() if isinstance(event, AnonymousRefused)]
    assert [(entry.count, entry.codes) for entry in entries] == [(7, {"unauthenticated": 7})]
    assert house.audit()["open_intents"] == []
