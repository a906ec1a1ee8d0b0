"""`sealwright completion`: the script that teaches a shell the commands and options."""

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL.

    For bash: eval "$(sealwright completion bash)" in ~/.bashrc.
    """
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - no other command needs it

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"this version of click knows no completion for {shell}")
    click.echo(kind(ctx.find_root().command, {}, "sealwright", "_SEALWRIGHT_COMPLETE").source())
