"""``nrmbus trace``: the trace of an event as a waterfall, or the events of a trace."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from nrmbus.auditor.history.outcomes import verdict_of
from nrmbus.auditor.reports.waterfall import Row, milliseconds, tree, waterfall
from nrmbus.auditor.reports.why import Point, Receipt
from nrmbus.bus.errors import BusError
from nrmbus.cli.audit.on_record import Asker
from nrmbus.cli.audit.traced import Registered, Traced, asked_for, history_of, mapping, traced_event, traced_trace
from nrmbus.cli.commands import Commands
from nrmbus.cli.counted import counted
from nrmbus.cli.options import EVENT, AsJson, BusContext, InCase
from nrmbus.cli.shown import utc

app = Commands()

_CLOCK: Final = "Spans have the times of each machine's own clock and are kept for a limited time; the history has the bus's times and is permanent."


@app.register(example="nrmbus trace referral.submitted --case 5f0c1a2b")
def trace(
    event: Annotated[
        str | None,
        typer.Argument(help=EVENT),
    ] = None,
    *,
    trace_id: Annotated[
        str | None,
        typer.Option(
            "--trace",
            metavar="TRACE",
            help="Show the events of this trace instead: its id, or the first 8 digits or more.",
        ),
    ] = None,
    case: InCase = None,
    as_json: AsJson = False,
    asker: Asker,
    context: BusContext,
) -> None:
    """Show which services worked on an event, in which order and for how long: sender, registrar, receivers.

    The question is recorded before anything is shown. Each service keeps its spans on its own machine, for a limited
    time. The history of the event is always shown: when it was recorded and registered, which letters opened, what
    it answers, and which events it caused.
    """
    folder = context.folder
    if (event is None) == (trace_id is None):
        raise BusError("nrmbus trace takes an EVENT, or a trace with --trace TRACE, and not both.")
    if trace_id is not None and case is not None:
        raise BusError("A trace is shown whole, with every case that it touches: leave --case out, or name an EVENT.")
    question = asker.question_offline(folder)
    seen = history_of(folder)
    with question.finding():
        found = traced_trace(folder, seen, trace_id) if trace_id else traced_event(folder, seen, event or "", case)
    question.put(*asked_for(found))
    if as_json:
        typer.echo(json.dumps(mapping(found), indent=2))
        return

    show(found, Console())


# -- as text ---------------------------------------------------------------------------------------------------------


def show(found: Traced, console: Console) -> None:
    """Print the event, the waterfall, and then the history."""
    console.print(_title(found))
    if found.event:
        console.print(Text(f"event {found.event}", "dim"))
    for each in found.traces:
        console.print(Text(f"trace {each}", "dim"))
    rows = waterfall(found.spans)
    if rows:
        _print_rows(rows, found, console)
        _print_missing(found, console)
    else:
        console.print("\nThis machine has no spans of it, or no longer has them; what follows is from the history.")
    for registered in found.registered:
        _print_registered(registered, console, named=found.event is None)
    if not found.readable:
        console.print("\nThe bus does not run, so the history could not be asked: nrmbus up, and ask again.")
    elif not found.registered:
        console.print("\nThe history has no registration of it yet.")
    console.print(Text(f"\n{_CLOCK}", "dim"))


def _title(found: Traced) -> Text:
    if found.event is None:
        events = {each.event for each in found.spans if each.event} | {
            each.entry.registration.id for each in found.registered
        }
        return Text(f"trace of {counted(len(events), 'event')}", "bold")
    made = next((each for each in found.spans if each.event == found.event), None)
    if not found.registered:
        assert made is not None  # noqa: S101 - it was found by a span, if not by the history
        return Text.assemble((made.type, "bold"), " of ", (made.service, "cyan"))
    entry = found.registered[0].entry
    type_ = entry.said.type if entry.said else made.type if made else "event"
    said = entry.registration
    verdict = verdict_of(entry).replace("_", " ")
    return Text.assemble((type_, "bold"), " of ", (said.source, "cyan"), f", {verdict} as number {said.number}")


def _print_rows(rows: list[Row], found: Traced, console: Console) -> None:
    services = len({row.span.service for row in rows})
    first = datetime.fromtimestamp(min(row.span.start for row in rows) / 1e9).astimezone()
    console.print(
        Text(
            f"\n{counted(len(rows), 'span')} of {counted(services, 'service')}, from {first:%Y-%m-%d %H:%M:%S.%f} {first:%Z}",
            "bold",
        )
    )
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    width = max(min(console.width - 74, 40), 8)
    table.add_row("", "", Text("after ms", "dim"), Text("took ms", "dim"), "")
    for row in rows:
        of_it = found.event in (None, row.span.event) or row.linked
        service = Text.assemble((tree(row), "dim"), (row.span.service, "cyan" if of_it else "dim"))
        table.add_row(
            service,
            _step(row, found),
            milliseconds(row.after),
            milliseconds(row.took),
            Text(_bar(row, width), "green" if of_it else "dim"),
        )
    console.print(Padding(table, (0, 0, 0, 1)))


def _step(row: Row, found: Traced) -> Text:
    span, dim = row.span, "" if row.linked or found.event in (None, row.span.event) else "dim"
    text = Text(span.name, dim or "bold")
    if span.type and span.event != found.event:
        text.append(f" {span.type}", dim)
    result = " ".join(each for each in (span.outcome, span.code) if each)
    bad = span.outcome in ("failed", "refused", "quarantined", "not_sent")
    text.append(f" {result}" if result else "", "red" if bad else "dim")
    if row.others:
        text.append(f" with {row.others} other{'s' if row.others > 1 else ''}", "dim")
    if row.lost:
        text.append(" (its parent is not kept here)", "dim")
    return text


def _bar(row: Row, width: int) -> str:
    """Return a bar of 1 to *width* characters."""
    start = min(int(row.left * width), width - 1)
    length = max(min(round(row.width * width), width - start), 0)
    return " " * start + ("█" * length or "▏")


def _print_missing(found: Traced, console: Console) -> None:
    """Print the receivers without a span on this machine: they run elsewhere, were down, or deleted their spans."""
    here = {each.service for each in found.spans if found.event in (None, each.event)}
    due = {
        name
        for registered in found.registered
        if registered.entry.said
        for name in registered.entry.audience.recipients
    }
    if due - here:
        console.print(Text(f" no span here of {', '.join(sorted(due - here))}", "dim"))


def _print_registered(registered: Registered, console: Console, *, named: bool) -> None:
    entry = registered.entry
    title = f"{entry.said.type}, {entry.registration.id}" if named and entry.said else "by the history"
    console.print(Text(f"\n{title}", "bold"))
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, words in _lines(registered):
        table.add_row(name, words)
    console.print(Padding(table, (0, 0, 0, 1)))


def _lines(registered: Registered) -> Sequence[tuple[str, str]]:
    said, registration = registered.entry.said, registered.entry.registration
    place = f"number {registration.number} of partition {registration.partition}"
    code = f" {registration.code} {registration.rule}" if registration.code else ""
    return [
        *([("recorded", f"{utc(said.recordedtime)}, by the desk of {registration.source}")] if said else []),
        (verdict_of(registered.entry).replace("_", " "), f"{utc(registration.time)}, {place}{code}"),
        *((each.state, f"{_receipt(each)}") for each in registered.receipts),
        *([("because of", _point(registered.cause))] if registered.cause else []),
        *(("caused", _point(each)) for each in registered.caused if not each.type.startswith("letter.")),
    ]


def _receipt(receipt: Receipt) -> str:
    if receipt.at is None:
        return f"the letter's receipt of {receipt.agency}"
    return f"{utc(receipt.at.time)}, the letter at {receipt.agency}, number {receipt.at.number}"


def _point(point: Point) -> str:
    return f"{point.type or 'refused'} of {point.source}, number {point.number}, event {point.id}"
