"""Spans of a message's way: where an event is made, sent, judged, and in each service that handles it.

The record key is never on a span. Each decision is one trace, over what follows from it by itself; cases are joined by
``correlationid``, not by a trace kept open for months. OpenTelemetry's SDK takes 40 µs a span, a third of a registrar's
work; what is here takes 3, and becomes OpenTelemetry's span only where one goes out (`otlp`).
"""

import os
import re
import secrets
import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from nrmbus.telemetry.keeper import Keeper
from nrmbus.telemetry.span import Span, event_shaped, type_shaped, word_shaped

SPANS: Final = "NRMBUS_SPANS"
"""Environment variable: ``off`` keeps no spans on this machine."""
ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-0[01]")
_NONE: Final = re.compile(r"0+")


class Sink(Protocol):
    """Where spans go when they have ended."""

    def keep(self, span: Span) -> None:
        """Take *span*; may lose it, may not block or raise."""

    def close(self) -> None:
        """Have out what was taken."""


class _Here:
    """What this process says about itself."""

    service = "unknown"
    sinks: tuple[Sink, ...] = ()
    keep: tuple[Callable[[Span], None], ...] = ()


_CURRENT: Final[ContextVar["Open | None"]] = ContextVar("span", default=None)


class Open:
    """A span that is open inside its ``with``; what happens there belongs to it. An error's text is never on it."""

    __slots__ = ("_before", "_kind", "_links", "_name", "_parent", "_start", "_what", "code", "id", "outcome", "trace")

    def __init__(
        self, name: str, kind: str, what: tuple[str, str], parent: tuple[str, str] | None, links: tuple[str, ...] = ()
    ) -> None:
        self.trace, self._parent = parent or (secrets.token_hex(16), "")
        self.id, self._name, self._kind, self._what, self._links = secrets.token_hex(8), name, kind, what, links
        self.outcome = self.code = ""

    def __enter__(self) -> Self:
        self._before = _CURRENT.get()
        _CURRENT.set(self)
        self._start = time.time_ns()
        return self

    def said(self, outcome: str, code: str | None = None) -> None:
        """Say what came of it, in the words of the log; what is no word of ours is left out."""
        self.outcome = outcome if word_shaped(outcome) else ""
        self.code = code if code and word_shaped(code) else ""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _CURRENT.set(self._before)  # not by a token: a span may be closed from another task than it was opened in
        if not _Here.keep or not (self._what[1] or self._links):  # a batch of nothing
            return
        span = Span(
            self.trace, self.id, self._parent, self._links, self._name, self._kind, _Here.service,
            self._start, time.time_ns(), *self._what, "failed" if kind else self.outcome, self.code,
        )  # fmt: skip
        for keep in _Here.keep:
            keep(span)

    @property
    def traceparent(self) -> str:
        """Its W3C ``traceparent``; not sampled where nobody keeps it."""
        return f"00-{self.trace}-{self.id}-{'01' if _Here.keep else '00'}"


def produced(event_type: str, event_id: str) -> Open:
    """The span in which an event is made; its ``traceparent`` is signed with the event."""
    within = _CURRENT.get()
    return Open("create", "producer", _what(event_type, event_id), (within.trace, within.id) if within else None)


def consumed(
    *, event_type: str, event_id: str, traceparent: str | None, name: str = "process", kind: str = "consumer"
) -> Open:
    """A span that handles an event; its parent is the span that made the event."""
    return Open(name, kind, _what(event_type, event_id), _parent(traceparent))


def joined(name: str, traceparents: Iterable[str | None]) -> Open:
    """A span over several events at once: linked to the spans that made them, and in a trace of its own."""
    makers = [found for each in traceparents if (found := _parent(each))] if _Here.keep else []
    return Open(name, "internal", ("", ""), None, tuple([f"{trace}-{span}" for trace, span in makers]))


def _what(event_type: str, event_id: str) -> tuple[str, str]:
    # Some come from events that nobody has judged yet: what is not of the form is not written down.
    return event_type if type_shaped(event_type) else "unknown", event_id if event_shaped(event_id) else "unknown"


def _parent(traceparent: str | None) -> tuple[str, str] | None:
    # Likewise: what is not of the form is no parent.
    found = _TRACEPARENT.fullmatch(traceparent or "")
    if found is None or _NONE.fullmatch(found[1]) or _NONE.fullmatch(found[2]):
        return None
    return found[1], found[2]


def set_up_trace(service: str, home: Path | None = None) -> None:
    """Name *service* on its spans; keep them below *home*, and send them where OTEL_EXPORTER_OTLP_ENDPOINT says."""
    shut_down()
    sinks: list[Sink] = []
    if home is not None and os.environ.get(SPANS) != "off":
        sinks.append(Keeper(home))
    if os.environ.get(ENDPOINT):
        from nrmbus.telemetry.otlp import Exporter  # noqa: PLC0415 - 0.2 s

        sinks.append(Exporter(service))
    _Here.service, _Here.sinks = service, tuple(sinks)
    _Here.keep = tuple(each.keep for each in sinks)


def shut_down() -> None:
    """Have out what ended before; from here on spans go nowhere."""
    sinks, _Here.sinks, _Here.keep = _Here.sinks, (), ()
    for each in sinks:
        each.close()
