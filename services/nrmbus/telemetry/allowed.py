"""Allow-list of what leaves a service on a span: four attributes, each of a known shape, on the span and on its links.

Whatever else a library or a later line of code puts on a span (attributes, events, an exception's text) is dropped.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Link

TYPE: Final = "nrm.event.type"
EVENT: Final = "nrm.event.id"
OUTCOME: Final = "nrm.outcome"
CODE: Final = "nrm.code"

WORD: Final = re.compile(r"[a-z0-9_]{1,64}")
SHAPES: Final = {
    TYPE: re.compile(r"[a-z_]{1,64}(\.[a-z_]{1,64})*"),
    EVENT: re.compile(r"[0-9A-Za-z-]{1,64}"),
    OUTCOME: WORD,
    CODE: WORD,
}
"""By attribute: the shape of its value."""

_UNKNOWN: Final = "unknown"


def allowed(attributes: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the allowed ones of *attributes*; a type or an id of another shape becomes ``unknown``, since nobody may have judged it."""
    found = {}
    for name, value in (attributes or {}).items():
        shape = SHAPES.get(name)
        if shape is None:
            continue
        if isinstance(value, str) and shape.fullmatch(value):
            found[name] = value
        elif name in (TYPE, EVENT):
            found[name] = _UNKNOWN
    return found


def step_of(span: ReadableSpan) -> str:
    """Return what was done (``create``, ``send``, ``register``, …), which is the span's name."""
    return span.name if WORD.fullmatch(span.name) else _UNKNOWN


class Allowed(SpanExporter):
    """Exporter that hands on to another one what is allowed, and nothing else."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export copies of *spans* that hold what is allowed."""
        return self._exporter.export([_copy(each) for each in spans])

    def shutdown(self) -> None:
        """Shut the other exporter down."""
        self._exporter.shutdown()


def _copy(span: ReadableSpan) -> ReadableSpan:
    attributes = allowed(span.attributes)
    return ReadableSpan(
        name=f"{step_of(span)} {attributes.get(TYPE, '')}".strip(),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={"messaging.system": "kafka", **attributes},
        links=[Link(each.context, allowed(each.attributes)) for each in span.links],
        kind=span.kind,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
