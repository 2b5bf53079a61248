"""``nrmbus token``: tokens by which the agency's own systems come through the door of its desk."""

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.wall_clock import wall_now
from nrmbus.cli.commands import Commands
from nrmbus.cli.desk.desks import door_of
from nrmbus.cli.options import AsJson, BusContext
from nrmbus.cli.shown import short
from nrmbus.wire import times

app = Commands(
    "token",
    "Tokens for the agency's own systems: what each may do at the desk's door, until when, and how often it was used.",
)

Agency = Annotated[str, typer.Argument(help="The agency whose desk takes the token; the desk must run.")]
Name = Annotated[str, typer.Argument(help="The system that gets the token: small letters, digits, - and _.")]


class Scope(StrEnum):
    """Scopes of a token."""

    PUBLISH = "publish"
    READ = "read"
    OPEN = "open"
    ADMINISTER = "administer"


@app.register(example="nrmbus token add ngo-a booking --scope publish --scope read --days 90")
def add(
    agency: Agency,
    name: Name,
    *,
    scope: Annotated[
        list[Scope] | None,
        typer.Option(
            help="What the token permits, as often as needed: publish events, read without letters, open letters, "
            "administer the desk. Without any: health and metrics alone."
        ),
    ] = None,
    days: Annotated[int, typer.Option(metavar="N", min=1, max=366, help="Days until the token ends.")] = 90,
    a_minute: Annotated[
        int | None,
        typer.Option(
            "--requests",
            metavar="N",
            min=1,
            max=1_000_000,
            help="Requests a minute that it may send. (default: as agency.json says, else 6000)",
        ),
    ] = None,
    as_json: AsJson = False,
    context: BusContext,
) -> None:
    """Make a token for one of the agency's systems, and print it: nobody can show it again.

    The desk stores a digest. The system sends the token in the header `Authorization: Bearer`.
    """
    ends = times.write(wall_now() + timedelta(days=days))
    asked: dict[str, Any] = {"name": name, "scopes": [each.value for each in scope or ()], "ends": ends}
    asked |= {} if a_minute is None else {"a_minute": a_minute}
    made = asyncio.run(_post(context.folder, agency, asked))
    if as_json:
        typer.echo(json.dumps(made))
        return
    typer.echo(made["token"])
    may = ", ".join(made["scopes"]) or "health and metrics"
    typer.echo(
        f"This token is shown once. It permits {may} until {short(made['ends'])} UTC. "
        f"End it earlier with nrmbus token revoke {agency} {made['name']}",
        err=True,
    )


@app.register(name="list", example="nrmbus token list ngo-a")
def show(agency: Agency, *, as_json: AsJson = False, context: BusContext) -> None:
    """List the tokens of an agency's desk: scopes, end, who made them, how often and when they were used."""
    tokens = asyncio.run(_list(context.folder, agency))
    if as_json:
        typer.echo(json.dumps({"tokens": tokens}, indent=2))
    elif tokens:
        Console().print(_table(tokens))
    else:
        typer.echo(
            f"The desk of {agency} has no tokens but that of door.json: nrmbus token add {agency} NAME makes one."
        )


@app.register(example="nrmbus token revoke ngo-a booking")
def revoke(agency: Agency, name: Name, *, context: BusContext) -> None:
    """End a token now: the running desk refuses it from the next request on."""
    row = asyncio.run(_delete(context.folder, agency, name))
    what = "was revoked" if row["state"] == "revoked" else "had ended already"
    typer.echo(f"The token {row['name']} {what}. It was used {row['used']} times.")


async def _post(folder: BusFolder, agency: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    async with door_of(folder, agency) as door:
        return await door.post("/v1/tokens", asked)


async def _list(folder: BusFolder, agency: str) -> list[dict[str, Any]]:
    found, after = list[dict[str, Any]](), ""
    async with door_of(folder, agency) as door:
        while True:
            page = await door.get("/v1/tokens", after=after)
            found += page["tokens"]
            if page["next"] is None:
                return found
            after = page["next"]


async def _delete(folder: BusFolder, agency: str, name: str) -> dict[str, Any]:
    async with door_of(folder, agency) as door:
        return await door.delete(f"/v1/tokens/{name}")


def _table(tokens: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title in ("name", "scopes", "state", "ends (UTC)", "made by", "used", "last used (UTC)"):
        table.add_column(title, overflow="fold", justify="right" if title == "used" else "left")
    for each in tokens:
        last = short(each["last_used"]) if "last_used" in each else "–"
        scopes = ", ".join(each["scopes"]) or "–"
        table.add_row(
            each["name"], scopes, each["state"], short(each["ends"]), each["made_by"], str(each["used"]), last
        )
    return table
