"""Follows the face's log by its leaf hashes: the key holder is the log's first witness.

Each batch brings every leaf hash since the last one, and a signed checkpoint. Hashing them onto the remembered
right edge proves at once that the new log contains the old one and that each new entry is in it; nothing else
the face says about its log is believed (docs/decisions/0007).
"""

from sealwright.domain.errors import InvalidRequestError, LogMistrustedError, MalformedError
from sealwright.domain.messages import LogAdvance
from sealwright.domain.records import SeenLog
from sealwright.structures.merkle import HASH_SIZE, Frontier
from sealwright.structures.note import Verifier
from sealwright.structures.tlog import open_checkpoint

MAX_HASHES = 100_000
"""Most leaf hashes in one batch (3.2 MB); a face that is further behind brings them in several."""


def advance(seen: SeenLog, shown: LogAdvance, log: Verifier) -> SeenLog:
    """Return what was seen after this batch.

    Raises VerificationError, MalformedError or InvalidRequestError if the batch makes no sense (anybody could
    have sent that), and LogMistrustedError if the log itself signed a history that contradicts the one seen:
    that is evidence, after which no more signatures may be made.
    """
    if len(shown.leaf_hashes) > MAX_HASHES or any(len(leaf) != HASH_SIZE for leaf in shown.leaf_hashes):
        raise MalformedError("the batch carries too many leaf hashes, or some of a wrong length")
    checkpoint = open_checkpoint(shown.checkpoint, log)
    before = Frontier.decode(seen.size, seen.frontier)
    if checkpoint.size == seen.size and checkpoint.root != before.root:
        raise LogMistrustedError(f"the log was rewritten: it signed two roots for {seen.size} entries")
    if checkpoint.size < seen.size:
        raise LogMistrustedError(f"the log went back: {seen.size} entries were seen, now it has {checkpoint.size}")
    if shown.from_size != seen.size or seen.size + len(shown.leaf_hashes) != checkpoint.size:
        raise InvalidRequestError(f"leaf hashes from entry {seen.size} on were expected", hint="ask for the snapshot")
    frontier = before.extended(shown.leaf_hashes)
    if frontier.root != checkpoint.root:
        raise LogMistrustedError(f"the log was rewritten: its {checkpoint.size} entries do not contain those seen")
    return SeenLog(frontier.size, frontier.encode(), shown.checkpoint)
