"""``nrmbus retention``: how long each closed case is kept."""

import asyncio
import json
from typing import Any

import typer

from nrmbus.auditor.history.history import Audited
from nrmbus.auditor.history.whole import audited
from nrmbus.auditor.reports.plain import plain
from nrmbus.cli.audit.on_record import Asker
from nrmbus.cli.commands import Commands
from nrmbus.cli.counted import counted
from nrmbus.cli.options import AsJson, BusContext
from nrmbus.wire import times

app = Commands("retention", "Closed cases, and how long the profile keeps them.")


@app.register(example="nrmbus retention due")
def due(
    *,
    as_json: AsJson = False,
    asker: Asker,
    context: BusContext,
) -> None:
    """List the closed cases: how long each is kept, what holds it, and which are over. Changes nothing.

    The question is recorded before anything is shown. When the retention period of a case is over, the timekeeper tells
    every agency that holds the case to erase it: nrmbus erasure certificate shows the answers.
    """
    folder = context.folder
    question = asker.question(folder)
    seen = asyncio.run(audited(folder, signatures="last"))
    question.put("search")
    cases = [found for each in seen.history.subjects() if (found := _case(seen, each)) is not None]
    if as_json:
        typer.echo(json.dumps({"cases": cases}, indent=2))
        return
    for case in cases:
        typer.echo(_line(case))
    typer.echo(
        f"{counted(len(cases), 'closed case')}; the retention period of {sum(case['over'] for case in cases)} is over."
    )


def _case(seen: Audited, subject: str) -> dict[str, Any] | None:
    """Return one closed case without the fields that are not known, or None if the case is not closed."""
    said = seen.history.over(subject)
    if said is not None:
        since = times.write(said.registration.time)
        return {"case": subject, "over": True, "since": since, "number": said.registration.number}
    found = seen.rules.kept(seen.view(subject, seen.history.about(subject)))
    if found is None:
        return None
    through = found.through.isoformat() if found.through else None
    body = {"case": subject, "over": False, "closed": found.closed.isoformat(), "classes": found.classes}
    case: dict[str, Any] = plain(body | {"through": through, "held_through": found.held_through})
    return case


def _line(case: dict[str, Any]) -> str:
    if case["over"]:
        return f"case {case['case']}  over since {case['since']}, number {case['number']}"
    through = f"kept through {case['through']}" if "through" in case else "kept: the profile names no years"
    held = f", held through {case['held_through']}" if "held_through" in case else ""
    return f"case {case['case']}  closed {case['closed']}  {through}{held}"
