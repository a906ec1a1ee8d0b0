"""Timestamp tokens: built, read, checked; cross-checked with asn1crypto; every lie in a token is found."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from asn1crypto import cms as other_cms
from asn1crypto import tsp as other
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from sealwright.domain import oids
from sealwright.domain.errors import MalformedError, SealwrightError, VerificationError, WeakDigestError
from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm
from sealwright.structures import ber
from sealwright.structures.asn1 import explicit, octet_string, oid, sequence_of, tlv
from sealwright.structures.cms import SignerTemplate, attribute, load_certificate
from sealwright.structures.tsp import (
    SIGNING_CERTIFICATE,
    TimestampToken,
    TokenTemplate,
    check_timestamping_usage,
    check_token,
    read_token,
)
from sealwright.structures.tsp_messages import MAX_RESPONSE, TimestampRequest
from tests.unit.timestamping import pki

DIGEST = hashlib.sha256(b"program").digest()
REQUEST = TimestampRequest(DigestAlgorithm.SHA256, DIGEST, nonce=-5, certificates=True)
POLICY = oids.TSA_POLICY_UNPROVEN_CLOCK
SERIAL = 2**126 + 1
P256 = KeyAlgorithm.P256


def make(
    request: TimestampRequest = REQUEST,
    algorithm: KeyAlgorithm = P256,
    digest: DigestAlgorithm = DigestAlgorithm.SHA256,
    time: datetime = pki.NOW,
    accuracy: timedelta | None = None,
) -> bytes:
    template = TokenTemplate(pki.chain(algorithm), digest, algorithm, accuracy)
    info = template.info(request, POLICY, SERIAL, time)
    signed = template.signed_attributes(info, time)
    signature = pki.signing_key(algorithm).sign(hashlib.new(digest.value, signed).digest(), digest)
    return template.assemble(info, signed, signature, certificates=request.certificates)


def forge(
    info: bytes,
    *extra: bytes,
    content_type: str = oids.TST_INFO,
    signed_type: str | None = None,
    chain: tuple[bytes, ...] | None = None,
    content_digest: bytes | None = None,
) -> bytes:
    """Sign whatever content and attributes, as nobody honest would."""
    template = SignerTemplate(
        chain or pki.chain(P256), DigestAlgorithm.SHA256, P256, signed_type or content_type, version=3
    )
    signed = template.signed_attributes(content_digest or hashlib.sha256(info).digest(), *extra)
    signature = pki.signing_key(P256).sign(hashlib.sha256(signed).digest(), DigestAlgorithm.SHA256)
    encapsulated = sequence_of(oid(content_type), explicit(0, octet_string(info)))
    return template.assemble(encapsulated, signed, signature)


INFO = TokenTemplate(pki.chain(P256), DigestAlgorithm.SHA256, P256).info(REQUEST, POLICY, SERIAL, pki.NOW)


def binding(certificate: bytes | None = None, *after: bytes, name: str = "sha256", before: bytes = b"") -> bytes:
    digest = hashlib.new(name, certificate or pki.chain(P256)[0]).digest()
    value = sequence_of(sequence_of(sequence_of(before, octet_string(digest), *after)))
    return attribute(SIGNING_CERTIFICATE if name == "sha1" else oids.SIGNING_CERTIFICATE_V2, value)


@pytest.mark.parametrize("digest", DigestAlgorithm)
@pytest.mark.parametrize("algorithm", [KeyAlgorithm.RSA_3072, P256, KeyAlgorithm.P384])
def test_a_token_is_read_and_checked_as_it_was_made(algorithm: KeyAlgorithm, digest: DigestAlgorithm) -> None:
    data = make(algorithm=algorithm, digest=digest, accuracy=timedelta(seconds=1, milliseconds=20, microseconds=3))
    token = read_token(data)
    assert token.time == pki.NOW.replace(microsecond=0)
    assert (token.policy, token.serial, token.nonce, token.ordering) == (POLICY, SERIAL, -5, False)
    assert (token.algorithm, token.imprint, token.raw) == (DigestAlgorithm.SHA256, DIGEST, data)
    assert token.accuracy == timedelta(seconds=1, milliseconds=20, microseconds=3)
    assert set(token.certificates) == set(pki.chain(algorithm))
    certificate = check_token(token, DIGEST, DigestAlgorithm.SHA256, -5)
    assert certificate == token.certificate == load_certificate(pki.chain(algorithm)[0])


def test_asn1crypto_reads_the_token_as_we_do() -> None:
    content_info = other_cms.ContentInfo.load(make(accuracy=timedelta(milliseconds=500)), strict=True)
    signed_data = content_info["content"]
    assert (content_info["content_type"].native, signed_data["version"].native) == ("signed_data", "v3")
    info = signed_data["encap_content_info"]["content"].parsed
    assert isinstance(info, other.TSTInfo)
    native = info.native
    assert (native["version"], native["policy"], native["serial_number"]) == ("v1", POLICY, SERIAL)
    assert native["message_imprint"]["hashed_message"] == DIGEST
    assert native["gen_time"] == pki.NOW.replace(microsecond=0)
    assert native["accuracy"] == {"seconds": None, "millis": 500, "micros": None}
    assert (native["nonce"], native["ordering"], native["extensions"]) == (-5, False, None)
    signer = signed_data["signer_infos"][0]
    attributes = {item["type"].native: item["values"] for item in signer["signed_attrs"]}
    assert set(attributes) == {"content_type", "message_digest", "signing_time", "signing_certificate_v2"}
    assert attributes["content_type"].native == ["tst_info"]
    assert attributes["signing_time"].native == [pki.NOW.replace(microsecond=0)]
    essential = attributes["signing_certificate_v2"][0]["certs"][0]
    assert essential["hash_algorithm"]["algorithm"].native == "sha256"
    assert essential["cert_hash"].native == hashlib.sha256(pki.chain(P256)[0]).digest()
    assert signer["signed_attrs"].dump(force=True) == signer["signed_attrs"].dump()


def test_a_token_without_certificates_is_checked_with_the_one_at_hand() -> None:
    token = read_token(make(TimestampRequest(DigestAlgorithm.SHA256, DIGEST)))
    assert (token.certificate, token.certificates, token.nonce, token.accuracy) == (None, (), None, None)
    with pytest.raises(VerificationError, match="carries no certificate"):
        check_token(token, DIGEST, DigestAlgorithm.SHA256)
    certificate = load_certificate(pki.chain(P256)[0])
    assert check_token(token, DIGEST, DigestAlgorithm.SHA256, certificate=certificate) is certificate
    other_key = load_certificate(pki.chain(KeyAlgorithm.P384)[0])
    with pytest.raises(VerificationError, match="another certificate"):
        check_token(token, DIGEST, DigestAlgorithm.SHA256, certificate=other_key)


@pytest.mark.parametrize(("year", "tag"), [(2049, "UTCTime"), (2050, "GeneralizedTime")])
def test_the_signing_time_changes_its_type_in_2050(year: int, tag: str) -> None:
    time = datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC)
    content = other_cms.ContentInfo.load(make(time=time))["content"]
    attributes = {item["type"].native: item["values"] for item in content["signer_infos"][0]["signed_attrs"]}
    assert type(attributes["signing_time"][0].chosen).__name__ == tag
    assert attributes["signing_time"].native == [time]


@pytest.mark.parametrize(
    ("expected", "algorithm", "nonce", "words"),
    [
        (bytes(32), DigestAlgorithm.SHA256, None, "another digest"),
        (DIGEST, DigestAlgorithm.SHA512, None, "another digest"),
        (DIGEST, DigestAlgorithm.SHA256, 5, "nonce"),
    ],
)
def test_a_token_for_something_else_is_found_out(
    expected: bytes, algorithm: DigestAlgorithm, nonce: int | None, words: str
) -> None:
    with pytest.raises(VerificationError, match=words):
        check_token(read_token(make()), expected, algorithm, nonce)


def _check(data: bytes) -> x509.Certificate:
    return check_token(read_token(data), DIGEST, DigestAlgorithm.SHA256)


def test_the_older_and_the_longer_bindings_are_understood() -> None:
    leaf = load_certificate(pki.chain(P256)[0])
    names = sequence_of(explicit(4, leaf.issuer.public_bytes()))
    serial = sequence_of(names, tlv(ber.INTEGER, leaf.serial_number.to_bytes(21, "big").lstrip(b"\0")))
    if leaf.serial_number.bit_length() % 8 == 0:  # pragma: no cover - x509.random_serial_number has 159 bits
        pytest.skip("this serial number would need a leading zero")
    _check(forge(INFO, binding()))
    _check(forge(INFO, binding(None, serial)))
    _check(forge(INFO, binding(name="sha1")))
    _check(forge(INFO, binding(name="sha512", before=sequence_of(oid(oids.SHA512)))))


def _wrong_usage(**changes: object) -> bytes:
    leaf = pki.leaf(pki.private_key(P256).public_key(), **changes)  # type: ignore[arg-type] # the tests know them
    chain = pki.der(leaf, pki.intermediate())
    return forge(INFO, binding(chain[0]), chain=chain)


FORGERIES: dict[str, Callable[[], bytes]] = {
    "does not name": lambda: forge(INFO),
    "another certificate": lambda: forge(INFO, binding(b"other")),
    "another serial": lambda: forge(INFO, binding(None, sequence_of(sequence_of(), tlv(ber.INTEGER, b"\x05")))),
    r"digest 1\.2\.3": lambda: forge(INFO, binding(before=sequence_of(oid("1.2.3")))),
    "message digest": lambda: forge(INFO, binding(), content_digest=bytes(32)),
    "critically": lambda: _wrong_usage(critical=False),
    "timeStamping alone": lambda: _wrong_usage(
        purposes=(ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.CODE_SIGNING)
    ),
    "no extended key usage": lambda: _wrong_usage(purposes=()),
    "cannot be checked": lambda: forge(INFO, attribute(oids.SIGNING_CERTIFICATE_V2, octet_string(b""))),
}


@pytest.mark.parametrize("words", FORGERIES)
def test_a_forged_token_does_not_hold(words: str) -> None:
    with pytest.raises(VerificationError, match=words):
        _check(FORGERIES[words]())


def test_a_signed_content_type_of_something_else_does_not_hold() -> None:
    data = forge(INFO, binding(), content_type="1.2.840.113549.1.9.16.1.5")
    # The encapsulated type stands outside the signature; only the first of the two is changed.
    lie = data.replace(oid("1.2.840.113549.1.9.16.1.5"), oid(oids.TST_INFO), 1)
    with pytest.raises(VerificationError, match="signed content type"):
        _check(lie)


def test_a_changed_signature_or_time_does_not_hold() -> None:
    data = make()
    signature = read_token(data).signer.signature
    with pytest.raises(VerificationError, match="does not match the signed bytes"):
        _check(data.replace(signature, signature[:-1] + bytes([signature[-1] ^ 1])))
    with pytest.raises(VerificationError, match="message digest"):
        _check(data.replace(b"20261123103015Z", b"20261123103016Z"))


def _info(*fields: bytes, version: bytes = b"\x02\x01\x01", imprint: bytes | None = None) -> bytes:
    time = tlv(ber.GENERALIZED_TIME, b"20261123103015.5Z")
    return sequence_of(version, oid("1.2.3"), imprint or REQUEST.message_imprint(), b"\x02\x01\x07", time, *fields)


def test_optional_fields_of_tstinfo_are_read() -> None:
    accuracy = sequence_of(tlv(0x81, b"\x07"))
    token = read_token(forge(_info(accuracy, tlv(ber.BOOLEAN, b"\xff"))))
    assert (token.accuracy, token.ordering, token.nonce) == (timedelta(microseconds=7), True, None)
    assert token.time.microsecond == 500_000


@pytest.mark.parametrize(
    "info",
    [
        _info(version=b"\x02\x01\x02"),
        _info(sequence_of(tlv(0x80, b"\x03\xe8"))),
        _info(sequence_of(b"\x02\x01\xff")),
        b"",
    ],
)
def test_a_malformed_tstinfo_is_malformed(info: bytes) -> None:
    with pytest.raises(MalformedError):
        read_token(forge(info))


def test_what_is_no_token_is_malformed() -> None:
    with pytest.raises(MalformedError, match="not TSTInfo"):
        read_token(forge(INFO, content_type="1.2.840.113549.1.7.1"))
    with pytest.raises(MalformedError, match="longer"):
        read_token(bytes(MAX_RESPONSE + 1))
    data = make()
    signer = read_token(data).signer.element.raw
    with pytest.raises(MalformedError, match="exactly one signer"):
        read_token(_with_signers(data, signer, signer))


def _with_signers(data: bytes, *signers: bytes) -> bytes:
    body = ber.read(data).sequence()
    kind = body.take().raw
    fields = list(body.take().only_child().children())
    return sequence_of(kind, explicit(0, sequence_of(*(f.raw for f in fields[:-1]), tlv(ber.SET, *signers))))


def test_an_imprint_by_sha1_is_named_weak() -> None:
    imprint = sequence_of(sequence_of(oid("1.3.14.3.2.26")), octet_string(bytes(20)))
    with pytest.raises(WeakDigestError):
        read_token(forge(_info(imprint=imprint)))


def test_a_certificate_for_timestamps_alone_passes_the_usage_check() -> None:
    check_timestamping_usage(load_certificate(pki.chain(P256)[0]))


TOKEN = make()


@given(st.lists(st.tuples(st.integers(0, len(TOKEN) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_token_with_changed_bytes_never_lies_about_what_was_signed(changes: list[tuple[int, int]]) -> None:
    changed = bytearray(TOKEN)
    for place, value in changes:
        changed[place] = value
    try:
        token = read_token(bytes(changed))
        check_token(token, DIGEST, DigestAlgorithm.SHA256, -5)
    except SealwrightError:
        return
    assert _facts(token) == _facts(read_token(TOKEN))


def _facts(token: TimestampToken) -> tuple[object, ...]:
    return token.time, token.policy, token.imprint, token.serial, token.nonce, token.certificate


@given(st.binary(max_size=300) | st.integers(0, len(TOKEN)).map(lambda size: TOKEN[:size]))
def test_any_bytes_are_a_token_or_an_error_of_ours(data: bytes) -> None:
    try:
        read_token(data)
    except SealwrightError:
        return
    assert data == TOKEN
