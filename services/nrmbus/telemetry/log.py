"""Structured log lines: a static event name, and identifiers from a closed list."""

import json
import logging
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TextIO, cast

from nrmbus.telemetry import counts
from nrmbus.telemetry.plain_structlog import structlog

FIELDS: Final = frozenset(
    {
        "service", "event", "level", "timestamp", "trace_id", "span_id",
        "type", "id", "number", "partition", "outcome", "code", "rule", "milliseconds", "topic", "offset", "size",
        "sha256", "agency", "tick", "count", "port", "pid", "bus", "error", "attempt", "seconds",
    }
)  # fmt: skip
"""The only names a log line may carry. No case reference: who may read logs need not know which case an event is of."""


_ENCODER: Final = json.JSONEncoder(sort_keys=True, default=repr)


def _json(line: MutableMapping[str, Any], **_options: Any) -> str:
    return _ENCODER.encode(line)  # one encoder for all lines: `json.dumps` with options makes one for each


def _only_known_fields(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    unknown = line.keys() - FIELDS
    for name in unknown:  # dropped, not printed: a stray field is where a person's data would leak
        del line[name]
    if unknown:
        line["error"] = "log_field_dropped"
    return line


class _Lines:
    """Standard error, for lines. One that cannot be written, as on a full disk, stops nobody: a service goes on without its log."""

    @staticmethod
    def write(text: str) -> int:
        with suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    @staticmethod
    def flush() -> None:
        with suppress(OSError):
            sys.stderr.flush()


_LINES: Final = _Lines()


class _Here:
    """The service that this process is."""

    service: str = "unknown"


def set_up_log(service: str) -> None:
    """Write JSON lines to standard error; the level is INFO. Third-party loggers stay silent below ERROR."""
    _Here.service = service
    # Libraries format records, keys and exception texts into their messages; only our own lines may say anything.
    logging.basicConfig(level=logging.CRITICAL, handlers=[logging.NullHandler()], force=True)

    def _service(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        line["service"] = service  # not a context variable: threads would not inherit it
        return line

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _service,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
            _only_known_fields,
            structlog.processors.JSONRenderer(_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _LINES)),
        cache_logger_on_first_use=True,
    )


def handled(outcome: str, **fields: Any) -> None:
    """Log and count that one message was handled: *outcome* and identifiers (see `FIELDS`)."""
    counts.count(outcome, fields.get("code"))
    structlog.get_logger().info("handled", outcome=outcome, **fields)


class Handled(Protocol):
    """Function that says that one message was handled, as `handled` does."""

    def __call__(self, outcome: str, /, **fields: Any) -> None:
        """Say *outcome* and identifiers (see `FIELDS`)."""


@contextmanager
def handled_together() -> Iterator[Handled]:
    """Yield a `handled` for many messages: the same line for each, all written at once when the block ends.

    A line takes a fifth of the time, which counts where thousands of messages a second are handled.
    """
    lines: list[str] = []

    def note(outcome: str, /, **fields: Any) -> None:
        counts.count(outcome, fields.get("code"))
        line = {
            "service": _Here.service,
            "event": "handled",
            "level": "info",
            "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "outcome": outcome,
            **fields,
        }
        lines.append(_json(_only_known_fields(None, "info", line)))

    try:
        yield note
    finally:
        if lines:
            _LINES.write("\n".join([*lines, ""]))
            _LINES.flush()


def report(event: str, **fields: Any) -> None:
    """Log that a service did something that is not one message: started, stopped, fenced."""
    structlog.get_logger().info(event, **fields)
