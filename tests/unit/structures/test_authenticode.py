import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealwright.domain import oids
from sealwright.domain.errors import DigestLengthError, MalformedError, SealwrightError, WeakDigestError
from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm
from sealwright.structures import authenticode, ber, cms
from sealwright.structures.asn1 import explicit, null, octet_string, oid, sequence_of, tlv
from sealwright.structures.authenticode import IndirectData, IndirectDataTemplate, OpusInfo
from tests.pki import Identity, Pki

SHA256 = DigestAlgorithm.SHA256


@pytest.fixture(scope="module")
def identity() -> Identity:
    return Pki().leaves[KeyAlgorithm.P256]


def make(identity: Identity, digest: bytes, content_type: str = oids.SPC_INDIRECT_DATA) -> bytes:
    signer = cms.SignerTemplate(identity.chain, SHA256, identity.algorithm, content_type, version=1)
    content = IndirectDataTemplate(SHA256)
    attributes = signer.signed_attributes(content.content_digest(digest))
    encapsulated = content.encapsulated(digest)
    if content_type != oids.SPC_INDIRECT_DATA:
        encapsulated = sequence_of(oid(content_type), explicit(0, octet_string(digest)))
    return signer.assemble(encapsulated, attributes, b"signature")


@pytest.mark.parametrize("algorithm", DigestAlgorithm)
def test_the_indirect_data_is_read_again_and_hashed_by_its_value(algorithm: DigestAlgorithm) -> None:
    template = IndirectDataTemplate(algorithm)
    digest = bytes(range(algorithm.size))
    cursor = ber.read(template.encapsulated(digest)).sequence()
    assert cursor.take().oid() == oids.SPC_INDIRECT_DATA
    content = cursor.take(0xA0).only_child()
    assert authenticode.read_indirect_data(content) == IndirectData(oids.SPC_PE_IMAGE_DATA, algorithm, digest)
    assert template.content_digest(digest) == hashlib.new(algorithm.value, content.contents).digest()


def test_the_pe_image_data_is_the_one_of_microsofts_document() -> None:
    content = ber.read(IndirectDataTemplate(SHA256).encapsulated(bytes(32)))
    obsolete = "<<<Obsolete>>>".encode("utf-16-be")
    image = sequence_of(b"\x03\x01\x00", explicit(0, explicit(2, tlv(0x80, obsolete))))
    assert sequence_of(oid(oids.SPC_PE_IMAGE_DATA), image) in content.raw


def test_a_digest_of_another_length_is_refused() -> None:
    template = IndirectDataTemplate(SHA256)
    for use in (template.content_digest, template.encapsulated):
        with pytest.raises(DigestLengthError):
            use(bytes(20))


def test_a_weak_or_wrong_digest_in_a_signature_is_named() -> None:
    def content(identifier: str, digest: bytes) -> ber.Element:
        described = sequence_of(oid(oids.SPC_PE_IMAGE_DATA))
        return ber.read(sequence_of(described, sequence_of(sequence_of(oid(identifier), null()), octet_string(digest))))

    with pytest.raises(WeakDigestError):
        authenticode.read_indirect_data(content("1.3.14.3.2.26", bytes(20)))
    with pytest.raises(MalformedError):
        authenticode.read_indirect_data(content(oids.SHA256, bytes(20)))


@pytest.mark.parametrize("name", ["", "Prüfling", "程序"])
@pytest.mark.parametrize("url", ["", "https://example.test/"])
def test_name_and_address_of_a_program_are_read_again(name: str, url: str) -> None:
    assert authenticode.read_opus_info(authenticode.opus_info(name, url)) == OpusInfo(name or None, url or None)


def test_a_name_in_ascii_and_a_link_that_is_no_address_are_read_too() -> None:
    link = explicit(1, tlv(0xA2, tlv(0x80, b"\0x")))
    opus = sequence_of(explicit(0, tlv(0x81, b"Program")), link)
    assert authenticode.read_opus_info(opus) == OpusInfo("Program", None)


@pytest.mark.parametrize(
    "opus",
    [
        sequence_of(explicit(0, tlv(0x80, b"odd"))),
        sequence_of(explicit(0, tlv(0x81, b"\xff"))),
        sequence_of(explicit(0, tlv(0x82, b""))),
        sequence_of(explicit(0)),
        sequence_of(explicit(1, tlv(0x80, b"\xff"))),
    ],
)
def test_texts_in_a_wrong_encoding_are_malformed(opus: bytes) -> None:
    with pytest.raises(MalformedError):
        authenticode.read_opus_info(opus)


@given(noise=st.binary(max_size=40))
def test_noise_raises_nothing_but_our_errors(noise: bytes) -> None:
    for data in (noise, sequence_of(noise), sequence_of(explicit(0, noise))):
        try:
            authenticode.read_opus_info(data)
            authenticode.read_indirect_data(ber.read(data))
        except SealwrightError:
            pass


def test_nested_signatures_are_found_in_the_outer_one(identity: Identity) -> None:
    outer, first, second = (make(identity, bytes([number]) * 32) for number in range(3))
    assert authenticode.nested_signatures(outer) == ()
    nested = authenticode.nest(authenticode.nest(outer, first + bytes(5)), second)
    assert sorted(authenticode.nested_signatures(nested)) == sorted((first, second))


def test_more_than_sixteen_nested_signatures_are_malformed(identity: Identity) -> None:
    outer = make(identity, bytes(32))
    signed = cms.with_unsigned(outer, oids.SPC_NESTED_SIGNATURE, null())
    for _ in range(16):
        signed = cms.with_unsigned(signed, oids.SPC_NESTED_SIGNATURE, null())
    with pytest.raises(MalformedError, match="16"):
        authenticode.nested_signatures(signed)


def test_only_signatures_of_indirect_data_are_authenticode(identity: Identity) -> None:
    signature = make(identity, bytes(32))
    assert authenticode.check_signature(signature + bytes(8)) == signature
    with pytest.raises(MalformedError, match="another kind"):
        authenticode.check_signature(make(identity, bytes(32), oids.TST_INFO))
