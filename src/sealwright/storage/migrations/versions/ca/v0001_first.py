"""The first schema of the ca role's database."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Index = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "authorisation_use",
        sa.Column("authorisation", sa.Text(), primary_key=True),
        sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "certificate",
        sa.Column("authority", sa.Text(), primary_key=True),
        sa.Column("serial", sa.Text(), primary_key=True),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("authorisation", sa.Text(), nullable=False),
        sa.Column("intent", sa.BigInteger(), nullable=False),
        sa.Column("certificate", sa.LargeBinary()),
        sa.Column("revoked", sa.BigInteger()),
        sa.Column("reason", sa.Text()),
    )
    op.create_table(
        "crl",
        sa.Column("authority", sa.Text(), primary_key=True),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("next_update", sa.BigInteger(), nullable=False),
        sa.Column("crl", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "log_entry",
        sa.Column("idx", Index, primary_key=True, autoincrement=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "log_hash",
        sa.Column("level", sa.SmallInteger(), primary_key=True, autoincrement=False),
        sa.Column("idx", Index, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "log_head",
        sa.Column("id", sa.SmallInteger(), primary_key=True, autoincrement=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("checkpoint", sa.Text(), nullable=False),
    )
    op.create_table(
        "officer",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
    )
