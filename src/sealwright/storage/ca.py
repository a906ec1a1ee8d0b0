"""The certification authority's database: certificates from intent to revocation, officers, CRLs, and its log."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from hashlib import sha256

from sqlalchemy import Connection, Engine, bindparam, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from sealwright.contracts import Clock
from sealwright.domain.errors import ConflictError, NotFoundError
from sealwright.domain.events import CertificateIssued, IssuanceIntended, RevocationListIssued, timestamp
from sealwright.storage.engine import reading
from sealwright.storage.prepared import Prepared, Row
from sealwright.storage.role_log import RoleLog
from sealwright.storage.tables import ca as tables
from sealwright.structures.tlog import LogSigner

_EVER = -(2**63)  # before any moment, in seconds since 1970


class AuthorityDatabase:
    """Over SQLite or PostgreSQL; every method is one durable transaction."""

    def __init__(self, engine: Engine, signer: LogSigner, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._reading = reading(engine)
        self.log = RoleLog(engine, tables.metadata, signer)
        table = tables.certificate
        intent = ("authority", "serial", "profile", "authorisation", "intent")
        self._add_intents = Prepared(engine.dialect, insert(table), intent)
        save = (
            update(table)
            .where(table.c.authority == bindparam("by"), table.c.serial == bindparam("number"))
            .values(certificate=bindparam("der"))
        )
        self._save_certificates = Prepared(engine.dialect, save, ("by", "number", "der"))
        self._find_intents = select(table.c.authority, table.c.serial, table.c.intent).where(
            table.c.serial.in_(bindparam("serials", expanding=True))
        )
        self._find_officer = select(tables.officer.c.public_key).where(tables.officer.c.name == bindparam("officer"))
        use = tables.authorisation_use
        mine = use.c.authorisation == bindparam("mine")
        self._count_uses = select(func.count()).select_from(use).where(mine, use.c.used >= bindparam("since"))
        self._last_use = select(func.max(use.c.number)).where(mine)
        self._add_uses = Prepared(engine.dialect, insert(use), ("authorisation", "number", "used"))

    def create(self) -> None:
        """Begin an empty log; what exists is left as it is."""
        self.log.create()

    def save_intents(self, intents: Sequence[tuple[str, str, str, str, bytes]]) -> None:
        """Save (authority, profile, serial, authorisation, TBS) before the CA key is used.

        Raises ConflictError if a serial was used before under its authority.
        """
        now = timestamp(self._clock())
        events = [
            IssuanceIntended(
                time=now,
                issuer=authority,
                profile=profile,
                serial=serial,
                to_be_signed=sha256(to_be_signed).hexdigest(),
                authorisation=authorisation,
            )
            for authority, profile, serial, authorisation, to_be_signed in intents
        ]
        try:
            with self._engine.begin() as connection:
                grown = self.log.append(connection, events)
                first = grown.growth.before.size
                rows: list[Row] = [
                    (authority, serial, profile, authorisation, first + i)
                    for i, (authority, profile, serial, authorisation, _) in enumerate(intents)
                ]
                self._add_intents.run(connection, rows)
        except IntegrityError:
            raise ConflictError("a certificate with this serial number was begun before") from None

    def save_certificates(self, certificates: Sequence[tuple[str, str, bytes]]) -> None:
        """Save (authority, serial, DER) beside the intents."""
        now = timestamp(self._clock())
        with self._engine.begin() as connection:
            serials = {"serials": [serial for _, serial, _ in certificates]}
            found = {(row[0], row[1]): row[2] for row in connection.execute(self._find_intents, serials)}
            self._save_certificates.run(connection, [(by, serial, der) for by, serial, der in certificates])
            events = [
                CertificateIssued(
                    time=now,
                    intent=found[authority, serial],
                    serial=serial,
                    certificate=sha256(der).hexdigest(),
                )
                for authority, serial, der in certificates
            ]
            self.log.append(connection, events)

    def revoked(self, authority: str) -> list[tuple[int, datetime, str]]:
        """Return (serial, revocation date, reason) of all revoked certificates of this authority."""
        table = tables.certificate
        query = (
            select(table.c.serial, table.c.revoked, table.c.reason)
            .where(table.c.authority == authority, table.c.revoked.is_not(None))
            .order_by(table.c.serial)
        )
        with self._engine.begin() as connection:
            rows = connection.execute(query).all()
        return [(int(row.serial, 16), datetime.fromtimestamp(row.revoked, UTC), row.reason) for row in rows]

    def revoke(self, serial: str, at: datetime, reason: str) -> str:
        """Mark a certificate as revoked from `at` on and return its authority. Raises NotFoundError."""
        table = tables.certificate
        with self._engine.begin() as connection:
            row = connection.execute(select(table.c.authority).where(table.c.serial == serial)).first()
            if row is None:
                raise NotFoundError(f"there is no certificate with the serial number {serial}")
            change = update(table).where(table.c.serial == serial)
            connection.execute(change.values(revoked=int(at.timestamp()), reason=reason))
        return str(row.authority)

    def next_crl_number(self, authority: str) -> int:
        """Return a number greater than that of any earlier CRL of this authority."""
        query = select(tables.crl.c.number).where(tables.crl.c.authority == authority)
        with self._engine.begin() as connection:
            return (connection.execute(query).scalar() or 0) + 1

    def save_crl(self, authority: str, number: int, next_update: datetime, crl: bytes, revoked: int) -> None:
        """Keep an authority's newest CRL."""
        values = {"number": number, "next_update": int(next_update.timestamp()), "crl": crl}
        event = RevocationListIssued(
            time=timestamp(self._clock()),
            issuer=authority,
            number=number,
            crl=sha256(crl).hexdigest(),
            revoked=revoked,
        )
        with self._engine.begin() as connection:
            done = connection.execute(update(tables.crl).where(tables.crl.c.authority == authority).values(values))
            if done.rowcount == 0:
                connection.execute(insert(tables.crl).values(authority=authority, **values))
            self.log.append(connection, [event])

    def crl(self, authority: str) -> tuple[datetime, bytes] | None:
        """Return the newest CRL and when the next one is due; None if there is none yet."""
        query = select(tables.crl.c.next_update, tables.crl.c.crl).where(tables.crl.c.authority == authority)
        with self._engine.begin() as connection:
            row = connection.execute(query).first()
        return (datetime.fromtimestamp(row[0], UTC), bytes(row[1])) if row else None

    def claim(self, claims: Sequence[tuple[str, datetime, int, datetime | None]]) -> list[bool]:
        """Record uses (authorisation, moment, limit, since) in order; tell which were within their limit.

        A use is recorded unless `limit` uses are recorded already, since a moment or at all.
        """
        answers: list[bool] = []
        rows: list[Row] = []
        added: Counter[str] = Counter()
        used: dict[tuple[str, int], int] = {}
        numbers: dict[str, int] = {}
        with self._engine.begin() as connection:
            for authorisation, moment, limit, since in claims:
                counted = authorisation, _EVER if since is None else int(since.timestamp())
                if counted not in used:
                    used[counted] = self._used(connection, *counted)
                within = used[counted] + added[authorisation] < limit
                answers.append(within)
                if within:
                    if authorisation not in numbers:
                        numbers[authorisation] = self._next_use(connection, authorisation)
                    number = numbers[authorisation] + added[authorisation]
                    rows.append((authorisation, number, int(moment.timestamp())))
                    added[authorisation] += 1
            self._add_uses.run(connection, rows)
        return answers

    def _used(self, connection: Connection, authorisation: str, since: int) -> int:
        return int(connection.execute(self._count_uses, {"mine": authorisation, "since": since}).scalar_one())

    def _next_use(self, connection: Connection, authorisation: str) -> int:
        last = connection.execute(self._last_use, {"mine": authorisation}).scalar()
        return 0 if last is None else last + 1

    def enrol_officer(self, name: str, public_key: bytes) -> None:
        """Make a registration officer known; one that is known with the same key is left as it is."""
        table = tables.officer
        with self._engine.begin() as connection:
            known = connection.execute(select(table.c.public_key).where(table.c.name == name)).scalar()
            if known is None:
                connection.execute(insert(table).values(name=name, public_key=public_key))
            elif bytes(known) != public_key:
                raise ConflictError(f"there is an officer {name!r} with another key")

    def officer(self, name: str) -> bytes | None:
        """Return an officer's public key."""
        with self._reading.begin() as connection:
            key = connection.execute(self._find_officer, {"officer": name}).scalar()
        return bytes(key) if key is not None else None

    def certificates(self, authority: str) -> Iterable[bytes]:
        """Return all certificates of an authority, oldest first."""
        table = tables.certificate
        query = (
            select(table.c.certificate)
            .where(table.c.authority == authority, table.c.certificate.is_not(None))
            .order_by(table.c.intent)
        )
        with self._engine.begin() as connection:
            return [bytes(row[0]) for row in connection.execute(query)]
