"""`sealwright policy`: the Cedar rules that say who may use a subscriber's keys, and for what."""

from pathlib import Path

import click

from sealwright.cli.use.administration import open_administrator
from sealwright.cli.use.session import open_service, open_settings, with_config
from sealwright.domain.errors import ConfigurationError


@click.group("policy")
def command() -> None:
    """Show the policy of a subscriber's keys, and, as an administrator, set it."""


@command.command("show")
@with_config
def show(config: Path | None) -> None:
    """Print the policy that is in force for your subscriber's keys."""
    policy = open_service(open_settings(config)).policy()
    click.echo(policy.text.rstrip("\n"))
    click.echo(f"version {policy.version} of the policy of {policy.subscriber}", err=True)


@command.command("set")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--subscriber", help="The subscriber whose policy to replace  [default: your own]")
@with_config
def set_(file: Path, subscriber: str | None, config: Path | None) -> None:
    """Replace the policy by the Cedar rules in FILE."""
    from sealwright.domain.actions import SetPolicy  # noqa: PLC0415 - `--help` does not need it

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the policy {file} cannot be read: {error}") from None
    administrator = open_administrator(open_settings(config))
    owner = subscriber or administrator.service.whoami().subscriber
    answer = administrator.carry_out(SetPolicy(subscriber=owner, text=text))
    click.echo(f"the policy of {owner} is set (records version {answer.version})")
