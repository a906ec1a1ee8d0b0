"""`sealwright serve`: run a deployment until it is told to stop."""

from pathlib import Path

import click


@click.command("serve")
@click.argument("directory", type=click.Path(path_type=Path))
def command(directory: Path) -> None:
    """Run the deployment in DIRECTORY: the user-facing process, the key holder, the CA and the TSA.

    Logs are JSON lines on standard error. SIGTERM or Ctrl-C stops it; what was begun is finished first.
    """
    import asyncio  # noqa: PLC0415 - `--help` does not need it

    from sealwright.observability import configure  # noqa: PLC0415 - slow to import
    from sealwright.servers.all_in_one import serve  # noqa: PLC0415 - slow to import
    from sealwright.servers.deployment import Deployment  # noqa: PLC0415 - slow to import
    from sealwright.servers.schema import refuse_old_schema  # noqa: PLC0415 - slow to import

    deployment = Deployment.load(directory)
    refuse_old_schema(deployment)
    logger = configure("supervisor")

    def report(role: str, what: str, details: dict[str, object]) -> None:
        logger.info(what, process=role, **details)

    def started() -> None:
        settings = deployment.settings
        logger.info("ready", url=settings.url, plain_url=settings.plain_url)
        click.echo(f"Sealwright serves {settings.url} and {settings.plain_url}/tsa")

    asyncio.run(serve(deployment, report, started))
