"""Stored hashes of a log by tiles: the same roots as the whole tree gives, from a few of them."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealwright.structures.merkle import leaf_hash, root_of
from sealwright.structures.tiles import TILE_WIDTH, completed, subtree

LEAVES = [leaf_hash(number.to_bytes(4, "big")) for number in range(1_500)]


def read(level: int, index: int, count: int) -> Sequence[bytes]:
    """Give stored hashes; no call may ask for more than one tile."""
    assert 0 < count <= TILE_WIDTH
    if level == 0:
        return LEAVES[index : index + count]
    width = TILE_WIDTH**level
    return [root_of(LEAVES[n * width : (n + 1) * width]) for n in range(index, index + count)]


@given(low=st.integers(0, 1_499), width=st.integers(1, 1_500))
def test_a_subtree_is_hashed_as_the_whole_tree_hashes_it(low: int, width: int) -> None:
    size = 1 << (width.bit_length() - 1)
    low -= low % size
    high = min(low + width, low + size, len(LEAVES))
    assert subtree(low, high, read) == root_of(LEAVES[low:high])


def test_the_whole_tree_is_the_root() -> None:
    assert subtree(0, len(LEAVES), read) == root_of(LEAVES)


@given(cuts=st.lists(st.integers(0, 200_000), max_size=6))
def test_each_full_tile_is_completed_exactly_once_however_the_log_grows(cuts: list[int]) -> None:
    sizes = [0, *sorted(cuts)]
    found = [tile for old, new in pairwise(sizes) for tile in completed(old, new)]
    assert sorted(found) == sorted(completed(0, sizes[-1]))
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("old", "new", "tiles"),
    [
        (0, 255, []),
        (255, 256, [(0, 0)]),
        (256, 511, []),
        (0, 512, [(0, 0), (0, 1)]),
        (65_535, 65_536, [(0, 255), (1, 0)]),
    ],
)
def test_tiles_are_completed_lowest_level_first(old: int, new: int, tiles: list[tuple[int, int]]) -> None:
    assert completed(old, new) == tiles
