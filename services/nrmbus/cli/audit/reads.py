"""``nrmbus reads``: the readings of a case, from the history and from the desks on this machine."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPException
from typing import Annotated, Any, Final, NamedTuple

import typer
from rich.console import Console

from nrmbus.auditor.web.names import OFF_THE_RECORD
from nrmbus.bus.folder import BusFolder
from nrmbus.cli import local_door
from nrmbus.cli.audit.on_record import Asker
from nrmbus.cli.commands import Commands
from nrmbus.cli.counted import counted
from nrmbus.cli.options import AsJson, BusContext, Case
from nrmbus.cli.shown import numbered_table, short

app = Commands()

_DESK: Final = "desk"
"""Name under which a desk opens a letter automatically for its receipt: nobody reads, and nothing is registered."""

DESK_SECONDS: Final = 35.0
"""Seconds that a desk may take to answer, as in the SDK."""

_Key = tuple[str, str | None, str, str]
"""Reader, event, purpose and part of an opening."""


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
    each difference is printed. If a table has more openings than the answer, the question is asked and recorded once
    more, since letters may have been opened meanwhile. If the auditor's folder is here, readings off the record are
    printed. Exit status: 1 if something was read without a record.
    """
    folder = context.folder
    question = asker.question(folder)
    left = _left(folder)  # before this question, which may be written there itself
    query = {"kind": "reads", "case": case, "agency": agency}
    answer = question.answered(query)
    here = tables_of(folder, answer["case"], agency)
    not_opened, unregistered = _compared(here, answer["registered"])
    if unregistered:  # or registered after the answer was made, and before the tables were read
        answer = question.answered(query)
        _, unregistered = _compared(here, answer["registered"])
    subject, found = answer["case"], answer["registered"]
    unread = int(answer.get("unread", 0))  # an auditor of an earlier release does not say
    differences = marked(folder, [*not_opened, *unregistered])
    unrecorded = [each for each in left.readings if each.pop("subject") == subject and agency in (None, "auditor")]
    if as_json:
        typer.echo(json.dumps(mapping(subject, found, here, differences, unrecorded, unread), indent=2))
    else:
        _print(subject, found, here, differences, answer["events"], agency)
        if unread:
            typer.echo(
                f"{counted(unread, 'event')} of this case cannot be read by the auditor's release: readings may be "
                "missing here. Upgrade the auditor, then ask again."
            )
        for reading in unrecorded:
            typer.echo(
                f"OFF THE RECORD: read at {reading['at']} and not registered ({reading['why']}): auditor, "
                f"{reading['actor']}, {reading['what']}, {reading['purpose']}."
            )
        if left.unreadable:
            typer.echo(
                f"OFF THE RECORD: {counted(left.unreadable, 'line is', 'lines are')} unreadable about such readings of the auditor."
            )
    if unrecorded or left.unreadable or any(each["missing"] == "history" for each in differences):
        raise typer.Exit(1)


class _Left(NamedTuple):
    """Readings off the record that are not registered, and how many lines about such readings are unreadable."""

    readings: list[dict[str, Any]]
    unreadable: int


def _left(folder: BusFolder) -> _Left:
    home = folder.service("auditor")
    if not (home / OFF_THE_RECORD).exists():
        return _Left([], 0)
    # Imported here: on a bus where every reading is recorded, nobody waits for it.
    from nrmbus.auditor.web.offline_log import OffTheRecord  # noqa: PLC0415

    left = OffTheRecord(home).left()
    found = (*left.readings, *left.refused)
    return _Left([each.model_dump(exclude={"kind", "id"}, exclude_none=True) for each in found], left.unreadable)


def tables_of(folder: BusFolder, subject: str, agency: str | None) -> dict[str, list[dict[str, Any]]]:
    """Return the openings of the case by the desk of each agency (or of *agency*); desks that do not answer are left out."""
    names = [each for each in folder.agencies() if agency in (None, each)]

    def rows(name: str) -> list[dict[str, Any]] | None:
        found, after = list[dict[str, Any]](), 0
        with suppress(
            OSError, ValueError, KeyError, HTTPException
        ):  # another machine's, or it is down: the history stands alone
            while True:
                page = f"/v1/cases/{subject}/reads?limit=1000&after={after}"
                status, raw = local_door.asked(folder.agency(name).path, "GET", page, DESK_SECONDS)
                if status != HTTPStatus.OK:
                    return None
                told = json.loads(raw)
                found += told["reads"]
                if told["next"] is None:
                    return found
                after = int(told["next"])
        return None

    with ThreadPoolExecutor(max_workers=8) as asking:
        found = zip(names, asking.map(rows, names), strict=True)
        return {name: each for name, each in found if each is not None}


def _compared(
    here: Mapping[str, Iterable[Mapping[str, Any]]], found: Sequence[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the readings *found* that the tables *here* lack, and the openings there that were not found."""
    every = [each for agency, rows in sorted(here.items()) for each in differing(agency, found, rows)]
    return [each for each in every if each["missing"] == "desk"], [each for each in every if each["missing"] != "desk"]


def differing(
    agency: str, found: Iterable[Mapping[str, Any]], rows: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the readings that were registered and not opened at the desk of *agency*, and those opened there and not registered.

    A desk has each part registered that it opens, and writes a row for each.
    """
    registered: Counter[_Key] = Counter(
        (each["actor"], each.get("event"), each["purpose"], part)
        for each in found
        if each["agency"] == agency and each["what"] == "letter"
        for part in each.get("parts", ())
    )
    opened: Counter[_Key] = Counter(
        (row["who"], row["event"], row["purpose"], row["part"]) for row in rows if row["who"] != _DESK
    )
    differences = []
    for where, more in (("desk", registered - opened), ("history", opened - registered)):
        parts = defaultdict[tuple[str, str | None, str, int], list[str]](list)
        for (who, event, purpose, part), count in sorted(more.items(), key=str):
            parts[who, event, purpose, count].append(part)
        differences += [
            {
                "agency": agency,
                "actor": who,
                "event": event,
                "purpose": purpose,
                "parts": some,
                "missing": where,
                "times": count,
            }
            for (who, event, purpose, count), some in parts.items()
        ]
    return differences


_GONE: Final = {"ledger_lost": "lost its ledger", "ledger_older": "began with an older copy of its ledger"}


def marked(folder: BusFolder, differences: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return *differences* with ``ledger_lost`` or ``ledger_older`` where a desk cannot know what it opened."""
    lost = {}
    for agency in sorted({each["agency"] for each in differences if each["missing"] == "desk"}):
        with suppress(OSError, ValueError, KeyError, HTTPException):
            _, raw = local_door.asked(folder.agency(agency).path, "GET", "/health", DESK_SECONDS)
            health = json.loads(raw)
            lost[agency] = {code: found["noticed"] for code in _GONE if (found := health.get(code))}
    return [each | (lost.get(each["agency"], {}) if each["missing"] == "desk" else {}) for each in differences]


def mapping(
    subject: str,
    found: list[dict[str, Any]],
    here: Mapping[str, list[dict[str, Any]]],
    differences: list[dict[str, Any]],
    unrecorded: list[dict[str, Any]],
    unread: int,
) -> dict[str, Any]:
    """Return the readings as one JSON object."""
    return {
        "case": subject,
        "registered": found,
        "desks": dict(here),
        "differences": differences,
        "off_the_record": unrecorded,
        "unread": unread,
    }


def _print(
    subject: str,
    found: list[dict[str, Any]],
    here: Mapping[str, list[dict[str, Any]]],
    differences: Iterable[Mapping[str, Any]],
    events: Mapping[str, Mapping[str, Any]],
    agency: str | None,
) -> None:
    console = Console()
    console.print(f"case {subject}", style="dim", highlight=False)
    if found:
        table = numbered_table("agency, who", "what, of which event, what for")
        for each in found:
            parts = f": {', '.join(each['parts'])}" if "parts" in each else ""
            what = f"{each['what']}{parts}" + (f"\nof {_event(each['event'], events)}" if "event" in each else "")
            if "read" in each:
                what += f"\nread {short(each['read'])}, off the record then"
            who = f"{each['agency']}\n{each['actor']}"
            table.add_row(str(each["number"]), short(each["at"]), who, f"{what}\nfor {each['purpose']}")
        console.print(table)
    else:
        typer.echo(f"No reading of this case {f'at {agency} ' if agency else ''}is recorded.")
    for name, rows in here.items():
        own = len({row["event"] for row in rows if row["who"] == _DESK})
        if own:
            letters = counted(own, "letter opens", "letters open")
            typer.echo(f"The desk of {name} is here: it tried automatically whether {letters}.")
    for difference in differences:
        typer.echo(_sentence(difference))
    if here and not differences:
        typer.echo("These desks opened for people exactly what was registered.")


def _event(id: str, events: Mapping[str, Mapping[str, Any]]) -> str:
    known = events.get(id)
    return f"{known['type']}, number {known['number']}" if known else f"event {id}"


def _sentence(difference: Mapping[str, Any]) -> str:
    parts = ", ".join(difference["parts"])
    who = (
        f"{difference['agency']}, {difference['actor']}, event {difference['event']} ({parts}), {difference['purpose']}"
    )
    for code, what in _GONE.items():
        if noticed := difference.get(code):
            return f"Registered; the desk {what} ({noticed}), so nobody can say whether it was opened: {who}."
    if difference["missing"] == "desk":
        return f"Registered and then not opened, {difference['times']} times: {who}."
    return f"OFF THE RECORD: opened and never registered, {difference['times']} times: {who}."
