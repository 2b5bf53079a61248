"""``nrmbus retention``: what an agency has kept for as long as the profile says, and its erasure."""

import asyncio
import json
from typing import Annotated, Any

import typer

from nrmbus.cli.options import DEFAULT_BUS, Bus, Data, folder_of

app = typer.Typer(help="Closed cases that were kept long enough, by the profile's years.", no_args_is_help=True)

Agency = Annotated[str, typer.Argument(help="The agency's id.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command(epilog="Example: nrmbus retention due vac")
def due(agency: Agency, *, as_json: AsJson = False, data: Data = None, bus: Bus = DEFAULT_BUS) -> None:
    """List an agency's closed cases: until when each is kept, what holds it, and which are due. Changes nothing."""
    from nrmbus.cli.desks import door_of

    async def asked() -> dict[str, Any]:
        async with door_of(folder_of(data, bus), agency) as door:
            return await door.get("/v1/retention")

    answer = asyncio.run(asked())
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
        return
    for case in answer["cases"]:
        through = f"kept through {case['through']}" if "through" in case else "kept: the profile names no years"
        held = f", held through {case['held_through']}" if "held_through" in case else ""
        typer.echo(f"{'DUE ' if case['due'] else ''}case {case['case']}  closed {case['closed']}  {through}{held}")
    typer.echo(f"{sum(case['due'] for case in answer['cases'])} of {len(answer['cases'])} closed cases are due.")


@app.command(epilog="Example: nrmbus retention apply vac")
def apply(agency: Agency, *, as_json: AsJson = False, data: Data = None, bus: Bus = DEFAULT_BUS) -> None:
    """Erase an agency's cases that are due, and have its desk confirm it. This cannot be undone.

    A case that is held is left. Envelopes, numbers and proofs stay; nrmbus erasure certificate says who has erased.
    """
    from nrmbus.cli.desks import door_of

    async def asked() -> dict[str, Any]:
        async with door_of(folder_of(data, bus), agency) as door:
            return await door.post("/v1/retention/apply")

    answer = asyncio.run(asked())
    typer.echo(
        json.dumps(answer, indent=2) if as_json else f"{len(answer['cases'])} cases are being erased at {agency}."
    )
