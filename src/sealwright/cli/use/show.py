"""`sealwright show`: what the signatures of files say, without judging it."""

from pathlib import Path
from typing import Any

import click

from sealwright.cli.use.session import with_json

UNREADABLE = 2


@click.command("show")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@with_json
def command(files: tuple[Path, ...], *, as_json: bool) -> int:
    """Show what the signatures of FILES say: nothing of it is checked.

    Exit code: 0, or 2 if a file cannot be read.
    """
    from sealwright.client.verify import show_path  # noqa: PLC0415 - `--help` does not need it

    shown = [show_path(path) for path in files]
    if as_json:
        import json  # noqa: PLC0415 - text does not need it

        click.echo(json.dumps({"files": shown}, indent=2))
    else:
        for one in shown:
            _print(one)
    return UNREADABLE if any("error" in one for one in shown) else 0


def _print(shown: dict[str, Any]) -> None:
    from sealwright.cli.use.printing import error_lines, field, harmless, say  # noqa: PLC0415 - only for text

    say(harmless(shown["path"]))
    if "error" in shown:
        error_lines(shown["error"])
        say()
        return
    field("format", shown["format"])
    field("sha256", shown["sha256"])
    field("size", f"{shown['size']:,} bytes")
    field("signatures", "none" if not shown["signatures"] else len(shown["signatures"]))
    for number, signature in enumerate(shown["signatures"], 1):
        say(f"  signature {number}{' (nested)' if signature['nested'] else ''}, as stated, not checked:")
        _print_signature(signature)
    say()


def _print_signature(signature: dict[str, Any]) -> None:
    from sealwright.cli.use.printing import (  # noqa: PLC0415 - only for text
        certificate_fields,
        error_lines,
        field,
        harmless,
        protection_fields,
        say,
    )

    if "error" in signature:
        error_lines(signature["error"])
        return
    if signature["digest"]:
        field("digest", f"{signature['digest_algorithm']} {signature['digest']}", 4)
    field("program", signature["program_name"], 4)
    field("address", signature["program_url"], 4)
    protection_fields(signature["key_protection"], 4)
    if signature["certificate"]:
        certificate_fields(signature["certificate"], 4)
    signer = (signature["certificate"] or {}).get("sha256")
    others = [one["subject"] for one in signature["certificates"] if one["sha256"] != signer]
    for subject in others:
        field("with it", subject, 4)
    for stamp in signature["timestamps"]:
        if "error" in stamp:
            field("timestamp", f"cannot be read: {stamp['error']['detail']}", 4)
            continue
        field("timestamp", stamp["time"], 4)
        field("authority", stamp["authority"], 6)
        field("token policy", stamp["token_policy"], 6)
        field("its policies", stamp["certificate_policies"], 6)
    for complaint in signature["unreadable"]:
        say(f"    cannot be read: {harmless(complaint)}")
