"""Requests signed by the one who asks: a narrow profile of RFC 9421 (HTTP Message Signatures) and RFC 9530.

One signature with the label `sig` and the tag `sealwright-v1`. What it covers is fixed by the method: a POST
covers method, authority, path, the SHA-256 of its body and its idempotency key; a GET covers method,
authority, path and query. Algorithms are ecdsa-p256-sha256 (r || s, 64 bytes, RFC 9421 section 3.3.4) and
ed25519 (section 3.3.6). Whoever checks builds the signature base itself from the parts of the request.

Administrative requests carry a detached signature of the same two kinds over `admin_bytes`.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from sealwright.domain.errors import (
    InvalidRequestError,
    MalformedError,
    UnauthenticatedError,
    UnsupportedError,
    VerificationError,
)
from sealwright.domain.messages import ProofOfRequest

PublicKey = EllipticCurvePublicKey | Ed25519PublicKey
PrivateKey = EllipticCurvePrivateKey | Ed25519PrivateKey

ECDSA_P256: Final = "ecdsa-p256-sha256"
ED25519: Final = "ed25519"
TAG: Final = "sealwright-v1"
BAD_SIGNATURE: Final = "the request's signature does not hold for the key that it names"

_COVERED: Final = {
    "POST": '("@method" "@authority" "@path" "content-digest" "idempotency-key")',
    "GET": '("@method" "@authority" "@path" "@query")',
}
_ADMIN_PREFIX: Final = b"sealwright admin v1\n"
_COORDINATE: Final = 32
_SIGNATURE_SIZE: Final = 64
_MAX_INPUT: Final = 512
_ECDSA: Final = ECDSA(SHA256())

# The parameters may come in any order. Four of them, and every group filled, means: each exactly once.
_INPUT: Final = re.compile(
    r"sig=(?P<covered>\([a-z\"@ -]{1,100}\))(?P<parameters>(?:"
    r";created=(?P<created>[1-9][0-9]{0,11})"
    r"|;keyid=\"(?P<key_id>[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?)\""
    r"|;alg=\"(?P<algorithm>ecdsa-p256-sha256|ed25519)\""
    r"|;tag=\"(?P<tag>sealwright-v1)\"){4})",
    re.ASCII,
)
_SIGNATURE: Final = re.compile(r"sig=:([A-Za-z0-9+/]{86}==):", re.ASCII)
_AUTHORITY: Final = re.compile(r"(?:[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::[1-9][0-9]{0,4})?", re.ASCII)
_TARGET: Final = re.compile(r"(/[!-\"$->@-~]{0,2047})(\?[!-\"$-~]{0,2047})?", re.ASCII)
_IDEMPOTENCY_KEY: Final = re.compile(r"[!-~]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class RequestSignature:
    """What the two signature fields of a request say, before anybody has believed it.

    `created` is in seconds since 1970; `covered` and `parameters` are the texts as they were sent.
    """

    key_id: str
    created: int
    algorithm: str
    signature: bytes
    covered: str
    parameters: str


def sign_request(  # noqa: PLR0913, PLR0917 - these are the covered components of RFC 9421 and the signer
    method: str,
    authority: str,
    path: str,
    query: str,
    body: bytes,
    idempotency_key: str,
    key_id: str,
    created: int,
    sign: Callable[[bytes], bytes],
    algorithm: str,
) -> dict[str, str]:
    """Return the header fields that prove a request: signature, its input, and what it covers beside them.

    `authority` is host and port as the service knows itself (see `authority_of`); `query` has no question mark;
    `created` is in seconds since 1970; `sign` returns the 64 bytes of RFC 9421 (see `signer`). Raises
    InvalidRequestError if the request has no place in the profile.
    """
    target = f"{path}?{query}" if query else path
    parameters = f';created={created};keyid="{key_id}";alg="{algorithm}";tag="{TAG}"'
    covered = _COVERED.get(method)
    signature_input = f"sig={covered}{parameters}"
    if covered is None or _INPUT.fullmatch(signature_input) is None:
        raise InvalidRequestError(f"a {method} request cannot be signed in the name of {key_id!r}")
    try:
        base = _signature_base(method, authority, target, body, idempotency_key, covered + parameters)
    except UnauthenticatedError as error:
        raise InvalidRequestError(error.detail, hint=error.hint) from None
    fields = {"Signature-Input": signature_input, "Signature": f"sig=:{b64encode(sign(base)).decode()}:"}
    if method == "POST":
        fields["Content-Digest"] = content_digest(body)
        fields["Idempotency-Key"] = idempotency_key
    return fields


def parse(signature_input: str, signature: str) -> RequestSignature:
    """Read the fields `Signature-Input` and `Signature`, or raise UnauthenticatedError."""
    if len(signature_input) > _MAX_INPUT:
        raise UnauthenticatedError("the field Signature-Input is too long")
    found = _INPUT.fullmatch(signature_input)
    if found is None:
        raise UnauthenticatedError(
            "the field Signature-Input is missing or not of the profile sealwright-v1",
            hint="sign with one signature labelled sig, and the parameters created, keyid, alg and tag",
        )
    covered, parameters, created, key_id, algorithm, tag = found.groups()
    if created is None or key_id is None or algorithm is None or tag is None:
        raise UnauthenticatedError("a parameter of Signature-Input is repeated, and another one missing")
    packed = _SIGNATURE.fullmatch(signature)
    if packed is None:
        raise UnauthenticatedError("the field Signature is missing or holds no signature of 64 bytes")
    return RequestSignature(key_id, int(created), algorithm, b64decode(packed[1]), covered, parameters)


def check(proof: ProofOfRequest, public_key: PublicKey, now: int, tolerance_seconds: int) -> RequestSignature:
    """Check that the key signed this very request no longer ago (or ahead) than the tolerance.

    `now` is in seconds since 1970. A GET's query stands in `proof.path`, after the question mark. Whether the
    key belongs to the key id, and the authority to this service, is for the caller to know. Raises
    UnauthenticatedError.
    """
    stated = parse(proof.signature_input, proof.signature)
    check_stated(stated, proof, public_key, now, tolerance_seconds)
    return stated


def check_stated(
    stated: RequestSignature, proof: ProofOfRequest, public_key: PublicKey, now: int, tolerance_seconds: int
) -> None:
    """Check as `check` does, where the fields of this proof were parsed before, to find the key."""
    if stated.covered != _COVERED.get(proof.method):
        raise UnauthenticatedError(
            "the signature does not cover what it must for this method",
            hint=f"a {proof.method} request covers {_COVERED.get(proof.method, 'nothing: use GET or POST')}",
        )
    if abs(now - stated.created) > tolerance_seconds:
        raise UnauthenticatedError(
            f"the request was signed {abs(now - stated.created)} seconds {'ago' if now > stated.created else 'ahead'}, "
            f"and {tolerance_seconds} are tolerated",
            hint="set the clock of the machine that signs requests",
        )
    base = _signature_base(
        proof.method,
        proof.authority,
        proof.path,
        proof.body,
        proof.idempotency_key,
        stated.covered + stated.parameters,
    )
    try:
        _verify(public_key, stated.algorithm, stated.signature, base)
    except InvalidSignature:
        raise UnauthenticatedError(BAD_SIGNATURE) from None


def content_digest(body: bytes) -> str:
    """Return the field Content-Digest with SHA-256 (RFC 9530 section 2)."""
    return f"sha-256=:{b64encode(sha256(body).digest()).decode()}:"


def authority_of(host: str, port: int | None = None) -> str:
    """Return the authority of an https address: lower case, the default port left out (RFC 9421 section 2.2.3)."""
    name = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return name.lower() if port in (None, 443) else f"{name.lower()}:{port}"


def admin_bytes(request: bytes) -> bytes:
    """Return what an administrator signs: the request in a domain that no HTTP signature base can reach."""
    return _ADMIN_PREFIX + request


def signer(private_key: PrivateKey) -> tuple[str, Callable[[bytes], bytes]]:
    """Return the algorithm's name and a function that signs with this key, for requests and detached signatures.

    Raises UnsupportedError for another curve than P-256.
    """
    if isinstance(private_key, Ed25519PrivateKey):
        return ED25519, private_key.sign
    if not isinstance(private_key.curve, SECP256R1):
        raise UnsupportedError("requests are signed with P-256 or Ed25519 keys")
    ecdsa_key = private_key

    def sign(data: bytes) -> bytes:
        r, s = decode_dss_signature(ecdsa_key.sign(data, _ECDSA))
        return r.to_bytes(_COORDINATE, "big") + s.to_bytes(_COORDINATE, "big")

    return ECDSA_P256, sign


def load_public_key(der: bytes) -> PublicKey:
    """Read a SubjectPublicKeyInfo (DER) that can check requests; raises MalformedError or UnsupportedError."""
    try:
        key = load_der_public_key(der)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise MalformedError("this is no public key in DER") from error
    if isinstance(key, Ed25519PublicKey) or (isinstance(key, EllipticCurvePublicKey) and key.curve.name == "secp256r1"):
        return key
    raise UnsupportedError("requests are signed with P-256 or Ed25519 keys")


def check_detached(public_key_der: bytes, signature: bytes, data: bytes) -> None:
    """Check a detached signature of 64 bytes (ECDSA P-256 as r || s, or Ed25519), or raise VerificationError.

    Raises MalformedError or UnsupportedError if the key is none that could have signed.
    """
    key = load_public_key(public_key_der)
    try:
        _verify(key, algorithm_of(key), signature, data)
    except InvalidSignature:
        raise VerificationError("the signature does not hold for this key and these bytes") from None


def algorithm_of(key: PublicKey) -> str:
    """Return the only algorithm that a key is used with."""
    return ED25519 if isinstance(key, Ed25519PublicKey) else ECDSA_P256


class PublicKeys:
    """The public keys that were loaded lately, so that parsing one (tens of microseconds) is paid once."""

    def __init__(self, capacity: int = 4096) -> None:
        self.load = lru_cache(capacity)(load_public_key)


def _signature_base(
    method: str, authority: str, target: str, body: bytes, idempotency_key: str, parameters: str
) -> bytes:
    """Build the signature base (RFC 9421 section 2.5), or raise UnauthenticatedError for what has no place in it."""
    path = _TARGET.fullmatch(target)
    if path is None:
        raise UnauthenticatedError("the request's path cannot be covered by a signature")
    if _AUTHORITY.fullmatch(authority) is None:
        raise UnauthenticatedError("the request's authority is no host name in lower case, with its port if it has one")
    head = f'"@method": {method}\n"@authority": {authority}\n"@path": {path[1]}\n'
    if method == "POST":
        if path[2] is not None:
            raise UnauthenticatedError("a POST request has no query: its signature would not cover it")
        if _IDEMPOTENCY_KEY.fullmatch(idempotency_key) is None:
            raise UnauthenticatedError("the idempotency key has not 1 to 128 visible ASCII characters")
        middle = f'"content-digest": {content_digest(body)}\n"idempotency-key": {idempotency_key}\n'
    else:
        if body or idempotency_key:
            raise UnauthenticatedError("a GET request has no body and no idempotency key: its signature covers neither")
        middle = f'"@query": {path[2] or "?"}\n'
    return f'{head}{middle}"@signature-params": {parameters}'.encode("ascii")


def _verify(key: PublicKey, algorithm: str, signature: bytes, data: bytes) -> None:
    """Check a signature of 64 bytes with a key of the algorithm's kind, or raise InvalidSignature."""
    if algorithm_of(key) != algorithm or len(signature) != _SIGNATURE_SIZE:
        raise InvalidSignature
    if isinstance(key, Ed25519PublicKey):
        key.verify(signature, data)
        return
    r = int.from_bytes(signature[:_COORDINATE], "big")
    s = int.from_bytes(signature[_COORDINATE:], "big")
    key.verify(encode_dss_signature(r, s), data, _ECDSA)
