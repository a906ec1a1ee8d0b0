"""One error tree for every part of Sealwright.

An error knows its *kind* (what the caller can do about it), a stable *code* (it leads to a page of the
documentation), a sentence for people and, where there is one, a hint that says what to do next. It knows
nothing of HTTP or exit codes: the faces translate kinds.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import ClassVar


class Kind(Enum):
    """What an error means to the one who caused it; the faces map kinds to HTTP statuses and exit codes."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    DENIED = "denied"
    NOT_FOUND = "not-found"
    CONFLICT = "conflict"
    TOO_LARGE = "too-large"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


class SealwrightError(Exception):
    """Something went wrong in Sealwright."""

    kind: ClassVar[Kind] = Kind.INTERNAL
    code: ClassVar[str] = "internal"

    def __init__(self, detail: str = "", *, hint: str = "", retry_after: int | None = None) -> None:
        self.detail = detail or (type(self).__doc__ or "").split("\n", 1)[0]
        self.hint = hint
        self.retry_after = retry_after
        super().__init__(self.detail)


class MalformedError(SealwrightError):
    """The input is not what it claims to be: truncated, corrupt, or beyond a limit."""

    kind = Kind.INVALID
    code = "malformed"


class UnsupportedError(SealwrightError):
    """The input is well formed, but uses something that Sealwright does not do."""

    kind = Kind.INVALID
    code = "unsupported"


class InvalidRequestError(SealwrightError):
    """The request breaks a rule of the interface."""

    kind = Kind.INVALID
    code = "invalid-request"


class WeakDigestError(InvalidRequestError):
    """The digest algorithm is not allowed: use SHA-256, SHA-384 or SHA-512 (CSBR 7.1.3)."""

    code = "weak-digest"


class DigestLengthError(InvalidRequestError):
    """A digest has not the length that its algorithm produces."""

    code = "digest-length"


class AlreadySignedError(SealwrightError):
    """The file carries a signature already."""

    kind = Kind.CONFLICT
    code = "already-signed"


class UnauthenticatedError(SealwrightError):
    """The request carries no proof of who asks, or the proof does not hold."""

    kind = Kind.UNAUTHENTICATED
    code = "unauthenticated"


class DeniedError(SealwrightError):
    """No policy permits this."""

    kind = Kind.DENIED
    code = "denied"


class LogMistrustedError(SealwrightError):
    """The key holder refuses to sign: the log it was shown contradicts the log it saw before."""

    kind = Kind.DENIED
    code = "log-mistrusted"


class NotFoundError(SealwrightError):
    """There is no such thing, or it is not yours to see."""

    kind = Kind.NOT_FOUND
    code = "not-found"


class ConflictError(SealwrightError):
    """The thing exists already, or has changed meanwhile."""

    kind = Kind.CONFLICT
    code = "conflict"


class SecondSignatureError(ConflictError):
    """Dual control is on: a second operator must sign this too."""

    code = "second-signature"


class TooLargeError(SealwrightError):
    """The request is larger than the service accepts."""

    kind = Kind.TOO_LARGE
    code = "too-large"


class UnavailableError(SealwrightError):
    """A part of the service does not answer just now; the same request may be sent again."""

    kind = Kind.UNAVAILABLE
    code = "unavailable"


class TimestampError(SealwrightError):
    """No timestamp authority gave a valid timestamp."""

    kind = Kind.UNAVAILABLE
    code = "timestamp"


class VerificationError(SealwrightError):
    """A signature, proof or record does not hold."""

    kind = Kind.INVALID
    code = "verification"


class ConfigurationError(SealwrightError):
    """A setting, file or address of this deployment needs attention."""

    kind = Kind.INVALID
    code = "configuration"


def error_of(code: str, detail: str, *, hint: str = "", retry_after: int | None = None) -> SealwrightError:
    """Return the error with this code, as it was raised on the other side of a wall between processes."""
    kind = _BY_CODE.get(code, SealwrightError)
    return kind(detail, hint=hint, retry_after=retry_after)


def errors_by_code() -> Mapping[str, type[SealwrightError]]:
    """Return every error of the tree by its code."""
    return _BY_CODE


def _tree(root: type[SealwrightError]) -> Iterator[type[SealwrightError]]:
    yield root
    for branch in root.__subclasses__():
        yield from _tree(branch)


_BY_CODE = {branch.code: branch for branch in _tree(SealwrightError)}
