"""`sealwright init`: create a deployment in a directory."""

from pathlib import Path

import click

from sealwright.domain.keys import SOFTWARE_WARNING

DUAL_CONTROL_OFF = (
    "dual control is off: one operator decides alone. "
    "It can be turned on (`sealwright operators dual-control`), and never off again."
)


@click.command("init")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--url", default="https://localhost:8443", show_default=True, help="How clients reach the service.")
@click.option(
    "--key-store",
    default="",
    metavar="URI",
    help="Where subscribers' keys live  [default: software:, encrypted files in DIRECTORY]",
)
@click.option("--publisher", default="Sealwright Demonstration", show_default=True, help="Name in the certificates.")
@click.option("--country", default="XX", show_default=True, help="Its country (ISO 3166-1, two letters).")
@click.option("--place", default="Nowhere", show_default=True, help="Its locality.")
@click.option(
    "--algorithm",
    default="rsa-3072",
    show_default=True,
    type=click.Choice(["rsa-3072", "rsa-4096", "p-256", "p-384", "p-521"]),
    help="Of the first signing key.",
)
def command(
    directory: Path, url: str, key_store: str, publisher: str, country: str, place: str, algorithm: str
) -> None:
    """Create a deployment in DIRECTORY: databases, key stores, CAs, timestamp unit, operator, key, policy.

    Run again, it completes what is missing and changes nothing that is there.
    """
    from sealwright.servers.initialise import Initialiser  # noqa: PLC0415 - slow to import
    from sealwright.servers.plan import Plan  # noqa: PLC0415 - slow to import

    plan = Plan(directory, url, key_store, publisher, country, place, algorithm)
    work = Initialiser(plan, lambda what: click.echo(f"  made {what}", err=True))
    deployment = work.run()
    if not work.changed:
        click.echo(f"{deployment.directory} is complete; nothing was changed")
        return
    click.echo(f"{deployment.directory} is ready for {deployment.settings.url}")
    if deployment.settings.key_stores.keyholder.startswith("software:"):
        click.echo(f"note: {SOFTWARE_WARNING}", err=True)
    click.echo(f"note: {DUAL_CONTROL_OFF}", err=True)
    click.echo(f"next: sealwright serve {directory}")
    click.echo(f"then: sealwright sign --config {directory / 'client.toml'} PROGRAM.exe")
