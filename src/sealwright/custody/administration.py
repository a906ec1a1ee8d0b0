"""Administrative acts: what those entitled have signed, turned into the next state, or refused.

Nothing else changes keys, principals or policies. One administrator's signature is enough while dual control
is off; once it was turned on, two different administrators sign, and it cannot be turned off.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sealwright.contracts import KeyStore
from sealwright.domain.actions import (
    AdminRequest,
    AnyAction,
    CertifyKey,
    ChangeKeyState,
    ClearHalt,
    CreateKey,
    EnableDualControl,
    EnrolPrincipal,
    RevokePrincipal,
    SetPolicy,
    decode_request,
)
from sealwright.domain.errors import (
    ConflictError,
    DeniedError,
    InvalidRequestError,
    MalformedError,
    NotFoundError,
)
from sealwright.domain.keys import KeyAlgorithm, KeyState, Lifetime, Module, Operator, Protection, is_name
from sealwright.domain.messages import AdminEnvelope, Authorisation
from sealwright.domain.records import CustodyState, KeyRecord, PolicyRecord, PrincipalRecord, SeenLog
from sealwright.structures.http_signatures import PublicKey, admin_bytes, check_detached
from sealwright.structures.merkle import Frontier

MAX_VALIDITY_SECONDS = 24 * 3600
_MAX_CHAIN = 8
_MAX_POLICY = 64 * 1024
_ALLOWED_CHANGES = {
    KeyState.ACTIVE: (KeyState.SUSPENDED, KeyState.DESTROYED),
    KeyState.SUSPENDED: (KeyState.ACTIVE, KeyState.DESTROYED),
    KeyState.CREATED: (KeyState.DESTROYED,),
    KeyState.DESTROYED: (),
}


@dataclass(frozen=True, slots=True)
class Administration:
    """Carries out acts against a state; what it needs from outside is given here."""

    deployment: str
    key_store: KeyStore
    operator: Operator
    known_scheme: Callable[[str], bool]
    validate_policy: Callable[[str], None]
    load_key: Callable[[bytes], PublicKey]

    def signers(self, envelope: AdminEnvelope, state: CustodyState) -> list[str]:
        """Return the administrators who signed, each once. Raises DeniedError, VerificationError."""
        signed = admin_bytes(envelope.request)
        names: list[str] = []
        for signature in envelope.signatures:
            record = state.principals.get(signature.administrator)
            if record is None or not record.administrator or record.name in names:
                raise DeniedError("the request is not signed by an administrator")
            check_detached(record.public_key, signature.signature, signed)
            names.append(record.name)
        if not names:
            raise DeniedError("the request is not signed by an administrator")
        return names

    def entitled(self, envelope: AdminEnvelope, names: list[str], state: CustodyState, now: datetime) -> AdminRequest:
        """Return the request that these administrators signed. Raises DeniedError unless they are enough, in time."""
        needed = 2 if state.dual_control else 1
        if len(names) < needed:
            raise DeniedError(
                f"{needed} administrators must sign this request, {len(names)} did",
                hint="dual control is on: let a second administrator sign too" if state.dual_control else "",
            )
        request = decode_request(envelope.request)
        if request.deployment != self.deployment:
            raise DeniedError("the request is meant for another deployment")
        try:
            not_after = datetime.fromisoformat(request.not_after)
            left = (not_after - now).total_seconds()
        except (ValueError, TypeError):
            raise InvalidRequestError("the request's end is not a time with a zone") from None
        if not 0 < left <= MAX_VALIDITY_SECONDS:
            raise DeniedError("the request is out of its time", hint="check the clocks of both machines")
        return request

    def carry_out(self, request: AdminRequest, state: CustodyState) -> CustodyState:
        """Return the state after the act. Raises ConflictError, NotFoundError, InvalidRequestError."""
        changed = self._carry_out(request.action, state)
        return replace(changed, version=state.version + 1)

    def _carry_out(self, action: AnyAction, state: CustodyState) -> CustodyState:  # noqa: PLR0911 - one for each act
        match action:
            case EnrolPrincipal():
                return self._enrol(action, state)
            case RevokePrincipal():
                return _revoke(action, state)
            case CreateKey():
                return self._create_key(action, state)
            case CertifyKey():
                return _certify(action, state)
            case ChangeKeyState():
                return self._change_state(action, state)
            case SetPolicy():
                return self._set_policy(action, state)
            case EnableDualControl():
                return _enable_dual_control(state)
            case ClearHalt():
                return _clear_halt(action, state)

    def _enrol(self, action: EnrolPrincipal, state: CustodyState) -> CustodyState:
        _need_name(action.name, "principal")
        _need_name(action.subscriber, "subscriber")
        if action.kind not in {"workload", "person"}:
            raise InvalidRequestError("a principal is a `workload` or a `person`")
        if action.administrator and action.kind != "person":
            raise InvalidRequestError("only a person can be an administrator")
        if action.name in state.principals:
            raise ConflictError(f"there is a principal {action.name!r} already")
        self._check_new_key(action, state)
        record = PrincipalRecord(action.name, action.kind, action.subscriber, action.public_key, action.administrator)
        return replace(state, principals={**state.principals, record.name: record})

    def _check_new_key(self, action: EnrolPrincipal, state: CustodyState) -> None:
        """Two names for one key would be two signatures of one person: no dual control at all."""
        added = _canonical(self.load_key(action.public_key))
        for known in state.principals.values():
            if _canonical(self.load_key(known.public_key)) == added:
                raise ConflictError(
                    f"this public key is the one of {known.name!r} already", hint="make a key of its own"
                )

    def _create_key(self, action: CreateKey, state: CustodyState) -> CustodyState:
        _need_name(action.name, "key")
        _need_name(action.subscriber, "subscriber")
        if action.name in state.keys:
            raise ConflictError(f"there is a key {action.name!r} already")
        try:
            algorithm, lifetime = KeyAlgorithm(action.algorithm), Lifetime(action.lifetime)
        except ValueError as error:
            raise InvalidRequestError(
                str(error),
                hint=f"algorithms: {', '.join(a.value for a in KeyAlgorithm)}; lifetimes: persistent, ephemeral",
            ) from None
        unknown = [name for name in action.schemes if not self.known_scheme(name)]
        if unknown or not action.schemes:
            raise InvalidRequestError(f"a key needs schemes that are known here; unknown: {', '.join(unknown)}")
        public_key = b""
        if lifetime is Lifetime.PERSISTENT:
            # A label without a record is what a crash left between module and database: nobody could ever use it.
            self.key_store.destroy(action.name)
            public_key = self.key_store.create(action.name, algorithm).public_key
        record = KeyRecord(
            name=action.name,
            subscriber=action.subscriber,
            algorithm=algorithm,
            lifetime=lifetime,
            state=KeyState.CREATED,
            protection=Protection(self.operator, self.operator, Module(self.key_store.module)),
            schemes=tuple(action.schemes),
            public_key=public_key,
        )
        return _with_key(state, record)

    @staticmethod
    def _change_state(action: ChangeKeyState, state: CustodyState) -> CustodyState:
        # The key itself is destroyed once this is durable: `destroy_marked`.
        record = _key(state, action.name)
        try:
            wanted = KeyState(action.state)
        except ValueError:
            raise InvalidRequestError(f"{action.state!r} is no state of a key") from None
        if wanted not in _ALLOWED_CHANGES[record.state]:
            raise ConflictError(f"a key that is {record.state.value} cannot become {wanted.value}")
        return _with_key(state, msgspec.structs.replace(record, state=wanted))

    def destroy_marked(self, state: CustodyState, names: Iterable[str]) -> None:
        """Destroy, for ever, those of the named keys that the records call destroyed. Raises UnavailableError."""
        for name in names:
            record = state.keys.get(name)
            if record and record.state is KeyState.DESTROYED and record.lifetime is Lifetime.PERSISTENT:
                self.key_store.destroy(name)

    def _set_policy(self, action: SetPolicy, state: CustodyState) -> CustodyState:
        _need_name(action.subscriber, "subscriber")
        if len(action.text) > _MAX_POLICY:
            raise InvalidRequestError(f"the policies of one subscriber have at most {_MAX_POLICY} characters")
        self.validate_policy(action.text)
        before = state.policies.get(action.subscriber)
        record = PolicyRecord(action.subscriber, action.text, before.version + 1 if before else 1)
        return replace(state, policies={**state.policies, record.subscriber: record})


def _revoke(action: RevokePrincipal, state: CustodyState) -> CustodyState:
    if action.name not in state.principals:
        raise NotFoundError(f"there is no principal {action.name!r}")
    left = {name: record for name, record in state.principals.items() if name != action.name}
    needed = 2 if state.dual_control else 1
    if sum(record.administrator for record in left.values()) < needed:
        raise ConflictError("the last administrators cannot be removed: nobody could change anything any more")
    return replace(state, principals=left)


def _certify(action: CertifyKey, state: CustodyState) -> CustodyState:
    record = _key(state, action.name)
    if record.state not in {KeyState.CREATED, KeyState.ACTIVE}:
        raise ConflictError(f"a key that is {record.state.value} cannot be certified")
    if record.lifetime is Lifetime.EPHEMERAL:
        standing = _standing(action.authorisation)
        if standing.protection != record.protection:
            raise InvalidRequestError("the standing authorisation speaks of another kind of key protection")
        record = msgspec.structs.replace(
            record,
            authorisation=action.authorisation,
            officer=action.officer,
            officer_signature=action.officer_signature,
        )
    else:
        until = _check_chain(action.chain, record.public_key)
        record = msgspec.structs.replace(record, chain=tuple(action.chain), valid_until=until)
    return _with_key(state, msgspec.structs.replace(record, state=KeyState.ACTIVE))


def _standing(authorisation: bytes) -> Authorisation:
    try:
        standing = msgspec.json.decode(authorisation, type=Authorisation)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"an ephemeral key needs a standing authorisation: {error}") from None
    if not standing.standing:
        raise InvalidRequestError("an ephemeral key needs a standing authorisation")
    return standing


def _check_chain(chain: list[bytes], public_key: bytes) -> int:
    """Check that the chain is this key's, and return when the first of its certificates expires."""
    if not 0 < len(chain) <= _MAX_CHAIN:
        raise InvalidRequestError(f"a certificate chain has 1 to {_MAX_CHAIN} certificates")
    try:
        certificates = [x509.load_der_x509_certificate(der) for der in chain]
        for lower, upper in pairwise(certificates):
            lower.verify_directly_issued_by(upper)
        held = certificates[0].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        until = min(int(certificate.not_valid_after_utc.timestamp()) for certificate in certificates)
    except Exception as error:  # noqa: BLE001 - the library raises several kinds for a chain that does not hold
        raise MalformedError(f"the certificate chain does not hold: {error}") from None
    if held != public_key:
        raise InvalidRequestError("the certificate is not for this key")
    return until


def _enable_dual_control(state: CustodyState) -> CustodyState:
    if sum(record.administrator for record in state.principals.values()) < 2:  # noqa: PLR2004 - two people
        raise ConflictError("dual control needs two administrators", hint="enrol a second administrator first")
    return replace(state, dual_control=True)


def _clear_halt(action: ClearHalt, state: CustodyState) -> CustodyState:
    if not state.halted:
        raise ConflictError("signing is not halted")
    frontier = Frontier.decode(action.size, action.frontier)
    return replace(state, halted="", seen=SeenLog(frontier.size, frontier.encode(), ""))


def _canonical(key: PublicKey) -> bytes:
    """Return one encoding for one key: a point can be written in several ways."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _key(state: CustodyState, name: str) -> KeyRecord:
    record = state.keys.get(name)
    if record is None:
        raise NotFoundError(f"there is no key {name!r}")
    return record


def _with_key(state: CustodyState, record: KeyRecord) -> CustodyState:
    return replace(state, keys={**state.keys, record.name: record})


def _need_name(name: str, what: str) -> None:
    if not is_name(name):
        raise InvalidRequestError(f"{name!r} cannot name a {what}", hint="use 1 to 64 of a-z 0-9 . _ -")
