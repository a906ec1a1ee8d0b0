"""Signatures of a CA whose private key can sign digests only, such as one in a cryptographic module.

`cryptography` builds certificates and CRLs only with a private key at hand. So a builder signs with a throw-away
key of the same family, then the to-be-signed part is cut out as it stands and signed by the true key: the
algorithm identifier inside it is the same, because it names family and digest only (RFC 5758, RFC 8017).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from sealwright.contracts import SigningKey
from sealwright.domain.errors import VerificationError
from sealwright.domain.keys import DigestAlgorithm
from sealwright.structures import ber
from sealwright.structures.asn1 import sequence_of, tlv
from sealwright.structures.x509 import verify_by_key

_HASHES: Final[Mapping[DigestAlgorithm, hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
    DigestAlgorithm.SHA256: hashes.SHA256(),
    DigestAlgorithm.SHA384: hashes.SHA384(),
    DigestAlgorithm.SHA512: hashes.SHA512(),
}
_THROW_AWAY_RSA_BITS: Final = 2048  # it protects nothing: its signatures are cut off


@dataclass(frozen=True, slots=True)
class ToBeSigned:
    """The part of a certificate or CRL that is signed, and the AlgorithmIdentifier that follows it, both DER.

    `draft` is the whole with the throw-away key's signature, for judging what will be signed.
    """

    body: bytes
    algorithm: bytes
    draft: bytes


class CaSigner:
    """Builds and signs with one CA key; its throw-away key is made once."""

    __slots__ = ("_hash", "_key", "_throw_away", "digest", "public_key")

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self.public_key = key.public_key
        self.digest = key.algorithm.digest
        self._hash = _HASHES[self.digest]
        self._throw_away: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = (
            rsa.generate_private_key(65537, _THROW_AWAY_RSA_BITS)
            if key.algorithm.is_rsa
            else ec.generate_private_key(ec.SECP256R1())
        )

    def build(self, builder: x509.CertificateBuilder | x509.CertificateRevocationListBuilder) -> ToBeSigned:
        """Let the builder finish, and return what the true key would have to sign."""
        draft = builder.sign(self._throw_away, self._hash).public_bytes(Encoding.DER)
        body, algorithm, _ = ber.read(draft).children()
        return ToBeSigned(body.raw, algorithm.raw, draft)

    def sign(self, to_be_signed: ToBeSigned) -> bytes:
        """Return the finished certificate or CRL in DER.

        The signature is checked before it leaves, so that a faulty module cannot publish one that gives its
        key away. Raises VerificationError if it does not hold, UnavailableError if the key does not answer.
        """
        body = to_be_signed.body
        signature = self._key.sign(hashlib.new(self.digest.value, body).digest(), self.digest)
        try:
            verify_by_key(self.public_key, signature, body, self.digest)
        except VerificationError:
            raise VerificationError(
                "the CA key gave a signature that does not hold; nothing was issued",
                hint="the key store returned a wrong key or is faulty: stop using it and look at its log",
            ) from None
        return sequence_of(body, to_be_signed.algorithm, tlv(ber.BIT_STRING, b"\0", signature))
