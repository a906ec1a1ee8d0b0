"""Signing files from end to end: digest, one request for all, receipt, timestamp, attach, verify, replace.

(1) Every file is recognised and digested in one pass. (2) One signing request carries all digests (a further one
for each thousand). (3) The receipt is checked against the log's keys. (4) Each signature is timestamped.
(5) It is attached in a temporary file, (6) the result is verified, and (7) only then it takes its place.
A single large file is copied to its temporary file while it is digested, so that (5) changes a few bytes only.

A file that cannot be signed fails alone, untouched. An error of the request is the error of all its files, and
nothing of them was changed.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from sealwright.client.files import (
    Replacement,
    Snapshot,
    is_large,
    need_unchanged,
    open_input,
    syncing,
    two_threads,
)
from sealwright.client.receipts import CheckedReceipt, LogKeys, check_response
from sealwright.client.service import MAX_ARTIFACTS, SigningService
from sealwright.client.timestamps import TimestampClient
from sealwright.contracts import AttachMode, Clock, Format, Together
from sealwright.domain import oids
from sealwright.domain.errors import AlreadySignedError, SealwrightError, VerificationError
from sealwright.domain.keys import DigestAlgorithm
from sealwright.domain.messages import Artifact, EmbeddedSignature, FileDigests, SigningRequestBody, SigningResponse
from sealwright.formats import HEAD_SIZE, recognise
from sealwright.structures.cms import read_signed_data, with_unsigned
from sealwright.verification.checks import Result
from sealwright.verification.files import verify_file
from sealwright.verification.trust import TrustStore
from sealwright.verification.verdict import Verdict

Check = Callable[[BinaryIO, Format, bytes], "Verified"]
"""Verifies a file that should carry this signature; raises VerificationError if the signature does not hold."""

_MAX_NAME = 255


@dataclass(frozen=True, slots=True)
class Task:
    """A file to be signed and where the result goes; the same path means that the file is replaced."""

    source: Path
    target: Path


@dataclass(frozen=True, slots=True)
class Verified:
    """What our verifier says of a result: the file's SHA-256 (hex), the new signature's verdict and its timestamp."""

    sha256: str
    verdict: str
    timestamp: datetime | None


@dataclass(frozen=True, slots=True)
class Options:
    """What holds for all files of one call; without `mode` a file that is signed already is an error."""

    key: str
    idempotency_key: str
    digest: DigestAlgorithm = DigestAlgorithm.SHA256
    mode: AttachMode | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Signed:
    """A file that was signed: its digests (hex), what our verifier says of the result, and the proof of it all."""

    task: Task
    format: str
    digest: str
    input_sha256: str
    result: Verified
    request: SigningRequestBody
    response: SigningResponse
    receipt: CheckedReceipt


@dataclass(frozen=True, slots=True)
class Failed:
    """A file that was not signed and is untouched, and why."""

    task: Task
    error: SealwrightError


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A file that was digested: what it is, how to know it again, and its copy if there is one already."""

    task: Task
    format: Format
    digests: FileDigests
    snapshot: Snapshot
    copy: Replacement | None


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs files with one service; without `timestamps`, signatures end with their certificate."""

    service: SigningService
    principal: str
    log: LogKeys
    check: Check
    timestamps: TimestampClient | None = None

    def sign(
        self, tasks: Sequence[Task], options: Options, progress: Callable[[int], None] | None = None
    ) -> list[Signed | Failed]:
        """Sign the files; the results stand in the order of the tasks. `progress` gets the bytes just digested."""
        with ExitStack() as copies:
            ahead = copies if len(tasks) == 1 else None  # copies of many files might fill the disk
            results: dict[int, Signed | Failed] = {}
            prepared: dict[int, _Prepared] = {}
            for index, task in enumerate(tasks):
                try:
                    prepared[index] = _prepare(task, options, progress, ahead)
                except SealwrightError as error:
                    results[index] = Failed(task, error)
            groups = list(_groups(prepared))
            for number, group in enumerate(groups):
                name = options.idempotency_key if len(groups) == 1 else f"{options.idempotency_key}.{number + 1}"
                results |= self._sign_group({index: prepared[index] for index in group}, options, name)
        return [results[index] for index in range(len(tasks))]

    def _sign_group(
        self, files: Mapping[int, _Prepared], options: Options, idempotency_key: str
    ) -> dict[int, Signed | Failed]:
        request = _request(list(files.values()), options)
        try:
            response = self.service.sign(request, idempotency_key)
            receipt = check_response(response, request, self.principal, self.log)
            signatures = self._stamped(response.signatures)
        except SealwrightError as error:
            return {index: Failed(file.task, error) for index, file in files.items()}
        results: dict[int, Signed | Failed] = {}
        for (index, file), stamped in zip(files.items(), signatures, strict=True):
            try:
                results[index] = self._finish(file, stamped, options, request, response, receipt)
            except SealwrightError as error:
                results[index] = Failed(file.task, error)
        return results

    def _finish(
        self,
        file: _Prepared,
        signature: bytes,
        options: Options,
        request: SigningRequestBody,
        response: SigningResponse,
        receipt: CheckedReceipt,
    ) -> Signed:
        """Attach, verify and replace. Raises what went wrong; the target is untouched then."""
        with open_input(file.task.source) as source:
            need_unchanged(file.task.source, source, file.snapshot)
            with file.copy or Replacement(file.task.target, file.snapshot.mode) as output:
                file.format.attach(source, output.file, signature, options.mode or "replace")
                with syncing(output.file):
                    result = self.check(output.file, file.format, signature)
                need_unchanged(file.task.source, source, file.snapshot)
                output.publish()
        return Signed(
            file.task,
            file.format.name,
            file.digests.digest.hex(),
            file.digests.flat_sha256.hex(),
            result,
            request,
            response,
            receipt,
        )

    def _stamped(self, signatures: Sequence[bytes]) -> Sequence[bytes]:
        """Return the signatures with a timestamp over each one's value, in an unsigned attribute (RFC 3161, A).

        Raises TimestampError if no authority answers; MalformedError if a signature is no SignedData.
        """
        if self.timestamps is None:
            return signatures
        digests = [sha256(read_signed_data(signature).signers[0].signature).digest() for signature in signatures]
        stamps = self.timestamps.stamp_all(digests, DigestAlgorithm.SHA256)
        return [
            with_unsigned(signature, oids.SPC_RFC3161_TIMESTAMP, stamp.token.raw)
            for signature, stamp in zip(signatures, stamps, strict=True)
        ]


def _prepare(
    task: Task, options: Options, progress: Callable[[int], None] | None, ahead: ExitStack | None
) -> _Prepared:
    """Recognise a file and digest it; with `ahead`, which keeps it, copy it too if that is worth while.

    Raises MalformedError, UnsupportedError, AlreadySignedError, and ConfigurationError if there is no space.
    """
    with open_input(task.source) as file:
        snapshot = Snapshot.of(file)
        format_ = recognise(file.read(HEAD_SIZE), task.source.name)
        if options.mode is None and format_.signatures(file):
            raise AlreadySignedError(
                f"{task.source} carries a signature already",
                hint="--append adds a second signature, --replace drops the one that is there",
            )
        copy = None
        if ahead is not None and is_large(snapshot.size):
            copy = ahead.enter_context(Replacement(task.target, snapshot.mode))
            copy.begin_copy(task.source)
        with two_threads(snapshot.size) as together:
            digests = format_.digest(file, options.digest, progress, together)
        if copy is not None:
            copy.end_copy()
        need_unchanged(task.source, file, snapshot)
    return _Prepared(task, format_, digests, snapshot, copy)


def _groups(prepared: Mapping[int, _Prepared]) -> Iterator[list[int]]:
    """Divide the files into requests: one scheme each, and no more digests than a request may carry."""
    by_scheme: dict[str, list[int]] = {}
    for index, file in prepared.items():
        by_scheme.setdefault(file.format.scheme, []).append(index)
    for indexes in by_scheme.values():
        for start in range(0, len(indexes), MAX_ARTIFACTS):
            yield indexes[start : start + MAX_ARTIFACTS]


def _request(files: Sequence[_Prepared], options: Options) -> SigningRequestBody:
    return SigningRequestBody(
        key=options.key,
        scheme=files[0].format.scheme,
        digest_algorithm=options.digest.value,
        artifacts=[
            Artifact(file.digests.digest.hex(), file.digests.flat_sha256.hex(), file.task.source.name[:_MAX_NAME])
            for file in files
        ],
        parameters=dict(options.parameters),
    )


def check_against(trust: TrustStore, clock: Clock) -> Check:
    """Return a Check by our verifier with these roots and revocation lists, at the present moment."""

    def check(file: BinaryIO, file_format: Format, signature: bytes) -> Verified:
        with two_threads(file.seek(0, os.SEEK_END)) as together:
            verdict = verify_file(file, _Together(file_format, together), trust, None, clock())
        judged = verdict.signatures[_position(file_format.signatures(file), signature)]
        if judged.verdict is Verdict.FAILED:
            amiss = "; ".join(one.detail for one in judged.checks if one.result is Result.FAILED)
            raise VerificationError(
                f"the signed file does not pass our own verification: {amiss}",
                hint="nothing was changed; are `roots` and `crl` in client.toml those of this service?",
            )
        return Verified(verdict.sha256, judged.verdict.value, judged.timestamp.time if judged.timestamp else None)

    return check


def _position(found: Sequence[EmbeddedSignature], signature: bytes) -> int:
    """Find the new signature among those in the file; its place may be padded with zeros."""
    for position, one in enumerate(found):
        if one.data.startswith(signature) and not any(one.data[len(signature) :]):
            return position
    raise VerificationError("the signature is not in the file that was just signed")


class _Together:
    """A format whose digests are made by two threads."""

    def __init__(self, inner: Format, together: Together | None) -> None:
        self._inner = inner
        self._together = together
        self.name, self.title, self.scheme, self.suffixes = inner.name, inner.title, inner.scheme, inner.suffixes
        self.recognises, self.signatures, self.attach = inner.recognises, inner.signatures, inner.attach

    def digest(
        self,
        file: BinaryIO,
        algorithm: DigestAlgorithm,
        progress: Callable[[int], None] | None = None,
        together: Together | None = None,
    ) -> FileDigests:
        return self._inner.digest(file, algorithm, progress, together or self._together)
