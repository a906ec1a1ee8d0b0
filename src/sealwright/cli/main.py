"""The one program: a table of commands, of which only the one that runs is imported.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 70 an error of Sealwright itself, 130 interrupted.
`verify` has its own: 0 passed, 1 failed, 2 indeterminate or unreadable.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

import click

from sealwright import __version__
from sealwright.cli.errors import DEBUG, present, present_unexpected
from sealwright.domain.errors import ConfigurationError, SealwrightError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

FAILED: Final = 1
INTERNAL: Final = 70  # EX_SOFTWARE of sysexits.h
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells count


@dataclass(frozen=True, slots=True)
class Entry:
    """A command by the module that exports it; `failed` is its exit code for an error that ended it."""

    module: str
    help: str
    failed: int = FAILED


_USE: Final = "sealwright.cli.use"
_OPERATE: Final = "sealwright.cli.operate"

COMMANDS: Final[Mapping[str, Entry]] = {
    "sign": Entry(f"{_USE}.sign", "Sign files: digest, signature, timestamp, proof, all checked."),
    "verify": Entry(f"{_USE}.verify", "Verify the signatures of files.", failed=2),
    "show": Entry(f"{_USE}.show", "Show what the signatures of files say.", failed=2),
    "formats": Entry(f"{_USE}.formats", "List the file formats that can be signed."),
    "whoami": Entry(f"{_USE}.whoami", "Show whom the service takes you for, and your keys."),
    "keys": Entry(f"{_USE}.keys", "List, create, suspend, resume and destroy signing keys."),
    "policy": Entry(f"{_USE}.policy", "Show and set the policy of a subscriber's keys."),
    "workloads": Entry(f"{_USE}.workloads", "Enrol and revoke the workloads that may ask for signatures."),
    "operators": Entry(f"{_USE}.operators", "Enrol operators, sign what another asks for, turn dual control on."),
    "completion": Entry(f"{_USE}.completion", "Print the completion script of a shell."),
    "demo": Entry(f"{_OPERATE}.demo", "Make a deployment, sign a program with it, and prove it."),
    "init": Entry(f"{_OPERATE}.init", "Create a deployment in a directory."),
    "serve": Entry(f"{_OPERATE}.serve", "Run a deployment."),
    "migrate": Entry(f"{_OPERATE}.migrate", "Bring a deployment's databases to this version."),
    "doctor": Entry(f"{_OPERATE}.doctor", "Check a deployment and say what to do."),
    "ledger": Entry(f"{_OPERATE}.ledger", "Prove a deployment's ledger again."),
}

_SERVER_PACKAGES: Final = frozenset(
    {"alembic", "cedarpy", "httptools", "sqlalchemy", "starlette", "structlog", "uvicorn", "uvloop"}
)


class LazyGroup(click.Group):
    """A group that knows its commands by name and one line of help, and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - the same
        """Import a command. Raises ConfigurationError if it needs packages that are not installed."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = import_module(entry.module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - the same
        """Write the table, divided by who uses the commands."""
        for title, folder in (("Sign and verify", _USE), ("Operate a service", _OPERATE)):
            with formatter.section(title):
                formatter.write_dl(
                    [(name, entry.help) for name, entry in COMMANDS.items() if entry.module.startswith(folder)]
                )

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Offer the names in the table without importing the commands."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - shells ask for it, people do not

        named = [CompletionItem(name, help=entry.help) for name, entry in COMMANDS.items()]
        return [item for item in named if item.value.startswith(incomplete)] + click.Command.shell_complete(
            self, ctx, incomplete
        )


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="sealwright %(version)s")
def program() -> None:
    """Sign code with keys that nobody can take, and prove every signature."""


def run(arguments: Sequence[str]) -> int:
    """Run the program and return its exit code; the one place where errors become words for people."""
    as_json = "--json" in arguments
    failed = next((COMMANDS[word].failed for word in arguments if word in COMMANDS), FAILED)
    try:
        return _run(arguments)
    except SealwrightError as error:
        present(error, as_json=as_json)
        return failed
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except Exception as error:  # the last line of defence: a person gets one line, not a traceback
        if os.environ.get(DEBUG):
            raise
        present_unexpected(error, as_json=as_json)
        return INTERNAL


def _run(arguments: Sequence[str]) -> int:
    try:
        result: object = program.main(list(arguments), prog_name="sealwright", standalone_mode=False)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _SERVER_PACKAGES:
            raise
        raise ConfigurationError(
            f"this command needs the package {error.name}, which is not installed",
            hint="pip install 'sealwright[server]'",
        ) from None
    return result if isinstance(result, int) else 0
