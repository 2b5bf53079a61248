"""``nrmbus why``: the receivers of an event, and the rule behind each receiver and non-receiver."""

import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from nrmbus.cli.audit.on_record import Asker
from nrmbus.cli.commands import Commands
from nrmbus.cli.options import EVENT, AsJson, BusContext, InCase
from nrmbus.cli.shown import short

app = Commands()


@app.register(example="nrmbus why 12 --case 5f0c1a2b")
def why(
    event: Annotated[
        str,
        typer.Argument(help=EVENT),
    ],
    *,
    case: InCase = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Show what was known at this time: a day counts to its end, or a time in UTC."
        ),
    ] = None,
    as_json: AsJson = False,
    asker: Asker,
    context: BusContext,
) -> None:
    """Show who received an event, who did not and by which rule, and what became of it.

    It also shows why an event was refused, which letters opened, who answered, and how long each clock ran that the
    event started. The question is recorded before anything is shown. The history is verified, and no letter is
    opened.
    """
    query = {"kind": "why", "event": event, "case": case, "as_of": as_of}
    explained = asker.question(context.folder).answered(query)["why"]
    if as_json:
        typer.echo(json.dumps(explained, indent=2))
        return

    show(explained, Console())


def show(explained: dict[str, Any], console: Console) -> None:
    """Print the explanation (`nrmbus.auditor.reports.why.mapping`) in sections; empty sections are left out."""
    said, sealed_again, refusal = explained["event"], "sealed_again" in explained, explained.get("refusal")
    version = f" v{said['version']}" if said.get("version", 1) > 1 else ""
    verdict = "sealed again for a changed audience" if sealed_again else said["verdict"]
    title = Text.assemble((f"{said.get('type', 'event')}{version}", "bold"), " of ", (said["source"], "cyan"))
    console.print(title + Text(f", {verdict}"))
    console.print(Text(f"event {said['id']}\ncase  {said['case']}", "dim"))
    place = f"number {said['number']} of partition {said['partition']}"
    console.print(Text(f"{place}, {_time(said['time'])}, by {said['policy']}", "dim"))
    if not explained["policy_known"]:
        console.print("The event was judged by another policy than the Rules that are used here.", style="red")
    if refusal:
        _section(console, "sealed again" if sealed_again else "refused", [(refusal["code"], _because(explained))])
    _section(console, "told", [(each["agency"], _receiver(each)) for each in explained["told"]])
    if not refusal:
        _section(console, "not told", list(_grouped(explained["not_told"])))
    _section(console, "letter", [(each["agency"], _receipt(each)) for each in explained["receipts"]])
    _section(console, "answers", [(each["source"], f"{each['type']}, {_point(each)}") for each in explained["answers"]])
    _section(console, "clocks", [(each["code"], _ran(each)) for each in explained["clocks"]])
    owed = [(each["code"], f"the clock of {each['answerable']}") for each in explained["ended"]]
    _section(console, "ended", owed)
    lifted = [(each["code"], f"the clock of {each['answerable']}, not met") for each in explained["lifted"]]
    _section(console, "lifted", lifted)
    _section(console, "also", [(each["type"] or "refused", _point(each)) for each in explained["also"]])
    console.print(Text(f"\nAs of {_time(explained['as_of'])}, from the verified history; no letter was opened.", "dim"))


def _section(console: Console, title: str, lines: Sequence[tuple[str, str]]) -> None:
    if not lines:
        return
    console.print(Text(f"\n{title}", "bold"))
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", overflow="fold", max_width=28)
    table.add_column(overflow="fold")
    for name, words in lines:
        table.add_row(Text(name), Text(words))
    console.print(Padding(table, (0, 0, 0, 2)))


def _because(explained: dict[str, Any]) -> str:
    refusal = explained["refusal"]
    if "sealed_again" in explained:
        again = explained.get("followed_by")
        came = f"It came again: {again['type'] or 'event'}, {_point(again)}." if again else "It has not come again yet."
        return f"{refusal['sentence']}\n{came}\n{refusal['rule']}, {refusal['article']}"
    beside = f"; by {refusal['because']}, which its sender was not told" if refusal.get("because") else ""
    return f"{refusal['sentence']}\n{refusal['rule']}, {refusal['article']}{beside}"


def _receiver(whom: dict[str, Any]) -> str:
    lines = [whom["sentence"]]
    if later := whom.get("later"):
        lines.append(f"with {later['type']}, {_point(later)}")
    if basis := whom.get("basis"):
        lines.append(_cited(basis, unverified=whom["unverified"]))
    if consent := whom.get("consent"):
        lines.append(f"by {consent['type']}, {_point(consent)}")
    if whom["parts"]:
        lines.append(f"may open: {', '.join(whom['parts'])}")
    return "\n".join(lines)


def _cited(basis: str, *, unverified: bool) -> str:
    return f"{basis} (law not verified)" if unverified else basis


def _grouped(whom: Iterable[dict[str, Any]]) -> Iterable[tuple[str, str]]:
    """Yield the agencies that did not receive the event, one line for each reason."""
    groups: dict[tuple[str, int | None], tuple[list[str], dict[str, Any]]] = {}
    for each in whom:
        if each["code"] != "source":
            consent = each.get("consent")
            key = each["sentence"], consent["number"] if consent else None
            groups.setdefault(key, ([], each))[0].append(each["agency"])
    for agencies, each in groups.values():
        lines = [each["sentence"]]
        if rule := each.get("rule"):
            lines.append(f"{rule}, {_cited(each.get('basis', ''), unverified=each['unverified'])}")
        if consent := each.get("consent"):
            lines.append(f"by {consent['type']}, {_point(consent)}")
        yield ", ".join(agencies), "\n".join(lines)


def _receipt(receipt: dict[str, Any]) -> str:
    at = receipt.get("at")
    if at is None:
        return "no receipt yet: its desk has not said whether the letter opened"
    words = f"could not be opened ({receipt.get('reason')}): the letter counts as not received, and clocks run on"
    if receipt["state"] != "unreadable":
        opened = receipt["state"] == "opened"
        words = "opened" if opened else "kept shut: the person had refused or withdrawn consent by then"
    return f"{words}, {_point(at)}"


_STATES = {
    "runs": "runs",
    "paused": "paused by a question",
    "overdue": "overdue",
    "breached": "breached and still owed",
    "met": "met",
    "met_late": "met, too late",
    "lifted": "lifted",
}


def _ran(clock: dict[str, Any]) -> str:
    due = f"due {_time(clock['due'])}" if clock.get("due") else "no due time while a question is open"
    since = f"{_long(clock['seconds'])} from {_time(clock['start'])}"
    lines = [f"{_STATES[clock['state']]}: {clock['answerable']}, {since}, {due}"]
    if breach := clock.get("breach"):
        lines.append(f"breach said {_point(breach)}")
    if end := clock.get("end"):
        lines.append(f"ended by {end['type']} of {end['source']}, {_point(end)}")
    lines.append(_cited(clock["basis"], unverified=clock["unverified"]))
    return "\n".join(lines)


def _long(seconds: int) -> str:
    """Return a duration in its two largest units."""
    units = [(seconds // 86_400, "d"), (seconds // 3_600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s")]
    first = next((index for index, (count, _) in enumerate(units) if count), len(units) - 1)
    return " ".join(f"{count} {unit}" for count, unit in units[first : first + 2] if count) or "0 s"


def _point(point: dict[str, Any]) -> str:
    return f"number {point['number']}, {_time(point['time'])}"


def _time(time: str) -> str:
    return f"{short(time)} UTC"
