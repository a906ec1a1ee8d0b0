"""Signing requests as face and key holder both read them: body, digests, proof, and what policies see."""

from hashlib import sha256

import msgspec

from sealwright.contracts import ProofOfRequest, SigningRequestBody
from sealwright.domain.errors import InvalidRequestError, TooLargeError
from sealwright.domain.keys import DigestAlgorithm

MAX_ARTIFACTS = 1_000
MAX_BODY = 512 * 1024

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
    try:
        digests = tuple(algorithm.check(bytes.fromhex(artifact.digest)) for artifact in request.artifacts)
    except ValueError:
        raise InvalidRequestError("a digest is not hexadecimal") from None
    return algorithm, digests


def proof_sha256(proof: ProofOfRequest) -> bytes:
    """Hash a proof of request as it is named in the log and kept in the evidence store."""
    return sha256(msgspec.msgpack.encode(proof)).digest()


def decision_context(request: SigningRequestBody) -> dict[str, object]:
    """Return what policies can look at in a signing request, the same for `request` and for `sign`."""
    return {
        "scheme": request.scheme,
        "input": request.input,
        "digest_algorithm": request.digest_algorithm,
        "count": len(request.artifacts),
    }
