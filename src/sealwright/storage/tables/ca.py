"""The certification authority's tables: certificates from intent to revocation, authorisations used, and its log."""

from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, Table, Text

from sealwright.storage.tables.ledger import add_ledger

metadata = MetaData()
add_ledger(metadata)

certificate = Table(
    "certificate",
    metadata,
    Column("authority", Text, primary_key=True),
    Column("serial", Text, primary_key=True),
    Column("profile", Text, nullable=False),
    Column("authorisation", Text, nullable=False),
    Column("intent", BigInteger, nullable=False),
    Column("certificate", LargeBinary),  # absent between intent and outcome
    Column("revoked", BigInteger),  # seconds since 1970
    Column("reason", Text),
)

officer = Table(
    "officer",
    metadata,
    Column("name", Text, primary_key=True),
    Column("public_key", LargeBinary, nullable=False),
)

authorisation_use = Table(
    "authorisation_use",
    metadata,
    Column("authorisation", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("used", BigInteger, nullable=False),
)

crl = Table(
    "crl",
    metadata,
    Column("authority", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("next_update", BigInteger, nullable=False),
    Column("crl", LargeBinary, nullable=False),
)
