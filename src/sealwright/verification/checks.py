"""The numbered checks of one signature, and what each of them can find.

A check's number and code are stable: reports name them, and scripts rely on them.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum
from types import TracebackType

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from sealwright.domain.errors import SealwrightError, UnsupportedError, WeakDigestError


class Result(StrEnum):
    """What one check found."""

    PASSED = "passed"
    FAILED = "failed"
    INDETERMINATE = "indeterminate"  # not wrong, but not proven either
    NOT_APPLICABLE = "not-applicable"  # the signature does not have what the check is about


class Step(Enum):
    """The checks in the order of the report: number, code and a title for people."""

    STRUCTURE = (1, "structure", "signature can be read")
    FILE_DIGEST = (2, "file-digest", "digest matches the file")
    MESSAGE_DIGEST = (3, "message-digest", "signed attributes cover the digest")
    SIGNATURE_VALUE = (4, "signature-value", "certificate's key made the signature")
    ALGORITHMS = (5, "algorithms", "certificate is embedded, algorithms are strong")
    CHAIN = (6, "chain", "certificate leads to a trusted root")
    USAGE = (7, "usage", "certificate is for code signing")
    TIMESTAMP = (8, "timestamp", "timestamp is for this signature")
    TIMESTAMP_CHAIN = (9, "timestamp-chain", "timestamp authority leads to a trusted root")
    TIMESTAMP_POLICY = (10, "timestamp-policy", "timestamp authority is audited")
    VALIDITY = (11, "validity", "certificate was valid when it signed")
    REVOCATION = (12, "revocation", "no certificate was revoked")
    LIFETIME_SIGNING = (13, "lifetime-signing", "timestamp may outlive the certificate")
    KEY_PROTECTION = (14, "key-protection", "key-protection mark")

    @property
    def number(self) -> int:
        """The stable number."""
        return self.value[0]

    @property
    def code(self) -> str:
        """The stable code."""
        return self.value[1]

    @property
    def title(self) -> str:
        """What the check is about, for people."""
        return self.value[2]


@dataclass(frozen=True, slots=True)
class Check:
    """One check with its result; `hint` says what to do next where something can be done."""

    step: Step
    result: Result
    detail: str
    hint: str = ""


class Findings:
    """Collects one result for each step; the first one that is given for a step stands."""

    __slots__ = ("_checks", "warnings")

    def __init__(self) -> None:
        self._checks: dict[Step, Check] = {}
        self.warnings: list[str] = []

    def note(self, step: Step, result: Result, detail: str, hint: str = "") -> None:
        """Record what a step found."""
        self._checks.setdefault(step, Check(step, result, detail, hint))

    def adopt(self, other: "Findings") -> None:
        """Take over the results and warnings of others, for steps that have none yet."""
        for check in other._checks.values():  # noqa: SLF001 - the same class
            self._checks.setdefault(check.step, check)
        self.warnings += other.warnings

    def result(self, step: Step) -> Result | None:
        """Return what a step found, None if it has not been taken."""
        check = self._checks.get(step)
        return check.result if check else None

    def judging(self, step: Step) -> "Judging":
        """Turn what is raised inside a `with` of it into the step's result."""
        return Judging(self, step)

    def checks(self) -> tuple[Check, ...]:
        """Return one check for every step, in the order of their numbers."""
        reason = "not reached, because an earlier check did not pass"
        return tuple(
            self._checks.get(step, Check(step, Result.NOT_APPLICABLE, reason))
            for step in sorted(Step, key=lambda step: step.number)
        )


class Judging:
    """Catches what a step raises: what is unsupported or too weak to prove anything is indeterminate, all else failed.

    The X.509 library reads some fields of a certificate only when they are asked for, so its errors count as well.
    """

    __slots__ = ("_findings", "_step")

    def __init__(self, findings: Findings, step: Step) -> None:
        self._findings = findings
        self._step = step

    def __enter__(self) -> None:
        """Begin the step."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Note the error, if it is one of a judgement."""
        match error:
            case UnsupportedError() | WeakDigestError():
                self._findings.note(self._step, Result.INDETERMINATE, error.detail, error.hint)
            case SealwrightError():
                self._findings.note(self._step, Result.FAILED, error.detail, error.hint)
            case UnsupportedAlgorithm():
                self._findings.note(self._step, Result.INDETERMINATE, f"an algorithm is not supported: {error}")
            case ValueError() | TypeError() | x509.DuplicateExtension() | x509.UnsupportedGeneralNameType():
                detail = f"a certificate or signature cannot be read: {error}"
                self._findings.note(self._step, Result.FAILED, detail)
            case _:
                return False
        return True
