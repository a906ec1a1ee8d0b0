"""What the CA keeps: intents before its key is used, certificates after, revocations, and authorisations used."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import Enum
from typing import Protocol

from msgspec import Struct


class RevocationReason(Enum):
    """Reasons of RFC 5280, section 5.3.1, without certificateHold, which CSBR 4.9.13 forbids."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    CA_COMPROMISE = "cACompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"


class Intent(Struct, frozen=True):
    """A certificate that is about to be signed; one without a certificate counts as issued (CSBR 5.4.1.1).

    `authority` is the label of the CA that signs, `serial` lower-case hex, `authorisation` its identifier or
    empty for certificates of the hierarchy itself.
    """

    authority: str
    profile: str
    serial: str
    authorisation: str
    to_be_signed: bytes


class Issued(Struct, frozen=True):
    """A certificate that was signed, in DER, under its intent's authority and serial."""

    authority: str
    serial: str
    certificate: bytes


class Revocation(Struct, frozen=True):
    """One revoked certificate: `at` may lie in the past, when the code signed since then is suspect."""

    serial: int
    at: datetime
    reason: RevocationReason = RevocationReason.UNSPECIFIED


class Claim(Struct, frozen=True):
    """One use of an authorisation that is to be recorded unless `limit` uses are recorded already.

    Only uses at or after `since` count; all of them if it is None.
    """

    authorisation: str
    moment: datetime
    limit: int
    since: datetime | None


class CertificateRecords(Protocol):
    """The repository behind one CA process. What it saves is durable when the call returns."""

    def save_intents(self, intents: Sequence[Intent]) -> None:
        """Save intents in one transaction. Raises ConflictError if a serial was used before under its authority."""
        ...

    def save_certificates(self, certificates: Sequence[Issued]) -> None:
        """Save certificates beside their intents in one transaction."""
        ...

    def revoked(self, authority: str) -> Iterable[Revocation]:
        """Return all certificates of this authority that are revoked, each serial once."""
        ...

    def next_crl_number(self, authority: str) -> int:
        """Return a number greater than that of any earlier CRL of this authority (RFC 5280, section 5.2.3)."""
        ...


class AuthorisationUses(Protocol):
    """Remembers which authorisations were used, and when."""

    def claim(self, claims: Sequence[Claim]) -> list[bool]:
        """Record uses in their order, durably and in one transaction; tell which were within their limit.

        Each use counts for those after it. A claim that was recorded stays, even if no certificate comes of it.
        """
        ...
