"""The timestamp authority's tables: only its log; tokens are counted there, not kept."""

from sqlalchemy import MetaData

from sealwright.storage.tables.ledger import add_ledger

metadata = MetaData()
add_ledger(metadata)
