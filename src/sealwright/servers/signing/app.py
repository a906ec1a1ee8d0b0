"""The face's web application: a raw ASGI router with one hot path and a handful of quiet ones.

POST /v1/signing-requests        ask for signatures (RFC 9421 signature, Idempotency-Key)
GET  /v1/whoami, /v1/keys, /v1/policy   what the caller is and can see (RFC 9421 signature)
POST /v1/admin-requests          an administrative request; it carries its own signatures
POST /v1/certificates            an authorised request for a certificate; passed on to the CA
GET  /v1/status                  versions, state of the log, dual control
GET  /log/checkpoint, /log/tile/ the log by C2SP tlog-tiles (hashes; entries are not public)
GET  /v1/openapi.json, /problems/{code}, /healthz, /readyz
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from sealwright import __version__
from sealwright.contracts import AuthorityPort
from sealwright.domain.errors import (
    InvalidRequestError,
    NotFoundError,
    SealwrightError,
    TooLargeError,
    UnavailableError,
)
from sealwright.domain.messages import AdminEnvelope, IssueRequest, PrincipalView, ProofOfRequest, WhoAmI
from sealwright.servers.signing.holder import BatchingHolder
from sealwright.servers.signing.log import SigningLog
from sealwright.servers.signing.openapi import openapi_document
from sealwright.servers.signing.pages import problem_page
from sealwright.servers.web.problem import STATUS, problem_headers, problem_of
from sealwright.signing.pipeline import Pipeline
from sealwright.signing.refusals import AnonymousRefusals
from sealwright.signing.steps import Received, Records
from sealwright.structures.signing_requests import MAX_BODY, PATH
from sealwright.structures.tiles import TILE_WIDTH

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Headers = Mapping[bytes, bytes]

_JSON = b"application/json"
_BODY_TIMEOUT = 20.0
_MOST_WAITING = 2_000
_encode = msgspec.json.encode


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application is made of, wired by its process."""

    authority: str
    pipeline: Pipeline
    authenticate: Callable[[ProofOfRequest], PrincipalView]
    holder: BatchingHolder
    log: SigningLog
    ca: AuthorityPort
    records: Callable[[], Records | None]
    refusals: AnonymousRefusals
    hashes: Callable[[int, int, int], list[bytes]]
    report: Callable[[BaseException], None]


class FaceApp:
    """ASGI 3 application; errors of the tree become problem documents, anything else a reported 500."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._working = 0
        self._posts = {
            PATH: self._sign,
            "/v1/admin-requests": self._administer,
            "/v1/certificates": self._certificate,
        }
        self._gets = {
            "/v1/whoami": self._whoami,
            "/v1/keys": self._keys,
            "/v1/policy": self._policy,
            "/v1/status": self._status,
            "/v1/openapi.json": self._openapi,
            "/log/checkpoint": self._checkpoint,
            "/healthz": self._healthy,
            "/readyz": self._ready,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the process's lifespan."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        self._working += 1
        try:
            status, headers, body = await self._answer(scope, receive)
        except SealwrightError as error:
            status, headers, body = STATUS[error.kind], problem_headers(error), _encode(problem_of(error))
        except Exception as error:  # noqa: BLE001 - the caller gets no traceback, the operator a report
            self._parts.report(error)
            failure = SealwrightError("an internal error was reported to the operator")
            status, headers, body = 500, problem_headers(failure), _encode(problem_of(failure))
        finally:
            self._working -= 1
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, scope: Scope, receive: Receive) -> "Answer":
        method, path = scope["method"], scope["path"]
        if method == "POST":
            handle_post = self._posts.get(path)
            if handle_post is not None:
                if self._working > _MOST_WAITING:
                    raise UnavailableError("too many requests are being worked on", retry_after=1)
                return await handle_post(scope, await _read_body(scope, receive))
        elif method in {"GET", "HEAD"}:
            handle_get = self._gets.get(path)
            if handle_get is not None:
                return await handle_get(scope)
            if path.startswith("/problems/"):
                return problem_page(path.removeprefix("/problems/"))
            if path.startswith("/log/tile/"):
                return await self._tile(path.removeprefix("/log/tile/"))
        raise NotFoundError(f"there is no {method} {path}", hint="GET /v1/openapi.json describes what there is")

    async def _sign(self, scope: Scope, body: bytes) -> "Answer":
        await self._records()  # a key holder that was away at the start may be there by now
        completed = await self._parts.pipeline.run(Received(self._proof(scope, body)))
        return 200, [(b"content-type", _JSON), (b"cache-control", b"no-store")], _encode(completed.response)

    def _proof(self, scope: Scope, body: bytes) -> ProofOfRequest:
        headers: Headers = dict(scope["headers"])
        path = scope["raw_path"].decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        return ProofOfRequest(
            method="GET" if scope["method"] == "HEAD" else scope["method"],
            authority=headers.get(b"host", b"").decode("latin-1").lower(),
            path=f"{path}?{query}" if query else path,
            body=body,
            idempotency_key=headers.get(b"idempotency-key", b"").decode("latin-1"),
            signature_input=headers.get(b"signature-input", b"").decode("latin-1"),
            signature=headers.get(b"signature", b"").decode("latin-1"),
        )

    def _principal(self, scope: Scope) -> PrincipalView:
        try:
            return self._parts.authenticate(self._proof(scope, b""))
        except SealwrightError as error:
            self._parts.refusals.count(error)
            raise

    async def _records(self) -> Records:
        return self._parts.records() or await self._parts.holder.refresh()

    async def _whoami(self, scope: Scope) -> "Answer":
        records = await self._records()
        principal = self._principal(scope)
        keys = [key for key in records.snapshot.keys if key.subscriber == principal.subscriber]
        return _json(
            WhoAmI(
                principal=principal.name,
                kind=principal.kind,
                subscriber=principal.subscriber,
                keys=keys,
                dual_control=records.snapshot.dual_control,
                server_version=__version__,
            )
        )

    async def _keys(self, scope: Scope) -> "Answer":
        records = await self._records()
        principal = self._principal(scope)
        return _json([key for key in records.snapshot.keys if key.subscriber == principal.subscriber])

    async def _policy(self, scope: Scope) -> "Answer":
        records = await self._records()
        principal = self._principal(scope)
        policy = records.policies.get(principal.subscriber)
        if policy is None:
            raise NotFoundError("your subscriber has no policy: nothing is permitted")
        return _json(policy)

    async def _administer(self, _scope: Scope, body: bytes) -> "Answer":
        return _json(await self._parts.holder.administer(_decode(body, AdminEnvelope)))

    async def _certificate(self, _scope: Scope, body: bytes) -> "Answer":
        [answer] = await self._parts.ca.issue([_decode(body, IssueRequest)])
        if isinstance(answer, SealwrightError):
            raise answer
        return _json(answer)

    async def _status(self, _scope: Scope) -> "Answer":
        records = await self._parts.holder.recent()
        head = self._parts.log.head
        return _json(
            {
                "version": __version__,
                "authority": self._parts.authority,
                "dual_control": records.snapshot.dual_control,
                "halted": records.snapshot.halted,
                "log_size": head.size,
                "log_root": head.frontier.root.hex(),
                "log_frontier": head.frontier.encode().hex(),
                "log_size_seen_by_key_holder": records.snapshot.log_size,
                "witness": records.snapshot.witness,
            }
        )

    async def _openapi(self, _scope: Scope) -> "Answer":
        return 200, [(b"content-type", _JSON), (b"cache-control", b"max-age=3600")], openapi_document()

    async def _checkpoint(self, _scope: Scope) -> "Answer":
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
        return 200, headers, self._parts.log.head.checkpoint.encode()

    async def _tile(self, name: str) -> "Answer":
        level, index, width = _tile_of(name)
        start = index * TILE_WIDTH
        if start + width > self._parts.log.head.size >> (8 * level):  # a hash of level n stands for 256^n leaves
            raise NotFoundError("the log has no such tile")
        hashes = await asyncio.to_thread(self._parts.hashes, level, start, width)
        if len(hashes) != width:
            raise NotFoundError("the log has no such tile")
        headers = [
            (b"content-type", b"application/octet-stream"),
            (b"cache-control", b"max-age=31536000, immutable"),
        ]
        return 200, headers, b"".join(hashes)

    async def _healthy(self, _scope: Scope) -> "Answer":
        return _text(200, "alive")

    async def _ready(self, _scope: Scope) -> "Answer":
        try:
            records = await self._parts.holder.recent()
        except SealwrightError as error:
            return _text(503, error.detail)
        if records.snapshot.halted:
            return _text(503, f"signing is halted: {records.snapshot.halted}")
        return _text(200, "ready")


Answer = tuple[int, list[tuple[bytes, bytes]], bytes]


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def _read_body(scope: Scope, receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value[:20]) > MAX_BODY:
            raise TooLargeError(f"a request has at most {MAX_BODY} bytes")
    try:
        async with asyncio.timeout(_BODY_TIMEOUT):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise InvalidRequestError("the request was cut off")
                part = message.get("body", b"")
                size += len(part)
                if size > MAX_BODY:
                    raise TooLargeError(f"a request has at most {MAX_BODY} bytes")
                parts.append(part)
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        raise InvalidRequestError("the request did not arrive in time") from None


def _decode(body: bytes, kind: type[Any]) -> Any:  # noqa: ANN401 - the kind given is the kind returned
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"the request cannot be read: {error}") from None


def _json(value: object) -> Answer:
    return 200, [(b"content-type", _JSON), (b"cache-control", b"no-store")], _encode(value)


def _text(status: int, text: str) -> Answer:
    return status, [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")], text.encode()


def _tile_of(name: str) -> tuple[int, int, int]:
    """Read `<level>/<index in groups of three digits>[.p/<width>]` (C2SP tlog-tiles)."""
    if not name.isascii():  # other scripts have digits too
        raise NotFoundError("this is no tile's name")
    path, partial, width_text = name.partition(".p/")
    level_text, _, index_text = path.partition("/")
    groups = index_text.split("/")
    digits = [group.removeprefix("x") for group in groups]
    well_formed = (
        level_text.isdigit()
        and len(level_text) <= 2  # noqa: PLR2004 - levels 0 to 63
        and 0 < len(groups) <= 6  # noqa: PLR2004 - indexes below 10^18
        and all(len(part) == 3 and part.isdigit() for part in digits)  # noqa: PLR2004 - groups of three digits
        and all(group.startswith("x") for group in groups[:-1])
        and not groups[-1].startswith("x")
    )
    width = int(width_text) if width_text.isdigit() and len(width_text) < len(str(TILE_WIDTH * 10)) else TILE_WIDTH
    if (
        not well_formed
        or (partial and str(width) != width_text)
        or not 0 < width <= TILE_WIDTH
        or (partial and width == TILE_WIDTH)
    ):
        raise NotFoundError("this is no tile's name")
    return int(level_text), int("".join(digits)), width
