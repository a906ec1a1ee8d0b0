"""The deployment that is measured: a real one, all of its processes on the server's core."""

import contextlib
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psutil

from benchmarks.cores import Cores
from benchmarks.load import Target
from sealwright.cli.use.session import load_request_key
from sealwright.client.receipts import LogKeys
from sealwright.servers.embedded import free_ports, running
from sealwright.servers.initialise import Initialiser
from sealwright.servers.plan import Plan
from sealwright.settings import ClientSettings, load_client
from sealwright.structures.http_signatures import PrivateKey

SEALWRIGHT: Final = (sys.executable, "-m", "sealwright")

_ROLE = 3  # python -m sealwright.servers.process ROLE …

P256, RSA, EPHEMERAL = "default", "rsa", "ephemeral"


@dataclass(frozen=True, slots=True)
class Measured:
    """A running deployment, and what a client of it needs."""

    directory: Path
    client: ClientSettings
    workload_key: PrivateKey
    log_keys: LogKeys
    supervisor: psutil.Process

    def processor_seconds(self) -> dict[str, float]:
        """Return how much processor time the process of each role has taken so far."""
        taken: dict[str, float] = {}
        for child in self.supervisor.children():
            times = child.cpu_times()
            taken[child.cmdline()[_ROLE]] = times.user + times.system
        return taken

    @property
    def service(self) -> Target:
        """The signing service over TLS."""
        parts = urlsplit(self.client.server)
        context = ssl.create_default_context(cafile=str(self.client.need_path("tls_ca")))
        return Target(parts.hostname or "localhost", parts.port or 443, context)

    @property
    def timestamps(self) -> Target:
        """The timestamp authority over plain HTTP."""
        parts = urlsplit(self.client.tsa[0])
        return Target(parts.hostname or "localhost", parts.port or 80)

    @property
    def authority(self) -> str:
        """Host and port as requests name them."""
        return urlsplit(self.client.server).netloc

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which `sealwright` uses this deployment."""
        return {**os.environ, "SEALWRIGHT_CONFIG": str(self.directory / "client.toml")}

    def run(self, *arguments: str) -> None:
        """Run a `sealwright` command against the deployment."""
        call([*SEALWRIGHT, *arguments], self.environment)


def call(command: Sequence[str], environment: dict[str, str] | None = None) -> None:
    """Run a program; what it says is shown only if it fails."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


@contextlib.contextmanager
def measured_deployment(place: Path, cores: Cores) -> Iterator[Measured]:
    """Make and run a deployment with a P-256, an RSA-3072 and an ephemeral key."""
    directory = place / "deployment"
    Initialiser(Plan(directory, url=f"https://localhost:{free_ports()}", key_algorithm="p-256"), lambda _: None).run()
    client = load_client(directory / "client.toml")
    keys = LogKeys.decode(client.log_key, client.witness_key)
    with contextlib.ExitStack() as stack:
        with cores.on_server():
            supervisor = psutil.Process(stack.enter_context(running(directory)).process.pid)
        workload_key = load_request_key(client.need_path("workload_key"))
        measured = Measured(directory, client, workload_key, keys, supervisor)
        measured.run("keys", "create", RSA, "--algorithm", "rsa-3072")
        measured.run("keys", "create", EPHEMERAL, "--lifetime", "ephemeral")
        yield measured
