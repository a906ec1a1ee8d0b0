from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealwright.domain.errors import DeniedError, InvalidRequestError, MalformedError, SealwrightError
from sealwright.domain.keys import KeyAlgorithm
from sealwright.domain.messages import Authorisation, AuthorisationEnvelope, IssueRequest
from sealwright.issuance.authorisation import Authorised, Authoriser
from sealwright.structures.authorisation import CONTEXT, sign_authorisation
from tests.unit.issuance.world import (
    PUBLISHER,
    SOFTWARE,
    MemoryKey,
    World,
    private_key,
    public_bytes,
    signs,
    single,
    standing,
)


@pytest.fixture
def world() -> World:
    return World()


def test_a_request_under_an_officers_word_becomes_a_wish(world: World) -> None:
    authorised = world.authoriser.check(world.request(single(validity_days=30)))
    wish = authorised.wish
    assert wish.profile.name == "private-code-signing"
    assert wish.subject == PUBLISHER
    assert wish.protection == SOFTWARE
    assert wish.custodian == "sign.example.org"
    assert wish.validity == timedelta(days=30)
    assert authorised.moment == world.now
    assert world.diary == []


def test_no_days_mean_the_profiles_default_and_the_custodian_stands_in_the_mark_only(world: World) -> None:
    assert world.authoriser.check(world.request(single())).wish.validity is None
    assert world.authoriser.check(world.request(single(profile="private-timestamp"))).wish.custodian is None


@given(position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_one_changed_bit_is_refused(position: int, bit: int) -> None:
    world = SHARED
    envelope = world.sign(single())
    for field in ("authorisation", "signature"):
        octets = bytearray(getattr(envelope, field))
        octets[position % len(octets)] ^= 1 << bit
        changed = msgspec.structs.replace(envelope, **{field: bytes(octets)})
        with pytest.raises(DeniedError, match="not signed by 'officer'"):
            world.authoriser.check(IssueRequest(changed, SUBSCRIBER))
    octets = bytearray(SUBSCRIBER)
    octets[position % len(octets)] ^= 1 << bit
    with pytest.raises(DeniedError, match="another public key"):
        world.authoriser.check(IssueRequest(envelope, bytes(octets)))


SHARED = World()
SUBSCRIBER = public_bytes(private_key(KeyAlgorithm.P256, "subscriber"))


def test_only_officers_are_believed(world: World) -> None:
    stranger = private_key(KeyAlgorithm.P256, "stranger")
    with pytest.raises(DeniedError, match="not a registration officer"):
        world.authoriser.check(IssueRequest(world.sign(single(), "stranger"), SUBSCRIBER))
    forged = sign_authorisation(single(), "officer", signs(stranger))
    with pytest.raises(DeniedError, match="not signed by"):
        world.authoriser.check(IssueRequest(forged, SUBSCRIBER))


def test_a_signature_for_another_purpose_is_no_authorisation(world: World) -> None:
    encoded = msgspec.json.encode(single())
    bare = AuthorisationEnvelope(encoded, "officer", signs(world.officer)(encoded))
    with pytest.raises(DeniedError, match="not signed by"):
        world.authoriser.check(IssueRequest(bare, SUBSCRIBER))
    assert CONTEXT.endswith(b"\n")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"not_after": "2026-11-23T12:00:00Z"}, DeniedError, "ended at"),
        ({"not_after": "2026-11-24T00:00:00"}, MalformedError, "with a zone"),
        ({"not_after": "tomorrow"}, MalformedError, "RFC 3339"),
        ({"profile": "tls"}, InvalidRequestError, "no certificate profile"),
        ({"profile": "root"}, DeniedError, "CA certificates"),
        ({"profile": "code-signing-ca"}, DeniedError, "CA certificates"),
        ({"spki_sha256": ""}, DeniedError, "another public key"),
        ({"spki_sha256": "00" * 32}, DeniedError, "another public key"),
        ({"id": ""}, InvalidRequestError, "identifier"),
        ({"id": "x" * 129}, InvalidRequestError, "identifier"),
        ({"validity_days": -1}, InvalidRequestError, "validity_days"),
        ({"validity_days": 10**9 + 1}, InvalidRequestError, "validity_days"),
        ({"standing": True, "limit_per_hour": 1}, DeniedError, "no standing authorisation"),
    ],
)
def test_an_authorisation_that_does_not_cover_the_request_is_refused(
    world: World, changes: dict[str, object], error: type[SealwrightError], message: str
) -> None:
    with pytest.raises(error, match=message):
        world.authoriser.check(world.request(single(**changes)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spki_sha256": "00" * 32}, "names no key"),
        ({"limit_per_hour": 0}, "limit per hour"),
        ({"profile": "private-code-signing"}, "no standing authorisation"),
        ({"profile": "timestamp"}, "no standing authorisation"),
    ],
)
def test_a_standing_authorisation_without_bounds_is_refused(
    world: World, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(DeniedError, match=message):
        world.authoriser.check(world.request(standing(**changes)))


def claim(world: World, authorisation: Authorisation, times: int = 1) -> list[DeniedError | None]:
    checked = [world.authoriser.check(world.request(authorisation)) for _ in range(times)]
    return world.authoriser.claim(checked)


def test_an_authorisation_is_used_once(world: World) -> None:
    assert claim(world, single()) == [None]
    world.now += timedelta(hours=2)
    [refused] = claim(world, single())
    assert refused is not None
    assert "used already" in refused.detail
    assert "one certificate" in refused.hint


def test_a_standing_authorisation_is_used_within_its_limit(world: World) -> None:
    assert claim(world, standing()) == [None]
    within, refused = claim(world, standing(), 2)
    assert within is None
    assert refused is not None
    assert "limit of 2" in refused.detail
    assert refused.retry_after == 3600
    world.now += timedelta(hours=1, seconds=1)
    assert claim(world, standing()) == [None]


def test_a_word_that_many_requests_show_is_opened_once_and_each_is_checked(world: World) -> None:
    asked: list[str] = []

    def officer(name: str) -> bytes | None:
        asked.append(name)
        return public_bytes(world.officer) if name == "officer" else None

    authoriser = Authoriser(officer, world.records, world.clock)
    shown = world.request(single())
    other_key = msgspec.structs.replace(shown, public_key=public_bytes(world.officer))
    forged = msgspec.structs.replace(shown, envelope=msgspec.structs.replace(shown.envelope, signature=b"0"))
    checked = authoriser.check_all([shown, other_key, forged, shown])
    assert [type(one) for one in checked] == [Authorised, DeniedError, DeniedError, Authorised]
    assert asked == ["officer", "officer"]


def test_what_an_officer_signed_is_read_strictly(world: World) -> None:
    def request(encoded: bytes) -> IssueRequest:
        signature = signs(world.officer)(CONTEXT + encoded)
        return IssueRequest(AuthorisationEnvelope(encoded, "officer", signature), SUBSCRIBER)

    for encoded in (b"", b"[]", b"{}", b"{" * 9_000, b"\xff", msgspec.json.encode({"id": "x"})):
        with pytest.raises(MalformedError):
            world.authoriser.check(request(encoded))


def test_an_officers_key_of_another_kind_is_refused(world: World) -> None:
    rsa = MemoryKey(private_key(KeyAlgorithm.RSA_3072, "officer"), KeyAlgorithm.RSA_3072)
    world.authoriser._officers = {"officer": rsa.public_key}.get
    with pytest.raises(DeniedError, match="not signed by"):
        world.authoriser.check(world.request(single()))
