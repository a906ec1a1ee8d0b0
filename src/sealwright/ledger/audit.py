"""Proves a whole log again from its entries, and lists what stands open in it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sealwright.domain.errors import MalformedError, VerificationError
from sealwright.domain.events import RequestCompleted, RequestFailed, RequestIntended, decode_event
from sealwright.structures.merkle import Frontier, leaf_hash
from sealwright.structures.note import Checkpoint

_STEP = 1_000


@dataclass(frozen=True, slots=True)
class OpenIntent:
    """An intent without an outcome: the signature may or may not have been made; it counts as used."""

    index: int
    time: str
    principal: str
    key: str
    count: int


@dataclass(slots=True)
class Tally:
    """What the entries of a log add up to."""

    intents: int = 0
    completed: int = 0
    failed: int = 0
    signatures: int = 0
    open: dict[int, OpenIntent] = field(default_factory=dict)

    def add(self, index: int, entry: bytes) -> None:
        """Count one entry, or raise VerificationError if it speaks of an intent that is not open."""
        match decode_event(entry):
            case RequestIntended() as event:
                self.intents += 1
                self.open[index] = OpenIntent(index, event.time, event.principal, event.key, event.count)
            case RequestCompleted() as event:
                self._close(index, event.intent, event.count)
                self.completed += 1
                self.signatures += event.count
            case RequestFailed() as event:
                self._close(index, event.intent, None)
                self.failed += 1
            case _:
                pass

    def _close(self, index: int, intent: int, count: int | None) -> None:
        opened = self.open.pop(intent, None)
        if opened is None:
            raise VerificationError(f"entry {index} closes intent {intent}, which is not open")
        if count is not None and count != opened.count:
            raise VerificationError(f"entry {index} has {count} signatures for an intent over {opened.count}")


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry as it was stored: its place, its bytes and the leaf hash beside it."""

    index: int
    entry: bytes
    leaf_hash: bytes


def prove(
    stored: Iterable[StoredEntry],
    checkpoint: Checkpoint,
    earlier: Iterable[Checkpoint] = (),
    progress: Callable[[int], None] | None = None,
) -> Tally:
    """Hash every entry anew and compare with the checkpoint and with each earlier one; return the tally.

    `earlier` are checkpoints that others (the key holder, witnesses) have seen. Raises VerificationError
    that names the first entry or checkpoint that does not hold.
    """
    seen = sorted(earlier, key=lambda known: known.size)
    tally = Tally()
    frontier = Frontier()
    expected = 0
    for item in stored:
        if item.index != expected:
            raise VerificationError(f"entry {expected} is missing: the next one stored is {item.index}")
        frontier = _compare(frontier, seen)
        hashed = leaf_hash(item.entry)
        if hashed != item.leaf_hash:
            raise VerificationError(f"entry {item.index} was altered: it does not have the hash stored beside it")
        try:
            tally.add(item.index, item.entry)
        except MalformedError as error:
            raise VerificationError(f"entry {item.index} cannot be read: {error.detail}") from None
        frontier = frontier.extended((hashed,))
        expected += 1
        if progress and expected % _STEP == 0:
            progress(expected)
    frontier = _compare(frontier, seen)
    if seen:
        raise VerificationError(f"the log has {frontier.size} entries, yet {seen[0].size} were seen by a witness")
    if frontier.size != checkpoint.size:
        raise VerificationError(f"the log has {frontier.size} entries, its checkpoint says {checkpoint.size}")
    if frontier.root != checkpoint.root:
        raise VerificationError("the entries do not lead to the checkpoint's root: an entry was altered or moved")
    if progress:
        progress(expected)
    return tally


def _compare(frontier: Frontier, seen: list[Checkpoint]) -> Frontier:
    while seen and seen[0].size == frontier.size:
        if seen.pop(0).root != frontier.root:
            raise VerificationError(f"a witness saw another log at size {frontier.size}: history was rewritten")
    return frontier
