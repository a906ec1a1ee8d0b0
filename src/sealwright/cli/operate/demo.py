"""`sealwright demo`: from an empty directory to a signed program and the proof of it, in one command."""

import json
import secrets
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealwright.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from sealwright.client.sign import Failed, Signed
    from sealwright.servers.embedded import Running

# A real Windows program that is on most machines anyway: the launchers that Python's packaging tools carry.
_LAUNCHERS = (("distlib", "t64.exe"), ("pip._vendor.distlib", "t64.exe"), ("setuptools", "cli-64.exe"))


@click.command("demo")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--dir", "directory", type=click.Path(path_type=Path), help="A new directory  [default: demo, demo-2 …]")
@click.option("--serve", is_flag=True, help="Keep the deployment running after the report, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Report in JSON, on one line.")
def command(files: tuple[Path, ...], directory: Path | None, *, serve: bool, as_json: bool) -> None:
    """Make a deployment, sign FILES with it (a Windows launcher if none is given), and show the proof.

    Exit code 0 if every file was signed and verified.
    """
    from sealwright.cli.operate.demo_report import Report, collect, print_report  # noqa: PLC0415 - slow to import
    from sealwright.servers.embedded import free_ports, start  # noqa: PLC0415 - slow to import
    from sealwright.servers.initialise import Initialiser  # noqa: PLC0415 - slow to import
    from sealwright.servers.plan import Plan  # noqa: PLC0415 - slow to import

    sources = list(files) or [default_program()]
    for source in sources:
        if not source.is_file():
            raise ConfigurationError(f"there is no file {source}")
    place = (directory or _new_directory()).absolute()
    _say("1/5", f"making a deployment in {place}")
    plan = Plan(place, url=f"https://localhost:{free_ports()}")
    Initialiser(plan, lambda what: _say("", what)).run()
    _say("2/5", "starting signing service, key holder, certification authority and timestamp authority")
    running = start(place)
    try:
        _say("3/5", f"signing {', '.join(source.name for source in sources)}")
        results = _sign(place, sources)
        _say("4/5", "verifying with our verifier and with osslsigncode")
        report: Report = collect(place, results)
        _say("5/5", "proving the ledger again")
        report.prove_ledger(place)
        if as_json:
            click.echo(json.dumps(report.as_json()))
        else:
            print_report(report, running=serve)
        sys.stdout.flush()
        if serve:
            _keep(running)
    finally:
        running.stop()
    sys.exit(0 if report.passed else 1)


def _say(step: str, what: str) -> None:
    click.echo(click.style(f"[{step}] ", bold=True) + what if step else f"      {what}", err=True)


def _new_directory() -> Path:
    candidates = (Path("demo"), *(Path(f"demo-{number}") for number in range(2, 1000)))
    return next(path for path in candidates if not path.exists())


def default_program() -> Path:
    """Find a real Windows program on this machine. Raises ConfigurationError if there is none."""
    for package, name in _LAUNCHERS:
        try:
            spec = find_spec(package)
        except ModuleNotFoundError:
            continue
        for folder in (spec.submodule_search_locations or []) if spec else []:
            path = Path(folder) / name
            if path.is_file():
                return path
    raise ConfigurationError("no Windows program was found on this machine", hint="name one: sealwright demo FILE")


def _sign(place: Path, sources: Sequence[Path]) -> "list[Signed | Failed]":
    from sealwright.cli.use.sign import open_signer  # noqa: PLC0415 - slow to import
    from sealwright.client.sign import Options, Task  # noqa: PLC0415 - slow to import
    from sealwright.settings import load_client  # noqa: PLC0415 - slow to import

    folder = place / "signed"
    folder.mkdir(exist_ok=True)
    settings = load_client(place / "client.toml")
    tasks = [Task(source, folder / name) for source, name in zip(sources, _names(sources), strict=True)]
    parameters = {"program_name": sources[0].stem} if len(sources) == 1 else {}
    options = Options(settings.key, secrets.token_hex(16), mode="append", parameters=parameters)
    return open_signer(settings).sign(tasks, options, None)


def _names(sources: Sequence[Path]) -> list[str]:
    """Return a name for each result; the same name from two folders gets a number."""
    names: list[str] = []
    for source in sources:
        name, number = source.name, 1
        while name in names:
            number += 1
            name = f"{number}-{source.name}"
        names.append(name)
    return names


def _keep(running: "Running") -> None:
    """Wait until somebody stops us, or the deployment ends by itself."""
    import contextlib  # noqa: PLC0415 - only here
    import signal  # noqa: PLC0415 - only here

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    with contextlib.suppress(KeyboardInterrupt):
        running.process.wait()
