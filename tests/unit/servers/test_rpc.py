"""The protocol between processes: whole answers or an error of our tree, and a connection that comes back."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from sealwright.domain.errors import MalformedError, SealwrightError, TooLargeError, UnavailableError, errors_by_code
from sealwright.servers.web import rpc
from sealwright.servers.web.rpc import BlockingRpcClient, RpcClient, RpcServer

Work = Callable[[Path, RpcServer, list[BaseException]], Awaitable[None]]


async def echo(payload: bytes) -> bytes:
    if payload == b"ours":
        raise UnavailableError("not now", hint="later", retry_after=7)
    if payload == b"theirs":
        raise ZeroDivisionError
    if payload == b"long":
        return bytes(rpc.MAX_FRAME + 1)
    if payload.startswith(b"code "):
        raise errors_by_code()[payload[5:].decode()]("detail", hint="hint", retry_after=3)
    if payload == b"slow":
        await asyncio.sleep(0.2)
    return payload[::-1]


def listening(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    listener.setblocking(False)
    return listener


def served(folder: Path, work: Work) -> None:
    async def main() -> None:
        reported: list[BaseException] = []
        server = RpcServer({1: echo}, reported.append)
        await server.start(listening(folder / "s"))
        await work(folder / "s", server, reported)
        await server.stop()

    asyncio.run(main())


def test_a_call_is_answered_and_errors_cross_the_wall_as_they_are(tmp_path: Path) -> None:
    async def work(path: Path, _server: RpcServer, reported: list[BaseException]) -> None:
        client = RpcClient(path, "echo", 5)
        assert await client.call(1, b"abc") == b"cba"
        assert await client.call(1, b"") == b""
        assert await asyncio.gather(*(client.call(1, bytes([n])) for n in range(20))) == [bytes([n]) for n in range(20)]
        for code, kind in errors_by_code().items():
            with pytest.raises(kind) as caught:
                await client.call(1, b"code " + code.encode())
            assert type(caught.value) is kind
            assert (caught.value.detail, caught.value.hint, caught.value.retry_after) == ("detail", "hint", 3)
        with pytest.raises(MalformedError):
            await client.call(9, b"")
        assert reported == []
        with pytest.raises(SealwrightError) as internal:
            await client.call(1, b"theirs")
        assert internal.value.code == "internal"
        assert [type(error) for error in reported] == [ZeroDivisionError]
        assert await client.call(1, b"abc") == b"cba"
        await client.close()

    served(tmp_path, work)


def test_what_is_too_long_for_a_frame_is_refused_and_the_connection_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc, "MAX_FRAME", 1_000)

    async def work(path: Path, _server: RpcServer, _reported: list[BaseException]) -> None:
        client = RpcClient(path, "echo", 5)
        with pytest.raises(TooLargeError):
            await client.call(1, bytes(1_001))
        with pytest.raises(TooLargeError):
            await client.call(1, b"long")
        assert await client.call(1, bytes(1_000)) == bytes(1_000)
        await client.close()
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b"\xff\xff\xff\xff\x01")
        assert await reader.read() == b""  # hung up, without waiting for four gigabytes
        writer.close()

    served(tmp_path, work)


def test_a_process_that_is_gone_is_unavailable_and_found_again(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "s"
        client = RpcClient(path, "key holder", 5)
        with pytest.raises(UnavailableError, match="key holder does not answer"):
            await client.call(1, b"")
        for _ in range(2):
            server = RpcServer({1: echo}, print)
            await server.start(listening(path))
            connections = [client.call(1, b"ab")]
            results = await asyncio.gather(*connections, return_exceptions=True)
            if isinstance(results[0], UnavailableError):  # the first call finds that the old connection is gone
                results = [await client.call(1, b"ab")]
            assert results == [b"ba"]
            await server.stop()
            assert client._stream
            client._stream[1].close()  # as if the other side had died
            await asyncio.sleep(0.01)
        await client.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    "answer",
    [b"", b"\x05\x00", b"\x05\x00\x00\x00\x00ab", b"\xff\xff\xff\xff\x00", b"\x01\x00\x00\x00\x01\xc1"],
    ids=["nothing", "half a header", "half an answer", "gigantic", "no error"],
)
def test_half_or_false_answers_are_errors_of_our_tree(tmp_path: Path, answer: bytes) -> None:
    path = tmp_path / "s"

    def serve(listener: socket.socket) -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(answer)

    listener = listening(path)
    listener.setblocking(True)
    thread = threading.Thread(target=serve, args=(listener,))
    thread.start()
    blocking = BlockingRpcClient(path, "CA", 5)
    with pytest.raises((UnavailableError, MalformedError)):
        blocking.call(1, b"x")
    blocking.close()

    async def main() -> None:
        client = RpcClient(path, "CA", 5)
        with pytest.raises((UnavailableError, MalformedError)):
            await client.call(1, b"x")
        await client.close()

    asyncio.run(main())
    thread.join()
    listener.close()


def test_a_slow_answer_is_given_up_and_never_taken_for_the_next_one(tmp_path: Path) -> None:
    async def work(path: Path, _server: RpcServer, _reported: list[BaseException]) -> None:
        client = RpcClient(path, "echo", 0.05)
        with pytest.raises(UnavailableError):
            await client.call(1, b"slow")
        assert await client.call(1, b"ab") == b"ba"
        patient = RpcClient(path, "echo", 5)
        call = asyncio.create_task(patient.call(1, b"slow"))
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await patient.call(1, b"cd") == b"dc"
        await client.close()
        await patient.close()

    served(tmp_path, work)


def test_a_process_that_stops_finishes_what_it_began_and_takes_nothing_more(tmp_path: Path) -> None:
    async def work(path: Path, server: RpcServer, _reported: list[BaseException]) -> None:
        begun, late = RpcClient(path, "echo", 5), RpcClient(path, "echo", 5)
        assert await late.call(1, b"ab") == b"ba"
        call = asyncio.create_task(begun.call(1, b"slow"))
        await asyncio.sleep(0.05)
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0.01)
        with pytest.raises(UnavailableError):
            await late.call(1, b"ab")
        assert await call == b"wols"
        await stopping
        await begun.close()
        await late.close()

    served(tmp_path, work)


@pytest.fixture
def blocking_server(tmp_path: Path) -> Iterator[Path]:
    """Serve `echo` from another thread."""
    ready, stop = threading.Event(), threading.Event()
    server = RpcServer({1: echo}, lambda _error: None)

    async def serve() -> None:
        await server.start(listening(tmp_path / "s"))
        ready.set()
        await asyncio.to_thread(stop.wait, 20)
        await server.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait(5)
    yield tmp_path / "s"
    stop.set()
    thread.join()


def test_a_thread_calls_as_an_event_loop_does(blocking_server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = BlockingRpcClient(blocking_server, "echo", 5)
    assert client.call(1, b"abc") == b"cba"
    with pytest.raises(UnavailableError) as caught:
        client.call(1, b"ours")
    assert caught.value.retry_after == 7
    monkeypatch.setattr(rpc, "MAX_FRAME", 10)
    with pytest.raises(TooLargeError):
        client.call(1, bytes(11))
    client.close()
    assert client.call(1, b"ab") == b"ba"
    client.close()
    client.close()
