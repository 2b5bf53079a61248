"""Spans for tests: what this process makes, and files of spans as a service would have left them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from nrmbus.telemetry import trace
from nrmbus.telemetry.span_file import Span, SpanFile, read


class _Recorder(SpanProcessor):
    def __init__(self, spans: list[Span]) -> None:
        self._spans, self._file = spans, SpanFile(Path(), "unknown")

    def on_end(self, span: ReadableSpan) -> None:
        """Read *span* as it would be read from its file."""
        self._spans += read(json.dumps(self._file._members(span)).encode())


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Span]:
    """Return the list to which every span that ends is added, until the test ends."""
    spans: list[Span] = []
    monkeypatch.setattr(trace._Here, "tracer", trace._Here.tracer)
    monkeypatch.setattr(trace._Here, "processors", trace._Here.processors)
    trace._take("unknown", [_Recorder(spans)])
    return spans


def line_of(span: Span | Mapping[str, Any]) -> bytes:
    """Return the line that a service writes for *span*, or for the members of one."""
    if isinstance(span, Span):
        members = {name: value for name, value in span._asdict().items() if value or name in ("start", "end")}
        links = [dict(zip(("trace", "span"), each.split("-"), strict=True)) for each in span.links]
        span = members | ({"links": links} if links else {})
    return json.dumps(span).encode() + b"\n"


def leave(home: Path, *spans: Span | Mapping[str, Any]) -> None:
    """Add *spans* to the file of the service at *home*."""
    path = home / "spans" / "spans.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.writelines(line_of(each) for each in spans)
