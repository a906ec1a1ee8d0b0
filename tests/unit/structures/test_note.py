"""Signed notes, checkpoints and cosignatures: published vectors, round trips, wrong keys and noise."""

import base64
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from sealwright.domain.errors import MalformedError, SealwrightError, VerificationError
from sealwright.structures.note import (
    Checkpoint,
    Verifier,
    cosignature_line,
    cosigned_bytes,
    sign_note,
    split_note,
)

# The example of golang.org/x/mod/sumdb/note, whose format C2SP signed-note is.
NEUMANN_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NEUMANN_NOTE = (
    f"{NEUMANN_TEXT}\n\u2014 PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
LOG = Verifier("log.example/signing", KEY.public_key().public_bytes_raw())
ROOT = sha256(b"root").digest()
TEXT = Checkpoint("log.example/signing", 42, ROOT).encode()
MOMENT = 1_780_000_000

names = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"], exclude_characters="+"), min_size=1)
lines = st.text(st.characters(exclude_categories=["Cs", "Cc"]))


def test_the_published_note_is_accepted_with_the_published_key() -> None:
    verifier = Verifier.decode(NEUMANN_KEY)
    assert verifier.name == "PeterNeumann"
    assert verifier.key_id.hex() == "c74f20a3"
    assert verifier.encode() == NEUMANN_KEY
    assert verifier.check(NEUMANN_NOTE) is None
    assert split_note(NEUMANN_NOTE)[0] == NEUMANN_TEXT


@given(texts=st.lists(lines, min_size=1, max_size=5), name=names)
def test_a_note_that_was_signed_is_accepted_and_gives_its_text_back(texts: list[str], name: str) -> None:
    text = "\n".join([*texts, ""])
    signer = Verifier(name, LOG.public_key)
    note = sign_note(text, signer, KEY.sign)
    assert signer.check(note) is None
    assert Verifier.decode(signer.encode()) == signer
    found, signatures = split_note(note)
    assert found == text
    assert [found_name for found_name, _ in signatures] == [name]


def test_every_signer_of_a_note_is_found_among_the_others() -> None:
    second = Verifier("witness.example", OTHER.public_key().public_bytes_raw()).as_witness()
    note = sign_note(TEXT, LOG, KEY.sign) + cosignature_line(TEXT, second, OTHER.sign, MOMENT)
    assert LOG.check(note) is None
    assert second.check(note) == MOMENT


def test_a_cosignature_covers_its_time() -> None:
    witness = LOG.as_witness()
    line = cosignature_line(TEXT, witness, KEY.sign, MOMENT)
    blob = base64.b64decode(line.rpartition(" ")[2])
    later = blob[:4] + (MOMENT + 1).to_bytes(8, "big") + blob[12:]
    forged = f"{TEXT}\n\u2014 {witness.name} {base64.b64encode(later).decode()}\n"
    with pytest.raises(VerificationError):
        witness.check(forged)


def test_what_a_witness_signs_begins_with_the_header_of_the_specification() -> None:
    assert cosigned_bytes(TEXT, 7) == b"cosignature/v1\ntime 7\n" + TEXT.encode()


def test_a_log_and_a_witness_with_the_same_key_are_not_confused() -> None:
    assert LOG.key_id != LOG.as_witness().key_id
    with pytest.raises(VerificationError):
        LOG.as_witness().check(sign_note(TEXT, LOG, KEY.sign))


def test_a_note_of_another_key_is_refused() -> None:
    note = sign_note(TEXT, LOG, OTHER.sign)
    with pytest.raises(VerificationError, match="no valid signature of log"):
        LOG.check(note)


def test_a_note_of_another_name_is_refused() -> None:
    with pytest.raises(VerificationError):
        Verifier("log.example/other", LOG.public_key).check(sign_note(TEXT, LOG, KEY.sign))


@given(spot=st.integers(min_value=0, max_value=len(TEXT) - 1), letter=st.characters(exclude_categories=["Cs"]))
def test_a_note_whose_text_was_changed_is_refused(spot: int, letter: str) -> None:
    changed = TEXT[:spot] + letter + TEXT[spot + 1 :]
    if changed != TEXT:
        with pytest.raises(SealwrightError):
            LOG.check(sign_note(TEXT, LOG, KEY.sign).replace(TEXT, changed))


@pytest.mark.parametrize("length", [0, 4, 12, 67])
@pytest.mark.parametrize("verifier", [LOG, LOG.as_witness()], ids=["log", "witness"])
def test_a_signature_that_was_cut_is_refused(verifier: Verifier, length: int) -> None:
    blob = (verifier.key_id + bytes(72))[:length]
    with pytest.raises(VerificationError):
        verifier.check(f"{TEXT}\n\u2014 {verifier.name} {base64.b64encode(blob).decode()}\n")


@given(
    origin=lines.filter(bool),
    size=st.integers(min_value=0, max_value=1 << 64),
    root=st.binary(min_size=32, max_size=32),
)
def test_a_checkpoint_is_read_as_it_was_written(origin: str, size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin, size, root)
    assert Checkpoint.decode(checkpoint.encode()) == checkpoint


def test_a_checkpoint_may_carry_lines_that_we_do_not_know() -> None:
    assert Checkpoint.decode(TEXT + "extension\n") == Checkpoint("log.example/signing", 42, ROOT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n",
        "origin\n1\n",
        "origin\n1\nnot base64\n",
        "origin\n1\nAAAA\n",
        TEXT.replace("\n42\n", "\n042\n"),
        TEXT.replace("\n42\n", "\n-1\n"),
        TEXT.replace("\n42\n", "\n+42\n"),
        TEXT.replace("\n42\n", "\n\u0664\u0662\n"),
        TEXT.replace("\n42\n", f"\n{'9' * 5000}\n"),
        TEXT.replace("log.example/signing", ""),
    ],
)
def test_a_text_that_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        Checkpoint.decode(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+00000000",
        "name+c74f20a3+not base64",
        "name+c74f20a3+AQ==",
        NEUMANN_KEY.replace("+AR", "+Ah"),
        NEUMANN_KEY.replace("c74f20a3", "c74f20a4"),
        NEUMANN_KEY.replace("Peter", "Paul"),
        NEUMANN_KEY.replace("PeterNeumann", "\udc80"),
    ],
)
def test_a_text_that_is_no_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        Verifier.decode(text)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "text\n",
        "text\n\n",
        "text\n\nno dash\n",
        "text\n\n\u2014 name AAAA",
        "text\n\n\u2014 name *\n",
        "text\n\n\u2014 name \u00e9\n",
        "te\udc80xt\n\n\u2014 name AAAA\n",
        "text\n\n" + "\u2014 name AAAA\n" * 33,
        "x" * 65_537,
        "\u2014" * 30_000,
    ],
)
def test_a_text_that_is_no_signed_note_is_refused(note: str) -> None:
    with pytest.raises(MalformedError):
        split_note(note)


@given(noise=st.text())
def test_noise_is_read_or_refused_with_one_of_our_errors(noise: str) -> None:
    for read in (Verifier.decode, Checkpoint.decode, split_note, LOG.check):
        try:
            read(noise)
        except SealwrightError:
            continue


@given(noise=st.text(), spot=st.integers(min_value=0), length=st.integers(min_value=0, max_value=60))
def test_a_good_text_with_noise_in_it_is_read_or_refused_with_one_of_our_errors(
    noise: str, spot: int, length: int
) -> None:
    for read, good in (
        (Verifier.decode, NEUMANN_KEY),
        (Checkpoint.decode, TEXT),
        (split_note, NEUMANN_NOTE),
        (Verifier.decode(NEUMANN_KEY).check, NEUMANN_NOTE),
    ):
        start = spot % len(good)
        try:
            read(good[:start] + noise + good[start + length :])
        except SealwrightError:
            continue
