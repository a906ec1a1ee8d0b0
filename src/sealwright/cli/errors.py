"""Errors in words for people, or as JSON for programs."""

import json
from typing import Final

import click

from sealwright.domain.errors import SealwrightError

DEBUG: Final = "SEALWRIGHT_DEBUG"
"""The environment variable that lets unexpected errors show their traceback."""


def describe(error: SealwrightError) -> dict[str, str]:
    """Return an error as it stands in JSON: code, detail, and the hint if there is one."""
    described = {"code": error.code, "detail": error.detail}
    return {**described, "hint": error.hint} if error.hint else described


def present(error: SealwrightError, *, as_json: bool, subject: str = "") -> None:
    """Tell of an error: two lines on stderr, the first one with what it is about; or an object on stdout."""
    if as_json:
        click.echo(json.dumps({"error": describe(error)}, ensure_ascii=False, indent=2))
        return
    click.echo(f"error: {f'{subject}: ' if subject else ''}{error.detail}", err=True)
    if error.hint:
        click.echo(f"hint: {error.hint}", err=True)


def present_unexpected(error: Exception, *, as_json: bool) -> None:
    """Tell of an error that should not have happened, in one line."""
    detail = f"internal error: {type(error).__name__}: {error}".replace("\n", " ")
    hint = f"set {DEBUG}=1 to see the traceback, and please report it"
    if as_json:
        click.echo(json.dumps({"error": {"code": "internal", "detail": detail, "hint": hint}}, indent=2))
    else:
        click.echo(f"{detail} ({hint})", err=True)
