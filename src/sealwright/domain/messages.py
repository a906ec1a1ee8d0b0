"""What crosses the walls between roles: frozen records, so that the wire shape and the type are one thing."""

from msgspec import Struct

from sealwright.domain.keys import KeyAlgorithm, Protection


class SignerContext(Struct, frozen=True):
    """What a scheme may know of the signing key: its certificate chain (DER, leaf first) and how it is kept."""

    chain: tuple[bytes, ...]
    key_algorithm: KeyAlgorithm
    protection: Protection
    ephemeral: bool = False
    file_model: bool = False


class EmbeddedSignature(Struct, frozen=True):
    """One signature found in a file: its bytes (scheme's own encoding) and whether it is nested in the first."""

    data: bytes
    nested: bool = False


class FileDigests(Struct, frozen=True):
    """What one streaming pass over a file gives; `flat_sha256` names the file in reports of suspect code."""

    digest: bytes
    flat_sha256: bytes
    size: int


class Artifact(Struct, frozen=True, omit_defaults=True):
    """One thing to be signed: the format's digest (hex), and what reports of suspect code will name (hex, name)."""

    digest: str
    file_sha256: str = ""
    name: str = ""


class SigningRequestBody(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The body of POST /v1/signing-requests; the principal's key signs its very bytes (proof of request)."""

    key: str
    scheme: str
    digest_algorithm: str
    artifacts: list[Artifact]
    parameters: dict[str, str] = {}
    input: str = "digest"


class ProofOfRequest(Struct, frozen=True, array_like=True):
    """A request as its principal signed it (RFC 9421): enough for anybody to check the signature again."""

    method: str
    authority: str
    path: str
    body: bytes
    idempotency_key: str
    signature_input: str
    signature: str


class LogAdvance(Struct, frozen=True, array_like=True):
    """How the face's log grew since the key holder saw it last, and the signed checkpoint at the new size."""

    from_size: int
    leaf_hashes: list[bytes]
    checkpoint: str


class SignItem(Struct, frozen=True, array_like=True):
    """One recorded intent whose signatures are asked for: the proof, the ledger entry and its index."""

    proof: ProofOfRequest
    intent: bytes
    index: int


class SignBatch(Struct, frozen=True, array_like=True):
    """What the face sends the key holder: everything that became durable together."""

    log: LogAdvance
    items: list[SignItem]


class SignAnswer(Struct, frozen=True, array_like=True):
    """The signatures of one item in the order of its artifacts, or the error that stands in their place."""

    signatures: list[bytes] = []
    code: str = ""
    detail: str = ""
    retry_after: int | None = None


class BatchAnswer(Struct, frozen=True, array_like=True):
    """The key holder's answers, its cosignature line for the checkpoint, and the version of its records."""

    answers: list[SignAnswer]
    cosignature: str
    version: int


class KeyView(Struct, frozen=True, omit_defaults=True):
    """What others may know of a signing key."""

    name: str
    subscriber: str
    algorithm: str
    lifetime: str
    state: str
    model: str
    schemes: list[str]
    public_key: bytes
    chain: list[bytes] = []
    warning: str = ""
    protection: Protection | None = None


class PrincipalView(Struct, frozen=True, omit_defaults=True):
    """A principal's public record: workloads sign requests, administrators sign administrative requests."""

    name: str
    kind: str  # "workload" or "person"
    subscriber: str
    public_key: bytes
    administrator: bool = False


class PolicyView(Struct, frozen=True):
    """The Cedar policies in force for one subscriber's keys."""

    subscriber: str
    text: str
    version: int


class Snapshot(Struct, frozen=True):
    """The key holder's records that decide, as the face needs them to authenticate and for its first decision."""

    version: int
    dual_control: bool
    keys: list[KeyView]
    principals: list[PrincipalView]
    policies: list[PolicyView]
    log_size: int
    witness: str  # verifier key of the key holder's cosignatures (C2SP)
    halted: str = ""


class AdminSignature(Struct, frozen=True):
    """An administrator's signature over the bytes of an administrative request."""

    administrator: str
    signature: bytes


class AdminEnvelope(Struct, frozen=True):
    """An administrative request as signed: the bytes, and one signature (two under dual control)."""

    request: bytes
    signatures: list[AdminSignature]


class AdminAnswer(Struct, frozen=True, omit_defaults=True):
    """What an administrative request did: the thing it made or changed, in words that the front door shows."""

    version: int
    key: KeyView | None = None
    principal: PrincipalView | None = None
    detail: str = ""


class EntryProof(Struct, frozen=True):
    """A ledger entry with its place and the inclusion proof under a checkpoint of that size."""

    entry: bytes
    index: int
    size: int
    proof: list[bytes]


class Receipt(Struct, frozen=True):
    """What comes back beside the signatures: the records of intent and outcome, each proved to be in the log.

    The intent's checkpoint is cosigned by the key holder; both are signed by the log.
    """

    origin: str
    intent: EntryProof
    intent_checkpoint: str
    outcome: EntryProof
    outcome_checkpoint: str


class SigningResponse(Struct, frozen=True):
    """The answer to a signing request: one signature for each artifact, in their order, and the receipt."""

    id: str
    key: str
    signatures: list[bytes]
    receipt: Receipt
    replayed: bool = False


class WhoAmI(Struct, frozen=True):
    """Who the service takes the caller for, and which keys it can see."""

    principal: str
    kind: str
    subscriber: str
    keys: list[KeyView]
    dual_control: bool
    server_version: str


class Authorisation(Struct, frozen=True, omit_defaults=True):
    """A registration officer's word that a certificate may be issued: who, which key, how kept, until when."""

    id: str  # unique: an authorisation is used once, a standing one within its limits
    profile: str
    subject: dict[str, str]  # CN, O, C, L, ST
    protection: Protection
    not_after: str  # RFC 3339; the authorisation itself ends here
    spki_sha256: str = ""  # hex; empty only in a standing authorisation
    validity_days: int = 0  # 0: as long as the profile allows
    standing: bool = False
    limit_per_hour: int = 0


class AuthorisationEnvelope(Struct, frozen=True):
    """An authorisation's bytes as JSON, and the signature of the registration officer over them."""

    authorisation: bytes
    officer: str
    signature: bytes


class IssueRequest(Struct, frozen=True):
    """What reaches the CA: the authorisation and the public key (SubjectPublicKeyInfo, DER)."""

    envelope: AuthorisationEnvelope
    public_key: bytes


class IssueAnswer(Struct, frozen=True):
    """The certificate and those above it, DER, leaf first, without the root."""

    chain: list[bytes]
