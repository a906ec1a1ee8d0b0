"""One way to express a signature, one file: a module in this folder is a scheme, found by its presence.

Each module has a constant `SCHEME`. Only the module that is asked for is imported.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, cast

from sealwright.domain.errors import UnsupportedError

if TYPE_CHECKING:
    from sealwright.contracts import Scheme


def names() -> tuple[str, ...]:
    """Return the names of all schemes in alphabetical order."""
    return tuple(sorted(module.name for module in iter_modules(__path__)))


def scheme(name: str) -> "Scheme":
    """Find a scheme by its name. Raises UnsupportedError, which lists those that exist."""
    known = names()
    if name not in known:
        raise UnsupportedError(f"there is no scheme {name!r}", hint=f"known schemes: {', '.join(known)}")
    return cast("Scheme", import_module(f"{__name__}.{name}").SCHEME)
