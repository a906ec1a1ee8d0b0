"""A cheap load generator: keep-alive connections that each send a prepared request and wait for its answer."""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import uvloop

_SAMPLE_EVERY = 50
_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"content-length:"


@dataclass(frozen=True, slots=True)
class Target:
    """Where the load goes."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a load: seconds from the first request to the last answer, latencies, and sampled answers."""

    seconds: float
    latencies: Sequence[float]
    samples: Sequence[tuple[int, bytes]]

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Return the latency in milliseconds below which that share of the answers came."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def run_load(target: Target, requests: Sequence[bytes], connections: int) -> Outcome:
    """Send all requests over so many connections; an answer that is not 200 ends the benchmark."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(target, requests, connections))


async def _run(target: Target, requests: Sequence[bytes], connections: int) -> Outcome:
    loop = asyncio.get_running_loop()
    load = _Load(requests, loop.create_future())
    clients: list[_Client] = []
    for _ in range(connections):
        _, client = await loop.create_connection(lambda: _Client(load), target.host, target.port, ssl=target.tls)
        clients.append(client)
    begun = time.perf_counter()
    for client in clients:
        client.next()
    await load.done
    seconds = time.perf_counter() - begun
    for client in clients:
        client.close()
    return Outcome(seconds, load.latencies, load.samples)


class _Load:
    """The requests that wait, and the answers that came."""

    def __init__(self, requests: Sequence[bytes], done: "asyncio.Future[None]") -> None:
        self.waiting = deque(enumerate(requests))
        self.latencies: list[float] = []
        self.samples: list[tuple[int, bytes]] = []
        self.done = done
        self._left = len(requests)

    def answered(self, number: int, seconds: float, body: bytes) -> None:
        self.latencies.append(seconds)
        if number % _SAMPLE_EVERY == 0:
            self.samples.append((number, body))
        self._left -= 1
        if self._left == 0 and not self.done.done():
            self.done.set_result(None)

    def failed(self, reason: str) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(reason))


class _Client(asyncio.Protocol):
    """One connection: one request at a time."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._transport: asyncio.WriteTransport | None = None
        self._data = b""
        self._whole = 0  # length of head and body, once the head is there
        self._number = -1
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's own class, which is no subclass

    def next(self) -> None:
        """Send the next request, if one is left."""
        if self._load.waiting and self._transport is not None:
            self._number, request = self._load.waiting.popleft()
            self._sent = time.perf_counter()
            self._transport.write(request)
        else:
            self._number = -1

    def data_received(self, data: bytes) -> None:
        self._data = self._data + data if self._data else data
        if not self._whole and not self._read_head():
            return
        if len(self._data) < self._whole:
            return
        body = self._data[self._data.index(_END_OF_HEAD) + 4 : self._whole]
        if not self._data.startswith(b"HTTP/1.1 200 "):
            self._load.failed(f"the server answered {self._data[:40]!r} {body[:300]!r}")
            return
        number, seconds = self._number, time.perf_counter() - self._sent
        self._data, self._whole = b"", 0
        self.next()
        self._load.answered(number, seconds, body)

    def _read_head(self) -> bool:
        end = self._data.find(_END_OF_HEAD)
        if end < 0:
            return False
        start = self._data[:end].lower().find(_LENGTH)
        if start < 0:
            self._load.failed("an answer has no Content-Length")
            return False
        length = self._data[start + len(_LENGTH) : end].split(b"\r\n", 1)[0]
        self._whole = end + 4 + int(length)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._number >= 0:
            self._load.failed(f"a connection was lost: {exc}")

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()
