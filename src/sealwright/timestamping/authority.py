"""The timestamp authority (RFC 3161, CSBR 6.8): accepts or refuses a request and stamps what it accepts.

It does no I/O: key, clock and randomness are passed in, requests and responses are bytes. One object may be
used by several threads at once.
"""

import calendar
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sealwright.contracts import Clock, Randomness, SigningKey
from sealwright.domain import oids
from sealwright.domain.errors import (
    ConfigurationError,
    MalformedError,
    SealwrightError,
    UnavailableError,
    VerificationError,
    WeakDigestError,
)
from sealwright.domain.keys import DigestAlgorithm
from sealwright.structures.cms import load_certificate
from sealwright.structures.tsp import TokenTemplate, check_timestamping_usage
from sealwright.structures.tsp_messages import (
    FailureInfo,
    TimestampRefusedError,
    TimestampRequest,
    build_granted,
    build_rejection,
    read_request,
)

KEY_USE_MONTHS: Final = 15
"""How long a timestamp key may be used, from its certificate's notBefore (CSBR 6.3.2)."""

_SERIAL_OCTETS = 16
_MAX_POLICY = 256


@dataclass(frozen=True, slots=True)
class Answer:
    """What the authority answers: the TimeStampResp, and the token in it or the reason why there is none."""

    response: bytes
    token: bytes | None = None
    failure: FailureInfo | None = None


class TimestampAuthority:
    """Stamps digests with one key and one certificate.

    `chain` is DER: the authority's certificate, then those above it without the root. `policies` are the
    identifiers that a request may ask for; the first is used where it asks for none. `accuracy` is stated in
    the tokens if the deployment knows its clock's deviation. The digest of the token is the one that signed
    the certificate (CSBR 6.8). Raises ConfigurationError if key and certificate do not serve for timestamps.
    """

    def __init__(
        self,
        key: SigningKey,
        chain: Sequence[bytes],
        clock: Clock,
        randomness: Randomness,
        *,
        policies: tuple[str, ...] = (oids.TSA_POLICY_UNPROVEN_CLOCK,),
        accuracy: timedelta | None = None,
    ) -> None:
        certificate = _certificate(chain, key)
        if not policies:
            raise ConfigurationError("a timestamp authority needs at least one policy identifier")
        self.certificate: Final = certificate
        self.policies: Final = policies
        self.digest: Final = _certificate_digest(certificate)
        self._key = key
        self._clock = clock
        self._randomness = randomness
        self._template = TokenTemplate(chain, self.digest, key.algorithm, accuracy)
        self._first = certificate.not_valid_before_utc
        self._end = min(_months_later(self._first, KEY_USE_MONTHS), certificate.not_valid_after_utc)

    @property
    def usable_until(self) -> datetime:
        """The moment after which this key stamps no more: 15 months from notBefore, or the certificate's end."""
        return self._end

    def check_ready(self) -> None:
        """Raise UnavailableError if the key may not be used at this moment."""
        self._check_period(self._clock())

    def answer(self, data: bytes) -> Answer:
        """Answer a TimeStampReq: with a token, or with a rejection that says why. Never raises for a request."""
        try:
            token = self.stamp(read_request(data))
        except TimestampRefusedError as error:
            return Answer(build_rejection(error.failure, error.detail), failure=error.failure)
        except SealwrightError as error:
            failure = FailureInfo.SYSTEM_FAILURE
            return Answer(build_rejection(failure, error.detail), failure=failure)
        return Answer(build_granted(token), token)

    def stamp(self, request: TimestampRequest) -> bytes:
        """Return a token for the request.

        Raises TimestampRefusedError for what it does not accept, UnavailableError if the key may not be used
        now or does not answer.
        """
        policy = self._accepted_policy(request)
        now = self._clock().astimezone(UTC)
        self._check_period(now)
        info = self._template.info(request, policy, self._serial(), now)
        signed = self._template.signed_attributes(info, now)
        signature = self._key.sign(hashlib.new(self.digest.value, signed).digest(), self.digest)
        return self._template.assemble(info, signed, signature, certificates=request.certificates)

    def _accepted_policy(self, request: TimestampRequest) -> str:
        if request.extensions:
            # Critical or not: RFC 3161, section 2.4.1, wants every extension refused that is not recognised.
            raise TimestampRefusedError(
                FailureInfo.UNACCEPTED_EXTENSION, f"the extension {request.extensions[0]} is not supported"
            )
        if request.policy is None:
            return self.policies[0]
        if request.policy not in self.policies:
            raise TimestampRefusedError(
                FailureInfo.UNACCEPTED_POLICY,
                f"the policy {request.policy[:_MAX_POLICY]} is not offered",
                hint=f"ask for {' or '.join(self.policies)}, or for none",
            )
        return request.policy

    def _check_period(self, now: datetime) -> None:
        if now < self._first:
            raise UnavailableError("the timestamp authority's certificate is not valid yet", hint="check the clock")
        if now > self._end:
            raise UnavailableError(
                f"the timestamp authority's key was usable until {self._end:%Y-%m-%d %H:%M} UTC",
                hint="give the authority a new key and certificate (CSBR 6.3.2)",
            )

    def _serial(self) -> int:
        """Return 126 random bits: always positive, always 16 octets, never twice in practice."""
        octets = self._randomness(_SERIAL_OCTETS)
        return int.from_bytes(octets, "big") & (1 << 126) - 1 | 1 << 126


def _certificate(chain: Sequence[bytes], key: SigningKey) -> x509.Certificate:
    if not chain:
        raise ConfigurationError("a timestamp authority needs its certificate")
    try:
        certificate = load_certificate(chain[0])
        check_timestamping_usage(certificate)
    except (MalformedError, VerificationError) as error:
        raise ConfigurationError(
            f"the certificate does not serve a timestamp authority: {error.detail}",
            hint="issue it by the timestamp profile",
        ) from None
    public_key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if public_key != key.public_key:
        raise ConfigurationError("the timestamp authority's certificate is for another key")
    return certificate


def _certificate_digest(certificate: x509.Certificate) -> DigestAlgorithm:
    algorithm = certificate.signature_hash_algorithm
    try:
        return DigestAlgorithm.named(algorithm.name if algorithm else "none")
    except WeakDigestError as error:
        raise ConfigurationError(
            "the timestamp authority's certificate is signed with a digest that tokens may not use",
            hint=error.hint,
        ) from None


def _months_later(moment: datetime, months: int) -> datetime:
    """Return the same day that many months later, or the last day of a shorter month."""
    years, month = divmod(moment.month - 1 + months, 12)
    year, month = moment.year + years, month + 1
    return moment.replace(year=year, month=month, day=min(moment.day, calendar.monthrange(year, month)[1]))
