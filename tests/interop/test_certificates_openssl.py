"""OpenSSL and the verifier of `cryptography` judge the certificates and CRLs of every profile."""

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import Criticality, ExtensionPolicy, Policy, PolicyBuilder, Store
from cryptography.x509.verification import VerificationError as ChainError

from sealwright.domain import oids
from sealwright.domain.keys import KeyAlgorithm
from sealwright.issuance.profiles import PROFILES, Profile
from sealwright.issuance.records import Revocation, RevocationReason
from sealwright.issuance.revocation import build_crl
from sealwright.structures.x509 import certificate_summary
from tests.unit.issuance.world import SERVICE, World

pytestmark = pytest.mark.foreign

LEAVES = [name for name, profile in PROFILES.items() if not profile.is_ca]
CA_KEYS = [KeyAlgorithm.P256, KeyAlgorithm.P384, KeyAlgorithm.RSA_4096]


class Published:
    """A hierarchy with a leaf of one profile, written to a folder as relying parties get it."""

    def __init__(self, folder: Path, name: str, algorithm: KeyAlgorithm = KeyAlgorithm.P256) -> None:
        self.folder = folder
        self.world = World(algorithm, audited=True)
        self.profile: Profile = PROFILES[name]
        self.leaf = self.world.leaf(name, SERVICE if self.profile.mark else None)
        self.issuer = self.world.issuer_for(self.profile)
        self.world.now += timedelta(minutes=1)
        self.write("root.pem", self.world.hierarchy.root.certificate)
        self.write("sub.pem", self.issuer.certificate)
        self.write("leaf.pem", self.leaf)
        self.publish()

    def write(self, name: str, certificate: x509.Certificate) -> None:
        (self.folder / name).write_bytes(certificate.public_bytes(Encoding.PEM))

    def publish(self, *revoked: Revocation) -> None:
        lists = [
            build_crl(self.world.hierarchy.root, [], 1, self.world.now),
            build_crl(self.issuer, revoked, 2, self.world.now),
        ]
        pem = (x509.load_der_x509_crl(der).public_bytes(Encoding.PEM) for der in lists)
        (self.folder / "crls.pem").write_bytes(b"".join(pem))

    def verify(self, *options: str) -> subprocess.CompletedProcess[str]:
        chain = ["-CAfile", "root.pem", "-untrusted", "sub.pem", "-crl_check_all", "-CRLfile", "crls.pem"]
        moment = ["-attime", str(int(self.world.now.timestamp())), "-x509_strict", "-no-CApath", "-no-CAstore"]
        return self.run("verify", *chain, *moment, *options, "leaf.pem")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["openssl", *arguments], cwd=self.folder, capture_output=True, text=True, check=False, timeout=60
        )


@pytest.mark.parametrize("name", LEAVES)
def test_openssl_accepts_the_chain_and_the_lists_of_every_profile(tmp_path: Path, name: str) -> None:
    published = Published(tmp_path, name)
    purpose = "timestampsign" if "timestamp" in name else "any"
    result = published.verify("-purpose", purpose)
    assert (result.returncode, result.stdout.strip()) == (0, "leaf.pem: OK"), result.stderr


@pytest.mark.parametrize("algorithm", CA_KEYS)
def test_openssl_accepts_every_kind_of_ca_key(tmp_path: Path, algorithm: KeyAlgorithm) -> None:
    result = Published(tmp_path, "private-code-signing", algorithm).verify("-purpose", "any")
    assert result.returncode == 0, result.stderr


def test_openssl_does_not_take_a_code_signing_certificate_for_a_timestamp_certificate(tmp_path: Path) -> None:
    result = Published(tmp_path, "code-signing").verify("-purpose", "timestampsign")
    assert result.returncode != 0
    assert "unsuitable certificate purpose" in result.stderr


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("code-signing", oids.CABF_CODE_SIGNING),
        ("code-signing", f"{oids.PROTECTION_POLICY}.3"),
        ("private-code-signing", f"{oids.PROTECTION_POLICY}.3"),
        ("timestamp", oids.CABF_TIMESTAMP),
    ],
)
def test_openssl_finds_the_policy_valid_through_the_chain(tmp_path: Path, name: str, policy: str) -> None:
    published = Published(tmp_path, name)
    demanded = ["-policy_check", "-explicit_policy", "-purpose", "any"]
    assert published.verify(*demanded, "-policy", policy).returncode == 0
    assert published.verify(*demanded, "-policy", oids.CABF_EV_CODE_SIGNING).returncode != 0


def test_openssl_reads_the_extensions_as_meant(tmp_path: Path) -> None:
    published = Published(tmp_path, "private-code-signing")
    text = published.run("x509", "-in", "leaf.pem", "-noout", "-text").stdout
    for line in (
        "Version: 3 (0x2)",
        "X509v3 Basic Constraints: critical",
        "X509v3 Key Usage: critical",
        "Code Signing",
        f"Policy: {oids.PROTECTION_POLICY}.3",
        "URI:http://pki.example.org/crl/code-signing.crl",
        "CA Issuers - URI:http://pki.example.org/ca/code-signing.cer",
        f"{oids.KEY_PROTECTION}:",
    ):
        assert line in text
    assert "critical" not in text.split(f"{oids.KEY_PROTECTION}:")[1].split("\n")[0]
    shown = published.run("x509", "-in", "leaf.pem", "-noout", "-serial", "-fingerprint", "-sha256").stdout
    summary = certificate_summary(published.leaf)
    assert summary["serial"] in shown.lower()
    assert summary["sha256"] in shown.lower().replace(":", "")


def test_openssl_sees_a_revocation(tmp_path: Path) -> None:
    published = Published(tmp_path, "private-code-signing")
    at = published.world.now - timedelta(seconds=30)
    published.publish(Revocation(published.leaf.serial_number, at, RevocationReason.KEY_COMPROMISE))
    result = published.verify()
    assert result.returncode != 0
    assert "certificate revoked" in result.stderr
    (tmp_path / "crl.der").write_bytes(build_crl(published.issuer, [Revocation(5, at)], 3, published.world.now))
    text = published.run("crl", "-inform", "DER", "-in", "crl.der", "-noout", "-text", "-CAfile", "sub.pem")
    assert "verify OK" in text.stderr
    assert "Invalidity Date" in text.stdout


@pytest.mark.parametrize("name", LEAVES)
def test_the_verifier_of_cryptography_accepts_every_profile(tmp_path: Path, name: str) -> None:
    published = Published(tmp_path, name)
    wanted = x509.ObjectIdentifier(published.profile.extended_key_usage or "")

    def has_usage(_policy: Policy, _certificate: x509.Certificate, usage: x509.ExtendedKeyUsage | None) -> None:
        if usage is None or list(usage) != [wanted]:
            raise ValueError("another extended key usage was expected")

    leaf_policy = ExtensionPolicy.permit_all().require_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, has_usage)
    ca_policy = (
        ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, Criticality.CRITICAL, None)
        .require_present(x509.KeyUsage, Criticality.CRITICAL, None)
        .require_present(x509.SubjectKeyIdentifier, Criticality.NON_CRITICAL, None)
    )
    builder = (
        PolicyBuilder()
        .store(Store([published.world.hierarchy.root.certificate]))
        .extension_policies(ca_policy=ca_policy, ee_policy=leaf_policy)
    )
    above = published.issuer.certificate
    verified = builder.time(published.world.now).build_client_verifier().verify(published.leaf, [above])
    assert verified.chain == [published.leaf, above, published.world.hierarchy.root.certificate]
    late = builder.time(published.leaf.not_valid_after_utc + timedelta(seconds=1)).build_client_verifier()
    with pytest.raises(ChainError):
        late.verify(published.leaf, [above])
