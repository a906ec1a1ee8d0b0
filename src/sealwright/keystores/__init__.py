"""Places where private keys live, one file for each, chosen by the scheme of a URI."""

import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Final, cast

from sealwright.contracts import KeyStore
from sealwright.domain.errors import ConfigurationError

# Extras of the package that bring what a key store's module imports.
_EXTRAS: Final = {"pkcs11": "pkcs11", "aws-kms": "aws", "azure-keyvault": "azure", "google-kms": "google"}
_SCHEME: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")


def available() -> list[str]:
    """Return the schemes of the key stores that this version has, sorted."""
    return sorted(module.name.replace("_", "-") for module in iter_modules(__path__))


def check_scheme(uri: str) -> str:
    """Return the scheme of a key store's URI, or raise ConfigurationError if this version has no such key store."""
    scheme, colon, _ = uri.partition(":")
    if not colon or _SCHEME.fullmatch(scheme) is None or scheme not in available():
        raise ConfigurationError(
            f"no key store is called {scheme!r}", hint=f"available key stores: {', '.join(available())}"
        )
    return scheme


def open_key_store(uri: str, base: Path | None = None) -> KeyStore:
    """Open the key store that a URI such as `software:keys?passphrase-file=passphrase` names.

    Relative paths in the URI are taken from `base`, or from the working directory. Raises ConfigurationError if
    no key store has this scheme, its extra is not installed, or the URI does not suit it.
    """
    scheme = check_scheme(uri)
    try:
        module = import_module(f"{__name__}.{scheme.replace('-', '_')}")
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(scheme)
        if extra is None:
            raise
        raise ConfigurationError(
            f"the key store {scheme!r} needs the package {error.name!r}, which is not installed",
            hint=f"install sealwright[{extra}]",
        ) from error
    return cast("KeyStore", module.open_store(uri, base or Path()))
