"""Schema migrations, one line of versions for each role's database (Alembic)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData

from sealwright.domain.errors import ConfigurationError
from sealwright.storage.tables import ca, keyholder, signing, tsa

METADATA: Final[dict[str, MetaData]] = {
    "signing": signing.metadata,
    "keyholder": keyholder.metadata,
    "ca": ca.metadata,
    "tsa": tsa.metadata,
}
_HERE = Path(__file__).parent


def migrate(engine: Engine, role: str) -> bool:
    """Bring a role's database to the newest schema; tell whether anything was to do."""
    with engine.begin() as connection:
        if pending(connection, role) == []:
            return False
        config = _config(role)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return True


def pending(connection: Connection, role: str) -> Sequence[str]:
    """Return the versions that a database lacks, oldest first; all of them if it is empty.

    Raises ConfigurationError if the database is newer than this program.
    """
    scripts = ScriptDirectory.from_config(_config(role))
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
        raise ConfigurationError(
            f"the {role} database has the schema {current!r}, which is newer than this program",
            hint="use the version of sealwright that made it, or a newer one",
        )
    missing = [script.revision for script in scripts.iterate_revisions("head", current or "base")]
    return missing[::-1]


def _config(role: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.set_main_option("version_locations", str(_HERE / "versions" / role))
    config.set_main_option("path_separator", "os")
    return config
