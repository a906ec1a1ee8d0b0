"""Text for people: words from files of unknown origin made harmless, marks in colour, fields in columns."""

import sys
from collections.abc import Mapping
from typing import Any, Final

import click

_MARKS: Final[Mapping[str, tuple[str, str, str]]] = {
    "passed": ("✓", "ok", "green"),
    "failed": ("✗", "!!", "red"),
    "indeterminate": ("?", "?", "yellow"),
    "not-applicable": ("·", "-", "bright_black"),
}
_WIDTH = 14


def harmless(text: object) -> str:
    """Return a text without characters that steer a terminal or turn the direction of writing."""
    return "".join(
        letter if letter == " " or letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(text)
    )


def say(text: str = "") -> None:
    """Write a line; what the terminal's encoding lacks is replaced."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    click.echo(text.encode(encoding, "replace").decode(encoding))


def field(label: str, value: object, indent: int = 2) -> None:
    """Write a labelled value, unless there is none."""
    if value not in (None, "", [], ()):
        text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
        say(f"{' ' * indent}{label:<{_WIDTH}}{harmless(text)}")


def coloured(text: str, result: str) -> str:
    """Return a text in the colour of a result; click drops colours that do not go to a terminal."""
    return click.style(text, fg=_MARKS[result][2], bold=result in ("passed", "failed"))


def mark(result: str) -> str:
    """Return the sign of a result, two columns wide, in signs that the terminal can show."""
    fancy, plain, _ = _MARKS[result]
    try:
        fancy.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        fancy = plain
    return coloured(f"{fancy:<2}", result)


def certificate_fields(certificate: Mapping[str, Any], indent: int = 2) -> None:
    """Write what is worth knowing of a certificate."""
    field("subject", certificate["subject"], indent)
    field("issuer", certificate["issuer"], indent)
    field("serial", certificate["serial"], indent)
    field("sha256", certificate["sha256"], indent)
    field("valid", f"{certificate['not_before']} to {certificate['not_after']}", indent)
    field("key", certificate["key_algorithm"], indent)
    field("policies", certificate["policies"], indent)


def protection_fields(protection: Mapping[str, Any], indent: int = 2) -> None:
    """Write who states what of the key's protection."""
    lifetime = "" if protection["lifetime"] == "unknown" else f", {protection['lifetime']} key"
    said = [
        who
        for who, statement in (
            ("the certificate", protection["stated_by_certificate"] or protection["stated_by_policies"]),
            ("the signature", protection["stated_by_signature"]),
        )
        if statement
    ]
    by = f" (stated by {' and '.join(said)})" if said else " (nobody states it)"
    field("key kept in", f"{protection['model']}{lifetime}{by}", indent)


def error_lines(error: Mapping[str, Any]) -> None:
    """Write an error and its hint below the name of the file that it is about."""
    say(f"  {harmless(error['detail'])}")
    if error["hint"]:
        say(f"  hint: {harmless(error['hint'])}")
