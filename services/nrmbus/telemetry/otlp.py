"""Spans out by OTLP, for whoever has a backend: OpenTelemetry's SDK batches, sends, retries, and drops what is too much."""

from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags

from nrmbus.telemetry.span import Span

EVERY_MS: Final = 500
CLOSE_MS: Final = 1000
"""How long the end of a service may wait for a collector."""

_SCOPE: Final = InstrumentationScope("nrmbus")
_KINDS: Final = {kind.name.lower(): kind for kind in SpanKind}
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


class Exporter:
    """Sends spans of *service* to OTEL_EXPORTER_OTLP_ENDPOINT, from a thread of its own."""

    def __init__(self, service: str) -> None:
        self._resource = Resource.create({"service.name": f"nrmbus.{service}"})
        self._processor = BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=EVERY_MS)

    def keep(self, span: Span) -> None:
        """Send *span* with the next batch."""
        self._processor.on_end(readable(span, self._resource))

    def close(self) -> None:
        """Send what waits, if the collector takes it soon."""
        self._processor.force_flush(CLOSE_MS)
        self._processor.shutdown()  # type: ignore[no-untyped-call]


def readable(span: Span, resource: Resource) -> ReadableSpan:
    """*span* as OpenTelemetry has it. A consumer is linked to what it consumed as well, as messaging conventions ask."""
    consumes = span.kind == "consumer"
    parent = _context(span.trace, span.parent, remote=consumes) if span.parent else None
    links = [Link(_context(*each.split("-"))) for each in span.links]
    if parent is not None and consumes:
        links.insert(0, Link(parent))
    attributes = {
        "messaging.system": "kafka",
        "nrm.event.type": span.type,
        "nrm.event.id": span.event,
        "nrm.outcome": span.outcome,
        "nrm.code": span.code,
    }
    return ReadableSpan(
        name=f"{span.name} {span.type}".strip(),
        context=_context(span.trace, span.id, remote=False),
        parent=parent,
        resource=resource,
        attributes={name: value for name, value in attributes.items() if value},
        links=links,
        kind=_KINDS[span.kind],
        start_time=span.start,
        end_time=span.end,
        instrumentation_scope=_SCOPE,
    )


def _context(trace: str, span: str, *, remote: bool = True) -> SpanContext:
    return SpanContext(int(trace, 16), int(span, 16), is_remote=remote, trace_flags=_SAMPLED)
