"""Hashes of a stored log by C2SP tlog-tiles: level 0 are the leaf hashes, level n the roots of 256^n leaves."""

from collections.abc import Callable, Sequence

from sealwright.structures.merkle import node_hash, root_of, split

TILE_WIDTH = 256

ReadHashes = Callable[[int, int, int], Sequence[bytes]]
"""Gives `count` stored hashes of a level from an index on: (level, index, count)."""


def completed(old_size: int, new_size: int) -> list[tuple[int, int]]:
    """Name the (level, index) of each full tile that growing from old to new size completed, lowest level first."""
    found: list[tuple[int, int]] = []
    level, width = 0, TILE_WIDTH
    while new_size // width:
        found.extend((level, index) for index in range(old_size // width, new_size // width))
        level += 1
        width *= TILE_WIDTH
    return found


def subtree(low: int, high: int, read: ReadHashes) -> bytes:
    """Hash the leaves in [low, high) as RFC 6962 does, from stored hashes; reads a few tiles at any size."""
    width = high - low
    if width & (width - 1) == 0 and low % width == 0:
        level, unit = 0, 1
        while unit * TILE_WIDTH <= width:
            level += 1
            unit *= TILE_WIDTH
        return root_of(read(level, low // unit, width // unit))
    middle = low + split(width)
    return node_hash(subtree(low, middle, read), subtree(middle, high, read))
