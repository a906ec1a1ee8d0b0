"""Serves the current CRLs and CA certificates of a folder over plain HTTP (RFC 5280, section 4.2.1.13; RFC 2585).

`/crl/NAME.crl` and `/ca/NAME.cer` are `crl/NAME.crl` and `ca/NAME.cer` in the folder. Names are flat; whoever
publishes replaces a file by renaming, so that a reader sees the old file or the new one.
"""

import os
import re
import stat
from collections.abc import Callable
from email.utils import formatdate, parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.types import Receive, Scope, Send

_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_PATH: Final = re.compile(rf"/(?:crl/{_NAME}\.crl|ca/{_NAME}\.cer)")
_KINDS: Final = {
    # Content type (RFC 2585, section 4), and how long caches may keep it: revocations must be seen soon.
    ".crl": (b"application/pkix-crl", b"public, max-age=300"),
    ".cer": (b"application/pkix-cert", b"public, max-age=86400"),
}
_CHUNK: Final = 256 * 1024

Headers = list[tuple[bytes, bytes]]
InThread = Callable[[Callable[[], bytes]], "Awaitable[bytes]"]
"""Runs a blocking read outside the event loop."""


class PublicFiles:
    """An ASGI application over one folder; `in_thread` runs what blocks."""

    def __init__(self, folder: Path, in_thread: InThread) -> None:
        self._folder = folder
        self._in_thread = in_thread

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer GET and HEAD."""
        del receive
        if scope["method"] not in ("GET", "HEAD"):
            await send_text(send, 405, "only GET and HEAD are answered here", [(b"allow", b"GET, HEAD")])
            return
        file = self._open(scope["path"])
        if file is None:
            await send_text(send, 404, "there is no such file")
            return
        with file:
            await self._send(file, scope, send)

    def _open(self, path: str) -> BinaryIO | None:
        if not _PATH.fullmatch(path):
            return None
        try:
            file = (self._folder / path[1:]).open("rb")
        except OSError:
            return None
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            return None
        return file

    async def _send(self, file: BinaryIO, scope: "Scope", send: "Send") -> None:
        status = os.fstat(file.fileno())
        content_type, caching = _KINDS[scope["path"][-4:]]
        etag = b'"%x-%x"' % (status.st_mtime_ns, status.st_size)
        headers = [
            (b"cache-control", caching),
            (b"etag", etag),
            (b"last-modified", formatdate(status.st_mtime, usegmt=True).encode()),
        ]
        if _unchanged(dict(scope["headers"]), etag, int(status.st_mtime)):
            await send({"type": "http.response.start", "status": 304, "headers": headers})
            await send({"type": "http.response.body"})
            return
        headers += [(b"content-type", content_type), (b"content-length", b"%d" % status.st_size)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        left = status.st_size if scope["method"] == "GET" else 0
        while left:
            chunk = await self._in_thread(partial(file.read, min(left, _CHUNK)))
            if not chunk:
                return  # shortened while it was read: the server closes the connection, the client sees it cut
            left -= len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body"})


def _unchanged(asked: dict[bytes, bytes], etag: bytes, modified: int) -> bool:
    """Tell whether the client has this very file already (RFC 9110, section 13.2.2)."""
    tags = asked.get(b"if-none-match")
    if tags is not None:
        known = {tag.strip().removeprefix(b"W/") for tag in tags.split(b",")}
        return etag in known or b"*" in known
    since = asked.get(b"if-modified-since")
    if since is None:
        return False
    try:
        return modified <= parsedate_to_datetime(since.decode("latin-1")).timestamp()
    except (ValueError, OverflowError):
        return False


async def send_text(send: "Send", status: int, text: str, headers: "Headers | None" = None) -> None:
    """Answer with one line of plain text."""
    body = text.encode() + b"\n"
    fixed = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": fixed + (headers or [])})
    await send({"type": "http.response.body", "body": body})
