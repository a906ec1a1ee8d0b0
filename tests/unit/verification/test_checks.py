import pytest
from cryptography.exceptions import UnsupportedAlgorithm

from sealwright.domain.errors import UnsupportedError, VerificationError, WeakDigestError
from sealwright.verification.checks import Findings, Result, Step


def test_numbers_and_codes_are_stable() -> None:
    assert [(step.number, step.code) for step in Step] == [
        (1, "structure"),
        (2, "file-digest"),
        (3, "message-digest"),
        (4, "signature-value"),
        (5, "algorithms"),
        (6, "chain"),
        (7, "usage"),
        (8, "timestamp"),
        (9, "timestamp-chain"),
        (10, "timestamp-policy"),
        (11, "validity"),
        (12, "revocation"),
        (13, "lifetime-signing"),
        (14, "key-protection"),
    ]


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (VerificationError("no"), Result.FAILED),
        (ValueError("no"), Result.FAILED),
        (UnsupportedError("no"), Result.INDETERMINATE),
        (WeakDigestError("no"), Result.INDETERMINATE),
        (UnsupportedAlgorithm("no"), Result.INDETERMINATE),
    ],
)
def test_an_error_becomes_the_steps_result(error: Exception, result: Result) -> None:
    findings = Findings()
    with findings.judging(Step.CHAIN):
        raise error
    assert findings.result(Step.CHAIN) is result


def test_an_error_of_the_program_itself_is_not_hidden() -> None:
    with pytest.raises(KeyError), Findings().judging(Step.CHAIN):
        raise KeyError


def test_the_first_result_of_a_step_stands_and_every_step_has_one() -> None:
    findings = Findings()
    findings.note(Step.USAGE, Result.PASSED, "first")
    findings.note(Step.USAGE, Result.FAILED, "second")
    checks = findings.checks()
    assert len(checks) == len(Step)
    assert checks[6].detail == "first"
    assert checks[0].result is Result.NOT_APPLICABLE
