import hashlib
from collections.abc import Mapping

import pytest
from asn1crypto import cms as other
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from sealwright.domain import oids
from sealwright.domain.errors import DigestLengthError, InvalidRequestError
from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm, Module, Operator, Protection
from sealwright.domain.messages import SignerContext
from sealwright.schemes.authenticode import Authenticode, PreparedAuthenticode
from sealwright.structures import authenticode, cms
from sealwright.structures.protection import SignatureProtection, read_signature_protection
from tests.pki import Identity, Pki

SHA256 = DigestAlgorithm.SHA256
DIGEST, INTENT = hashlib.sha256(b"file").digest(), hashlib.sha256(b"intent").digest()
HOSTED = Protection(operator=Operator.THIRD_PARTY, generated_by=Operator.THIRD_PARTY, module=Module.HSM)


@pytest.fixture(scope="module")
def identity() -> Identity:
    return Pki().leaves[KeyAlgorithm.P256]


def prepare(
    identity: Identity, parameters: Mapping[str, str] | None = None, *, ephemeral: bool = False, file: bool = False
) -> PreparedAuthenticode:
    context = SignerContext(
        chain=identity.chain,
        key_algorithm=identity.algorithm,
        protection=HOSTED,
        ephemeral=ephemeral,
        file_model=file,
    )
    return Authenticode().prepare(context, SHA256, parameters or {})


def sign(identity: Identity, prepared: PreparedAuthenticode) -> bytes:
    signed = prepared.to_be_signed(DIGEST, INTENT)
    return prepared.assemble(DIGEST, signed, identity.sign(hashlib.sha256(signed).digest(), SHA256))


def test_the_signature_binds_digest_program_and_mark(identity: Identity) -> None:
    prepared = prepare(identity, {"program_name": "Prüfling", "program_url": "https://example.test/"})
    read = cms.read_signed_data(sign(identity, prepared))
    (signer,) = read.signers
    assert read.content is not None
    assert authenticode.read_indirect_data(read.content).digest == DIGEST
    assert set(signer.signed) == {
        oids.CONTENT_TYPE,
        oids.MESSAGE_DIGEST,
        oids.SPC_STATEMENT_TYPE,
        oids.SPC_SP_OPUS_INFO,
        oids.SIGNATURE_PROTECTION,
    }
    opus = authenticode.read_opus_info(signer.signed[oids.SPC_SP_OPUS_INFO][0])
    assert opus == authenticode.OpusInfo("Prüfling", "https://example.test/")
    public = identity.key.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(signer.signature, signer.signed_bytes(), ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize(("ephemeral", "lifetime"), [(False, "persistent"), (True, "ephemeral")])
@pytest.mark.parametrize(("file", "model"), [(False, "digest"), (True, "file")])
def test_the_mark_says_how_this_signature_was_made(
    identity: Identity, lifetime: str, model: str, *, ephemeral: bool, file: bool
) -> None:
    read = cms.read_signed_data(sign(identity, prepare(identity, ephemeral=ephemeral, file=file)))
    (mark,) = read.signers[0].signed[oids.SIGNATURE_PROTECTION]
    assert read_signature_protection(mark) == SignatureProtection("signing-service", lifetime, model, INTENT)


def test_asn1crypto_reads_the_signature_as_pkcs7(identity: Identity) -> None:
    signature = sign(identity, prepare(identity))
    info = other.ContentInfo.load(signature, strict=True)
    data = info["content"]
    content = data["encap_content_info"]
    assert info["content_type"].native == "signed_data"
    assert data["version"].native == "v1"
    assert content["content_type"].dotted == oids.SPC_INDIRECT_DATA
    (signer,) = data["signer_infos"]
    attributes = {item["type"].dotted: item["values"] for item in signer["signed_attrs"]}
    assert attributes[oids.CONTENT_TYPE][0].dotted == oids.SPC_INDIRECT_DATA
    value = content["content"].parsed.contents
    assert attributes[oids.MESSAGE_DIGEST][0].native == hashlib.sha256(value).digest()
    assert signer["sid"].chosen["serial_number"].native == identity.certificate.serial_number
    ordered = [item.dump() for item in signer["signed_attrs"]]
    assert ordered == sorted(ordered)
    assert info.dump(force=True) == signature


@given(name=st.text(max_size=256), url=st.text(max_size=60).map(lambda text: f"https://example.test/{text}"))
def test_parameters_are_refused_or_come_out_as_they_went_in(name: str, url: str, identity: Identity) -> None:
    try:
        prepared = prepare(identity, {"program_name": name, "program_url": url})
    except InvalidRequestError:
        return
    (opus,) = cms.read_signed_data(sign(identity, prepared)).signers[0].signed[oids.SPC_SP_OPUS_INFO]
    assert authenticode.read_opus_info(opus) == authenticode.OpusInfo(name or None, url)


@pytest.mark.parametrize(
    "parameters",
    [
        {"program": "x"},
        {"program_name": "x" * 257},
        {"program_name": "line\nbreak"},
        {"program_name": "\ud800"},
        {"program_name": "rocket \U0001f680"},
        {"program_name": 5},
        {"program_url": "https://example.test/" + "x" * 1004},
        {"program_url": "ftp://example.test/"},
        {"program_url": "javascript:alert(1)"},
        {"program_url": "https://"},
        {"program_url": "https:///path"},
        {"program_url": "https://example.test/ü"},
        {"program_url": "https://example.test/\n"},
    ],
)
def test_a_parameter_out_of_bounds_is_refused(parameters: dict[str, str], identity: Identity) -> None:
    with pytest.raises(InvalidRequestError):
        prepare(identity, parameters)


def test_an_unknown_parameter_is_named_beside_the_known_ones(identity: Identity) -> None:
    with pytest.raises(InvalidRequestError, match="'title'") as caught:
        prepare(identity, {"title": "x"})
    assert "program_name" in caught.value.hint


def test_a_digest_or_intent_of_another_length_is_refused(identity: Identity) -> None:
    prepared = prepare(identity)
    with pytest.raises(DigestLengthError):
        prepared.to_be_signed(bytes(20), INTENT)
    with pytest.raises(InvalidRequestError):
        prepared.to_be_signed(DIGEST, bytes(20))
    with pytest.raises(DigestLengthError):
        prepared.assemble(bytes(48), b"1", b"signature")


def test_the_scheme_builds_what_it_signs() -> None:
    assert (Authenticode.name, Authenticode.blind) == ("authenticode", False)
