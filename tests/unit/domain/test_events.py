"""The closed list of audit events and its canonical form."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealwright.domain.errors import MalformedError
from sealwright.domain.events import (
    MAX_ENTRY,
    AnyEvent,
    RequestFailed,
    RequestIntended,
    RequestRefused,
    decode_event,
    encode_event,
    timestamp,
)

KINDS: tuple[type[AnyEvent], ...] = AnyEvent.__args__
TAGS = [str(kind.__struct_config__.tag) for kind in KINDS]
MOMENT = "2026-11-23T19:00:00.000001Z"
VALUES: dict[Any, Any] = {str: "a1", int: 7, bool: True, list[str]: ["a", "b"], dict[str, int]: {"denied": 2}}


def filled(kind: type[AnyEvent], *, whole: bool) -> AnyEvent:
    hints = get_type_hints(kind)
    fields = [item for item in msgspec.structs.fields(kind) if whole or item.required]
    values = {item.name: VALUES.get(hints[item.name], 7) for item in fields}
    return kind(**{**values, "time": MOMENT})


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "required"])
@pytest.mark.parametrize("kind", KINDS, ids=TAGS)
def test_an_entry_is_read_as_it_was_written(kind: type[AnyEvent], whole: bool) -> None:
    event = filled(kind, whole=whole)
    entry = encode_event(event)
    assert decode_event(entry) == event
    assert encode_event(decode_event(entry)) == entry


@pytest.mark.parametrize("tag", TAGS)
def test_an_event_is_named_role_subject_action(tag: str) -> None:
    assert re.fullmatch(r"[a-z]+:[a-z]+:[a-z]+", tag)


def test_no_two_events_share_a_name() -> None:
    assert len(set(TAGS)) == len(TAGS)


def test_the_form_of_an_entry_in_old_logs_never_changes() -> None:
    event = RequestFailed(time=MOMENT, intent=41, code="denied")
    assert encode_event(event) == (
        b'{"event":"signing:request:failed","intent":41,"code":"denied","time":"2026-11-23T19:00:00.000001Z"}'
    )


def test_what_was_not_said_is_not_written() -> None:
    entry = encode_event(filled(RequestIntended, whole=False))
    assert b"blind" not in entry
    assert b"retry_of" not in entry


@pytest.mark.parametrize(
    "change",
    [
        (b'":"', b'": "'),  # white space
        (b"denied", b"d\\u0065nied"),  # another spelling of the same text
        (b"}", b',"extra":1}'),
        (b"signing:request:failed", b"signing:request:forgotten"),
        (b"denied", b"\xff"),
        (b"41", b"41.0"),
        (b'"intent":41,"code":"denied"', b'"code":"denied","intent":41'),
        (b'"code":"denied"', b'"code":"denied","code":"denied"'),
    ],
)
def test_an_entry_in_another_form_is_refused(change: tuple[bytes, bytes]) -> None:
    entry = encode_event(RequestFailed(time=MOMENT, intent=41, code="denied"))
    assert entry.replace(*change) != entry
    with pytest.raises(MalformedError):
        decode_event(entry.replace(*change))


@given(noise=st.binary())
def test_noise_is_no_entry(noise: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_event(noise)


def test_an_entry_is_no_longer_than_a_tile_can_carry() -> None:
    def refusal(length: int) -> RequestRefused:
        return RequestRefused(time=MOMENT, principal="ci", code="denied", request="x" * length)

    room = MAX_ENTRY - len(encode_event(refusal(0)))
    assert len(encode_event(refusal(room))) == MAX_ENTRY
    with pytest.raises(MalformedError, match="too long"):
        encode_event(refusal(room + 1))


@given(
    moment=st.datetimes(
        min_value=datetime(1970, 1, 1),  # noqa: DTZ001 - Hypothesis takes bounds without a zone
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7, minutes=30))]),
    )
)
def test_a_time_is_written_in_utc_with_microseconds(moment: datetime) -> None:
    text = timestamp(moment)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text)
    assert datetime.fromisoformat(text) == moment
