"""Judging a file with all the signatures that it carries."""

from typing import TYPE_CHECKING, BinaryIO

from sealwright.domain.errors import UnsupportedError
from sealwright.domain.keys import DigestAlgorithm
from sealwright.verification.authenticode import judge_signature
from sealwright.verification.verdict import FileVerdict, Moment

if TYPE_CHECKING:
    from datetime import datetime

    from sealwright.contracts import Format
    from sealwright.domain.messages import FileDigests
    from sealwright.verification.trust import TrustStore

_SCHEME = "authenticode"


def verify_file(
    file: BinaryIO, file_format: "Format", trust: "TrustStore", at: "datetime | None", now: "datetime"
) -> FileVerdict:
    """Judge every signature of a file, nested ones as well, at a time (`at`, or else `now`).

    Raises MalformedError, UnsupportedError for a file whose frame cannot be read; what is wrong with a
    signature is in the verdict.
    """
    if file_format.scheme != _SCHEME:
        raise UnsupportedError(f"signatures of the scheme {file_format.scheme} are not judged yet")
    digests = _Digests(file, file_format)
    moment = Moment(now, at)
    signatures = tuple(
        judge_signature(found.data, digests.by, trust, moment, nested=found.nested)
        for found in file_format.signatures(file)
    )
    flat = digests.any()
    return FileVerdict(file_format.name, flat.flat_sha256.hex(), flat.size, signatures)


class _Digests:
    """The file's digests; a pass over the file for each algorithm that a signature uses, and no other."""

    def __init__(self, file: BinaryIO, file_format: "Format") -> None:
        self._file = file
        self._format = file_format
        self._known: dict[DigestAlgorithm, FileDigests] = {}

    def by(self, algorithm: DigestAlgorithm) -> bytes:
        if algorithm not in self._known:
            self._known[algorithm] = self._format.digest(self._file, algorithm)
        return self._known[algorithm].digest

    def any(self) -> "FileDigests":
        if not self._known:
            self.by(DigestAlgorithm.SHA256)
        return next(iter(self._known.values()))
