"""`sealwright verify`: what can be proven of the signatures of files."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sealwright.cli.use.session import with_config, with_json

if TYPE_CHECKING:
    from sealwright.verification.trust import TrustStore


def _moment(_: click.Context, __: click.Parameter, value: str | None) -> datetime | None:
    """Read RFC 3339 with a zone."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter("write it as 2026-11-23T12:00:00Z") from None
    if moment.tzinfo is None:
        raise click.BadParameter("the zone is missing: write it as 2026-11-23T12:00:00Z or with +01:00")
    return moment.astimezone(UTC)


@click.command("verify")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--trust",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PEM",
    help="Trusted roots, and intermediates that help to find them; may be given again  [default: from client.toml]",
)
@click.option(
    "--crl",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Revocation lists (PEM or DER), or a folder of them; may be given again  [default: from client.toml]",
)
@click.option("--at", callback=_moment, metavar="TIME", help="Judge at this time (RFC 3339)  [default: now]")
@with_config
@with_json
def command(
    files: tuple[Path, ...],
    trust: tuple[Path, ...],
    crl: tuple[Path, ...],
    at: datetime | None,
    config: Path | None,
    *,
    as_json: bool,
) -> int:
    """Check the signatures of FILES, step by step.

    Exit code: 0 all passed, 1 one failed, 2 one is indeterminate or unreadable (and none failed).
    """
    from sealwright.client import verify  # noqa: PLC0415 - `--help` does not need it

    store = _trust(trust, crl, config)
    verified = []
    reports = []
    for one in verify.verify_each(files, store, at, lambda: datetime.now(UTC)):
        verified.append(one)
        if as_json:
            reports.append(one.as_json())
        else:
            _print(one.as_json())
    if as_json:
        import json  # noqa: PLC0415 - text does not need it

        click.echo(json.dumps({"files": reports}, indent=2))
    return verify.exit_code(verified)


def _trust(trust: tuple[Path, ...], crl: tuple[Path, ...], config: Path | None) -> "TrustStore":
    """Take what was named; what a client.toml names counts only where no roots were named."""
    from sealwright.client.verify import load_trust  # noqa: PLC0415 - `--help` does not need it

    if not trust:
        from sealwright.settings import find_client_file, load_client  # noqa: PLC0415 - not needed with --trust

        found = find_client_file(config, os.environ, Path.cwd(), Path.home(), sys.platform)
        settings = load_client(found) if found else None
        trust = (settings.roots,) if settings and settings.roots else ()
        crl = crl or ((settings.crl,) if settings and settings.crl else ())
    return load_trust(trust, crl)


def _print(report: dict[str, Any]) -> None:
    from sealwright.cli.use.printing import coloured, error_lines, harmless, say  # noqa: PLC0415 - only for text

    word = "unreadable" if report["sha256"] is None else report["verdict"]
    say(f"{harmless(report['path'])}: {coloured(word, report['verdict'])}")
    if "error" in report:
        error_lines(report["error"])
    for number, signature in enumerate(report["signatures"], 1):
        _print_signature(number, signature, alone=len(report["signatures"]) == 1)
    say()


def _print_signature(number: int, signature: dict[str, Any], *, alone: bool) -> None:
    from sealwright.cli.use.printing import (  # noqa: PLC0415 - only for text
        coloured,
        field,
        harmless,
        mark,
        protection_fields,
        say,
    )
    from sealwright.verification.checks import Step  # noqa: PLC0415 - only for text

    if not alone:
        nested = " (nested)" if signature["nested"] else ""
        say(f"  signature {number}{nested}: {coloured(signature['verdict'], signature['verdict'])}")
    if signature["certificate"]:
        field("publisher", signature["certificate"]["subject"])
        field("issued by", signature["certificate"]["issuer"])
    field("program", signature["program_name"])
    field("address", signature["program_url"])
    stamp = signature["timestamp"]
    field("timestamp", f"{stamp['time']} by {stamp['authority'] or 'an unnamed authority'}" if stamp else "none")
    if signature["key_protection"]:
        protection_fields(signature["key_protection"])
    titles = {step.number: step.title for step in Step}
    width = max(map(len, titles.values()))
    for check in signature["checks"]:
        title = titles[check["number"]]
        say(f"  {mark(check['result'])} {check['number']:>2}  {title:<{width}}  {harmless(check['detail'])}")
        if "hint" in check and check["result"] != "passed":
            say(f"{' ' * 9}{'':<{width}}  hint: {harmless(check['hint'])}")
    for warning in signature["warnings"]:
        say(f"  warning: {harmless(warning)}")
