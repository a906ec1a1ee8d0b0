"""Signing requests as face and key holder both read them: body, digests, proof, and what policies see."""

import re
from hashlib import sha256
from typing import Final

import msgspec
from msgspec.structs import replace

from sealwright.domain.errors import InvalidRequestError, TooLargeError, UnauthenticatedError
from sealwright.domain.keys import DigestAlgorithm
from sealwright.domain.messages import ProofOfRequest, SigningRequestBody

MAX_ARTIFACTS = 1_000
MAX_BODY = 512 * 1024
PATH: Final = "/v1/signing-requests"
"""The path that principals sign with their signing requests: what they sign for another one is none."""

_HEX: Final = re.compile(r"[0-9A-Fa-f]*", re.ASCII)
_decode_body = msgspec.json.Decoder(SigningRequestBody).decode


def read_body(body: bytes) -> SigningRequestBody:
    """Read the body of a signing request within its limits. Raises InvalidRequestError, TooLargeError."""
    if len(body) > MAX_BODY:
        raise TooLargeError(f"a signing request has at most {MAX_BODY} bytes")
    try:
        request = _decode_body(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"the signing request cannot be read: {error}") from None
    if not 0 < len(request.artifacts) <= MAX_ARTIFACTS:
        raise InvalidRequestError(f"a signing request has 1 to {MAX_ARTIFACTS} artifacts")
    return request


def read_digests(request: SigningRequestBody) -> tuple[DigestAlgorithm, tuple[bytes, ...]]:
    """Read the digests of a request. Raises WeakDigestError, DigestLengthError, InvalidRequestError."""
    algorithm = DigestAlgorithm.named(request.digest_algorithm)
    texts = [artifact.digest for artifact in request.artifacts]
    if _HEX.fullmatch("".join(texts)) is None:  # `fromhex` would pass over white space
        raise InvalidRequestError("a digest is not hexadecimal")
    try:
        digests = tuple([bytes.fromhex(text) for text in texts])
    except ValueError:  # an odd number of digits
        raise InvalidRequestError("a digest is not hexadecimal") from None
    for digest in digests:
        algorithm.check(digest)
    return algorithm, digests


def check_target(proof: ProofOfRequest) -> None:
    """Refuse a request that was signed for another act of the interface. Raises UnauthenticatedError."""
    if proof.method != "POST" or proof.path != PATH:
        raise UnauthenticatedError("the request was not signed as a signing request", hint=f"sign POST {PATH}")


def proof_sha256(proof: ProofOfRequest) -> bytes:
    """Hash a proof of request as it is named in the log and kept in the evidence store."""
    return sha256(msgspec.msgpack.encode(proof)).digest()


def statement_sha256(proof: ProofOfRequest) -> bytes:
    """Hash what the principal's key signed, without the signature: the same for every form of one proof.

    A signature can be written in several ways by anybody: ECDSA's s may be negated, and base64 has spare bits.
    """
    return proof_sha256(replace(proof, signature=""))


def decision_context(request: SigningRequestBody) -> dict[str, object]:
    """Return what policies can look at in a signing request, the same for `request` and for `sign`."""
    return {
        "scheme": request.scheme,
        "input": request.input,
        "digest_algorithm": DigestAlgorithm.named(request.digest_algorithm).value,
        "count": len(request.artifacts),
    }
