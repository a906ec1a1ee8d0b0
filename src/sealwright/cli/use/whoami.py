"""`sealwright whoami`: whom the service takes the caller for."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealwright.cli.use.session import open_service, open_settings, with_config, with_json

if TYPE_CHECKING:
    from sealwright.domain.messages import KeyView


@click.command("whoami")
@with_config
@with_json
def command(config: Path | None, *, as_json: bool) -> None:
    """Show whom the service takes you for, and the keys that you can see."""
    me = open_service(open_settings(config)).whoami()
    if as_json:
        from msgspec import json, to_builtins  # noqa: PLC0415 - `--help` does not need it

        answer = {**to_builtins(me), "keys": [describe_key(key) for key in me.keys]}
        click.echo(json.format(json.encode(answer), indent=2).decode())
        return
    click.echo(f"principal   {me.principal} ({me.kind})")
    click.echo(f"subscriber  {me.subscriber}")
    click.echo(f"service     sealwright {me.server_version}")
    if not me.dual_control:
        click.echo("control     one person alone can change keys and policies (dual control is off)")
    print_keys(me.keys)


def print_keys(keys: "list[KeyView]") -> None:
    """Print keys as a table, and each of their warnings once."""
    if not keys:
        click.echo("keys        none")
        return
    rows = [("KEY", "ALGORITHM", "LIFETIME", "STATE", "PROTECTION", "SCHEMES")]
    rows += [
        (key.name, key.algorithm, key.lifetime, key.state, key.model, " ".join(key.schemes))
        for key in sorted(keys, key=lambda key: key.name)
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for warning in dict.fromkeys(key.warning for key in keys if key.warning):
        click.echo(f"note: {warning}")


def describe_key(key: "KeyView") -> dict[str, object]:
    """Return a key as it stands in JSON; its certificates by their SHA-256."""
    from hashlib import sha256  # noqa: PLC0415 - only for JSON

    return {
        "name": key.name,
        "subscriber": key.subscriber,
        "algorithm": key.algorithm,
        "lifetime": key.lifetime,
        "state": key.state,
        "model": key.model,
        "schemes": key.schemes,
        "public_key_sha256": sha256(key.public_key).hexdigest() if key.public_key else "",
        "chain_sha256": [sha256(der).hexdigest() for der in key.chain],
        "warning": key.warning,
    }
