"""Runs an embedded deployment beside another program, as the demonstration, tests and benchmarks do."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sealwright.domain.errors import ConfigurationError
from sealwright.servers.deployment import Deployment

_READY_WITHIN = 60.0
_STOP_WITHIN = 60.0


@dataclass(slots=True)
class Running:
    """A supervisor that runs as a child process; its log is a file in the deployment."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def stop(self) -> None:
        """Stop it gracefully, and the hard way if that takes too long."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_ports(first: int = 8443) -> int:
    """Return a port that is free together with the one above it, `first` if possible."""
    candidates: list[int] = [first, *range(18_443, 18_643, 2)]
    for port in candidates:
        with contextlib.suppress(OSError), socket.socket() as one, socket.socket() as two:
            for listener, number in ((one, port), (two, port + 1)):
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(("127.0.0.1", number))
            return port
    raise ConfigurationError("no two neighbouring ports are free", hint="stop a program that listens on many ports")


def start(directory: Path, *, own_group: bool = False) -> Running:
    """Start `sealwright serve` and return when it is ready. Raises ConfigurationError with its last words."""
    deployment = Deployment.load(directory)
    log = deployment.directory / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - this very program
            [sys.executable, "-m", "sealwright", "serve", str(deployment.directory)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=own_group,
        )
    running = Running(process, log)
    before = time.monotonic()
    while time.monotonic() - before < _READY_WITHIN:
        if process.poll() is not None:
            break
        if _says_ready(log):
            return running
        time.sleep(0.02)
    running.stop()
    last = log.read_text("utf-8", "replace").strip().splitlines()[-3:]
    raise ConfigurationError("the deployment did not start", hint="\n".join(last))


def _says_ready(log: Path) -> bool:
    return b"Sealwright serves " in log.read_bytes()


@contextlib.contextmanager
def running(directory: Path) -> Iterator[Running]:
    """Run a deployment for as long as the block lasts."""
    process = start(directory)
    try:
        yield process
    finally:
        process.stop()
