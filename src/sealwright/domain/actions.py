"""The closed list of administrative acts: what the key holder does only when those entitled have signed it."""

import msgspec
from msgspec import Struct

from sealwright.domain.errors import MalformedError


class Action(Struct, frozen=True, tag_field="action", omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """What all administrative acts have in common: a name that says what they do."""


class EnrolPrincipal(Action, frozen=True, tag="enrol-principal"):
    """Make a workload or a person known by the public key (SubjectPublicKeyInfo, DER) that signs its requests."""

    name: str
    kind: str
    subscriber: str
    public_key: bytes
    administrator: bool = False


class RevokePrincipal(Action, frozen=True, tag="revoke-principal"):
    """Forget a principal at once: nothing that it signs counts from here on."""

    name: str


class CreateKey(Action, frozen=True, tag="create-key"):
    """Make a signing key inside the key store."""

    name: str
    subscriber: str
    algorithm: str
    lifetime: str
    schemes: list[str]


class CertifyKey(Action, frozen=True, tag="certify-key"):
    """Give a key its certificate chain (DER, leaf first) and make it active.

    An ephemeral key gets no chain, but the standing authorisation under which the CA certifies each key.
    """

    name: str
    chain: list[bytes] = []
    authorisation: bytes = b""
    officer: str = ""
    officer_signature: bytes = b""


class ChangeKeyState(Action, frozen=True, tag="change-key-state"):
    """Suspend, resume or destroy a key."""

    name: str
    state: str


class SetPolicy(Action, frozen=True, tag="set-policy"):
    """Replace the Cedar policies of one subscriber."""

    subscriber: str
    text: str


class EnableDualControl(Action, frozen=True, tag="enable-dual-control"):
    """Demand two administrators' signatures from here on; there is no way back."""


class ClearHalt(Action, frozen=True, tag="clear-halt"):
    """Take up signing again after the log was mistrusted and the matter was investigated.

    The log is trusted from the size and root (hex) named here, which the administrators looked at.
    """

    size: int
    frontier: bytes


AnyAction = (
    EnrolPrincipal
    | RevokePrincipal
    | CreateKey
    | CertifyKey
    | ChangeKeyState
    | SetPolicy
    | EnableDualControl
    | ClearHalt
)


class AdminRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """An administrative request: one act, for one deployment, within a time, once."""

    id: str  # unique; a request is carried out once
    deployment: str  # the log's origin, so that it cannot be carried to another deployment
    not_after: str  # RFC 3339
    action: AnyAction


_decoder: msgspec.json.Decoder[AdminRequest] = msgspec.json.Decoder(AdminRequest)


def encode_request(request: AdminRequest) -> bytes:
    """Return the bytes that administrators sign."""
    return msgspec.json.encode(request)


def decode_request(data: bytes) -> AdminRequest:
    """Read an administrative request, or raise MalformedError."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedError(f"this is no administrative request: {error}") from None


def action_name(action: AnyAction) -> str:
    """Return the name of an act, such as `create-key`."""
    return str(action.__struct_config__.tag)


def subject_of(action: AnyAction) -> str:
    """Return what an act is about: a key's, principal's or subscriber's name."""
    match action:
        case EnrolPrincipal() | RevokePrincipal() | CreateKey() | CertifyKey() | ChangeKeyState():
            return action.name
        case SetPolicy():
            return action.subscriber
        case EnableDualControl() | ClearHalt():
            return ""
