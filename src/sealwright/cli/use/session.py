"""What the commands of publishers share: settings, the principal's request key, and the service behind them."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from sealwright.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from sealwright.client.service import SigningService
    from sealwright.client.transport import Identity
    from sealwright.settings import ClientSettings
    from sealwright.structures.http_signatures import PrivateKey

_F = TypeVar("_F", bound=Callable[..., object])


def with_config(function: _F) -> _F:
    """Add the option that names the settings."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        help="The client.toml to use  [default: $SEALWRIGHT_CONFIG, else the user's own]",
    )(function)


def with_json(function: _F) -> _F:
    """Add the option for answers that programs read."""
    return click.option("--json", "as_json", is_flag=True, help="Answer in JSON on standard output.")(function)


def open_settings(config: Path | None) -> "ClientSettings":
    """Find and read the client's settings. Raises ConfigurationError if there are none."""
    from sealwright.settings import find_client_file, load_client  # noqa: PLC0415 - `--help` does not need it

    found = find_client_file(config, os.environ, Path.cwd(), Path.home(), sys.platform)
    if found is None:
        raise ConfigurationError(
            "there is no client.toml: it tells which service to use, and who you are",
            hint="name one with --config or SEALWRIGHT_CONFIG; `sealwright demo --serve` makes a service to try",
        )
    return load_client(found)


def load_request_key(path: Path) -> "PrivateKey":
    """Read a private key that signs requests (PEM, P-256 or Ed25519). Raises ConfigurationError."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey  # noqa: PLC0415 - slow to import
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - the same
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - the same

    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise ConfigurationError(f"the request key {path} cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError):
        raise ConfigurationError(f"{path} is no private key in PEM without a passphrase") from None
    if not isinstance(key, EllipticCurvePrivateKey | Ed25519PrivateKey):
        raise ConfigurationError(f"{path} is of a kind that signs no requests", hint="use a P-256 or Ed25519 key")
    return key


def identity(settings: "ClientSettings") -> "Identity":
    """Return who signs requests: the workload, or the administrator where there is no workload."""
    from sealwright.client.transport import Identity  # noqa: PLC0415 - `--help` does not need it
    from sealwright.structures.http_signatures import signer  # noqa: PLC0415 - slow to import

    role = "workload" if settings.workload or not settings.administrator else "administrator"
    algorithm, sign = signer(load_request_key(settings.need_path(f"{role}_key")))
    return Identity(settings.need(role), algorithm, sign)


def open_service(settings: "ClientSettings", *, signed: bool = True) -> "SigningService":
    """Return the service named in the settings; `signed` requests are the workload's."""
    from sealwright.client.service import SigningService  # noqa: PLC0415 - `--help` does not need it
    from sealwright.client.transport import HTTPSExchange, Transport  # noqa: PLC0415 - the same

    server = settings.need("server")
    who = identity(settings) if signed else None
    return SigningService(Transport(server, HTTPSExchange(server, settings.tls_ca), who))
