"""``nrmbus retention``: which closed cases are kept until when, and which envelopes leave the history."""

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nrmbus.cli.on_record import As, For, Off, Purpose
from nrmbus.cli.options import DEFAULT_BUS, Bus, Data, folder_of

if TYPE_CHECKING:
    from nrmbus.auditor.history import Audited

app = typer.Typer(
    help="Closed cases, how long they are kept by the profile's years, and what goes then.", no_args_is_help=True
)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command(epilog="Example: nrmbus retention due")
def due(
    *,
    as_json: AsJson = False,
    name: As = None,
    purpose: For = Purpose.audit,
    off_the_record: Off = False,
    data: Data = None,
    bus: Bus = DEFAULT_BUS,
) -> None:
    """List the closed cases: until when each is kept, what holds it, and which are over. Changes nothing.

    What is asked goes on record first. Of a case that is over the timekeeper has told all who hold it to erase it, and its
    envelopes leave the history.
    """
    from nrmbus.auditor.history import audited
    from nrmbus.cli.on_record import asked

    folder = folder_of(data, bus)
    question = asked(folder, name, purpose, off=off_the_record)
    seen = asyncio.run(audited(folder, signatures="last"))
    question.put("search")
    cases = [found for each in seen.history.subjects() if (found := _case(seen, each)) is not None]
    if as_json:
        typer.echo(json.dumps({"cases": cases}, indent=2))
        return
    for case in cases:
        typer.echo(_line(case))
    due = sum(case.get("envelopes", 0) for case in cases)
    typer.echo(f"{len(cases)} closed cases; {due} envelopes are due to leave the history.")


def _case(seen: "Audited", subject: str) -> dict[str, Any] | None:
    """One closed case; what is not known is left out. ``envelopes``: of one that is over, how many are still there."""
    from nrmbus.wire import times

    said = seen.history.over(subject)
    if said is not None:
        before = [
            each
            for each in seen.history.about(subject)
            if each.said and each.registration.number < said.registration.number
        ]
        since = times.write(said.registration.time)
        return {
            "case": subject,
            "over": True,
            "since": since,
            "number": said.registration.number,
            "envelopes": len(before),
        }
    found = seen.rules.kept(seen.view(subject, seen.history.about(subject)))
    if found is None:
        return None
    body = {
        "case": subject,
        "over": False,
        "closed": found.closed.isoformat(),
        "classes": list(found.classes),
        "through": found.through.isoformat() if found.through else None,
        "held_through": found.held_through,
    }
    return {name: value for name, value in body.items() if value is not None}


def _line(case: dict[str, Any]) -> str:
    if case["over"]:
        left = f"{case['envelopes']} envelopes are due" if case["envelopes"] else "its envelopes are gone"
        return f"case {case['case']}  over since {case['since']}, number {case['number']}: {left}"
    through = f"kept through {case['through']}" if "through" in case else "kept: the profile names no years"
    held = f", held through {case['held_through']}" if "held_through" in case else ""
    return f"case {case['case']}  closed {case['closed']}  {through}{held}"


@app.command(epilog="Example: nrmbus retention apply")
def apply(*, as_json: AsJson = False, data: Data = None, bus: Bus = DEFAULT_BUS) -> None:
    """Take the envelopes out of the history whose cases were kept long enough. This cannot be undone.

    For who runs each service by itself: registrar, timekeeper and auditor must be stopped, the broker must run.
    Under nrmbus up it happens by itself, once a day. Cut off anywhere, the same command brings it to its end.
    """
    from nrmbus.bus.errors import BusError
    from nrmbus.cli import stripping
    from nrmbus.cli.up import progress_bar
    from nrmbus.registrar.memory import HistoryError
    from nrmbus.registrar.rewriting import Stripped

    folder = folder_of(data, bus)
    if who := stripping.running(folder):
        raise BusError(
            f"Nothing was changed, since these run: {', '.join(who)}. nrmbus up does this by itself once a day; who "
            "runs each service alone ends these three, and gives the command again."
        )
    problem, found = "", tuple[Stripped, ...]()
    with progress_bar() as progress:
        finished = stripping.finish(folder)
        try:
            found = stripping.strip(folder, progress)
        except HistoryError as error:
            problem = str(error)
    if problem:
        raise BusError(f"Nothing was changed: {problem}")
    body = {
        "finished": finished,
        "partitions": [
            {"partition": each.partition, "cases": each.cases, "envelopes": each.envelopes} for each in found
        ],
    }
    if as_json:
        typer.echo(json.dumps(body, indent=2))
        return
    if finished:
        typer.echo("What was cut off before was brought to its end first.")
    for each in found:
        typer.echo(f"partition {each.partition}: {each.envelopes} envelopes of {each.cases} cases are gone.")
    typer.echo(
        "Registrations, numbers and proofs stay. The broker deletes the old bytes within a minute."
        if found
        else "Nothing was due."
    )
