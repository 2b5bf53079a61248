"""Spans of one service in files of its own: lines of JSON, bounded, for their owner only.

There are two files, ``spans/spans.jsonl`` and ``spans/spans.1.jsonl``: a full first one replaces the second, so the
oldest spans go first. A line that a kill has torn is skipped.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext

from nrmbus.telemetry.allowed import CODE, EVENT, OUTCOME, SHAPES, TYPE, WORD, allowed, step_of
from nrmbus.telemetry.log import report

FULL: Final = 4 << 20
"""Bytes of one file; a service keeps twice as many at most, some 40,000 spans."""

AT_ONCE: Final = FULL >> 4
"""Bytes after which a file is looked at; it exceeds `FULL` by so many and one line, at most."""

_MEMBERS: Final = {TYPE: "type", EVENT: "event", OUTCOME: "outcome", CODE: "code"}
_TRACE: Final = re.compile(r"[0-9a-f]{32}")
_SPAN: Final = re.compile(r"[0-9a-f]{16}")
_SERVICE: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_LATEST: Final = 2**63 - 1


class Span(NamedTuple):
    """One service's work on one event. Times are nanoseconds since 1970 by the wall clock of its machine.

    ``parent`` is empty at the beginning of a trace. ``links`` name related spans, as ``trace-span``. ``name`` is what was
    done, ``kind`` as OpenTelemetry has it, ``outcome`` and ``code`` the result in the words of the log, or empty. Work on
    several events that says the result of each is read as one span for each of them, linked to the others.
    """

    trace: str
    id: str
    parent: str
    links: tuple[str, ...]
    name: str
    kind: str
    service: str
    start: int
    end: int
    type: str
    event: str
    outcome: str
    code: str


class SpanFile(SpanExporter):
    """Exporter that appends spans below the folder of one service. A service never fails for spans that are lost."""

    def __init__(self, home: Path, service: str) -> None:
        self._path, self._service = home / "spans" / "spans.jsonl", service
        self._failed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Append *spans*; what is not allowed on a span is left out."""
        waiting = b""
        try:
            for each in spans:
                waiting += json.dumps(self._members(each)).encode() + b"\n"
                if len(waiting) > AT_ONCE or each is spans[-1]:
                    self._append(waiting)
                    waiting = b""
        except OSError as error:  # a full disk, or a folder that was taken away
            if not self._failed:
                report("spans_not_kept", error=type(error).__name__)
            self._failed = True
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Do nothing: no file stays open."""

    def _members(self, span: ReadableSpan) -> dict[str, Any]:
        trace, id = _ids(span.context)
        parent = {"parent": _ids(span.parent)[1]} if span.parent else {}
        links = [
            {"trace": of, "span": at, **_named(each.attributes)}
            for each in span.links
            for of, at in [_ids(each.context)]
            if each.context != span.parent  # a consumer is linked to its parent as well
        ]
        return {
            "trace": trace,
            "id": id,
            **parent,
            "name": step_of(span),
            "kind": span.kind.name.lower(),
            "service": self._service,
            "start": span.start_time,
            "end": span.end_time,
            **_named(span.attributes),
            **({"links": links} if links else {}),
        }

    def _append(self, lines: bytes) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Opened again each time: another process of the service may have turned the file meanwhile.
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            os.write(descriptor, b"\n" + lines if torn else lines)
        finally:
            os.close(descriptor)
        if size + len(lines) > FULL:
            self._path.replace(self._path.with_name("spans.1.jsonl"))


def kept(home: Path, text: str = "") -> Iterator[Span]:
    """Return the spans that the service at *home* still has, oldest first; with *text*, of the lines that hold it."""
    wanted = text.encode()
    for name in ("spans.1.jsonl", "spans.jsonl"):
        try:
            content = (home / "spans" / name).read_bytes()
        except OSError:
            continue
        for line in content.splitlines() if wanted in content else ():
            if wanted in line:
                yield from read(line)


def read(line: bytes) -> list[Span]:
    """Return the spans of a *line*; none if it was torn, or a member has another shape. Unknown members are dropped."""
    try:
        body = json.loads(line)
        links = [
            _Linked(f"{_shaped(_TRACE, each['trace'])}-{_shaped(_SPAN, each['span'])}", each)
            for each in body.get("links", ())
        ]
        start, end = (_time(body[name]) for name in ("start", "end"))
        span = Span(
            _shaped(_TRACE, body["trace"]), _shaped(_SPAN, body["id"]), _shaped(_SPAN, body["parent"]) if "parent" in body else "",
            tuple(each.name for each in links), _shaped(WORD, body["name"]), _shaped(WORD, body["kind"]),
            _shaped(_SERVICE, body["service"]), start, end, *_results(body),
        )  # fmt: skip
        return [_of(span, each) for each in links if "event" in each.body] or [span]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []


class _Linked(NamedTuple):
    name: str
    body: Mapping[str, Any]


def _of(span: Span, link: _Linked) -> Span:
    """Return the work of *span* on the event of *link* alone, below the span that made the event."""
    trace, _, maker = link.name.partition("-")
    type_, event, outcome, code = _results(link.body)
    return span._replace(
        trace=trace, id=f"{int(span.id, 16) ^ int(maker, 16):016x}", parent=maker,
        links=tuple(each for each in span.links if each != link.name),
        type=type_, event=event, outcome=outcome, code=code,
    )  # fmt: skip


def _results(body: Mapping[str, Any]) -> tuple[str, str, str, str]:
    type_, event, outcome, code = (
        _shaped(SHAPES[name], body[member]) if member in body else "" for name, member in _MEMBERS.items()
    )
    return type_, event, outcome, code


def _shaped(shape: re.Pattern[str], value: Any) -> str:
    if not isinstance(value, str) or not shape.fullmatch(value):
        raise ValueError(shape.pattern)
    return value


def _time(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _LATEST:
        raise ValueError("time")
    return value


def _named(attributes: Mapping[str, Any] | None) -> dict[str, str]:
    return {_MEMBERS[name]: value for name, value in allowed(attributes).items()}


def _ids(context: SpanContext | None) -> tuple[str, str]:
    return (f"{context.trace_id:032x}", f"{context.span_id:016x}") if context else ("", "")
