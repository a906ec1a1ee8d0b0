"""The key holder's database: every method is one durable transaction."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec
from sqlalchemy import Connection, Engine, Table, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from sealwright.domain.errors import ConfigurationError, ConflictError
from sealwright.domain.events import AnyEvent, encode_event
from sealwright.domain.records import CustodyState, KeyRecord, PolicyRecord, PrincipalRecord, SeenLog, Uses
from sealwright.storage.engine import reading
from sealwright.storage.ledger import LedgerTables
from sealwright.storage.prepared import Prepared
from sealwright.storage.tables import keyholder as tables
from sealwright.structures.tlog import LogSigner

_R = TypeVar("_R", KeyRecord, PrincipalRecord, PolicyRecord)
_PRUNE_EVERY = 60


class KeyHolderDatabase:
    """Implements custody.state.CustodyStore over SQLite or PostgreSQL."""

    def __init__(self, engine: Engine, signer: LogSigner) -> None:
        self._engine = engine
        self._reading = reading(engine)
        self._signer = signer
        self._ledger = LedgerTables(tables.metadata)
        self._pruned = 0
        state = tables.state
        self._set_seen = (
            update(state)
            .where(state.c.id == 1)
            .values(
                seen_size=bindparam("size"),
                seen_frontier=bindparam("frontier"),
                seen_checkpoint=bindparam("checkpoint"),
            )
        )
        key, proof = tables.signing_key, tables.used_proof
        add_uses = update(key).where(key.c.name == bindparam("key")).values(uses=key.c.uses + bindparam("count"))
        self._add_uses = Prepared(engine.dialect, add_uses, ("key", "count"))
        self._add_proofs = Prepared(engine.dialect, insert(proof), ("sha256", "expires"))
        self._find_proofs = select(proof.c.sha256).where(proof.c.sha256.in_(bindparam("proofs", expanding=True)))

    def create(self) -> None:
        """Begin an empty state and log; what exists is left as it is."""
        with self._engine.begin() as connection:
            self._ledger.create(connection, self._signer)
            if connection.execute(select(tables.state.c.id)).first() is None:
                connection.execute(
                    insert(tables.state).values(
                        id=1,
                        version=0,
                        dual_control=False,
                        seen_size=0,
                        seen_frontier=b"",
                        seen_checkpoint="",
                        halted="",
                    )
                )

    def load(self) -> CustodyState:
        """Read everything that decides."""
        with self._engine.begin() as connection:
            row = connection.execute(select(tables.state).where(tables.state.c.id == 1)).first()
            if row is None:
                raise ConfigurationError("the key holder's database is empty", hint="run `sealwright init` first")
            return CustodyState(
                version=row.version,
                dual_control=row.dual_control,
                keys=_read(connection, tables.signing_key, KeyRecord),
                principals=_read(connection, tables.principal, PrincipalRecord),
                policies=_read(connection, tables.policy, PolicyRecord),
                seen=SeenLog(row.seen_size, bytes(row.seen_frontier), row.seen_checkpoint),
                halted=row.halted,
            )

    def carried_out(self, request_id: str) -> bool:
        """Tell whether an administrative request with this identifier was carried out before."""
        query = select(tables.admin_request.c.id).where(tables.admin_request.c.id == request_id)
        with self._engine.begin() as connection:
            return connection.execute(query).first() is not None

    def change(self, state: CustodyState, event: AnyEvent, request_id: str, envelope: bytes) -> None:
        """Store the state after an administrative act. Raises ConflictError for a request used before."""
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(tables.admin_request).values(id=request_id, envelope=envelope))
                _write(connection, tables.signing_key, state.keys, {"uses": 0})
                _write(connection, tables.principal, state.principals, {})
                _write(connection, tables.policy, state.policies, {})
                connection.execute(
                    update(tables.state)
                    .where(tables.state.c.id == 1)
                    .values(
                        version=state.version,
                        dual_control=state.dual_control,
                        seen_size=state.seen.size,
                        seen_frontier=state.seen.frontier,
                        seen_checkpoint=state.seen.checkpoint,
                        halted=state.halted,
                    )
                )
                self._append(connection, event)
        except IntegrityError:
            raise ConflictError("this administrative request was carried out before") from None

    def spent(self, proofs: Sequence[bytes]) -> set[bytes]:
        """Return those of the proofs that were used before."""
        with self._reading.begin() as connection:
            return {bytes(row[0]) for row in connection.execute(self._find_proofs, {"proofs": list(proofs)})}

    def use(self, uses: Uses, now: int) -> None:
        """Count the uses, remember the proofs and how far the log was seen."""
        seen = uses.seen
        with self._engine.begin() as connection:
            connection.execute(
                self._set_seen, {"size": seen.size, "frontier": seen.frontier, "checkpoint": seen.checkpoint}
            )
            self._add_uses.run(connection, list(uses.per_key.items()))
            self._add_proofs.run(connection, list(uses.proofs.items()))
            if now - self._pruned > _PRUNE_EVERY:
                connection.execute(delete(tables.used_proof).where(tables.used_proof.c.expires < now))
                self._pruned = now

    def halt(self, reason: str, event: AnyEvent) -> None:
        """Remember that the log is mistrusted."""
        with self._engine.begin() as connection:
            connection.execute(update(tables.state).where(tables.state.c.id == 1).values(halted=reason))
            self._append(connection, event)

    def record(self, event: AnyEvent) -> None:
        """Append an entry to the key holder's own log."""
        with self._engine.begin() as connection:
            self._append(connection, event)

    def uses(self) -> Mapping[str, int]:
        """Return how often each key was used, counted before use."""
        query = select(tables.signing_key.c.name, tables.signing_key.c.uses)
        with self._engine.begin() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def _append(self, connection: Connection, event: AnyEvent) -> None:
        head = self._ledger.head(connection, lock=True)
        self._ledger.append(connection, [encode_event(event)], self._signer, head)


def _read(connection: Connection, table: Table, kind: type[_R]) -> dict[str, _R]:
    rows = connection.execute(select(table.primary_key.columns[0], table.c.record))
    return {name: msgspec.msgpack.decode(record, type=kind) for name, record in rows}


def _write(connection: Connection, table: Table, records: Mapping[str, object], new: Mapping[str, object]) -> None:
    """Bring a table of records to the state given; rows that did not change are left alone."""
    name = table.primary_key.columns[0]
    stored = {row[0]: bytes(row[1]) for row in connection.execute(select(name, table.c.record))}
    wanted = {key: msgspec.msgpack.encode(record) for key, record in records.items()}
    for key in stored.keys() - wanted.keys():
        connection.execute(delete(table).where(name == key))
    for key, data in wanted.items():
        if key not in stored:
            connection.execute(insert(table).values({name.name: key, "record": data, **new}))
        elif stored[key] != data:
            connection.execute(update(table).where(name == key).values(record=data))
