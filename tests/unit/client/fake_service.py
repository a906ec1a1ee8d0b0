"""A service in memory: checks signed requests, keeps a real log, signs by the real scheme; and a TSA beside it."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sealwright.client.timestamps import HttpAnswer
from sealwright.client.transport import PROBLEM, Answer
from sealwright.domain.actions import CertifyKey, ChangeKeyState, CreateKey, EnrolPrincipal, SetPolicy, decode_request
from sealwright.domain.errors import ConflictError, DeniedError, NotFoundError, SealwrightError
from sealwright.domain.events import AnyEvent, RequestCompleted, RequestIntended, encode_event, timestamp
from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm, Module, Operator, Protection
from sealwright.domain.messages import (
    AdminAnswer,
    AdminEnvelope,
    EntryProof,
    IssueAnswer,
    IssueRequest,
    KeyView,
    PolicyView,
    ProofOfRequest,
    Receipt,
    SignerContext,
    SigningRequestBody,
    SigningResponse,
    WhoAmI,
)
from sealwright.schemes.authenticode import Authenticode
from sealwright.structures.authorisation import open_authorisation
from sealwright.structures.http_signatures import admin_bytes, check, check_detached, load_public_key, signer
from sealwright.structures.merkle import Frontier, Growth, leaf_hash, root_of
from sealwright.structures.note import Checkpoint, Verifier, cosignature_line, sign_note
from sealwright.timestamping.authority import TimestampAuthority
from tests.pki import Identity as Leaf
from tests.pki import Pki

SERVER = "https://localhost:8443"
WORKLOAD, ADMINISTRATOR, SUBSCRIBER = "builder", "alice", "acme"
SOFTWARE = Protection(operator=Operator.SUBSCRIBER, generated_by=Operator.SUBSCRIBER, module=Module.NONE)
STATUS = {"invalid": 400, "unauthenticated": 401, "denied": 403, "not-found": 404, "conflict": 409}


def raw(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def spki(key: object) -> bytes:
    public = key.public_key()  # type: ignore[attr-defined] # any private key of `cryptography`
    encoded: bytes = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return encoded


def log_entries(entries: Sequence[bytes], index: int, log: Verifier, key: Ed25519PrivateKey) -> tuple[EntryProof, str]:
    """Prove an entry under a checkpoint that the log signs."""
    growth = Growth(Frontier(), [leaf_hash(entry) for entry in entries])
    size = len(entries)
    note = sign_note(Checkpoint(log.name, size, growth.subtree(0, size)).encode(), log, key.sign)
    return EntryProof(entries[index], index, size, growth.proof(index)), note


@dataclass
class FakeService:
    """Answers as the service does; `tamper` may change an answer on its way, `before` may raise or answer first."""

    pki: Pki = field(default_factory=Pki)
    log_key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    witness_key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    tamper: Callable[[SigningResponse], SigningResponse] = lambda response: response
    before: Callable[[str, str], Answer | None] = lambda _method, _path: None

    def __post_init__(self) -> None:
        self.request_key = generate_private_key(SECP256R1())
        self.admin_key = generate_private_key(SECP256R1())
        self.log = Verifier("localhost/log", raw(self.log_key))
        self.witness = Verifier("localhost/holder", raw(self.witness_key)).as_witness()
        self.entries: list[bytes] = [b"an entry of somebody else"]
        self.requests: list[tuple[str, str, Mapping[str, str], bytes]] = []
        self.answers: dict[str, tuple[bytes, bytes]] = {}
        self.acts: list[object] = []
        leaf = self.pki.leaves[KeyAlgorithm.P256]
        self.leaves: dict[str, Leaf] = {"release": leaf}
        self.keys: dict[str, KeyView] = {"release": self._view("release", leaf, "active")}
        self.policy = PolicyView(SUBSCRIBER, "permit(principal, action, resource);\n", 1)

    def __call__(self, method: str, target: str, fields: Mapping[str, str], body: bytes) -> Answer:
        self.requests.append((method, target, fields, body))
        early = self.before(method, target)
        if early is not None:
            return early
        try:
            content = self._answer(method, target, fields, body)
        except SealwrightError as error:
            problem = {"title": "refused", "detail": error.detail, "code": error.code, "hint": error.hint}
            return Answer(STATUS[error.kind.value], {"content-type": PROBLEM}, msgspec.json.encode(problem))
        return Answer(200, {"content-type": "application/json"}, content)

    def _answer(self, method: str, target: str, fields: Mapping[str, str], body: bytes) -> bytes:
        if target == "/log/checkpoint":
            return log_entries(self.entries, 0, self.log, self.log_key)[1].encode()
        if target == "/v1/status":
            status = {"version": "0.1.0", "authority": "localhost:8443", "dual_control": False, "log_size": 1}
            return msgspec.json.encode({**status, "witness": self.witness.encode(), "halted": "", "more": 1})
        if target == "/v1/admin-requests":
            return msgspec.json.encode(self._administer(msgspec.json.decode(body, type=AdminEnvelope)))
        if target == "/v1/certificates":
            return msgspec.json.encode(self._issue(msgspec.json.decode(body, type=IssueRequest)))
        return self._answer_signed(method, target, fields, body)

    def _answer_signed(self, method: str, target: str, fields: Mapping[str, str], body: bytes) -> bytes:
        idempotency_key = fields.get("Idempotency-Key", "")
        proof = ProofOfRequest(
            method, "localhost:8443", target, body, idempotency_key, fields["Signature-Input"], fields["Signature"]
        )
        now = int(datetime.now(UTC).timestamp())
        check(proof, load_public_key(spki(self.request_key)), now, 60)
        keys = list(self.keys.values())
        match target:
            case "/v1/whoami":
                me = WhoAmI(WORKLOAD, "workload", SUBSCRIBER, keys, dual_control=False, server_version="0.1.0")
                return msgspec.json.encode(me)
            case "/v1/keys":
                return msgspec.json.encode(keys)
            case "/v1/policy":
                return msgspec.json.encode(self.policy)
            case "/v1/signing-requests":
                known = self.answers.get(idempotency_key)
                if known is None:
                    known = body, msgspec.json.encode(self.tamper(self._sign(body, proof)))
                    self.answers[idempotency_key] = known
                if known[0] != body:
                    raise ConflictError("this idempotency key was used for another request")
                return known[1]
        raise NotFoundError

    def _sign(self, body: bytes, proof: ProofOfRequest) -> SigningResponse:
        request = msgspec.json.decode(body, type=SigningRequestBody)
        if request.key not in self.leaves:
            raise NotFoundError(f"there is no key {request.key!r}", hint="`sealwright whoami` lists the keys")
        algorithm = DigestAlgorithm.named(request.digest_algorithm)
        digests = [bytes.fromhex(artifact.digest) for artifact in request.artifacts]
        intent = RequestIntended(
            time=timestamp(datetime.now(UTC)),
            principal=WORKLOAD,
            subscriber=SUBSCRIBER,
            key=request.key,
            scheme=request.scheme,
            digest_algorithm=request.digest_algorithm,
            count=len(digests),
            digests_root=root_of([leaf_hash(digest) for digest in digests]).hex(),
            request=hashlib.sha256(body).hexdigest(),
            proof=hashlib.sha256(msgspec.msgpack.encode(proof)).hexdigest(),
            records_version=3,
        )
        intent_proof, note = self._record(intent)
        text = note.split("\n\n")[0] + "\n"
        note += cosignature_line(text, self.witness, self.witness_key.sign, 1_700_000_000)
        leaf = self.leaves[request.key]
        scheme = Authenticode().prepare(
            SignerContext(leaf.chain, leaf.algorithm, SOFTWARE), algorithm, request.parameters
        )
        signatures: list[bytes] = []
        for digest in digests:
            signed = scheme.to_be_signed(digest, hashlib.sha256(intent_proof.entry).digest())
            value = leaf.sign(hashlib.new(algorithm.value, signed).digest(), algorithm)
            signatures.append(scheme.assemble(digest, signed, value))
        outcome = RequestCompleted(
            time=timestamp(datetime.now(UTC)),
            intent=intent_proof.index,
            count=len(signatures),
            signatures_root=root_of([leaf_hash(signature) for signature in signatures]).hex(),
        )
        outcome_proof, outcome_note = self._record(outcome)
        receipt = Receipt(self.log.name, intent_proof, note, outcome_proof, outcome_note)
        return SigningResponse(os.urandom(8).hex(), request.key, signatures, receipt)

    def _record(self, event: AnyEvent) -> tuple[EntryProof, str]:
        self.entries.append(encode_event(event))
        return log_entries(self.entries, len(self.entries) - 1, self.log, self.log_key)

    def _administer(self, envelope: AdminEnvelope) -> AdminAnswer:
        (signature,) = envelope.signatures
        check_detached(spki(self.admin_key), signature.signature, admin_bytes(envelope.request))
        request = decode_request(envelope.request)
        if request.deployment != self.log.name or signature.administrator != ADMINISTRATOR:
            raise DeniedError
        self.acts.append(request.action)
        match request.action:
            case CreateKey() as act:
                if act.name in self.keys:
                    raise ConflictError(f"there is a key {act.name!r} already")
                leaf = self.pki.leaf(KeyAlgorithm(act.algorithm))
                view = self._view(act.name, leaf, "created", lifetime=act.lifetime)
                self.leaves[act.name] = leaf
            case CertifyKey() | ChangeKeyState() as act:
                state = act.state if isinstance(act, ChangeKeyState) else "active"
                view = msgspec.structs.replace(self.keys[act.name], state=state)
            case SetPolicy() as act:
                self.policy = PolicyView(act.subscriber, act.text, self.policy.version + 1)
                return AdminAnswer(4)
            case EnrolPrincipal() as act:
                load_public_key(act.public_key)
                return AdminAnswer(4)
            case _:
                return AdminAnswer(4)
        self.keys[view.name] = view
        return AdminAnswer(4, key=view)

    def _issue(self, request: IssueRequest) -> IssueAnswer:
        authorisation = open_authorisation(request.envelope, spki(self.admin_key))
        assert authorisation.spki_sha256 == hashlib.sha256(request.public_key).hexdigest()
        assert authorisation.subject
        leaf = next(leaf for leaf in self.leaves.values() if spki(leaf.key) == request.public_key)
        return IssueAnswer(list(leaf.chain))

    @staticmethod
    def _view(name: str, leaf: Leaf, state: str, *, lifetime: str = "persistent") -> KeyView:
        return KeyView(
            name=name,
            subscriber=SUBSCRIBER,
            algorithm=leaf.algorithm.value,
            lifetime=lifetime,
            state=state,
            model="software",
            schemes=["authenticode"],
            public_key=spki(leaf.key) if lifetime == "persistent" else b"",
            warning="Software keys are for development.",
            protection=SOFTWARE,
        )

    def timestamp_post(self, url: str, body: bytes, headers: dict[str, str], limit: int) -> HttpAnswer:
        """Answer as a timestamp authority over HTTP does."""
        del url, headers, limit
        authority = TimestampAuthority(
            _TsaKey(self.pki.tsa),
            self.pki.tsa.chain,
            lambda: datetime.now(UTC),
            os.urandom,
            policies=("1.2.3.4",),
            accuracy=timedelta(seconds=1),
        )
        return HttpAnswer(200, "application/timestamp-reply", authority.answer(body).response)

    def write_client(self, folder: Path, **more: str) -> Path:
        """Write a client.toml for this service, with the files that it names."""
        self.pki.write(folder)
        for name, key in (("request.key", self.request_key), ("admin.key", self.admin_key)):
            pem = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            (folder / name).write_bytes(pem)
        values = {
            "server": SERVER,
            "roots": "roots.pem",
            "crl": "crls.pem",
            "key": "release",
            "workload": WORKLOAD,
            "workload_key": "request.key",
            "administrator": ADMINISTRATOR,
            "administrator_key": "admin.key",
            "log_key": self.log.encode(),
            "witness_key": self.witness.encode(),
            **more,
        }
        lines = [f'{name} = "{value}"' for name, value in values.items() if value]
        path = folder / "client.toml"
        path.write_text("\n".join(["tsa = ['http://localhost:1/tsa']", *lines, ""]), encoding="utf-8")
        return path

    def workload_signer(self) -> tuple[str, Callable[[bytes], bytes]]:
        return signer(self.request_key)


@dataclass
class _TsaKey:
    identity: Leaf

    @property
    def algorithm(self) -> KeyAlgorithm:
        return self.identity.algorithm

    @property
    def public_key(self) -> bytes:
        return spki(self.identity.key)

    def sign(self, digest: bytes, algorithm: DigestAlgorithm) -> bytes:
        return self.identity.sign(digest, algorithm)
