"""From an event to the trace that made it, and back: what the services on this machine still have of it.

The trail never depends on it: spans are kept for a while, by each service for itself, and may be lost without loss of
evidence.
"""

from collections.abc import Iterator
from pathlib import Path

from nrmbus.auditor.history.history import Entry, History
from nrmbus.auditor.reports.waterfall import Row, waterfall, waterfall_html
from nrmbus.auditor.reports.why import Point
from nrmbus.bus.folder import BusFolder
from nrmbus.telemetry.span_file import Span, kept
from nrmbus.wire.names import AUDITOR, REGISTRAR, TIMEKEEPER

__all__ = ["Row", "Span", "spans_of", "spans_of_trace", "waterfall", "waterfall_html"]


def spans_of(folder: BusFolder, event_id: str) -> list[Span]:
    """All spans of the traces in which the event was handled, by their beginning; none where none is kept any more."""
    found = [each for each in _having(folder, event_id) if each.event == event_id]
    return _sorted(span for trace in {each.trace for each in found} for span in spans_of_trace(folder, trace))


def spans_of_trace(folder: BusFolder, trace: str) -> list[Span]:
    """Return all spans of *trace* (32 hex), and those over several events that are linked to it, by their beginning."""
    return _sorted(
        each for each in _having(folder, trace) if each.trace == trace or (not each.event and trace in _linked(each))
    )


def trace_of(entry: Entry) -> str | None:
    """The trace that the event was made in, which its sender signed with it; None of a refused one, and where it says none."""
    traceparent = entry.said.traceparent if entry.said else None
    return traceparent.split("-")[1] if traceparent else None


def of_trace(history: History, trace: str) -> list[Entry]:
    """The registered events that were made in *trace*, or in one that begins so: by what their senders signed, without a span."""
    return [each for each in history.entries if (trace_of(each) or "").startswith(trace)]


def cause_of(history: History, entry: Entry) -> Point | None:
    """What the event answers, by its ``causationid``: the chain beyond the trace."""
    named = _cause(entry)
    case = history.about(entry.registration.subject)
    return next((Point.of(each) for each in case if each.said and each.registration.id == named), None)


def caused_by(history: History, entry: Entry) -> tuple[Point, ...]:
    """What was registered of the same case because of the event, by ``causationid``."""
    case = history.about(entry.registration.subject)
    return tuple(Point.of(each) for each in case if entry.said and _cause(each) == entry.registration.id)


def _cause(entry: Entry) -> str | None:
    return entry.said.attributes.get("ce_causationid") if entry.said else None


def all_spans(folder: BusFolder) -> Iterator[Span]:
    """Every span that is kept, in no order."""
    return _having(folder, "")


def _linked(span: Span) -> Iterator[str]:
    return (each.partition("-")[0] for each in span.links)


def _sorted(spans: Iterator[Span]) -> list[Span]:
    return sorted(spans, key=lambda each: (each.start, each.end, each.id))


def _having(folder: BusFolder, text: str) -> Iterator[Span]:
    """The spans whose line holds *text*: most lines need not be read as JSON."""
    for home in _homes(folder):
        yield from kept(home, text)


def _homes(folder: BusFolder) -> Iterator[Path]:
    yield from (folder.service(name) for name in (REGISTRAR, TIMEKEEPER, AUDITOR))
    yield from (folder.agency(name).path for name in folder.agencies())
