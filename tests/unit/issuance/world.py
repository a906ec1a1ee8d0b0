"""A certification authority in memory: a clock that stands, keys that count their uses, records in order."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sealwright.domain.errors import ConflictError
from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm, Module, Operator, Protection
from sealwright.domain.messages import Authorisation, AuthorisationEnvelope, IssueRequest
from sealwright.issuance.authorisation import Authoriser
from sealwright.issuance.authority import Authority
from sealwright.issuance.building import Wish
from sealwright.issuance.hierarchy import Hierarchy, HierarchyBuilder, HierarchyKeys
from sealwright.issuance.issuer import Issuer
from sealwright.issuance.profiles import PROFILES, Profile
from sealwright.issuance.records import Claim, Intent, Issued, Revocation
from sealwright.structures.authorisation import sign_authorisation
from sealwright.structures.x509 import spki_sha256
from tests.pki import PrivateKey, new_key

_HASHES: Mapping[DigestAlgorithm, hashes.HashAlgorithm] = {
    DigestAlgorithm.SHA256: hashes.SHA256(),
    DigestAlgorithm.SHA384: hashes.SHA384(),
    DigestAlgorithm.SHA512: hashes.SHA512(),
}
NOW = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC)
BASE_URL = "http://pki.example.org"
SOFTWARE = Protection(Operator.THIRD_PARTY, Operator.THIRD_PARTY, Module.NONE)
SERVICE = Protection(Operator.THIRD_PARTY, Operator.THIRD_PARTY, Module.HSM)
PUBLISHER = {"CN": "Jansen & Zonen B.V.", "O": "Jansen & Zonen B.V.", "C": "NL", "L": "Utrecht"}


@cache
def private_key(algorithm: KeyAlgorithm, label: str) -> PrivateKey:
    """Make a key once in a test run."""
    assert label
    return new_key(algorithm)


def public_bytes(key: PrivateKey) -> bytes:
    """Return the SubjectPublicKeyInfo in DER."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@dataclass(eq=False)
class MemoryKey:
    """A contracts.SigningKey that writes its uses into a diary."""

    key: PrivateKey
    algorithm: KeyAlgorithm
    diary: list[str] = field(default_factory=list)

    @property
    def public_key(self) -> bytes:
        return public_bytes(self.key)

    def sign(self, digest: bytes, algorithm: DigestAlgorithm) -> bytes:
        self.diary.append("sign")
        hash_algorithm = utils.Prehashed(_HASHES[algorithm])
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(digest, padding.PKCS1v15(), hash_algorithm)
        return self.key.sign(digest, ec.ECDSA(hash_algorithm))


@dataclass
class MemoryRecords:
    """CertificateRecords and AuthorisationUses in memory."""

    diary: list[str] = field(default_factory=list)
    intents: dict[tuple[str, str], Intent] = field(default_factory=dict)
    certificates: dict[tuple[str, str], bytes] = field(default_factory=dict)
    revocations: dict[str, list[Revocation]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    uses: list[tuple[str, datetime]] = field(default_factory=list)

    def save_intents(self, intents: Sequence[Intent]) -> None:
        self.diary.append("intent")
        for intent in intents:
            if (intent.authority, intent.serial) in self.intents:
                raise ConflictError("a serial number was used before")
            self.intents[intent.authority, intent.serial] = intent

    def save_certificates(self, certificates: Sequence[Issued]) -> None:
        self.diary.append("certificate")
        for item in certificates:
            self.certificates[item.authority, item.serial] = item.certificate

    def revoked(self, authority: str) -> Iterable[Revocation]:
        return self.revocations.get(authority, [])

    def next_crl_number(self, authority: str) -> int:
        self.numbers[authority] = self.numbers.get(authority, 0) + 1
        return self.numbers[authority]

    def claim(self, claims: Sequence[Claim]) -> list[bool]:
        return [self._claim(one) for one in claims]

    def _claim(self, claim: Claim) -> bool:
        since = claim.since
        used = [when for name, when in self.uses if name == claim.authorisation and (since is None or when >= since)]
        if len(used) >= claim.limit:
            return False
        self.uses.append((claim.authorisation, claim.moment))
        return True


class World:
    """A hierarchy, an officer and the authority that answers authorised requests."""

    def __init__(self, algorithm: KeyAlgorithm = KeyAlgorithm.P256, *, audited: bool = False) -> None:
        self.now = NOW
        self.count = 0
        self.algorithm = algorithm
        self.diary: list[str] = []
        self.records = MemoryRecords(self.diary)
        self.keys = HierarchyKeys(*(self.key(label) for label in ("root", "code-signing", "timestamp")))
        self.builder = HierarchyBuilder(
            BASE_URL, self.records, clock=self.clock, randomness=self.randomness, audited=audited
        )
        self.hierarchy: Hierarchy = self.builder.hierarchy(self.keys, "Example", {"O": "Example B.V.", "C": "NL"})
        self.officer = private_key(KeyAlgorithm.P256, "officer")
        self.authoriser = Authoriser(
            {"officer": public_bytes(self.officer)}.get, self.records, self.clock, "sign.example.org"
        )
        self.authority = Authority(
            [self.hierarchy.code_signing, self.hierarchy.timestamp], self.authoriser, self.records
        )
        self.diary.clear()

    def clock(self) -> datetime:
        return self.now

    def randomness(self, count: int) -> bytes:
        self.count += 1
        return b"\xff" + sha256(self.count.to_bytes(8, "big")).digest()[: count - 1]

    def key(self, label: str) -> MemoryKey:
        return MemoryKey(private_key(self.algorithm, label), self.algorithm, self.diary)

    def issuer_for(self, profile: Profile) -> Issuer:
        return {
            "root": self.hierarchy.root,
            "code-signing-ca": self.hierarchy.root,
            "timestamp-ca": self.hierarchy.root,
            "timestamp": self.hierarchy.timestamp,
            "private-timestamp": self.hierarchy.timestamp,
        }.get(profile.name, self.hierarchy.code_signing)

    def leaf(
        self,
        name: str,
        protection: Protection | None = SOFTWARE,
        subject: Mapping[str, str] = PUBLISHER,
        *,
        key: PrivateKey | None = None,
        validity: timedelta | None = None,
    ) -> x509.Certificate:
        """Issue a certificate of a leaf profile without an authorisation."""
        profile = PROFILES[name]
        public_key = public_bytes(key or private_key(KeyAlgorithm.P256, "subscriber"))
        wish = Wish(profile, subject, public_key, protection, None, validity)
        issuer = self.issuer_for(profile)
        [certificate] = issuer.certify([issuer.prepare(wish)], self.records)
        return x509.load_der_x509_certificate(certificate)

    def sign(self, authorisation: Authorisation, officer: str = "officer") -> AuthorisationEnvelope:
        return sign_authorisation(authorisation, officer, signs(self.officer))

    def request(self, authorisation: Authorisation) -> IssueRequest:
        key = private_key(KeyAlgorithm.P256, "subscriber")
        return IssueRequest(self.sign(authorisation), public_bytes(key))


def signs(key: PrivateKey) -> Callable[[bytes], bytes]:
    """Return an officer's way to sign a message."""
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return lambda message: key.sign(message, ec.ECDSA(hashes.SHA256()))


def single(**changes: object) -> Authorisation:
    """Return an authorisation for one private code signing certificate, with changes."""
    fields: dict[str, object] = {
        "id": "authorisation-1",
        "profile": "private-code-signing",
        "subject": PUBLISHER,
        "protection": SOFTWARE,
        "not_after": "2026-11-24T00:00:00Z",
        "spki_sha256": spki_sha256(public_bytes(private_key(KeyAlgorithm.P256, "subscriber"))),
    }
    return Authorisation(**{**fields, **changes})  # type: ignore[arg-type] # a test gives wrong types on purpose


def standing(**changes: object) -> Authorisation:
    """Return a standing authorisation for two ephemeral certificates an hour, with changes."""
    fields: dict[str, object] = {
        "profile": "ephemeral-code-signing",
        "spki_sha256": "",
        "standing": True,
        "limit_per_hour": 2,
    }
    return single(**{**fields, **changes})
