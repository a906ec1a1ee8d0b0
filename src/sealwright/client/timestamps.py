"""Timestamps for signatures (RFC 3161): asked of several authorities in turn, checked before they are used."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

from cryptography import x509

from sealwright.contracts import Clock, Randomness
from sealwright.domain import oids
from sealwright.domain.errors import (
    ConfigurationError,
    MalformedError,
    SealwrightError,
    TimestampError,
    UnavailableError,
    VerificationError,
)
from sealwright.domain.keys import DigestAlgorithm
from sealwright.structures.tsp import TimestampToken, check_token, read_token
from sealwright.structures.tsp_messages import MAX_RESPONSE, TimestampRequest, build_request, read_response

if TYPE_CHECKING:
    import urllib3

_QUERY: Final = "application/timestamp-query"
_REPLY: Final = "application/timestamp-reply"
_OK: Final = 200
_TRY_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_NONCE_OCTETS: Final = 8
_CLOCK_TOLERANCE: Final = timedelta(minutes=5)
_FIRST_PAUSE: Final = 0.5  # seconds, doubled after every round
_LONGEST_PAUSE: Final = 8.0  # seconds
_CHUNK: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What an HTTP server answered to a POST."""

    status: int
    content_type: str
    body: bytes


class HttpPost(Protocol):
    """Sends a POST and returns the answer, of at most `limit` bytes.

    Raises UnavailableError if the server does not answer in time, MalformedError if the answer is beyond the
    limit. Used by several threads at once.
    """

    def __call__(self, url: str, body: bytes, headers: dict[str, str], limit: int) -> HttpAnswer:
        """Send the request."""
        ...


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A checked timestamp: the token, the authority's certificate and address, and what the user should know."""

    token: TimestampToken
    certificate: x509.Certificate
    url: str
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class _Attempts:
    """What was tried for one digest: the failures in words, and the authorities that need not be asked again."""

    failures: list[str] = field(default_factory=list)
    hopeless: set[str] = field(default_factory=set)


class TimestampClient:
    """Gets timestamps from the first authority of a list that gives a valid one.

    `rounds` is how often the whole list is tried, with a growing pause between; `sleep` takes seconds;
    `policy` is the token policy to ask for; `threads` serve `stamp_all`. The authority that answered last is
    asked first next time.
    """

    def __init__(
        self,
        urls: Sequence[str],
        http: HttpPost,
        clock: Clock,
        randomness: Randomness,
        *,
        sleep: Callable[[float], None],
        rounds: int = 3,
        policy: str | None = None,
        threads: int = 4,
    ) -> None:
        if not urls:
            raise ConfigurationError("no timestamp authority is configured", hint="name at least one address")
        for url in urls:
            if not url.startswith(("http://", "https://")):
                raise ConfigurationError(f"the timestamp authority {url!r} is no http or https address")
        self._urls = tuple(dict.fromkeys(urls))
        self._http = http
        self._clock = clock
        self._randomness = randomness
        self._sleep = sleep
        self._rounds = rounds
        self._policy = policy
        self._threads = threads
        self._answered_last = self._urls[0]

    def stamp(self, digest: bytes, algorithm: DigestAlgorithm) -> Timestamp:
        """Return a checked timestamp over a digest.

        Raises TimestampError that tells every attempt, DigestLengthError for a digest of another length.
        """
        algorithm.check(digest)
        attempts = _Attempts()
        for number in range(self._rounds):
            if number:
                self._sleep(self._pause(number))
            for url in self._order(attempts):
                try:
                    stamp = self._ask(url, digest, algorithm)
                except UnavailableError as error:
                    attempts.failures.append(f"{url}: {error.detail}")
                except SealwrightError as error:
                    attempts.failures.append(f"{url}: {error.detail}")
                    attempts.hopeless.add(url)
                else:
                    self._answered_last = url
                    return stamp
            if len(attempts.hopeless) == len(self._urls):
                break
        raise TimestampError(
            "no timestamp authority gave a valid timestamp: " + "; ".join(attempts.failures),
            hint="try again later, or name another timestamp authority",
        )

    def stamp_all(self, digests: Sequence[bytes], algorithm: DigestAlgorithm) -> list[Timestamp]:
        """Return a timestamp for each digest, in their order; the first error ends it (as `stamp` raises)."""
        if len(digests) <= 1 or self._threads <= 1:
            return [self.stamp(digest, algorithm) for digest in digests]
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - one file, the usual case, needs none

        pool = ThreadPoolExecutor(min(self._threads, len(digests)), thread_name_prefix="timestamp")
        try:
            return list(pool.map(lambda digest: self.stamp(digest, algorithm), digests))
        finally:
            pool.shutdown(cancel_futures=True)

    def _order(self, attempts: _Attempts) -> list[str]:
        first = self._answered_last
        return [url for url in (first, *(u for u in self._urls if u != first)) if url not in attempts.hopeless]

    def _pause(self, number: int) -> float:
        """Return 0.5, 1, 2 ... 8 seconds, half of it random, so that many clients do not come back together."""
        whole = min(_FIRST_PAUSE * (1 << (number - 1)), _LONGEST_PAUSE)
        return whole / 2 + whole / 2 * self._randomness(1)[0] / 255

    def _ask(self, url: str, digest: bytes, algorithm: DigestAlgorithm) -> Timestamp:
        """Ask one authority once; after an UnavailableError it is worth asking again, after any other it is not."""
        nonce = int.from_bytes(self._randomness(_NONCE_OCTETS), "big") >> 1 | 1 << 62
        request = TimestampRequest(algorithm, digest, self._policy, nonce, certificates=True)
        headers = {"Content-Type": _QUERY, "Accept": _REPLY}
        answer = self._http(url, build_request(request), headers, MAX_RESPONSE)
        if answer.status in _TRY_AGAIN:
            raise UnavailableError(f"HTTP status {answer.status}")
        if answer.status != _OK:
            raise TimestampError(f"HTTP status {answer.status}")
        kind = answer.content_type.partition(";")[0].strip().lower()
        if kind != _REPLY:
            raise TimestampError(f"the answer is of type {kind or 'unknown'}, not {_REPLY}")
        response = read_response(answer.body)
        if response.token is None:
            raise TimestampError(f"refused: {response.reason()}")
        token = read_token(response.token)
        certificate = check_token(token, digest, algorithm, nonce)
        if self._policy is not None and token.policy != self._policy:
            raise VerificationError(f"the timestamp is under the policy {token.policy}, not {self._policy}")
        return Timestamp(token, certificate, url, tuple(self._warnings(token, certificate)))

    def _warnings(self, token: TimestampToken, certificate: x509.Certificate) -> list[str]:
        found: list[str] = []
        if oids.CABF_TIMESTAMP not in certificate_policies(certificate):
            found.append(
                "the timestamp authority's certificate does not carry the policy of audited authorities "
                f"({oids.CABF_TIMESTAMP}); relying parties may reject its timestamps"
            )
        deviation = abs(token.time - self._clock())
        if deviation > _CLOCK_TOLERANCE:
            found.append(
                f"the timestamp's time is {round(deviation.total_seconds())} seconds away from this machine's clock"
            )
        return found


def certificate_policies(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the policy identifiers of a certificate, none if it has no such extension."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.CertificatePolicies)
    except x509.ExtensionNotFound:
        return ()
    return tuple(policy.policy_identifier.dotted_string for policy in extension.value)


def urllib3_post(*, connect_timeout: float = 5.0, total_timeout: float = 20.0) -> HttpPost:
    """Return an HttpPost over urllib3 that keeps connections; times are in seconds. Redirects are not followed."""
    import time  # noqa: PLC0415 - belongs to this transport alone

    import urllib3  # noqa: PLC0415 - slow to import, and not every command needs it

    timeout = urllib3.Timeout(connect=connect_timeout, read=total_timeout)
    pool = urllib3.PoolManager(maxsize=8, timeout=timeout, retries=False)

    def post(url: str, body: bytes, headers: dict[str, str], limit: int) -> HttpAnswer:
        deadline = time.monotonic() + total_timeout
        try:
            response = pool.request("POST", url, body=body, headers=headers, redirect=False, preload_content=False)
            try:
                return HttpAnswer(
                    response.status,
                    response.headers.get("Content-Type", ""),
                    _read(response, limit, lambda: time.monotonic() > deadline),
                )
            finally:
                response.release_conn()
        except urllib3.exceptions.LocationValueError as error:
            raise ConfigurationError(f"this address cannot be used: {error}") from None
        except urllib3.exceptions.HTTPError as error:
            raise UnavailableError(_words(error)) from None

    return post


def _read(response: "urllib3.BaseHTTPResponse", limit: int, late: Callable[[], bool]) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := response.read1(_CHUNK, decode_content=False):
        parts.append(part)
        size += len(part)
        if size > limit:
            response.close()
            raise MalformedError(f"the answer is longer than {limit} bytes")
        if late():
            response.close()
            raise UnavailableError("the answer did not arrive in time")
    return b"".join(parts)


def _words(error: Exception) -> str:
    """Return an error's own sentence, without the object that urllib3 prints before it."""
    text = str(error)
    return text.partition(": ")[2] if text.startswith(("<", "HTTP")) else text or type(error).__name__
