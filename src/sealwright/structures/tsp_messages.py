"""Messages of the Time-Stamp Protocol (RFC 3161, RFC 5816): requests and responses, built and read.

The token itself, signed by the one and checked by the other, is in `tsp`.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Final

from sealwright.domain.errors import InvalidRequestError, MalformedError
from sealwright.domain.keys import DigestAlgorithm
from sealwright.structures import ber
from sealwright.structures.asn1 import null, octet_string, oid, sequence_of, tlv
from sealwright.structures.cms import DIGEST_OIDS, DIGESTS_BY_OID, digest_algorithm_der

MAX_REQUEST: Final = 64 * 1024
"""Longest TimeStampReq that is read, in bytes; ordinary ones have fewer than 100."""

MAX_RESPONSE: Final = 256 * 1024
"""Longest TimeStampResp that is read, in bytes; ordinary ones have 2 to 8 thousand."""

_MAX_NONCE = 64
_MAX_EXTENSIONS = 16
_MAX_TEXTS = 16
_GRANTED = (0, 1)  # granted, grantedWithMods
_REJECTION = 2
_LAST_STATUS = 5
_MAX_FAILURE_OCTETS = 8
_NULL_DER = null()


class FailureInfo(IntEnum):
    """Why a request was refused: PKIFailureInfo, the number is the bit (RFC 3161, section 2.4.2)."""

    BAD_ALGORITHM = 0
    BAD_REQUEST = 2
    BAD_DATA_FORMAT = 5
    TIME_NOT_AVAILABLE = 14
    UNACCEPTED_POLICY = 15
    UNACCEPTED_EXTENSION = 16
    ADDITIONAL_INFORMATION_NOT_AVAILABLE = 17
    SYSTEM_FAILURE = 25


class TimestampRefusedError(InvalidRequestError):
    """The timestamp authority refuses the request; `failure` is what the response says."""

    code: ClassVar[str] = "timestamp-refused"

    def __init__(self, failure: FailureInfo, detail: str, *, hint: str = "") -> None:
        self.failure = failure
        super().__init__(detail, hint=hint)


@dataclass(frozen=True, slots=True)
class TimestampRequest:
    """What is to be stamped, and how: TimeStampReq (RFC 3161, section 2.4.1).

    `nonce` may be any INTEGER; `extensions` are the identifiers of the extensions that it carries;
    `plain_algorithm` tells that the digest's AlgorithmIdentifier came without NULL parameters.
    """

    algorithm: DigestAlgorithm
    imprint: bytes
    policy: str | None = None
    nonce: int | None = None
    certificates: bool = False
    extensions: tuple[str, ...] = ()
    plain_algorithm: bool = False

    def message_imprint(self) -> bytes:
        """Return MessageImprint in DER, as the request has it and the token must repeat it."""
        return sequence_of(_ALGORITHMS[self.algorithm, self.plain_algorithm], octet_string(self.imprint))


@dataclass(frozen=True, slots=True)
class TimestampResponse:
    """TimeStampResp as read: the status, the authority's words, the failure bits, and the token if granted."""

    status: int
    text: str
    failures: tuple[int, ...]
    token: bytes | None

    @property
    def granted(self) -> bool:
        """Whether the response carries a token."""
        return self.token is not None

    def reason(self) -> str:
        """Say in one line why the authority refused."""
        names = [_failure_name(bit) for bit in self.failures]
        return ": ".join(part for part in (f"status {self.status}", ", ".join(names), self.text) if part)


def signed_integer(value: int) -> bytes:
    """Return an INTEGER of either sign in its shortest form (X.690, section 8.3)."""
    size = (value if value >= 0 else ~value).bit_length() // 8 + 1
    return tlv(ber.INTEGER, value.to_bytes(size, "big", signed=True))


_ALGORITHMS: Final = {
    **{(algorithm, False): digest_algorithm_der(algorithm) for algorithm in DigestAlgorithm},
    **{(algorithm, True): sequence_of(oid(DIGEST_OIDS[algorithm])) for algorithm in DigestAlgorithm},
}
_BY_DER: Final = {der: key for key, der in _ALGORITHMS.items()}
_VERSION_1: Final = signed_integer(1)
_TRUE: Final = tlv(ber.BOOLEAN, b"\xff")


def build_request(request: TimestampRequest) -> bytes:
    """Return the TimeStampReq in DER; extensions are never sent."""
    return sequence_of(
        _VERSION_1,
        request.message_imprint(),
        b"" if request.policy is None else oid(request.policy),
        b"" if request.nonce is None else signed_integer(request.nonce),
        _TRUE if request.certificates else b"",
    )


def read_request(data: bytes) -> TimestampRequest:
    """Read a TimeStampReq, BER or DER; raises TimestampRefusedError that says how to answer."""
    if len(data) > MAX_REQUEST:
        raise TimestampRefusedError(FailureInfo.BAD_DATA_FORMAT, "the request is too long")
    try:
        return _request(ber.read(data).sequence())
    except MalformedError as error:
        raise TimestampRefusedError(
            FailureInfo.BAD_DATA_FORMAT, f"the request is no TimeStampReq: {error.detail}"
        ) from None


def _request(cursor: ber.Cursor) -> TimestampRequest:
    if cursor.take().integer() != 1:
        raise TimestampRefusedError(FailureInfo.BAD_REQUEST, "the request's version is not 1")
    imprint = cursor.take(ber.SEQUENCE).sequence()
    algorithm, plain = _digest_algorithm(imprint.take(ber.SEQUENCE))
    digest = imprint.take().octets()
    if len(digest) != algorithm.size:
        raise TimestampRefusedError(
            FailureInfo.BAD_DATA_FORMAT, f"a {algorithm.value} imprint has {algorithm.size} bytes, not {len(digest)}"
        )
    policy = cursor.maybe(ber.OBJECT_IDENTIFIER)
    nonce = cursor.maybe(ber.INTEGER)
    if nonce is not None and nonce.end - nonce.body > _MAX_NONCE:
        raise TimestampRefusedError(FailureInfo.BAD_DATA_FORMAT, f"the nonce is longer than {_MAX_NONCE} bytes")
    certificates = cursor.maybe(ber.BOOLEAN)
    extensions = cursor.maybe(0xA0)
    if imprint.rest() or cursor.rest():
        raise MalformedError("fields follow the last one known")
    return TimestampRequest(
        algorithm,
        digest,
        policy.oid() if policy else None,
        nonce.integer() if nonce else None,
        _boolean(certificates),
        _extensions(extensions) if extensions else (),
        plain,
    )


def _digest_algorithm(element: ber.Element) -> tuple[DigestAlgorithm, bool]:
    known = _BY_DER.get(element.raw)
    if known is not None:
        return known
    cursor = element.sequence()
    identifier = cursor.take().oid()
    parameters = [field.raw for field in cursor.rest()]
    if identifier not in DIGESTS_BY_OID or parameters not in ([], [_NULL_DER]):
        raise TimestampRefusedError(
            FailureInfo.BAD_ALGORITHM,
            f"imprints by the digest algorithm {identifier} are not stamped",
            hint="use SHA-256, SHA-384 or SHA-512",
        )
    return DIGESTS_BY_OID[identifier], not parameters


def _boolean(element: ber.Element | None) -> bool:
    if element is None:
        return False
    if element.end - element.body != 1:
        raise MalformedError("a BOOLEAN has one octet")
    return element.contents != b"\0"


def _extensions(element: ber.Element) -> tuple[str, ...]:
    found: list[str] = []
    for child in element.children():
        if len(found) == _MAX_EXTENSIONS:
            raise MalformedError("the request carries too many extensions")
        found.append(child.sequence().take().oid())
    if not found:
        raise MalformedError("a list of extensions is empty")
    return tuple(found)


_GRANTED_HEAD: Final = sequence_of(signed_integer(0))


def build_granted(token: bytes) -> bytes:
    """Return the TimeStampResp that carries a token."""
    return sequence_of(_GRANTED_HEAD, token)


def build_rejection(failure: FailureInfo, text: str) -> bytes:
    """Return the TimeStampResp that refuses: status rejection, the text for people, one failure bit."""
    octets = bytearray(failure // 8 + 1)
    octets[-1] = 0x80 >> failure % 8
    bits = tlv(ber.BIT_STRING, bytes([7 - failure % 8]), bytes(octets))
    words = sequence_of(tlv(ber.UTF8_STRING, text.encode()))
    return sequence_of(sequence_of(signed_integer(_REJECTION), words, bits))


def read_response(data: bytes) -> TimestampResponse:
    """Read a TimeStampResp; raises MalformedError, also if status and token contradict each other."""
    if len(data) > MAX_RESPONSE:
        raise MalformedError(f"the timestamp response is longer than {MAX_RESPONSE} bytes")
    cursor = ber.read(data).sequence()
    head = cursor.take(ber.SEQUENCE).sequence()
    status = head.take().integer()
    texts = head.maybe(ber.SEQUENCE)
    bits = head.maybe(ber.BIT_STRING)
    token = cursor.maybe(ber.SEQUENCE)
    if head.rest() or cursor.rest() or not 0 <= status <= _LAST_STATUS:
        raise MalformedError("the timestamp response has an unknown status or unknown fields")
    if (token is not None) != (status in _GRANTED):
        raise MalformedError("the timestamp response's status and its token contradict each other")
    return TimestampResponse(status, _texts(texts), _bits(bits), token.raw if token else None)


def _texts(element: ber.Element | None) -> str:
    if element is None:
        return ""
    words = [child.octets(ber.UTF8_STRING).decode("utf-8", "replace") for child in element.children()]
    joined = "; ".join(words[:_MAX_TEXTS])
    return "".join(letter if letter.isprintable() else " " for letter in joined[:500])


def _bits(element: ber.Element | None) -> tuple[int, ...]:
    if element is None:
        return ()
    octets = element.contents
    if not octets or len(octets) > _MAX_FAILURE_OCTETS:
        raise MalformedError("the failure bits of the timestamp response are malformed")
    return tuple(8 * place + bit for place, octet in enumerate(octets[1:]) for bit in range(8) if octet & 0x80 >> bit)


def _failure_name(bit: int) -> str:
    try:
        return FailureInfo(bit).name.lower().replace("_", " ")
    except ValueError:
        return f"failure {bit}"
