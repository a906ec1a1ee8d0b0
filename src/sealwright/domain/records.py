"""What the key holder keeps of keys, principals and policies; frozen, so that a change is a new record."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import Struct

from sealwright.domain.keys import KeyAlgorithm, KeyState, Lifetime, Protection


class KeyRecord(Struct, frozen=True):
    """A subscriber's signing key: where it is, how it is kept, what it may be used for."""

    name: str
    subscriber: str
    algorithm: KeyAlgorithm
    lifetime: Lifetime
    state: KeyState
    protection: Protection
    schemes: tuple[str, ...]
    public_key: bytes = b""  # SubjectPublicKeyInfo; empty for an ephemeral key, which has none of its own
    chain: tuple[bytes, ...] = ()
    valid_until: int = 0  # when the first certificate of the chain expires, in seconds since 1970; 0 without a chain
    authorisation: bytes = b""  # of an ephemeral key: the standing authorisation the CA will be shown
    officer: str = ""
    officer_signature: bytes = b""


class PrincipalRecord(Struct, frozen=True):
    """Someone who asks: a workload, or a person, by the public key that checks what they sign."""

    name: str
    kind: str
    subscriber: str
    public_key: bytes
    administrator: bool = False


class PolicyRecord(Struct, frozen=True):
    """The Cedar policies of one subscriber."""

    subscriber: str
    text: str
    version: int


class SeenLog(Struct, frozen=True):
    """How far the key holder saw the face's log grow: size, right edge, and the checkpoint it cosigned last."""

    size: int = 0
    frontier: bytes = b""
    checkpoint: str = ""


@dataclass(frozen=True, slots=True)
class CustodyState:
    """Keys, principals and policies by name, and how far the face's log was followed; `version` counts changes."""

    version: int = 0
    dual_control: bool = False
    keys: Mapping[str, KeyRecord] = field(default_factory=dict)
    principals: Mapping[str, PrincipalRecord] = field(default_factory=dict)
    policies: Mapping[str, PolicyRecord] = field(default_factory=dict)
    seen: SeenLog = field(default_factory=SeenLog)
    halted: str = ""


@dataclass(frozen=True, slots=True)
class Uses:
    """What one batch is about to use: how far the log was seen, uses per key, and each proof with its expiry."""

    seen: SeenLog
    per_key: Mapping[str, int]
    proofs: Mapping[bytes, int]


@dataclass(frozen=True, slots=True)
class EarlierRequest:
    """A signing request that was recorded before: its intent, and outcome and response if it came to that."""

    request_sha256: bytes
    records_version: int
    intent: int
    outcome: int | None
    response: bytes | None
