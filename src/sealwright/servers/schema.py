"""Refuses to work on databases of another version."""

from sealwright.domain.errors import ConfigurationError
from sealwright.servers.deployment import Deployment
from sealwright.storage.schema import NEWEST, is_newest


def refuse_old_schema(deployment: Deployment) -> None:
    """Raise ConfigurationError that names `sealwright migrate` if a database has another schema than this program."""
    for role in NEWEST:
        with deployment.reader(role).connect() as connection:
            if is_newest(connection, role):
                continue
        from sealwright.storage.migrations import pending  # noqa: PLC0415 - slow to import, and rarely needed

        with deployment.reader(role).connect() as connection:
            if pending(connection, role):
                raise ConfigurationError(
                    f"the {role} database has an older schema than this program",
                    hint=f"stop the deployment, make a backup, then run: sealwright migrate {deployment.directory}",
                )
