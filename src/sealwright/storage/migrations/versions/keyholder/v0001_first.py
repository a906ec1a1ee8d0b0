"""The first schema of the keyholder role's database."""

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
        "admin_request",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
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
        "policy",
        sa.Column("subscriber", sa.Text(), primary_key=True),
        sa.Column("record", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "principal",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("record", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "signing_key",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.Column("uses", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "state",
        sa.Column("id", sa.SmallInteger(), primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("dual_control", sa.Boolean(), nullable=False),
        sa.Column("seen_size", sa.BigInteger(), nullable=False),
        sa.Column("seen_frontier", sa.LargeBinary(), nullable=False),
        sa.Column("seen_checkpoint", sa.Text(), nullable=False),
        sa.Column("halted", sa.Text(), nullable=False),
    )
    op.create_table(
        "used_proof",
        sa.Column("sha256", sa.LargeBinary(), primary_key=True),
        sa.Column("expires", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_used_proof_expires", "used_proof", ["expires"])
