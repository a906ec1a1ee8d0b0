"""`deployment.toml`: what the processes of one deployment share. Decisions about keys are not here.

Who must approve, dual control, principals and policies stand in the key holder's own records, changed by signed
administrative requests only; whoever can write this file decides about addresses and places, not about keys.
"""

from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta, Struct, field
from msgspec.structs import astuple, replace

from sealwright.domain.errors import ConfigurationError
from sealwright.domain.keys import is_name
from sealwright.settings.files import check_address, read_toml, to_values, write_toml

DEPLOYMENT_FILE: Final = "deployment.toml"
VERSION: Final = 1

_DATABASES: Final = ("postgresql+psycopg://", "sqlite:///")

Port = Annotated[int, Meta(ge=1, le=65_535)]

_HEADER = "A Sealwright deployment. Relative paths are taken from this file's directory."
_COMMENTS = {
    "version": "the shape of this file",
    "url": "how clients reach the service: it stands in what they sign, and cannot change without them",
    "plain_url": "plain HTTP for /tsa, CRLs and CA certificates: it stands in certificates",
    "log_origin": "the name of the log in its checkpoints (C2SP tlog-checkpoint): it never changes",
    "subscriber": "the subscriber that `sealwright init` made",
    "tolerance_seconds": "how old a signed request may be, and how far its clock ahead",
    "key_stores": "one key store for each process that holds keys",
    "databases": "where a role's database is, if not the SQLite file in its directory",
    "directories": "one directory for each role; `run` holds the sockets between processes",
}


class Listen(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the user-facing process listens: host or address, TLS port, plain HTTP port."""

    host: str = "127.0.0.1"
    port: Port = 8443
    plain_port: Port = 8080


class Directories(Struct, frozen=True, forbid_unknown_fields=True):
    """Where each role keeps its database and files; absolute once the settings are loaded."""

    signing: Path = Path("signing")
    keyholder: Path = Path("keyholder")
    ca: Path = Path("ca")
    tsa: Path = Path("tsa")
    tls: Path = Path("tls")
    public: Path = Path("public")
    run: Path = Path("run")


class KeyStores(Struct, frozen=True, forbid_unknown_fields=True):
    """The URI of each role's key store; relative paths in it are taken from the deployment's directory."""

    keyholder: str
    ca: str
    tsa: str


class Databases(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The URL of each role's database where it is not the SQLite file in the role's directory.

    `postgresql+psycopg://USER@HOST/DATABASE`: each role has a database and a user of its own.
    """

    signing: str = ""
    keyholder: str = ""
    ca: str = ""
    tsa: str = ""


class DeploymentSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One deployment. `tolerance_seconds` bounds the age of a signed request; `log_origin` names the log."""

    version: int = VERSION
    url: str
    plain_url: str
    log_origin: str
    subscriber: str
    tolerance_seconds: Annotated[int, Meta(ge=1, le=600)] = 300
    listen: Listen = field(default_factory=Listen)
    key_stores: KeyStores
    directories: Directories = field(default_factory=Directories)
    databases: Databases = field(default_factory=Databases)


def load_deployment(directory: Path) -> DeploymentSettings:
    """Read a deployment's settings, or raise ConfigurationError with the file, the key and what to do."""
    path = directory / DEPLOYMENT_FILE
    settings = read_toml(path, DeploymentSettings, f"make a deployment first: sealwright init {directory}")
    base = path.absolute().parent
    _check(settings, path)
    names = Directories.__struct_fields__
    directories = Directories(*(base / getattr(settings.directories, name) for name in names))
    return replace(settings, directories=directories)


def save_deployment(settings: DeploymentSettings, directory: Path) -> Path:
    """Write a deployment's settings (0600) and return the file; raises ConfigurationError."""
    path = directory / DEPLOYMENT_FILE
    _check(settings, path)
    write_toml(path, to_values(settings), header=_HEADER, comments=_COMMENTS)
    return path


def _check(settings: DeploymentSettings, path: Path) -> None:
    """Refuse values that no type can."""
    if settings.version != VERSION:
        raise ConfigurationError(
            f"{path}: version = {settings.version} is not the {VERSION} that this program knows",
            hint="use the version of sealwright that made the deployment, or a newer one and `sealwright migrate`",
        )
    check_address(path, "url", settings.url)
    check_address(path, "plain_url", settings.plain_url, ("http",))
    if not is_name(settings.subscriber):
        raise ConfigurationError(f"{path}: subscriber = {settings.subscriber!r} is no name")
    if not settings.log_origin or any(character.isspace() or character == "+" for character in settings.log_origin):
        raise ConfigurationError(
            f"{path}: log_origin = {settings.log_origin!r} cannot name a log",
            hint="a log is named like an address without its scheme: sign.example.org/log",
        )
    addresses = [address for address in astuple(settings.databases) if address]
    for address in addresses:
        if not address.startswith(_DATABASES):
            raise ConfigurationError(
                f"{path}: a database's address begins with {' or '.join(_DATABASES)}",
                hint="[databases] names a role's database like postgresql+psycopg://USER@HOST/DATABASE",
            )
    if len(set(addresses)) != len(addresses):
        raise ConfigurationError(f"{path}: two roles have the same database", hint="give each role one of its own")
    if settings.listen.port == settings.listen.plain_port:
        raise ConfigurationError(f"{path}: listen.port and listen.plain_port are the same")
