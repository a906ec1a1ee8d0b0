from base64 import b64encode
from dataclasses import dataclass
from itertools import permutations

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from sealwright.domain.errors import (
    InvalidRequestError,
    MalformedError,
    UnauthenticatedError,
    UnsupportedError,
    VerificationError,
)
from sealwright.domain.messages import ProofOfRequest
from sealwright.structures import http_signatures as hs

NOW = 1_790_000_000
EC_KEY = ec.derive_private_key(7, ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))


def der(key: hs.PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def post(key: hs.PrivateKey = EC_KEY, body: bytes = b"{}", created: int = NOW) -> ProofOfRequest:
    algorithm, sign = hs.signer(key)
    fields = hs.sign_request(
        "POST", "localhost:8443", "/v1/signing-requests", "", body, "run-1", "ci", created, sign, algorithm
    )
    return ProofOfRequest(
        "POST",
        "localhost:8443",
        "/v1/signing-requests",
        body,
        fields["Idempotency-Key"],
        fields["Signature-Input"],
        fields["Signature"],
    )


def get(query: str = "") -> ProofOfRequest:
    algorithm, sign = hs.signer(EC_KEY)
    fields = hs.sign_request("GET", "localhost", "/v1/whoami", query, b"", "", "ci", NOW, sign, algorithm)
    target = f"/v1/whoami?{query}" if query else "/v1/whoami"
    return ProofOfRequest("GET", "localhost", target, b"", "", fields["Signature-Input"], fields["Signature"])


@pytest.mark.parametrize("key", [EC_KEY, ED_KEY])
def test_a_signed_post_passes(key: hs.PrivateKey) -> None:
    stated = hs.check(post(key), key.public_key(), NOW + 299, 300)
    assert (stated.key_id, stated.created, stated.algorithm) == ("ci", NOW, hs.signer(key)[0])
    assert len(stated.signature) == 64


@pytest.mark.parametrize("query", ["", "after=3&limit=10"])
def test_a_signed_get_passes(query: str) -> None:
    assert hs.check(get(query), EC_KEY.public_key(), NOW, 0).key_id == "ci"


def test_a_get_has_no_digest_and_no_idempotency_key() -> None:
    algorithm, sign = hs.signer(EC_KEY)
    fields = hs.sign_request("GET", "localhost", "/", "", b"", "", "ci", NOW, sign, algorithm)
    assert set(fields) == {"Signature-Input", "Signature"}


@pytest.mark.parametrize(
    "change",
    [
        {"body": b"{ }"},
        {"authority": "localhost:8444"},
        {"path": "/v1/signing-request"},
        {"idempotency_key": "run-2"},
        {"signature": "sig=:" + "A" * 86 + "==:"},
    ],
)
def test_a_changed_part_breaks_the_signature(change: dict[str, str | bytes]) -> None:
    proof = msgspec.structs.replace(post(), **change)
    with pytest.raises(UnauthenticatedError, match=hs.BAD_SIGNATURE):
        hs.check(proof, EC_KEY.public_key(), NOW, 300)


@pytest.mark.parametrize("path", ["/v1/whoami", "/v1/whoami?a=2", "/v1/whoami?", "/v1/whoamI?a=1"])
def test_a_changed_query_breaks_the_signature(path: str) -> None:
    proof = msgspec.structs.replace(get("a=1"), path=path)
    with pytest.raises(UnauthenticatedError, match=hs.BAD_SIGNATURE):
        hs.check(proof, EC_KEY.public_key(), NOW, 300)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"path": "/v1/signing-requests?x=1"}, "no query"),
        ({"path": "/a b"}, "path"),
        ({"path": "/a\n"}, "path"),
        ({"path": ""}, "path"),
        ({"path": "/a#b"}, "path"),
        ({"path": "/" + "a" * 2048}, "path"),
        ({"authority": "LOCALHOST:8443"}, "authority"),
        ({"authority": "localhost:8443\n"}, "authority"),
        ({"authority": ""}, "authority"),
        ({"idempotency_key": ""}, "idempotency key"),
        ({"idempotency_key": "a\nb"}, "idempotency key"),
        ({"idempotency_key": "a" * 129}, "idempotency key"),
        ({"method": "GET"}, "does not cover"),
        ({"method": "PUT"}, "does not cover"),
    ],
)
def test_a_request_outside_the_profile_is_refused(change: dict[str, str], why: str) -> None:
    with pytest.raises(UnauthenticatedError, match=why):
        hs.check(msgspec.structs.replace(post(), **change), EC_KEY.public_key(), NOW, 300)


@pytest.mark.parametrize("change", [{"body": b"x"}, {"idempotency_key": "run-1"}])
def test_a_get_with_uncovered_parts_is_refused(change: dict[str, str | bytes]) -> None:
    with pytest.raises(UnauthenticatedError, match="covers neither"):
        hs.check(msgspec.structs.replace(get(), **change), EC_KEY.public_key(), NOW, 300)


@pytest.mark.parametrize(("now", "word"), [(NOW + 301, "ago"), (NOW - 301, "ahead")])
def test_a_stale_or_early_request_is_refused(now: int, word: str) -> None:
    with pytest.raises(UnauthenticatedError, match=f"301 seconds {word}") as caught:
        hs.check(post(), EC_KEY.public_key(), now, 300)
    assert "clock" in caught.value.hint


def test_another_key_or_kind_of_key_is_refused() -> None:
    for key in (ec.derive_private_key(8, ec.SECP256R1()).public_key(), ED_KEY.public_key()):
        with pytest.raises(UnauthenticatedError, match=hs.BAD_SIGNATURE):
            hs.check(post(), key, NOW, 300)


@dataclass(frozen=True)
class Parts:
    covered: str = '("@method" "@authority" "@path" "content-digest" "idempotency-key")'
    parameters: tuple[str, ...] = (f"created={NOW}", 'keyid="ci"', 'alg="ecdsa-p256-sha256"', 'tag="sealwright-v1"')

    def text(self) -> str:
        return f"sig={self.covered};{';'.join(self.parameters)}"


def sign_parts(parts: Parts) -> ProofOfRequest:
    proof = msgspec.structs.replace(post(), signature_input=parts.text())
    base = hs._signature_base(
        proof.method, proof.authority, proof.path, proof.body, proof.idempotency_key, parts.text().removeprefix("sig=")
    )
    packed = b64encode(hs.signer(EC_KEY)[1](base)).decode()
    return msgspec.structs.replace(proof, signature=f"sig=:{packed}:")


def test_the_parameters_may_come_in_any_order() -> None:
    for order in permutations(Parts().parameters):
        assert hs.check(sign_parts(Parts(parameters=order)), EC_KEY.public_key(), NOW, 300).created == NOW


@pytest.mark.parametrize(
    "parts",
    [
        Parts(parameters=Parts().parameters[:3]),
        Parts(parameters=(*Parts().parameters, 'nonce="x"')),
        Parts(parameters=(*Parts().parameters, f"created={NOW}")),
        Parts(parameters=(*Parts().parameters[:3], 'keyid="other"')),
        Parts(parameters=(*Parts().parameters[:3], 'tag="other"')),
        Parts(parameters=(f"created={NOW}", 'keyid="CI"', 'alg="ecdsa-p256-sha256"', 'tag="sealwright-v1"')),
        Parts(parameters=(f"created={NOW}", 'keyid="ci"', 'alg="hmac-sha256"', 'tag="sealwright-v1"')),
        Parts(parameters=("created=01", 'keyid="ci"', 'alg="ed25519"', 'tag="sealwright-v1"')),
        Parts(covered='("@method" "@path" "content-digest" "idempotency-key")'),
        Parts(covered='("@method" "@path" "@authority" "content-digest" "idempotency-key")'),
        Parts(covered='("@method" "@authority" "@path" "@query")'),
        Parts(covered="()"),
    ],
)
def test_other_components_or_parameters_are_refused_though_signed(parts: Parts) -> None:
    with pytest.raises(UnauthenticatedError):
        hs.check(sign_parts(parts), EC_KEY.public_key(), NOW, 300)


@pytest.mark.parametrize(
    ("signature_input", "signature"),
    [
        ("", ""),
        ("x" * 513, ""),
        (Parts().text(), ""),
        (Parts().text(), "sig=:AAAA:"),
        (Parts().text(), "sig=:" + "A" * 86 + "==:, other=:AA==:"),
        (Parts().text() + ", other=()", "sig=:" + "A" * 86 + "==:"),
        (Parts().text() + "\n", "sig=:" + "A" * 86 + "==:"),
    ],
)
def test_malformed_fields_are_refused(signature_input: str, signature: str) -> None:
    with pytest.raises(UnauthenticatedError):
        hs.parse(signature_input, signature)


@given(st.text(), st.text())
def test_the_parser_only_fails_politely(signature_input: str, signature: str) -> None:
    for text in (signature_input, "sig=" + signature_input, Parts().text() + signature_input):
        with pytest.raises(UnauthenticatedError):
            hs.parse(text, signature)


@given(
    st.builds(
        ProofOfRequest,
        st.sampled_from(["GET", "POST", ""]),
        st.text(),
        st.text(),
        st.binary(),
        st.text(),
        st.just(Parts().text()),
        st.just("sig=:" + "A" * 86 + "==:"),
    )
)
def test_no_request_makes_the_check_fail_otherwise(proof: ProofOfRequest) -> None:
    with pytest.raises(UnauthenticatedError):
        hs.check(proof, EC_KEY.public_key(), NOW, 300)


@pytest.mark.parametrize(
    ("method", "key_id", "path"), [("PUT", "ci", "/"), ("POST", "C I", "/"), ("POST", "ci", "no-slash")]
)
def test_a_request_outside_the_profile_is_not_signed(method: str, key_id: str, path: str) -> None:
    algorithm, sign = hs.signer(EC_KEY)
    with pytest.raises(InvalidRequestError):
        hs.sign_request(method, "localhost", path, "", b"", "a", key_id, NOW, sign, algorithm)


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("LocalHost", 443, "localhost"),
        ("localhost", None, "localhost"),
        ("localhost", 8443, "localhost:8443"),
        ("::1", 8443, "[::1]:8443"),
        ("[::1]", None, "[::1]"),
    ],
)
def test_the_authority_is_normalised(host: str, port: int | None, expected: str) -> None:
    assert hs.authority_of(host, port) == expected


@pytest.mark.parametrize("key", [EC_KEY, ED_KEY])
def test_a_detached_signature_holds_for_its_bytes_only(key: hs.PrivateKey) -> None:
    signature = hs.signer(key)[1](hs.admin_bytes(b"{}"))
    hs.check_detached(der(key), signature, hs.admin_bytes(b"{}"))
    for bad_signature, data in (
        (signature, b"{}"),
        (signature[:-1], hs.admin_bytes(b"{}")),
        (bytes(64), hs.admin_bytes(b"{}")),
    ):
        with pytest.raises(VerificationError):
            hs.check_detached(der(key), bad_signature, data)


def test_an_administrative_request_is_no_signature_base() -> None:
    assert hs.admin_bytes(b'"@method": POST').startswith(b"sealwright admin v1\n")


def test_keys_of_other_kinds_are_unsupported() -> None:
    p384 = ec.derive_private_key(7, ec.SECP384R1())
    with pytest.raises(UnsupportedError):
        hs.signer(p384)
    rsa_key = rsa.generate_private_key(65537, 2048)
    for key in (p384, rsa_key):
        encoded = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        with pytest.raises(UnsupportedError):
            hs.load_public_key(encoded)


@given(st.binary())
def test_bytes_that_are_no_key_are_malformed(data: bytes) -> None:
    with pytest.raises((MalformedError, UnsupportedError)):
        hs.load_public_key(data)


def test_public_keys_are_loaded_once_within_the_capacity() -> None:
    keys = hs.PublicKeys(capacity=1)
    first = keys.load(der(EC_KEY))
    assert keys.load(der(EC_KEY)) is first
    keys.load(der(ED_KEY))
    assert keys.load(der(EC_KEY)) is not first
