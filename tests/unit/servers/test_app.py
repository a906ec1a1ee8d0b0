"""The face's web application without a network: routes, limits, and errors that tell what to do."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealwright.authenticators.request_key import RequestKeyAuthenticator
from sealwright.domain.actions import EnableDualControl, SetPolicy
from sealwright.domain.errors import NotFoundError, SealwrightError, UnavailableError, errors_by_code
from sealwright.domain.messages import IssueAnswer, IssueRequest, PrincipalView
from sealwright.servers.signing import app as app_module
from sealwright.servers.signing.app import FaceApp, Parts, _tile_of
from sealwright.servers.signing.openapi import openapi_document
from sealwright.servers.web.problem import STATUS, problem_headers, problem_of
from sealwright.signing.refusals import AnonymousRefusals
from sealwright.structures import http_signatures as hs
from sealwright.structures.merkle import root_of
from sealwright.structures.signing_requests import MAX_BODY
from tests.unit.custody.world import ALICE, CI, NOW, OTHER, World, act, body
from tests.unit.servers.test_signing_holder import STARTED, Face

AUTHORITY = "sign.example.org"
Message = dict[str, Any]


@dataclass
class Reply:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def document(self) -> Any:  # noqa: ANN401 - whatever the JSON holds
        return msgspec.json.decode(self.body)


class Site:
    def __init__(self, folder: Path) -> None:
        self.face = Face(folder, World())
        self.reported: list[BaseException] = []
        self.refusals = AnonymousRefusals()
        self.ca_away = False
        authenticator = RequestKeyAuthenticator(self._principal, lambda: NOW, authorities=[AUTHORITY])
        self.app = FaceApp(
            Parts(
                authority=AUTHORITY,
                pipeline=self.face.pipeline,
                authenticate=authenticator.authenticate,
                holder=self.face.holder,
                log=self.face.log,
                ca=self,
                records=lambda: self.face.records,
                refusals=self.refusals,
                hashes=self.face.database.hashes,
                report=self.reported.append,
            )
        )

    def _principal(self, name: str) -> PrincipalView | None:
        return self.face._records().principals.get(name)

    async def issue(self, requests: Sequence[IssueRequest]) -> Sequence[IssueAnswer | SealwrightError]:
        if self.ca_away:
            raise UnavailableError("the certification authority does not answer", retry_after=4)
        return [IssueAnswer([request.public_key]) for request in requests]

    async def call(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        parts: tuple[bytes, ...] = (b"",),
        receive: Callable[[], Awaitable[Message]] | None = None,
    ) -> Reply:
        reply, left = Reply(), list(parts)

        async def content() -> Message:
            part = left.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(left)}

        async def send(message: Any) -> None:  # noqa: ANN401 - ASGI messages are mappings of anything
            if message["type"] == "http.response.start":
                reply.status = message["status"]
                reply.headers = {key.decode(): value.decode() for key, value in message["headers"]}
            else:
                reply.body += message["body"]

        fields = {"host": AUTHORITY, **(headers or {})}
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(key.lower().encode(), value.encode()) for key, value in fields.items()],
        }
        await self.app(scope, receive or content, send)
        return reply

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, *parts: bytes) -> Reply:
        return asyncio.run(self.call(method, path, headers, parts or (b"",)))

    def signed(self, method: str, path: str, content: bytes = b"", key: object = CI, name: str = "ci") -> Reply:
        algorithm, sign = hs.signer(key)  # type: ignore[arg-type] # keys of the test's world
        created, idempotency = int(NOW.timestamp()), "1" if method == "POST" else ""
        fields = hs.sign_request(method, AUTHORITY, path, "", content, idempotency, name, created, sign, algorithm)
        return self.ask(method, path, fields, content)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    assert made.reported == []
    made.face.engine.dispose()


def test_a_signing_request_is_answered_with_signatures_and_receipt(site: Site) -> None:
    reply = site.signed("POST", "/v1/signing-requests", body(2))
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert len(reply.document["signatures"]) == 2
    assert site.signed("POST", "/v1/signing-requests", body(2)).document["replayed"]


def test_the_caller_sees_its_own_and_nobody_elses(site: Site) -> None:
    me = site.signed("GET", "/v1/whoami").document
    assert (me["principal"], me["subscriber"], [key["name"] for key in me["keys"]]) == ("ci", "acme", ["release"])
    assert [key["name"] for key in site.signed("GET", "/v1/keys").document] == ["release"]
    assert site.signed("GET", "/v1/policy").document["subscriber"] == "acme"
    world = site.face.world
    keys = {"release": msgspec.structs.replace(world.holder.state.keys["release"], subscriber="other")}
    world.put(keys=keys, policies={}, version=8)
    asyncio.run(site.face.holder.refresh())
    assert site.signed("GET", "/v1/keys").document == []
    assert site.signed("GET", "/v1/policy").status == 404


@pytest.mark.parametrize("path", ["/v1/whoami", "/v1/keys", "/v1/policy"])
def test_strangers_get_one_answer_and_are_counted(site: Site, path: str) -> None:
    for reply in (site.ask("GET", path), site.signed("GET", path, key=OTHER), site.signed("GET", path, name="nobody")):
        assert reply.status == 401
        assert reply.headers["www-authenticate"].startswith("Signature")
        assert reply.document["code"] == "unauthenticated"
    entry = site.refusals.take(NOW)
    assert entry
    assert entry.count == 3


def test_head_answers_what_get_would_without_the_body(site: Site) -> None:
    for path in ("/healthz", "/v1/openapi.json", "/problems/denied"):
        get, head = site.ask("GET", path), site.ask("HEAD", path)
        assert (head.status, head.headers, head.body) == (get.status, get.headers, b"")
        assert int(head.headers["content-length"]) == len(get.body)


def test_what_there_is_not_is_not_found_and_names_the_description(site: Site) -> None:
    for method, path in (("GET", "/"), ("PUT", "/v1/whoami"), ("POST", "/v1/whoami"), ("GET", "/v1/admin-requests")):
        reply = site.ask(method, path)
        assert (reply.status, reply.headers["content-type"]) == (404, "application/problem+json")
        assert "openapi.json" in reply.document["hint"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"{}", b'{"request": 1}', b"[" * 5_000])
@pytest.mark.parametrize("path", ["/v1/admin-requests", "/v1/certificates"])
def test_nonsense_is_one_clear_error(site: Site, path: str, content: bytes) -> None:
    reply = site.ask("POST", path, {}, content)
    assert (reply.status, reply.document["code"]) == (400, "invalid-request")


def test_an_administrative_request_is_passed_on_and_its_refusal_too(site: Site) -> None:
    policy = SetPolicy(subscriber="acme", text="permit(principal, action, resource);")
    reply = site.ask("POST", "/v1/admin-requests", {}, msgspec.json.encode(act(policy, ("alice", ALICE))))
    assert (reply.status, reply.document["version"]) == (200, 8)
    envelope = act(EnableDualControl(), ("ci", CI))
    assert site.ask("POST", "/v1/admin-requests", {}, msgspec.json.encode(envelope)).status == 403


def test_the_ca_is_reached_through_the_face(site: Site) -> None:
    request = {"envelope": {"authorisation": "", "officer": "o", "signature": ""}, "public_key": "AAAA"}
    assert site.ask("POST", "/v1/certificates", {}, msgspec.json.encode(request)).status == 200
    site.ca_away = True
    reply = site.ask("POST", "/v1/certificates", {}, msgspec.json.encode(request))
    assert (reply.status, reply.headers["retry-after"]) == (503, "4")


def test_a_body_has_a_limit_whether_it_says_its_length_or_not(site: Site) -> None:
    assert site.ask("POST", "/v1/signing-requests", {"content-length": str(MAX_BODY + 1)}).status == 413
    assert site.ask("POST", "/v1/signing-requests", {"content-length": "9" * 5_000}).status == 413
    assert site.ask("POST", "/v1/signing-requests", {}, bytes(MAX_BODY), b"x").status == 413
    assert site.ask("POST", "/v1/signing-requests", {"content-length": "none"}, bytes(MAX_BODY)).status == 401


def test_a_body_that_is_cut_off_or_does_not_come_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "_BODY_TIMEOUT", 0.01)

    async def gone() -> Message:
        return {"type": "http.disconnect"}

    async def never() -> Message:
        await asyncio.sleep(10)
        raise AssertionError

    for receive in (gone, never):
        reply = asyncio.run(site.call("POST", "/v1/signing-requests", receive=receive))
        assert (reply.status, reply.document["code"]) == (400, "invalid-request")


def test_too_many_requests_at_once_are_asked_to_come_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "_MOST_WAITING", 0)
    reply = site.ask("POST", "/v1/signing-requests")
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert site.ask("GET", "/healthz").status == 200


def test_an_error_inside_is_reported_to_the_operator_and_not_to_the_caller(tmp_path: Path) -> None:
    site = Site(tmp_path)

    async def broken(_scope: object) -> Any:  # noqa: ANN401 - it never returns
        raise ZeroDivisionError("a secret")

    site.app._gets["/healthz"] = broken
    reply = site.ask("GET", "/healthz")
    assert (reply.status, reply.document["code"]) == (500, "internal")
    assert b"secret" not in reply.body
    assert [type(error) for error in site.reported] == [ZeroDivisionError]
    assert site.app._working == 0
    site.face.engine.dispose()


def test_readiness_follows_the_key_holder(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert site.ask("GET", "/readyz").status == 200
    assert site.ask("GET", "/v1/status").document["halted"] == ""
    site.face.world.put(halted="rewritten")
    asyncio.run(site.face.holder.refresh())
    reply = site.ask("GET", "/readyz")
    assert (reply.status, b"rewritten" in reply.body) == (503, True)

    async def away() -> Any:  # noqa: ANN401 - it never returns
        raise UnavailableError("away")

    monkeypatch.setattr(site.face.port, "snapshot", away)
    site.face.holder._refreshed = None
    assert site.ask("GET", "/readyz").status == 503
    assert site.ask("GET", "/healthz").status == 200


def test_a_request_finds_a_key_holder_that_came_late(site: Site) -> None:
    assert site.face.records is None
    assert site.signed("POST", "/v1/signing-requests", body()).status == 200


def test_tiles_are_served_whole_or_not_at_all(site: Site) -> None:
    async def fill() -> None:
        await asyncio.gather(*(site.face.log.note(STARTED) for _ in range(600)))

    asyncio.run(fill())
    leaves = site.face.database.hashes(0, 0, 600)
    full = site.ask("GET", "/log/tile/0/001")
    assert (full.status, full.body) == (200, b"".join(leaves[256:512]))
    assert "immutable" in full.headers["cache-control"]
    assert site.ask("GET", "/log/tile/0/002.p/88").body == b"".join(leaves[512:])
    assert site.ask("GET", "/log/tile/1/000.p/2").body == root_of(leaves[:256]) + root_of(leaves[256:512])
    for name in ("0/002", "0/002.p/89", "1/000", "1/000.p/3", "2/000.p/1", "0/x999/999", "63/" + "x999/" * 5 + "999"):
        assert site.ask("GET", f"/log/tile/{name}").status == 404, name
    checkpoint = site.ask("GET", "/log/checkpoint")
    assert checkpoint.body.split(b"\n")[1] == b"600"


OTHER_DIGITS = "\N{SUPERSCRIPT TWO}", "\N{ARABIC-INDIC DIGIT ONE}" * 3
NO_TILES = [
    *("", "0", "0/", "0/1", "0/0001", "/000", "a/000", "0/x000", "0/000/x001", "100/000", f"0/{'x000/' * 6}001"),
    *("0/000.p/0", "0/000.p/256", "0/000.p/", "0/000.p/01", "0/000.p/1.p/1"),
    *(f"{OTHER_DIGITS[0]}/000", f"0/{OTHER_DIGITS[1]}", f"0/000.p/{OTHER_DIGITS[0]}"),
]


@pytest.mark.parametrize("name", NO_TILES)
def test_what_is_no_name_of_a_tile_is_not_found(name: str) -> None:
    with pytest.raises(NotFoundError):
        _tile_of(name)


@given(name=st.text(alphabet="0123456789x./p" + "".join(OTHER_DIGITS), max_size=30))
def test_a_name_is_a_tile_or_not_found(name: str) -> None:
    try:
        level, index, width = _tile_of(name)
    except NotFoundError:
        return
    assert 0 <= level < 100
    assert 0 <= index < 10**18
    assert 0 < width <= 256


def test_every_problem_has_a_page_a_status_and_headers(site: Site) -> None:
    for code, kind in errors_by_code().items():
        page = site.ask("GET", f"/problems/{code}")
        assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        error = kind("detail", hint="hint")
        problem = problem_of(error)
        assert (problem.type, problem.status, problem.detail) == (f"/problems/{code}", STATUS[kind.kind], "detail")
        assert (dict(problem_headers(error)).get(b"retry-after") is not None) is (problem.status == 503)
    assert site.ask("GET", "/problems/<script>").status == 404


def test_the_description_names_every_route_and_error(site: Site) -> None:
    document = msgspec.json.decode(openapi_document())
    paths = {path: set(operations) for path, operations in document["paths"].items()}
    for path in site.app._posts:
        assert "post" in paths.pop(path)
    left = {path for path in paths if paths[path] != {"get"}}
    assert not left
    assert set(paths) <= set(site.app._gets)
    assert site.ask("GET", "/v1/openapi.json").body == openapi_document()
    names = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(set(names)) == len(names)


def test_the_lifespan_is_answered_and_other_protocols_are_not(site: Site) -> None:
    sent: list[str] = []
    messages = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> Message:
        return {"type": next(messages)}

    async def send(message: Any) -> None:  # noqa: ANN401 - ASGI messages are mappings of anything
        sent.append(message["type"])

    asyncio.run(site.app({"type": "lifespan"}, receive, send))
    asyncio.run(site.app({"type": "websocket"}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
