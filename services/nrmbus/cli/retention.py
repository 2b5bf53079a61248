"""``nrmbus retention``: which closed cases are kept until when, and which envelopes leave the history."""

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nrmbus.cli.options import DEFAULT_BUS, Bus, Data, folder_of

if TYPE_CHECKING:
    from datetime import date

    from nrmbus.auditor.history import Audited

app = typer.Typer(
    help="Closed cases, how long they are kept by the profile's years, and what goes then.", no_args_is_help=True
)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command(epilog="Example: nrmbus retention due")
def due(*, as_json: AsJson = False, data: Data = None, bus: Bus = DEFAULT_BUS) -> None:
    """List the closed cases: until when each is kept, what holds it, and which are over. Changes nothing.

    Of a case that is over the timekeeper has told all who hold it to erase it, and its envelopes leave the history.
    """
    from nrmbus.auditor.history import audited
    from nrmbus.bus.clock import WallClock

    seen = asyncio.run(audited(folder_of(data, bus), signatures="last"))
    cases = [found for each in seen.history.subjects() if (found := _case(seen, each)) is not None]
    if as_json:
        typer.echo(json.dumps({"cases": cases}, indent=2))
        return
    today = WallClock().now().astimezone(seen.rules.profile.zone).date()
    for case in cases:
        typer.echo(_line(case, today))
    typer.echo(f"{len(cases)} closed cases.")


def _case(seen: "Audited", subject: str) -> dict[str, Any] | None:
    """One closed case; what is not known is left out."""
    found = seen.rules.kept(seen.view(subject, seen.history.about(subject)))
    if found is None:
        return None
    body = {
        "case": subject,
        "closed": found.closed.isoformat(),
        "classes": list(found.classes),
        "through": found.through.isoformat() if found.through else None,
        "held_through": found.held_through,
    }
    return {name: value for name, value in body.items() if value is not None}


def _line(case: dict[str, Any], today: "date") -> str:
    through = f"kept through {case['through']}" if "through" in case else "kept: the profile names no years"
    held = case.get("held_through", "") >= today.isoformat()
    return f"case {case['case']}  closed {case['closed']}  {through}" + (
        f", held through {case['held_through']}" if held else ""
    )
