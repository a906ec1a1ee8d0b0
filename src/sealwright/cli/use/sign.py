"""`sealwright sign`: the whole way from a file to a signed, timestamped, recorded and verified file.

Exit codes: 0 all files were signed, 1 one or more were refused or failed (they are untouched), 2 wrong usage.
"""

import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from sealwright.cli.errors import describe, present
from sealwright.cli.use.session import identity, open_service, open_settings, with_config, with_json

if TYPE_CHECKING:
    from sealwright.client.sign import Failed, Options, Signed, Signer, Task
    from sealwright.settings import ClientSettings

FAILED: Final = 1
_PROGRESS_FROM: Final = 64 << 20  # bytes; smaller work is done before a bar can be read


@click.command("sign")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option("--key", help="The signing key  [default: the one in client.toml]")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Where the signed file goes; for several files, or if it is one, a directory  [default: replace the input]",
)
@click.option("--in-place", is_flag=True, help="Replace the input; this is the default.")
@click.option("--append", is_flag=True, help="Add a signature to a file that is signed already.")
@click.option("--replace", is_flag=True, help="Drop the signatures that a file carries.")
@click.option("--program-name", help="A description of the program, shown when it asks for permission.")
@click.option("--program-url", help="An address with more about the program.")
@click.option(
    "--digest", type=click.Choice(["sha256", "sha384", "sha512"]), default="sha256", help="The digest of the files."
)
@click.option(
    "--idempotency-key", help="Name this request: the same one sent again is answered again, and counted once."
)
@click.option("--no-timestamp", is_flag=True, help="Do without a timestamp: the signature ends with its certificate.")
@click.option("--receipt", type=click.Path(path_type=Path), help="Write the receipts of all files to this file.")
@click.option("--receipts", type=click.Path(path_type=Path), help="Write a receipt for each file to this directory.")
@with_config
@with_json
@click.pass_context
def command(  # noqa: PLR0913 - the options of the command
    ctx: click.Context,
    files: tuple[Path, ...],
    *,
    key: str | None,
    output: Path | None,
    in_place: bool,
    append: bool,
    replace: bool,
    program_name: str | None,
    program_url: str | None,
    digest: str,
    idempotency_key: str | None,
    no_timestamp: bool,
    receipt: Path | None,
    receipts: Path | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Sign FILEs: all their digests go into one request, and each file is replaced only when its signature verifies.

    Exit codes: 0 all were signed; 1 at least one was refused or failed, and is untouched; 2 wrong usage.
    """
    from sealwright.client.sign import Failed, Options, Signed  # noqa: PLC0415 - `--help` does not need it
    from sealwright.domain.keys import DigestAlgorithm  # noqa: PLC0415 - the same

    if append and replace:
        raise click.UsageError("--append and --replace exclude each other")
    if in_place and output is not None:
        raise click.UsageError("--in-place and --output exclude each other")
    tasks = targets(files, output)
    settings = open_settings(config)
    parameters = {"program_name": program_name, "program_url": program_url}
    options = Options(
        key=key or settings.need("key"),
        idempotency_key=idempotency_key or secrets.token_hex(16),
        digest=DigestAlgorithm.named(digest),
        mode="append" if append else "replace" if replace else None,
        parameters={name: value for name, value in parameters.items() if value},
    )
    signer = open_signer(settings, timestamp=not no_timestamp)
    results = _sign(signer, tasks, options)
    if receipt is not None or receipts is not None:
        from sealwright.cli.use.receipt_files import write_receipts  # noqa: PLC0415 - few ask for it

        write_receipts([one for one in results if isinstance(one, Signed)], receipt, receipts)
    if as_json:
        _print_json(results)
    else:
        for result in results:
            _print(result)
    if any(isinstance(result, Failed) for result in results):
        ctx.exit(FAILED)


def targets(files: Sequence[Path], output: Path | None) -> "list[Task]":
    """Say where each file's result goes. Raises click.UsageError if two results would go to the same place."""
    from sealwright.client.sign import Task  # noqa: PLC0415 - `--help` does not need it

    if output is None:
        tasks = [Task(file, file) for file in files]
    elif len(files) > 1 or output.is_dir():
        if not output.is_dir():
            raise click.UsageError(f"several files need a directory as --output, and {output} is none")
        tasks = [Task(file, output / file.name) for file in files]
    else:
        tasks = [Task(files[0], output)]
    seen: dict[Path, Path] = {}
    for task in tasks:
        place = task.target.resolve()
        if place in seen:
            raise click.UsageError(f"{seen[place]} and {task.source} would both become {task.target}")
        seen[place] = task.source
    return tasks


def open_signer(settings: "ClientSettings", *, timestamp: bool = True) -> "Signer":
    """Return the signer that the settings describe. Raises ConfigurationError for what they lack."""
    import os  # noqa: PLC0415 - all of these only when something is signed
    import time  # noqa: PLC0415 - the same
    from datetime import UTC, datetime  # noqa: PLC0415 - the same

    from sealwright.client.receipts import LogKeys  # noqa: PLC0415 - the same
    from sealwright.client.sign import Signer, check_against  # noqa: PLC0415 - the same
    from sealwright.client.timestamps import TimestampClient, urllib3_post  # noqa: PLC0415 - the same
    from sealwright.client.verify import load_trust  # noqa: PLC0415 - the same
    from sealwright.domain.errors import ConfigurationError  # noqa: PLC0415 - the same

    def clock() -> datetime:
        return datetime.now(UTC)

    if timestamp and not settings.tsa:
        raise ConfigurationError(
            "no timestamp authority is configured", hint="set tsa in client.toml, or sign with --no-timestamp"
        )
    trust = load_trust([settings.need_path("roots")], [settings.crl] if settings.crl else [])
    return Signer(
        service=open_service(settings),
        principal=identity(settings).name,
        log=LogKeys.decode(settings.need("log_key"), settings.need("witness_key")),
        check=check_against(trust, clock),
        timestamps=TimestampClient(settings.tsa, urllib3_post(), clock, os.urandom, sleep=time.sleep)
        if timestamp
        else None,
    )


def _sign(signer: "Signer", tasks: "Sequence[Task]", options: "Options") -> "list[Signed | Failed]":
    size = sum(task.source.stat().st_size for task in tasks if task.source.is_file())
    with _progress(size) as advance:
        return signer.sign(tasks, options, advance)


@contextmanager
def _progress(size: int) -> Iterator[Callable[[int], None] | None]:
    """Show a bar on stderr while large files are read, if a person is looking."""
    if size < _PROGRESS_FROM or not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=size, label="reading", file=sys.stderr) as bar:
        yield bar.update


def _print(result: "Signed | Failed") -> None:
    from sealwright.client.sign import Failed  # noqa: PLC0415 - `--help` does not need it

    if isinstance(result, Failed):
        present(result.error, as_json=False, subject=str(result.task.source))
        return
    time = result.result.timestamp
    click.echo(f"signed {result.task.target}")
    click.echo(f"  sha256     {result.result.sha256}")
    click.echo(f"  timestamp  {time.isoformat(timespec='seconds') if time else 'none'}")
    click.echo(f"  ledger     entry {result.receipt.intent_index} of {result.response.receipt.origin}, proof checked")
    click.echo(f"  verdict    {result.result.verdict}")


def _print_json(results: "Sequence[Signed | Failed]") -> None:
    import json  # noqa: PLC0415 - only for JSON

    click.echo(json.dumps({"files": [report(result) for result in results]}, ensure_ascii=False, indent=2))


def report(result: "Signed | Failed") -> dict[str, object]:
    """Return a result as it stands in the JSON answer."""
    from sealwright.client.sign import Failed  # noqa: PLC0415 - `--help` does not need it

    paths: dict[str, object] = {"input": str(result.task.source), "output": str(result.task.target)}
    if isinstance(result, Failed):
        return {**paths, "output": None, "error": describe(result.error)}
    time = result.result.timestamp
    return {
        **paths,
        "format": result.format,
        "digest": result.digest,
        "input_sha256": result.input_sha256,
        "sha256": result.result.sha256,
        "verdict": result.result.verdict,
        "timestamp": time.isoformat() if time else None,
        "key": result.response.key,
        "request": result.response.id,
        "replayed": result.response.replayed,
        "log": result.response.receipt.origin,
        "ledger_index": result.receipt.intent_index,
        "outcome_index": result.receipt.outcome_index,
    }
