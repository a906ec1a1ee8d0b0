"""The protocol between a deployment's processes: framed msgpack over a Unix socket.

A call is an operation's number and a payload, an answer a flag and a payload; frames carry their length in
front. Errors of the tree cross the wall by their code. A connection carries one call at a time; whoever has
many at once gathers them into batches.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from sealwright.domain.errors import MalformedError, SealwrightError, TooLargeError, UnavailableError, error_of

MAX_FRAME = 32 * 1024 * 1024
_HEADER = struct.Struct("<IB")
_OK, _ERROR = 0, 1
RETRY_AFTER = 2
"""Seconds after which a caller is told to try again when a process does not answer."""

Handler = Callable[[bytes], Awaitable[bytes]]


class _Failure(msgspec.Struct, array_like=True, frozen=True):
    code: str
    detail: str
    hint: str
    retry_after: int | None


def _pack(flag: int, payload: bytes) -> bytes:
    return _HEADER.pack(len(payload), flag) + payload


def _check_length(payload: bytes) -> None:
    if len(payload) > MAX_FRAME:
        raise TooLargeError(f"a call of {len(payload)} bytes is too long")


def _unpack_answer(flag: int, payload: bytes) -> bytes:
    if flag == _OK:
        return payload
    try:
        failure = msgspec.msgpack.decode(payload, type=_Failure)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedError(f"the answer of another process cannot be read: {error}") from None
    raise error_of(failure.code, failure.detail, hint=failure.hint, retry_after=failure.retry_after)


class RpcServer:
    """Answers calls on a listening Unix socket; one handler for each operation."""

    def __init__(self, handlers: Mapping[int, Handler], report: Callable[[BaseException], None]) -> None:
        self._handlers = handlers
        self._report = report
        self._busy: set[asyncio.Task[None]] = set()
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._server: asyncio.Server | None = None
        self._stopping = False

    async def start(self, listener: socket.socket) -> None:
        """Begin to accept connections."""
        self._server = await asyncio.start_unix_server(self._serve, sock=listener)

    async def stop(self) -> None:
        """Accept nothing more; calls that were begun are finished and answered."""
        self._stopping = True
        if self._server is not None:
            self._server.close()
        if self._busy:
            await asyncio.wait(self._busy, timeout=30)
        # Connections end by themselves when they are closed; cancelled with the loop they would report an error.
        for writer in self._connections.values():
            writer.close()
        if self._connections:
            await asyncio.wait(self._connections, timeout=5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        if connection is not None:
            self._connections[connection] = writer
            connection.add_done_callback(lambda done: self._connections.pop(done, None))
        try:
            while True:
                length, operation = _HEADER.unpack(await reader.readexactly(_HEADER.size))
                if length > MAX_FRAME:
                    return
                payload = await reader.readexactly(length)
                task = asyncio.create_task(self._answer(operation, payload, writer))
                self._busy.add(task)
                task.add_done_callback(self._busy.discard)
                await task
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _handle(self, operation: int, payload: bytes) -> bytes:
        if self._stopping:
            raise UnavailableError("the process is stopping", retry_after=RETRY_AFTER)
        answer = await self._handlers.get(operation, _unknown)(payload)
        if len(answer) > MAX_FRAME:
            raise TooLargeError(f"an answer of {len(answer)} bytes is too long", hint="ask for less at once")
        return answer

    async def _answer(self, operation: int, payload: bytes, writer: asyncio.StreamWriter) -> None:
        try:
            frame = _pack(_OK, await self._handle(operation, payload))
        except SealwrightError as error:
            frame = _failed(error)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            frame = _failed(MalformedError(f"the call cannot be read: {error}"))
        except Exception as error:  # noqa: BLE001 - whatever fails inside, the caller gets an answer and we a report
            self._report(error)
            frame = _failed(SealwrightError("an internal error was reported to the operator"))
        with contextlib.suppress(ConnectionError):
            writer.write(frame)
            await writer.drain()


async def _unknown(_payload: bytes) -> bytes:
    raise MalformedError("there is no such operation")


def _failed(error: SealwrightError) -> bytes:
    failure = _Failure(error.code, error.detail, error.hint, error.retry_after)
    return _pack(_ERROR, msgspec.msgpack.encode(failure))


class RpcClient:
    """Calls another process from an event loop; connects when needed and again after the other side was gone."""

    def __init__(self, path: Path, name: str, timeout: float) -> None:
        self._path, self._name, self._timeout = path, name, timeout
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._lock = asyncio.Lock()

    async def call(self, operation: int, payload: bytes) -> bytes:
        """Return the answer. Raises the other side's error, or UnavailableError if it does not answer in time."""
        _check_length(payload)
        async with self._lock:
            try:
                async with asyncio.timeout(self._timeout):
                    reader, writer = self._stream or await self._connect()
                    writer.write(_pack(operation, payload))
                    length, flag = _HEADER.unpack(await reader.readexactly(_HEADER.size))
                    if length > MAX_FRAME:
                        raise MalformedError("an answer is too long")  # noqa: TRY301 - below, the stream is dropped
                    answer = await reader.readexactly(length)
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                self._drop()
                detail = f"the {self._name} does not answer"
                raise UnavailableError(detail, retry_after=RETRY_AFTER) from error
            except BaseException:
                self._drop()  # half an answer may be left on the stream
                raise
        return _unpack_answer(flag, answer)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self._stream = await asyncio.open_unix_connection(str(self._path))
        return self._stream

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream[1].close()
            self._stream = None

    async def close(self) -> None:
        """Close the connection."""
        async with self._lock:
            self._drop()


class BlockingRpcClient:
    """Calls another process from a thread, as the key holder calls the CA."""

    def __init__(self, path: Path, name: str, timeout: float) -> None:
        self._path, self._name, self._timeout = path, name, timeout
        self._socket: socket.socket | None = None

    def call(self, operation: int, payload: bytes) -> bytes:
        """Return the answer. Raises the other side's error, or UnavailableError if it does not answer in time."""
        _check_length(payload)
        try:
            connection = self._socket or self._connect()
            connection.sendall(_pack(operation, payload))
            length, flag = _HEADER.unpack(_receive(connection, _HEADER.size))
            if length > MAX_FRAME:
                self.close()
                raise MalformedError("an answer is too long")
            answer = _receive(connection, length)
        except OSError as error:
            self.close()
            raise UnavailableError(f"the {self._name} does not answer", retry_after=RETRY_AFTER) from error
        return _unpack_answer(flag, answer)

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket = connection  # before it is connected: `close` must find it if that fails
        connection.settimeout(self._timeout)
        connection.connect(str(self._path))
        return connection

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _receive(connection: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = connection.recv(count - len(parts))
        if not part:
            raise ConnectionError("the connection was closed")
        parts += part
    return bytes(parts)
