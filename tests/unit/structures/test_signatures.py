"""Checking a signature with a public key, and every way in which it does not hold."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from sealwright.domain import oids
from sealwright.domain.errors import UnsupportedError, VerificationError
from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm
from sealwright.structures.signatures import verify_signature
from tests.unit.timestamping import pki

MESSAGE = b"signed bytes"


def _signature(algorithm: KeyAlgorithm, digest: DigestAlgorithm) -> bytes:
    private = pki.private_key(algorithm)
    if isinstance(private, rsa.RSAPrivateKey):
        return private.sign(MESSAGE, padding.PKCS1v15(), pki.HASHES[digest])
    return private.sign(MESSAGE, ec.ECDSA(pki.HASHES[digest]))


@pytest.mark.parametrize("digest", DigestAlgorithm)
@pytest.mark.parametrize(
    ("algorithm", "identifiers"),
    [
        (KeyAlgorithm.RSA_3072, {"sha256": "11", "sha384": "12", "sha512": "13"}),
        (KeyAlgorithm.P256, {"sha256": "2", "sha384": "3", "sha512": "4"}),
        (KeyAlgorithm.P521, {"sha256": "2", "sha384": "3", "sha512": "4"}),
    ],
)
def test_a_true_signature_holds_under_each_name_of_its_algorithm(
    digest: DigestAlgorithm, algorithm: KeyAlgorithm, identifiers: dict[str, str]
) -> None:
    arc, plain = ("1.2.840.113549.1.1.", oids.RSA_ENCRYPTION) if algorithm.is_rsa else ("1.2.840.10045.4.3.", "")
    public = pki.private_key(algorithm).public_key()
    for identifier in (arc + identifiers[digest.value], plain or "1.2.840.10045.2.1"):
        verify_signature(public, identifier, digest, _signature(algorithm, digest), MESSAGE)


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.RSA_3072, KeyAlgorithm.P256])
def test_a_changed_message_or_signature_fails(algorithm: KeyAlgorithm) -> None:
    public = pki.private_key(algorithm).public_key()
    identifier = oids.RSA_ENCRYPTION if algorithm.is_rsa else oids.ECDSA_WITH_SHA256
    good = _signature(algorithm, DigestAlgorithm.SHA256)
    for signature, message in ((good, MESSAGE + b"!"), (good[:-1] + bytes([good[-1] ^ 1]), MESSAGE), (b"", MESSAGE)):
        with pytest.raises(VerificationError, match="does not match"):
            verify_signature(public, identifier, DigestAlgorithm.SHA256, signature, message)


def test_an_algorithm_that_names_another_digest_fails() -> None:
    public = pki.private_key(KeyAlgorithm.P256).public_key()
    with pytest.raises(VerificationError, match="contradict"):
        verify_signature(public, oids.ECDSA_WITH_SHA384, DigestAlgorithm.SHA256, b"", MESSAGE)


@pytest.mark.parametrize("identifier", [oids.RSA_ENCRYPTION, oids.ECDSA_WITH_SHA256])
def test_an_algorithm_that_does_not_fit_the_key_fails(identifier: str) -> None:
    other = KeyAlgorithm.P256 if identifier == oids.RSA_ENCRYPTION else KeyAlgorithm.RSA_3072
    for public in (pki.private_key(other).public_key(), ed25519.Ed25519PrivateKey.generate().public_key()):
        with pytest.raises(VerificationError, match="does not fit"):
            verify_signature(public, identifier, DigestAlgorithm.SHA256, b"", MESSAGE)


def test_pss_is_named_as_unsupported() -> None:
    public = pki.private_key(KeyAlgorithm.RSA_3072).public_key()
    with pytest.raises(UnsupportedError, match=r"1\.2\.840\.113549\.1\.1\.10"):
        verify_signature(public, "1.2.840.113549.1.1.10", DigestAlgorithm.SHA256, b"", MESSAGE)
