"""Spans of a message's way: where an event is made, sent, judged, and in each service that handles it.

The record key is never on a span. Each decision is one trace, over what follows from it automatically; cases are joined
by ``correlationid``, not by a trace that stays open for months. OpenTelemetry's SDK makes the spans, and takes 30 to
40 µs for each; so the registrar, which has thousands of events a second, makes one span for each transaction.
"""

import re
import threading
from collections.abc import Iterable
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    NoOpTracer,
    SpanContext,
    SpanKind,
    TraceFlags,
    Tracer,
    set_span_in_context,
)

from nrmbus import environment
from nrmbus.telemetry.allowed import CODE, EVENT, OUTCOME, TYPE, Allowed
from nrmbus.telemetry.span_file import SpanFile

EVERY_MS: Final = 500
CLOSE_MS: Final = 1000
"""How long the end of a service may wait for a collector."""
WAITING_AT_MOST: Final = 5_000
"""Spans that wait to be written; beyond that the oldest are lost."""
AT_ONCE: Final = 500
"""Spans exported at once."""

_LIMITS: Final = SpanLimits(max_links=10_000)
_TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-0[01]")
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_IDS: Final = RandomIdGenerator()


class _Here:
    """The tracer of this process, and where its spans go."""

    tracer: Tracer = NoOpTracer()
    processors: tuple[SpanProcessor, ...] = ()


_CURRENT: Final[ContextVar[SpanContext | None]] = ContextVar("span", default=None)


class Open:
    """A span that is open inside its ``with``; events made there belong to its trace. An error's text is never on it."""

    __slots__ = ("_before", "_given", "_linked", "_span")

    def __init__(
        self, name: str, kind: SpanKind, parent: SpanContext | None, given: dict[str, str], links: Iterable[Link] = ()
    ) -> None:
        links = tuple(links)
        self._given, self._linked = given, bool(links)
        context = set_span_in_context(NonRecordingSpan(parent), Context()) if parent else Context()
        span = _Here.tracer.start_span(
            name, context, kind, given, links, record_exception=False, set_status_on_exception=False
        )
        # The trace continues through a service that keeps no spans.
        self._span = span if span.is_recording() else NonRecordingSpan(_below(parent))

    def __enter__(self) -> Self:
        self._before = _CURRENT.get()
        _CURRENT.set(self._span.get_span_context())
        return self

    def result(self, outcome: str, code: str | None = None) -> None:
        """Record the result, in the words of the log."""
        self._span.set_attributes({OUTCOME: outcome, CODE: code or ""})

    def judged(self, event_type: str, event_id: str, traceparent: str | None, outcome: str, code: str | None) -> None:
        """Record the result of one of several events, as a link to the span that made the event, if there is one."""
        maker = _parent(traceparent)
        if maker is not None and self._span.is_recording():
            self._span.add_link(maker, {TYPE: event_type, EVENT: event_id, OUTCOME: outcome, CODE: code or ""})
            self._linked = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _CURRENT.set(self._before)  # not by a token: a span may be closed from another task than it was opened in
        if kind is not None:
            self.result("failed")
        if self._linked or self._given:  # else it is a batch of nothing, and is not exported
            self._span.end()

    @property
    def traceparent(self) -> str:
        """Return the span's W3C ``traceparent``; not sampled where nobody keeps the span."""
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{'01' if self._span.is_recording() else '00'}"


def produced(event_type: str, event_id: str) -> Open:
    """Return the span in which an event is made; its ``traceparent`` is signed with the event."""
    return Open("create", SpanKind.PRODUCER, _CURRENT.get(), {TYPE: event_type, EVENT: event_id})


def sent(*, event_type: str, event_id: str, traceparent: str | None) -> Open:
    """Return the span in which an event is sent; its parent is the span that made the event."""
    return Open("send", SpanKind.CLIENT, _parent(traceparent), {TYPE: event_type, EVENT: event_id})


def consumed(*, event_type: str, event_id: str, traceparent: str | None) -> Open:
    """Return a span that handles an event; its parent is the span that made the event."""
    parent = _parent(traceparent)
    # A consumer is linked to what it consumes as well, as OpenTelemetry's conventions for messaging ask.
    links = [Link(parent)] if parent else []
    return Open("process", SpanKind.CONSUMER, parent, {TYPE: event_type, EVENT: event_id}, links)


def joined(name: str, traceparents: Iterable[str | None] = ()) -> Open:
    """Return a span over several events at once: linked to the spans that made them, and in a trace of its own."""
    makers = [found for each in traceparents if (found := _parent(each))] if _Here.processors else []
    return Open(name, SpanKind.INTERNAL, None, {}, [Link(each) for each in makers])


def _below(parent: SpanContext | None) -> SpanContext:
    trace = parent.trace_id if parent else _IDS.generate_trace_id()
    return SpanContext(trace, _IDS.generate_span_id(), is_remote=False)


def _parent(traceparent: str | None) -> SpanContext | None:
    # Some come from events that nobody has judged yet: what is not of the form is no parent.
    found = _TRACEPARENT.fullmatch(traceparent or "")
    context = SpanContext(int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=_SAMPLED) if found else None
    return context if context is not None and context.is_valid else None


def set_up_trace(service: str, home: Path | None = None) -> None:
    """Name *service* on its spans; keep them below *home*, and send them where OTEL_EXPORTER_OTLP_ENDPOINT says."""
    shut_down()
    processors: list[SpanProcessor] = []
    if home is not None and environment.SPANS.get() != "off":
        processors.append(_batches(SpanFile(home, service)))
    if environment.ENDPOINT.get():
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - 0.2 s

        processors.append(_batches(Allowed(OTLPSpanExporter()), _ToCollector))
    _take(service, processors)


def shut_down() -> None:
    """Export what has ended, and wait `CLOSE_MS` at most for a collector; from here on spans go nowhere."""
    processors = _Here.processors
    _take("unknown", [])
    for each in processors:
        each.shutdown()


class _ToCollector(BatchSpanProcessor):
    """Batches for a collector, whose end waits for it `CLOSE_MS` at most.

    The SDK (1.45) has no bound of its own: `force_flush` ignores its timeout, and `shutdown` waits 30 s.
    `test_the_sdk_bounds_no_end_of_its_own` tells when it has one.
    """

    def shutdown(self) -> None:
        """Export what is left, as far as the collector takes it in time; the rest is lost with the process."""
        closing = threading.Thread(target=super().shutdown, name="spans", daemon=True)
        closing.start()
        closing.join(CLOSE_MS / 1000)


def _batches(exporter: SpanExporter, of: type[BatchSpanProcessor] = BatchSpanProcessor) -> SpanProcessor:
    return of(exporter, max_queue_size=WAITING_AT_MOST, schedule_delay_millis=EVERY_MS, max_export_batch_size=AT_ONCE)


def _take(service: str, processors: list[SpanProcessor]) -> None:
    _Here.tracer, _Here.processors = NoOpTracer(), tuple(processors)
    if processors:
        resource = Resource.create({"service.name": f"nrmbus.{service}"})
        provider = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False, span_limits=_LIMITS)
        for each in processors:
            provider.add_span_processor(each)
        _Here.tracer = provider.get_tracer("nrmbus")
