"""`sealwright ledger`: prove a deployment's logs again."""

import json
import sys
from pathlib import Path

import click


@click.group("ledger")
def command() -> None:
    """Work with the ledger of a deployment."""


@command.command("verify")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON on standard output.")
def verify(directory: Path, *, as_json: bool) -> None:
    """Hash every entry of every log in DIRECTORY again, and compare with checkpoints and witness.

    Intents without an outcome are listed: whether a signature was made is not known, so they count as used.
    Exit code 1 if a log does not hold.
    """
    from sealwright.servers.audit import audit  # noqa: PLC0415 - slow to import
    from sealwright.servers.deployment import Deployment  # noqa: PLC0415 - slow to import

    shown = sys.stderr.isatty() and not as_json

    def progress(role: str, done: int, size: int) -> None:
        if shown and size:
            click.echo(f"\r{role}: {done:,} of {size:,} entries", err=True, nl=done == size)

    result = audit(Deployment.load(directory), progress)
    tally = result.tally
    if as_json:
        document = {
            "holds": result.holds,
            "logs": [
                {"role": log.role, "origin": log.origin, "size": log.size, "root": log.root, "error": log.error}
                for log in result.logs
            ],
            "intents": tally.intents,
            "completed": tally.completed,
            "failed": tally.failed,
            "signatures": tally.signatures,
            "open_intents": [
                {"index": i.index, "time": i.time, "principal": i.principal, "key": i.key, "count": i.count}
                for i in result.open_intents
            ],
            "uses": result.uses,
        }
        click.echo(json.dumps(document, indent=2))
    else:
        for log in result.logs:
            mark = click.style("✗", fg="red") if log.error else click.style("✓", fg="green")
            click.echo(f"{mark} {log.role:<10} {log.size:>9,} entries  {log.error or log.root}")
        click.echo(
            f"  {tally.intents:,} intents: {tally.completed:,} completed with {tally.signatures:,} signatures, "
            f"{tally.failed:,} failed, {len(tally.open):,} without an outcome"
        )
        for intent in result.open_intents:
            click.echo(
                f"  ! intent {intent.index} of {intent.time} by {intent.principal} with {intent.key!r}: "
                f"no outcome; its {intent.count} signature(s) count as used"
            )
    sys.exit(0 if result.holds else 1)
