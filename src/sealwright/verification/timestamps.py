"""Steps 8 to 10: the timestamp of a signature, its authority, and what their policies say."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import new as new_hash
from typing import TYPE_CHECKING, Final

from sealwright.domain import oids
from sealwright.domain.errors import SealwrightError, UnsupportedError, WeakDigestError
from sealwright.structures.tsp import TimestampToken, check_token
from sealwright.structures.x509 import policies
from sealwright.verification.chains import find_chain
from sealwright.verification.checks import Findings, Result, Step
from sealwright.verification.reading import COUNTERSIGNATURE, ReadSignature, read_pool, read_timestamp
from sealwright.verification.verdict import Moment, Timestamp

if TYPE_CHECKING:
    from cryptography import x509

    from sealwright.verification.trust import TrustStore

_CLOCKS_APART: Final = timedelta(minutes=1)  # between an authority's clock and ours
_UNPROVEN_CLOCK: Final = oids.TSA_POLICY_UNPROVEN_CLOCK


@dataclass(frozen=True, slots=True)
class _Judged:
    findings: Findings
    timestamp: Timestamp | None

    @property
    def rank(self) -> int:
        """How much a token proves: the best of several is shown."""
        results = (self.findings.result(Step.TIMESTAMP), self.findings.result(Step.TIMESTAMP_CHAIN))
        if results == (Result.PASSED, Result.PASSED):
            return 0
        return 1 if Result.FAILED not in results else 2


def judge_timestamp(
    findings: Findings, signature: ReadSignature, trust: "TrustStore", moment: Moment
) -> Timestamp | None:
    """Take steps 8 to 10 and return what the timestamp says, None if there is none that can be read.

    Of several timestamps one that holds is enough; without any such the first of the least bad decides.
    """
    if not signature.tokens:
        _note_absence(findings, signature)
        return None
    judged = [_judge_token(token, signature, trust, moment) for token in signature.tokens]
    best = min(judged, key=lambda one: one.rank)
    findings.adopt(best.findings)
    return best.timestamp


def _note_absence(findings: Findings, signature: ReadSignature) -> None:
    if COUNTERSIGNATURE in signature.signer.unsigned:
        findings.note(
            Step.TIMESTAMP,
            Result.INDETERMINATE,
            "the timestamp is of the kind before RFC 3161, which is not judged here",
        )
        return
    reason = "the signature has no timestamp"
    hint = "without one it ends with its certificate"
    for step in (Step.TIMESTAMP, Step.TIMESTAMP_CHAIN, Step.TIMESTAMP_POLICY):
        findings.note(step, Result.NOT_APPLICABLE, reason, hint if step is Step.TIMESTAMP else "")


def _judge_token(data: bytes, signature: ReadSignature, trust: "TrustStore", moment: Moment) -> _Judged:
    findings = Findings()
    # (8) The token is for this signature, and its own certificate, of a timestamp authority, signed it.
    token: TimestampToken | None = None
    timestamp: Timestamp | None = None
    authority: x509.Certificate | None = None
    with findings.judging(Step.TIMESTAMP):
        token, timestamp = read_timestamp(data)
        authority = _signer(token, signature)
        if token.time > moment.judged + _CLOCKS_APART:
            findings.note(
                Step.TIMESTAMP,
                Result.INDETERMINATE,
                f"the timestamp, {token.time:%Y-%m-%d %H:%M:%S} UTC, is later than the time of this judgement",
                hint="check this machine's clock" if moment.at is None else "judge at a later time",
            )
        findings.note(Step.TIMESTAMP, Result.PASSED, f"stamped at {token.time:%Y-%m-%d %H:%M:%S} UTC")
    if token is None or timestamp is None or authority is None:
        return _Judged(findings, timestamp)
    # (9) The authority's certificate leads to a trusted root, at the time of the timestamp.
    with findings.judging(Step.TIMESTAMP_CHAIN):
        pool = (*read_pool(token.certificates), *signature.pool)
        chain = find_chain(authority, pool, trust, oids.EKU_TIMESTAMPING, token.time)
        findings.note(Step.TIMESTAMP_CHAIN, chain.result, chain.detail, chain.hint)
        if chain.result is Result.PASSED:
            timestamp = replace(timestamp, chain=chain.path)
    # (10) Informative: what the token's policy and the policies of the authority's certificate say.
    with findings.judging(Step.TIMESTAMP_POLICY):
        _note_policies(findings, token.policy, policies(authority))
    return _Judged(findings, timestamp)


def _signer(token: TimestampToken, signature: ReadSignature) -> "x509.Certificate":
    expected = new_hash(token.algorithm.value, signature.signer.signature).digest()
    try:
        return check_token(token, expected, token.algorithm)
    except SealwrightError as error:
        # What the token cannot prove for lack of an algorithm is not a proof against it.
        if isinstance(error.__cause__, UnsupportedError | WeakDigestError):
            raise error.__cause__ from None
        raise


def _note_policies(findings: Findings, token_policy: str, certificate_policies: Sequence[str]) -> None:
    """CSBR 7.1.6.1: the reserved identifier in the authority's certificate says that the authority is audited."""
    said = f"token policy {token_policy}; certificate policies {', '.join(certificate_policies) or 'none'}"
    if token_policy == _UNPROVEN_CLOCK:
        findings.warnings.append("the timestamp authority says itself that its clock was not proven")
    if oids.CABF_TIMESTAMP in certificate_policies:
        findings.note(
            Step.TIMESTAMP_POLICY, Result.PASSED, f"the authority's certificate says that it is audited; {said}"
        )
    else:
        findings.note(
            Step.TIMESTAMP_POLICY,
            Result.NOT_APPLICABLE,
            f"the authority's certificate does not claim an audit under the CSBR; {said}",
        )
