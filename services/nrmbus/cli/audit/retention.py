"""``nrmbus retention``: how long each closed case is kept."""

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nrmbus.cli.audit.on_record import As, For, Off, Purpose
from nrmbus.cli.options import DEFAULT_BUS, Bus, Data, folder_of

if TYPE_CHECKING:
    from nrmbus.auditor.history.history import Audited

app = typer.Typer(help="Closed cases and how long the profile keeps them.", no_args_is_help=True)

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
    """List the closed cases: how long each is kept, what holds it, and which are over. Changes nothing.

    The question is recorded before anything is shown. When the retention period of a case is over, the timekeeper tells
    every agency that holds the case to erase it: nrmbus erasure certificate shows the answers.
    """
    from nrmbus.auditor.history.history import audited
    from nrmbus.cli.audit.on_record import asked

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
    typer.echo(f"{len(cases)} closed cases; the retention period of {sum(case['over'] for case in cases)} is over.")


def _case(seen: "Audited", subject: str) -> dict[str, Any] | None:
    """Return one closed case without the fields that are not known, or None if the case is not closed."""
    from nrmbus.wire import times

    said = seen.history.over(subject)
    if said is not None:
        since = times.write(said.registration.time)
        return {"case": subject, "over": True, "since": since, "number": said.registration.number}
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
        return f"case {case['case']}  over since {case['since']}, number {case['number']}"
    through = f"kept through {case['through']}" if "through" in case else "kept: the profile names no years"
    held = f", held through {case['held_through']}" if "held_through" in case else ""
    return f"case {case['case']}  closed {case['closed']}  {through}{held}"
