"""``nrmbus replay``: the history of a case once more, verified, as of any moment."""

import asyncio
import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from nrmbus.cli.options import DEFAULT_BUS, Bus, Data, folder_of

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from nrmbus.cli.auditing import Audited
    from nrmbus.play.history import Entry

_WIDE: Final = 110
"""From so many columns on, a row has a column for each thing it says."""


def replay(
    *,
    case: Annotated[
        str | None, typer.Option(metavar="REF", help="This case alone: its reference, or the first digits.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(metavar="TIME", help="What was registered up to then, like 2026-03-02T09:00:00Z.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    data: Data = None,
    bus: Bus = DEFAULT_BUS,
) -> None:
    """Replay the history of a case, or of all: what was registered and refused, by which rule, and who was told.

    Every signature is verified, of registrar and of senders, and that no number is missing; letters stay sealed.
    """
    from nrmbus.cli.auditing import audited
    from nrmbus.cli.desks import whole

    moment = _moment(as_of)
    seen = asyncio.run(audited(folder_of(data, bus)))
    chosen = [whole(case, seen.subjects)] if case else [each for each in seen.subjects if seen.of(each, moment)]
    cases = {subject: seen.of(subject, moment) for subject in chosen}
    if as_json:
        body = {"verified": len(seen.history.entries), "cases": [_mapping(seen, *each) for each in cases.items()]}
        typer.echo(json.dumps(body, indent=2))
        return
    for subject, entries in cases.items():
        _print_case(seen, subject, entries)
    numbers = len(seen.history.entries)
    if not numbers:
        typer.echo("Nothing was registered on this bus yet.")
        return
    kept = "" if seen.partitions == 1 else f" in {seen.partitions} partitions"
    typer.echo(
        f"Verified: {numbers} registrations{kept}, each signed by the registrar and chained to the one before, no number\n"
        "missing; every event signed by its sender with a key of the directory."
    )


def _moment(text: str | None) -> datetime | None:
    from nrmbus.bus.errors import BusError
    from nrmbus.wire import times

    moment = times.read(text) if text is not None else None
    if text is not None and moment is None:
        raise BusError("--as-of wants a time in UTC, to the second: 2026-03-02T09:00:00Z.")
    return moment


def _mapping(seen: "Audited", subject: str, entries: "list[Entry]") -> dict[str, Any]:
    from nrmbus.wire import times

    view = seen.view(subject, entries)
    history = []
    for entry in entries:
        said = entry.registration
        row = {
            "number": said.number,
            "partition": said.partition,
            "time": times.write(said.time),
            "source": said.source,
            "id": said.id,
            "type": entry.said.type if entry.said else None,
            "version": entry.said.version if entry.said else None,
            "unknown": True if entry.said and not entry.event else None,
            "verdict": said.verdict,
            "code": said.code,
            "rule": said.rule,
            "article": said.article,
            "told": list(entry.audience.recipients) if entry.said else None,
        }
        history.append({name: value for name, value in row.items() if value is not None})
    clocks = [
        {"code": clock.code, "due": times.write(clock.due) if clock.due else None} for clock in seen.rules.clocks(view)
    ]
    return {"case": subject, "status": view.status, "open_deadlines": clocks, "history": history}


def _print_case(seen: "Audited", subject: str, entries: "list[Entry]") -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    view = seen.view(subject, entries)
    console.print(Text.assemble(("case ", "dim"), (subject, "bold"), *([f"  {view.status}"] if view.status else [])))
    if entries:
        console.print(_table(seen, entries, wide=console.width >= _WIDE))
    else:
        console.print("Nothing was registered of it by then.")
    for clock in seen.rules.clocks(view):
        console.print(Text(f"runs: {clock.code}" + (f", due {clock.due:%Y-%m-%d %H:%M} UTC" if clock.due else "")))
    console.print()


def _table(seen: "Audited", entries: "list[Entry]", *, wide: bool) -> "Table":
    """The rows; where there is little room, verdict and who was told stand below the type."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("no.", justify="right", style="dim", no_wrap=True)
    table.add_column("time (UTC)", no_wrap=True)
    table.add_column("who", style="cyan", overflow="fold")
    for title in ("type", "verdict", "told") if wide else ("type, verdict, told",):
        table.add_column(title, overflow="fold")
    for entry in entries:
        said = entry.registration
        number = str(said.number) if seen.partitions == 1 else f"{said.partition}/{said.number}"
        told = ", ".join(entry.audience.recipients) if entry.said else ""
        cells = [
            _type(entry),
            Text.assemble(said.verdict, *(f" {each}" for each in (said.code, said.rule) if each), _article(entry)),
            Text(told or "nobody", "" if told else "dim"),
        ]
        if not wide:
            cells = [Text("\n").join([*cells[:2], Text("told ", "dim") + cells[2]] if entry.said else [cells[1]])]
        table.add_row(number, f"{said.time:%Y-%m-%d %H:%M}", said.source, *cells)
    return table


def _type(entry: "Entry") -> "Text":
    from rich.text import Text

    if entry.said is None:
        return Text("not kept, as it was refused", "dim")
    version = f" v{entry.said.version}" if entry.said.version > 1 else ""
    unknown = "" if entry.event else "\nthis release cannot read it: upgrade to replay the case to its end"
    return Text.assemble((f"{entry.said.type}{version}", "bold"), (unknown, "red"))


def _article(entry: "Entry") -> "Text":
    from rich.text import Text

    return Text(f"\n{entry.registration.article}" if entry.registration.article else "", style="dim")
