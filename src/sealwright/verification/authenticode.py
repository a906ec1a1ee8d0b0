"""Judging one Authenticode signature.

The steps, by the numbers that reports show:

 1. the structure can be read: SignedData over SpcIndirectData, one signer, signed attributes;
 2. the digest in it is the file's;
 3. the signed attributes cover that digest (messageDigest) and name its type (contentType);
 4. the key of the signer's certificate made the signature;
 5. that certificate is embedded, and digest and key are strong enough to prove something;
 6. it leads to a trusted root, at the judged time;
 7. it is for code signing (extended key usage) and for signatures (key usage);
 8. a timestamp is for this very signature, and signed by a timestamp authority;
 9. the authority leads to a trusted root;
10. what the policies of token and authority say (informative);
11. the certificate was valid at the judged time;
12. neither chain was revoked when it was used;
13. with the lifetime-signing usage a timestamp does not outlive the certificate;
14. what certificate and signature say of the key's protection (informative).

Steps 8 to 10 are taken before 6: the judged time is the timestamp's, if there is one and it may hold. Steps 10
and 14 never decide a verdict: they pass or do not apply.

Sources: Microsoft, "Windows Authenticode Portable Executable Signature Format" (2008); RFC 5652, section 5.4.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from sealwright.domain import oids
from sealwright.domain.errors import MalformedError, VerificationError
from sealwright.structures import ber
from sealwright.structures.asn1 import octet_string, oid
from sealwright.structures.authenticode import read_indirect_data
from sealwright.structures.cms import content_digest
from sealwright.structures.signatures import verify_signature
from sealwright.structures.x509 import extended_key_usages, key_description
from sealwright.verification.chains import Chain, find_chain, weak_key
from sealwright.verification.checks import Findings, Result, Step
from sealwright.verification.reading import ReadSignature, read_signature
from sealwright.verification.revocation import Revocation, judge_path
from sealwright.verification.timestamps import judge_timestamp
from sealwright.verification.verdict import Moment, SignatureVerdict, Timestamp

if TYPE_CHECKING:
    from sealwright.domain.keys import DigestAlgorithm
    from sealwright.verification.trust import TrustStore

_RSA_OF_TODAY = 3072  # bits (CSBR 6.1.5.1)

FileDigest = Callable[["DigestAlgorithm"], bytes]
"""Gives the file's digest as its format defines it."""


@dataclass(frozen=True, slots=True)
class _Time:
    """The judged time, and where it comes from."""

    at: datetime
    stamped: bool
    proven: bool

    @property
    def source(self) -> str:
        return "the time of the timestamp" if self.stamped else "the time of this judgement"


def judge_signature(
    data: bytes, file_digest: FileDigest, trust: "TrustStore", moment: Moment, *, nested: bool = False
) -> SignatureVerdict:
    """Take all steps for one signature; whatever is wrong with it becomes a finding, nothing is raised."""
    findings = Findings()
    # (1) The structure.
    signature: ReadSignature | None = None
    with findings.judging(Step.STRUCTURE):
        signature = read_signature(data)
        if signature.signer.signed_raw is None:
            raise MalformedError("the signature has no signed attributes")
        findings.note(Step.STRUCTURE, Result.PASSED, f"SignedData with {len(signature.pool)} certificates")
    if signature is None:
        return SignatureVerdict(findings.checks(), nested)
    if signature.unsigned_tail:
        # Windows looks at it only where EnableCertPaddingCheck is set (Microsoft, MS13-098).
        findings.warnings.append(f"{signature.unsigned_tail} bytes behind the signature are covered by nothing")
    findings.warnings += [f"a part cannot be read: {complaint}" for complaint in signature.unreadable]
    _judge_digests(findings, signature, file_digest)
    certificate = _judge_signer(findings, signature)
    timestamp = judge_timestamp(findings, signature, trust, moment)
    _note_protection(findings, signature)
    chain: Chain | None = None
    time: _Time | None = None
    if certificate is not None:
        with findings.judging(Step.CHAIN):
            time = _judged_time(findings, certificate, timestamp, moment)
            chain = _judge_chain(findings, signature, certificate, trust, time)
        if time is not None:
            _judge_certificate(findings, certificate, time, moment)
            _judge_revocation(findings, chain, timestamp, trust, (time, moment))
    return SignatureVerdict(
        checks=findings.checks(),
        nested=nested,
        digest_algorithm=signature.indirect.algorithm.value if signature.indirect else None,
        certificate=signature.certificate,
        chain=chain.path if chain and chain.result is Result.PASSED else (),
        timestamp=timestamp,
        key_protection=signature.protection,
        program_name=signature.opus.program_name,
        program_url=signature.opus.program_url,
        judged_at=time.at if time else None,
        warnings=tuple(findings.warnings),
    )


def _judge_digests(findings: Findings, signature: ReadSignature, file_digest: FileDigest) -> None:
    signer, content = signature.signer, signature.signed_data.content
    if content is None:  # pragma: no cover - read_signature has refused it
        return
    # (2) The digest in the signature is the file's.
    with findings.judging(Step.FILE_DIGEST):
        indirect = read_indirect_data(content)
        if file_digest(indirect.algorithm) != indirect.digest:
            raise VerificationError(
                f"the file's {indirect.algorithm.value} digest is not the one that was signed",
                hint="the file was changed after it had been signed: get it again from its publisher",
            )
        findings.note(Step.FILE_DIGEST, Result.PASSED, f"{indirect.algorithm.value} {indirect.digest.hex()}")
    # (3) The signed attributes cover that digest.
    with findings.judging(Step.MESSAGE_DIGEST):
        if signer.one(signer.signed, oids.CONTENT_TYPE) != oid(oids.SPC_INDIRECT_DATA):
            raise VerificationError("the signed content type is not SpcIndirectData")
        signed = signer.one(signer.signed, oids.MESSAGE_DIGEST)
        if signed is None:
            raise VerificationError("the signature does not state a message digest")
        if octet_string(ber.read(signed).octets()) != octet_string(content_digest(content, signer.digest)):
            raise VerificationError("the message digest that was signed is not that of the content")
        findings.note(Step.MESSAGE_DIGEST, Result.PASSED, f"by {signer.digest.value}")


def _judge_signer(findings: Findings, signature: ReadSignature) -> x509.Certificate | None:
    signer = signature.signer
    certificate: x509.Certificate | None = None
    # (5) The certificate is embedded; digest and key are strong enough.
    with findings.judging(Step.ALGORITHMS):
        certificate = signature.signed_data.certificate_of(signer)
        described = f"{signer.digest.value} with {_described(certificate)}"
        if weakness := weak_key(certificate):
            findings.note(Step.ALGORITHMS, Result.INDETERMINATE, f"the key proves nothing: {weakness}")
        findings.note(Step.ALGORITHMS, Result.PASSED, described)
    # (4) Its key made the signature.
    if certificate is not None:
        with findings.judging(Step.SIGNATURE_VALUE):
            verify_signature(
                certificate.public_key(), signer.signature_oid, signer.digest, signer.signature, signer.signed_bytes()
            )
            findings.note(Step.SIGNATURE_VALUE, Result.PASSED, "the signature holds")
    return certificate


def _described(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    text = key_description(key)
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _RSA_OF_TODAY:
        text += " (shorter than CSBR 6.1.5.1 asks for today)"
    return text


def _judged_time(
    findings: Findings, certificate: x509.Certificate, timestamp: Timestamp | None, moment: Moment
) -> _Time:
    """Choose the time at which the certificate must have been valid.

    That is the timestamp's time, unless the timestamp does not hold or the certificate says that a timestamp
    does not outlive it (step 13).
    """
    holds = timestamp is not None and findings.result(Step.TIMESTAMP) is Result.PASSED
    authority = findings.result(Step.TIMESTAMP_CHAIN)
    bound_to_life = oids.EKU_LIFETIME_SIGNING in extended_key_usages(certificate)
    if timestamp is None or not holds or authority is Result.FAILED or bound_to_life:
        # A timestamp that could not be judged may prove an earlier time; one that is wrong proves none.
        is_open = findings.result(Step.TIMESTAMP) is Result.INDETERMINATE and not bound_to_life
        return _Time(moment.judged, stamped=False, proven=not is_open)
    return _Time(timestamp.time, stamped=True, proven=authority is Result.PASSED)


def _judge_chain(
    findings: Findings, signature: ReadSignature, certificate: x509.Certificate, trust: "TrustStore", time: _Time
) -> Chain:
    # (6) A path to a trusted root. The signer's own validity is step 11's question: here it is set aside.
    at = min(max(time.at, certificate.not_valid_before_utc), certificate.not_valid_after_utc)
    chain = find_chain(certificate, signature.pool, trust, oids.EKU_CODE_SIGNING, at)
    result = chain.result
    if result is Result.FAILED and not time.proven:
        result = Result.INDETERMINATE  # at a time that nobody has proven
    findings.note(Step.CHAIN, result, chain.detail, chain.hint)
    return chain


def _judge_certificate(findings: Findings, certificate: x509.Certificate, time: _Time, moment: Moment) -> None:
    # (7) For code signing (CSBR 7.1.2.3), by extended key usage and key usage.
    with findings.judging(Step.USAGE):
        usages = extended_key_usages(certificate)
        if oids.EKU_CODE_SIGNING not in usages:
            raise VerificationError("the certificate is not for code signing (extended key usage)")
        if not _may_sign(certificate):
            raise VerificationError("the certificate's key usage does not include digital signatures")
        findings.note(Step.USAGE, Result.PASSED, "extended key usage codeSigning")
    # (11) Valid at the judged time.
    with findings.judging(Step.VALIDITY):
        first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        period = f"valid from {first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S} UTC"
        when = f"{time.source}, {time.at:%Y-%m-%d %H:%M:%S} UTC"
        if first <= time.at <= last:
            proven = time.proven or first <= moment.judged <= last
            result = Result.PASSED if proven else Result.INDETERMINATE
            addition = "" if proven else ", which is not proven"
            findings.note(Step.VALIDITY, result, f"{period}; covers {when}{addition}")
        else:
            result = Result.FAILED if time.proven else Result.INDETERMINATE
            hint = (
                "" if time.stamped else "a timestamp proves that a signature was made while its certificate was valid"
            )
            findings.note(Step.VALIDITY, result, f"{period}; does not cover {when}", hint)
    # (13) Lifetime signing: a timestamp does not outlive the certificate.
    with findings.judging(Step.LIFETIME_SIGNING):
        if oids.EKU_LIFETIME_SIGNING not in extended_key_usages(certificate):
            findings.note(Step.LIFETIME_SIGNING, Result.NOT_APPLICABLE, "the certificate does not limit timestamps")
        elif moment.judged <= certificate.not_valid_after_utc:
            findings.note(Step.LIFETIME_SIGNING, Result.PASSED, "the signature ends with its certificate")
        else:
            raise VerificationError(
                "the signature ended with its certificate, whatever its timestamp (lifetime signing)"
            )


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    except x509.ExtensionNotFound:
        return True


def _judge_revocation(
    findings: Findings,
    chain: Chain | None,
    timestamp: Timestamp | None,
    trust: "TrustStore",
    when: tuple[_Time, Moment],
) -> None:
    # (12) Neither chain was revoked when it was used.
    time, moment = when
    if not trust.crls:
        detail = "not checked: no revocation list was given"
        findings.note(Step.REVOCATION, Result.NOT_APPLICABLE, detail, "give current lists with --crl")
        findings.warnings.append("revocation was not checked")
        return
    if chain is None or chain.result is not Result.PASSED:
        findings.note(Step.REVOCATION, Result.NOT_APPLICABLE, "not checked: there is no path to a trusted root")
        return
    with findings.judging(Step.REVOCATION):
        said = judge_path(chain.path, trust.crls, time.at, moment.now)
        if timestamp is not None and timestamp.chain:
            said += judge_path(timestamp.chain, trust.crls, timestamp.time, moment.now, timestamping=True)
        _note_revocation(findings, said)


def _note_revocation(findings: Findings, said: list[Revocation]) -> None:
    """Let the gravest word decide; what is said of the other certificates is left out, unless all is well."""
    for result in (Result.FAILED, Result.INDETERMINATE):
        if grave := [one.detail for one in said if one.result is result]:
            hint = "give current lists of all authorities with --crl" if result is Result.INDETERMINATE else ""
            findings.note(Step.REVOCATION, result, "; ".join(grave), hint)
            return
    if not said:
        findings.note(Step.REVOCATION, Result.NOT_APPLICABLE, "the signer's certificate itself is trusted")
    findings.note(Step.REVOCATION, Result.PASSED, "; ".join(one.detail for one in said))


def _note_protection(findings: Findings, signature: ReadSignature) -> None:
    # (14) Informative: absence is no fault, disagreement is a warning.
    stated = signature.protection
    if stated.disagreement:
        findings.warnings.append(f"statements of the key's protection disagree: {stated.disagreement}")
        findings.note(Step.KEY_PROTECTION, Result.NOT_APPLICABLE, f"the statements disagree: {stated.disagreement}")
        return
    who = [
        name
        for name, statement in (
            ("the certification authority", stated.certificate or stated.policy_models),
            ("the signing service", stated.signature),
        )
        if statement
    ]
    if not who:
        findings.note(Step.KEY_PROTECTION, Result.NOT_APPLICABLE, "unknown: neither certificate nor signature says")
        return
    lifetime = f", {stated.lifetime} key" if stated.signature else ""
    findings.note(Step.KEY_PROTECTION, Result.PASSED, f"{stated.model}{lifetime}, stated by {' and '.join(who)}")
