"""The tables of a role's log, the same in each role's database."""

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, SmallInteger, Table, Text

# SQLite's row number is an alias of an INTEGER primary key only; elsewhere indexes are 64 bits wide.
Index = BigInteger().with_variant(Integer, "sqlite")


def add_ledger(metadata: MetaData) -> None:
    """Add the log's tables to a role's metadata."""
    Table(
        "log_head",
        metadata,
        Column("id", SmallInteger, primary_key=True, autoincrement=False),
        Column("size", BigInteger, nullable=False),
        Column("frontier", LargeBinary, nullable=False),
        Column("checkpoint", Text, nullable=False),
    )
    Table(
        "log_entry",
        metadata,
        Column("idx", Index, primary_key=True, autoincrement=False),
        Column("entry", LargeBinary, nullable=False),
        Column("leaf_hash", LargeBinary, nullable=False),
    )
    Table(
        "log_hash",
        metadata,
        Column("level", SmallInteger, primary_key=True, autoincrement=False),
        Column("idx", Index, primary_key=True, autoincrement=False),
        Column("hash", LargeBinary, nullable=False),
    )
