"""Checking a signature with a public key: the two algorithms that CMS signers in code signing use.

RSASSA-PKCS1-v1_5 (RFC 8017) and ECDSA (FIPS 186-5), each with SHA-256, SHA-384 or SHA-512 (CSBR 7.1.3).
"""

from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from sealwright.domain import oids
from sealwright.domain.errors import UnsupportedError, VerificationError
from sealwright.domain.keys import DigestAlgorithm

_HASHES: Final[Mapping[DigestAlgorithm, hashes.HashAlgorithm]] = {
    DigestAlgorithm.SHA256: hashes.SHA256(),
    DigestAlgorithm.SHA384: hashes.SHA384(),
    DigestAlgorithm.SHA512: hashes.SHA512(),
}

# SignatureAlgorithmIdentifier -> the digest it names; None where it names the key type alone (RFC 5754,
# section 3.2, keeps rsaEncryption for this; some makers write id-ecPublicKey likewise).
_RSA: Final[Mapping[str, DigestAlgorithm | None]] = {
    oids.RSA_ENCRYPTION: None,
    "1.2.840.113549.1.1.11": DigestAlgorithm.SHA256,
    "1.2.840.113549.1.1.12": DigestAlgorithm.SHA384,
    "1.2.840.113549.1.1.13": DigestAlgorithm.SHA512,
}
_ECDSA: Final[Mapping[str, DigestAlgorithm | None]] = {
    "1.2.840.10045.2.1": None,
    oids.ECDSA_WITH_SHA256: DigestAlgorithm.SHA256,
    oids.ECDSA_WITH_SHA384: DigestAlgorithm.SHA384,
    oids.ECDSA_WITH_SHA512: DigestAlgorithm.SHA512,
}


def verify_signature(
    public_key: CertificatePublicKeyTypes,
    signature_oid: str,
    digest: DigestAlgorithm,
    signature: bytes,
    signed_bytes: bytes,
) -> None:
    """Check the signature of a SignerInfo over the signed bytes with a certificate's public key.

    `digest` is the SignerInfo's digest algorithm. Raises UnsupportedError for another signature algorithm
    (RSASSA-PSS among them), VerificationError if the algorithms contradict one another or the signature
    does not hold.
    """
    if signature_oid not in _RSA and signature_oid not in _ECDSA:
        raise UnsupportedError(f"signatures by the algorithm {signature_oid} are not checked here")
    named = _RSA[signature_oid] if signature_oid in _RSA else _ECDSA[signature_oid]
    if named not in (None, digest):
        raise VerificationError("the signature algorithm and the digest algorithm contradict each other")
    try:
        if isinstance(public_key, rsa.RSAPublicKey) and signature_oid in _RSA:
            public_key.verify(signature, signed_bytes, padding.PKCS1v15(), _HASHES[digest])
        elif isinstance(public_key, ec.EllipticCurvePublicKey) and signature_oid in _ECDSA:
            public_key.verify(signature, signed_bytes, ec.ECDSA(_HASHES[digest]))
        else:
            raise VerificationError("the signature algorithm does not fit the certificate's public key")
    except InvalidSignature:
        raise VerificationError("the signature does not match the signed bytes and the certificate's key") from None
    except (UnsupportedAlgorithm, ValueError) as error:
        raise VerificationError(f"the certificate's public key cannot check signatures: {error}") from None
