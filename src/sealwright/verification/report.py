"""Verdicts as plain values, ready to be written as JSON: the stable shape of `sealwright verify --json`."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sealwright.structures.x509 import certificate_summary, extended_key_usages

if TYPE_CHECKING:
    from cryptography import x509

    from sealwright.verification.checks import Check
    from sealwright.verification.verdict import FileVerdict, ProtectionStatement, SignatureVerdict, Timestamp

Json = dict[str, Any]


def file_report(verdict: "FileVerdict", path: str) -> Json:
    """Return a file's item of `files`; a file without a signature says so in `error`."""
    report: Json = {
        "path": path,
        "format": verdict.format,
        "sha256": verdict.sha256,
        "size": verdict.size,
        "verdict": verdict.verdict.value,
        "signatures": [signature_report(signature) for signature in verdict.signatures],
    }
    if verdict.code:
        report["error"] = error_report(verdict.code, "the file carries no signature", "sign it with `sealwright sign`")
    return report


def error_report(code: str, detail: str, hint: str) -> Json:
    """Return what stands in `error`."""
    return {"code": code, "detail": detail, "hint": hint}


def signature_report(verdict: "SignatureVerdict") -> Json:
    """Return one item of `signatures`."""
    return {
        "verdict": verdict.verdict.value,
        "nested": verdict.nested,
        "digest_algorithm": verdict.digest_algorithm,
        "judged_at": moment(verdict.judged_at) if verdict.judged_at else None,
        "certificate": certificate_report(verdict.certificate) if verdict.certificate else None,
        "chain": [one.subject.rfc4514_string() for one in verdict.chain],
        "timestamp": timestamp_report(verdict.timestamp) if verdict.timestamp else None,
        "key_protection": protection_report(verdict.key_protection) if verdict.key_protection else None,
        "program_name": verdict.program_name,
        "program_url": verdict.program_url,
        "checks": [_check(check) for check in verdict.checks],
        "warnings": list(verdict.warnings),
    }


def certificate_report(certificate: "x509.Certificate") -> Json:
    """Return what reports show of a certificate."""
    return {**certificate_summary(certificate), "extended_key_usages": list(extended_key_usages(certificate))}


def timestamp_report(timestamp: "Timestamp") -> Json:
    """Return what a timestamp says; `reserved_policy` tells whether the certificate claims an audit (CSBR 7.1.6.1)."""
    return {
        "time": moment(timestamp.time),
        "token_policy": timestamp.token_policy,
        "certificate_policies": list(timestamp.certificate_policies),
        "reserved_policy": timestamp.reserved_policy,
        "authority": timestamp.authority,
        "serial": f"{timestamp.serial:x}",
        "imprint_algorithm": timestamp.imprint_algorithm,
        "certificate": certificate_report(timestamp.certificate) if timestamp.certificate else None,
    }


def protection_report(stated: "ProtectionStatement") -> Json:
    """Return who states what of the key; `unknown` where nobody does."""
    signature = asdict(stated.signature) if stated.signature else None
    if signature and signature["request"] is not None:
        signature["request"] = signature["request"].hex()
    return {
        "model": stated.model,
        "lifetime": stated.lifetime,
        "input": stated.signature.input if stated.signature else "unknown",
        "stated_by_certificate": asdict(stated.certificate) if stated.certificate else None,
        "stated_by_policies": list(stated.policy_models),
        "stated_by_signature": signature,
        "disagreement": stated.disagreement,
    }


def moment(value: datetime) -> str:
    """Write a time as RFC 3339 in UTC."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _check(check: "Check") -> Json:
    report: Json = {
        "number": check.step.number,
        "code": check.step.code,
        "result": check.result.value,
        "detail": check.detail,
    }
    if check.hint:
        report["hint"] = check.hint
    return report
