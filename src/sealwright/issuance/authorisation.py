"""The CA believes registration officers only: their signed word is checked, and counted before the key is used.

Checking needs no records; claiming writes one. Between the two the certificate is prepared, so that a request
that no profile allows does not spend its authorisation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sealwright.contracts import Clock
from sealwright.domain.errors import (
    DeniedError,
    InvalidRequestError,
    MalformedError,
    SealwrightError,
    UnsupportedError,
    VerificationError,
)
from sealwright.domain.messages import Authorisation, AuthorisationEnvelope, IssueRequest
from sealwright.issuance.building import Wish
from sealwright.issuance.profiles import Kind, Profile, find_profile
from sealwright.issuance.records import AuthorisationUses, Claim
from sealwright.structures.authorisation import open_authorisation
from sealwright.structures.x509 import spki_sha256

_WINDOW = timedelta(hours=1)
_MAX_IDENTIFIER = 128
_MAX_DAYS = 36_500  # what the profile allows is judged later; this keeps the arithmetic bounded


@dataclass(frozen=True, slots=True)
class Authorised:
    """A request whose authorisation holds: what may be issued, and the uses that are still to be claimed."""

    authorisation: Authorisation
    wish: Wish
    moment: datetime


class Authoriser:
    """Checks authorisations. `officers` gives an officer's public key (SubjectPublicKeyInfo, DER), or None.

    `custodian` is the name of the service that keeps the subscribers' keys, as the mark states it.
    """

    def __init__(
        self,
        officers: Callable[[str], bytes | None],
        uses: AuthorisationUses,
        clock: Clock,
        custodian: str | None = None,
    ) -> None:
        self._officers = officers
        self._uses = uses
        self._clock = clock
        self._custodian = custodian

    def check(self, request: IssueRequest) -> Authorised:
        """Check signature, expiry, key and profile of a request's authorisation.

        Raises DeniedError if the authorisation does not cover the request, MalformedError if an officer signed
        something that is no authorisation, InvalidRequestError for a profile that does not exist.
        """
        return self._check(request, self._opened(request.envelope))

    def check_all(self, requests: Sequence[IssueRequest]) -> list[Authorised | SealwrightError]:
        """Check several requests; an error stands in the place of what `check` would raise.

        A standing authorisation that many of them show is opened once: the same bytes, signature and officer.
        """
        opened: dict[AuthorisationEnvelope, Authorisation] = {}
        checked: list[Authorised | SealwrightError] = []
        for request in requests:
            try:
                authorisation = opened.get(request.envelope)
                if authorisation is None:
                    authorisation = opened[request.envelope] = self._opened(request.envelope)
                checked.append(self._check(request, authorisation))
            except SealwrightError as error:
                checked.append(error)
        return checked

    def _check(self, request: IssueRequest, authorisation: Authorisation) -> Authorised:
        now = self._clock()
        if not 0 < len(authorisation.id) <= _MAX_IDENTIFIER:
            raise InvalidRequestError(f"an authorisation's identifier has 1 to {_MAX_IDENTIFIER} characters")
        if now >= _moment(authorisation.not_after):
            raise DeniedError(
                f"the authorisation {authorisation.id!r} ended at {authorisation.not_after}",
                hint="ask a registration officer for a new one",
            )
        profile = find_profile(authorisation.profile)
        if profile.kind is not Kind.LEAF:
            raise DeniedError("CA certificates are made by their operator, not on an officer's authorisation")
        _check_key(authorisation, profile, request.public_key)
        if not 0 <= authorisation.validity_days <= _MAX_DAYS:
            raise InvalidRequestError(f"validity_days must be 0 to {_MAX_DAYS}")
        validity = timedelta(days=authorisation.validity_days) if authorisation.validity_days else None
        wish = Wish(
            profile,
            authorisation.subject,
            request.public_key,
            authorisation.protection,
            self._custodian if profile.mark_extension else None,
            validity,
        )
        return Authorised(authorisation, wish, now)

    def claim(self, authorised: Sequence[Authorised]) -> list[DeniedError | None]:
        """Record one use for each, durably and in one transaction.

        An error stands where the authorisation is spent, or its hourly limit reached: no use was recorded there.
        """
        claimed = self._uses.claim([_claim(one) for one in authorised])
        return [None if done else _spent(one) for one, done in zip(authorised, claimed, strict=True)]

    def _opened(self, envelope: AuthorisationEnvelope) -> Authorisation:
        key = self._officers(envelope.officer)
        if key is None:
            raise DeniedError(f"{envelope.officer!r} is not a registration officer of this CA")
        try:
            return open_authorisation(envelope, key)
        except (VerificationError, UnsupportedError):
            raise DeniedError(f"the authorisation is not signed by {envelope.officer!r}") from None


def _claim(authorised: Authorised) -> Claim:
    authorisation, moment = authorised.authorisation, authorised.moment
    if authorisation.standing:
        return Claim(authorisation.id, moment, authorisation.limit_per_hour, moment - _WINDOW)
    return Claim(authorisation.id, moment, 1, None)


def _spent(authorised: Authorised) -> DeniedError:
    authorisation = authorised.authorisation
    if authorisation.standing:
        return DeniedError(
            f"the limit of {authorisation.limit_per_hour} certificates an hour is reached",
            hint="wait, or ask a registration officer for a higher limit",
            retry_after=int(_WINDOW.total_seconds()),
        )
    return DeniedError(
        f"the authorisation {authorisation.id!r} was used already",
        hint="an authorisation is good for one certificate: ask for a new one",
    )


def _check_key(authorisation: Authorisation, profile: Profile, public_key: bytes) -> None:
    if not authorisation.standing:
        if authorisation.spki_sha256 != spki_sha256(public_key):
            raise DeniedError("the authorisation is for another public key")
        return
    if not profile.standing:
        raise DeniedError(f"profile {profile.name!r} takes no standing authorisation, but one for each certificate")
    if authorisation.spki_sha256:
        raise DeniedError("a standing authorisation names no key")
    if authorisation.limit_per_hour < 1:
        raise DeniedError("a standing authorisation needs a limit per hour")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise MalformedError(f"the authorisation's end {text!r} is no RFC 3339 time with a zone")
    return moment
