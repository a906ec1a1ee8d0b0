"""`sealwright doctor`: check a deployment and say what to do."""

import json
import sys
from pathlib import Path

import click

_MARKS = {"ok": ("✓", "green"), "note": ("·", "cyan"), "warning": ("!", "yellow"), "fault": ("✗", "red")}


@click.command("doctor")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON on standard output.")
def command(directory: Path, *, as_json: bool) -> None:
    """Look at the deployment in DIRECTORY, whether it runs or not. Exit code 1 if there is a fault."""
    from sealwright.servers.checks import FAULT, examine  # noqa: PLC0415 - slow to import
    from sealwright.servers.deployment import Deployment  # noqa: PLC0415 - slow to import

    findings = list(examine(Deployment.load(directory)))
    faults = sum(finding.level == FAULT for finding in findings)
    if as_json:
        rows = [{"level": f.level, "what": f.what, "advice": f.advice} for f in findings]
        click.echo(json.dumps({"findings": rows, "faults": faults}, indent=2))
    else:
        for finding in findings:
            mark, colour = _MARKS[finding.level]
            click.echo(f"{click.style(mark, fg=colour)} {finding.what}")
            if finding.advice:
                click.echo(f"    {finding.advice}")
        click.echo(f"{faults} fault{'' if faults == 1 else 's'}" if faults else "no faults")
    sys.exit(1 if faults else 0)
