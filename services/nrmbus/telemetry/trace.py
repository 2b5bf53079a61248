"""Spans of a message's way: a producer span where it is made, a consumer span in each service that handles it.

The record key is never on a span. Each decision is one trace; cases are joined by ``correlationid``, not by a trace
kept open for months. Spans go out by OTLP when OTEL_EXPORTER_OTLP_ENDPOINT is set, else nowhere.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.propagation import set_span_in_context

_TRACER = trace.get_tracer("nrmbus")
_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])")


def exported() -> bool:
    """Whether spans go anywhere. Where not, the registrar opens none: 25 µs of them would be a fifth of its work."""
    return bool(os.environ.get(_ENDPOINT))


def set_up_trace(service: str) -> None:
    """Name the service on its spans, and export them where OTEL_EXPORTER_OTLP_ENDPOINT says."""
    provider = TracerProvider(resource=Resource.create({"service.name": f"nrmbus.{service}"}))
    if exported():
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - 0.2 s

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=500))
    trace.set_tracer_provider(provider)


def _context(traceparent: str | None) -> SpanContext | None:
    # It may come from an event whose attributes nobody has judged yet: what is not of the form is no parent.
    found = _TRACEPARENT.fullmatch(traceparent or "")
    if found is None:
        return None
    trace_id, span_id, flags = (int(each, 16) for each in found.groups())
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))


def traceparent_of(span: trace.Span) -> str | None:
    """The W3C ``traceparent`` of *span*; none when nothing is being traced."""
    context = span.get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags) & 1:02x}"


def current_traceparent() -> str | None:
    """The ``traceparent`` of the span that is open here; captured into an outbox row when the row is made."""
    return traceparent_of(trace.get_current_span())


@contextmanager
def produced(event_type: str, event_id: str) -> Iterator[str | None]:
    """Open the producer span of an event being made; yields its ``traceparent``, which is signed with the event."""
    attributes = {"messaging.system": "kafka", "nrm.event.type": event_type, "nrm.event.id": event_id}
    with _TRACER.start_as_current_span(f"create {event_type}", kind=SpanKind.PRODUCER, attributes=attributes) as span:
        yield traceparent_of(span)


@contextmanager
def consumed(*, event_type: str, event_id: str, traceparent: str | None, name: str = "process") -> Iterator[None]:
    """Open a consumer span: its parent and its link are the span that made the event."""
    remote = _context(traceparent)
    attributes = {"messaging.system": "kafka", "nrm.event.type": event_type, "nrm.event.id": event_id}
    parent = set_span_in_context(trace.NonRecordingSpan(remote)) if remote else None
    links = [Link(remote)] if remote else []
    with _TRACER.start_as_current_span(
        f"{name} {event_type}",
        context=parent,
        kind=SpanKind.CONSUMER,
        attributes=attributes,
        links=links,
        record_exception=False,  # an exception's text may hold what was put in
        set_status_on_exception=False,
    ):
        yield
