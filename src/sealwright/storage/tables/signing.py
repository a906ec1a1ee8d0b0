"""The signing role's tables: requests by idempotency, evidence under its digest, and the log."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, MetaData, Table, Text

from sealwright.storage.tables.ledger import add_ledger

metadata = MetaData()
add_ledger(metadata)

request = Table(
    "request",
    metadata,
    Column("id", LargeBinary, primary_key=True),  # SHA-256 of principal and idempotency key
    Column("created", BigInteger, nullable=False),  # seconds since 1970; rows end with the window
    Column("request_sha256", LargeBinary, nullable=False),
    Column("records_version", BigInteger, nullable=False),
    Column("intent", BigInteger, nullable=False),
    Column("outcome", BigInteger),
    Column("response", LargeBinary),
)
Index("request_created", request.c.created)

evidence = Table(
    "evidence",
    metadata,
    Column("sha256", LargeBinary, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
)
