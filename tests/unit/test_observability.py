import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog

from sealwright.observability import REDACTED, configure, redact


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_object_with_role_and_utc_time(stream: io.StringIO) -> None:
    configure("keyholder", stream=stream).info("started\nonce", keys=3)
    (event,) = lines(stream)
    time = datetime.fromisoformat(event.pop("time"))
    assert time.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - time) < timedelta(minutes=1)
    assert event == {"event": "started\nonce", "keys": 3, "level": "info", "role": "keyholder"}


def test_the_level_is_a_threshold(stream: io.StringIO) -> None:
    logger = configure("ca", level="warning", stream=stream)
    logger.info("quiet")
    logger.warning("loud")
    assert [event["event"] for event in lines(stream)] == ["loud"]


def test_libraries_log_in_the_same_form(stream: io.StringIO) -> None:
    configure("tsa", stream=stream)
    logging.getLogger("uvicorn.error").warning("port %d is taken", 8443, extra={"token": "abc"})
    (event,) = lines(stream)
    assert (event["event"], event["role"], event["level"]) == ("port 8443 is taken", "tsa", "warning")
    assert event["token"] == REDACTED


def test_an_exception_shows_where_but_no_local_values(stream: io.StringIO) -> None:
    logger = configure("signing", stream=stream)

    def fail(hidden: str) -> None:
        raise ValueError(len(hidden))

    try:
        fail("correct " + "horse")
    except ValueError:
        logger.exception("failed")
    (event,) = lines(stream)
    assert "ValueError: 13" in event["exception"]
    assert "correct horse" not in event["exception"]


@pytest.mark.parametrize(
    "key",
    [
        "passphrase",
        "PIN",
        "token",
        "client_secret",
        "Authorization",
        "signature",
        "private_key",
        "privatekey",
        "cookies",
        "x-api-token",
        "request.signature",
    ],
)
def test_secret_keys_are_redacted_at_any_depth(key: str) -> None:
    event = {"event": "x", key: "value", "inner": {key: b"value", "list": [{key: ["value"]}]}}
    redacted = redact(None, "info", event)
    assert redacted == {
        "event": "x",
        key: REDACTED,
        "inner": {key: REDACTED, "list": [{key: REDACTED}]},
    }


@pytest.mark.parametrize("key", ["pinned", "spin", "tokens_per_second", "key", "signature_count", "secretary"])
def test_other_keys_are_left_alone(key: str) -> None:
    assert redact(None, "info", {key: 1}) == {key: 1}


def test_bytes_show_their_length_only() -> None:
    assert redact(None, "info", {"data": b"abc", "all": (b"a", bytearray(2))}) == {
        "data": "<3 bytes>",
        "all": ["<1 bytes>", "<2 bytes>"],
    }


def test_nesting_is_bounded() -> None:
    deep: list[Any] = []
    deep.append(deep)
    assert "…" in str(redact(None, "info", {"x": deep}))


def test_the_default_stream_is_stderr(stream: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    del stream
    configure("ca").info("hello")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["event"] == "hello"
