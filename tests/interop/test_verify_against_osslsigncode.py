"""Our verifier and osslsigncode come to the same verdict on what either of them signed, and on what was tampered with.

Real files that Microsoft signed are judged by ours alone: osslsigncode before 2.13 must not be given untrusted files.
"""

import io
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sealwright.client.verify import VerifiedPath, verify_path, verify_paths
from sealwright.domain import oids
from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm
from sealwright.formats.pe import PE
from sealwright.structures.cms import with_unsigned
from sealwright.verification.checks import Result, Step
from sealwright.verification.trust import TrustStore
from sealwright.verification.verdict import Verdict
from tests import corpus
from tests.interop.conftest import Sign
from tests.pki import Identity, Pki
from tests.unit.verification import workshop

pytestmark = pytest.mark.foreign

SHA256 = DigestAlgorithm.SHA256


@dataclass(frozen=True)
class Bench:
    """A folder with roots, lists and keys, and both verifiers."""

    folder: Path
    program: str
    roots: Path
    crls: Path
    pki: Pki

    def ours(self, data: bytes) -> VerifiedPath:
        path = self.folder / "ours.exe"
        path.write_bytes(data)
        (found,) = verify_paths([path], [self.roots], [self.crls], None, lambda: datetime.now(UTC))
        return found

    def theirs(self, data: bytes) -> bool:
        path = self.folder / "theirs.exe"
        path.write_bytes(data)
        roots, crls = str(self.roots), str(self.crls)
        trust = ("-CAfile", roots, "-TSA-CAfile", roots, "-CRLfile", crls, "-TSA-CRLfile", crls)
        return self._run("verify", *trust, "-in", str(path))

    def sign(self, data: bytes, identity: Identity, *options: str, tsa: Identity | None = None) -> bytes:
        """Have osslsigncode sign, with a timestamp by its own authority inside if one is given."""
        source, target = self.folder / "in.exe", self.folder / "out.exe"
        source.write_bytes(data)
        target.unlink(missing_ok=True)
        certificates, private = self._write("publisher", identity)
        stamped: tuple[str, ...] = ()
        if tsa is not None:
            tsa_certificates, tsa_private = self._write("tsa", tsa)
            stamped = ("-TSA-certs", str(tsa_certificates), "-TSA-key", str(tsa_private))
        assert self._run(
            "sign",
            "-certs",
            str(certificates),
            "-key",
            str(private),
            *options,
            *stamped,
            "-in",
            str(source),
            "-out",
            str(target),
        )
        return target.read_bytes()

    def _write(self, name: str, identity: Identity) -> tuple[Path, Path]:
        certificates, private = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        chain = (identity.certificate, *identity.above)
        certificates.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in chain))
        private.write_bytes(identity.key_pem())
        return certificates, private

    def _run(self, *arguments: str) -> bool:
        done = subprocess.run([self.program, *arguments], capture_output=True, timeout=120, check=False)
        # A timestamp that does not hold is told of, but leaves the exit code alone.
        return done.returncode == 0 and b"verification: failed" not in done.stdout


@pytest.fixture(scope="module")
def bench(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    program = shutil.which("osslsigncode")
    if program is None:
        pytest.skip("osslsigncode is not installed: apt-get install osslsigncode")
    folder = tmp_path_factory.mktemp("bench")
    return Bench(folder, program, *pki.write(folder), pki)


@pytest.fixture(scope="module")
def unsigned() -> bytes:
    corpus.sample()
    return next(e.path for e in corpus.entries() if e.sample and "signed" not in e.traits).read_bytes()


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("leaf", [KeyAlgorithm.RSA_3072, KeyAlgorithm.P256, KeyAlgorithm.P384])
def test_what_osslsigncode_signs_passes_with_both(
    leaf: KeyAlgorithm, digest: str, bench: Bench, unsigned: bytes
) -> None:
    signed = bench.sign(unsigned, bench.pki.leaves[leaf], "-h", digest, "-n", "Test", "-i", "https://example.test/")
    found = bench.ours(signed)
    assert (found.outcome, bench.theirs(signed)) == (Verdict.PASSED, True)
    assert found.verdict
    (signature,) = found.verdict.signatures
    assert (signature.program_name, signature.program_url) == ("Test", "https://example.test/")
    assert signature.digest_algorithm == digest


def test_osslsigncodes_own_timestamp_passes_with_both(bench: Bench, unsigned: bytes) -> None:
    pki = bench.pki
    tsa = pki.leaf(KeyAlgorithm.RSA_3072, "RSA TSA", pki.tsa_ca, workshop.TIME_STAMPING, critical_usage=True)
    signed = bench.sign(unsigned, pki.leaves[KeyAlgorithm.RSA_3072], "-h", "sha256", tsa=tsa)
    found = bench.ours(signed)
    assert (found.outcome, bench.theirs(signed)) == (Verdict.PASSED, True), found.as_json()
    assert found.verdict
    assert found.verdict.signatures[0].timestamp


def test_nested_signatures_and_page_hashes_pass_with_both(bench: Bench, unsigned: bytes) -> None:
    leaves = bench.pki.leaves
    first = bench.sign(unsigned, leaves[KeyAlgorithm.RSA_3072], "-h", "sha256", "-ph")
    signed = bench.sign(first, leaves[KeyAlgorithm.P256], "-h", "sha384", "-nest")
    found = bench.ours(signed)
    assert (found.outcome, bench.theirs(signed)) == (Verdict.PASSED, True)
    assert found.verdict
    assert [one.nested for one in found.verdict.signatures] == [False, True]


def test_a_signature_and_a_timestamp_of_ours_pass_with_both(bench: Bench, unsigned: bytes, sign_pe: Sign) -> None:
    signed = stamped(bench, sign_pe(unsigned, bench.pki.leaves[KeyAlgorithm.P256], SHA256, "replace"))
    assert (bench.ours(signed).outcome, bench.theirs(signed)) == (Verdict.PASSED, True)


def _body(data: bytearray) -> None:
    data[len(data) // 2] ^= 1


def _program_name(data: bytearray) -> None:
    data[data.index("Prüfling".encode("utf-16-be")) + 1] ^= 1


def _digest(data: bytearray) -> None:
    digest = PE().digest(io.BytesIO(bytes(data)), SHA256).digest
    data[data.index(digest)] ^= 1


def _timestamp(data: bytearray) -> None:
    position = data.rindex(datetime.now(UTC).strftime("%Y%m%d").encode()) + 7
    data[position] = ord("0") if data[position] != ord("0") else ord("1")


@pytest.mark.parametrize("tamper", [_body, _program_name, _digest, _timestamp])
def test_what_was_tampered_with_fails_with_both(
    tamper: Callable[[bytearray], None], bench: Bench, unsigned: bytes, sign_pe: Sign
) -> None:
    changed = bytearray(stamped(bench, sign_pe(unsigned, bench.pki.leaves[KeyAlgorithm.P256], SHA256, "replace")))
    tamper(changed)
    assert (bench.ours(bytes(changed)).outcome, bench.theirs(bytes(changed))) == (Verdict.FAILED, False)


@pytest.mark.parametrize("kind", ["stranger", "not for code", "leaf below a leaf", "expired", "expired, but stamped"])
def test_both_judge_certificates_alike(kind: str, bench: Bench, unsigned: bytes, sign_pe: Sign) -> None:
    pki = bench.pki
    identity = {
        "stranger": lambda: Pki().leaves[KeyAlgorithm.P256],
        "not for code": lambda: pki.leaf(KeyAlgorithm.P256, usage=workshop.TIME_STAMPING),
        "leaf below a leaf": lambda: _below(pki.leaves[KeyAlgorithm.P256]),
        "expired": lambda: _expired(pki),
        "expired, but stamped": lambda: _expired(pki),
    }[kind]()
    signed = sign_pe(unsigned, identity, SHA256, "replace")
    if kind == "expired, but stamped":
        signed = stamped(bench, signed, pki.now - timedelta(minutes=30))
    found = bench.ours(signed)
    good = kind == "expired, but stamped"
    assert bench.theirs(signed) is good
    expected = {"stranger": Verdict.INDETERMINATE, "expired, but stamped": Verdict.PASSED}.get(kind, Verdict.FAILED)
    assert found.outcome is expected, found.as_json()


def test_what_osslsigncode_cannot_judge_ours_can_a_revocation_after_the_timestamp(
    bench: Bench, unsigned: bytes, sign_pe: Sign, tmp_path: Path
) -> None:
    pki = bench.pki
    identity = pki.leaves[KeyAlgorithm.P256]
    signed = stamped(bench, sign_pe(unsigned, identity, SHA256, "replace"), pki.now - timedelta(hours=6))
    path = tmp_path / "signed.exe"
    path.write_bytes(signed)
    for hours, verdict in ((7, Verdict.FAILED), (5, Verdict.PASSED)):
        revoked = {identity.certificate.serial_number: pki.now - timedelta(hours=hours)}
        crls = tmp_path / "crls.pem"
        lists = (x509.load_der_x509_crl(der) for der in pki.crls(revoked))
        crls.write_bytes(b"".join(crl.public_bytes(Encoding.PEM) for crl in lists))
        (found,) = verify_paths([path], [bench.roots], [crls], None, lambda: datetime.now(UTC))
        assert found.outcome is verdict


def test_real_signed_files_are_read_and_lack_nothing_but_a_trusted_root() -> None:
    """Signed by Microsoft and others, some of them twice; their roots are not given here."""
    paths = [entry.path for entry in corpus.entries() if entry.sample and "signed" in entry.traits]
    corpus.sample()
    assert paths
    for path in paths:
        found = verify_path(path, TrustStore(), None, datetime.now(UTC))
        assert found.error is None, (path, found.error)
        assert found.verdict
        assert found.verdict.signatures
        for signature in found.verdict.signatures:
            results = {check.step: check.result for check in signature.checks}
            assert results[Step.STRUCTURE] is Result.PASSED, path
            assert results[Step.FILE_DIGEST] in (Result.PASSED, Result.INDETERMINATE), path
            assert results[Step.SIGNATURE_VALUE] in (Result.PASSED, Result.INDETERMINATE), path
            assert results[Step.CHAIN] is Result.INDETERMINATE, path
            assert signature.verdict is not Verdict.PASSED


def stamped(bench: Bench, signed: bytes, time: datetime | None = None) -> bytes:
    """Return the signed file with a timestamp in its one signature."""
    (found,) = PE().signatures(io.BytesIO(signed))
    token = workshop.token(bench.pki.tsa, found.data, time or datetime.now(UTC))
    return workshop.attach(signed, with_unsigned(found.data, oids.SPC_RFC3161_TIMESTAMP, token))


def _below(issuer: Identity) -> Identity:
    return workshop.leaf("Child", issuer, 500, first=datetime.now(UTC) - timedelta(hours=1))


def _expired(pki: Pki) -> Identity:
    first, last = pki.now - timedelta(days=1), pki.now - timedelta(minutes=10)
    return workshop.leaf("Expired", pki.code_ca, 501, first=first, last=last)
