"""Traces of events: from an event to its trace and back, with the spans that the services on this machine still have.

Evidence never depends on spans: each service keeps its own for a while, and they may be lost.
"""

from collections.abc import Iterator

from nrmbus.auditor.history.history import Entry, History
from nrmbus.auditor.reports.why import Point
from nrmbus.bus.folder import BusFolder
from nrmbus.directory.admission import home_of
from nrmbus.telemetry.span_file import Span, kept
from nrmbus.wire.names import AUDITOR, REGISTRAR, TIMEKEEPER


def spans_of(folder: BusFolder, event_id: str) -> list[Span]:
    """Return all kept spans of the traces in which the event was handled, by their beginning."""
    found = [each for each in _having(folder, event_id) if each.event == event_id]
    return _sorted(span for trace in {each.trace for each in found} for span in spans_of_trace(folder, trace))


def spans_of_trace(folder: BusFolder, trace: str) -> list[Span]:
    """Return all spans of *trace* (32 hex), and those over several events that are linked to it, by their beginning."""

    def linked(span: Span) -> bool:
        return not span.event and any(each.partition("-")[0] == trace for each in span.links)

    return _sorted(each for each in _having(folder, trace) if each.trace == trace or linked(each))


def trace_of(entry: Entry) -> str | None:
    """Return the trace of the event, which its sender signed; None for a refusal, and for an event without a trace."""
    traceparent = entry.said.traceparent if entry.said else None
    return traceparent.split("-")[1] if traceparent else None


def of_trace(history: History, trace: str) -> list[Entry]:
    """Return the registered events whose signed trace begins with *trace*; no span is needed."""
    return [each for each in history.entries if (trace_of(each) or "").startswith(trace)]


def cause_of(history: History, entry: Entry) -> Point | None:
    """Return the event that *entry* answers, by its ``causationid``: the chain beyond the trace."""
    named = _cause(entry)
    case = history.about(entry.registration.subject)
    return next((Point.of(each) for each in case if each.said and each.registration.id == named), None)


def caused_by(history: History, entry: Entry) -> tuple[Point, ...]:
    """Return the registrations of the same case that name *entry* as their cause, by ``causationid``."""
    case = history.about(entry.registration.subject)
    return tuple(Point.of(each) for each in case if entry.said and _cause(each) == entry.registration.id)


def _cause(entry: Entry) -> str | None:
    return entry.said.attributes.get("ce_causationid") if entry.said else None


def all_spans(folder: BusFolder) -> Iterator[Span]:
    """Yield every kept span, in no order."""
    return _having(folder, "")


def _sorted(spans: Iterator[Span]) -> list[Span]:
    return sorted(spans, key=lambda each: (each.start, each.end, each.id))


def _having(folder: BusFolder, text: str) -> Iterator[Span]:
    """Yield the spans whose line contains *text*, so that most lines are never parsed."""
    for name in (REGISTRAR, TIMEKEEPER, AUDITOR, *folder.agencies()):
        yield from kept(home_of(folder, name), text)
