"""Uses keys: what was admitted is built, signed and assembled; ephemeral keys are made, certified and dropped here.

Everything in one batch goes together: the certificates of all ephemeral keys are asked for in one call, and slow
key operations run several at a time. One request's failure stands in its place and spoils no other.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256, sha384, sha512
from types import MappingProxyType
from typing import Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_der_x509_certificate

from sealwright.contracts import KeyStore, PreparedScheme, Scheme, SigningKey
from sealwright.custody.checks import Admitted
from sealwright.domain.errors import SealwrightError, UnavailableError
from sealwright.domain.keys import DigestAlgorithm, Lifetime
from sealwright.domain.messages import AuthorisationEnvelope, IssueAnswer, IssueRequest, SignAnswer

_PREPARED_KEPT = 256
_HASHES: Final = MappingProxyType(
    {DigestAlgorithm.SHA256: sha256, DigestAlgorithm.SHA384: sha384, DigestAlgorithm.SHA512: sha512}
)

Task = Callable[[], bytes | SealwrightError]

RunAll = Callable[[Sequence[Task]], Sequence[bytes | SealwrightError]]
"""Runs slow key operations, several at a time where the key store can, and returns results in order."""

IssueAll = Callable[[Sequence[IssueRequest]], Sequence[IssueAnswer | SealwrightError]]
"""Has certificates issued; an error stands in the place of each that was refused."""


@dataclass(frozen=True, slots=True)
class _Work:
    """One signature to be made: everything is built, only the key operation is left."""

    key: SigningKey
    prepared: PreparedScheme
    admitted: Admitted
    digest: bytes
    to_be_signed: bytes
    slow: bool  # its key is an RSA key: worth a thread

    def sign(self) -> bytes | SealwrightError:
        """Hash what was built and use the key."""
        algorithm = self.admitted.digest
        try:
            return self.key.sign(_HASHES[algorithm](self.to_be_signed).digest(), algorithm)
        except SealwrightError as error:
            return error


class KeyUse:
    """Signs what was admitted, with the keys of one store."""

    def __init__(
        self, key_store: KeyStore, scheme: Callable[[str], Scheme], issue_all: IssueAll, run_all: RunAll
    ) -> None:
        self._key_store = key_store
        self._scheme = scheme
        self._issue_all = issue_all
        self._run_all = run_all
        self._prepared: OrderedDict[object, PreparedScheme] = OrderedDict()

    def sign(self, admitted: Sequence[Admitted]) -> list[SignAnswer]:
        """Return the signatures of each request, or the error that stands in their place."""
        ephemeral = self._make_ephemeral(admitted)
        plans = [self._plan(one, ephemeral.get(position)) for position, one in enumerate(admitted)]
        works = [work for plan in plans if isinstance(plan, list) for work in plan]
        signatures = iter(self._sign_works(works))
        return [refusal(plan) if isinstance(plan, SealwrightError) else _assemble(plan, signatures) for plan in plans]

    def _sign_works(self, works: Sequence[_Work]) -> Sequence[bytes | SealwrightError]:
        """Use the keys; RSA takes long enough to be worth a thread, an elliptic curve does not."""
        slow = [work.sign for work in works if work.slow]
        if len(slow) <= 1:
            return [work.sign() for work in works]
        done = iter(self._run_all(slow))
        return [next(done) if work.slow else work.sign() for work in works]

    def _plan(
        self, admitted: Admitted, ephemeral: list[tuple[SigningKey, IssueAnswer | SealwrightError]] | None
    ) -> list[_Work] | SealwrightError:
        try:
            if ephemeral is None:
                key = self._open(admitted)
                prepared = self._prepare(admitted)
                build, intent, slow = prepared.to_be_signed, admitted.intent_sha256, key.algorithm.is_rsa
                return [
                    _Work(key, prepared, admitted, digest, build(digest, intent), slow) for digest in admitted.digests
                ]
            works: list[_Work] = []
            for digest, (key, answer) in zip(admitted.digests, ephemeral, strict=True):
                if isinstance(answer, SealwrightError):
                    return answer
                _check_leaf(answer, key)
                context = msgspec.structs.replace(admitted.context, chain=tuple(answer.chain))
                scheme = self._scheme(admitted.scheme)
                prepared = scheme.prepare(context, admitted.digest, admitted.parameters)
                built = prepared.to_be_signed(digest, admitted.intent_sha256)
                works.append(_Work(key, prepared, admitted, digest, built, key.algorithm.is_rsa))
        except SealwrightError as error:
            return error
        return works

    def _open(self, admitted: Admitted) -> SigningKey:
        key = self._key_store.open(admitted.record.name)
        if key.public_key != admitted.record.public_key:
            raise UnavailableError(f"the key store holds another key under the name {admitted.record.name!r}")
        return key

    def _make_ephemeral(
        self, admitted: Sequence[Admitted]
    ) -> dict[int, list[tuple[SigningKey, IssueAnswer | SealwrightError]]]:
        """Make a key for each digest of each request with an ephemeral key, and have all certified in one call."""
        made: list[tuple[int, SigningKey, IssueRequest]] = []
        for position, one in enumerate(admitted):
            record = one.record
            if record.lifetime is not Lifetime.EPHEMERAL:
                continue
            envelope = AuthorisationEnvelope(record.authorisation, record.officer, record.officer_signature)
            for _ in one.digests:
                key = self._key_store.ephemeral(record.algorithm)
                made.append((position, key, IssueRequest(envelope, key.public_key)))
        found: dict[int, list[tuple[SigningKey, IssueAnswer | SealwrightError]]] = {}
        if made:
            try:
                answers = self._issue_all([request for _, _, request in made])
            except SealwrightError as error:
                answers = [error] * len(made)
            for (position, key, _), answer in zip(made, answers, strict=True):
                found.setdefault(position, []).append((key, answer))
        return found

    def _prepare(self, admitted: Admitted) -> PreparedScheme:
        identity = (
            admitted.record.name,
            admitted.context,
            admitted.scheme,
            admitted.digest,
            tuple(sorted(admitted.parameters.items())),
        )
        prepared = self._prepared.get(identity)
        if prepared is None:
            scheme = self._scheme(admitted.scheme)
            prepared = scheme.prepare(admitted.context, admitted.digest, admitted.parameters)
            self._prepared[identity] = prepared
            if len(self._prepared) > _PREPARED_KEPT:
                self._prepared.popitem(last=False)
        return prepared


def _check_leaf(answer: IssueAnswer, key: SigningKey) -> None:
    """Refuse a certificate that is not for the key that was made: nothing signed with it would verify."""
    try:
        certified = load_der_x509_certificate(answer.chain[0]).public_key()
        same = certified.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == key.public_key
    except (IndexError, ValueError, UnsupportedAlgorithm):
        same = False
    if not same:
        raise UnavailableError("the certification authority answered with another key's certificate")


def _assemble(plan: Sequence[_Work], signatures: Iterator[bytes | SealwrightError]) -> SignAnswer:
    assembled: list[bytes] = []
    failed: SealwrightError | None = None
    for work in plan:
        signature = next(signatures)
        if isinstance(signature, SealwrightError):
            failed = signature
        else:
            assembled.append(work.prepared.assemble(work.digest, work.to_be_signed, signature))
    return refusal(failed) if failed else SignAnswer(signatures=assembled)


def refusal(error: SealwrightError) -> SignAnswer:
    """Return the answer that stands in place of signatures."""
    return SignAnswer(code=error.code, detail=error.detail, retry_after=error.retry_after)
