"""The Merkle tree against the definitions of RFC 6962, written down here as plainly as they stand there."""

from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealwright.domain.errors import MalformedError, VerificationError
from sealwright.structures.merkle import (
    EMPTY_ROOT,
    Frontier,
    Growth,
    check_consistency,
    check_inclusion,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
    split,
)

# Inputs and roots of the first 1 to 8 leaves: google/certificate-transparency, merkletree/merkle_tree_test.cc.
CT_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
# Leaf (counted from 1), tree size, path: the same file.
CT_PATHS = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (3, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
]

MOST = 300
LEAVES = [sha256(b"leaf %d" % number).digest() for number in range(MOST)]
sizes = st.integers(min_value=1, max_value=MOST)


def mth(leaves: Sequence[bytes]) -> bytes:
    """MTH(D[n]) of RFC 6962, section 2.1, over leaf hashes."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = largest_power_below(len(leaves))
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n]) of RFC 6962, section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = largest_power_below(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def proof(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PROOF(m, D[n]) of RFC 6962, section 2.1.2."""
    return subproof(m, leaves, complete=True)


def subproof(m: int, leaves: Sequence[bytes], *, complete: bool) -> list[bytes]:
    """SUBPROOF(m, D[n], b) of the same section."""
    if m == len(leaves):
        return [] if complete else [mth(leaves)]
    k = largest_power_below(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], complete=complete), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], complete=False), mth(leaves[:k])]


def largest_power_below(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def memory(low: int, high: int) -> bytes:
    return mth(LEAVES[low:high])


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert root_of([]) == EMPTY_ROOT == mth([]) == Frontier().root


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_certificate_transparency(size: int) -> None:
    assert root_of([leaf_hash(entry) for entry in CT_LEAVES[:size]]).hex() == CT_ROOTS[size - 1]


@pytest.mark.parametrize(("leaf", "size", "expected"), CT_PATHS)
def test_paths_are_those_of_certificate_transparency(leaf: int, size: int, expected: list[str]) -> None:
    hashes = [leaf_hash(entry) for entry in CT_LEAVES]
    found = inclusion_proof(leaf - 1, size, lambda low, high: mth(hashes[low:high]))
    assert [part.hex() for part in found] == expected
    check_inclusion(hashes[leaf - 1], leaf - 1, size, found, bytes.fromhex(CT_ROOTS[size - 1]))


def test_a_leaf_cannot_be_taken_for_a_node() -> None:
    left, right = LEAVES[:2]
    assert leaf_hash(left + right) != node_hash(left, right)


@given(size=st.integers(min_value=2, max_value=1 << 40))
def test_trees_are_split_at_the_largest_power_of_two_below_their_size(size: int) -> None:
    assert split(size) == largest_power_below(size)


@given(size=st.integers(min_value=0, max_value=MOST), cut=st.integers(min_value=0, max_value=MOST))
def test_a_frontier_grows_to_the_root_of_the_whole_tree(size: int, cut: int) -> None:
    cut = min(cut, size)
    grown = Frontier().extended(LEAVES[:cut]).extended(LEAVES[cut:size])
    assert grown.size == size
    assert grown.root == root_of(LEAVES[:size]) == mth(LEAVES[:size])
    assert Frontier.decode(size, grown.encode()) == grown


@pytest.mark.parametrize(("size", "joined"), [(-1, b""), (0, b"x" * 32), (3, b"x" * 32), (1, b"x" * 31), (1, b"")])
def test_a_frontier_that_cannot_be_is_refused(size: int, joined: bytes) -> None:
    with pytest.raises(MalformedError):
        Frontier.decode(size, joined)


@given(size=sizes, data=st.data())
def test_inclusion_is_proven_as_the_standard_defines(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(min_value=0, max_value=size - 1))
    found = inclusion_proof(index, size, memory)
    assert found == path(index, LEAVES[:size])
    check_inclusion(LEAVES[index], index, size, found, mth(LEAVES[:size]))


@given(before=st.integers(min_value=0, max_value=MOST - 1), data=st.data())
def test_growth_proves_each_new_leaf_from_the_frontier_alone(before: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(min_value=before + 1, max_value=MOST))
    growth = Growth(Frontier().extended(LEAVES[:before]), LEAVES[before:size])
    for index in {before, (before + size) // 2, size - 1}:
        assert growth.proof(index) == inclusion_proof(index, size, memory)
    assert growth.subtree(0, size) == mth(LEAVES[:size])


def test_growth_does_not_know_the_single_leaves_of_the_older_tree() -> None:
    growth = Growth(Frontier().extended(LEAVES[:4]), LEAVES[4:6])
    with pytest.raises(MalformedError, match="older part"):
        growth.proof(1)


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_no_proof_is_made_for_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(MalformedError):
        inclusion_proof(index, size, memory)
    with pytest.raises(VerificationError):
        check_inclusion(LEAVES[0], index, size, [], LEAVES[0])


@given(size=sizes, data=st.data())
def test_a_changed_inclusion_proof_is_refused(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(min_value=0, max_value=size - 1))
    root = mth(LEAVES[:size])
    good = path(index, LEAVES[:size])
    for bad in changed(good, data):
        with pytest.raises(VerificationError):
            check_inclusion(LEAVES[index], index, size, bad, root)
    with pytest.raises(VerificationError):
        check_inclusion(flipped(LEAVES[index]), index, size, good, root)
    with pytest.raises(VerificationError):
        check_inclusion(LEAVES[index], index, size, good, flipped(root))
    if size > 1:
        with pytest.raises(VerificationError):
            check_inclusion(LEAVES[index], (index + 1) % size, size, good, root)


@given(size=sizes, data=st.data())
def test_consistency_is_proven_as_the_standard_defines(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(min_value=1, max_value=size))
    found = consistency_proof(old, size, memory)
    assert found == proof(old, LEAVES[:size])
    check_consistency(old, mth(LEAVES[:old]), size, mth(LEAVES[:size]), found)


@given(size=sizes, data=st.data())
def test_a_rewritten_log_has_no_consistency_proof(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(min_value=1, max_value=size))
    old_root, root = mth(LEAVES[:old]), mth(LEAVES[:size])
    good = proof(old, LEAVES[:size])
    for bad in changed(good, data):
        with pytest.raises(VerificationError):
            check_consistency(old, old_root, size, root, bad)
    with pytest.raises(VerificationError):
        check_consistency(old, flipped(old_root), size, root, good)
    with pytest.raises(VerificationError):
        check_consistency(old, old_root, size, flipped(root), good)


@pytest.mark.parametrize(("old", "size"), [(0, 3), (4, 3), (-1, 3)])
def test_sizes_that_are_not_earlier_have_no_consistency_proof(old: int, size: int) -> None:
    with pytest.raises(MalformedError):
        consistency_proof(old, size, memory)
    with pytest.raises(VerificationError):
        check_consistency(old, LEAVES[0], size, LEAVES[1], [])


def test_proofs_without_end_are_refused_before_they_are_hashed() -> None:
    with pytest.raises(VerificationError):
        check_inclusion(LEAVES[0], 0, 2, LEAVES[:65], LEAVES[1])
    with pytest.raises(VerificationError):
        check_consistency(1, LEAVES[0], 2, LEAVES[1], LEAVES[:129])


@given(
    index=st.integers(min_value=-2, max_value=1 << 64),
    size=st.integers(min_value=-2, max_value=1 << 64),
    parts=st.lists(st.binary(max_size=40), max_size=70),
)
def test_noise_is_refused_with_the_one_error(index: int, size: int, parts: list[bytes]) -> None:
    with pytest.raises(VerificationError):
        check_inclusion(LEAVES[0], index, size, parts, LEAVES[1])
    with pytest.raises(VerificationError):
        check_consistency(index, LEAVES[0], size, LEAVES[1], parts)


def flipped(value: bytes) -> bytes:
    return bytes([value[0] ^ 1]) + value[1:]


def changed(good: list[bytes], data: st.DataObject) -> list[list[bytes]]:
    """Return proofs that differ from a good one: longer, shorter, one hash altered, two exchanged."""
    bad = [[*good, LEAVES[0]], [LEAVES[0], *good]]
    if good:
        spot = data.draw(st.integers(min_value=0, max_value=len(good) - 1))
        bad += [good[1:], good[:-1], [*good[:spot], flipped(good[spot]), *good[spot + 1 :]]]
    if len(good) > 1:
        bad.append([good[1], good[0], *good[2:]])
    return bad
