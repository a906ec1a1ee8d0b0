"""A key holder without a network, a database or a module: what it signs for, and the log that it is shown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509.oid import NameOID

from sealwright.contracts import PreparedScheme
from sealwright.custody.administration import Administration
from sealwright.custody.holder import KeyHolder, Surroundings
from sealwright.custody.use import Task
from sealwright.domain.actions import AdminRequest, AnyAction, encode_request
from sealwright.domain.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    SealwrightError,
    UnavailableError,
)
from sealwright.domain.events import AnyEvent, RequestIntended, encode_event, timestamp
from sealwright.domain.keys import (
    DigestAlgorithm,
    KeyAlgorithm,
    KeyState,
    Lifetime,
    Module,
    Operator,
    Protection,
)
from sealwright.domain.messages import (
    AdminEnvelope,
    AdminSignature,
    Artifact,
    IssueAnswer,
    IssueRequest,
    KeyView,
    LogAdvance,
    PrincipalView,
    ProofOfRequest,
    SignBatch,
    SignerContext,
    SigningRequestBody,
    SignItem,
)
from sealwright.domain.records import CustodyState, KeyRecord, PolicyRecord, PrincipalRecord, SeenLog, Uses
from sealwright.structures import http_signatures as hs
from sealwright.structures.merkle import Frontier, leaf_hash, root_of
from sealwright.structures.note import Verifier
from sealwright.structures.signing_requests import proof_sha256
from sealwright.structures.tlog import LogSigner
from tests.unit.timestamping.pki import MemoryKey

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
AUTHORITY = "sign.example.org"
DEPLOYMENT = "sign.example.org/log"
HELD = Protection(Operator.SUBSCRIBER, Operator.SUBSCRIBER, Module.NONE)
LOG_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
WITNESS_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
CI, OTHER, ALICE, BOB, CAROL = (ec.derive_private_key(number, ec.SECP256R1()) for number in range(11, 16))


def raw(key: ed25519.Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


LOG = LogSigner(Verifier(DEPLOYMENT, raw(LOG_KEY)), LOG_KEY.sign)
WITNESS = Verifier(f"{DEPLOYMENT}/keyholder-witness", raw(WITNESS_KEY)).as_witness()


@cache
def root_key() -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(5, ec.SECP256R1())


def certificate(public_key: bytes, subject: str, issuer: str) -> bytes:
    """Return a certificate of the public key, signed by the test's root."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(load_der_public_key(public_key))  # type: ignore[arg-type] # only keys that certify come here
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=100))
    )
    return builder.sign(root_key(), hashes.SHA256()).public_bytes(Encoding.DER)


def chain_for(public_key: bytes) -> list[bytes]:
    return [certificate(public_key, "Publisher", "CA"), certificate(spki(root_key()), "CA", "CA")]


@dataclass
class MemoryKeyStore:
    """contracts.KeyStore in memory."""

    module: str = Module.NONE.value
    keys: dict[str, MemoryKey] = field(default_factory=dict)
    away: bool = False

    def create(self, label: str, algorithm: KeyAlgorithm) -> MemoryKey:
        if label in self.keys:
            raise ConflictError("taken")
        self.keys[label] = self.ephemeral(algorithm)
        return self.keys[label]

    def open(self, label: str) -> MemoryKey:
        if label not in self.keys:
            raise NotFoundError(f"no {label}")
        return self.keys[label]

    def destroy(self, label: str) -> None:
        if self.away:
            raise UnavailableError("the module is away")
        self.keys.pop(label, None)

    def ephemeral(self, algorithm: KeyAlgorithm) -> MemoryKey:
        return MemoryKey(ec.generate_private_key(ec.SECP256R1()), algorithm)


class PlainPrepared:
    """A scheme's work that a test can read: what is signed, and what comes out, are the parts joined."""

    def __init__(self, context: SignerContext) -> None:
        self.context = context

    def to_be_signed(self, digest: bytes, intent_sha256: bytes) -> bytes:
        return b"".join(self.context.chain[:1]) + digest + intent_sha256

    def assemble(self, digest: bytes, to_be_signed: bytes, signature: bytes) -> bytes:
        return msgspec.msgpack.encode([digest, to_be_signed, signature])


class PlainScheme:
    """A built scheme that refuses one parameter, and counts how often it prepared."""

    name: str = "plain"
    blind: bool = False

    def __init__(self) -> None:
        self.prepared = 0

    def prepare(self, context: SignerContext, digest: DigestAlgorithm, parameters: Mapping[str, str]) -> PreparedScheme:
        del digest
        if "bad" in parameters:
            raise InvalidRequestError("no parameter is called bad")
        self.prepared += 1
        return PlainPrepared(context)


@dataclass
class MemoryStore:
    """custody.state.CustodyStore in memory; `happened` is the order of what was made durable."""

    state: CustodyState
    happened: list[str] = field(default_factory=list)
    events: list[AnyEvent] = field(default_factory=list)
    proofs: dict[bytes, int] = field(default_factory=dict)
    uses: dict[str, int] = field(default_factory=dict)
    requests: set[str] = field(default_factory=set)
    broken: bool = False

    def load(self) -> CustodyState:
        return self.state

    def carried_out(self, request_id: str) -> bool:
        return request_id in self.requests

    def change(self, state: CustodyState, event: AnyEvent, request_id: str, envelope: bytes) -> None:
        assert envelope
        if self.broken:
            raise UnavailableError("the disk is full")
        if request_id in self.requests:
            raise ConflictError("this administrative request was carried out before")
        self.requests.add(request_id)
        self.state = state
        self.events.append(event)

    def spent(self, proofs: Sequence[bytes]) -> set[bytes]:
        return {proof for proof in proofs if proof in self.proofs}

    def use(self, uses: Uses, now: int) -> None:
        assert now
        if self.broken:
            raise UnavailableError("the disk is full")
        self.happened.append("use")
        self.state = replace(self.state, seen=uses.seen)
        self.proofs.update(uses.proofs)
        for name, count in uses.per_key.items():
            self.uses[name] = self.uses.get(name, 0) + count

    def halt(self, reason: str, event: AnyEvent) -> None:
        self.state = replace(self.state, halted=reason)
        self.events.append(event)

    def record(self, event: AnyEvent) -> None:
        self.events.append(event)


def body(count: int = 1, **changes: object) -> bytes:
    artifacts = [Artifact(sha256(bytes([number % 256, number >> 8])).hexdigest()) for number in range(count)]
    plain = SigningRequestBody("release", "plain", "sha256", artifacts)
    return msgspec.json.encode(msgspec.structs.replace(plain, **changes))


def proof(
    data: bytes | None = None,
    *,
    key: ec.EllipticCurvePrivateKey = CI,
    name: str = "ci",
    created: datetime = NOW,
    idempotency: str = "1",
    path: str = "/v1/signing-requests",
    authority: str = AUTHORITY,
) -> ProofOfRequest:
    content = body() if data is None else data
    algorithm, sign = hs.signer(key)
    seconds = int(created.timestamp())
    fields = hs.sign_request("POST", authority, path, "", content, idempotency, name, seconds, sign, algorithm)
    return ProofOfRequest("POST", authority, path, content, idempotency, fields["Signature-Input"], fields["Signature"])


def key_record(store: MemoryKeyStore, name: str, **changes: object) -> KeyRecord:
    public_key = store.create(name, KeyAlgorithm.P256).public_key
    record = KeyRecord(
        name=name,
        subscriber="acme",
        algorithm=KeyAlgorithm.P256,
        lifetime=Lifetime.PERSISTENT,
        state=KeyState.ACTIVE,
        protection=HELD,
        schemes=("plain",),
        public_key=public_key,
        chain=tuple(chain_for(public_key)),
        valid_until=int((NOW + timedelta(days=30)).timestamp()),
    )
    return msgspec.structs.replace(record, **changes)


def principals(*more: PrincipalRecord) -> dict[str, PrincipalRecord]:
    records = [
        PrincipalRecord("ci", "workload", "acme", spki(CI)),
        PrincipalRecord("alice", "person", "acme", spki(ALICE), administrator=True),
        *more,
    ]
    return {record.name: record for record in records}


@dataclass
class World:
    """Everything around one key holder; what stands here can be changed before or between calls."""

    key_store: MemoryKeyStore = field(default_factory=MemoryKeyStore)
    scheme: PlainScheme = field(default_factory=PlainScheme)
    entries: list[bytes] = field(default_factory=list)
    now: datetime = NOW
    denied: str = ""
    issue: Callable[[Sequence[IssueRequest]], Sequence[IssueAnswer | SealwrightError]] | None = None

    def __post_init__(self) -> None:
        keys = {"release": key_record(self.key_store, "release")}
        policies = {"acme": PolicyRecord("acme", "permit(principal, action, resource);", 1)}
        self.store = MemoryStore(CustodyState(version=7, keys=keys, principals=principals(), policies=policies))
        self.holder = self.restarted()

    def restarted(self) -> KeyHolder:
        self.holder = KeyHolder(self.surroundings())
        return self.holder

    def put(self, **changes: object) -> None:
        """Change the stored state, as if administrators had done so, and start the key holder again."""
        self.store.state = replace(self.store.state, **changes)  # type: ignore[arg-type] # whatever a test needs
        self.restarted()

    def surroundings(self) -> Surroundings:
        return Surroundings(
            authority=AUTHORITY,
            log=LOG.verifier,
            witness=WITNESS,
            witness_sign=WITNESS_KEY.sign,
            store=self.store,
            key_store=self.key_store,
            administration=Administration(
                deployment=DEPLOYMENT,
                key_store=self.key_store,
                operator=Operator.SUBSCRIBER,
                known_scheme=lambda name: name == "plain",
                validate_policy=_validate,
                load_key=hs.load_public_key,
            ),
            scheme=lambda _name: self.scheme,
            decide=self._decide,
            load_key=hs.load_public_key,
            issue_all=self._issue_all,
            run_all=_run_all,
            clock=lambda: self.now,
        )

    def _issue_all(self, requests: Sequence[IssueRequest]) -> Sequence[IssueAnswer | SealwrightError]:
        return (self.issue or _issue)(requests)

    def _decide(self, action: str, principal: PrincipalView, key: KeyView, context: Mapping[str, object]) -> str:
        assert (action, principal.subscriber, key.subscriber) == ("sign", "acme", "acme")
        assert context["digest_algorithm"] == "sha256"
        return self.denied

    def intent(self, signed: ProofOfRequest, **changes: object) -> bytes:
        """Return the entry that an honest face would record for this proof."""
        request = msgspec.json.decode(signed.body, type=SigningRequestBody)
        record = self.holder.state.keys[request.key]
        event = RequestIntended(
            time=timestamp(self.now),
            principal="ci",
            subscriber="acme",
            key=request.key,
            scheme=request.scheme,
            digest_algorithm=request.digest_algorithm,
            count=len(request.artifacts),
            digests_root=root_of([leaf_hash(bytes.fromhex(one.digest)) for one in request.artifacts]).hex(),
            request=sha256(signed.body).hexdigest(),
            proof=proof_sha256(signed).hex(),
            records_version=self.holder.state.version,
            certificate=sha256(record.chain[0]).hexdigest() if record.chain else "",
        )
        return encode_event(msgspec.structs.replace(event, **changes))

    def item(self, signed: ProofOfRequest, entry: bytes | None = None) -> SignItem:
        """Append the proof's intent to the log."""
        self.entries.append(entry or self.intent(signed))
        return SignItem(signed, self.entries[-1], len(self.entries) - 1)

    def advance(self, start: int | None = None, entries: Sequence[bytes] | None = None) -> LogAdvance:
        leaves = [leaf_hash(entry) for entry in (self.entries if entries is None else entries)]
        begin = self.holder.state.seen.size if start is None else start
        return LogAdvance(begin, leaves[begin:], LOG.checkpoint(Frontier().extended(leaves)))

    def batch(self, *items: SignItem) -> SignBatch:
        return SignBatch(self.advance(), list(items))


def act(action: AnyAction, *signers: tuple[str, ec.EllipticCurvePrivateKey], **changes: str) -> AdminEnvelope:
    """Return an administrative request, signed."""
    request = AdminRequest("1", DEPLOYMENT, (NOW + timedelta(hours=1)).isoformat(), action)
    data = encode_request(msgspec.structs.replace(request, **changes))
    signatures = [AdminSignature(name, hs.signer(key)[1](hs.admin_bytes(data))) for name, key in signers]
    return AdminEnvelope(data, signatures)


def seen_of(entries: Sequence[bytes]) -> SeenLog:
    frontier = Frontier().extended([leaf_hash(entry) for entry in entries])
    return SeenLog(frontier.size, frontier.encode(), "")


def _validate(text: str) -> None:
    if "nonsense" in text:
        raise InvalidRequestError("this is no policy")


def _issue(requests: Sequence[IssueRequest]) -> Sequence[IssueAnswer | SealwrightError]:
    return [IssueAnswer(chain_for(request.public_key)) for request in requests]


def _run_all(tasks: Sequence[Task]) -> Sequence[bytes | SealwrightError]:
    return [task() for task in tasks]
