"""`sealwright migrate`: bring a deployment's databases to this version's schema."""

from pathlib import Path

import click


@click.command("migrate")
@click.argument("directory", type=click.Path(path_type=Path))
def command(directory: Path) -> None:
    """Bring the databases of the deployment in DIRECTORY to this version. Stop it and make a backup first."""
    from sealwright.servers.deployment import Deployment  # noqa: PLC0415 - slow to import
    from sealwright.storage.migrations import METADATA, migrate  # noqa: PLC0415 - slow to import

    deployment = Deployment.load(directory)
    for role in METADATA:
        engine = deployment.engine(role)
        done = migrate(engine, role)
        engine.dispose()
        click.echo(f"{role}: {'migrated' if done else 'up to date'}")
