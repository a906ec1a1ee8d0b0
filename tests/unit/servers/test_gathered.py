"""The transport that writes an answer's head and body at once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

from sealwright.servers.web.gathered import GatheringTransport


class _Transport:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written.append(data)

    def close(self) -> None:
        self.closed = True

    def get_extra_info(self, name: str) -> str:
        return name.upper()


def _run(steps: Callable[[GatheringTransport], Awaitable[None]]) -> _Transport:
    inner = _Transport()

    async def main() -> None:
        await steps(GatheringTransport(cast("asyncio.Transport", inner), asyncio.get_running_loop()))

    asyncio.run(main())
    return inner


def test_what_is_written_in_one_turn_leaves_as_one() -> None:
    async def steps(transport: GatheringTransport) -> None:
        transport.write(b"head ")
        transport.write(b"body")
        await asyncio.sleep(0)
        transport.write(b"next")
        await asyncio.sleep(0)

    assert _run(steps).written == [b"head body", b"next"]


def test_closing_writes_what_was_gathered_first() -> None:
    async def steps(transport: GatheringTransport) -> None:
        transport.write(b"last words")
        transport.close()
        await asyncio.sleep(0)

    inner = _run(steps)
    assert (inner.written, inner.closed) == ([b"last words"], True)


def test_everything_else_is_the_transports_own() -> None:
    async def steps(transport: GatheringTransport) -> None:
        assert transport.get_extra_info("peername") == "PEERNAME"

    assert _run(steps).written == []
