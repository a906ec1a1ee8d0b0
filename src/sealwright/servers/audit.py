"""Proves every log of a deployment again, and that they agree with one another."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sealwright.domain.errors import SealwrightError
from sealwright.ledger.audit import OpenIntent, StoredEntry, Tally, prove
from sealwright.servers.deployment import Deployment
from sealwright.storage.keyholder import KeyHolderDatabase
from sealwright.storage.migrations import METADATA
from sealwright.storage.role_log import LogReader
from sealwright.structures.merkle import Frontier
from sealwright.structures.note import Checkpoint
from sealwright.structures.tlog import open_checkpoint


@dataclass(frozen=True, slots=True)
class LogResult:
    """One role's log: how many entries were proved, or why it does not hold."""

    role: str
    origin: str
    size: int
    root: str
    error: str = ""


@dataclass(slots=True)
class Audit:
    """The result over all logs; `open_intents` count as used (DESIGN, 'What must always be true')."""

    logs: list[LogResult] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    uses: dict[str, int] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether every log holds."""
        return all(not log.error for log in self.logs)

    @property
    def open_intents(self) -> list[OpenIntent]:
        """Intents without an outcome, oldest first."""
        return sorted(self.tally.open.values(), key=lambda intent: intent.index)


def audit(deployment: Deployment, progress: Callable[[str, int, int], None]) -> Audit:
    """Prove all logs; `progress` is told role, entries proved and entries in all."""
    result = Audit()
    for role in METADATA:
        result.logs.append(_prove(deployment, role, result, progress))
    database = KeyHolderDatabase(deployment.reader("keyholder"), deployment.log_signer("keyholder"))
    result.uses = dict(database.uses())
    return result


def _prove(deployment: Deployment, role: str, result: Audit, progress: Callable[[str, int, int], None]) -> LogResult:
    reader = LogReader(deployment.reader(role), METADATA[role])
    verifier = deployment.log_verifier(role)
    # What the key holder saw is read first: the log, read after it, can only have grown since.
    earlier = list(_seen(deployment)) if role == "signing" else []
    head = reader.head()
    try:
        checkpoint = open_checkpoint(head.checkpoint, verifier)
        stored = (StoredEntry(*row) for row in reader.entries(0, head.size))
        tally = prove(stored, checkpoint, earlier, lambda done: progress(role, done, head.size))
    except SealwrightError as error:
        return LogResult(role, verifier.name, head.size, "", error.detail)
    if role == "signing":
        result.tally = tally
    return LogResult(role, verifier.name, checkpoint.size, checkpoint.root.hex())


def _seen(deployment: Deployment) -> Iterator[Checkpoint]:
    """Give the log as the key holder, its first witness, saw it last."""
    database = KeyHolderDatabase(deployment.reader("keyholder"), deployment.log_signer("keyholder"))
    seen = database.load().seen
    if seen.size:
        frontier = Frontier.decode(seen.size, seen.frontier)
        yield Checkpoint(deployment.log_name("signing"), seen.size, frontier.root)
