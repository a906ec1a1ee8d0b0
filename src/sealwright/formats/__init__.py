"""One kind of file that carries a signature, one file: a module in this folder is a format, found by its presence.

Each module has a constant `FORMAT`. A format names its scheme by text; formats do not know one another.
"""

from importlib import import_module
from pathlib import PurePath
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Final, cast

from sealwright.domain.errors import MalformedError, UnsupportedError

if TYPE_CHECKING:
    from sealwright.contracts import Format

HEAD_SIZE: Final = 4096
"""How many of a file's first bytes `recognise` wants to see."""


def names() -> tuple[str, ...]:
    """Return the names of all formats in alphabetical order."""
    return tuple(sorted(module.name for module in iter_modules(__path__)))


def by_name(name: str) -> "Format":
    """Find a format by its name. Raises UnsupportedError, which lists those that exist."""
    known = names()
    if name not in known:
        raise UnsupportedError(f"there is no format {name!r}", hint=f"known formats: {', '.join(known)}")
    return cast("Format", import_module(f"{__name__}.{name}").FORMAT)


def all_formats() -> tuple["Format", ...]:
    """Return every format in alphabetical order."""
    return tuple(by_name(name) for name in names())


def recognise(head: bytes, filename: str = "") -> "Format":
    """Tell a file's format from its first bytes; its name only helps to explain a refusal.

    Raises MalformedError for an empty file or one whose content belies its suffix, else UnsupportedError.
    """
    if not head:
        raise MalformedError("the file is empty")
    known = all_formats()
    for candidate in known:
        if candidate.recognises(head):
            return candidate
    suffix = PurePath(filename).suffix.lower()
    for candidate in known:
        if suffix in candidate.suffixes:
            raise MalformedError(
                f"the file is named like a {candidate.title}, but its content is none",
                hint="it may be truncated or damaged: build or download it again",
            )
    raise UnsupportedError(
        "the file is of no format that can be signed here",
        hint=f"known formats: {', '.join(f'{item.name} ({item.title})' for item in known)}",
    )
