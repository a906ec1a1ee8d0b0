"""What the key holder believes of the log it is shown: growth that fits, and nothing else."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sealwright.custody.witness import MAX_HASHES, advance
from sealwright.domain.errors import InvalidRequestError, LogMistrustedError, MalformedError, VerificationError
from sealwright.domain.messages import LogAdvance
from sealwright.domain.records import SeenLog
from sealwright.structures.merkle import Frontier, leaf_hash
from sealwright.structures.note import Verifier
from sealwright.structures.tlog import LogSigner, open_checkpoint
from tests.unit.custody.world import DEPLOYMENT, LOG, World, raw, seen_of

ENTRIES = [bytes([number]) for number in range(20)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]


def shown(size: int, start: int, leaves: list[bytes] | None = None, signer: LogSigner = LOG) -> LogAdvance:
    known = (LEAVES if leaves is None else leaves)[:size]
    return LogAdvance(start, known[start:], signer.checkpoint(Frontier().extended(known)))


@given(cuts=st.lists(st.integers(0, 20), max_size=8))
def test_a_log_that_only_grows_is_followed_in_any_steps(cuts: list[int]) -> None:
    seen = SeenLog()
    for size in sorted(cuts):
        seen = advance(seen, shown(size, seen.size), LOG.verifier)
        frontier = Frontier().extended(LEAVES[:size])
        assert (seen.size, seen.frontier) == (size, frontier.encode())


@given(
    old=st.integers(1, 19),
    size=st.integers(1, 20),
    changed=st.integers(0, 18),
)
def test_a_log_that_went_back_or_changed_what_was_seen_is_mistrusted(old: int, size: int, changed: int) -> None:
    changed %= old
    other = [*LEAVES[:changed], leaf_hash(b"other"), *LEAVES[changed + 1 :]]
    batch = shown(size, min(old, size), other)
    with pytest.raises(LogMistrustedError):
        advance(seen_of(ENTRIES[:old]), batch, LOG.verifier)


def test_two_roots_for_one_size_are_evidence_whatever_hashes_come_with_them() -> None:
    other = [leaf_hash(b"other"), *LEAVES[1:5]]
    with pytest.raises(LogMistrustedError, match="two roots"):
        advance(seen_of(ENTRIES[:5]), shown(5, 0, other), LOG.verifier)


@pytest.mark.parametrize(
    ("batch", "error"),
    [
        (shown(8, 4), InvalidRequestError),
        (shown(8, 6), InvalidRequestError),
        (replace(shown(8, 5), leaf_hashes=LEAVES[5:7]), InvalidRequestError),
        (replace(shown(8, 5), leaf_hashes=LEAVES[5:9]), InvalidRequestError),
        (replace(shown(8, 5), leaf_hashes=[*LEAVES[5:7], b"short"]), MalformedError),
        (replace(shown(8, 5), leaf_hashes=[bytes(32)] * (MAX_HASHES + 1)), MalformedError),
        (replace(shown(8, 5), checkpoint=""), MalformedError),
        (replace(shown(8, 5), checkpoint=shown(8, 5).checkpoint.replace("\n8\n", "\n9\n")), VerificationError),
        (replace(shown(4, 4), checkpoint=shown(4, 4).checkpoint.replace("\n4\n", "\n3\n")), VerificationError),
    ],
)
def test_what_anybody_could_have_sent_is_refused_but_no_evidence(batch: LogAdvance, error: type[Exception]) -> None:
    with pytest.raises(error):
        advance(seen_of(ENTRIES[:5]), batch, LOG.verifier)


def test_another_key_or_another_log_is_no_evidence() -> None:
    stranger = ed25519.Ed25519PrivateKey.generate()
    for signer in (
        LogSigner(Verifier(DEPLOYMENT, raw(stranger)), stranger.sign),
        LogSigner(Verifier("elsewhere", LOG.verifier.public_key), LOG.sign),
    ):
        with pytest.raises(VerificationError):
            advance(seen_of(ENTRIES[:5]), shown(4, 4, signer=signer), LOG.verifier)


def test_a_checkpoint_of_another_origin_under_the_right_key_is_refused() -> None:
    from sealwright.structures.note import Checkpoint, sign_note  # noqa: PLC0415 - only this test forges one

    note = sign_note(Checkpoint("other", 5, bytes(32)).encode(), LOG.verifier, LOG.sign)
    with pytest.raises(VerificationError, match="another log"):
        open_checkpoint(note, LOG.verifier)


def test_a_log_can_stand_still() -> None:
    world = World()
    world.entries += ENTRIES
    seen = advance(SeenLog(), world.advance(), LOG.verifier)
    again = advance(seen, LogAdvance(20, [], seen.checkpoint), LOG.verifier)
    assert again == seen
