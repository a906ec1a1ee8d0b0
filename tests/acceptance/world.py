"""What the acceptance tests share: real deployments, their front door, and ways to look behind it."""

import http.client
import json
import os
import secrets
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import psutil
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sealwright.cli.operate.demo import default_program
from sealwright.cli.use.administration import open_administrator
from sealwright.cli.use.session import load_request_key
from sealwright.client.service import SigningService
from sealwright.client.transport import HTTPSExchange, Identity, Patience, Transport
from sealwright.domain.actions import AnyAction
from sealwright.domain.events import AnyEvent, decode_event
from sealwright.domain.messages import AdminAnswer, Artifact, SigningRequestBody
from sealwright.servers.deployment import Deployment
from sealwright.servers.embedded import free_ports, running
from sealwright.servers.initialise import Initialiser
from sealwright.servers.plan import Plan
from sealwright.settings import ClientSettings, load_client
from sealwright.storage.migrations import METADATA
from sealwright.storage.role_log import LogReader
from sealwright.structures.http_signatures import PrivateKey, sign_request, signer

PROGRAM = default_program()
"""A real Windows executable, of about 100 kB."""

ROLES = ("keyholder", "ca", "tsa", "signing")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back over HTTP; names of fields are in lower case."""

    status: int
    fields: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The body as JSON."""
        document: dict[str, Any] = json.loads(self.body)
        return document


@dataclass(frozen=True, slots=True)
class House:
    """A deployment that `init` has made; most of what is here needs it to run."""

    directory: Path
    log: Path = field(default=Path())

    @property
    def settings(self) -> ClientSettings:
        return load_client(self.directory / "client.toml")

    @property
    def deployment(self) -> Deployment:
        return Deployment.load(self.directory)

    @property
    def authority(self) -> str:
        return urlsplit(self.settings.server).netloc

    @property
    def workload_key(self) -> PrivateKey:
        return load_request_key(self.settings.need_path("workload_key"))

    @property
    def operator_key(self) -> PrivateKey:
        return load_request_key(self.settings.need_path("administrator_key"))

    def ask(self, method: str, path: str, body: bytes = b"", fields: Mapping[str, str] | None = None) -> Answer:
        """Make one HTTP exchange with the service, exactly as it is told."""
        context = ssl.create_default_context(cafile=str(self.settings.need_path("tls_ca")))
        place = urlsplit(self.settings.server)
        connection = http.client.HTTPSConnection(place.hostname or "", place.port, timeout=60, context=context)
        try:
            connection.request(method, path, body or None, dict(fields or {}))
            response = connection.getresponse()
            content = response.read()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, content)
        finally:
            connection.close()

    def service(self, patience: Patience | None = None) -> SigningService:
        """Return the SDK's service as the workload of the command line."""
        settings = self.settings
        algorithm, sign = signer(self.workload_key)
        who = Identity(settings.workload, algorithm, sign)
        return SigningService(
            Transport(settings.server, HTTPSExchange(settings.server, settings.tls_ca), who, patience=patience)
        )

    def carry_out(self, action: AnyAction) -> AdminAnswer:
        """Have an act carried out that the operator signs."""
        return open_administrator(self.settings).carry_out(action)

    def run(self, *arguments: str | Path, within: float = 120) -> "subprocess.CompletedProcess[bytes]":
        """Run the command line as a client of this deployment."""
        return sealwright(*arguments, config=self.directory / "client.toml", within=within)

    def events(self, role: str = "signing") -> list[AnyEvent]:
        """Read a role's log."""
        return [decode_event(entry) for entry in self.entries(role)]

    def entries(self, role: str = "signing") -> list[bytes]:
        """Read the entries of a role's log as they are stored."""
        engine = self.deployment.reader(role)
        try:
            reader = LogReader(engine, METADATA[role])
            return [entry for _, entry, _ in reader.entries(0, reader.head().size)]
        finally:
            engine.dispose()

    def audit(self) -> dict[str, Any]:
        """Run `sealwright ledger verify --json`; it must hold."""
        done = sealwright("ledger", "verify", self.directory, "--json")
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def pids(self) -> dict[str, int]:
        """Return the process of each role, from the newest lines of the supervisor's log."""
        found: dict[str, int] = {}
        for line in self.log.read_text("utf-8", "replace").splitlines():
            with_pid = line.startswith("{") and '"serves"' in line
            row = json.loads(line) if with_pid else {}
            if "process" in row and "pid" in row:
                found[row["process"]] = row["pid"]
        return found

    def settled(self, before: int, role: str, within: float = 30) -> None:
        """Wait until a role has another process than `before`, and the service says that it is ready."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            if self.pids().get(role) not in {None, before} and self.ask("GET", "/readyz").status == 200:
                return
            time.sleep(0.05)
        raise AssertionError(f"the {role} process did not come back:\n{self.log.read_text()[-2000:]}")


def sealwright(
    *arguments: str | Path, config: Path | None = None, within: float = 120, cwd: Path | None = None
) -> "subprocess.CompletedProcess[bytes]":
    """Run the command line in a process of its own."""
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    environment.pop("SEALWRIGHT_CONFIG", None)
    if config is not None:
        environment["SEALWRIGHT_CONFIG"] = str(config)
    command = [sys.executable, "-m", "sealwright", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, timeout=within, env=environment, cwd=cwd)


def some_ports() -> int:
    """Return two neighbouring free ports; those of another test process are unlikely to be the same."""
    return free_ports(20_000 + 2 * secrets.randbelow(5_000))


def make(directory: Path) -> House:
    """Make a deployment whose first key is P-256."""
    plan = Plan(directory, url=f"https://localhost:{some_ports()}", key_algorithm="p-256")
    Initialiser(plan, lambda _what: None).run()
    return House(directory, directory / "serve.log")


@contextmanager
def serving(directory: Path) -> Iterator[House]:
    """Make a deployment and run it for as long as the block lasts."""
    house = make(directory)
    with running(directory):
        yield house


def body_of(digests: Sequence[bytes], **changed: Any) -> bytes:  # noqa: ANN401 - any field of the request
    """Return the body of a signing request."""
    request = SigningRequestBody(
        key=changed.get("key", "default"),
        scheme=changed.get("scheme", "authenticode"),
        digest_algorithm=changed.get("digest_algorithm", "sha256"),
        artifacts=[Artifact(digest.hex()) for digest in digests],
        parameters=changed.get("parameters", {}),
        input=changed.get("input", "digest"),
    )
    return msgspec.json.encode(request)


def fields_of(
    house: House,
    body: bytes,
    *,
    method: str = "POST",
    path: str = "/v1/signing-requests",
    principal: str = "cli",
    key: PrivateKey | None = None,
    idempotency_key: str | None = None,
    created: int | None = None,
) -> dict[str, str]:
    """Return the fields with which a principal signs a request."""
    algorithm, sign = signer(key or house.workload_key)
    name = "" if method == "GET" else idempotency_key or secrets.token_hex(16)
    when = int(time.time()) if created is None else created
    return sign_request(method, house.authority, path, "", body, name, principal, when, sign, algorithm)


def new_key() -> EllipticCurvePrivateKey:
    return generate_private_key(SECP256R1())


def spki(key: EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


def tree(process: int) -> list[psutil.Process]:
    """Return a process and all that it started."""
    parent = psutil.Process(process)
    return [parent, *parent.children(recursive=True)]


def folder_state(folder: Path) -> dict[str, str]:
    """Return every file below a folder with its SHA-256."""
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
