"""A registration officer's signed word (contracts.AuthorisationEnvelope): written by the officer, read by the CA.

The signature is ECDSA P-256 with SHA-256, as a DER SEQUENCE, over a line that says what is signed, followed by
the authorisation's bytes. What was signed is kept as it came; nothing is encoded again to be checked.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Final

import msgspec

from sealwright.domain.errors import MalformedError, UnsupportedError
from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm, Protection
from sealwright.domain.messages import Authorisation, AuthorisationEnvelope
from sealwright.structures.x509 import key_algorithm, load_public_key, verify_by_key

CONTEXT: Final = b"sealwright authorisation v1\n"
_MAX_AUTHORISATION = 16_384
_FIELDS = frozenset(Authorisation.__struct_fields__)
_PROTECTION_FIELDS = frozenset(field.name for field in fields(Protection))


def sign_authorisation(
    authorisation: Authorisation, officer: str, sign: Callable[[bytes], bytes]
) -> AuthorisationEnvelope:
    """Sign an authorisation: `sign` takes the whole message and returns ECDSA P-256 with SHA-256 over it, in DER."""
    encoded = msgspec.json.encode(authorisation)
    return AuthorisationEnvelope(encoded, officer, sign(CONTEXT + encoded))


def open_authorisation(envelope: AuthorisationEnvelope, officer_key: bytes) -> Authorisation:
    """Check the officer's signature, then read the authorisation strictly: no unknown field, no wrong type.

    `officer_key` is SubjectPublicKeyInfo in DER. Raises VerificationError for a signature that does not hold,
    MalformedError for contents that are not an authorisation, UnsupportedError for an officer's key of another kind.
    """
    if len(envelope.authorisation) > _MAX_AUTHORISATION:
        raise MalformedError(f"an authorisation has at most {_MAX_AUTHORISATION} bytes")
    if key_algorithm(load_public_key(officer_key)) is not KeyAlgorithm.P256:
        raise UnsupportedError("officers sign with P-256 keys")
    signed = CONTEXT + envelope.authorisation
    verify_by_key(officer_key, envelope.signature, signed, DigestAlgorithm.SHA256)
    return _decode(envelope.authorisation)


def _decode(encoded: bytes) -> Authorisation:
    try:
        # Read twice: typed, and as it stands, because a field unknown to the types must not pass unseen.
        authorisation = msgspec.json.decode(encoded, type=Authorisation)
        plain = msgspec.json.decode(encoded)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedError(f"this is no authorisation: {error}") from None
    unknown = (set(plain) - _FIELDS) | (set(plain["protection"]) - _PROTECTION_FIELDS)
    if unknown:
        raise MalformedError(f"the authorisation has unknown fields: {', '.join(sorted(unknown))}")
    return authorisation
