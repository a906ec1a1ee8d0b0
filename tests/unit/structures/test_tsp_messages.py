"""Timestamp requests and responses: built, read back, compared with asn1crypto, and attacked."""

import pytest
from asn1crypto import core
from asn1crypto import tsp as other
from hypothesis import given
from hypothesis import strategies as st

from sealwright.domain import oids
from sealwright.domain.errors import MalformedError
from sealwright.domain.keys import DigestAlgorithm
from sealwright.structures import ber
from sealwright.structures.asn1 import null, octet_string, oid, sequence_of, tlv
from sealwright.structures.tsp_messages import (
    MAX_REQUEST,
    MAX_RESPONSE,
    FailureInfo,
    TimestampRefusedError,
    TimestampRequest,
    build_granted,
    build_rejection,
    build_request,
    read_request,
    read_response,
    signed_integer,
)

DIGEST = bytes(range(32))
SHA256 = oid(oids.SHA256)
PLAIN = TimestampRequest(DigestAlgorithm.SHA256, DIGEST)
IMPRINT = PLAIN.message_imprint()
SHA1 = sequence_of(sequence_of(oid("1.3.14.3.2.26"), null()), octet_string(bytes(20)))

requests = st.builds(
    TimestampRequest,
    st.just(DigestAlgorithm.SHA384),
    st.binary(min_size=48, max_size=48),
    st.sampled_from([None, "1.2.3", "2.25.276021956986615737321850040293186313475.5.2"]),
    st.none() | st.integers(-(2**511), 2**511 - 1),
    st.booleans(),
    st.just(()),
    st.booleans(),
)


@given(requests)
def test_a_request_is_read_as_it_was_built(request: TimestampRequest) -> None:
    assert read_request(build_request(request)) == request


@pytest.mark.parametrize("algorithm", DigestAlgorithm)
def test_asn1crypto_reads_our_request(algorithm: DigestAlgorithm) -> None:
    request = TimestampRequest(algorithm, bytes(algorithm.size), "1.2.3.4", 2**63 + 1, certificates=True)
    native = other.TimeStampReq.load(build_request(request), strict=True).native
    assert native["message_imprint"] == {
        "hash_algorithm": {"algorithm": algorithm.value, "parameters": None},
        "hashed_message": bytes(algorithm.size),
    }
    assert (native["req_policy"], native["nonce"], native["cert_req"]) == ("1.2.3.4", 2**63 + 1, True)


def test_we_read_asn1crypto_s_request() -> None:
    theirs = other.TimeStampReq(
        {
            "version": "v1",
            "message_imprint": {"hash_algorithm": {"algorithm": "sha512"}, "hashed_message": bytes(64)},
            "nonce": -129,
            "cert_req": False,
        }
    ).dump()
    request = read_request(theirs)
    assert (request.algorithm, request.nonce, request.certificates) == (DigestAlgorithm.SHA512, -129, False)
    assert read_request(build_request(request)) == request


@given(st.integers())
def test_integers_of_either_sign_are_shortest(value: int) -> None:
    der = signed_integer(value)
    assert core.Integer.load(der, strict=True).native == value
    assert der == core.Integer(value).dump()


def _refused(data: bytes) -> tuple[FailureInfo, str]:
    with pytest.raises(TimestampRefusedError) as caught:
        read_request(data)
    return caught.value.failure, caught.value.detail


ONE = signed_integer(1)


@pytest.mark.parametrize(
    ("data", "failure", "words"),
    [
        (sequence_of(ONE, SHA1), FailureInfo.BAD_ALGORITHM, "1.3.14.3.2.26"),
        (
            sequence_of(ONE, sequence_of(sequence_of(SHA256, ONE), octet_string(b""))),
            FailureInfo.BAD_ALGORITHM,
            "digest algorithm",
        ),
        (
            build_request(TimestampRequest(DigestAlgorithm.SHA256, bytes(20))),
            FailureInfo.BAD_DATA_FORMAT,
            "32 bytes, not 20",
        ),
        (sequence_of(signed_integer(2), IMPRINT), FailureInfo.BAD_REQUEST, "version"),
        (sequence_of(ONE, IMPRINT, signed_integer(2**600)), FailureInfo.BAD_DATA_FORMAT, "nonce"),
        (sequence_of(ONE, IMPRINT, tlv(ber.BOOLEAN, b"")), FailureInfo.BAD_DATA_FORMAT, "BOOLEAN"),
        (sequence_of(ONE, IMPRINT, tlv(0xA0)), FailureInfo.BAD_DATA_FORMAT, "empty"),
        (sequence_of(ONE, IMPRINT, null()), FailureInfo.BAD_DATA_FORMAT, "fields follow"),
        (
            sequence_of(ONE, IMPRINT, tlv(0xA0, *([sequence_of(oid("1.2.3"), octet_string(b""))] * 17))),
            FailureInfo.BAD_DATA_FORMAT,
            "too many extensions",
        ),
        (sequence_of(ONE, IMPRINT) + b"\0", FailureInfo.BAD_DATA_FORMAT, "octets follow"),
        (b"", FailureInfo.BAD_DATA_FORMAT, "empty"),
        (bytes(MAX_REQUEST + 1), FailureInfo.BAD_DATA_FORMAT, "too long"),
    ],
)
def test_a_request_that_is_wrong_is_refused_with_its_reason(data: bytes, failure: FailureInfo, words: str) -> None:
    found, detail = _refused(data)
    assert found is failure
    assert words in detail


def test_the_extensions_of_a_request_are_named() -> None:
    extension = sequence_of(oid("1.2.3"), tlv(ber.BOOLEAN, b"\xff"), octet_string(b""))
    assert read_request(sequence_of(ONE, IMPRINT, tlv(0xA0, extension))).extensions == ("1.2.3",)


def test_a_request_in_ber_is_read() -> None:
    algorithm = b"\x30\x80" + SHA256 + b"\0\0"
    imprint = b"\x30\x80" + algorithm + octet_string(DIGEST) + b"\0\0"
    request = read_request(b"\x30\x80" + ONE + imprint + tlv(ber.BOOLEAN, b"\x01") + b"\0\0")
    assert request == TimestampRequest(DigestAlgorithm.SHA256, DIGEST, certificates=True, plain_algorithm=True)
    long_form = sequence_of(b"\x06\x81\x09" + SHA256[2:], null())
    assert read_request(sequence_of(ONE, sequence_of(long_form, octet_string(DIGEST)))) == PLAIN


def _mutations(data: bytes) -> st.SearchStrategy[bytes]:
    places = st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), min_size=1, max_size=6)

    def apply(changes: list[tuple[int, int]]) -> bytes:
        changed = bytearray(data)
        for place, value in changes:
            changed[place] = value
        return bytes(changed)

    return places.map(apply) | st.integers(0, len(data)).map(lambda size: data[:size])


@given(
    st.binary(max_size=200) | _mutations(build_request(TimestampRequest(DigestAlgorithm.SHA256, DIGEST, "1.2.3", 77)))
)
def test_any_bytes_are_a_request_or_are_refused(data: bytes) -> None:
    try:
        request = read_request(data)
    except TimestampRefusedError:
        return
    assert read_request(build_request(request)).imprint == request.imprint


@pytest.mark.parametrize("failure", FailureInfo)
def test_a_rejection_says_why_to_us_and_to_asn1crypto(failure: FailureInfo) -> None:
    data = build_rejection(failure, "noch nicht: später")
    response = read_response(data)
    assert (response.granted, response.status, response.failures) == (False, 2, (failure,))
    assert response.text == "noch nicht: später"
    assert response.reason() == f"status 2: {failure.name.lower().replace('_', ' ')}: noch nicht: später"
    # asn1crypto reads no TimeStampResp without a token, but the status in it.
    status = other.PKIStatusInfo.load(ber.read(data).only_child().raw, strict=True)
    assert status["status"].native == "rejection"
    assert status["status_string"].native == ["noch nicht: später"]
    assert len(status["fail_info"].native) == 1


def test_a_response_without_words_or_bits_is_read() -> None:
    response = read_response(sequence_of(sequence_of(signed_integer(5))))
    assert response.reason() == "status 5"
    strange = sequence_of(sequence_of(signed_integer(2), tlv(ber.BIT_STRING, b"\x06\x40")))
    assert read_response(strange).reason() == "status 2: failure 1"


def test_what_an_authority_writes_cannot_steer_a_terminal() -> None:
    assert read_response(build_rejection(FailureInfo.BAD_REQUEST, "a\x1b[31mb\r\nc")).text == "a [31mb  c"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        sequence_of(sequence_of(signed_integer(0))),
        sequence_of(sequence_of(signed_integer(2)), sequence_of()),
        sequence_of(sequence_of(signed_integer(6))),
        sequence_of(sequence_of(signed_integer(-1))),
        sequence_of(sequence_of(signed_integer(2), null())),
        sequence_of(sequence_of(signed_integer(2)), null()),
        sequence_of(sequence_of(signed_integer(2), tlv(ber.BIT_STRING))),
        sequence_of(sequence_of(signed_integer(2), tlv(ber.BIT_STRING, bytes(9)))),
        bytes(MAX_RESPONSE + 1),
    ],
)
def test_a_response_that_is_wrong_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        read_response(data)


def test_a_granted_response_gives_the_token_byte_for_byte() -> None:
    token = sequence_of(oid("1.2.3"), octet_string(b"x"))
    response = read_response(build_granted(token))
    assert (response.token, response.granted) == (token, True)


@given(st.binary(max_size=200) | _mutations(build_rejection(FailureInfo.SYSTEM_FAILURE, "no")))
def test_any_bytes_are_a_response_or_malformed(data: bytes) -> None:
    try:
        assert read_response(data).reason()
    except MalformedError:
        return
