"""Reading settings, and writing files whole or not at all."""

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from sealwright.domain.errors import ConfigurationError

T = TypeVar("T", bound=msgspec.Struct)
TomlValue = str | bool | int | Sequence[str]

_MAX_SIZE: Final = 1_048_576
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def atomic_write(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file beside its place and rename it there, so that readers see the old one or the new one.

    The data is on the disk when this returns. `mode` means nothing on Windows. Raises ConfigurationError.
    """
    beside = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(mode)
        beside.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error


def make_private_directory(path: Path) -> None:
    """Make a directory, and those above it that are missing, for their owner only (0700)."""
    try:
        for folder in (*reversed(path.parents), path):
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"the directory {path} cannot be made: {error.strerror}") from error


def read_toml(path: Path, kind: type[T], hint: str) -> T:
    """Read a file of settings into its record; relative paths in it are taken from the file's directory.

    `hint` says what to do if there is no such file. Raises ConfigurationError with the file and the key.
    """
    import tomllib  # noqa: PLC0415 - costs milliseconds that commands without settings need not pay

    try:
        with path.open("rb") as file:
            data = file.read(_MAX_SIZE + 1)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}", hint=hint) from error
    if len(data) > _MAX_SIZE:
        raise ConfigurationError(f"{path} is longer than {_MAX_SIZE} bytes")
    base = path.absolute().parent

    def resolve(wanted: type, value: object) -> object:
        if wanted is not Path or not isinstance(value, str) or not value or "\0" in value:
            raise ValueError("Expected a path")
        return base / value

    try:
        return msgspec.convert(tomllib.loads(data.decode()), kind, dec_hook=resolve)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}") from None
    except msgspec.ValidationError as error:
        known = ", ".join(field.encode_name for field in msgspec.structs.fields(kind))
        raise ConfigurationError(f"{path}: {error}", hint=f"known keys: {known}") from None


def write_toml(
    path: Path,
    values: Mapping[str, TomlValue | Mapping[str, TomlValue]],
    *,
    header: str = "",
    comments: Mapping[str, str] | None = None,
    mode: int = 0o600,
) -> None:
    """Write settings: texts, whole numbers, truth values, lists of texts, and one level of tables.

    `comments` stand above their keys (`key`, `table`, or `table.key`); `header` stands above all. Raises
    ConfigurationError.
    """
    try:
        data = _toml(values, header, comments or {}).encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"{path} cannot be written: a text in it is not Unicode") from None
    atomic_write(path, data, mode)


def to_values(settings: msgspec.Struct) -> dict[str, Any]:
    """Return a record's values as `write_toml` takes them; what is empty is left out."""
    values: dict[str, Any] = msgspec.to_builtins(settings, enc_hook=Path.as_posix)
    return {key: value for key, value in values.items() if value not in (None, "", [], (), {})}


def check_address(path: Path, key: str, value: str, schemes: Sequence[str] = ("https",)) -> None:
    """Refuse what is no address of a service (scheme, host, optional port and path), or ends in a slash."""
    if not _is_address(value, schemes):
        raise ConfigurationError(
            f"{path}: {key} = {value!r} is no address",
            hint=f"write {' or '.join(f'{scheme}://HOST[:PORT]' for scheme in schemes)}, without a slash at the end",
        )


def _is_address(value: str, schemes: Sequence[str]) -> bool:
    if not value.isascii() or not value.isprintable() or set(value) & set(' \\"?#@') or value.endswith("/"):
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _toml(values: Mapping[str, TomlValue | Mapping[str, TomlValue]], header: str, comments: Mapping[str, str]) -> str:
    """Return settings as TOML; tables come last, because all that follows a table's name belongs to it."""
    lines = [f"# {line}".rstrip() for line in header.splitlines()]
    tables: list[tuple[str, Mapping[str, TomlValue]]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            tables.append((key, value))
        else:
            lines += _lines(comments.get(key, ""), f"{_key(key)} = {_value(value)}")
    for table, members in tables:
        lines += ["", *_lines(comments.get(table, ""), f"[{_key(table)}]")]
        for key, value in members.items():
            lines += _lines(comments.get(f"{table}.{key}", ""), f"{_key(key)} = {_value(value)}")
    return "\n".join(lines) + "\n"


def _lines(comment: str, line: str) -> list[str]:
    return [*(f"# {part}".rstrip() for part in comment.splitlines()), line]


def _key(key: str) -> str:
    if _BARE_KEY.fullmatch(key) is None:
        raise ConfigurationError(f"{key!r} is no key of a settings file")
    return key


def _value(value: TomlValue) -> str:
    """Return a value in TOML (version 1.0.0): JSON's texts are TOML's, but for the character DEL."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"[{', '.join(_value(item) for item in value)}]"


def _sync_directory(directory: Path) -> None:
    """Make names durable, where directories can be synchronised."""
    if sys.platform != "win32":
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
