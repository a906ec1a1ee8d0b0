"""Counts tokens and keeps the Merkle root over them, for the timestamp authority's own log."""

from sealwright.structures.merkle import Frontier, leaf_hash


class Tally:
    """The tokens issued since the last record: how many, and the root of the tree over them (RFC 6962).

    It holds at most 64 hashes, however many tokens there are. Not for several threads.
    """

    __slots__ = ("_frontier",)

    def __init__(self) -> None:
        self._frontier = Frontier()

    @property
    def count(self) -> int:
        """How many tokens were added since the last `take`."""
        return self._frontier.size

    def add(self, token: bytes) -> None:
        """Count a token."""
        self._frontier = self._frontier.extended((leaf_hash(token),))

    def take(self) -> tuple[int, bytes]:
        """Return count and root, and begin anew."""
        done, self._frontier = self._frontier, Frontier()
        return done.size, done.root
