"""The closed list of audit events: the entries of the logs, one frozen record for each kind.

An entry is the canonical JSON of its record (fields in the order written here, defaults left out). It holds
commitments, not evidence: digests, counts, names of keys and principals; what they stand for lies in the
evidence store. Names of events are `role:subject:action`.
"""

from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from sealwright.domain.errors import MalformedError

MAX_ENTRY = 65_535
"""Longest entry in bytes: what an entry bundle of C2SP tlog-tiles can carry."""


class Event(Struct, frozen=True, tag_field="event", omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """What all entries have: the time, RFC 3339 in UTC with microseconds."""

    time: str


class RequestIntended(Event, frozen=True, tag="signing:request:intended"):
    """A signing request was admitted; recorded before any key is used. Digests are hex."""

    principal: str
    subscriber: str
    key: str
    scheme: str
    digest_algorithm: str
    count: int
    digests_root: str  # RFC 6962 root over the digests, in the order of the request
    request: str  # SHA-256 of the request's body
    proof: str  # SHA-256 of the proof of request
    records_version: int  # of the key holder's keys, principals and policies
    certificate: str = ""  # SHA-256 of the certificate; empty for an ephemeral key
    input: str = "digest"
    blind: bool = False
    retry_of: int | None = None  # an earlier intent of the same request that has no outcome


class RequestCompleted(Event, frozen=True, tag="signing:request:completed"):
    """The signatures of an intent were made; recorded before they are released."""

    intent: int
    count: int
    signatures_root: str  # RFC 6962 root over the signatures, in the order of the request


class RequestFailed(Event, frozen=True, tag="signing:request:failed"):
    """An admitted request ended without a signature."""

    intent: int
    code: str


class RequestRefused(Event, frozen=True, tag="signing:request:refused"):
    """An authenticated principal asked for something that it may not have."""

    principal: str
    code: str
    request: str
    key: str = ""


class AnonymousRefused(Event, frozen=True, tag="signing:anonymous:refused"):
    """Requests of unknown origin that were refused since the entry before, in aggregate."""

    count: int
    codes: dict[str, int]


class ServiceStarted(Event, frozen=True, tag="service:process:started"):
    """A process of this role started."""

    role: str
    version: str


class AdministratorActed(Event, frozen=True, tag="keyholder:administrator:acted"):
    """An administrative request was carried out; `request` is the SHA-256 of its bytes."""

    administrators: list[str]
    action: str
    subject: str
    request: str
    records_version: int


class AdministratorRefused(Event, frozen=True, tag="keyholder:administrator:refused"):
    """An administrative request with a valid signature was refused."""

    administrators: list[str]
    code: str
    request: str


class LogHalted(Event, frozen=True, tag="keyholder:log:halted"):
    """The key holder was shown a log that contradicts the one it saw; it signs nothing from here on."""

    seen_size: int
    seen_root: str
    shown: str  # SHA-256 of the checkpoint that was shown
    reason: str


class IssuanceIntended(Event, frozen=True, tag="ca:certificate:intended"):
    """A certificate is about to be signed; recorded before the CA key is used."""

    issuer: str
    profile: str
    serial: str
    to_be_signed: str
    authorisation: str


class CertificateIssued(Event, frozen=True, tag="ca:certificate:issued"):
    """A certificate was signed."""

    intent: int
    serial: str
    certificate: str


class IssuanceRefused(Event, frozen=True, tag="ca:certificate:refused"):
    """A request for a certificate was refused."""

    officer: str
    code: str
    request: str


class RevocationListIssued(Event, frozen=True, tag="ca:crl:issued"):
    """A certificate revocation list was signed."""

    issuer: str
    number: int
    crl: str
    revoked: int


class TokensIssued(Event, frozen=True, tag="tsa:tokens:issued"):
    """Timestamp tokens issued since the entry before: their count and the root over their SHA-256 hashes."""

    count: int
    root: str


AnyEvent = (
    RequestIntended
    | RequestCompleted
    | RequestFailed
    | RequestRefused
    | AnonymousRefused
    | ServiceStarted
    | AdministratorActed
    | AdministratorRefused
    | LogHalted
    | IssuanceIntended
    | CertificateIssued
    | IssuanceRefused
    | RevocationListIssued
    | TokensIssued
)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


def timestamp(moment: datetime) -> str:
    """Write a moment as RFC 3339 in UTC with microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def encode_event(event: AnyEvent) -> bytes:
    """Return the canonical entry, or raise MalformedError if it is longer than an entry may be."""
    entry = _encoder.encode(event)
    if len(entry) > MAX_ENTRY:
        raise MalformedError(f"a ledger entry of {len(entry)} bytes is too long")
    return entry


def decode_event(entry: bytes) -> AnyEvent:
    """Read an entry; anything that is not the canonical form of a listed event raises MalformedError."""
    try:
        event = _decoder.decode(entry)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedError(f"this is no ledger entry: {error}") from None
    if _encoder.encode(event) != entry:
        raise MalformedError("the ledger entry is not in its canonical form")
    return event
