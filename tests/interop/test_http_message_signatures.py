"""The `http-message-signatures` package (another implementation of RFC 9421) judges ours, and we judge its."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, algorithms
from http_message_signatures.exceptions import InvalidSignature
from http_message_signatures.resolvers import MappingKeyResolver

from sealwright.domain.messages import ProofOfRequest
from sealwright.structures import http_signatures as hs

EC_KEY = ec.derive_private_key(7, ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
KEYS = [(EC_KEY, algorithms.ECDSA_P256_SHA256), (ED_KEY, algorithms.ED25519)]
COVERED = {
    "POST": ("@method", "@authority", "@path", "content-digest", "idempotency-key"),
    "GET": ("@method", "@authority", "@path", "@query"),
}


@dataclass
class Message:
    method: str
    url: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


MESSAGES = [
    ("POST", "https://localhost:8443/v1/signing-requests", b'{"key":"k"}', "run-1"),
    ("GET", "https://localhost/v1/keys?after=3", b"", ""),
    ("GET", "https://localhost/v1/whoami", b"", ""),
]


def resolver(key: hs.PrivateKey) -> MappingKeyResolver:
    return MappingKeyResolver(public_keys={"ci": key.public_key()}, private_keys={"ci": key})


@pytest.mark.parametrize(("key", "algorithm"), KEYS)
@pytest.mark.parametrize(("method", "url", "body", "idempotency_key"), MESSAGES)
def test_it_verifies_what_we_sign(
    key: hs.PrivateKey,
    algorithm: type[algorithms.HTTPSignatureAlgorithm],
    method: str,
    url: str,
    body: bytes,
    idempotency_key: str,
) -> None:
    parts = urlsplit(url)
    name, sign = hs.signer(key)
    now = int(datetime.now(UTC).timestamp())
    authority = hs.authority_of(parts.hostname or "", parts.port)
    fields = hs.sign_request(method, authority, parts.path, parts.query, body, idempotency_key, "ci", now, sign, name)
    message = Message(method, url, body, dict(fields))
    verifier = HTTPMessageVerifier(signature_algorithm=algorithm, key_resolver=resolver(key))
    results = verifier.verify(message, max_age=timedelta(minutes=5), expect_tag=hs.TAG, expect_label="sig")
    assert len(results) == 1
    message.headers["Signature-Input"] = fields["Signature-Input"].replace(str(now), str(now - 1))
    with pytest.raises(InvalidSignature):
        verifier.verify(message, max_age=timedelta(minutes=5), expect_tag=hs.TAG, expect_label="sig")


@pytest.mark.parametrize(("key", "algorithm"), KEYS)
@pytest.mark.parametrize(("method", "url", "body", "idempotency_key"), MESSAGES)
def test_we_verify_what_it_signs(
    key: hs.PrivateKey,
    algorithm: type[algorithms.HTTPSignatureAlgorithm],
    method: str,
    url: str,
    body: bytes,
    idempotency_key: str,
) -> None:
    now = datetime.now(UTC)
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    message = Message(method, url, body, headers)
    HTTPMessageSigner(signature_algorithm=algorithm, key_resolver=resolver(key)).sign(
        message,
        key_id="ci",
        created=now,
        label="sig",
        tag=hs.TAG,
        covered_component_ids=COVERED[method],
        body=body if method == "POST" else None,
    )
    parts = urlsplit(url)
    proof = ProofOfRequest(
        method,
        hs.authority_of(parts.hostname or "", parts.port),
        f"{parts.path}?{parts.query}" if parts.query else parts.path,
        body,
        idempotency_key,
        message.headers["Signature-Input"],
        message.headers["Signature"],
    )
    assert hs.check(proof, key.public_key(), int(now.timestamp()), 300).key_id == "ci"
