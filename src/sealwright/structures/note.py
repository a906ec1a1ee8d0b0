"""Signed notes and checkpoints: C2SP signed-note and tlog-checkpoint, with Ed25519 keys (type 0x01).

A note is text that ends in a newline, an empty line, and one signature line for each signer. A checkpoint is
the note whose text is the log's origin, its size and its root. Cosignatures of witnesses are C2SP
tlog-cosignature (type 0x04): Ed25519 over a line with the time and the note's text.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sealwright.domain.errors import MalformedError, VerificationError

_ED25519 = 0x01
_COSIGNATURE_V1 = 0x04
_MAX_NOTE = 65_536
_MAX_SIGNATURES = 32
_SIGNATURE_PREFIX = "\u2014 "
_HASH_SIZE = 32
_CHECKPOINT_LINES = 3


@dataclass(frozen=True, slots=True)
class Verifier:
    """A named Ed25519 public key that may sign notes; `kind` says whether as log or as witness."""

    name: str
    public_key: bytes
    kind: int = _ED25519

    @property
    def key_id(self) -> bytes:
        """First four bytes of SHA-256 over name, newline, type and key (C2SP signed-note)."""
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public_key).digest()[:4]

    def encode(self) -> str:
        """Return the verifier key in its text form: name+id+base64(type || key)."""
        packed = base64.b64encode(bytes([self.kind]) + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{packed}"

    @classmethod
    def decode(cls, text: str) -> "Verifier":
        """Read the text form, or raise MalformedError."""
        try:
            name, key_id, packed = text.strip().split("+", 2)
            name.encode()
            data = base64.b64decode(packed, validate=True)
        except ValueError:  # too few parts, no base64, or no Unicode (binascii.Error and UnicodeError are such)
            raise MalformedError("this is no verifier key of a log or witness") from None
        if len(data) != 1 + _HASH_SIZE or data[0] not in (_ED25519, _COSIGNATURE_V1):
            raise MalformedError("the verifier key is of an unknown type")
        verifier = cls(name, data[1:], data[0])
        if verifier.key_id.hex() != key_id:
            raise MalformedError("the verifier key's identifier does not fit its key")
        return verifier

    def as_witness(self) -> "Verifier":
        """Return the same key in the role of a witness (type 0x04)."""
        return Verifier(self.name, self.public_key, _COSIGNATURE_V1)

    def check(self, note: str) -> int | None:
        """Check this key's signature on the note, or raise VerificationError; return a cosignature's time."""
        text, signatures = split_note(note)
        for name, blob in signatures:
            if name != self.name or blob[:4] != self.key_id:
                continue
            key = Ed25519PublicKey.from_public_bytes(self.public_key)
            try:
                if self.kind == _ED25519:
                    key.verify(blob[4:], text.encode())
                    return None
                seconds = int.from_bytes(blob[4:12], "big")
                key.verify(blob[12:], cosigned_bytes(text, seconds))
            except InvalidSignature:
                break
            return seconds
        raise VerificationError(f"the note carries no valid signature of {self.name}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself: who it is, how many leaves it has, and their root (C2SP tlog-checkpoint)."""

    origin: str
    size: int
    root: bytes

    def encode(self) -> str:
        """Return the note text."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def decode(cls, text: str) -> "Checkpoint":
        """Read note text (extension lines are ignored), or raise MalformedError."""
        lines = text.split("\n")
        try:
            origin, size_text, root_text = lines[:_CHECKPOINT_LINES]
            size = int(size_text)
            root = base64.b64decode(root_text, validate=True)
        except ValueError:
            raise MalformedError("this is no checkpoint of a log") from None
        if not origin or size < 0 or str(size) != size_text or len(root) != _HASH_SIZE:
            raise MalformedError("this is no checkpoint of a log")
        return cls(origin, size, root)


def cosigned_bytes(text: str, seconds: int) -> bytes:
    """Return what a witness signs: header, time in seconds since 1970, and the checkpoint's text."""
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def sign_note(text: str, signer: Verifier, sign: Callable[[bytes], bytes]) -> str:
    """Return the note with one signature made by `sign` in the name of `signer`."""
    return f"{text}\n{_line(signer, sign(text.encode()))}"


def cosignature_line(text: str, signer: Verifier, sign: Callable[[bytes], bytes], seconds: int) -> str:
    """Return the signature line of a witness, to be appended to the note."""
    return _line(signer, seconds.to_bytes(8, "big") + sign(cosigned_bytes(text, seconds)))


def split_note(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Divide a note into its text (with last newline) and its signatures, or raise MalformedError."""
    if len(note) > _MAX_NOTE:
        raise MalformedError("the signed note is too long")
    try:
        note.encode()
    except UnicodeEncodeError:
        raise MalformedError("the signed note is no Unicode text") from None
    text, separator, tail = note.rpartition("\n\n")
    lines = tail.split("\n")
    if not separator or not lines or lines.pop() or not 0 < len(lines) <= _MAX_SIGNATURES:
        raise MalformedError("this is no signed note")
    signatures: list[tuple[str, bytes]] = []
    for line in lines:
        if not line.startswith(_SIGNATURE_PREFIX):
            raise MalformedError("this is no signed note")
        name, _, packed = line[len(_SIGNATURE_PREFIX) :].partition(" ")
        try:
            blob = base64.b64decode(packed, validate=True)
        except ValueError:  # binascii.Error, or letters outside ASCII
            raise MalformedError("a signature of the note is not base64") from None
        signatures.append((name, blob))
    return text + "\n", signatures


def _line(signer: Verifier, signature: bytes) -> str:
    return f"{_SIGNATURE_PREFIX}{signer.name} {base64.b64encode(signer.key_id + signature).decode()}\n"
