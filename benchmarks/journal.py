"""The journal alone: intents and outcomes made durable in SQLite, as the face does it for every request."""

import asyncio
import time
from hashlib import sha256
from pathlib import Path
from secrets import token_bytes

import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.cores import Cores
from benchmarks.results import Row, Section
from sealwright.domain.events import RequestCompleted, RequestIntended
from sealwright.storage.engine import open_engine
from sealwright.storage.journal import Journal
from sealwright.storage.migrations import migrate
from sealwright.storage.signing import Conclude, Intend, Result, SigningDatabase, Submission, Written
from sealwright.structures.note import Verifier
from sealwright.structures.tlog import LogSigner

_AT_ONCE = (64, 256)
_EVIDENCE = token_bytes(700)  # a proof of request over one digest
_RESPONSE = token_bytes(3_000)  # a signature with its certificates, and the intent's proof
_HEX = "0" * 64


def measure_journal(place: Path, cores: Cores, seconds: float) -> Section:
    """Measure requests a second: each is an intent and, when that is durable, an outcome."""
    rows = []
    for at_once in _AT_ONCE:
        path = place / f"journal-{at_once}.db"
        with cores.on_server(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            rate = runner.run(_run(path, at_once, seconds))
        details = {"entries/s": 2 * rate}
        rows.append(Row(f"{at_once} at once", rate, "requests/s", None, "", "7,000/s", details))
    return Section("Journal alone, SQLite, one core: intent and outcome durable", rows)


async def _run(path: Path, at_once: int, seconds: float) -> float:
    key = Ed25519PrivateKey.generate()
    engine = open_engine(f"sqlite:///{path}")
    migrate(engine, "signing")
    verifier = Verifier("bench.example/log", key.public_key().public_bytes_raw())
    database = SigningDatabase(engine, LogSigner(verifier, key.sign))
    database.create()
    journal: Journal[Submission, Result] = Journal(database.commit)
    begun = time.perf_counter()
    counts = await asyncio.gather(*(_requests(journal, begun + seconds) for _ in range(at_once)))
    elapsed = time.perf_counter() - begun
    await journal.close()
    engine.dispose()
    return sum(counts) / elapsed


async def _requests(journal: Journal[Submission, Result], end: float) -> int:
    count = 0
    while time.perf_counter() < end:
        identity = token_bytes(32)
        evidence = _EVIDENCE + identity
        intent = RequestIntended(
            time="2026-01-01T00:00:00.000000Z",
            principal="cli",
            subscriber="first",
            key="default",
            scheme="authenticode",
            digest_algorithm="sha256",
            count=1,
            digests_root=_HEX,
            request=_HEX,
            proof=_HEX,
            records_version=7,
            certificate=_HEX,
        )
        record = Intend(identity, intent, identity, sha256(evidence).digest(), evidence, 1_767_225_600)
        written = await journal.submit(record)
        if not isinstance(written, Written):
            raise SystemExit("the journal took a new request for an old one")
        outcome = RequestCompleted(time=intent.time, intent=written.index, count=1, signatures_root=_HEX)
        await journal.submit(Conclude(identity, outcome, _RESPONSE))
        count += 1
    return count
