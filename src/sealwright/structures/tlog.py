"""A log by its head: entries in, growth and a signed checkpoint out.

The head (size, right edge, checkpoint) is one row in the role's database. Whoever appends takes the row's
lock, grows the head by what is waiting, and writes entries and head in one transaction: that is the group
commit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sealwright.domain.errors import VerificationError
from sealwright.structures.merkle import Frontier, Growth, leaf_hash
from sealwright.structures.note import Checkpoint, Verifier, sign_note, split_note


@dataclass(frozen=True, slots=True)
class LogSigner:
    """The log's identity: its verifier key, whose name is the origin, and the function that signs for it."""

    verifier: Verifier
    sign: Callable[[bytes], bytes]

    def checkpoint(self, frontier: Frontier) -> str:
        """Return the signed checkpoint of the tree (C2SP tlog-checkpoint)."""
        text = Checkpoint(self.verifier.name, frontier.size, frontier.root).encode()
        return sign_note(text, self.verifier, self.sign)


@dataclass(frozen=True, slots=True)
class Head:
    """Where a log stands: its right edge and the checkpoint signed over it."""

    frontier: Frontier
    checkpoint: str

    @property
    def size(self) -> int:
        """Number of entries."""
        return self.frontier.size


@dataclass(frozen=True, slots=True)
class Grown:
    """The result of appending: leaf hashes of the new entries, the new head, and proofs on demand."""

    leaf_hashes: tuple[bytes, ...]
    head: Head
    growth: Growth


def grow(head: Head, entries: Sequence[bytes], signer: LogSigner) -> Grown:
    """Append entries to the tree and sign the new checkpoint; nothing is stored here."""
    hashes = tuple(leaf_hash(entry) for entry in entries)
    frontier = head.frontier.extended(hashes)
    return Grown(hashes, Head(frontier, signer.checkpoint(frontier)), Growth(head.frontier, hashes))


def open_checkpoint(note: str, verifier: Verifier) -> Checkpoint:
    """Check the log's signature on a checkpoint and read it. Raises VerificationError, MalformedError."""
    verifier.check(note)
    checkpoint = Checkpoint.decode(split_note(note)[0])
    if checkpoint.origin != verifier.name:
        raise VerificationError("the checkpoint is another log's")
    return checkpoint
