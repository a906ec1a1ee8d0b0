"""What an Authenticode signature says, read without judging any of it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from cryptography import x509

from sealwright.domain import oids
from sealwright.domain.errors import MalformedError, SealwrightError
from sealwright.domain.keys import ProtectionModel
from sealwright.structures import ber, cms
from sealwright.structures.authenticode import IndirectData, OpusInfo, read_indirect_data, read_opus_info
from sealwright.structures.protection import UNKNOWN, read_key_protection, read_signature_protection
from sealwright.structures.tsp import TimestampToken, read_token
from sealwright.structures.x509 import policies
from sealwright.verification.verdict import ProtectionStatement, Timestamp

COUNTERSIGNATURE: Final = "1.2.840.113549.1.9.6"
"""PKCS #9 countersignature: the timestamps that Authenticode had before RFC 3161."""

_MAX_TOKENS: Final = 8
_MODELS: Final = {str(model.value): model.label for model in ProtectionModel}

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ReadSignature:
    """SignedData with the parts that reports show; None or empty where a part is absent or cannot be read.

    `unsigned_tail` counts the bytes behind SignedData, up to the last that is not zero: padding is zeros.
    """

    signed_data: cms.SignedData
    signer: cms.SignerInfo
    certificate: x509.Certificate | None
    pool: tuple[x509.Certificate, ...]
    indirect: IndirectData | None
    opus: OpusInfo
    protection: ProtectionStatement
    tokens: tuple[bytes, ...]
    unreadable: tuple[str, ...]
    unsigned_tail: int


def read_signature(data: bytes) -> ReadSignature:
    """Read a signature. Raises MalformedError, UnsupportedError if even its frame cannot be read."""
    signed_data = cms.read_signed_data(data)
    if signed_data.content_type != oids.SPC_INDIRECT_DATA or signed_data.content is None:
        raise MalformedError("this is no Authenticode signature: it signs another kind of content")
    if len(signed_data.signers) != 1:
        raise MalformedError("an Authenticode signature has one signer; others are nested or stand beside it")
    signer = signed_data.signers[0]
    reader = _Reader()
    content = signed_data.content
    certificate = reader.attempt(lambda: signed_data.certificate_of(signer))
    opus_der = reader.attempt(lambda: signer.one(signer.signed, oids.SPC_SP_OPUS_INFO))
    tokens = signer.unsigned.get(oids.SPC_RFC3161_TIMESTAMP, ())
    if len(tokens) > _MAX_TOKENS:
        raise MalformedError(f"the signature carries more than {_MAX_TOKENS} timestamps")
    return ReadSignature(
        signed_data,
        signer,
        certificate,
        read_pool(signed_data.certificates),
        reader.attempt(lambda: read_indirect_data(content)),
        (reader.attempt(lambda: read_opus_info(opus_der)) if opus_der else None) or OpusInfo(None, None),
        _protection(reader, signer, certificate),
        tokens,
        tuple(reader.complaints),
        _tail(data),
    )


def _tail(data: bytes) -> int:
    root = ber.read(data, trailing=True)
    return len(root.data[root.end :].rstrip(b"\0"))


def read_pool(certificates: tuple[bytes, ...]) -> tuple[x509.Certificate, ...]:
    """Read the certificates that came with a signature; those that cannot be read help nobody."""
    reader = _Reader()
    loaded = (reader.attempt(partial(cms.load_certificate, der)) for der in certificates)
    return tuple(certificate for certificate in loaded if certificate is not None)


def read_timestamp(data: bytes) -> tuple[TimestampToken, Timestamp]:
    """Read a token and what reports show of it. Raises MalformedError, UnsupportedError, WeakDigestError."""
    token = read_token(data)
    certificate = token.certificate
    stated = policies(certificate) if certificate else ()
    return token, Timestamp(
        time=token.time,
        token_policy=token.policy,
        certificate_policies=stated,
        reserved_policy=oids.CABF_TIMESTAMP in stated,
        authority=certificate.subject.rfc4514_string() if certificate else "",
        serial=token.serial,
        imprint_algorithm=token.algorithm.value,
        certificate=certificate,
    )


class _Reader:
    """Tries to read one part after another and keeps the complaints."""

    def __init__(self) -> None:
        self.complaints: list[str] = []

    def attempt(self, read: Callable[[], _T]) -> _T | None:
        try:
            return read()
        except SealwrightError as error:
            self.complaints.append(error.detail)
        except ValueError as error:
            self.complaints.append(str(error))
        return None


def _protection(reader: _Reader, signer: cms.SignerInfo, certificate: x509.Certificate | None) -> ProtectionStatement:
    mark = reader.attempt(lambda: signer.one(signer.signed, oids.SIGNATURE_PROTECTION))
    stated = reader.attempt(lambda: read_signature_protection(mark)) if mark else None
    extension = _extension(certificate) if certificate else None
    by_authority = reader.attempt(lambda: read_key_protection(extension)) if extension else None
    found = (reader.attempt(lambda: policies(certificate)) if certificate else None) or ()
    prefix = f"{oids.PROTECTION_POLICY}."
    models = tuple(_MODELS.get(policy.removeprefix(prefix), UNKNOWN) for policy in found if policy.startswith(prefix))
    words = {
        "the certificate's extension": by_authority.model if by_authority else None,
        "the signature": stated.model if stated else None,
    } | {f"the certificate's policy {number}": model for number, model in enumerate(models, 1)}
    said = {who: model for who, model in words.items() if model is not None}
    disagreement = (
        ", ".join(f"{who} says {model}" for who, model in said.items()) if len(set(said.values())) > 1 else ""
    )
    return ProtectionStatement(by_authority, stated, models, disagreement)


def _extension(certificate: x509.Certificate) -> bytes | None:
    try:
        value = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier(oids.KEY_PROTECTION)).value
    except x509.ExtensionNotFound:
        return None
    return value.value if isinstance(value, x509.UnrecognizedExtension) else None
