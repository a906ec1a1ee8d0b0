"""Verifying files on disk: opens them, reads roots and revocation lists, and hands all to `verification`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar

from sealwright.domain.errors import ConfigurationError, MalformedError, NotFoundError, SealwrightError
from sealwright.formats import HEAD_SIZE, recognise
from sealwright.verification import report
from sealwright.verification.files import verify_file
from sealwright.verification.reading import read_signature, read_timestamp
from sealwright.verification.trust import TrustStore, read_certificates, read_crls, trust_store
from sealwright.verification.verdict import FileVerdict, Verdict

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

    from sealwright.contracts import Clock, Format

_MAX_TRUST = 64 << 20  # bytes of one file of certificates or revocation lists
_MAX_CRL_FILES = 1000
_CRL_SUFFIXES: Final = (".crl", ".pem", ".der")

EXIT_PASSED: Final = 0
EXIT_FAILED: Final = 1
EXIT_INDETERMINATE: Final = 2

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class VerifiedPath:
    """A path with its verdict, or with the error that stands in its place."""

    path: str
    verdict: FileVerdict | None = None
    error: SealwrightError | None = None

    @property
    def outcome(self) -> Verdict:
        """The file's verdict; nothing is proven of a file that cannot be read."""
        return self.verdict.verdict if self.verdict else Verdict.INDETERMINATE

    def as_json(self) -> dict[str, Any]:
        """Return the item of `files`; an unreadable file has the same keys, and `error`."""
        if self.verdict is not None:
            return report.file_report(self.verdict, self.path)
        return {"path": self.path, "format": None, "sha256": None} | _failure(self)


def load_trust(trust_pem: Iterable[Path] = (), crl_paths: Iterable[Path] = ()) -> TrustStore:
    """Read roots (PEM or DER, with intermediates if there are any) and revocation lists (files or folders).

    Raises ConfigurationError with the file's name for one that cannot be read.
    """
    certificates: list[x509.Certificate] = []
    crls: list[x509.CertificateRevocationList] = []
    for path in trust_pem:
        certificates += _parsed(path, read_certificates, "--trust")
    for path in _crl_files(crl_paths):
        crls += _parsed(path, read_crls, "--crl")
    return trust_store(certificates, crls)


def verify_path(path: Path, trust: TrustStore, at: "datetime | None", now: "datetime") -> VerifiedPath:
    """Judge one file; an error of the file is part of the answer."""
    try:
        with _opened(path) as (file, file_format):
            return VerifiedPath(str(path), verify_file(file, file_format, trust, at, now))
    except SealwrightError as error:
        return VerifiedPath(str(path), error=error)
    except OSError as error:
        return VerifiedPath(str(path), error=_cannot_read(path, error))


def verify_each(
    paths: Iterable[Path], trust: TrustStore, at: "datetime | None", clock: "Clock"
) -> Iterator[VerifiedPath]:
    """Judge files one after another; a bad one does not stop the others."""
    for path in paths:
        yield verify_path(path, trust, at, clock())


def verify_paths(
    paths: Iterable[Path],
    trust_pem: Iterable[Path],
    crl_paths: Iterable[Path],
    at: "datetime | None",
    clock: "Clock",
) -> list[VerifiedPath]:
    """Read what is trusted, then judge all files. Raises ConfigurationError for roots or lists that are unreadable."""
    return list(verify_each(paths, load_trust(trust_pem, crl_paths), at, clock))


def exit_code(verified: Iterable[VerifiedPath]) -> int:
    """Return 1 if any file has failed, else 2 if any is indeterminate or unreadable, else 0."""
    outcomes = {one.outcome for one in verified}
    if Verdict.FAILED in outcomes:
        return EXIT_FAILED
    return EXIT_INDETERMINATE if Verdict.INDETERMINATE in outcomes else EXIT_PASSED


def show_path(path: Path) -> dict[str, Any]:
    """Return what a file's signatures say, without judging any of it; an error of the file is part of the answer."""
    from sealwright.domain.keys import DigestAlgorithm  # noqa: PLC0415 - only `show` needs it here

    try:
        with _opened(path) as (file, file_format):
            found = file_format.signatures(file)
            flat = file_format.digest(file, DigestAlgorithm.SHA256)
            return {
                "path": str(path),
                "format": file_format.name,
                "sha256": flat.flat_sha256.hex(),
                "size": flat.size,
                "signatures": [{"nested": one.nested} | _shown(one.data) for one in found],
            }
    except SealwrightError as error:
        return {"path": str(path), "error": report.error_report(error.code, error.detail, error.hint)}
    except OSError as error:
        missing = _cannot_read(path, error)
        return {"path": str(path), "error": report.error_report(missing.code, missing.detail, missing.hint)}


def _shown(data: bytes) -> dict[str, Any]:
    try:
        signature = read_signature(data)
    except SealwrightError as error:
        return {"error": report.error_report(error.code, error.detail, error.hint)}
    certificate, indirect = signature.certificate, signature.indirect
    return {
        "certificate": report.certificate_report(certificate) if certificate else None,
        "certificates": [report.certificate_report(one) for one in signature.pool],
        "digest_algorithm": indirect.algorithm.value if indirect else None,
        "digest": indirect.digest.hex() if indirect else None,
        "program_name": signature.opus.program_name,
        "program_url": signature.opus.program_url,
        "timestamps": [_shown_token(token) for token in signature.tokens],
        "key_protection": report.protection_report(signature.protection),
        "unreadable": list(signature.unreadable),
    }


def _shown_token(data: bytes) -> dict[str, Any]:
    try:
        return report.timestamp_report(read_timestamp(data)[1])
    except SealwrightError as error:
        return {"error": report.error_report(error.code, error.detail, error.hint)}


class _Opened:
    """An open file and its format."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> tuple[BinaryIO, "Format"]:
        if not self._path.is_file():
            raise _cannot_read(self._path, None)
        self._file = self._path.open("rb")
        try:
            return self._file, recognise(self._file.read(HEAD_SIZE), self._path.name)
        except BaseException:
            self._file.close()
            raise

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _opened(path: Path) -> _Opened:
    return _Opened(path)


def _cannot_read(path: Path, error: OSError | None) -> SealwrightError:
    if error is None and not path.exists():
        return NotFoundError(f"there is no file {path}")
    reason = (error.strerror if error else "it is no regular file") or "it cannot be read"
    return MalformedError(f"{path} cannot be read: {reason}")


def _failure(verified: VerifiedPath) -> dict[str, Any]:
    error = verified.error or SealwrightError()
    return {
        "verdict": verified.outcome.value,
        "signatures": [],
        "error": report.error_report(error.code, error.detail, error.hint),
    }


def _crl_files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = sorted(child for child in path.iterdir() if child.suffix.lower() in _CRL_SUFFIXES and child.is_file())
        if not found or len(found) > _MAX_CRL_FILES:
            raise ConfigurationError(
                f"the folder {path} holds {len(found)} revocation lists",
                hint=f"it needs 1 to {_MAX_CRL_FILES} files named *{', *'.join(_CRL_SUFFIXES)}",
            )
        yield from found


def _parsed(path: Path, parse: Callable[[bytes], Sequence[_T]], option: str) -> Sequence[_T]:
    try:
        if path.stat().st_size > _MAX_TRUST:
            raise ConfigurationError(f"{path} is larger than {_MAX_TRUST >> 20} MiB", hint=f"check what {option} names")
        return parse(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}", hint=f"check what {option} names"
        ) from None
    except MalformedError as error:
        raise ConfigurationError(f"{path}: {error.detail}", hint=error.hint or f"check what {option} names") from None
