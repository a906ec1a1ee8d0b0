import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from asn1crypto import cms as other
from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from sealwright.domain import oids
from sealwright.domain.errors import MalformedError, SealwrightError, UnsupportedError, WeakDigestError
from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm
from sealwright.structures import ber, cms
from sealwright.structures.asn1 import explicit, null, octet_string, oid, sequence_of, set_of, tlv
from tests.pki import Identity, Pki

SHA256 = DigestAlgorithm.SHA256
CONTENT = octet_string(b"what is signed")
MORE = "1.2.3.4"
PRIVATE = "1.2.3.9"  # a content type that asn1crypto leaves alone


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki(datetime.now(UTC))


@pytest.fixture(scope="module")
def signed(pki: Pki) -> bytes:
    return make(pki.leaves[KeyAlgorithm.P256])


def make(
    identity: Identity, algorithm: DigestAlgorithm = SHA256, unsigned: Sequence[bytes] = (), *, embed: bool = True
) -> bytes:
    template = cms.SignerTemplate(identity.chain, algorithm, identity.algorithm, PRIVATE, version=3, embed=embed)
    digest = hashlib.new(algorithm.value, b"what is signed").digest()
    attributes = template.signed_attributes(digest, cms.attribute(MORE, null()))
    signature = identity.sign(hashlib.new(algorithm.value, attributes).digest(), algorithm)
    encapsulated = sequence_of(oid(PRIVATE), explicit(0, CONTENT))
    return template.assemble(encapsulated, attributes, signature, unsigned)


@pytest.mark.parametrize("embed", [True, False])
@pytest.mark.parametrize("size", [0, 1, 60, 127, 128, 200, 255, 256, 65_400, 70_000])
def test_parts_of_any_size_stand_in_lengths_that_fit(size: int, embed: bool, pki: Pki) -> None:
    identity = pki.leaves[KeyAlgorithm.P256]
    template = cms.SignerTemplate(identity.chain, SHA256, identity.algorithm, PRIVATE, version=3, embed=embed)
    attributes = template.signed_attributes(bytes(32), cms.attribute(MORE, octet_string(bytes(size))))
    encapsulated = sequence_of(oid(PRIVATE), explicit(0, octet_string(bytes(size))))
    for unsigned in ((), (cms.attribute(MORE, octet_string(bytes(size))), cms.attribute(PRIVATE, null()))):
        whole = template.assemble(encapsulated, attributes, b"s" * (size or 70), unsigned)
        assert other.ContentInfo.load(whole, strict=True).dump(force=True) == whole
        read = cms.read_signed_data(whole)
        assert read.signers[0].signed_bytes() == attributes
        assert read.signers[0].signature == b"s" * (size or 70)
        assert len(read.signers[0].unsigned) == len(unsigned)


@pytest.mark.parametrize("algorithm", DigestAlgorithm)
@pytest.mark.parametrize("key", [KeyAlgorithm.P256, KeyAlgorithm.RSA_3072, KeyAlgorithm.P384])
def test_what_was_built_is_read_again_and_its_signature_holds(
    key: KeyAlgorithm, algorithm: DigestAlgorithm, pki: Pki
) -> None:
    read = cms.read_signed_data(make(pki.leaves[key], algorithm))
    (signer,) = read.signers
    assert read.content_type == PRIVATE
    assert read.content is not None
    assert read.content.raw == CONTENT
    assert signer.digest is algorithm
    digest = cms.content_digest(read.content, algorithm)
    assert signer.one(signer.signed, oids.MESSAGE_DIGEST) == octet_string(digest)
    assert signer.one(signer.signed, oids.SIGNING_TIME) is None
    certificate = read.certificate_of(signer)
    assert certificate == pki.leaves[key].certificate
    public = certificate.public_key()
    chosen = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}[algorithm.value]
    if isinstance(public, rsa.RSAPublicKey):
        public.verify(signer.signature, signer.signed_bytes(), padding.PKCS1v15(), chosen)
        assert signer.signature_oid == oids.RSA_ENCRYPTION
    else:
        assert isinstance(public, ec.EllipticCurvePublicKey)
        public.verify(signer.signature, signer.signed_bytes(), ec.ECDSA(chosen))


def test_asn1crypto_reads_the_same_fields(signed: bytes, pki: Pki) -> None:
    info = other.ContentInfo.load(signed, strict=True)
    data = info["content"]
    assert info["content_type"].native == "signed_data"
    assert data["version"].native == "v3"
    assert data["encap_content_info"]["content_type"].dotted == PRIVATE
    (signer,) = data["signer_infos"]
    assert signer["version"].native == "v1"
    assert signer["digest_algorithm"]["algorithm"].native == "sha256"
    assert signer["signature_algorithm"]["algorithm"].native == "sha256_ecdsa"
    leaf = pki.leaves[KeyAlgorithm.P256].certificate
    assert signer["sid"].chosen["serial_number"].native == leaf.serial_number
    assert [item["type"].native for item in signer["signed_attrs"]] == [MORE, "content_type", "message_digest"]
    assert len(data["certificates"]) == 2
    assert info.dump(force=True) == signed


def test_a_negative_or_large_serial_number_keeps_its_sign() -> None:
    assert [cms.integer(value) for value in (0, 127, 128, 255, 256, 2**64)] == [
        core.Integer(value).dump() for value in (0, 127, 128, 255, 256, 2**64)
    ]


def test_certificates_may_be_left_out_and_then_none_is_found(pki: Pki) -> None:
    read = cms.read_signed_data(make(pki.leaves[KeyAlgorithm.P256], embed=False))
    assert read.certificates == ()
    with pytest.raises(MalformedError, match="not embedded"):
        read.certificate_of(read.signers[0])


def test_zeros_may_follow(signed: bytes) -> None:
    assert cms.read_signed_data(signed + bytes(7)).raw == signed


def test_ber_with_indefinite_lengths_gives_the_same_values(signed: bytes) -> None:
    outer = ber.read(signed)
    indefinite = b"\x30\x80" + outer.contents + b"\0\0"
    assert cms.read_signed_data(indefinite).raw == signed


def test_an_unsigned_attribute_is_added_and_nothing_else_changes(signed: bytes) -> None:
    once = cms.with_unsigned(signed + bytes(3), MORE, octet_string(b"one"))
    twice = cms.with_unsigned(once, MORE, octet_string(b"two"))
    thrice = cms.with_unsigned(twice, "1.2.3.5", null())
    before, after = cms.read_signed_data(signed), cms.read_signed_data(thrice)
    signer = after.signers[0]
    assert signer.unsigned == {MORE: (octet_string(b"one"), octet_string(b"two")), "1.2.3.5": (null(),)}
    assert signer.signed_bytes() == before.signers[0].signed_bytes()
    assert signer.signature == before.signers[0].signature
    assert after.certificates == before.certificates
    info = other.ContentInfo.load(thrice, strict=True)
    assert info.dump(force=True) == thrice
    with pytest.raises(MalformedError, match="one value"):
        signer.one(signer.unsigned, MORE)


def test_unsigned_attributes_given_when_assembling_are_read(pki: Pki) -> None:
    data = make(pki.leaves[KeyAlgorithm.P256], unsigned=(cms.attribute(MORE, null()),))
    assert cms.read_signed_data(data).signers[0].unsigned == {MORE: (null(),)}


def rebuilt(signed: bytes, *, signers: bytes | None = None, certificates: bytes | None = None) -> bytes:
    """Return the SignedData with its set of signers, or its certificates, replaced."""
    fields = list(ber.read(signed).sequence().rest()[1].only_child().children())
    parts = [field.raw for field in fields]
    if certificates is not None:
        parts[3] = certificates
    if signers is not None:
        parts[4] = signers
    return sequence_of(oid(oids.SIGNED_DATA), explicit(0, sequence_of(*parts)))


def signer_with(signed: bytes, index: int, part: bytes) -> bytes:
    signer = cms.read_signed_data(signed).signers[0].element
    parts = [field.raw for field in signer.children()]
    parts[index] = part
    return rebuilt(signed, signers=set_of(sequence_of(*parts)))


def test_sha1_is_read_but_named_weak(signed: bytes) -> None:
    (signer,) = cms.read_signed_data(signer_with(signed, 2, sequence_of(oid("1.3.14.3.2.26"), null()))).signers
    with pytest.raises(WeakDigestError):
        _ = signer.digest


def test_a_signer_without_signed_attributes_has_no_bytes_that_we_verify(signed: bytes) -> None:
    (signer,) = cms.read_signed_data(signer_with(signed, 3, b"")).signers
    assert signer.signed == {}
    with pytest.raises(UnsupportedError):
        signer.signed_bytes()


def test_a_signer_named_by_key_identifier_is_unsupported(signed: bytes) -> None:
    with pytest.raises(UnsupportedError):
        cms.read_signed_data(signer_with(signed, 1, tlv(0x80, b"identifier")))


def test_a_repeated_attribute_is_malformed(signed: bytes) -> None:
    twice = tlv(0xA0, cms.attribute(MORE, null()), cms.attribute(MORE, null()))
    with pytest.raises(MalformedError, match="twice"):
        cms.read_signed_data(signer_with(signed, 3, twice))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: rebuilt(data, signers=set_of()),
        lambda data: rebuilt(data, signers=tlv(0x31, cms.read_signed_data(data).signers[0].element.raw * 17)),
        lambda data: rebuilt(data, certificates=tlv(0xA0, sequence_of() * 65)),
        lambda _: sequence_of(oid(PRIVATE), explicit(0, null())),
        lambda data: data[:-1],
        lambda _: b"",
    ],
    ids=["no signer", "17 signers", "65 certificates", "another type", "cut off", "empty"],
)
def test_what_is_no_signed_data_of_ours_is_malformed(change: Callable[[bytes], bytes], signed: bytes) -> None:
    with pytest.raises(MalformedError):
        cms.read_signed_data(change(signed))


def test_a_revocation_list_beside_the_certificates_is_passed_over(signed: bytes) -> None:
    certificates = ber.read(signed).sequence().rest()[1].only_child().sequence().rest()[3].raw
    read = cms.read_signed_data(rebuilt(signed, certificates=certificates + tlv(0xA1)))
    assert len(read.certificates) == 2


@given(flips=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 7)), min_size=1, max_size=4))
def test_flipped_bits_raise_nothing_but_our_errors(flips: list[tuple[int, int]], signed: bytes) -> None:
    damaged = bytearray(signed)
    for position, bit in flips:
        damaged[position % len(damaged)] ^= 1 << bit
    try:
        read = cms.read_signed_data(bytes(damaged))
        cms.with_unsigned(bytes(damaged), MORE, null())
        for signer in read.signers:
            read.certificate_of(signer)
    except SealwrightError:
        pass


def test_a_certificate_whose_serial_number_is_not_positive_is_malformed(pki: Pki) -> None:
    identity = pki.leaves[KeyAlgorithm.P256]
    serial = cms.integer(identity.certificate.serial_number)
    assert serial in identity.chain[0]
    with pytest.raises(MalformedError, match="not positive"):
        cms.load_certificate(identity.chain[0].replace(serial, serial[:2] + b"\xff" + serial[3:]))


@given(data=st.data())
def test_a_damaged_certificate_is_malformed_or_a_certificate(data: st.DataObject, pki: Pki) -> None:
    der = bytearray(pki.leaves[KeyAlgorithm.P256].chain[0])
    for _ in range(data.draw(st.integers(1, 3))):
        der[data.draw(st.integers(0, len(der) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with suppress(MalformedError):
        assert isinstance(cms.load_certificate(bytes(der)), x509.Certificate)
