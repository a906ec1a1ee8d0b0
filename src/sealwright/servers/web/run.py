"""Runs an ASGI application on a socket that was bound already, with or without TLS, until it is told to stop."""

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

GRACE = 20
"""Seconds that open requests get after the signal to stop."""


class StopRequest:
    """Tells a process's parts to stop: after SIGTERM, SIGINT, or when the supervisor is gone."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Ask everybody to stop."""
        self._event.set()

    async def wait(self) -> None:
        """Return when a stop was asked for."""
        await self._event.wait()

    def listen(self, *, supervised: bool) -> None:
        """Stop on signals and, if supervised, when standard input (the supervisor's pipe) ends."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.set)
        if supervised:
            watcher = threading.Thread(target=_wait_for_end, args=(loop, self.set), daemon=True)
            watcher.start()


def _wait_for_end(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    with contextlib.suppress(OSError):
        while os.read(sys.stdin.fileno(), 4096):
            pass
    with contextlib.suppress(RuntimeError):  # the loop was closed in the meantime
        loop.call_soon_threadsafe(stop)


def say_ready(*, supervised: bool) -> None:
    """Tell the supervisor, by a line on standard output, that this process serves."""
    if supervised:
        sys.stdout.write("ready\n")
        sys.stdout.flush()


async def serve_http(
    app: Callable[..., Awaitable[None]],
    listener: socket.socket,
    stop: StopRequest,
    started: Callable[[], None],
    *,
    tls: ssl.SSLContext | None = None,
    grace: int = GRACE,
) -> None:
    """Serve until a stop is asked for; requests that were begun are finished within `grace` seconds."""
    import uvicorn  # noqa: PLC0415 - slow to import; only a process that serves HTTP needs it

    from sealwright.servers.web.gathered import GatheredHttp  # noqa: PLC0415 - the same

    config = uvicorn.Config(
        app,
        http=GatheredHttp,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=grace,
        backlog=1024,
    )
    config.load()
    config.ssl = tls
    server = uvicorn.Server(config)

    async def watch() -> None:
        while not server.started and not server.should_exit:  # noqa: ASYNC110 - uvicorn offers a flag, no event
            await asyncio.sleep(0.01)
        started()
        await stop.wait()
        server.should_exit = True

    watcher = asyncio.create_task(watch())
    try:
        # Not `server.serve`: it would install its own signal handlers and raise the signal again at the end.
        await server._serve(sockets=[listener])  # noqa: SLF001 - the only way in that leaves signals to us
    finally:
        watcher.cancel()


def run_async(main: Coroutine[Any, Any, None]) -> None:
    """Run a process's main coroutine in an event loop of its own, uvloop's where it is installed."""
    try:
        import uvloop  # noqa: PLC0415 - not there on Windows
    except ImportError:
        asyncio.run(main)
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)
