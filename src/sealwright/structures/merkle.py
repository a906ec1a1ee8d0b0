"""The Merkle tree of RFC 6962, section 2.1, and of RFC 9162: leaf hashes in, roots and proofs out.

`Frontier` is a tree remembered by its right edge alone (at most 64 hashes at any size). It grows by leaf
hashes; someone who keeps one and is sent every new leaf hash knows, without any proof, that the larger tree
contains the smaller one and each new leaf.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from sealwright.domain.errors import MalformedError, VerificationError

EMPTY_ROOT = sha256(b"").digest()
HASH_SIZE = 32
_MAX_PATH = 64

Subtree = Callable[[int, int], bytes]
"""Gives the hash of the leaves in [low, high): the caller's memory of the tree."""


def leaf_hash(entry: bytes) -> bytes:
    """Hash one entry: SHA-256(0x00 || entry) (RFC 6962, section 2.1)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees: SHA-256(0x01 || left || right) (RFC 6962, section 2.1)."""
    return sha256(b"\x01" + left + right).digest()


def split(size: int) -> int:
    """Return the largest power of two smaller than `size` (at least 2): where RFC 6962 splits a tree."""
    return 1 << ((size - 1).bit_length() - 1)


def root_of(leaf_hashes: Sequence[bytes]) -> bytes:
    """Return the root over all the given leaf hashes."""
    return Frontier().extended(leaf_hashes).root


def root_over(entries: Sequence[bytes]) -> bytes:
    """Return the root over entries."""
    return root_of([sha256(b"\x00" + entry).digest() for entry in entries])


@dataclass(frozen=True, slots=True)
class Frontier:
    """A tree of `size` leaves by the hashes of its maximal complete subtrees, largest (leftmost) first."""

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.hashes) != self.size.bit_count():
            raise MalformedError("a frontier has one hash for each bit set in its size")

    def extended(self, leaf_hashes: Sequence[bytes]) -> "Frontier":
        """Return the frontier after appending the leaf hashes in order."""
        stack = list(self.hashes)
        size = self.size
        for leaf in leaf_hashes:
            node, carry = leaf, size
            while carry & 1:
                node = sha256(b"\x01" + stack.pop() + node).digest()  # as `node_hash`, written out: it is hot
                carry >>= 1
            stack.append(node)
            size += 1
        return Frontier(size, tuple(stack))

    @property
    def root(self) -> bytes:
        """The Merkle tree hash at this size."""
        if not self.hashes:
            return EMPTY_ROOT
        node = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            node = node_hash(left, node)
        return node

    def encode(self) -> bytes:
        """Return the hashes joined, for storage beside the size."""
        return b"".join(self.hashes)

    @classmethod
    def decode(cls, size: int, joined: bytes) -> "Frontier":
        """Read what `encode` wrote."""
        if len(joined) % HASH_SIZE:
            raise MalformedError("a frontier is a row of 32-byte hashes")
        return cls(size, tuple(joined[i : i + HASH_SIZE] for i in range(0, len(joined), HASH_SIZE)))


@dataclass(slots=True)
class Growth:
    """A frontier and the leaf hashes just appended to it: proves each new leaf without touching the store."""

    before: Frontier
    leaf_hashes: Sequence[bytes]
    _memory: dict[tuple[int, int], bytes] = field(default_factory=dict)
    _start: int = 0  # of the smallest subtree that holds all new leaves
    _above: list[bytes] = field(default_factory=list)  # the part of every proof that lies above it

    def __post_init__(self) -> None:
        low = 0
        size = self.before.size
        for part in self.before.hashes:
            width = 1 << (size.bit_length() - 1)
            self._memory[low, low + width] = part
            low += width
            size -= width
        if self.leaf_hashes:
            self._share()

    def _share(self) -> None:
        low, high = 0, self.size
        while high - low > 1 and (middle := low + split(high - low)) <= self.before.size:
            self._above.append(self.subtree(low, middle))
            low = middle
        self._start = low
        self._above.reverse()

    @property
    def size(self) -> int:
        """The number of leaves after growth."""
        return self.before.size + len(self.leaf_hashes)

    def subtree(self, low: int, high: int) -> bytes:
        """Return the hash over [low, high); only ranges on a new leaf's path can be asked for."""
        known = self._memory.get((low, high))
        if known is None:
            if high - low == 1:
                if low < self.before.size:
                    raise MalformedError("this range lies in the older part of the tree")
                return self.leaf_hashes[low - self.before.size]
            middle = low + split(high - low)
            known = node_hash(self.subtree(low, middle), self.subtree(middle, high))
            self._memory[low, high] = known
        return known

    def proof(self, index: int) -> list[bytes]:
        """Return the inclusion proof of the leaf at `index` in the tree after growth."""
        if index < self.before.size:
            return inclusion_proof(index, self.size, self.subtree)
        return _path(index, self._start, self.size, self.subtree) + self._above


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """Build PATH(index, D[size]) of RFC 6962, section 2.1.1, from whatever knows the subtrees."""
    return _path(index, 0, size, subtree)


def _path(index: int, low: int, high: int, subtree: Subtree) -> list[bytes]:
    """Return the part of the leaf's proof that lies inside the subtree over [low, high)."""
    if not low <= index < high:
        raise MalformedError(f"there is no leaf {index} in a tree of {high}")
    path: list[bytes] = []
    while high - low > 1:
        middle = low + (1 << (high - low - 1).bit_length() - 1)  # as `split`, written out: two proofs a request
        if index < middle:
            path.append(subtree(middle, high))
            high = middle
        else:
            path.append(subtree(low, middle))
            low = middle
    path.reverse()
    return path


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check an inclusion proof (RFC 9162, section 2.1.3.2) or raise VerificationError."""
    if not 0 <= index < size or len(proof) > _MAX_PATH:
        raise VerificationError("the inclusion proof speaks of a leaf that the tree does not have")
    sides = _sides(index, size - 1, len(proof))
    if sides is None:
        raise VerificationError("the inclusion proof is not as long as the tree is high")
    node = leaf
    for sibling, is_left in zip(proof, sides, strict=True):
        node = node_hash(sibling, node) if is_left else node_hash(node, sibling)
    if node != root:
        raise VerificationError("the inclusion proof does not lead to the checkpoint's root")


def consistency_proof(old: int, size: int, subtree: Subtree) -> list[bytes]:
    """Build PROOF(old, D[size]) of RFC 6962, section 2.1.2."""
    if not 0 < old <= size:
        raise MalformedError(f"a tree of {size} has no earlier size {old}")
    path: list[bytes] = []
    low, high, whole = 0, size, True
    while old != high:
        middle = low + split(high - low)
        if old <= middle:
            path.append(subtree(middle, high))
            high = middle
        else:
            path.append(subtree(low, middle))
            low, whole = middle, False
    if not whole:
        path.append(subtree(low, high))
    path.reverse()
    return path


def check_consistency(old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Check a consistency proof (RFC 9162, section 2.1.4.2) or raise VerificationError."""
    bad = VerificationError("the log's newer checkpoint does not contain the older one")
    if not 0 < old <= size or len(proof) > 2 * _MAX_PATH:
        raise bad
    if old == size:
        if proof or old_root != root:
            raise bad
        return
    path = list(proof)
    if old.bit_count() == 1:
        path.insert(0, old_root)
    if not path:
        raise bad
    height = (old & -old).bit_length() - 1  # of the smallest complete subtree at the older tree's right edge
    sides = _sides((old - 1) >> height, (size - 1) >> height, len(path) - 1)
    if sides is None:
        raise bad
    older = newer = path[0]
    for sibling, is_left in zip(path[1:], sides, strict=True):
        if is_left:
            older = node_hash(sibling, older)
            newer = node_hash(sibling, newer)
        else:
            newer = node_hash(newer, sibling)
    if older != old_root or newer != root:
        raise bad


def _sides(position: int, last: int, count: int) -> list[bool] | None:
    """Tell for each part of a path whether it stands on the left; None if the tree has no path of `count` parts."""
    sides = []
    for _ in range(count):
        if last == 0:
            return None
        is_left = bool(position & 1) or position == last
        sides.append(is_left)
        if is_left:
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        position >>= 1
        last >>= 1
    return sides if last == 0 else None
