"""Proving a whole log again: every way to alter, remove or move an entry is found and named."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sealwright.domain.errors import VerificationError
from sealwright.domain.events import (
    RequestCompleted,
    RequestFailed,
    RequestIntended,
    ServiceStarted,
    encode_event,
)
from sealwright.ledger.audit import StoredEntry, Tally, prove
from sealwright.structures.merkle import Frontier, leaf_hash
from sealwright.structures.note import Checkpoint

MOMENT = "2026-11-23T12:00:00.000000Z"
INTENT = RequestIntended(
    time=MOMENT,
    principal="ci",
    subscriber="acme",
    key="release",
    scheme="plain",
    digest_algorithm="sha256",
    count=2,
    digests_root="",
    request="",
    proof="",
    records_version=1,
)
ENTRIES = [
    encode_event(event)
    for event in (
        ServiceStarted(time=MOMENT, role="signing", version="1"),
        INTENT,
        INTENT,
        RequestCompleted(time=MOMENT, intent=1, count=2, signatures_root=""),
        INTENT,
        RequestFailed(time=MOMENT, intent=4, code="denied"),
    )
]


def stored(entries: Sequence[bytes]) -> list[StoredEntry]:
    return [StoredEntry(index, entry, leaf_hash(entry)) for index, entry in enumerate(entries)]


def checkpoint(entries: Sequence[bytes]) -> Checkpoint:
    frontier = Frontier().extended([leaf_hash(entry) for entry in entries])
    return Checkpoint("log", frontier.size, frontier.root)


def test_a_true_log_is_counted_and_what_stands_open_is_named() -> None:
    told: list[int] = []
    tally = prove(stored(ENTRIES), checkpoint(ENTRIES), [checkpoint(ENTRIES[:3]), checkpoint([])], told.append)
    assert (tally.intents, tally.completed, tally.failed, tally.signatures) == (3, 1, 1, 2)
    assert [(open_.index, open_.key, open_.count) for open_ in tally.open.values()] == [(2, "release", 2)]
    assert told == [6]


def test_progress_is_told_along_the_way() -> None:
    told: list[int] = []
    many = [ENTRIES[0]] * 2_500
    prove(stored(many), checkpoint(many), progress=told.append)
    assert told == [1_000, 2_000, 2_500]


@given(data=st.data(), rehashed=st.booleans())
def test_an_entry_altered_removed_or_moved_is_found(data: st.DataObject, *, rehashed: bool) -> None:
    entries = list(ENTRIES)
    index = data.draw(st.integers(0, len(entries) - 1))
    match data.draw(st.sampled_from(["alter", "remove", "move", "add"])):
        case "alter":
            entries[index] = encode_event(ServiceStarted(time=MOMENT, role="signing", version="2"))
        case "remove":
            del entries[index]
        case "move":
            other = data.draw(st.integers(0, len(entries) - 1).filter(lambda n: entries[n] != entries[index]))
            entries[index], entries[other] = entries[other], entries[index]
        case "add":
            entries.insert(index, ENTRIES[0])
    rows = stored(entries)
    if not rehashed:
        rows = [StoredEntry(row.index, row.entry, leaf_hash(old)) for row, old in zip(rows, ENTRIES, strict=False)]
    with pytest.raises(VerificationError):
        prove(rows, checkpoint(ENTRIES))


def test_a_rewritten_log_with_a_new_checkpoint_is_found_by_its_witness() -> None:
    other = [*ENTRIES[:-1], ENTRIES[0]]
    with pytest.raises(VerificationError, match="size 6"):
        prove(stored(other), checkpoint(other), [checkpoint(ENTRIES)])
    with pytest.raises(VerificationError, match="seen by a witness"):
        prove(stored(ENTRIES[:3]), checkpoint(ENTRIES[:3]), [checkpoint(ENTRIES)])


def test_a_gap_is_named() -> None:
    rows = stored(ENTRIES)
    del rows[2]
    with pytest.raises(VerificationError, match="entry 2 is missing"):
        prove(rows, checkpoint(ENTRIES))


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (b"{}", "cannot be read"),
        (encode_event(RequestFailed(time=MOMENT, intent=0, code="x")), "not open"),
        (encode_event(RequestFailed(time=MOMENT, intent=1, code="x")), "not open"),
        (encode_event(RequestCompleted(time=MOMENT, intent=2, count=3, signatures_root="")), "3 signatures"),
    ],
)
def test_an_entry_without_sense_is_named(entry: bytes, words: str) -> None:
    entries = [*ENTRIES, entry]
    with pytest.raises(VerificationError, match=words):
        prove(stored(entries), checkpoint(entries))


def test_a_tally_closes_an_intent_once() -> None:
    tally = Tally()
    tally.add(0, encode_event(replace(INTENT, count=1)))
    done = encode_event(RequestCompleted(time=MOMENT, intent=0, count=1, signatures_root=""))
    tally.add(1, done)
    with pytest.raises(VerificationError):
        tally.add(2, done)
