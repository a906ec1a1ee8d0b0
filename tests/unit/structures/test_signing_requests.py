"""Signing requests are read by face and key holder alike, within limits, and mean one thing only."""

from hashlib import sha256

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealwright.domain.errors import (
    DigestLengthError,
    InvalidRequestError,
    SealwrightError,
    TooLargeError,
    UnauthenticatedError,
    WeakDigestError,
)
from sealwright.domain.messages import Artifact
from sealwright.structures.signing_requests import (
    MAX_ARTIFACTS,
    MAX_BODY,
    check_target,
    decision_context,
    proof_sha256,
    read_body,
    read_digests,
    statement_sha256,
)
from tests.unit.custody.world import body, proof


def test_a_request_is_read_to_its_digests() -> None:
    _, digests = read_digests(read_body(body(3)))
    assert digests == tuple(sha256(bytes([number, 0])).digest() for number in range(3))


def test_limits_are_kept_to_the_byte() -> None:
    assert len(read_body(body(MAX_ARTIFACTS)).artifacts) == MAX_ARTIFACTS
    for data, error in (
        (body(MAX_ARTIFACTS + 1), InvalidRequestError),
        (body(0), InvalidRequestError),
        (b" " * (MAX_BODY + 1), TooLargeError),
        (body()[:-1] + b',"more":1}', InvalidRequestError),
    ):
        with pytest.raises(error):
            read_body(data)


@given(noise=st.binary(max_size=200))
def test_noise_is_refused_with_one_of_our_errors(noise: bytes) -> None:
    with pytest.raises(SealwrightError):
        read_body(noise)


@pytest.mark.parametrize(
    ("algorithm", "digest", "error"),
    [
        ("sha1", "00" * 20, WeakDigestError),
        ("sha256--", "00" * 32, WeakDigestError),
        ("sha256", "00" * 31, DigestLengthError),
        ("sha384", "00" * 32, DigestLengthError),
        ("sha256", "0" * 63, InvalidRequestError),
        ("sha256", "00 " * 32, InvalidRequestError),
        ("sha256", "0x" + "00" * 31, InvalidRequestError),
    ],
)
def test_a_digest_that_is_none_is_refused(algorithm: str, digest: str, error: type[SealwrightError]) -> None:
    request = read_body(body(1, digest_algorithm=algorithm, artifacts=[Artifact(digest)]))
    with pytest.raises(error):
        read_digests(request)


@pytest.mark.parametrize("name", ["sha256", "SHA256", "sha-256", "SHA-256"])
def test_policies_see_one_name_for_one_algorithm_however_it_is_written(name: str) -> None:
    assert decision_context(read_body(body(2, digest_algorithm=name))) == {
        "scheme": "plain",
        "input": "digest",
        "digest_algorithm": "sha256",
        "count": 2,
    }


def test_a_proof_is_named_whole_and_a_statement_without_its_signature() -> None:
    signed = proof()
    other = msgspec.structs.replace(signed, signature="another")
    assert proof_sha256(signed) != proof_sha256(other)
    assert statement_sha256(signed) == statement_sha256(other)
    for field in set(signed.__struct_fields__) - {"signature"}:
        value = b"x" if field == "body" else "x"
        assert statement_sha256(msgspec.structs.replace(signed, **{field: value})) != statement_sha256(signed)


def test_only_a_request_for_signatures_asks_for_signatures() -> None:
    check_target(proof())
    for other in (proof(path="/v1/signing-requests/"), msgspec.structs.replace(proof(), method="GET")):
        with pytest.raises(UnauthenticatedError):
            check_target(other)
