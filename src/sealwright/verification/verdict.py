"""Verdicts as values: of one signature, and of a file with all its signatures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography import x509

from sealwright.structures.protection import UNKNOWN, KeyProtection, SignatureProtection
from sealwright.verification.checks import Check, Result


class Verdict(StrEnum):
    """What the checks together say."""

    PASSED = "passed"
    INDETERMINATE = "indeterminate"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Moment:
    """When a file is judged: at a chosen time, or now; revocation lists must be current now in both cases."""

    now: datetime
    at: datetime | None = None

    @property
    def judged(self) -> datetime:
        """The time at which a signature without a timestamp is judged."""
        return self.at or self.now


@dataclass(frozen=True, slots=True)
class Timestamp:
    """What a timestamp token says; `certificate_policies` are those of the authority's certificate."""

    time: datetime
    token_policy: str
    certificate_policies: tuple[str, ...]
    reserved_policy: bool
    authority: str
    serial: int
    imprint_algorithm: str
    certificate: x509.Certificate | None
    chain: tuple[x509.Certificate, ...] = ()


@dataclass(frozen=True, slots=True)
class ProtectionStatement:
    """Who states what of the key: the certification authority in the certificate, the service in the signature.

    `policy_models` are the models named by policy identifiers of the certificate. `disagreement` is empty if
    the statements agree.
    """

    certificate: KeyProtection | None
    signature: SignatureProtection | None
    policy_models: tuple[str, ...] = ()
    disagreement: str = ""

    @property
    def model(self) -> str:
        """The model, by the certification authority's word if there is one; `unknown` if nobody says."""
        if self.certificate is not None:
            return UNKNOWN if self._authority_contradicts_itself else self.certificate.model
        if self.policy_models:
            return self.policy_models[0] if len(set(self.policy_models)) == 1 else UNKNOWN
        return self.signature.model if self.signature else UNKNOWN

    @property
    def lifetime(self) -> str:
        """Whether the key outlives the signature, by the service's word; `unknown` if it does not say."""
        return self.signature.lifetime if self.signature else UNKNOWN

    @property
    def _authority_contradicts_itself(self) -> bool:
        return self.certificate is not None and any(model != self.certificate.model for model in self.policy_models)


@dataclass(frozen=True, slots=True)
class SignatureVerdict:
    """One signature's checks and what it says; fields are None where the signature could not be read that far."""

    checks: tuple[Check, ...]
    nested: bool
    digest_algorithm: str | None = None
    certificate: x509.Certificate | None = None
    chain: tuple[x509.Certificate, ...] = ()
    timestamp: Timestamp | None = None
    key_protection: ProtectionStatement | None = None
    program_name: str | None = None
    program_url: str | None = None
    judged_at: datetime | None = None
    warnings: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Failed if a check failed, else indeterminate if one is, else passed."""
        results = {check.result for check in self.checks}
        if Result.FAILED in results:
            return Verdict.FAILED
        proven = Result.PASSED in results and Result.INDETERMINATE not in results
        return Verdict.PASSED if proven else Verdict.INDETERMINATE


NO_SIGNATURE = "no-signature"


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """A file's format, flat SHA-256 (hex), size in bytes and the verdicts of its signatures."""

    format: str
    sha256: str
    size: int
    signatures: tuple[SignatureVerdict, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of the signatures' verdicts; a file without any has failed."""
        return worst([signature.verdict for signature in self.signatures] or [Verdict.FAILED])

    @property
    def code(self) -> str:
        """`no-signature` for a file without signatures, else empty."""
        return "" if self.signatures else NO_SIGNATURE


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of some verdicts; passed if there are none."""
    found: Sequence[Verdict] = tuple(verdicts)
    if Verdict.FAILED in found:
        return Verdict.FAILED
    return Verdict.INDETERMINATE if Verdict.INDETERMINATE in found else Verdict.PASSED
