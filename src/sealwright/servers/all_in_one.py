"""The supervisor of an embedded deployment: one command, one process for each role.

It binds every socket itself and hands the listening descriptors to its children (docs/decisions/0009): a port
that is taken is known before anything starts, and while a child is started again its callers wait in the queue
of the socket instead of being refused. Children end when the supervisor is gone.
"""

import asyncio
import contextlib
import errno
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sealwright.domain.errors import ConfigurationError
from sealwright.servers.deployment import ROLES, Deployment
from sealwright.settings import make_private_directory

_READY_WITHIN = 60.0
_STOP_WITHIN = 30.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 10.0
_STABLE_AFTER = 30.0
_BACKLOG = 1024

Report = Callable[[str, str, dict[str, object]], None]
"""Takes a role, what happened to its process, and details."""


@dataclass(slots=True)
class Child:
    """One role's process, and how often it had to be started again."""

    role: str
    listener: socket.socket
    process: asyncio.subprocess.Process | None = None
    restarts: int = 0
    watch: asyncio.Task[None] | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)


class Supervisor:
    """Starts the roles' processes, starts again what dies, and stops all in order."""

    def __init__(self, deployment: Deployment, report: Report) -> None:
        self._deployment = deployment
        self._report = report
        self._stopping = False
        self._children: list[Child] = []
        self._lock: int | None = None

    def bind(self) -> None:
        """Take every socket, or raise ConfigurationError that says which one is taken and what to do."""
        settings = self._deployment.settings
        self._lock = _lock(self._deployment)
        run = self._deployment.socket_path("ca").parent
        make_private_directory(run)
        listen = settings.listen
        bind: dict[str, Callable[[], socket.socket]] = {
            "keyholder": lambda: _bind_unix(self._deployment.socket_path("keyholder")),
            "ca": lambda: _bind_unix(self._deployment.socket_path("ca")),
            "tsa": lambda: _bind_tcp(listen.host, listen.plain_port, "plain_port"),
            "signing": lambda: _bind_tcp(listen.host, listen.port, "port"),
        }
        try:
            _refuse_shared(run)
            for role in ROLES:
                self._children.append(Child(role, bind[role]()))
        except ConfigurationError:
            self._release()
            raise

    async def start(self) -> None:
        """Start all processes and wait until each says that it serves. Raises ConfigurationError if one does not."""
        for child in self._children:
            child.watch = asyncio.create_task(self._keep(child))
        for child in self._children:
            watch = child.watch or asyncio.create_task(self._keep(child))
            waiting = asyncio.create_task(child.ready.wait())
            done, _ = await asyncio.wait({waiting, watch}, timeout=_READY_WITHIN, return_when="FIRST_COMPLETED")
            if waiting not in done:
                waiting.cancel()
                await self.stop()
                raise ConfigurationError(
                    f"the {child.role} process does not start", hint="its reason stands in the lines above"
                )

    async def _keep(self, child: Child) -> None:
        pause = _FIRST_PAUSE
        while not self._is_stopping():
            begun = time.monotonic()
            child.process = await self._spawn(child)
            await self._listen(child)
            code = await child.process.wait()
            if self._is_stopping():
                return
            if not child.ready.is_set() and child.restarts == 0:
                return  # it never served: a restart would not help
            child.restarts += 1
            self._report(child.role, "died and is started again", {"exit": code, "restarts": child.restarts})
            if time.monotonic() - begun > _STABLE_AFTER:
                pause = _FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _is_stopping(self) -> bool:
        return self._stopping

    async def _spawn(self, child: Child) -> asyncio.subprocess.Process:
        descriptor = child.listener.fileno()
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "sealwright.servers.process",
            child.role,
            str(self._deployment.directory),
            str(descriptor),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=(descriptor,),
        )

    async def _listen(self, child: Child) -> None:
        """Wait for the line that says that the process serves, or for its end."""
        output = child.process.stdout if child.process else None
        if output is not None and await output.readline() == b"ready\n":
            child.ready.set()
            self._report(child.role, "serves", {"pid": child.process.pid if child.process else 0})

    async def stop(self) -> None:
        """Stop users' side first, so that what was begun is finished; then the roles behind it."""
        self._stopping = True
        for child in reversed(self._children):
            process = child.process
            if process is not None and process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
                try:
                    await asyncio.wait_for(process.wait(), _STOP_WITHIN)
                except TimeoutError:
                    self._report(child.role, "did not stop in time and was killed", {})
                    process.kill()
                    await process.wait()
            if child.watch is not None:
                child.watch.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await child.watch
        self._release()

    def _release(self) -> None:
        """Give back every socket and the lock."""
        for child in self._children:
            child.listener.close()
        for role in ("keyholder", "ca"):
            self._deployment.socket_path(role).unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def pids(self) -> dict[str, int]:
        """Return the process of each role that runs now."""
        return {child.role: child.process.pid for child in self._children if child.process is not None}


async def serve(deployment: Deployment, report: Report, started: Callable[[], None]) -> None:
    """Run a deployment until SIGTERM or SIGINT. Raises ConfigurationError if it cannot start."""
    supervisor = Supervisor(deployment, report)
    supervisor.bind()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await supervisor.start()
    started()
    await stop.wait()
    report("supervisor", "stopping", {})
    await supervisor.stop()


def _lock(deployment: Deployment) -> int:
    """Make sure that no second supervisor serves the same directory."""
    import fcntl  # noqa: PLC0415 - POSIX only, as is everything that serves

    run = Path(deployment.settings.directories.run)
    make_private_directory(run)
    descriptor = os.open(run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise ConfigurationError(
            f"{deployment.directory} is being served already", hint="stop the other `sealwright serve` first"
        ) from None
    return descriptor


def _refuse_shared(run: Path) -> None:
    """Refuse a directory of sockets that others could put theirs into; with a long path it lies in /tmp."""
    status = run.stat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise ConfigurationError(
            f"the directory {run} for the sockets between processes belongs to others, or they can write to it",
            hint="remove it, or set directories.run in deployment.toml to a private directory with a short path",
        )


def _bind_unix(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)  # the lock is ours: whoever made it is gone
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(_BACKLOG)
    return listener


def _bind_tcp(host: str, port: int, setting: str) -> socket.socket:
    listener: socket.socket | None = None
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        if listener is not None:
            listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f"port {port} of {host} is taken by another program",
                hint=f"stop that program, or set listen.{setting} in deployment.toml",
            ) from None
        reason = error.strerror or str(error)
        hint = "see [listen] in deployment.toml"
        raise ConfigurationError(f"cannot listen on {host}:{port}: {reason}", hint=hint) from None
    listener.listen(_BACKLOG)
    return listener
