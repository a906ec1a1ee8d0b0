"""Structured logs: one JSON object a line, time in UTC, the process's role; secrets are left out by name."""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

REDACTED: Final = "[redacted]"

# A key is secret if it is, or ends in, one of these words: client_secret, x-api-token, PIN.
_SECRET: Final = re.compile(
    r"(?:.*[^a-z0-9])?(?:passphrase|password|pin|token|secret|authorization|cookie|signature|private_?key)s?",
    re.IGNORECASE | re.DOTALL,
)
_MAX_DEPTH: Final = 8


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace the values of secret keys, at any depth, and bytes by their length (a structlog processor)."""
    return {key: _redacted(key, value, 0) for key, value in event.items()}


def configure(role: str, *, level: str = "info", stream: TextIO | None = None) -> structlog.stdlib.BoundLogger:
    """Send this process's logs, those of libraries too, to a stream (stderr) and return its logger.

    `level` is debug, info, warning, error or critical. Call it once in a process, at its start.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
    ]
    threshold = logging.getLevelNamesMapping()[level.upper()]

    def add_role(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("role", role)
        return event

    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                add_role,
                redact,
                structlog.processors.JSONRenderer(ensure_ascii=True),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(f"sealwright.{role}").bind(role=role)
    return logger


def _redacted(key: object, value: Any, depth: int) -> Any:  # noqa: ANN401 - logs carry values of any kind
    if isinstance(key, str) and _SECRET.fullmatch(key):
        return REDACTED
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, Mapping | list | tuple) and depth >= _MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {str(name): _redacted(name, member, depth + 1) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(None, member, depth + 1) for member in value]
    return value
