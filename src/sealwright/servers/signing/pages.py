"""The documentation page behind each problem code: what it means and what to do next."""

from html import escape

from sealwright.domain.errors import Kind, NotFoundError, SealwrightError, errors_by_code
from sealwright.servers.web.problem import STATUS

NEXT_STEP = {
    Kind.INVALID: "Change the request; sent again as it is, it will be refused again.",
    Kind.UNAUTHENTICATED: "Check which key signs the request, that the workload is enrolled, and both clocks.",
    Kind.DENIED: "Ask an administrator: the policy of the subscriber decides, and every refusal is recorded.",
    Kind.NOT_FOUND: "Check the name. What belongs to other subscribers looks as if it did not exist.",
    Kind.CONFLICT: "Look at the present state, then decide anew.",
    Kind.TOO_LARGE: "Divide the request into several smaller ones.",
    Kind.UNAVAILABLE: "Send the same request again, with the same idempotency key, after the time in Retry-After.",
    Kind.INTERNAL: "The operator finds the cause in the log of the service.",
}
NEXT_STEP_OF_CODE = {
    "log-mistrusted": "Tell the operator: nothing is signed until the log was investigated and the halt was cleared.",
    "second-signature": "Let a second operator look at the request that was left in a file, and sign it too.",
    "configuration": "Mend the setting, file or address that the detail names.",
    "weak-digest": "Use SHA-256, SHA-384 or SHA-512.",
}
"""Where the advice for a kind of error would lead astray."""

_STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.6 system-ui,sans-serif;max-width:40rem;margin:4rem auto;"
    "padding:0 1rem}code{font-size:1.1em}small{opacity:.7}"
)


def problem_page(code: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return the page of one code. Raises NotFoundError for a code that does not exist."""
    kind = errors_by_code().get(code)
    if kind is None:
        raise NotFoundError(f"there is no problem {code!r}")
    html = page(code, kind)
    headers = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
        (b"x-content-type-options", b"nosniff"),
    ]
    return 200, headers, html.encode()


def next_step(code: str, kind: Kind) -> str:
    """Return what to do about an error."""
    return NEXT_STEP_OF_CODE.get(code, NEXT_STEP[kind])


def page(code: str, kind: type[SealwrightError]) -> str:
    """Return the HTML of one code's page."""
    meaning = escape(" ".join((kind.__doc__ or "").split()))
    advice = escape(next_step(code, kind.kind))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(code)} - Sealwright</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<h1><code>{escape(code)}</code></h1><p>{meaning}</p><h2>What to do</h2><p>{advice}</p>"
        f"<p><small>HTTP status {STATUS[kind.kind]}</small></p></html>"
    )
