import io
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealwright.domain.errors import MalformedError, SealwrightError, UnsupportedError
from sealwright.domain.keys import DigestAlgorithm
from sealwright.formats.pe import PE
from sealwright.verification.checks import Step
from sealwright.verification.files import verify_file
from sealwright.verification.report import file_report
from sealwright.verification.verdict import Verdict, worst
from tests.unit.verification import workshop as w
from tests.unit.verification.workshop import DAY, NOW, Workshop

SHOP = Workshop()
FILE = w.program()
TRUST = SHOP.trust(*SHOP.crls())
SIGNED = w.attach(FILE, SHOP.stamped(w.sign(FILE, SHOP.publisher), NOW - DAY))


def nested(*signatures: bytes) -> bytes:
    file = FILE
    for signature in signatures:
        file = w.attach(file, signature, "append")
    return file


def test_a_signed_file_passes() -> None:
    verdict = w.judge_file(SIGNED, TRUST)
    assert verdict.verdict is Verdict.PASSED
    assert (verdict.format, verdict.size, len(verdict.signatures)) == ("pe", len(SIGNED), 1)


def test_a_file_without_a_signature_has_failed_and_says_so() -> None:
    verdict = w.judge_file(FILE, TRUST)
    assert (verdict.verdict, verdict.code, verdict.signatures) == (Verdict.FAILED, "no-signature", ())
    report = file_report(verdict, "a.exe")
    assert report["error"]["code"] == "no-signature"
    assert report["verdict"] == "failed"


def test_one_changed_byte_fails_the_file() -> None:
    changed = bytearray(SIGNED)
    changed[1200] ^= 1
    assert w.judge_file(bytes(changed), TRUST).verdict is Verdict.FAILED


def test_every_signature_is_judged_for_itself_and_the_worst_decides() -> None:
    good = w.sign(FILE, SHOP.publisher, algorithm=DigestAlgorithm.SHA384)
    bad = w.sign(w.program(b"\x90" * 512), SHOP.publisher)
    stranger = w.sign(FILE, w.issue("Stranger", None, w.key(95)))
    first = w.sign(FILE, SHOP.publisher)
    verdict = w.judge_file(nested(first, good), TRUST)
    assert [(one.verdict, one.nested) for one in verdict.signatures] == [
        (Verdict.PASSED, False),
        (Verdict.PASSED, True),
    ]
    assert verdict.verdict is Verdict.PASSED
    verdict = w.judge_file(nested(first, bad), TRUST)
    assert [one.verdict for one in verdict.signatures] == [Verdict.PASSED, Verdict.FAILED]
    assert verdict.verdict is Verdict.FAILED
    assert w.amiss(verdict.signatures[1]) == {"file-digest": "failed"}
    # A self-signed certificate without usages, from a stranger: the usage fails, the root is unknown.
    assert w.amiss(w.judge_file(nested(stranger), TRUST).signatures[0]) == {"chain": "indeterminate", "usage": "failed"}


def test_data_hidden_in_the_padding_is_a_warning() -> None:
    signature = w.sign(FILE, SHOP.publisher)
    assert w.judge(signature + bytes(7), FILE, TRUST).warnings == ()
    judged = w.judge(signature + b"hidden\0\0", FILE, TRUST)
    assert judged.verdict is Verdict.PASSED
    assert judged.warnings == ("6 bytes behind the signature are covered by nothing",)


def test_the_worst_of_nothing_has_passed() -> None:
    assert worst([]) is Verdict.PASSED
    assert worst([Verdict.INDETERMINATE, Verdict.PASSED]) is Verdict.INDETERMINATE


def test_a_scheme_that_is_not_judged_is_unsupported() -> None:
    class Other(PE):
        scheme = "openpgp"

    with pytest.raises(UnsupportedError):
        verify_file(io.BytesIO(SIGNED), Other(), TRUST, None, NOW)


def test_a_file_that_is_no_program_is_malformed() -> None:
    with pytest.raises(MalformedError):
        w.judge_file(b"MZ", TRUST)


def test_the_report_has_the_stable_shape_and_can_be_written_as_json() -> None:
    report = json.loads(json.dumps(file_report(w.judge_file(SIGNED, TRUST), "dir/a.exe")))
    assert report["path"] == "dir/a.exe"
    assert {"path", "format", "sha256", "verdict", "signatures"} <= report.keys()
    (signature,) = report["signatures"]
    assert signature["certificate"]["serial"] == f"{SHOP.publisher.certificate.serial_number:x}"
    assert {"subject", "issuer", "serial", "sha256", "policies", "not_before", "not_after"} <= signature[
        "certificate"
    ].keys()
    assert signature["timestamp"]["time"] == "2026-11-22T12:00:00Z"
    assert {"time", "token_policy", "certificate_policies", "authority"} <= signature["timestamp"].keys()
    protection = signature["key_protection"]
    assert (protection["model"], protection["lifetime"], protection["input"]) == (
        "signing-service",
        "persistent",
        "digest",
    )
    assert len(protection["stated_by_signature"]["request"]) == 64
    assert protection["stated_by_certificate"] is None
    assert [(one["number"], one["code"]) for one in signature["checks"]] == [(step.number, step.code) for step in Step]
    assert {one["result"] for one in signature["checks"]} <= {"passed", "not-applicable"}
    assert all(one.keys() <= {"number", "code", "result", "detail", "hint"} for one in signature["checks"])


def test_a_report_of_a_signature_that_cannot_be_read_has_the_same_keys() -> None:
    other = w.attach(FILE, w.sign(FILE, SHOP.publisher))
    (whole,) = file_report(w.judge_file(other, TRUST), "a")["signatures"]
    broken = other.replace(b"\x2b\x06\x01\x04\x01\x82\x37\x02\x01\x04", b"\x2b\x06\x01\x04\x01\x82\x37\x02\x01\x05")
    (signature,) = file_report(w.judge_file(broken, TRUST), "a")["signatures"]
    assert signature.keys() == whole.keys()
    assert (signature["verdict"], signature["certificate"], signature["timestamp"]) == ("failed", None, None)


_TABLE = struct.unpack_from("<I", SIGNED, 0x98 + 112 + 32)[0]
_POSITIONS = st.integers(0, len(SIGNED) - 1)
_SIGNATURE_POSITIONS = st.integers(_TABLE + 8, len(SIGNED) - 1)


@given(st.lists(st.tuples(_POSITIONS | _SIGNATURE_POSITIONS, st.integers(0, 255)), min_size=1, max_size=4))
def test_a_mutated_file_never_passes_with_another_digest_and_never_breaks_the_verifier(
    changes: list[tuple[int, int]],
) -> None:
    mutated = bytearray(SIGNED)
    for position, value in changes:
        mutated[position] = value
    try:
        verdict = w.judge_file(bytes(mutated), TRUST)
        json.dumps(file_report(verdict, "a"))
    except SealwrightError:
        return
    if verdict.verdict is Verdict.PASSED:
        assert w.file_digest(bytes(mutated)) == w.file_digest(SIGNED)


@given(st.integers(0, len(SIGNED)), st.binary(max_size=32))
def test_a_truncated_file_with_rubbish_behind_it_never_breaks_the_verifier(length: int, rubbish: bytes) -> None:
    try:
        verdict = w.judge_file(SIGNED[:length] + rubbish, TRUST)
    except SealwrightError:
        return
    if verdict.verdict is Verdict.PASSED:
        assert w.file_digest(SIGNED[:length] + rubbish) == w.file_digest(SIGNED)


_SIGNATURE = SHOP.stamped(w.sign(FILE, SHOP.publisher), NOW - DAY)


@given(
    st.lists(st.tuples(st.integers(0, len(_SIGNATURE) - 1), st.integers(0, 255)), min_size=1, max_size=3),
    st.integers(0, 40),
)
def test_a_mutated_signature_becomes_findings_and_nothing_is_raised(changes: list[tuple[int, int]], cut: int) -> None:
    mutated = bytearray(_SIGNATURE)
    for position, value in changes:
        mutated[position] = value
    w.judge(bytes(mutated[: len(mutated) - cut]), FILE, TRUST)
