"""The signing role's database: one transaction takes the head's lock and writes everything that is waiting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as dataclass_replace

from msgspec.structs import replace
from sqlalchemy import Connection, Engine, bindparam, delete, insert, null, select, update
from sqlalchemy.dialects import postgresql, sqlite

from sealwright.domain.errors import NotFoundError
from sealwright.domain.events import AnyEvent, RequestCompleted, RequestFailed, RequestIntended, encode_event
from sealwright.domain.messages import EntryProof
from sealwright.domain.records import EarlierRequest
from sealwright.storage.engine import reading
from sealwright.storage.ledger import LedgerTables
from sealwright.storage.prepared import Prepared, Row
from sealwright.storage.tables import signing as tables
from sealwright.structures.merkle import Frontier, inclusion_proof
from sealwright.structures.tlog import Grown, Head, LogSigner


@dataclass(frozen=True, slots=True)
class Intend:
    """Record an intent, unless the same request is known already; `evidence` lies under its SHA-256."""

    id: bytes
    event: RequestIntended
    request_sha256: bytes
    evidence_sha256: bytes
    evidence: bytes
    now: int


@dataclass(frozen=True, slots=True)
class Conclude:
    """Record an outcome; `response` is what the same request will be answered with when it comes again."""

    id: bytes
    event: RequestCompleted | RequestFailed
    response: bytes | None


@dataclass(frozen=True, slots=True)
class Note:
    """Record an event that belongs to no request."""

    event: AnyEvent


@dataclass(frozen=True, slots=True)
class Written:
    """An entry as it became durable; `grown` proves it under the checkpoint of its transaction."""

    index: int
    entry: bytes
    grown: Grown

    def proof(self) -> EntryProof:
        """Return the entry with its inclusion proof under `checkpoint`."""
        return EntryProof(self.entry, self.index, self.grown.head.size, self.grown.growth.proof(self.index))

    @property
    def checkpoint(self) -> str:
        """The log's signed checkpoint right after the transaction."""
        return self.grown.head.checkpoint


Submission = Intend | Conclude | Note
Result = Written | EarlierRequest


class SigningDatabase:
    """Requests, evidence and the log of the signing role, over SQLite or PostgreSQL."""

    def __init__(self, engine: Engine, signer: LogSigner) -> None:
        self._engine = engine
        self._reading = reading(engine)
        self._signer = signer
        self._ledger = LedgerTables(tables.metadata)
        request = tables.request
        self._find = select(
            request.c.id,
            request.c.request_sha256,
            request.c.records_version,
            request.c.intent,
            request.c.outcome,
            request.c.response,
        ).where(request.c.id.in_(bindparam("identities", expanding=True)))
        again = (
            update(request)
            .where(request.c.id == bindparam("known"))
            .values(
                request_sha256=bindparam("sha256"),
                intent=bindparam("place"),
                outcome=null(),
                records_version=bindparam("version"),
                created=bindparam("now"),
            )
        )
        conclude = (
            update(request)
            .where(request.c.id == bindparam("known"))
            .values(response=bindparam("answer"), outcome=bindparam("index"))
        )
        upsert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
        keep = upsert(tables.evidence).on_conflict_do_nothing()
        new = ("id", "created", "request_sha256", "records_version", "intent")
        self._new = Prepared(engine.dialect, insert(request), new)
        self._again = Prepared(engine.dialect, again, ("known", "now", "sha256", "version", "place"))
        self._conclude = Prepared(engine.dialect, conclude, ("known", "index", "answer"))
        self._keep = Prepared(engine.dialect, keep, ("sha256", "kind", "created", "data"))

    def create(self) -> None:
        """Begin an empty log; what exists is left as it is."""
        with self._engine.begin() as connection:
            self._ledger.create(connection, self._signer)

    def head(self) -> Head:
        """Return where the log stands."""
        with self._reading.begin() as connection:
            return self._ledger.head(connection)

    def hashes(self, level: int, start: int, count: int) -> list[bytes]:
        """Return stored hashes of a level (0: leaf hashes)."""
        with self._reading.begin() as connection:
            return self._ledger.hashes(connection, level, start, count)

    def frontier_at(self, size: int) -> Frontier:
        """Return the right edge of the log as it was at an earlier size."""
        with self._reading.begin() as connection:
            return self._ledger.frontier_at(connection, size)

    def checkpoint(self, frontier: Frontier) -> str:
        """Sign the checkpoint of the log as it was at an earlier size."""
        return self._signer.checkpoint(frontier)

    def prove(self, index: int) -> tuple[EntryProof, str]:
        """Return an entry with its inclusion proof under the newest checkpoint. Raises NotFoundError."""
        with self._reading.begin() as connection:
            head = self._ledger.head(connection)
            found = next(iter(self._ledger.entries(connection, index, index + 1)), None)
            if found is None:
                raise NotFoundError(f"the log has no entry {index}")
            proof = inclusion_proof(index, head.size, lambda low, high: self._ledger.subtree(connection, low, high))
            return EntryProof(found[1], index, head.size, proof), head.checkpoint

    def forget(self, before: int) -> None:
        """End the window of requests made before this time (seconds since 1970): their keys can be used anew."""
        with self._engine.begin() as connection:
            connection.execute(delete(tables.request).where(tables.request.c.created < before))

    def commit(self, batch: Sequence[Submission]) -> Sequence[Result]:
        """Make a batch durable in one transaction: the group commit. Results are in the order of the batch."""
        with self._engine.begin() as connection:
            head = self._ledger.head(connection, lock=True)
            known = self._known(connection, [item.id for item in batch if isinstance(item, Intend)])
            placed = _place(batch, known, head.size)
            entries = [place.entry for place in placed if isinstance(place, _Place)]
            if not entries:
                return [place for place in placed if isinstance(place, EarlierRequest)]
            grown = self._ledger.append(connection, entries, self._signer, head)
            self._store_intents(connection, placed)
            self._store_outcomes(connection, placed)
        return [Written(place.index, place.entry, grown) if isinstance(place, _Place) else place for place in placed]

    def _known(self, connection: Connection, identities: list[bytes]) -> dict[bytes, EarlierRequest]:
        if not identities:
            return {}
        rows = connection.execute(self._find, {"identities": identities})
        return {bytes(row[0]): EarlierRequest(bytes(row[1]), row[2], row[3], row[4], row[5]) for row in rows}

    def _store_intents(self, connection: Connection, placed: Sequence["_Place | EarlierRequest"]) -> None:
        new: list[Row] = []
        again: list[Row] = []
        kept: list[Row] = []
        for place in placed:
            if not isinstance(place, _Place) or not isinstance(place.item, Intend):
                continue
            item = place.item
            kept.append((item.evidence_sha256, "proof-of-request", item.now, item.evidence))
            row = (item.id, item.now, item.request_sha256, item.event.records_version, place.index)
            (again if place.retry else new).append(row)
        self._new.run(connection, new)
        self._again.run(connection, again)
        self._keep.run(connection, kept)

    def _store_outcomes(self, connection: Connection, placed: Sequence["_Place | EarlierRequest"]) -> None:
        rows: list[Row] = [
            (place.item.id, place.index, place.item.response)
            for place in placed
            if isinstance(place, _Place) and isinstance(place.item, Conclude)
        ]
        self._conclude.run(connection, rows)


@dataclass(frozen=True, slots=True)
class _Place:
    """A submission with its place in the log; `retry` if an earlier intent of the request has no signature."""

    item: Submission
    index: int
    entry: bytes
    retry: bool = False


def _place(
    batch: Sequence[Submission], known: Mapping[bytes, EarlierRequest], size: int
) -> list[_Place | EarlierRequest]:
    """Give each submission the next index, except those that were answered before, in this very batch too."""
    requests = dict(known)
    placed: list[_Place | EarlierRequest] = []
    for item in batch:
        before = None if isinstance(item, Note) else requests.get(item.id)
        if isinstance(item, Intend):
            if before is not None and (before.response is not None or before.request_sha256 != item.request_sha256):
                placed.append(before)
                continue
            open_before = before is not None and before.outcome is None
            event = replace(item.event, retry_of=before.intent) if before and open_before else item.event
            placed.append(_Place(item, size, encode_event(event), retry=before is not None))
            requests[item.id] = EarlierRequest(item.request_sha256, event.records_version, size, None, None)
        else:
            placed.append(_Place(item, size, encode_event(item.event)))
            if isinstance(item, Conclude) and before is not None:
                requests[item.id] = dataclass_replace(before, outcome=size, response=item.response)
        size += 1
    return placed
