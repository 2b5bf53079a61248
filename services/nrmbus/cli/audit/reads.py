"""``nrmbus reads``: the readings of a case, from the history and from the desks on this machine."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from nrmbus.auditor.history.history import Entry
from nrmbus.auditor.reports.holders import AccessRecord, access_records
from nrmbus.auditor.web.offline_log import OffTheRecord, Unrecorded
from nrmbus.bus.folder import BusFolder
from nrmbus.cli.audit.on_record import Asker
from nrmbus.cli.audit.replay import verified
from nrmbus.cli.commands import Commands
from nrmbus.cli.desk.desks import whole
from nrmbus.cli.health import ask
from nrmbus.cli.options import AsJson, BusContext, Case
from nrmbus.cli.shown import numbered_table, plain
from nrmbus.client import Door, DoorError

app = Commands()

_DESK: Final = "desk"
"""Name under which a desk opens a letter automatically for its receipt: nobody reads, and nothing is registered."""


_Key = tuple[str, str | None, str]
"""Reader, event and purpose of an opening."""


@app.register(example="nrmbus reads --case 5f0c1a2b")
def reads(
    case: Case,
    *,
    agency: Annotated[str | None, typer.Option(metavar="ID", help="Only readings at this agency.")] = None,
    as_json: AsJson = False,
    asker: Asker,
    context: BusContext,
) -> None:
    """List who read a case: what was read, when, and for which purpose.

    The registrar records every reading before it happens; the list comes from that verified history. This question
    is recorded first, too. If an agency's desk is on this machine, its own table is compared with the history, and
    each difference is printed. If the auditor's folder is here, readings off the record are printed. Exit status: 1
    if something was read without a record.
    """
    folder = context.folder
    question = asker.question(folder)
    left = OffTheRecord(folder.service("auditor")).left()  # before this question, which may be written there itself
    seen = verified(folder)
    with question.finding():
        subject = whole(case, seen.history.spoken_of())
    question.put("case", subject)
    found = [each for each in access_records(seen.history.about(subject)) if agency in (None, each.agency)]
    here = asyncio.run(tables_of(folder, subject, agency))
    differences = [each for other, rows in sorted(here.items()) for each in differing(other, found, rows)]
    differences = asyncio.run(marked(folder, differences))
    unrecorded = [
        each for each in (*left.readings, *left.refused) if each.subject == subject and agency in (None, "auditor")
    ]
    if as_json:
        typer.echo(json.dumps(mapping(subject, found, here, differences, unrecorded), indent=2))
    else:
        read = {entry.registration.id: entry for entry in seen.history.about(subject)}
        _print(subject, found, here, differences, read)
        for reading in unrecorded:
            typer.echo(
                f"OFF THE RECORD: read at {reading.at} and not registered ({reading.why}): auditor, {reading.actor}, "
                f"{reading.what}, {reading.purpose}."
            )
        if left.unreadable:
            typer.echo(f"OFF THE RECORD: {left.unreadable} lines about such readings of the auditor are unreadable.")
    if unrecorded or left.unreadable or any(each["missing"] == "history" for each in differences):
        raise typer.Exit(1)


async def tables_of(folder: BusFolder, subject: str, agency: str | None) -> dict[str, list[dict[str, Any]]]:
    """Return the openings of the case by the desk of each agency (or of *agency*); desks that do not answer are left out."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name in folder.agencies():
        if agency not in (None, name):
            continue
        try:
            async with Door.of(folder.agency(name).path) as door:
                found[name] = list((await door.get(f"/v1/cases/{subject}/reads"))["reads"])
        except DoorError:  # another machine's, or it is down: the history stands alone
            continue
    return found


def differing(agency: str, found: Iterable[AccessRecord], rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the readings that were registered and not opened at the desk of *agency*, and those opened there and not registered."""
    registered: Counter[_Key] = Counter(
        (each.actor, each.event, each.purpose) for each in found if each.agency == agency and each.what == "letter"
    )
    by_part = Counter((row["who"], row["event"], row["purpose"], row["part"]) for row in rows if row["who"] != _DESK)
    opened: Counter[_Key] = Counter()
    for (who, event, purpose, _), count in by_part.items():
        opened[who, event, purpose] = max(opened[who, event, purpose], count)
    places = (("desk", registered - opened), ("history", opened - registered))
    return [
        {"agency": agency, "actor": who, "event": event, "purpose": purpose, "missing": where, "times": count}
        for where, more in places
        for (who, event, purpose), count in sorted(more.items(), key=str)
    ]


async def marked(folder: BusFolder, differences: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return *differences* with ``ledger_lost`` where a desk cannot know what it opened, since it lost its ledger."""
    lost = {}
    for agency in sorted({each["agency"] for each in differences if each["missing"] == "desk"}):
        if found := (await ask(folder, agency) or {}).get("ledger_lost"):
            lost[agency] = {"ledger_lost": found["noticed"]}
    return [each | (lost.get(each["agency"], {}) if each["missing"] == "desk" else {}) for each in differences]


def mapping(
    subject: str,
    found: Iterable[AccessRecord],
    here: Mapping[str, list[dict[str, Any]]],
    differences: list[dict[str, Any]],
    unrecorded: Iterable[Unrecorded] = (),
) -> dict[str, Any]:
    """Return the readings as one JSON object."""
    rows = [
        {
            "number": each.number,
            "at": each.at,
            "agency": each.agency,
            "actor": each.actor,
            "what": each.what,
            "purpose": each.purpose,
            "parts": each.parts or None,
            "event": each.event,
            "read": each.off_record,
        }
        for each in found
    ]
    off = [each.model_dump(exclude={"kind", "id", "subject"}, exclude_none=True) for each in unrecorded]
    return {
        "case": subject,
        "registered": plain(rows),
        "desks": dict(here),
        "differences": differences,
        "off_the_record": off,
    }


def _print(
    subject: str,
    found: list[AccessRecord],
    here: Mapping[str, list[dict[str, Any]]],
    differences: Iterable[Mapping[str, Any]],
    read: Mapping[str, Entry],
) -> None:
    console = Console()
    console.print(f"case {subject}", style="dim", highlight=False)
    if found:
        table = numbered_table("agency, who", "what, of which event, what for")
        for each in found:
            parts = f": {', '.join(each.parts)}" if each.parts else ""
            what = f"{each.what}{parts}" + (f"\nof {_event(read.get(each.event), each.event)}" if each.event else "")
            if each.off_record:
                what += f"\nread {each.off_record:%Y-%m-%d %H:%M}, off the record then"
            at = each.at.strftime("%Y-%m-%d %H:%M")
            table.add_row(str(each.number), at, f"{each.agency}\n{each.actor}", f"{what}\nfor {each.purpose}")
        console.print(table)
    else:
        typer.echo("No reading of this case is recorded.")
    for name, rows in here.items():
        own = len({row["event"] for row in rows if row["who"] == _DESK})
        if own:
            letters = "1 letter opens" if own == 1 else f"{own} letters open"
            typer.echo(f"The desk of {name} is here: it tried automatically whether {letters}.")
    for difference in differences:
        typer.echo(_sentence(difference))
    if here and not differences:
        typer.echo("These desks opened for people exactly what was registered.")


def _event(entry: Entry | None, id: str) -> str:
    if entry is None or entry.event is None:
        return f"event {id}"
    return f"{entry.event.type}, number {entry.registration.number}"


def _sentence(difference: Mapping[str, Any]) -> str:
    who = f"{difference['agency']}, {difference['actor']}, event {difference['event']}, {difference['purpose']}"
    if lost := difference.get("ledger_lost"):
        return f"Registered; the desk lost its ledger ({lost}), so nobody can say whether it was opened: {who}."
    if difference["missing"] == "desk":
        return f"Registered and then not opened, {difference['times']} times: {who}."
    return f"OFF THE RECORD: opened and never registered, {difference['times']} times: {who}."
