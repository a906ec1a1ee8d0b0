import os
import stat
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from sealwright.domain.errors import (
    ConfigurationError,
    ConflictError,
    DigestLengthError,
    NotFoundError,
    UnavailableError,
)
from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm
from sealwright.keystores import software
from sealwright.keystores.software import SoftwareKeyStore, _too_open, open_store

SECRET = b"correct horse"
posix = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")


def passphrase_file(folder: Path, data: bytes = SECRET, mode: int = 0o600) -> Path:
    path = folder / "passphrase"
    path.write_bytes(data)
    path.chmod(mode)
    return path


def open_here(folder: Path) -> SoftwareKeyStore:
    return open_store("software:store/keys?passphrase-file=passphrase", folder)


@posix
def test_files_and_directories_are_for_their_owner_only(tmp_path: Path) -> None:
    passphrase_file(tmp_path)
    open_here(tmp_path).create("release", KeyAlgorithm.P256)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes == {"passphrase": 0o600, "store": 0o700, "keys": 0o700, "release.pem": 0o600}


def test_the_key_file_is_encrypted_pkcs8(tmp_path: Path) -> None:
    passphrase_file(tmp_path)
    key = open_here(tmp_path).create("release", KeyAlgorithm.P256)
    pem = (tmp_path / "store/keys/release.pem").read_bytes()
    assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    loaded = load_pem_private_key(pem, SECRET)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    assert software.SoftwareKey(loaded, KeyAlgorithm.P256).public_key == key.public_key


@pytest.mark.parametrize("data", [SECRET, SECRET + b"\n", SECRET + b"\r\n"])
def test_a_last_line_feed_is_not_part_of_the_passphrase(tmp_path: Path, data: bytes) -> None:
    passphrase_file(tmp_path)
    open_here(tmp_path).create("release", KeyAlgorithm.P256)
    passphrase_file(tmp_path, data)
    assert open_here(tmp_path).open("release").algorithm is KeyAlgorithm.P256


def test_another_passphrase_opens_nothing(tmp_path: Path) -> None:
    passphrase_file(tmp_path)
    open_here(tmp_path).create("release", KeyAlgorithm.P256)
    passphrase_file(tmp_path, b"other")
    with pytest.raises(UnavailableError, match="decrypted") as caught:
        open_here(tmp_path).open("release")
    assert "backup" in caught.value.hint


@pytest.mark.parametrize("data", [b"", b"-----BEGIN", bytes(100)])
def test_a_damaged_file_is_unavailable(tmp_path: Path, data: bytes) -> None:
    passphrase_file(tmp_path)
    store = open_here(tmp_path)
    (tmp_path / "store/keys/release.pem").write_bytes(data)
    with pytest.raises(UnavailableError):
        store.open("release")


def test_a_key_in_the_clear_is_not_accepted(tmp_path: Path) -> None:
    passphrase_file(tmp_path)
    store = open_here(tmp_path)
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "store/keys/release.pem").write_bytes(pem)
    with pytest.raises(UnavailableError):
        store.open("release")


def test_keys_of_other_kinds_are_not_used(tmp_path: Path) -> None:
    passphrase_file(tmp_path)
    store = open_here(tmp_path)
    for key in (
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP256K1()),
    ):
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(SECRET))
        (tmp_path / "store/keys/release.pem").write_bytes(pem)
        with pytest.raises(UnavailableError, match="kind"):
            store.open("release")


def test_decryption_is_paid_once(tmp_path: Path) -> None:
    passphrase_file(tmp_path)
    open_here(tmp_path).create("release", KeyAlgorithm.P256)
    store = open_here(tmp_path)
    key = store.open("release")
    start = time.perf_counter()
    assert all(store.open("release") is key for _ in range(1000))
    assert time.perf_counter() - start < 0.5


def test_no_secret_shows(tmp_path: Path) -> None:
    passphrase_file(tmp_path)
    store = open_here(tmp_path)
    for thing in (store, store.create("release", KeyAlgorithm.P256), store.ephemeral(KeyAlgorithm.P384)):
        assert "horse" not in repr(thing)
        assert repr(thing).startswith("<software key")
    with pytest.raises(DigestLengthError):
        store.open("release").sign(b"", DigestAlgorithm.SHA256)


@posix
@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o620, 0o602, 0o601])
def test_a_passphrase_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    passphrase_file(tmp_path, mode=mode)
    with pytest.raises(ConfigurationError) as caught:
        open_here(tmp_path)
    assert caught.value.hint.startswith("run: chmod 600")


@pytest.mark.parametrize(
    ("mode", "owner", "us", "expected"),
    [
        (0o600, 1000, 1000, False),
        (0o400, 0, 0, False),
        (0o440, 0, 1000, False),
        (0o440, 0, 0, True),
        (0o440, 1000, 1000, True),
        (0o460, 0, 1000, True),
        (0o444, 0, 1000, True),
    ],
)
def test_a_systemd_credential_may_look_readable_by_its_group(mode: int, owner: int, us: int, expected: bool) -> None:
    assert _too_open(mode, owner, us) is expected


@pytest.mark.parametrize("data", [b"", b"\n", b"x" * 1025])
def test_a_passphrase_has_a_sensible_length(tmp_path: Path, data: bytes) -> None:
    passphrase_file(tmp_path, data)
    with pytest.raises(ConfigurationError, match="1 to 1024 bytes"):
        open_here(tmp_path)


def test_a_missing_passphrase_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        open_here(tmp_path)


@pytest.mark.parametrize(
    "uri",
    [
        "software:",
        "software:keys",
        "software:?passphrase-file=passphrase",
        "software:keys?passphrase-file=",
        "software:keys?passphrase=x",
        "software:keys?passphrase-file=passphrase&pin=1",
    ],
)
def test_an_address_of_another_shape_is_refused(tmp_path: Path, uri: str) -> None:
    passphrase_file(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        open_store(uri, tmp_path)
    assert "passphrase-file=PATH" in caught.value.hint


def test_paths_may_be_absolute_and_escaped(tmp_path: Path) -> None:
    passphrase = passphrase_file(tmp_path).rename(tmp_path / "pass+phrase")
    store = open_store(f"software:{tmp_path.as_posix()}/the%20keys?passphrase-file={passphrase.as_posix()}", tmp_path)
    store.create("release", KeyAlgorithm.P256)
    assert (tmp_path / "the keys" / "release.pem").exists()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    passphrase_file(tmp_path)
    (tmp_path / "store").write_text("in the way")
    with pytest.raises(ConfigurationError, match="cannot be made"):
        open_here(tmp_path)


def test_two_creators_cannot_both_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passphrase_file(tmp_path)
    store, other = open_here(tmp_path), open_here(tmp_path)
    generate = software._generate
    raced: list[KeyAlgorithm] = []

    def race(algorithm: KeyAlgorithm) -> software._PrivateKey:
        if not raced:
            raced.append(algorithm)
            other.create("release", algorithm)
        return generate(algorithm)

    monkeypatch.setattr(software, "_generate", race)
    with pytest.raises(ConflictError):
        store.create("release", KeyAlgorithm.P256)
    assert store.open("release").public_key == other.open("release").public_key
    assert [path.name for path in (tmp_path / "store/keys").iterdir()] == ["release.pem"]


def test_a_store_that_lost_its_directory_says_so(tmp_path: Path) -> None:
    passphrase_file(tmp_path)
    store = open_here(tmp_path)
    (tmp_path / "store/keys").rmdir()
    with pytest.raises(UnavailableError, match="stored"):
        store.create("release", KeyAlgorithm.P256)
    with pytest.raises(UnavailableError, match="destroyed"):
        store.destroy("release")
    with pytest.raises(NotFoundError):
        store.open("release")


def test_a_file_that_cannot_be_read_is_unavailable(tmp_path: Path) -> None:
    passphrase_file(tmp_path)
    store = open_here(tmp_path)
    (tmp_path / "store/keys/release.pem").mkdir()
    with pytest.raises(UnavailableError, match="read"):
        store.open("release")
