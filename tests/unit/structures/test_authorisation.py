import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from sealwright.domain.errors import MalformedError, SealwrightError, UnsupportedError, VerificationError
from sealwright.domain.keys import Module, Operator, Protection
from sealwright.domain.messages import Authorisation, AuthorisationEnvelope
from sealwright.structures.authorisation import CONTEXT, open_authorisation, sign_authorisation

OFFICER = ec.generate_private_key(ec.SECP256R1())


def public(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def sign(message: bytes) -> bytes:
    return OFFICER.sign(message, ec.ECDSA(hashes.SHA256()))


def signed(encoded: bytes) -> AuthorisationEnvelope:
    return AuthorisationEnvelope(encoded, "officer", sign(CONTEXT + encoded))


AUTHORISATION = Authorisation(
    "a-1",
    "private-code-signing",
    {"CN": "Ünïcode GmbH"},
    Protection(Operator.THIRD_PARTY, Operator.CA, Module.CLOUD_HSM),
    "2026-12-01T00:00:00Z",
    "ab" * 32,
    validity_days=90,
)


def test_what_was_signed_is_read_back() -> None:
    envelope = sign_authorisation(AUTHORISATION, "officer", sign)
    assert envelope.officer == "officer"
    assert open_authorisation(envelope, public(OFFICER)) == AUTHORISATION


def test_another_key_or_text_is_refused() -> None:
    envelope = sign_authorisation(AUTHORISATION, "officer", sign)
    with pytest.raises(VerificationError):
        open_authorisation(envelope, public(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(VerificationError):
        open_authorisation(
            msgspec.structs.replace(envelope, authorisation=envelope.authorisation + b" "), public(OFFICER)
        )
    with pytest.raises(UnsupportedError, match="P-256"):
        open_authorisation(envelope, public(ec.generate_private_key(ec.SECP384R1())))
    with pytest.raises(MalformedError):
        open_authorisation(envelope, b"no key")


@pytest.mark.parametrize("place", ["top", "protection"])
def test_unknown_fields_are_refused_wherever_they_stand(place: str) -> None:
    plain = msgspec.to_builtins(AUTHORISATION)
    (plain if place == "top" else plain["protection"])["also"] = 1
    with pytest.raises(MalformedError, match="unknown fields: also"):
        open_authorisation(signed(msgspec.json.encode(plain)), public(OFFICER))


@pytest.mark.parametrize(
    "changes",
    [
        {"standing": "yes"},
        {"validity_days": 1.5},
        {"subject": {"CN": 1}},
        {"protection": {"operator": 9}},
        {"id": None},
    ],
)
def test_wrong_types_are_refused(changes: dict[str, object]) -> None:
    plain = {**msgspec.to_builtins(AUTHORISATION), **changes}
    with pytest.raises(MalformedError, match="no authorisation"):
        open_authorisation(signed(msgspec.json.encode(plain)), public(OFFICER))


def test_a_gigantic_authorisation_is_refused_before_anything_else() -> None:
    with pytest.raises(MalformedError, match="at most"):
        open_authorisation(AuthorisationEnvelope(b" " * 20_000, "officer", b""), b"")


def test_deep_nesting_is_an_error_of_ours() -> None:
    deep = b'{"x":' + b"[" * 8_000 + b"]" * 8_000 + b"}"
    with pytest.raises(MalformedError):
        open_authorisation(signed(deep), public(OFFICER))


@given(st.binary(max_size=200))
def test_any_bytes_give_an_authorisation_or_an_error_of_ours(data: bytes) -> None:
    with pytest.raises(SealwrightError):
        open_authorisation(signed(data), public(OFFICER))
    with pytest.raises(SealwrightError):
        open_authorisation(AuthorisationEnvelope(data, "officer", data), public(OFFICER))
