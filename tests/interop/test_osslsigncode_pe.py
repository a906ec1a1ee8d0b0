"""osslsigncode judges what format and scheme make of real PE files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm
from tests import corpus
from tests.interop.conftest import Sign, Verify
from tests.pki import Pki

pytestmark = pytest.mark.foreign

SAMPLE = sorted(entry.path for entry in corpus.entries() if entry.sample)
LEAVES = (KeyAlgorithm.P256, KeyAlgorithm.RSA_3072, KeyAlgorithm.P384)


@pytest.fixture(scope="session", autouse=True)
def _fetched() -> None:
    corpus.sample()


@pytest.mark.parametrize("algorithm", DigestAlgorithm, ids=lambda algorithm: algorithm.value)
@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.value)
def test_every_key_and_digest_that_we_offer_verifies(
    leaf: KeyAlgorithm, algorithm: DigestAlgorithm, pki: Pki, sign_pe: Sign, osslsigncode: Verify
) -> None:
    printed = osslsigncode(sign_pe(SAMPLE[0].read_bytes(), pki.leaves[leaf], algorithm, "replace"))
    assert algorithm.value.upper() in printed
    assert "Text description: Prüfling" in printed
    assert "https://example.test/program" in printed


@pytest.mark.parametrize("path", SAMPLE[:6], ids=lambda path: path.name)
def test_signatures_that_are_appended_verify_beside_the_first(
    path: Path, pki: Pki, sign_pe: Sign, osslsigncode: Verify
) -> None:
    signed = sign_pe(path.read_bytes(), pki.leaves[KeyAlgorithm.RSA_3072], DigestAlgorithm.SHA256, "replace")
    for leaf, algorithm in ((KeyAlgorithm.P256, DigestAlgorithm.SHA256), (KeyAlgorithm.P384, DigestAlgorithm.SHA384)):
        signed = sign_pe(signed, pki.leaves[leaf], algorithm, "append")
    assert "Number of verified signatures: 3" in osslsigncode(signed)


@pytest.mark.parametrize("extra", range(1, 9))
def test_a_file_of_any_length_with_data_behind_its_sections_verifies(
    extra: int, pki: Pki, sign_pe: Sign, osslsigncode: Verify
) -> None:
    unsigned = next(entry.path for entry in corpus.entries() if entry.sample and "signed" not in entry.traits)
    signed = sign_pe(
        unsigned.read_bytes() + b"overlay!"[:extra], pki.leaves[KeyAlgorithm.P256], DigestAlgorithm.SHA256, "append"
    )
    assert "Number of verified signatures: 1" in osslsigncode(signed)


@pytest.mark.soak
def test_at_least_two_hundred_real_files_verify_with_one_signature_and_with_two(
    full_count: Callable[[int, int], int], pki: Pki, sign_pe: Sign, osslsigncode: Verify
) -> None:
    wanted = full_count(0, corpus.MINIMUM)
    paths = corpus.full() if wanted else corpus.sample()
    for index, path in enumerate(paths):
        identity = pki.leaves[LEAVES[index % len(LEAVES)]]
        signed = sign_pe(path.read_bytes(), identity, DigestAlgorithm.SHA256, "replace")
        assert "Number of verified signatures: 1" in osslsigncode(signed), path
        twice = sign_pe(signed, pki.leaves[KeyAlgorithm.P256], DigestAlgorithm.SHA384, "append")
        assert "Number of verified signatures: 2" in osslsigncode(twice), path
    assert len(paths) >= wanted
