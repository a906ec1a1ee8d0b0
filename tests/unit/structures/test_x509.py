from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from sealwright.domain.errors import InvalidRequestError, MalformedError, UnsupportedError, VerificationError
from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm
from sealwright.structures.x509 import (
    build_name,
    certificate_summary,
    crl_urls,
    extended_key_usages,
    issuer_urls,
    key_algorithm,
    key_description,
    load_public_key,
    policies,
    public_key_of,
    spki_sha256,
    subject_key_identifier,
    verify_by_key,
)
from tests.pki import Pki, new_key

PKI = Pki(datetime(2026, 11, 23, 12, 0, tzinfo=UTC))
LEAF = PKI.leaves[KeyAlgorithm.P256].certificate
RSA_LEAF = PKI.leaves[KeyAlgorithm.RSA_3072].certificate
RELATIVE = x509.DistributionPoint(
    None,
    x509.RelativeDistinguishedName([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")]),
    None,
    None,
)


def spki(key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def self_signed(*extensions: x509.ExtensionType) -> x509.Certificate:
    key = ed25519.Ed25519PrivateKey.generate()
    name = build_name({"CN": "x"})
    builder = x509.CertificateBuilder(name, name, key.public_key(), 0xABC)
    builder = builder.not_valid_before(PKI.now).not_valid_after(PKI.now + timedelta(days=1))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, None)


def test_a_name_is_built_from_the_country_to_the_common_name() -> None:
    name = build_name({"CN": "Jansen", "O": "Jansen B.V.", "L": "Utrecht", "ST": "Utrecht", "C": "NL"})
    assert [attribute.rfc4514_attribute_name for attribute in name] == ["C", "ST", "L", "O", "CN"]
    assert name.rfc4514_string() == "CN=Jansen,O=Jansen B.V.,L=Utrecht,ST=Utrecht,C=NL"


@pytest.mark.parametrize("fields", [{"OU": "x"}, {"CN": ""}, {"C": "NLD"}, {"CN": "x" * 65}, {"CN": "\ud800"}])
def test_a_name_that_cannot_be_written_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(InvalidRequestError):
        build_name(fields)


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.P256, KeyAlgorithm.P384, KeyAlgorithm.P521, KeyAlgorithm.RSA_3072])
def test_our_key_types_are_told_apart_and_their_signatures_checked(algorithm: KeyAlgorithm) -> None:
    key = new_key(algorithm)
    public = load_public_key(spki(key))
    assert key_algorithm(public) is algorithm
    assert key_description(public) == algorithm.value


@pytest.mark.parametrize("leaf", [KeyAlgorithm.P256, KeyAlgorithm.RSA_3072])
def test_a_signature_is_checked_against_a_public_key(leaf: KeyAlgorithm) -> None:
    identity = PKI.leaves[leaf]
    signature = identity.sign(sha256(b"data").digest(), DigestAlgorithm.SHA256)
    public = public_key_of(identity.certificate)
    verify_by_key(public, signature, b"data", DigestAlgorithm.SHA256)
    for wrong in ((signature, b"date"), (signature[:-1], b"data"), (b"", b"data")):
        with pytest.raises(VerificationError):
            verify_by_key(public, *wrong, DigestAlgorithm.SHA256)
    with pytest.raises(VerificationError):
        verify_by_key(public, signature, b"data", DigestAlgorithm.SHA384)


def test_other_keys_are_named_and_refused() -> None:
    edwards = spki(ed25519.Ed25519PrivateKey.generate())
    assert key_description(load_public_key(edwards)) == "ed25519"
    assert key_description(rsa.generate_private_key(65537, 2048).public_key()) == "rsa-2048"
    assert key_description(ec.generate_private_key(ec.SECP256K1()).public_key()) == "secp256k1"
    with pytest.raises(UnsupportedError, match="ed25519") as caught:
        key_algorithm(load_public_key(edwards))
    assert "p-256" in caught.value.hint
    with pytest.raises(UnsupportedError, match="ed25519"):
        verify_by_key(edwards, b"", b"", DigestAlgorithm.SHA256)
    with pytest.raises(MalformedError, match="longer"):
        load_public_key(bytes(10_000))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_key_or_an_error_of_ours(data: bytes) -> None:
    with pytest.raises(MalformedError):
        load_public_key(data)


def test_what_a_certificate_says_is_read() -> None:
    assert extended_key_usages(LEAF) == (ExtendedKeyUsageOID.CODE_SIGNING.dotted_string,)
    assert len(crl_urls(LEAF)) == 1
    assert issuer_urls(LEAF) == policies(LEAF) == ()
    assert subject_key_identifier(LEAF) == b""
    assert len(subject_key_identifier(PKI.root.certificate)) == 20
    assert spki_sha256(public_key_of(LEAF)) == sha256(spki(PKI.leaves[KeyAlgorithm.P256].key)).hexdigest()


def test_addresses_of_other_kinds_are_passed_over() -> None:
    directory = x509.DirectoryName(build_name({"CN": "x"}))
    uri = x509.UniformResourceIdentifier("http://a/ca")
    access = [
        x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://a/ocsp")),
        x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, directory),
        x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, uri),
    ]
    crl = x509.DistributionPoint([directory, x509.UniformResourceIdentifier("http://a/crl")], None, None, None)
    certificate = self_signed(x509.AuthorityInformationAccess(access), x509.CRLDistributionPoints([RELATIVE, crl]))
    assert issuer_urls(certificate) == ("http://a/ca",)
    assert crl_urls(certificate) == ("http://a/crl",)


def test_a_summary_shows_any_certificate() -> None:
    summary = certificate_summary(RSA_LEAF)
    assert summary == {
        "subject": "CN=Test Publisher,O=Sealwright Tests,C=NL",
        "issuer": "CN=Test Code Signing CA,O=Sealwright Tests,C=NL",
        "serial": f"{RSA_LEAF.serial_number:x}",
        "sha256": RSA_LEAF.fingerprint(hashes.SHA256()).hex(),
        "not_before": "2026-11-22T12:00:00Z",
        "not_after": "2027-11-23T12:00:00Z",
        "policies": [],
        "key_algorithm": "rsa-3072",
    }
    own = self_signed(x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("2.25.1"), None)]))
    assert certificate_summary(own)["policies"] == ["2.25.1"]
    assert certificate_summary(own)["key_algorithm"] == "ed25519"
    assert certificate_summary(own)["serial"] == "abc"


def test_a_key_or_extension_that_cannot_be_read_is_an_error_of_ours() -> None:
    good = self_signed(x509.SubjectKeyIdentifier(bytes(20))).public_bytes(Encoding.DER)
    unknown_key = good.replace(bytes.fromhex("06032b6570032100"), bytes.fromhex("06032b6579032100"))
    certificate = x509.load_der_x509_certificate(unknown_key)
    assert certificate_summary(certificate)["key_algorithm"] == "unknown"
    with pytest.raises(MalformedError, match="public key"):
        public_key_of(certificate)
    broken = good.replace(bytes.fromhex("0603551d0e0416"), bytes.fromhex("0603551d200416"))
    with pytest.raises(MalformedError, match="extensions"):
        policies(x509.load_der_x509_certificate(broken))
