"""Keys in encrypted files: for development only, they meet no requirement of the CSBR (6.2.7.4).

`software:PATH?passphrase-file=PATH`: a directory (0700) of PKCS #8 files (0600), encrypted under a passphrase
that stands in a file of its own (0600), which may be a systemd credential. Everything that reads `module` learns
that no module protects these keys.
"""

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from sealwright.domain.errors import (
    ConfigurationError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    UnavailableError,
)
from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm, Module, is_name

_PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_MAX_PASSPHRASE: Final = 1024
_MAX_KEY_FILE: Final = 65_536
_PUBLIC_EXPONENT: Final = 65_537
_RSA_BITS: Final = {KeyAlgorithm.RSA_3072: 3072, KeyAlgorithm.RSA_4096: 4096}
_CURVES: Final[dict[KeyAlgorithm, ec.EllipticCurve]] = {
    KeyAlgorithm.P256: ec.SECP256R1(),
    KeyAlgorithm.P384: ec.SECP384R1(),
    KeyAlgorithm.P521: ec.SECP521R1(),
}
_PREHASHED: Final = {
    DigestAlgorithm.SHA256: Prehashed(SHA256()),
    DigestAlgorithm.SHA384: Prehashed(SHA384()),
    DigestAlgorithm.SHA512: Prehashed(SHA512()),
}
_ECDSA: Final = {algorithm: ec.ECDSA(prehashed) for algorithm, prehashed in _PREHASHED.items()}
_PKCS1: Final = padding.PKCS1v15()


class SoftwareKey:
    """One private key in this process's memory."""

    __slots__ = ("_key", "algorithm", "public_key")

    def __init__(self, key: _PrivateKey, algorithm: KeyAlgorithm) -> None:
        self._key = key
        self.algorithm = algorithm
        self.public_key = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, digest: bytes, algorithm: DigestAlgorithm) -> bytes:
        """Sign a digest: RSASSA-PKCS1-v1_5, or ECDSA as a DER SEQUENCE. Raises DigestLengthError."""
        algorithm.check(digest)
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(digest, _PKCS1, _PREHASHED[algorithm])
        return self._key.sign(digest, _ECDSA[algorithm])

    def __repr__(self) -> str:
        return f"<software key, {self.algorithm.value}>"


class SoftwareKeyStore:
    """A directory of encrypted key files. Keys that were opened once stay open, so that decryption is paid once."""

    module = Module.NONE.value

    def __init__(self, directory: Path, passphrase: bytes) -> None:
        self._directory = directory
        self._passphrase = passphrase
        self._opened: dict[str, SoftwareKey] = {}

    def create(self, label: str, algorithm: KeyAlgorithm) -> SoftwareKey:
        """Make a key pair. Raises ConflictError if the label is taken, UnavailableError if it cannot be written."""
        path = self._path(label)
        if path.exists():
            raise ConflictError(f"there is a key called {label!r} already")
        private_key = _generate(algorithm)
        pem = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(self._passphrase))
        try:
            _write_new(path, pem)
        except FileExistsError:
            raise ConflictError(f"there is a key called {label!r} already") from None
        except OSError as error:
            raise UnavailableError(f"the key {label!r} cannot be stored: {error.strerror}") from error
        return self._opened.setdefault(label, SoftwareKey(private_key, algorithm))

    def open(self, label: str) -> SoftwareKey:
        """Find a key by its label. Raises NotFoundError, or UnavailableError if its file cannot be read."""
        key = self._opened.get(label)
        return key if key is not None else self._opened.setdefault(label, self._read(label))

    def destroy(self, label: str) -> None:
        """Destroy a key for ever; a label that is not there is no error. Raises UnavailableError."""
        path = self._path(label)
        self._opened.pop(label, None)
        try:
            path.unlink(missing_ok=True)
            _sync_directory(path.parent)
        except OSError as error:
            raise UnavailableError(f"the key {label!r} cannot be destroyed: {error.strerror}") from error

    def ephemeral(self, algorithm: KeyAlgorithm) -> SoftwareKey:
        """Make a key pair that lives in memory only and is gone with the object."""
        return SoftwareKey(_generate(algorithm), algorithm)

    def __repr__(self) -> str:
        return f"<software key store in {self._directory}>"

    def _path(self, label: str) -> Path:
        if not is_name(label):
            raise InvalidRequestError(f"{label!r} is no key label", hint="use 1 to 64 of a-z 0-9 . _ -")
        return self._directory / f"{label}.pem"

    def _read(self, label: str) -> SoftwareKey:
        path = self._path(label)
        try:
            with path.open("rb") as file:
                pem = file.read(_MAX_KEY_FILE)
            key = load_pem_private_key(pem, self._passphrase)
        except FileNotFoundError:
            raise NotFoundError(f"there is no key called {label!r} in the software key store") from None
        except OSError as error:
            raise UnavailableError(f"the key {label!r} cannot be read: {error.strerror}") from error
        except (ValueError, TypeError):
            raise UnavailableError(
                f"the key {label!r} cannot be decrypted",
                hint=f"the passphrase is another one, or {path} is damaged: restore both from the same backup",
            ) from None
        for algorithm, bits in _RSA_BITS.items():
            if isinstance(key, rsa.RSAPrivateKey) and key.key_size == bits:
                return SoftwareKey(key, algorithm)
        for algorithm, curve in _CURVES.items():
            if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == curve.name:
                return SoftwareKey(key, algorithm)
        raise UnavailableError(f"the key {label!r} is of a kind that Sealwright does not use")


def open_store(uri: str, base: Path) -> SoftwareKeyStore:
    """Open the key store of a `software:` URI; its directory is made if it is not there.

    Raises ConfigurationError, also for a passphrase file that others may read.
    """
    path, _, query = uri.removeprefix("software:").partition("?")
    option, _, passphrase_file = query.partition("=")
    if not path or option != "passphrase-file" or not passphrase_file or "&" in passphrase_file:
        raise ConfigurationError(
            "this is no address of a software key store", hint="write software:PATH?passphrase-file=PATH"
        )
    passphrase = _read_passphrase(base / unquote(passphrase_file))
    directory = base / unquote(path)
    try:
        for folder in (*reversed(directory.parents), directory):
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"the key store's directory {directory} cannot be made: {error.strerror}") from error
    return SoftwareKeyStore(directory, passphrase)


def _read_passphrase(path: Path) -> bytes:
    """Read a passphrase file (a last line feed does not count), or raise ConfigurationError."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            passphrase = file.read(_MAX_PASSPHRASE + 1)
    except OSError as error:
        raise ConfigurationError(
            f"the passphrase file {path} cannot be read: {error.strerror}",
            hint="name a file that only the key holder's user can read, such as a systemd credential",
        ) from error
    if sys.platform != "win32" and _too_open(stat.S_IMODE(status.st_mode), status.st_uid, os.geteuid()):
        raise ConfigurationError(
            f"the passphrase file {path} can be read or changed by others", hint=f"run: chmod 600 {path}"
        )
    passphrase = passphrase.removesuffix(b"\n").removesuffix(b"\r")
    if not 0 < len(passphrase) <= _MAX_PASSPHRASE:
        raise ConfigurationError(f"the passphrase in {path} has not 1 to {_MAX_PASSPHRASE} bytes")
    return passphrase


def _too_open(mode: int, owner: int, us: int) -> bool:
    """Tell whether others than we can read or change a file.

    A systemd credential belongs to root and lets one user in by an access list, which shows as mode 0440
    (systemd.exec(5), "Credentials"): there the group's right to read is that user's.
    """
    allowed = 0o740 if owner == 0 and us != 0 else 0o700
    return bool(mode & ~allowed)


def _generate(algorithm: KeyAlgorithm) -> _PrivateKey:
    bits = _RSA_BITS.get(algorithm)
    if bits is not None:
        return rsa.generate_private_key(_PUBLIC_EXPONENT, bits)
    return ec.generate_private_key(_CURVES[algorithm])


def _write_new(path: Path, data: bytes) -> None:
    """Write a file of mode 0600 beside and link it into its place, whole or not at all; never over another."""
    beside = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(beside, path)
        _sync_directory(path.parent)
    finally:
        with suppress(FileNotFoundError):
            beside.unlink()


def _sync_directory(directory: Path) -> None:
    """Make names durable, where directories can be synchronised."""
    if sys.platform != "win32":
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
