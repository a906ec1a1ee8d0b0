"""The principal's own key signs each request (RFC 9421): a proof that third parties can check again."""

from collections.abc import Callable, Collection
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sealwright.contracts import Clock
from sealwright.domain.errors import MalformedError, UnauthenticatedError, UnsupportedError
from sealwright.domain.messages import PrincipalView, ProofOfRequest
from sealwright.structures import http_signatures
from sealwright.structures.http_signatures import ED25519, PublicKey, PublicKeys, RequestSignature

TOLERANCE_SECONDS: Final = 300

# Public keys of nobody, so that an unknown principal costs as much effort as a known one: the base points of
# P-256 (SP 800-186 section 3.2.1.3, uncompressed) and of edwards25519 (RFC 8032 section 5.1).
_NOBODY_P256: Final = bytes.fromhex(
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)
_NOBODY_ED25519: Final = bytes.fromhex("58" + "66" * 31)


class RequestKeyAuthenticator:
    """Tells who signed a request, from the principals that `lookup` finds by name.

    `authorities` are the names (host, and port if it is not 443) under which this service is asked; a request
    that was signed for another service is refused. With none, every name is accepted. `tolerance_seconds` is how
    far the signer's clock may be from ours, either way.
    """

    def __init__(
        self,
        lookup: Callable[[str], PrincipalView | None],
        clock: Clock,
        *,
        authorities: Collection[str] = (),
        tolerance_seconds: int = TOLERANCE_SECONDS,
        capacity: int = 4096,
    ) -> None:
        self._lookup = lookup
        self._clock = clock
        self._authorities = frozenset(authorities)
        self._tolerance = tolerance_seconds
        self._keys = PublicKeys(capacity)
        self._nobody: dict[str, PublicKey] = {
            http_signatures.ECDSA_P256: EllipticCurvePublicKey.from_encoded_point(SECP256R1(), _NOBODY_P256),
            ED25519: Ed25519PublicKey.from_public_bytes(_NOBODY_ED25519),
        }

    def authenticate(self, proof: ProofOfRequest) -> PrincipalView:
        """Return the principal whose key signed the request, or raise UnauthenticatedError.

        An unknown principal, a key of another kind and a bad signature get the same answer after the same effort,
        so that names cannot be guessed.
        """
        if self._authorities and proof.authority not in self._authorities:
            raise UnauthenticatedError(
                "the request was made for another service",
                hint=f"this service is called {' or '.join(sorted(self._authorities))}",
            )
        stated = http_signatures.parse(proof.signature_input, proof.signature)
        principal = self._lookup(stated.key_id)
        key = self._key_of(principal, stated)
        now = int(self._clock().timestamp())
        # The private keys of nobody are no secret: what they verify is refused below all the same.
        http_signatures.check_stated(stated, proof, key or self._nobody[stated.algorithm], now, self._tolerance)
        if principal is None or key is None:
            raise UnauthenticatedError(http_signatures.BAD_SIGNATURE)
        return principal

    def _key_of(self, principal: PrincipalView | None, stated: RequestSignature) -> PublicKey | None:
        """Return the principal's key if it can have made such a signature."""
        if principal is None:
            return None
        try:
            key = self._keys.load(principal.public_key)
        except (MalformedError, UnsupportedError):
            return None
        return key if http_signatures.algorithm_of(key) == stated.algorithm else None
