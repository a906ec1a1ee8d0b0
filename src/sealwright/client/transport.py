"""Requests to the service over HTTPS: signed, bounded, and sent again while the service says "not now".

Every attempt of one request carries the same idempotency key and a signature made afresh, so that a retry is
the same request to the service and still young enough to be believed (RFC 9421; RFC 9110, section 10.2.3).
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

import msgspec

from sealwright import __version__
from sealwright.contracts import Clock
from sealwright.domain import errors
from sealwright.domain.errors import (
    ConfigurationError,
    DeniedError,
    MalformedError,
    SealwrightError,
    UnavailableError,
)

if TYPE_CHECKING:
    import urllib3

MAX_ANSWER: Final = 32 << 20
"""Most bytes of one answer that are read: a thousand signatures and their receipt take a few MiB."""

PROBLEM: Final = "application/problem+json"
_CONNECT_SECONDS: Final = 5.0
_READ_SECONDS: Final = 60.0
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 8.0
_OK: Final = range(200, 300)
_GATEWAY: Final = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signs requests: the workload's name, the algorithm, and a function that signs with its key."""

    name: str
    algorithm: str
    sign: Callable[[bytes], bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, fields (names in lower case) and body."""

    status: int
    fields: Mapping[str, str]
    body: bytes


class NoAnswerError(UnavailableError):
    """No whole answer came back; `sent` tells whether the request may have reached the service."""

    def __init__(self, detail: str, *, sent: bool) -> None:
        super().__init__(detail, hint="is the service running, and the address in client.toml right?")
        self.sent = sent


class Exchange(Protocol):
    """One HTTP exchange without retries. Raises NoAnswerError, ConfigurationError."""

    def __call__(self, method: str, target: str, fields: Mapping[str, str], body: bytes) -> Answer:
        """Send one request to the service's own origin and read the whole answer."""
        ...


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a request is tried again, in seconds, and the clock and pause that measure it."""

    seconds: float = 30.0
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Problem(msgspec.Struct, frozen=True):
    """A refusal as the service words it (RFC 9457)."""

    title: str = ""
    detail: str = ""
    code: str = ""
    hint: str = ""


def _tree(root: type[SealwrightError]) -> Iterator[type[SealwrightError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _tree(child)


_BY_CODE: Final[Mapping[str, type[SealwrightError]]] = {error.code: error for error in _tree(SealwrightError)}
_BY_STATUS: Final[Mapping[int, type[SealwrightError]]] = {
    400: errors.InvalidRequestError,
    401: errors.UnauthenticatedError,
    403: DeniedError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    413: errors.TooLargeError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}


class Transport:
    """Sends requests to one service. `identity` signs those that must be signed."""

    def __init__(
        self,
        server: str,
        exchange: Exchange,
        identity: Identity | None = None,
        *,
        clock: Clock = lambda: datetime.now(UTC),
        patience: Patience | None = None,
    ) -> None:
        self._authority = authority(server)
        self._exchange = exchange
        self._identity = identity
        self._clock = clock
        self._patience = patience or Patience()

    def get(self, path: str, *, signed: bool = True) -> bytes:
        """Fetch a resource, signed by the identity unless it is public. Raises what the service answers."""
        return self._patiently(lambda n: self._once("GET", path, b"", "", n, signed=signed), resend=True)

    def post(self, path: str, body: bytes, idempotency_key: str) -> bytes:
        """Send a signed request; sent again as the same request until it is answered or patience ends."""
        return self._patiently(lambda n: self._once("POST", path, body, idempotency_key, n, signed=True), resend=True)

    def post_envelope(self, path: str, body: bytes) -> bytes:
        """Send a body that carries its own signatures; it counts once, so what may have arrived is not sent again."""
        return self._patiently(lambda n: self._once("POST", path, body, "", n, signed=False), resend=False)

    def _once(self, method: str, path: str, body: bytes, idempotency_key: str, attempt: int, *, signed: bool) -> bytes:
        fields = {"User-Agent": f"sealwright/{__version__}", "Accept": f"application/json, {PROBLEM}"}
        if body:
            fields["Content-Type"] = "application/json"
        if signed:
            fields |= self._signed(method, path, body, idempotency_key, attempt)
        answer = self._exchange(method, path, fields, body)
        if answer.status not in _OK:
            raise problem_of(answer)
        return answer.body

    def _signed(self, method: str, path: str, body: bytes, idempotency_key: str, attempt: int) -> dict[str, str]:
        # `cryptography` takes a tenth of a second to import, so it is only where a request is signed.
        from sealwright.structures.http_signatures import sign_request  # noqa: PLC0415 - slow, see above

        if self._identity is None:
            raise ConfigurationError(
                "this command needs a principal that signs its requests",
                hint="name a client.toml with a request key: --config FILE or SEALWRIGHT_CONFIG",
            )
        return sign_request(
            method,
            self._authority,
            path,
            "",
            body,
            idempotency_key,
            self._identity.name,
            # The key holder takes a proof once, and `created` has whole seconds: each attempt is dated a second
            # later, so that it is a proof of its own even if the one before was used and its answer lost.
            int(self._clock().timestamp()) + attempt,
            self._identity.sign,
            self._identity.algorithm,
        )

    def _patiently(self, attempt: Callable[[int], bytes], *, resend: bool) -> bytes:
        """Try until there is an answer; pauses double, and are as long as Retry-After asks for at least.

        `attempt` is told how many went before it.
        """
        began = self._patience.monotonic()
        pause = _FIRST_PAUSE
        number = 0
        while True:
            try:
                return attempt(number)
            except UnavailableError as error:
                if isinstance(error, NoAnswerError) and error.sent and not resend:
                    raise
                wait = max(pause, float(error.retry_after or 0))
                if self._patience.monotonic() - began + wait > self._patience.seconds:
                    raise
            self._patience.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE)
            number += 1


def authority(server: str) -> str:
    """Return host and port of the service's address as signatures cover them. Raises ConfigurationError."""
    from sealwright.structures.http_signatures import authority_of  # noqa: PLC0415 - slow to import

    try:
        parts = urlsplit(server)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme != "https" or not host or parts.path not in {"", "/"} or parts.query or parts.username:
        raise ConfigurationError(
            f"the server's address {server!r} is not of the form https://host:port",
            hint="correct `server` in client.toml",
        )
    return authority_of(host, port)


def problem_of(answer: Answer) -> SealwrightError:
    """Turn a refusal into the error of our tree that it names; an unknown code falls back to the HTTP status."""
    problem = Problem()
    if answer.fields.get("content-type", "").split(";")[0].strip() == PROBLEM:
        try:
            problem = msgspec.json.decode(answer.body, type=Problem)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            problem = Problem()
    kind = _BY_CODE.get(problem.code) or _BY_STATUS.get(answer.status, SealwrightError)
    detail = problem.detail or problem.title or f"the service answered with HTTP status {answer.status}"
    error = kind(detail, hint=problem.hint, retry_after=_retry_after(answer))
    if answer.status in _GATEWAY and not isinstance(error, UnavailableError):
        return UnavailableError(detail, hint=problem.hint, retry_after=error.retry_after)
    return error


def _retry_after(answer: Answer) -> int | None:
    """Read Retry-After in seconds; the form with a date is not used by the service and is passed over."""
    text = answer.fields.get("retry-after", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else None  # noqa: PLR2004 - below 28 hours


class HTTPSExchange:
    """An Exchange over kept-alive TLS connections to one service, verified against the given roots.

    `tls_ca` is a PEM file with the roots of the service's TLS certificate; None means the system's own.
    """

    def __init__(self, server: str, tls_ca: Path | None) -> None:
        self._server = server.rstrip("/")
        self._tls_ca = tls_ca
        self._pool: urllib3.PoolManager | None = None

    def __call__(self, method: str, target: str, fields: Mapping[str, str], body: bytes) -> Answer:
        """Send one request. Raises NoAnswerError; ConfigurationError if the service cannot prove who it is."""
        import urllib3  # noqa: PLC0415 - most commands never speak to the service
        from urllib3 import exceptions  # noqa: PLC0415 - the same

        if self._pool is None:
            self._pool = urllib3.PoolManager(
                maxsize=1,
                cert_reqs="CERT_REQUIRED",
                ca_certs=self._roots(),
                timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
            )
        try:
            with self._pool.request(
                method,
                self._server + target,
                body=body or None,
                headers=dict(fields),
                preload_content=False,
                redirect=False,
                retries=False,
            ) as response:
                content = response.read(MAX_ANSWER + 1)
                if len(content) > MAX_ANSWER:
                    raise MalformedError(f"the service's answer is longer than {MAX_ANSWER >> 20} MiB")
                response.drain_conn()
                return Answer(
                    response.status, {name.lower(): value for name, value in response.headers.items()}, content
                )
        except exceptions.SSLError as error:
            raise ConfigurationError(
                f"{self._server} cannot prove that it is the service: {error}",
                hint="`tls_ca` in client.toml must name the roots of the service's TLS certificate",
            ) from None
        except (exceptions.NewConnectionError, exceptions.ConnectTimeoutError) as error:
            raise NoAnswerError(f"{self._server} does not answer: {error}", sent=False) from None
        except exceptions.HTTPError as error:
            raise NoAnswerError(f"the connection to {self._server} broke: {error}", sent=True) from None

    def close(self) -> None:
        """Close the connections that are kept."""
        if self._pool is not None:
            self._pool.clear()

    def _roots(self) -> str | None:
        if self._tls_ca is not None and not self._tls_ca.is_file():
            raise ConfigurationError(
                f"the roots of the service's TLS certificate are missing: {self._tls_ca}",
                hint="correct `tls_ca` in client.toml",
            )
        return str(self._tls_ca) if self._tls_ca is not None else None
