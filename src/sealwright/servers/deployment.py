"""A deployment on disk as its processes see it: settings, and where each role's files are."""

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir
from urllib.parse import quote, urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from sqlalchemy import Engine

from sealwright.domain.errors import ConfigurationError
from sealwright.settings import DeploymentSettings, atomic_write, load_deployment
from sealwright.storage.engine import open_engine, open_reader
from sealwright.structures.note import Verifier
from sealwright.structures.tlog import LogSigner

ROLES = ("keyholder", "ca", "tsa", "signing")
_LONGEST_SOCKET_PATH = 100
"""A Unix socket's path has at most 107 bytes (unix(7)); room is left for the name."""


def utc_now() -> datetime:
    """Read the system's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Deployment:
    """The directory that `sealwright init` made, and its settings."""

    directory: Path
    settings: DeploymentSettings

    @classmethod
    def load(cls, directory: Path) -> "Deployment":
        """Read the settings. Raises ConfigurationError."""
        absolute = directory.absolute()
        return cls(absolute, load_deployment(absolute))

    def role_directory(self, role: str) -> Path:
        """Return where a role keeps its database and files."""
        return Path(getattr(self.settings.directories, role))

    def database_url(self, role: str) -> str:
        """Return the address of a role's database: the one in the settings, else the SQLite file in its directory."""
        named: str = getattr(self.settings.databases, role)
        return named or f"sqlite:///{quote(str(self.role_directory(role) / f'{role}.db'))}"

    def engine(self, role: str) -> Engine:
        """Open a role's database for its own process."""
        return open_engine(self.database_url(role))

    def reader(self, role: str) -> Engine:
        """Open a role's database for reading beside the process that writes it."""
        return open_reader(self.database_url(role))

    def log_name(self, role: str) -> str:
        """Return the name of a role's log; the signing role's is the one that receipts speak of."""
        origin = self.settings.log_origin
        return origin if role == "signing" else f"{origin}/{role}"

    def log_signer(self, role: str) -> LogSigner:
        """Load the identity of a role's log."""
        key = load_ed25519(self.role_directory(role) / "log.key")
        return LogSigner(Verifier(self.log_name(role), public_bytes(key)), key.sign)

    def log_verifier(self, role: str) -> Verifier:
        """Return the public half of a role's log, as it was written down for the others."""
        return Verifier.decode((self.directory / "trust" / f"{role}.vkey").read_text("ascii"))

    def witness_verifier(self) -> Verifier:
        """Return the public half of the key holder's cosignatures."""
        return Verifier.decode((self.directory / "trust" / "witness.vkey").read_text("ascii"))

    def socket_path(self, role: str) -> Path:
        """Return the path of a role's socket, in the temporary directory if the deployment's own path is too long."""
        run = Path(self.settings.directories.run)
        # All sockets in one directory: whether the path is too long must not depend on the role's name.
        if max(len(str(run / f"{name}.sock")) for name in ROLES) > _LONGEST_SOCKET_PATH:
            name = sha256(str(self.directory).encode()).hexdigest()[:16]
            run = Path(gettempdir()) / f"sealwright-{name}"
        return run / f"{role}.sock"

    @property
    def authority(self) -> str:
        """Host and port as they stand in clients' signed requests."""
        return urlsplit(self.settings.url).netloc.lower()


def load_ed25519(path: Path) -> Ed25519PrivateKey:
    """Load an Ed25519 key from PEM. Raises ConfigurationError."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} holds no key: {error}", hint="`sealwright doctor` tells more") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(f"{path} holds another kind of key than Ed25519")
    return key


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """Return the 32 bytes of the public key."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def new_ed25519(path: Path) -> bytes:
    """Make an Ed25519 key in a file of mode 0600, unless there is one, and return its public bytes."""
    if not path.exists():
        key = Ed25519PrivateKey.generate()
        atomic_write(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return public_bytes(load_ed25519(path))
