"""`client.toml`: what a client needs to know of a service and of its own keys."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

from sealwright.domain.errors import ConfigurationError
from sealwright.domain.keys import is_name
from sealwright.settings.files import check_address, read_toml, to_values, write_toml

CLIENT_FILE: Final = "client.toml"
ENVIRONMENT: Final = "SEALWRIGHT_CONFIG"

_HEADER = "What a Sealwright client needs. Relative paths are taken from this file's directory."
_COMMENTS = {
    "server": "the signing service",
    "tls_ca": "PEM file of the authority behind the service's TLS certificate (left out: the system's own)",
    "tsa": "timestamp authorities, asked in this order",
    "roots": "PEM file of the roots that a verifier trusts",
    "crl": "a current CRL, or a folder of them",
    "key": "the signing key that is used if none is named",
    "workload": "who asks for signatures, and the private key that signs the requests",
    "administrator": "who signs administrative requests, and with which private key",
    "log_key": "verifier key of the service's log",
    "witness_key": "verifier key of the key holder, which cosigns the log's checkpoints",
    "subject": "the subject of certificates that `sealwright keys create` asks for (CN, O, C, L, ST)",
}


class ClientSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything may be left out: each command says what it needs (`need`, `need_path`)."""

    server: str = ""
    tls_ca: Path | None = None
    tsa: tuple[str, ...] = ()
    roots: Path | None = None
    crl: Path | None = None
    key: str = ""
    workload: str = ""
    workload_key: Path | None = None
    administrator: str = ""
    administrator_key: Path | None = None
    log_key: str = ""
    witness_key: str = ""
    subject: dict[str, str] = {}

    def need(self, name: str) -> str:
        """Return a setting that is a text, or raise ConfigurationError if it is not there."""
        value = getattr(self, name)
        if not isinstance(value, str) or not value:
            raise _missing(name)
        return value

    def need_path(self, name: str) -> Path:
        """Return a setting that is a path, or raise ConfigurationError if it is not there."""
        value = getattr(self, name)
        if not isinstance(value, Path):
            raise _missing(name)
        return value


def find_client_file(
    explicit: Path | None, environ: Mapping[str, str], working_directory: Path, home: Path, platform: str
) -> Path | None:
    """Find the settings: --config, SEALWRIGHT_CONFIG, the user's own; None if there are none.

    `platform` is `sys.platform`. A file that somebody named must exist: raises ConfigurationError. One that just
    lies in the working directory is not taken: it would let whoever wrote a checkout say which roots to trust.
    """
    for named, by in ((explicit, "--config"), (environ.get(ENVIRONMENT), ENVIRONMENT)):
        if named:
            path = working_directory / named
            if not path.is_file():
                raise ConfigurationError(f"{by} names {named}, and there is no such file")
            return path
    own = user_client_file(environ, home, platform)
    return own if own.is_file() else None


def user_client_file(environ: Mapping[str, str], home: Path, platform: str) -> Path:
    """Return where this user's settings stand: %APPDATA% on Windows, else the XDG configuration directory."""
    if platform == "win32":
        folder = Path(environ.get("APPDATA") or home / "AppData" / "Roaming")
    else:
        folder = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    return folder / "sealwright" / CLIENT_FILE


def load_client(path: Path) -> ClientSettings:
    """Read a client's settings, or raise ConfigurationError with the file, the key and what to do."""
    settings = read_toml(path, ClientSettings, "name a file with --config or SEALWRIGHT_CONFIG")
    _check(settings, path)
    return settings


def save_client(settings: ClientSettings, path: Path) -> None:
    """Write a client's settings (0600); raises ConfigurationError."""
    _check(settings, path)
    write_toml(path, to_values(settings), header=_HEADER, comments=_COMMENTS)


def _check(settings: ClientSettings, path: Path) -> None:
    """Refuse values that no type can."""
    if settings.server:
        check_address(path, "server", settings.server)
    for address in settings.tsa:
        check_address(path, "tsa", address, ("http", "https"))
    for name in ("key", "workload", "administrator"):
        value = getattr(settings, name)
        if value and not is_name(value):
            raise ConfigurationError(f"{path}: {name} = {value!r} is no name", hint="use 1 to 64 of a-z 0-9 . _ -")
    for name in ("workload", "administrator"):
        if bool(getattr(settings, name)) != bool(getattr(settings, f"{name}_key")):
            raise ConfigurationError(f"{path}: {name} and {name}_key belong together", hint="set both, or neither")


def _missing(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"no {name} is configured", hint=f"set {name} in client.toml, or name the file with --config"
    )
