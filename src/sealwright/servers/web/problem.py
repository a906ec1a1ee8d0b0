"""Problem documents (RFC 9457): errors of the tree as a web face shows them."""

import msgspec

from sealwright.domain.errors import Kind, SealwrightError

STATUS = {
    Kind.INVALID: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.DENIED: 403,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.TOO_LARGE: 413,
    Kind.UNAVAILABLE: 503,
    Kind.INTERNAL: 500,
}
CONTENT_TYPE = b"application/problem+json"
_RETRY_AFTER = 2


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457, section 3.1; `type` leads to the page of the documentation about this code."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    hint: str = ""


def problem_of(error: SealwrightError) -> Problem:
    """Translate an error; the title is the sentence that its class is documented with."""
    title = (type(error).__doc__ or "").strip().split("\n", 1)[0]
    return Problem(f"/problems/{error.code}", title, STATUS[error.kind], error.code, error.detail, error.hint)


def problem_headers(error: SealwrightError) -> list[tuple[bytes, bytes]]:
    """Return the headers of a problem document: content type, and Retry-After where trying again helps."""
    headers = [(b"content-type", CONTENT_TYPE), (b"cache-control", b"no-store")]
    if error.kind is Kind.UNAVAILABLE:
        headers.append((b"retry-after", str(error.retry_after or _RETRY_AFTER).encode()))
    if error.kind is Kind.UNAUTHENTICATED:
        headers.append((b"www-authenticate", b'Signature realm="sealwright"'))
    return headers
