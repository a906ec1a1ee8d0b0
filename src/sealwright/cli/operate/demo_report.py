"""What `sealwright demo` shows at the end: for people, and as JSON."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from sealwright.cli.use.session import open_service
from sealwright.client.sign import Failed, Signed
from sealwright.client.verify import load_trust, verify_path
from sealwright.domain.keys import SOFTWARE_WARNING
from sealwright.settings import ClientSettings, load_client

_WIDTH = 22
_OSSLSIGNCODE_WITHIN = 60


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file: how it was signed, what our verifier's JSON says of it, and what osslsigncode says."""

    result: Signed | Failed
    verified: dict[str, Any]
    verdict: str
    osslsigncode: str


@dataclass(slots=True)
class Report:
    """The whole demonstration."""

    directory: Path
    settings: ClientSettings
    files: list[FileReport]
    dual_control: bool
    ledger: str = ""
    ledger_holds: bool = False

    @property
    def passed(self) -> bool:
        """Whether everything that was to be shown holds."""
        return self.ledger_holds and all(
            isinstance(file.result, Signed) and file.verdict == "passed" and file.osslsigncode != "failed"
            for file in self.files
        )

    def prove_ledger(self, directory: Path) -> None:
        """Prove every log of the deployment again."""
        from sealwright.servers.audit import audit  # noqa: PLC0415 - slow to import
        from sealwright.servers.deployment import Deployment  # noqa: PLC0415 - slow to import

        result = audit(Deployment.load(directory), lambda _role, _done, _size: None)
        self.ledger_holds = result.holds
        sizes = ", ".join(f"{log.role} {log.size}" for log in result.logs)
        self.ledger = f"{'holds' if result.holds else 'DOES NOT HOLD'} (entries: {sizes})"

    def as_json(self) -> dict[str, Any]:
        """Return the report as the front door promises it."""
        return {
            "deployment": str(self.directory),
            "server": self.settings.server,
            "tsa": self.settings.tsa[0],
            "roots": str(self.settings.roots),
            "crl": str(self.settings.crl),
            "log": f"{self.settings.server}/log",
            "config": str(self.directory / "client.toml"),
            "passed": self.passed,
            "dual_control": self.dual_control,
            "ledger_holds": self.ledger_holds,
            "files": [_file_json(file) for file in self.files],
        }


def _file_json(file: FileReport) -> dict[str, Any]:
    result = file.result
    common = {"input": str(result.task.source), "output": str(result.task.target), "verdict": file.verdict}
    if isinstance(result, Failed):
        return {**common, "output": None, "ledger_index": None, "error": result.error.detail}
    return {
        **common,
        "ledger_index": result.receipt.intent_index,
        "sha256": result.result.sha256,
        "osslsigncode": file.osslsigncode,
    }


def collect(directory: Path, results: Sequence[Signed | Failed]) -> Report:
    """Verify every result with our verifier and, if it is installed, with osslsigncode."""
    settings = load_client(directory / "client.toml")
    roots, crls = settings.need_path("roots"), settings.need_path("crl")
    trust = load_trust([roots], [crls])
    files = []
    for result in results:
        if isinstance(result, Failed):
            files.append(FileReport(result, {}, "failed", "not asked"))
            continue
        verified = verify_path(result.task.target, trust, None, datetime.now(UTC))
        judged = _ask_osslsigncode(result.task.target, roots, crls)
        files.append(FileReport(result, verified.as_json(), str(verified.outcome), judged))
    return Report(directory, settings, files, open_service(settings).status().dual_control)


def _verify_command(path: Path, roots: Path, crls: Path) -> list[str]:
    """Return the command; -CRLfile because osslsigncode gives up where a CRL's address cannot be reached."""
    trust = ["-CAfile", str(roots), "-TSA-CAfile", str(roots), "-CRLfile", str(crls), "-TSA-CRLfile", str(crls)]
    return ["osslsigncode", "verify", *trust, "-in", str(path)]


def _ask_osslsigncode(path: Path, roots: Path, crls: Path) -> str:
    program = shutil.which("osslsigncode")
    if program is None:
        return "not installed"
    try:
        done = subprocess.run(  # noqa: S603 - the verifier that is installed on this machine
            [program, *_verify_command(path, roots, crls)[1:]],
            capture_output=True,
            check=False,
            timeout=_OSSLSIGNCODE_WITHIN,
        )
    except subprocess.TimeoutExpired:
        return "failed"
    # It ends well even where it could not verify the timestamp, so that its words count too.
    held = b"Succeeded" in done.stdout and b"verification: failed" not in done.stdout
    return "passed" if done.returncode == 0 and held else "failed"


def print_report(report: Report, *, running: bool) -> None:
    """Print the report for people."""
    for file in report.files:
        click.echo()
        if isinstance(file.result, Failed):
            click.secho(f"{file.result.task.source}: not signed", bold=True)
            click.echo(f"  {file.result.error.detail}\n  {file.result.error.hint}")
            continue
        _print_file(file, file.result)
    click.echo()
    _row("ledger", report.ledger)
    control = "on" if report.dual_control else "off: one operator decides alone (it can be turned on, never off again)"
    _row("dual control", control)
    click.echo(f"\n{SOFTWARE_WARNING}")
    click.secho("\ngo on with", bold=True)
    config = report.directory / "client.toml"
    for line in _next_commands(report, config, running=running):
        click.echo(f"  {line}")


def _print_file(file: FileReport, result: Signed) -> None:
    # The signature just made is the last one: a file that was signed already got it nested.
    signature = file.verified["signatures"][-1]
    certificate, stamp = signature["certificate"], signature["timestamp"] or {}
    protection = signature["key_protection"]
    click.secho(str(result.task.target), bold=True)
    _row("publisher", certificate["subject"])
    _row("certificate", f"serial {certificate['serial']}, policies {', '.join(certificate['policies'])}")
    _row("key", f"{result.response.key!r}, protection {protection['model']}, {protection['lifetime']}")
    _row(f"digest ({result.request.digest_algorithm})", result.digest)
    _row("SHA-256 before", result.input_sha256)
    _row("SHA-256 after", result.result.sha256)
    _row("timestamp", f"{stamp.get('time', 'none')}, token policy {stamp.get('token_policy', '-')}")
    policies = ", ".join(stamp.get("certificate_policies", [])) or "none"
    _row("authority's policies", policies)
    _row("approvals", "none demanded by the key; the policy allowed the workload to sign")
    receipt = result.receipt
    origin = result.response.receipt.origin
    _row("ledger", f"intent {receipt.intent_index}, outcome {receipt.outcome_index} of {origin}")
    when = datetime.fromtimestamp(receipt.cosigned_seconds, UTC)
    _row("inclusion proof", f"checked; cosigned by the key holder at {when:%Y-%m-%d %H:%M:%S} UTC")
    _row("our verifier", _verdict(file.verdict))
    _row("osslsigncode", _verdict(file.osslsigncode))


def _row(label: str, value: str) -> None:
    click.echo(f"  {click.style(f'{label:<{_WIDTH}}', dim=True)}{value}")


def _verdict(verdict: str) -> str:
    return click.style(verdict, fg={"passed": "green", "failed": "red"}.get(verdict, "yellow"))


def _next_commands(report: Report, config: Path, *, running: bool) -> list[str]:
    program = "sealwright" if shutil.which("sealwright") else sys.argv[0]
    ours = shlex.quote(program)
    quoted = shlex.quote(str(config))
    lines = []
    signed = [file.result for file in report.files if isinstance(file.result, Signed)]
    if signed:
        target = signed[0].task.target
        roots, crls = report.settings.need_path("roots"), report.settings.need_path("crl")
        lines.append(f"{ours} verify --config {quoted} {shlex.quote(str(target))}")
        lines.append(shlex.join(_verify_command(target, roots, crls)))
    if not running:
        lines.append(shlex.join([program, "serve", str(report.directory)]))
    lines.append(f"{ours} sign --config {quoted} PROGRAM.exe")
    lines.append(shlex.join([program, "ledger", "verify", str(report.directory)]))
    return lines
