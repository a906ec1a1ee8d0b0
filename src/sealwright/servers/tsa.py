"""The timestamp authority's process: RFC 3161 over plain HTTP, and the CRLs and CA certificates beside it.

`create_app` makes a raw ASGI application; `run` serves it on a socket that the supervisor has bound. Tokens
are counted and their Merkle root kept; both go to an injected `record` once an hour and at the end.
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificates

from sealwright import __version__
from sealwright.domain.errors import SealwrightError
from sealwright.domain.events import ServiceStarted, TokensIssued, timestamp
from sealwright.keystores import open_key_store
from sealwright.observability import configure
from sealwright.servers.batches import Batches
from sealwright.servers.deployment import Deployment, utc_now
from sealwright.servers.public_files import PublicFiles, send_text
from sealwright.servers.web.run import StopRequest, say_ready, serve_http
from sealwright.storage.role_log import RoleLog
from sealwright.storage.tables import tsa as tables
from sealwright.structures.tsp_messages import MAX_REQUEST
from sealwright.timestamping.authority import TimestampAuthority
from sealwright.timestamping.tally import Tally

if TYPE_CHECKING:
    import socket

    from starlette.types import Receive, Scope, Send

Record = Callable[[int, bytes], None]
"""Takes the number of tokens and the Merkle root over them into the authority's log; may block, may raise."""

QUERY: Final = b"application/timestamp-query"
REPLY: Final = b"application/timestamp-reply"

KEY_LABEL: Final = "unit-1"
"""The key of the first timestamp unit in the authority's key store."""

_LOG = logging.getLogger("sealwright.tsa")
_HOUR: Final = 3600.0  # seconds
_BODY_TIMEOUT: Final = 10.0  # seconds for a whole request body
_MAX_WAITING: Final = 1024  # requests that wait for the key; about a second of RSA-3072 on one core
_THREADS: Final = 2
_BATCH: Final = 32  # requests that one thread takes at once: about 20 ms of RSA-3072


def create_app(
    authority: TimestampAuthority,
    public_dir: Path,
    record: Record | None = None,
    *,
    record_every: float = _HOUR,
    threads: int = _THREADS,
) -> "TsaApp":
    """Return the ASGI application: POST /tsa, GET /crl/*.crl, GET /ca/*.crt, /healthz, /readyz.

    `record_every` is in seconds; `threads` is how many signatures are made at once.
    """
    return TsaApp(authority, public_dir, record, record_every, threads)


class TsaApp:
    """The application; its lifespan starts and ends the hourly record."""

    def __init__(
        self, authority: TimestampAuthority, public_dir: Path, record: Record | None, record_every: float, threads: int
    ) -> None:
        self._authority = authority
        self._record = record
        self._record_every = record_every
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="stamp")
        self._stamps = Batches(authority.answer, self._pool, threads, _BATCH)
        self._files = PublicFiles(public_dir, self._in_thread)
        self._tally = Tally()
        self._unrecorded: deque[tuple[int, bytes]] = deque()
        self._recording = asyncio.Lock()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Serve one request, or the process's lifespan (ASGI 3.0)."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._route(scope, receive, send)

    async def _route(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        match scope["path"]:
            case "/tsa":
                await self._stamp(scope, receive, send)
            case "/healthz":
                await send_text(send, 200, "alive")
            case "/readyz":
                await self._ready(send)
            case _:
                await self._files(scope, receive, send)

    async def _stamp(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["method"] != "POST":
            await send_text(
                send, 405, "send a timestamp request (RFC 3161, section 3.4) by POST", [(b"allow", b"POST")]
            )
            return
        headers = dict(scope["headers"])
        if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != QUERY:
            await send_text(send, 415, f"the content type must be {QUERY.decode()}")
            return
        if self._stamps.waiting >= _MAX_WAITING:
            await send_text(send, 503, "too many requests are waiting; try again", [(b"retry-after", b"1")])
            return
        try:
            async with asyncio.timeout(_BODY_TIMEOUT):
                body = await _body(receive, headers.get(b"content-length", b"0"))
        except TimeoutError:
            await send_text(send, 408, "the request did not arrive in time", [(b"connection", b"close")])
            return
        if body is None:
            return
        if len(body) > MAX_REQUEST:
            text = f"a timestamp request has at most {MAX_REQUEST} bytes"
            await send_text(send, 413, text, [(b"connection", b"close")])
            return
        await self._answer(body, send)

    async def _answer(self, body: bytes, send: "Send") -> None:
        answer = await self._stamps.run(body)
        if answer.token is not None:
            self._tally.add(answer.token)
        headers = [(b"content-type", REPLY), (b"content-length", b"%d" % len(answer.response))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer.response})

    async def _ready(self, send: "Send") -> None:
        try:
            self._authority.check_ready()
        except SealwrightError as error:
            await send_text(send, 503, error.detail)
            return
        await send_text(send, 200, "ready")

    async def _in_thread(self, work: Callable[[], bytes]) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def _lifespan(self, receive: "Receive", send: "Send") -> None:
        await receive()
        hourly = asyncio.create_task(self._record_hourly())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        hourly.cancel()
        await self.record_now()
        self._pool.shutdown()
        await send({"type": "lifespan.shutdown.complete"})

    async def _record_hourly(self) -> None:
        while True:
            await asyncio.sleep(self._record_every)
            await self.record_now()

    async def record_now(self) -> None:
        """Hand over what was counted since the last time; what `record` refuses is offered again next time."""
        async with self._recording:
            if self._tally.count:
                self._unrecorded.append(self._tally.take())
            loop = asyncio.get_running_loop()
            while self._record is not None and self._unrecorded:
                try:
                    await loop.run_in_executor(self._pool, self._record, *self._unrecorded[0])
                except Exception:  # noqa: BLE001 - whatever the log says, the tokens are issued and the count is kept
                    _LOG.exception("%d tokens could not be recorded; tried again later", self._unrecorded[0][0])
                    return
                self._unrecorded.popleft()


async def _body(receive: "Receive", declared: bytes) -> bytes | None:
    """Read the body until it ends or exceeds MAX_REQUEST; None if the client went away."""
    if declared.isdigit() and int(declared[:20]) > MAX_REQUEST:
        return bytes(MAX_REQUEST + 1)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if not message.get("more_body", False) or size > MAX_REQUEST:
            return b"".join(parts)


async def main(deployment: Deployment, listener: "socket.socket", *, supervised: bool) -> None:
    """Serve a deployment's timestamps and public files until a stop is asked for."""
    logger = configure("tsa")
    stop = StopRequest()
    stop.listen(supervised=supervised)
    directory = deployment.role_directory("tsa")
    store = open_key_store(deployment.settings.key_stores.tsa, deployment.directory)
    chain = [
        certificate.public_bytes(Encoding.DER)
        for certificate in load_pem_x509_certificates((directory / "chain.pem").read_bytes())
    ]
    authority = TimestampAuthority(store.open(KEY_LABEL), chain, utc_now, os.urandom)
    log = RoleLog(deployment.engine("tsa"), tables.metadata, deployment.log_signer("tsa"))

    def record(count: int, root: bytes) -> None:
        log.record(TokensIssued(time=timestamp(utc_now()), count=count, root=root.hex()))

    log.record(ServiceStarted(time=timestamp(utc_now()), role="tsa", version=__version__))
    app = create_app(authority, Path(deployment.settings.directories.public), record)

    def started() -> None:
        # The clock of an embedded deployment is not proven, and its tokens' policy says so.
        logger.info("started", url=deployment.settings.plain_url, until=str(authority.usable_until), clock="unproven")
        say_ready(supervised=supervised)

    await serve_http(app, listener, stop, started)
    logger.info("stopped")
