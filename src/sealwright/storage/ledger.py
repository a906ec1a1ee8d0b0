"""Stores a role's log: appends inside the caller's transaction, under the lock of the head's row."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from sqlalchemy import Connection, Dialect, MetaData, bindparam, insert, select, update

from sealwright.domain.errors import ConfigurationError
from sealwright.storage.prepared import Prepared, Row
from sealwright.structures.merkle import Frontier
from sealwright.structures.tiles import TILE_WIDTH, completed, subtree
from sealwright.structures.tlog import Grown, Head, LogSigner, grow

_PIECE = 2_000


class LedgerTables:
    """One role's log in its database; every method runs in the transaction of the connection that it is given."""

    def __init__(self, metadata: MetaData) -> None:
        self._head = metadata.tables["log_head"]
        self._entry = metadata.tables["log_entry"]
        self._hash = metadata.tables["log_hash"]
        entry = self._entry.c
        self._leaf_hashes = select(entry.leaf_hash).order_by(entry.idx)
        head = self._head
        self._read_head = select(head.c.size, head.c.frontier, head.c.checkpoint).where(head.c.id == 1)
        self._lock_head = self._read_head.with_for_update()
        self._set_head = (
            update(head)
            .where(head.c.id == 1)
            .values(size=bindparam("grown"), frontier=bindparam("edge"), checkpoint=bindparam("note"))
        )
        self._add_entries = lru_cache(2)(self._prepare_entries)

    def create(self, connection: Connection, signer: LogSigner) -> None:
        """Begin an empty log; a log that exists is left as it is."""
        if connection.execute(select(self._head.c.id)).first() is None:
            empty = Frontier()
            checkpoint = signer.checkpoint(empty)
            connection.execute(insert(self._head).values(id=1, size=0, frontier=b"", checkpoint=checkpoint))

    def head(self, connection: Connection, *, lock: bool = False) -> Head:
        """Read the head; with `lock`, nobody else appends until the transaction ends."""
        row = connection.execute(self._lock_head if lock else self._read_head).first()
        if row is None:
            raise ConfigurationError("this database holds no log", hint="run `sealwright init` first")
        return Head(Frontier.decode(row.size, row.frontier), row.checkpoint)

    def append(self, connection: Connection, entries: Sequence[bytes], signer: LogSigner, head: Head) -> Grown:
        """Append entries to the log whose locked head was read in this transaction."""
        grown = grow(head, entries, signer)
        first = head.size
        rows: list[Row] = [
            (first + i, entry, hashed) for i, (entry, hashed) in enumerate(zip(entries, grown.leaf_hashes, strict=True))
        ]
        self._add_entries(connection.dialect).run(connection, rows)
        for level, index in completed(first, grown.head.size):
            width = TILE_WIDTH ** (level + 1)
            hashed = grown.growth.subtree(index * width, (index + 1) * width)
            connection.execute(insert(self._hash).values(level=level + 1, idx=index, hash=hashed))
        frontier = grown.head.frontier
        new = {"grown": frontier.size, "edge": frontier.encode(), "note": grown.head.checkpoint}
        connection.execute(self._set_head, new)
        return grown

    def _prepare_entries(self, dialect: Dialect) -> Prepared:
        return Prepared(dialect, insert(self._entry), ("idx", "entry", "leaf_hash"))

    def hashes(self, connection: Connection, level: int, start: int, count: int) -> list[bytes]:
        """Return `count` hashes of a level from `start` on; fewer if the log ends before."""
        if level == 0:
            column = self._entry.c.idx
            query = self._leaf_hashes.where(column >= start, column < start + count)
        else:
            column = self._hash.c.idx
            query = (
                select(self._hash.c.hash)
                .where(self._hash.c.level == level, column >= start, column < start + count)
                .order_by(column)
            )
        return [bytes(row[0]) for row in connection.execute(query)]

    def subtree(self, connection: Connection, low: int, high: int) -> bytes:
        """Hash the leaves in [low, high) from what is stored."""
        return subtree(low, high, lambda level, start, count: self.hashes(connection, level, start, count))

    def frontier_at(self, connection: Connection, size: int) -> Frontier:
        """Return the right edge of the log as it was at an earlier size."""
        parts: list[bytes] = []
        low = 0
        while low < size:
            width = 1 << ((size - low).bit_length() - 1)
            parts.append(self.subtree(connection, low, low + width))
            low += width
        return Frontier(size, tuple(parts))

    def entries(self, connection: Connection, start: int, end: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Read (index, entry, leaf hash) in order, a bounded piece at a time."""
        column = self._entry.c.idx
        while start < end:
            query = (
                select(column, self._entry.c.entry, self._entry.c.leaf_hash)
                .where(column >= start, column < end)
                .order_by(column)
                .limit(_PIECE)
            )
            rows = connection.execute(query).all()
            if not rows:
                return
            for row in rows:
                yield row[0], bytes(row[1]), bytes(row[2])
            start = rows[-1][0] + 1
