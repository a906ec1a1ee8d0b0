"""For each rule a certificate that breaks it, and no other: the rule meant is the one that finds it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from sealwright.domain import oids
from sealwright.domain.keys import KeyAlgorithm, Module, Operator, Protection
from sealwright.issuance.profiles import PRIVATE_CODE_SIGNING, PROFILES, Profile
from sealwright.issuance.rules import RULES, Case, lint
from sealwright.structures.protection import key_protection_extension
from tests.unit.issuance.world import NOW, SERVICE, SOFTWARE, World, private_key

WORLD = World()
AUDITED = World(audited=True)
KEY_PROTECTION = x509.ObjectIdentifier(oids.KEY_PROTECTION)


def case_of(world: World, name: str, protection: Protection | None) -> Case:
    profile = PROFILES[name]
    if not profile.is_ca:
        certificate = world.leaf(name, protection)
        parent = world.issuer_for(profile).certificate
        return Case(profile, certificate, parent, protection, None, world is AUDITED, NOW)
    issuers = {"root": world.hierarchy.root, "code-signing-ca": world.hierarchy.code_signing}
    made = issuers.get(name, world.hierarchy.timestamp).certificate
    above = None if name == "root" else world.hierarchy.root.certificate
    return Case(profile, made, above, None, None, world is AUDITED, NOW)


def found(case: Case) -> list[str]:
    return [finding.code for finding in lint(case)]


@pytest.mark.parametrize("name", PROFILES)
def test_no_rule_objects_to_what_a_profile_makes(name: str) -> None:
    protection = SERVICE if PROFILES[name].mark else None
    assert found(case_of(AUDITED, name, protection)) == []


@dataclass
class Forge:
    """Takes a good certificate apart and puts it together again with one fault."""

    case: Case
    extensions: dict[x509.ObjectIdentifier, tuple[x509.ExtensionType, bool]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        good = self.case.certificate
        self.extensions = {e.oid: (e.value, e.critical) for e in good.extensions}
        self.subject, self.issuer = good.subject, good.issuer
        self.serial = good.serial_number
        self.begin, self.end = good.not_valid_before_utc, good.not_valid_after_utc
        self.key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey = private_key(
            KeyAlgorithm.P256, "subscriber"
        ).public_key()

    def put(self, value: x509.ExtensionType, *, critical: bool = False) -> None:
        self.extensions[value.oid] = value, critical

    def flip(self, kind: type[x509.ExtensionType]) -> None:
        value, critical = self.extensions[kind.oid]
        self.extensions[kind.oid] = value, not critical

    def drop(self, kind: type[x509.ExtensionType]) -> None:
        del self.extensions[kind.oid]

    def names(self, *extra: tuple[x509.ObjectIdentifier, str]) -> None:
        self.subject = x509.Name([*self.subject, *(x509.NameAttribute(oid, text) for oid, text in extra)])

    def finish(self) -> Case:
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(self.issuer)
            .public_key(self.key)
            .serial_number(self.serial)
            .not_valid_before(self.begin)
            .not_valid_after(self.end)
        )
        for value, critical in self.extensions.values():
            builder = builder.add_extension(value, critical)
        certificate = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
        return replace(self.case, certificate=certificate)


def usage(*wanted: str) -> x509.KeyUsage:
    bits = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"]
    bits += ["key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
    return x509.KeyUsage(**{bit: bit in wanted for bit in bits})


def eku(*dotted: str) -> x509.ExtendedKeyUsage:
    return x509.ExtendedKeyUsage([x509.ObjectIdentifier(text) for text in dotted])


def identifiers(*dotted: str) -> x509.CertificatePolicies:
    return x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(text), None) for text in dotted])


def uri(*addresses: str) -> x509.CRLDistributionPoints:
    names = [x509.UniformResourceIdentifier(address) for address in addresses]
    return x509.CRLDistributionPoints([x509.DistributionPoint([name], None, None, None) for name in names])


def mark(protection: Protection) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(KEY_PROTECTION, key_protection_extension(protection))


def set_key(forge: Forge, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
    forge.key = key.public_key()


def small_factor(forge: Forge) -> None:
    number = 751 * (1 << 3062) + 751  # 3,072 bits, and odd
    forge.key = rsa.RSAPublicNumbers(65537, number).public_key()


def long_ago(forge: Forge) -> None:
    forge.begin -= timedelta(days=1)
    forge.end = forge.begin + timedelta(days=9)


SOFTWARE_POLICY = f"{oids.PROTECTION_POLICY}.4"
FAULTS: Mapping[str, tuple[str, Callable[[Forge], object]]] = {
    "a short serial": ("serial", lambda f: setattr(f, "serial", 1 << 60)),
    "an RSA key of 2,048 bits": ("key", lambda f: set_key(f, rsa.generate_private_key(65537, 2048))),
    "an RSA exponent of 3": ("key", lambda f: set_key(f, rsa.generate_private_key(3, 3072))),
    "a small factor": ("key", small_factor),
    "an unknown curve": ("key", lambda f: set_key(f, ec.generate_private_key(ec.SECP256K1()))),
    "461 days": ("validity", lambda f: setattr(f, "end", f.begin + timedelta(days=461, seconds=-1))),
    "an extra second": ("validity", lambda f: setattr(f, "end", f.begin + timedelta(days=460))),
    "a future begin": ("validity", lambda f: setattr(f, "begin", f.begin + timedelta(days=1))),
    "a begin long ago": ("validity", long_ago),
    "an organisational unit": ("subject", lambda f: f.names((NameOID.ORGANIZATIONAL_UNIT_NAME, "x"))),
    "a name twice": ("subject", lambda f: f.names((NameOID.COMMON_NAME, "Another"))),
    "an unknown country": (
        "subject",
        lambda f: setattr(
            f,
            "subject",
            x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "UK"), x509.NameAttribute(NameOID.COMMON_NAME, "x")]),
        ),
    ),
    "another issuer": (
        "issuer",
        lambda f: setattr(f, "issuer", x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Somebody")])),
    ),
    "a leaf that is a CA": (
        "basic-constraints",
        lambda f: f.put(x509.BasicConstraints(ca=True, path_length=None), critical=True),
    ),
    "no basic constraints": ("basic-constraints", lambda f: f.drop(x509.BasicConstraints)),
    "certificate signing": (
        "key-usage",
        lambda f: f.put(usage("digital_signature", "key_cert_sign"), critical=True),
    ),
    "non-repudiation": (
        "key-usage",
        lambda f: f.put(usage("digital_signature", "content_commitment"), critical=True),
    ),
    "key usage not critical": ("key-usage", lambda f: f.flip(x509.KeyUsage)),
    "no key usage": ("key-usage", lambda f: f.drop(x509.KeyUsage)),
    "TLS servers": ("extended-key-usage", lambda f: f.put(eku(oids.EKU_CODE_SIGNING, "1.3.6.1.5.5.7.3.1"))),
    "lifetime signing": ("extended-key-usage", lambda f: f.put(eku(oids.EKU_CODE_SIGNING, oids.EKU_LIFETIME_SIGNING))),
    "no extended key usage": ("extended-key-usage", lambda f: f.drop(x509.ExtendedKeyUsage)),
    "a critical extended key usage": ("extended-key-usage", lambda f: f.flip(x509.ExtendedKeyUsage)),
    "no policies": ("policies", lambda f: f.drop(x509.CertificatePolicies)),
    "another model's policy": ("policies", lambda f: f.put(identifiers(f"{oids.PROTECTION_POLICY}.3"))),
    "any policy": ("policies", lambda f: f.put(identifiers("2.5.29.32.0"))),
    "no CRL": ("pointers", lambda f: f.drop(x509.CRLDistributionPoints)),
    "no address of the issuer": ("pointers", lambda f: f.drop(x509.AuthorityInformationAccess)),
    "a CRL over TLS": ("pointers", lambda f: f.put(uri("https://pki.example.org/crl"))),
    "two CRLs": ("pointers", lambda f: f.put(uri("http://a/crl", "http://b/crl"))),
    "no subject key identifier": ("key-identifiers", lambda f: f.drop(x509.SubjectKeyIdentifier)),
    "no authority key identifier": ("key-identifiers", lambda f: f.drop(x509.AuthorityKeyIdentifier)),
    "another authority key": (
        "key-identifiers",
        lambda f: f.put(x509.AuthorityKeyIdentifier(bytes(20), None, None)),
    ),
    "an unknown extension": (
        "nothing-else",
        lambda f: f.put(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0")),
    ),
    "critical policies": ("nothing-else", lambda f: f.flip(x509.CertificatePolicies)),
    "no mark": ("mark", lambda f: f.extensions.pop(KEY_PROTECTION)),
    "a mark that says more": ("mark", lambda f: f.put(mark(SERVICE))),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_by_the_rule_meant(fault: str) -> None:
    rule, spoil = FAULTS[fault]
    forge = Forge(case_of(WORLD, "private-code-signing", SOFTWARE))
    spoil(forge)
    assert found(forge.finish()) == [rule]


def test_every_rule_that_a_certificate_can_break_is_broken_by_one() -> None:
    elsewhere = {"version", "within-parent", "reserved-policy"}  # tested below, or out of reach of a builder
    assert {rule.code for rule in RULES} == {rule for rule, _ in FAULTS.values()} | elsewhere


def test_an_unknown_issuing_policy_is_found_beside_a_reserved_identifier() -> None:
    forge = Forge(case_of(WORLD, "private-code-signing", SOFTWARE))
    forge.put(identifiers(oids.CABF_CODE_SIGNING, SOFTWARE_POLICY))
    assert found(forge.finish()) == ["policies", "reserved-policy"]
    good = case_of(AUDITED, "code-signing", SERVICE)
    assert found(replace(good, audited=False)) == ["reserved-policy"]
    assert found(replace(good, protection=SOFTWARE)) == ["policies", "reserved-policy", "mark"]


def test_a_ca_needs_a_stronger_key_than_a_leaf() -> None:
    forge = Forge(case_of(WORLD, "code-signing-ca", None))
    forge.key = private_key(KeyAlgorithm.RSA_3072, "subscriber").public_key()
    [finding] = lint(forge.finish())
    assert (finding.code, finding.section) == ("key", "CSBR 6.1.5, 6.1.6")
    assert "rsa-3072 is too weak" in finding.detail


def test_a_timestamp_certificate_needs_its_usage_critical() -> None:
    forge = Forge(case_of(WORLD, "private-timestamp", SOFTWARE))
    forge.flip(x509.ExtendedKeyUsage)
    assert found(forge.finish()) == ["extended-key-usage"]


def test_a_root_points_nowhere_and_is_long_enough() -> None:
    forge = Forge(case_of(WORLD, "root", None))
    forge.put(uri("http://pki.example.org/crl"))
    assert found(forge.finish()) == ["pointers", "nothing-else"]
    other = Protection(Operator.CA, Operator.CA, Module.HSM)
    assert found(replace(case_of(WORLD, "root", None), protection=other)) == []


def test_the_version_and_the_ca_above_are_judged() -> None:
    class FirstVersion:
        version = x509.Version.v1

    [version] = [rule for rule in RULES if rule.code == "version"]
    good = case_of(WORLD, "private-code-signing", SOFTWARE)
    assert "version 3" in version.judge(replace(good, certificate=FirstVersion()))  # type: ignore[arg-type] # a stand-in
    assert found(replace(good, now=WORLD.hierarchy.code_signing.certificate.not_valid_after_utc)) != []
    short = Forge(case_of(WORLD, "code-signing-ca", None))
    short.end = good.certificate.not_valid_after_utc - timedelta(days=1)
    assert found(replace(good, parent=short.finish().certificate)) == ["within-parent"]


def test_a_case_of_another_profile_is_seen_as_such() -> None:
    def judged(profile: Profile) -> list[str]:
        return found(replace(case_of(WORLD, "private-code-signing", SOFTWARE), profile=profile))

    assert judged(PRIVATE_CODE_SIGNING) == []
    assert judged(PROFILES["code-signing"]) == ["policies"]
    assert "extended-key-usage" in judged(PROFILES["private-timestamp"])
    assert "validity" in judged(PROFILES["ephemeral-code-signing"])
