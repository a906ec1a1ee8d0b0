"""The timestamp authority: what it stamps, what it refuses and with which failure, and until when."""

import os
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from sealwright.contracts import SigningKey
from sealwright.domain import oids
from sealwright.domain.errors import ConfigurationError, UnavailableError
from sealwright.domain.keys import DigestAlgorithm, KeyAlgorithm
from sealwright.structures import ber
from sealwright.structures.asn1 import null, octet_string, oid, sequence_of, tlv
from sealwright.structures.tsp import TimestampToken, check_token, read_token
from sealwright.structures.tsp_messages import FailureInfo, TimestampRequest, build_request, read_response
from sealwright.timestamping.authority import TimestampAuthority
from tests.unit.timestamping import pki

OTHER_POLICY = "1.2.3.4"
P256 = KeyAlgorithm.P256


class BrokenKey:
    """A key whose store does not answer."""

    algorithm = P256
    public_key = pki.signing_key(P256).public_key

    def sign(self, digest: bytes, algorithm: DigestAlgorithm) -> bytes:
        raise UnavailableError(f"the key store does not sign {len(digest)} bytes of {algorithm.value}")


def authority(
    algorithm: KeyAlgorithm = P256,
    *,
    now: datetime = pki.NOW,
    chain: tuple[bytes, ...] | None = None,
    key: SigningKey | None = None,
    policies: tuple[str, ...] = (oids.TSA_POLICY_UNPROVEN_CLOCK, OTHER_POLICY),
    accuracy: timedelta | None = None,
) -> TimestampAuthority:
    return TimestampAuthority(
        key or pki.signing_key(algorithm),
        pki.chain(algorithm) if chain is None else chain,
        lambda: now,
        os.urandom,
        policies=policies,
        accuracy=accuracy,
    )


def token_for(request: TimestampRequest, tsa: TimestampAuthority) -> TimestampToken:
    answer = tsa.answer(build_request(request))
    response = read_response(answer.response)
    assert response.token is not None
    assert (answer.failure, answer.token) == (None, response.token)
    return read_token(response.token)


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.RSA_3072, P256])
@pytest.mark.parametrize("imprint", DigestAlgorithm)
def test_every_allowed_imprint_is_stamped(algorithm: KeyAlgorithm, imprint: DigestAlgorithm) -> None:
    digest = os.urandom(imprint.size)
    request = TimestampRequest(imprint, digest, nonce=2**64 + 3, certificates=True)
    token = token_for(request, authority(algorithm))
    check_token(token, digest, imprint, 2**64 + 3)
    assert token.time == pki.NOW.replace(microsecond=0)
    assert token.policy == oids.TSA_POLICY_UNPROVEN_CLOCK
    assert set(token.certificates) == set(pki.chain(algorithm))
    assert token.accuracy is None


@pytest.mark.parametrize("digest", DigestAlgorithm)
def test_the_token_is_signed_with_the_digest_that_signed_the_certificate(digest: DigestAlgorithm) -> None:
    tsa = authority(chain=pki.chain(P256, digest))
    token = token_for(TimestampRequest(DigestAlgorithm.SHA256, bytes(32), certificates=True), tsa)
    assert tsa.digest is token.signer.digest is digest


def test_certificates_and_nonce_come_only_if_asked_for() -> None:
    token = token_for(TimestampRequest(DigestAlgorithm.SHA256, bytes(32)), authority())
    assert (token.certificates, token.nonce) == ((), None)


def test_a_policy_that_is_offered_is_honoured() -> None:
    request = TimestampRequest(DigestAlgorithm.SHA256, bytes(32), OTHER_POLICY)
    assert token_for(request, authority()).policy == OTHER_POLICY


def test_the_accuracy_stands_in_the_token_if_the_deployment_knows_it() -> None:
    tsa = authority(accuracy=timedelta(seconds=1))
    assert token_for(TimestampRequest(DigestAlgorithm.SHA256, bytes(32)), tsa).accuracy == timedelta(seconds=1)


def test_serial_numbers_are_long_and_never_the_same() -> None:
    tsa = authority()
    request = TimestampRequest(DigestAlgorithm.SHA256, bytes(32))
    serials = {token_for(request, tsa).serial for _ in range(50)}
    assert len(serials) == 50
    assert all(2**126 <= serial < 2**127 for serial in serials)


def test_a_clock_of_another_zone_is_told_in_utc() -> None:
    tsa = authority(now=pki.NOW.astimezone(timezone(timedelta(hours=5))))
    assert token_for(TimestampRequest(DigestAlgorithm.SHA256, bytes(32)), tsa).time == pki.NOW.replace(microsecond=0)


IMPRINT = TimestampRequest(DigestAlgorithm.SHA256, bytes(32)).message_imprint()
ONE = b"\x02\x01\x01"


def _extension(*critical: bytes) -> bytes:
    return sequence_of(ONE, IMPRINT, tlv(0xA0, sequence_of(oid("1.2.3"), *critical, octet_string(b""))))


@pytest.mark.parametrize(
    ("data", "failure", "words"),
    [
        (
            sequence_of(ONE, sequence_of(sequence_of(oid("1.3.14.3.2.26"), null()), octet_string(bytes(20)))),
            FailureInfo.BAD_ALGORITHM,
            "not stamped",
        ),
        (
            build_request(TimestampRequest(DigestAlgorithm.SHA512, bytes(32))),
            FailureInfo.BAD_DATA_FORMAT,
            "64 bytes, not 32",
        ),
        (
            build_request(TimestampRequest(DigestAlgorithm.SHA256, bytes(32), "1.2.9")),
            FailureInfo.UNACCEPTED_POLICY,
            "1.2.9",
        ),
        (_extension(tlv(ber.BOOLEAN, b"\xff")), FailureInfo.UNACCEPTED_EXTENSION, "1.2.3"),
        (_extension(), FailureInfo.UNACCEPTED_EXTENSION, "1.2.3"),
        (b"GET / HTTP/1.1", FailureInfo.BAD_DATA_FORMAT, "TimeStampReq"),
    ],
)
def test_what_is_not_accepted_is_refused_with_its_failure(data: bytes, failure: FailureInfo, words: str) -> None:
    answer = authority().answer(data)
    response = read_response(answer.response)
    assert (answer.token, answer.failure, response.failures) == (None, failure, (failure,))
    assert words in response.text


ORDINARY = build_request(TimestampRequest(DigestAlgorithm.SHA256, bytes(32)))


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (pki.NOT_BEFORE - timedelta(seconds=1), "not valid yet"),
        (datetime(2027, 4, 30, 12, 0, 1, tzinfo=UTC), "usable until 2027-04-30 12:00"),
        (pki.NOT_BEFORE + timedelta(days=5000), "usable until"),
    ],
)
def test_outside_the_fifteen_months_of_key_use_nothing_is_stamped(now: datetime, words: str) -> None:
    tsa = authority(now=now)
    response = read_response(tsa.answer(ORDINARY).response)
    assert response.failures == (FailureInfo.SYSTEM_FAILURE,)
    assert words in response.text
    with pytest.raises(UnavailableError, match=words):
        tsa.check_ready()


@pytest.mark.parametrize("now", [pki.NOT_BEFORE, datetime(2027, 4, 30, 12, 0, tzinfo=UTC)])
def test_on_the_edges_of_key_use_tokens_are_given(now: datetime) -> None:
    tsa = authority(now=now)
    tsa.check_ready()
    assert tsa.answer(ORDINARY).token is not None
    assert tsa.usable_until == datetime(2027, 4, 30, 12, 0, tzinfo=UTC)


def test_a_certificate_that_ends_sooner_ends_the_key_use() -> None:
    end = pki.NOT_BEFORE + timedelta(days=10)
    leaf = pki.leaf(pki.private_key(P256).public_key(), not_after=end)
    assert authority(chain=pki.der(leaf)).usable_until == end


def test_a_key_store_that_does_not_answer_is_a_system_failure() -> None:
    response = read_response(authority(key=BrokenKey()).answer(ORDINARY).response)
    assert response.failures == (FailureInfo.SYSTEM_FAILURE,)
    assert "key store" in response.text


def test_a_certificate_that_does_not_serve_is_refused_at_the_start() -> None:
    public = pki.private_key(P256).public_key()
    code_signing = pki.der(pki.leaf(public, purposes=(ExtendedKeyUsageOID.CODE_SIGNING,)))
    with pytest.raises(ConfigurationError, match="timeStamping"):
        authority(chain=code_signing)
    with pytest.raises(ConfigurationError, match="another key"):
        authority(chain=pki.chain(KeyAlgorithm.P384))
    with pytest.raises(ConfigurationError, match="does not serve"):
        authority(chain=(b"junk",))
    with pytest.raises(ConfigurationError, match="needs its certificate"):
        authority(chain=())
    with pytest.raises(ConfigurationError, match="policy"):
        authority(policies=())


def test_a_certificate_signed_with_a_digest_that_tokens_may_not_use_is_refused() -> None:
    leaf = pki.leaf(pki.private_key(P256).public_key(), digest=hashes.SHA3_256())
    with pytest.raises(ConfigurationError, match="digest that tokens may not use"):
        authority(chain=pki.der(leaf))


TSA = authority()


@given(st.binary(max_size=120) | st.tuples(st.integers(0, len(ORDINARY) - 1), st.binary(max_size=3)))
def test_any_bytes_get_an_answer_that_can_be_read(data: bytes | tuple[int, bytes]) -> None:
    if isinstance(data, tuple):
        place, new = data
        data = ORDINARY[:place] + new + ORDINARY[place + len(new) :]
    answer = TSA.answer(data)
    response = read_response(answer.response)
    assert response.granted is (answer.token is not None)
