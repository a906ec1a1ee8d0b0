"""A role's own log where nothing but events is kept: the timestamp authority's, and the base of others."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, Engine, MetaData

from sealwright.domain.events import AnyEvent, encode_event
from sealwright.storage.ledger import LedgerTables
from sealwright.structures.tlog import Grown, Head, LogSigner


class RoleLog:
    """Appends events to the log in a role's database, each call one durable transaction."""

    def __init__(self, engine: Engine, metadata: MetaData, signer: LogSigner) -> None:
        self._engine = engine
        self._signer = signer
        self._ledger = LedgerTables(metadata)

    def create(self) -> None:
        """Begin an empty log; what exists is left as it is."""
        with self._engine.begin() as connection:
            self._ledger.create(connection, self._signer)

    def record(self, *events: AnyEvent) -> None:
        """Append events in a transaction of their own."""
        with self._engine.begin() as connection:
            self.append(connection, events)

    def append(self, connection: Connection, events: Sequence[AnyEvent]) -> Grown:
        """Append events in the caller's transaction."""
        head = self._ledger.head(connection, lock=True)
        return self._ledger.append(connection, [encode_event(event) for event in events], self._signer, head)


class LogReader:
    """Reads a role's log from a database that another process may be writing."""

    def __init__(self, engine: Engine, metadata: MetaData) -> None:
        self._engine = engine
        self._ledger = LedgerTables(metadata)

    def head(self) -> Head:
        """Return where the log stands."""
        with self._engine.connect() as connection:
            return self._ledger.head(connection)

    def entries(self, start: int, end: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Read (index, entry, leaf hash) in order."""
        with self._engine.connect() as connection:
            yield from self._ledger.entries(connection, start, end)
