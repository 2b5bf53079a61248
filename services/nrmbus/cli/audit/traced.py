"""Contents of a trace, in every form: the spans of an event or a trace, and its history."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from nrmbus.auditor.history.history import Audited, Entry
from nrmbus.auditor.history.selection import NoSuchEvent, found_event
from nrmbus.auditor.reports.replayed import row_of
from nrmbus.auditor.reports.traces import all_spans, cause_of, caused_by, of_trace, spans_of, spans_of_trace, trace_of
from nrmbus.auditor.reports.waterfall import waterfall
from nrmbus.auditor.reports.why import Point, Receipt, explain
from nrmbus.bus.errors import BusError, NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.references import whole
from nrmbus.cli.audit.on_record import What
from nrmbus.cli.audit.own_reading import verified
from nrmbus.telemetry.span_file import Span
from nrmbus.wire import times

LEAST: Final = 8
"""An event or a trace may be given by so many of its first characters, or more."""


@dataclass(frozen=True, slots=True)
class Registered:
    """The history's facts about one event of a trace."""

    entry: Entry
    receipts: tuple[Receipt, ...]
    cause: Point | None
    caused: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Traced:
    """An event or a whole trace. ``event``: the one that was asked for; ``registered``: by the history, empty where it is silent.

    ``readable``: whether the history could be asked.
    """

    event: str | None
    traces: tuple[str, ...]
    spans: list[Span]
    registered: tuple[Registered, ...]
    readable: bool


def traced_event(folder: BusFolder, seen: Audited | None, event: str, case: str | None) -> Traced:
    """Return the known facts of an event, named as for `found_event`, of *case* if given.

    The spans answer alone for an event unknown to the history. *seen* is None if the history could not be asked. Spans
    name no case, so with a case only the history answers, if it can be asked.

    Raises:
        BusError: the name matches no event, or several.
    """
    entry, missing = None, BusError("No span of this is kept here, and the bus does not run: nrmbus up, and ask again.")
    if seen is not None:
        subject = whole(case, seen.history.spoken_of()) if case is not None else None
        try:
            entry = found_event(seen.history, event, subject)
        except NoSuchEvent as error:
            if case is not None:
                raise
            missing = error  # it may have been made and not registered yet
    id = entry.registration.id if entry else _event_of(folder, event)
    if id is None:
        raise missing
    if seen is not None and entry is None:
        with suppress(NoSuchEvent):  # a refusal keeps no type, by which a span found it
            entry = found_event(seen.history, id, None)
    spans = spans_of(folder, id)
    signed = trace_of(entry) if entry else None
    made = [each.trace for each in spans if each.event == id]
    traces = dict.fromkeys([*([signed] if signed else []), *made])
    registered = (_registered(seen, entry),) if seen and entry else ()
    return Traced(id, tuple(traces), spans, registered, seen is not None)


def traced_trace(folder: BusFolder, seen: Audited | None, trace: str) -> Traced:
    """Return everything about the trace that begins with *trace*; *seen* as in `traced_event`.

    Raises:
        BusError: none does, or several.
    """
    if len(trace) < LEAST:
        raise BusError(f"--trace wants the first {LEAST} digits of a trace, or more.")
    entries = of_trace(seen.history, trace) if seen else []
    named = {found for each in entries if (found := trace_of(each))}
    named |= {each.trace for each in all_spans(folder) if each.trace.startswith(trace) and each.event}
    if len(named) != 1:
        many = "More than one trace begins so: give more of it."
        none = "Neither history nor spans have this trace; nrmbus trace EVENT names the one of an event."
        raise BusError(many if named else none)
    (only,) = named
    registered = tuple(_registered(seen, each) for each in entries) if seen else ()
    return Traced(None, (only,), spans_of_trace(folder, only), registered, seen is not None)


def asked_for(found: Traced) -> tuple[What, str | None, str | None]:
    """Return the record's subject with case and event: an event, the case of several, or events of several cases."""
    events = {each.entry.registration.id for each in found.registered} | {
        each.event for each in found.spans if each.event
    }
    events = {found.event} if found.event else events
    cases = {each.entry.registration.subject for each in found.registered}
    case = next(iter(cases)) if len(cases) == 1 else None
    if len(events) == 1 and len(cases) <= 1:
        return "event", case, events.pop()
    return ("case", case, None) if case else ("search", None, None)


def history_of(folder: BusFolder) -> Audited | None:
    """Return the history, or None while the bus does not run; the spans are in its folder anyway."""
    folder.settings  # noqa: B018 - raises where no bus was made
    try:
        folder.bootstrap  # noqa: B018 - raises where none runs
    except NoBus:
        return None
    return verified(folder)


def _event_of(folder: BusFolder, event: str) -> str | None:
    """Return the event *event* by the spans alone: an id or the beginning of an id, or a type (the last such event)."""
    if "." in event:
        of_type = [each for each in all_spans(folder) if each.type == event.removeprefix("nrm.")]
        return max(of_type, key=lambda each: each.start).event if of_type else None
    found = {each.event for each in all_spans(folder) if each.event.startswith(event)} if len(event) >= LEAST else set()
    if len(found) > 1:
        raise BusError("More than one event here is meant: give more of its id.")
    return found.pop() if found else None


def _registered(seen: Audited, entry: Entry) -> Registered:
    receipts = explain(seen, entry, seen.history.entries[-1].registration.time).receipts
    return Registered(entry, receipts, cause_of(seen.history, entry), caused_by(seen.history, entry))


# -- as JSON ---------------------------------------------------------------------------------------------------------


def mapping(found: Traced) -> dict[str, Any]:
    """Return one JSON object without the fields that do not apply. Times of spans are nanoseconds since 1970 by the wall's clock."""
    rows = [
        {
            **{name: value for name, value in row.span._asdict().items() if value},
            "depth": row.depth,
            "after_ms": round(row.after, 3),
            "took_ms": round(row.took, 3),
        }
        for row in waterfall(found.spans)
    ]
    event = {"event": found.event} if found.event else {}
    return {
        **event,
        "traces": found.traces,
        "spans": rows,
        "history": [_history_of(each) for each in found.registered] if found.readable else None,
    }


def _history_of(registered: Registered) -> dict[str, Any]:
    said = registered.entry.said
    return {
        "case": registered.entry.registration.subject,
        **row_of(registered.entry),
        **({"recorded": times.write(said.recordedtime)} if said else {}),
        "receipts": [
            {"agency": each.agency, "state": each.state, **({"at": _place(each.at)} if each.at else {})}
            for each in registered.receipts
        ],
        **({"cause": _place(registered.cause)} if registered.cause else {}),
        "caused": [_place(each) for each in registered.caused],
    }


def _place(point: Point) -> dict[str, Any]:
    return {
        "id": point.id, "type": point.type, "source": point.source, "partition": point.partition,
        "number": point.number, "time": times.write(point.time),
    }  # fmt: skip
