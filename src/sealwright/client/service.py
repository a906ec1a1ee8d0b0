"""The signing service as its clients call it: one method for each thing that can be asked, typed both ways."""

from typing import Final, TypeVar

import msgspec

from sealwright.client.transport import Transport
from sealwright.domain.errors import MalformedError
from sealwright.domain.messages import (
    AdminAnswer,
    AdminEnvelope,
    IssueAnswer,
    IssueRequest,
    KeyView,
    PolicyView,
    SigningRequestBody,
    SigningResponse,
    WhoAmI,
)

MAX_ARTIFACTS: Final = 1_000
"""Most digests of one signing request."""

_T = TypeVar("_T")


def request_bytes(request: SigningRequestBody) -> bytes:
    """Return the very bytes that are sent for a request; their SHA-256 stands in the ledger."""
    return msgspec.json.encode(request)


class Status(msgspec.Struct, frozen=True):
    """What the service says of itself to anybody: how many must agree, where the log stands, why it does not sign."""

    dual_control: bool
    log_size: int
    witness: str
    log_root: str = ""
    log_frontier: str = ""
    halted: str = ""


class SigningService:
    """The service behind one transport. Every method raises what the service answers, as errors of our tree."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def sign(self, request: SigningRequestBody, idempotency_key: str) -> SigningResponse:
        """Ask for signatures; the same key and request again is the same request, and is counted once."""
        answer = self._transport.post("/v1/signing-requests", request_bytes(request), idempotency_key)
        return _read(answer, SigningResponse)

    def whoami(self) -> WhoAmI:
        """Ask whom the service takes this client for, and which keys it may see."""
        return _read(self._transport.get("/v1/whoami"), WhoAmI)

    def keys(self) -> list[KeyView]:
        """List the keys that the principal may see."""
        return _read(self._transport.get("/v1/keys"), list[KeyView])

    def policy(self) -> PolicyView:
        """Fetch the policy of the principal's own subscriber. Raises NotFoundError if there is none."""
        return _read(self._transport.get("/v1/policy"), PolicyView)

    def status(self) -> Status:
        """Ask for the service's state; no proof of who asks is needed."""
        return _read(self._transport.get("/v1/status", signed=False), Status)

    def administer(self, envelope: AdminEnvelope) -> AdminAnswer:
        """Hand in an administrative request, signed by those entitled to it."""
        return _read(self._transport.post_envelope("/v1/admin-requests", msgspec.json.encode(envelope)), AdminAnswer)

    def issue(self, request: IssueRequest) -> IssueAnswer:
        """Have a certificate issued on a registration officer's authorisation."""
        return _read(self._transport.post_envelope("/v1/certificates", msgspec.json.encode(request)), IssueAnswer)

    def checkpoint(self) -> str:
        """Fetch the newest signed checkpoint of the service's log (a C2SP signed note)."""
        try:
            return self._transport.get("/log/checkpoint", signed=False).decode()
        except UnicodeDecodeError:
            raise MalformedError("the service's checkpoint is no text") from None


def _read(answer: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(answer, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MalformedError(
            f"the service's answer cannot be read: {error}", hint="do client and service have fitting versions?"
        ) from None
