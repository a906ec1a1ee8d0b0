"""A log's head: grown by any steps it is the same, and its checkpoint is the log's own word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealwright.domain.errors import MalformedError, VerificationError
from sealwright.structures.merkle import Frontier, check_inclusion, leaf_hash
from sealwright.structures.note import Checkpoint, Verifier, sign_note
from sealwright.structures.tlog import Head, grow, open_checkpoint
from tests.unit.custody.world import LOG, LOG_KEY, raw

EMPTY = Head(Frontier(), LOG.checkpoint(Frontier()))


@given(batches=st.lists(st.lists(st.binary(max_size=8), max_size=9), max_size=6))
def test_a_log_grown_in_any_batches_is_the_same_tree_and_proves_each_new_leaf(batches: list[list[bytes]]) -> None:
    head, entries = EMPTY, list[bytes]()
    for batch in batches:
        grown = grow(head, batch, LOG)
        first, head = head.size, grown.head
        entries += batch
        opened = open_checkpoint(head.checkpoint, LOG.verifier)
        assert (opened.size, opened.root) == (len(entries), Frontier().extended(list(map(leaf_hash, entries))).root)
        for index in range(first, head.size):
            check_inclusion(leaf_hash(entries[index]), index, head.size, grown.growth.proof(index), opened.root)


def test_a_checkpoint_of_another_log_or_key_is_refused() -> None:
    other = Verifier("elsewhere", raw(LOG_KEY))
    note = sign_note(Checkpoint("elsewhere", 0, bytes(32)).encode(), LOG.verifier, LOG.sign)
    with pytest.raises(VerificationError, match="another log"):
        open_checkpoint(note, LOG.verifier)
    with pytest.raises(VerificationError):
        open_checkpoint(EMPTY.checkpoint, other)
    with pytest.raises(MalformedError):
        open_checkpoint("", LOG.verifier)
