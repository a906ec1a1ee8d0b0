"""What the interop tests share: the test PKI, a small signing service in one function, and osslsigncode."""

import hashlib
import io
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sealwright.contracts import AttachMode
from sealwright.domain.keys import DigestAlgorithm, Module, Operator, Protection
from sealwright.domain.messages import SignerContext
from sealwright.formats.pe import PE
from sealwright.schemes.authenticode import Authenticode
from tests.pki import Identity, Pki

Sign = Callable[[bytes, Identity, DigestAlgorithm, AttachMode], bytes]
Verify = Callable[[bytes], str]

HOSTED = Protection(operator=Operator.THIRD_PARTY, generated_by=Operator.THIRD_PARTY, module=Module.HSM)


@pytest.fixture(scope="session")
def pki() -> Pki:
    return Pki()


@pytest.fixture(scope="session")
def sign_pe() -> Sign:
    """Sign a PE file's bytes with a local key through format and scheme."""

    def sign(data: bytes, identity: Identity, algorithm: DigestAlgorithm, mode: AttachMode) -> bytes:
        context = SignerContext(chain=identity.chain, key_algorithm=identity.algorithm, protection=HOSTED)
        prepared = Authenticode().prepare(
            context, algorithm, {"program_name": "Prüfling", "program_url": "https://example.test/program"}
        )
        file, output = io.BytesIO(data), io.BytesIO()
        digest = PE().digest(file, algorithm).digest
        to_be_signed = prepared.to_be_signed(digest, hashlib.sha256(b"intent").digest())
        signature = identity.sign(hashlib.new(algorithm.value, to_be_signed).digest(), algorithm)
        PE().attach(file, output, prepared.assemble(digest, to_be_signed, signature), mode)
        return output.getvalue()

    return sign


@pytest.fixture(scope="session")
def osslsigncode(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Verify:
    """Have osslsigncode verify a file's bytes and return what it printed, or raise AssertionError with it."""
    program = shutil.which("osslsigncode")
    if program is None:
        pytest.skip("osslsigncode is not installed: apt-get install osslsigncode")
    folder = tmp_path_factory.mktemp("osslsigncode")
    roots, crls = pki.write(folder)

    def verify(data: bytes) -> str:
        file = folder / "signed"
        file.write_bytes(data)
        return run(program, roots, crls, file)

    return verify


def run(program: str, roots: Path, crls: Path, file: Path) -> str:
    """Run `osslsigncode verify` with explicit roots and CRLs."""
    command = [program, "verify", "-CAfile", str(roots), "-TSA-CAfile", str(roots), "-CRLfile", str(crls)]
    done = subprocess.run([*command, "-in", str(file)], capture_output=True, timeout=120, check=False)
    printed = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
    assert done.returncode == 0, printed
    assert "MISMATCH" not in printed.upper(), printed
    return printed
