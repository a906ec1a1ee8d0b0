"""Which schema this program's databases have; known without Alembic, which takes longer to load than to answer."""

from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from sealwright.domain.errors import SealwrightError

NEWEST: Final = {"signing": "0001", "keyholder": "0001", "ca": "0001", "tsa": "0001"}
"""The last version in `migrations/versions/<role>`; a test compares the two."""


def is_newest(connection: Connection, role: str) -> bool:
    """Tell whether a role's database has exactly this program's schema; `migrations.pending` tells what it lacks."""
    try:
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    except (SQLAlchemyError, SealwrightError):  # an empty database has no such table
        return False
    return bool(found == NEWEST[role])
