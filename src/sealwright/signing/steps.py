"""The steps of a signing request as types: each can only be made from the one before.

received -> authenticated -> understood -> authorised -> recorded -> signed -> completed. A function that
takes `Recorded` cannot be called with a request that was not recorded: the type checker refuses it.
"""

from dataclasses import dataclass

from sealwright.domain.keys import DigestAlgorithm
from sealwright.domain.messages import (
    EntryProof,
    KeyView,
    PrincipalView,
    ProofOfRequest,
    SigningRequestBody,
    SigningResponse,
    Snapshot,
)


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came over the wire; nothing of it is believed yet."""

    proof: ProofOfRequest


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The principal's key signed this very request."""

    received: Received
    principal: PrincipalView


@dataclass(frozen=True, slots=True)
class Understood:
    """The body is well formed, its digests have the right kind and length, and the key is the principal's to see."""

    authenticated: Authenticated
    request: SigningRequestBody
    algorithm: DigestAlgorithm
    digests: tuple[bytes, ...]
    key: KeyView


@dataclass(frozen=True, slots=True)
class Authorised:
    """Policy lets the principal ask for this (Cedar's `request`), under this version of the records."""

    understood: Understood
    records_version: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """The intent is durable: entry and index in the log. Only now may a key be used."""

    authorised: Authorised
    id: bytes
    entry: bytes
    index: int


@dataclass(frozen=True, slots=True)
class Signed:
    """The key holder made the signatures, and cosigned the checkpoint that holds the intent."""

    recorded: Recorded
    signatures: tuple[bytes, ...]
    intent: EntryProof
    checkpoint: str


@dataclass(frozen=True, slots=True)
class Completed:
    """The outcome is durable: this may leave the service."""

    response: SigningResponse


class Records:
    """The key holder's records as the face looks them up; made anew from each snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.keys = {key.name: key for key in snapshot.keys}
        self.principals = {p.name: p for p in snapshot.principals}
        self.policies = {policy.subscriber: policy for policy in snapshot.policies}

    @property
    def version(self) -> int:
        """Counts the changes of keys, principals and policies."""
        return self.snapshot.version
