"""The timestamp authority's HTTP face, as an ASGI application without a network."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sealwright.domain.errors import UnavailableError
from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm
from sealwright.servers import tsa
from sealwright.servers.batches import Batches
from sealwright.structures.merkle import leaf_hash, root_of
from sealwright.structures.tsp_messages import MAX_REQUEST, TimestampRequest, build_request, read_response
from sealwright.timestamping.authority import TimestampAuthority
from tests.unit.timestamping import pki

QUERY = {"content-type": "application/timestamp-query"}
REQUEST = build_request(TimestampRequest(DigestAlgorithm.SHA256, bytes(32)))
Message = dict[str, Any]


@dataclass
class Reply:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


async def call(
    app: tsa.TsaApp,
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    parts: tuple[bytes, ...] = (b"",),
    receive: Callable[[], Awaitable[Message]] | None = None,
) -> Reply:
    reply = Reply()
    left = list(parts)

    async def body() -> Message:
        part = left.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(left)}

    async def send(message: Any) -> None:  # noqa: ANN401 - ASGI messages are mappings of anything
        if message["type"] == "http.response.start":
            reply.status = message["status"]
            reply.headers = {key.decode(): value.decode() for key, value in message["headers"]}
        else:
            reply.body += message.get("body", b"")

    raw = [(key.encode(), value.encode()) for key, value in (headers or {}).items()]
    await app({"type": "http", "method": method, "path": path, "headers": raw}, receive or body, send)
    return reply


@pytest.fixture
def public(tmp_path: Path) -> Path:
    (tmp_path / "crl").mkdir()
    (tmp_path / "ca").mkdir()
    (tmp_path / "crl" / "code.crl").write_bytes(b"C" * 600_000)
    (tmp_path / "ca" / "root-1.cer").write_bytes(b"root")
    (tmp_path / "ca" / "key.pem").write_bytes(b"private")
    (tmp_path / "ca" / "folder.cer").mkdir()
    (tmp_path / "secret.cer").write_bytes(b"secret")
    return tmp_path


def _authority(late: timedelta = timedelta()) -> TimestampAuthority:
    key = pki.signing_key(KeyAlgorithm.P256)
    return TimestampAuthority(key, pki.chain(KeyAlgorithm.P256), lambda: pki.NOW + late, os.urandom)


@pytest.fixture
def app(public: Path) -> Iterator[tsa.TsaApp]:
    made = tsa.create_app(_authority(), public)
    yield made
    made._pool.shutdown()


def test_a_timestamp_request_gets_a_timestamp_reply(app: tsa.TsaApp) -> None:
    headers = {"content-type": "Application/Timestamp-Query; x=y"}
    reply = asyncio.run(call(app, "POST", "/tsa", headers, (REQUEST[:10], REQUEST[10:])))
    assert (reply.status, reply.headers["content-type"]) == (200, "application/timestamp-reply")
    assert int(reply.headers["content-length"]) == len(reply.body)
    assert read_response(reply.body).granted


def test_a_request_that_cannot_be_read_gets_a_rejection_not_an_error(app: tsa.TsaApp) -> None:
    reply = asyncio.run(call(app, "POST", "/tsa", QUERY, (b"junk",)))
    assert reply.status == 200
    assert not read_response(reply.body).granted


@pytest.mark.parametrize(
    ("method", "headers", "parts", "status", "words"),
    [
        ("GET", {}, (b"",), 405, "POST"),
        ("POST", {}, (REQUEST,), 415, "application/timestamp-query"),
        ("POST", {"content-type": "text/plain"}, (REQUEST,), 415, "application/timestamp-query"),
        ("POST", QUERY | {"content-length": str(MAX_REQUEST + 1)}, (), 413, "65536"),
        ("POST", QUERY | {"content-length": "9" * 4000}, (), 413, "65536"),
        ("POST", QUERY, (bytes(40_000), bytes(40_000), b"never read"), 413, "65536"),
    ],
)
def test_what_is_no_timestamp_request_is_refused_in_clear_text(
    app: tsa.TsaApp, method: str, headers: dict[str, str], parts: tuple[bytes, ...], status: int, words: str
) -> None:
    reply = asyncio.run(call(app, method, "/tsa", headers, parts))
    assert (reply.status, reply.headers["content-type"]) == (status, "text/plain; charset=utf-8")
    assert words in reply.body.decode()
    assert status != 405 or reply.headers["allow"] == "POST"


def test_a_client_that_goes_away_or_dawdles_costs_nothing(app: tsa.TsaApp, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone() -> Message:
        return {"type": "http.disconnect"}

    async def slow() -> Message:
        await asyncio.sleep(60)
        return {}

    assert asyncio.run(call(app, "POST", "/tsa", QUERY, receive=gone)).status == 0
    monkeypatch.setattr(tsa, "_BODY_TIMEOUT", 0.01)
    assert asyncio.run(call(app, "POST", "/tsa", QUERY, receive=slow)).status == 408


def test_more_than_can_wait_is_told_to_come_again(app: tsa.TsaApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tsa, "_MAX_WAITING", 0)
    reply = asyncio.run(call(app, "POST", "/tsa", QUERY, (REQUEST,)))
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")


def test_many_requests_at_once_each_get_their_own_token(app: tsa.TsaApp) -> None:
    async def many() -> list[Reply]:
        bodies = [build_request(TimestampRequest(DigestAlgorithm.SHA256, bytes(32), nonce=n)) for n in range(80)]
        return list(await asyncio.gather(*(call(app, "POST", "/tsa", QUERY, (body,)) for body in bodies)))

    replies = asyncio.run(many())
    assert all(read_response(reply.body).granted for reply in replies)
    assert len({reply.body for reply in replies}) == 80


def test_health_and_readiness_differ_when_the_key_is_too_old(app: tsa.TsaApp, public: Path) -> None:
    assert asyncio.run(call(app, "GET", "/healthz")).status == 200
    assert asyncio.run(call(app, "GET", "/readyz")).body == b"ready\n"
    old = tsa.create_app(_authority(timedelta(days=900)), public)
    assert asyncio.run(call(old, "GET", "/healthz")).status == 200
    reply = asyncio.run(call(old, "GET", "/readyz"))
    assert reply.status == 503
    assert b"usable until" in reply.body


@pytest.mark.parametrize(
    ("path", "content_type", "body"),
    [
        ("/crl/code.crl", "application/pkix-crl", b"C" * 600_000),
        ("/ca/root-1.cer", "application/pkix-cert", b"root"),
    ],
)
def test_crls_and_certificates_are_served(app: tsa.TsaApp, path: str, content_type: str, body: bytes) -> None:
    reply = asyncio.run(call(app, "GET", path))
    assert (reply.status, reply.headers["content-type"], reply.body) == (200, content_type, body)
    assert reply.headers["cache-control"].startswith("public, max-age=")
    head = asyncio.run(call(app, "HEAD", path))
    assert (head.status, head.headers, head.body) == (200, reply.headers, b"")


def test_a_client_that_has_the_file_is_told_so(app: tsa.TsaApp) -> None:
    first = asyncio.run(call(app, "GET", "/ca/root-1.cer"))
    for known in (
        {"if-none-match": first.headers["etag"]},
        {"if-none-match": f'"x", W/{first.headers["etag"]}'},
        {"if-none-match": "*"},
        {"if-modified-since": first.headers["last-modified"]},
    ):
        again = asyncio.run(call(app, "GET", "/ca/root-1.cer", known))
        assert (again.status, again.body) == (304, b"")
    for stale in (
        {"if-none-match": '"x"', "if-modified-since": first.headers["last-modified"]},
        {"if-modified-since": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"if-modified-since": "yesterday"},
    ):
        assert asyncio.run(call(app, "GET", "/ca/root-1.cer", stale)).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/secret.cer",
        "/ca/../secret.cer",
        "/ca/..%2fsecret.cer",
        "/ca/.hidden.cer",
        "/ca/key.pem",
        "/ca/folder.cer",
        "/ca/none.cer",
        "/crl/root-1.cer",
        "/ca/root-1.cer\n",
        "/ca/\0.cer",
        "/ca//root-1.cer",
    ],
)
def test_nothing_else_is_served(app: tsa.TsaApp, path: str) -> None:
    reply = asyncio.run(call(app, "GET", path))
    assert (reply.status, reply.body) == (404, b"there is no such file\n")


def test_files_cannot_be_written(app: tsa.TsaApp) -> None:
    reply = asyncio.run(call(app, "PUT", "/ca/root-1.cer"))
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD")


def test_a_file_that_shrinks_while_it_is_sent_ends_the_answer(app: tsa.TsaApp, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(_work: Callable[[], bytes]) -> bytes:
        return b""

    monkeypatch.setattr(app._files, "_in_thread", nothing)
    reply = asyncio.run(call(app, "GET", "/ca/root-1.cer"))
    assert (reply.headers["content-length"], reply.body) == ("4", b"")


class Log:
    """A log that refuses as often as it is told to."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.records: list[tuple[int, bytes]] = []

    def __call__(self, count: int, root: bytes) -> None:
        if self.refusals:
            self.refusals -= 1
            raise UnavailableError("the log does not answer")
        self.records.append((count, root))


async def _live(app: tsa.TsaApp, work: Callable[[], Awaitable[None]]) -> None:
    incoming: asyncio.Queue[Message] = asyncio.Queue()
    sent: asyncio.Queue[Any] = asyncio.Queue()
    lifespan = asyncio.create_task(app({"type": "lifespan"}, incoming.get, sent.put))
    await incoming.put({"type": "lifespan.startup"})
    assert (await sent.get())["type"] == "lifespan.startup.complete"
    await work()
    await incoming.put({"type": "lifespan.shutdown"})
    assert (await sent.get())["type"] == "lifespan.shutdown.complete"
    await lifespan


def test_tokens_are_recorded_each_period_and_at_the_end(public: Path) -> None:
    log = Log()
    made = tsa.create_app(_authority(), public, log, record_every=0.01)
    tokens: list[bytes] = []

    async def work() -> None:
        for wanted in (1, 2):
            await call(made, "POST", "/tsa", QUERY, (b"refused, not counted",))
            for _ in range(wanted):
                reply = await call(made, "POST", "/tsa", QUERY, (REQUEST,))
                tokens.append(read_response(reply.body).token or b"")
            await asyncio.sleep(0.1)

    asyncio.run(_live(made, work))
    assert sum(count for count, _ in log.records) == len(tokens) == 3
    start = 0
    for count, root in log.records:
        assert root == root_of([leaf_hash(token) for token in tokens[start : start + count]])
        start += count


def test_what_the_log_refuses_is_offered_again(public: Path) -> None:
    log = Log(refusals=1)
    app = tsa.create_app(_authority(), public, log)

    async def work() -> None:
        await call(app, "POST", "/tsa", QUERY, (REQUEST,))
        await app.record_now()
        assert log.records == []
        await call(app, "POST", "/tsa", QUERY, (REQUEST,))

    asyncio.run(_live(app, work))
    assert [count for count, _ in log.records] == [1, 1]


def test_without_a_log_nothing_is_lost_but_the_count(public: Path) -> None:
    made = tsa.create_app(_authority(), public)

    async def work() -> None:
        assert (await call(made, "POST", "/tsa", QUERY, (REQUEST,))).status == 200

    asyncio.run(_live(made, work))


def test_other_kinds_of_connection_are_ignored(app: tsa.TsaApp) -> None:
    async def never(*_: object) -> Any:  # noqa: ANN401 - stands for both receive and send
        pytest.fail("nothing should be read or sent")

    asyncio.run(app({"type": "websocket"}, never, never))


def test_an_item_that_fails_or_is_given_up_does_not_hurt_the_others() -> None:
    def work(number: int) -> int:
        if number == 3:
            raise UnavailableError("three")
        return number * 2

    async def batch(pool: ThreadPoolExecutor) -> list[int | BaseException]:
        batches = Batches(work, pool, threads=1, size=4)
        tasks = [asyncio.create_task(batches.run(number)) for number in range(8)]
        await asyncio.sleep(0)
        assert batches.waiting == 8
        tasks[5].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    with ThreadPoolExecutor(1) as pool:
        results = asyncio.run(batch(pool))
    assert isinstance(results[3], UnavailableError)
    assert isinstance(results[5], asyncio.CancelledError)
    assert [results[n] for n in (0, 1, 2, 4, 6, 7)] == [0, 2, 4, 8, 12, 14]
