"""Counting tokens: the root is the one of the tree over all of them, and each count begins anew."""

from hypothesis import given
from hypothesis import strategies as st

from sealwright.structures.merkle import EMPTY_ROOT, leaf_hash, root_of
from sealwright.timestamping.tally import Tally


@given(st.lists(st.binary(max_size=8), max_size=40), st.lists(st.binary(max_size=8), max_size=5))
def test_count_and_root_cover_exactly_what_was_added_since(first: list[bytes], second: list[bytes]) -> None:
    tally = Tally()
    for tokens in (first, second):
        for token in tokens:
            tally.add(token)
        assert tally.count == len(tokens)
        assert tally.take() == (len(tokens), root_of([leaf_hash(token) for token in tokens]))
    assert tally.take() == (0, EMPTY_ROOT)
