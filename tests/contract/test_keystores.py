"""One suite for every way to hold keys: what `contracts.KeyStore` promises."""

from collections.abc import Callable
from hashlib import new
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import load_der_public_key

from sealwright.contracts import KeyStore, SigningKey
from sealwright.domain.errors import ConflictError, DigestLengthError, InvalidRequestError, NotFoundError
from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm, Module
from sealwright.keystores import open_key_store

Opener = Callable[[], KeyStore]
HASHES = {DigestAlgorithm.SHA256: SHA256(), DigestAlgorithm.SHA384: SHA384(), DigestAlgorithm.SHA512: SHA512()}
KINDS = {
    KeyAlgorithm.RSA_3072: 3072,
    KeyAlgorithm.RSA_4096: 4096,
    KeyAlgorithm.P256: 256,
    KeyAlgorithm.P384: 384,
    KeyAlgorithm.P521: 521,
}


def software(folder: Path) -> Opener:
    passphrase = folder / "passphrase"
    passphrase.write_text("correct horse\n")
    passphrase.chmod(0o600)
    return lambda: open_key_store("software:keys?passphrase-file=passphrase", folder)


@pytest.fixture(params=[software])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Open the same store again at each call, as a new process would."""
    opened: Opener = request.param(tmp_path)
    return opened


@pytest.fixture
def store(opener: Opener) -> KeyStore:
    return opener()


def verify(key: SigningKey, signature: bytes, digest: bytes, algorithm: DigestAlgorithm) -> None:
    public_key = load_der_public_key(key.public_key)
    prehashed = Prehashed(HASHES[algorithm])
    if isinstance(public_key, rsa.RSAPublicKey):
        public_key.verify(signature, digest, padding.PKCS1v15(), prehashed)
    else:
        assert isinstance(public_key, ec.EllipticCurvePublicKey)
        public_key.verify(signature, digest, ec.ECDSA(prehashed))
    assert public_key.key_size == KINDS[key.algorithm]


def test_the_store_says_what_kind_of_module_it_is(store: KeyStore) -> None:
    assert Module(store.module) in Module


@pytest.mark.parametrize("algorithm", KeyAlgorithm)
def test_a_created_key_signs_and_is_found_again(opener: Opener, algorithm: KeyAlgorithm) -> None:
    created = opener().create("release", algorithm)
    store = opener()
    key = store.open("release")
    assert (key.algorithm, key.public_key) == (algorithm, created.public_key)
    for digest_algorithm in DigestAlgorithm:
        digest = new(digest_algorithm.value, b"data").digest()
        verify(key, key.sign(digest, digest_algorithm), digest, digest_algorithm)
        verify(key, created.sign(digest, digest_algorithm), digest, digest_algorithm)


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.P256, KeyAlgorithm.P384, KeyAlgorithm.RSA_3072])
def test_an_ephemeral_key_signs_and_leaves_no_trace(store: KeyStore, tmp_path: Path, algorithm: KeyAlgorithm) -> None:
    before = sorted(tmp_path.rglob("*"))
    key = store.ephemeral(algorithm)
    digest = new("sha256", b"data").digest()
    verify(key, key.sign(digest, DigestAlgorithm.SHA256), digest, DigestAlgorithm.SHA256)
    assert sorted(tmp_path.rglob("*")) == before
    assert store.ephemeral(algorithm).public_key != key.public_key


@pytest.mark.parametrize("length", [0, 20, 31, 33])
def test_a_digest_of_another_length_is_refused(store: KeyStore, length: int) -> None:
    with pytest.raises(DigestLengthError):
        store.ephemeral(KeyAlgorithm.P256).sign(bytes(length), DigestAlgorithm.SHA256)


def test_a_label_is_taken_once(opener: Opener) -> None:
    store = opener()
    key = store.create("release", KeyAlgorithm.P256)
    for again in (store, opener()):
        with pytest.raises(ConflictError):
            again.create("release", KeyAlgorithm.P384)
    assert opener().open("release").public_key == key.public_key


def test_a_key_that_is_not_there_is_not_found(store: KeyStore) -> None:
    with pytest.raises(NotFoundError):
        store.open("release")


def test_a_destroyed_key_is_gone(opener: Opener) -> None:
    store = opener()
    first = store.create("release", KeyAlgorithm.P256)
    store.destroy("release")
    store.destroy("release")
    for again in (store, opener()):
        with pytest.raises(NotFoundError):
            again.open("release")
    assert store.create("release", KeyAlgorithm.P256).public_key != first.public_key


@pytest.mark.parametrize("label", ["", ".", "..", "../x", "a/b", "a\\b", "C:x", "A", "a b", "a\0", "a" * 65])
def test_a_label_that_is_no_name_is_refused(store: KeyStore, label: str) -> None:
    with pytest.raises(InvalidRequestError):
        store.create(label, KeyAlgorithm.P256)
    with pytest.raises(InvalidRequestError):
        store.open(label)
    with pytest.raises(InvalidRequestError):
        store.destroy(label)
