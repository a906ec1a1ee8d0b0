"""The key holder's tables: what decides (keys, principals, policies), what was seen and used, and its own log."""

from sqlalchemy import BigInteger, Boolean, Column, LargeBinary, MetaData, SmallInteger, Table, Text

from sealwright.storage.tables.ledger import add_ledger

metadata = MetaData()
add_ledger(metadata)

state = Table(
    "state",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
    Column("dual_control", Boolean, nullable=False),
    Column("seen_size", BigInteger, nullable=False),  # of the face's log
    Column("seen_frontier", LargeBinary, nullable=False),
    Column("seen_checkpoint", Text, nullable=False),
    Column("halted", Text, nullable=False),  # the reason; empty while the log is trusted
)

signing_key = Table(
    "signing_key",
    metadata,
    Column("name", Text, primary_key=True),
    Column("record", LargeBinary, nullable=False),
    Column("uses", BigInteger, nullable=False),
)

principal = Table(
    "principal",
    metadata,
    Column("name", Text, primary_key=True),
    Column("record", LargeBinary, nullable=False),
)

policy = Table(
    "policy",
    metadata,
    Column("subscriber", Text, primary_key=True),
    Column("record", LargeBinary, nullable=False),
)

used_proof = Table(
    "used_proof",
    metadata,
    Column("sha256", LargeBinary, primary_key=True),
    Column("expires", BigInteger, nullable=False, index=True),
)

admin_request = Table(
    "admin_request",
    metadata,
    Column("id", Text, primary_key=True),
    Column("envelope", LargeBinary, nullable=False),
)
