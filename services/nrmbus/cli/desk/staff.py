"""``nrmbus staff``: the agency's people, who sign in at the pages of its desk."""

import asyncio
import json
import sys
from enum import StrEnum
from typing import Annotated, Any, Final

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.cli.commands import Commands
from nrmbus.cli.desk.desks import door_of
from nrmbus.cli.options import AsJson, BusContext
from nrmbus.cli.shown import short
from nrmbus.client.door import Door
from nrmbus.web.languages import Language

app = Commands("staff", "The agency's people: who signs in at the pages of its desk, with which roles.")

Agency = Annotated[str, typer.Argument(help="The agency whose desk the member signs in at; the desk must run.")]
_SEEN: Final = "Other users can see a command line, and the shell keeps it."
Name = Annotated[
    str | None,
    typer.Argument(
        help="By which the member signs in, and which colleagues see. Leave it out or give - to type it, or to give it as a "
        f"line of standard input. {_SEEN}",
        show_default=False,
    ),
]
Member = Annotated[
    str | None,
    typer.Argument(
        metavar="NUMBER",
        help="Number of the member in nrmbus staff list. A name does too; leave it out or give - to type it, or to give "
        f"it as a line of standard input. {_SEEN}",
        show_default=False,
    ),
]

PAGES: Final = "/app/"


class Role(StrEnum):
    """Roles of a member of staff."""

    WORKER = "worker"
    DUTY_OFFICER = "duty_officer"
    SUPERVISOR = "supervisor"
    ADMINISTRATOR = "administrator"


@app.register(example="nrmbus staff add ngo-a --role worker --language az")
def add(
    agency: Agency,
    name: Name = None,
    *,
    role: Annotated[list[Role], typer.Option(help="What the member does, as often as needed.")],
    language: Annotated[Language, typer.Option(help="Language of pages and mails.")] = "az",
    email: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="For notices, which say nothing of a case; - to type it, as the name."),
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="By which the agency's own sign-in (`provider` in agency.json) names the member, who then needs no password; "
            "- to type it, as the name.",
        ),
    ] = None,
    as_json: AsJson = False,
    context: BusContext,
) -> None:
    """Add a member of staff, and print a one-time password: nobody can show it again.

    The member signs in with it within three days, and then chooses a password and a second factor. The bus never sees the
    name, only a random number.
    """
    folder = context.folder
    asked: dict[str, Any] = {"name": _typed("Name", name), "roles": [each.value for each in role], "language": language}
    for key, question, given in (("email", "E-mail address", email), ("subject", "Subject", subject)):
        if given is not None:
            asked[key] = _typed(question, given)
    _tell(agency, *asyncio.run(_added(folder, agency, asked)), as_json=as_json)


@app.register(name="list", example="nrmbus staff list ngo-a")
def show(agency: Agency, *, as_json: AsJson = False, context: BusContext) -> None:
    """List an agency's people: number, name, roles, second factor, last sign-in."""
    staff = asyncio.run(_listed(context.folder, agency))
    if as_json:
        typer.echo(json.dumps({"staff": staff}, indent=2))
    elif staff:
        Console().print(_table(staff))
    else:
        typer.echo(f"Nobody signs in at the desk of {agency}: nrmbus staff add {agency} --role administrator")


@app.register(example="nrmbus staff remove ngo-a 482913")
def remove(agency: Agency, member: Member = None, *, context: BusContext) -> None:
    """Let a member sign in no more, and end all of the member's sessions; number and name stay for the record of readings."""
    folder, who = context.folder, _typed("Name or number", member)
    asyncio.run(_removed(folder, agency, who))
    typer.echo(f"{who} signs in no more at the desk of {agency}.")


@app.register(example="nrmbus staff reset ngo-a 482913")
def reset(agency: Agency, member: Member = None, *, as_json: AsJson = False, context: BusContext) -> None:
    """Give a member another one-time password, and print it: password and second factors are forgotten, and sessions end.

    A member gets none if the agency's own sign-in names the member, or if nobody signs in otherwise.
    """
    folder, who = context.folder, _typed("Name or number", member)
    _tell(agency, *asyncio.run(_reset(folder, agency, who)), as_json=as_json)


def _typed(question: str, given: str | None) -> str:
    """Return *given*; if the command line leaves it out or gives ``-``, the answer to *question* at the terminal or on standard input.

    Raises:
        BusError: the answer is empty.
    """
    if given not in (None, "-"):
        return given
    # Typer's prompt writes a space to standard output, which has the one-time password alone.
    typer.echo(f"{question}: ", nl=False, err=True)
    # Typer may make a new reader for each question, and the first reader takes all lines of a pipe. A closed input is None.
    if not (answer := sys.stdin.readline().strip() if sys.stdin is not None else ""):
        raise BusError(f"{question}: nothing was typed. Give the command again, and type a line.")
    return answer


async def _added(folder: BusFolder, agency: str, asked: dict[str, Any]) -> tuple[dict[str, Any], str]:
    async with door_of(folder, agency) as door:
        return await door.post("/v1/staff", asked), door.url


async def _listed(folder: BusFolder, agency: str) -> list[dict[str, Any]]:
    async with door_of(folder, agency) as door:
        return await _all(door)


async def _all(door: Door) -> list[dict[str, Any]]:
    found, after = list[dict[str, Any]](), ""
    while True:
        page = await door.get("/v1/staff", after=after)
        found += page["staff"]
        if page["next"] is None:
            return found
        after = page["next"]


async def _number_of(door: Door, name: str) -> str:
    there = [each for each in await _all(door) if each["state"] != "removed"]
    found = [each["number"] for each in there if name in (each["name"], each["number"])]
    if not found:
        raise BusError(
            "Nobody of this name signs in there: nrmbus staff list has the names as they are written, and the numbers."
        )
    return str(found[0])


async def _removed(folder: BusFolder, agency: str, name: str) -> None:
    async with door_of(folder, agency) as door:
        await door.delete(f"/v1/staff/{await _number_of(door, name)}")


async def _reset(folder: BusFolder, agency: str, name: str) -> tuple[dict[str, Any], str]:
    async with door_of(folder, agency) as door:
        return await door.post(f"/v1/staff/{await _number_of(door, name)}/reset", {}), door.url


def _tell(agency: str, member: dict[str, Any], url: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(member))
        return
    if "password" not in member and "provider" not in member["second_factor"]:
        typer.echo(
            f"{member['name']} cannot sign in, since nobody signs in with a password here: nrmbus staff remove {agency} "
            f"{member['number']}, then nrmbus staff add with --subject."
        )
        return
    if "password" not in member:
        typer.echo(f"{member['name']} signs in at {url}{PAGES} with the agency's own sign-in.")
        return
    typer.echo(member["password"])
    typer.echo(
        f"This one-time password is shown once. {member['name']} signs in with it at {url}{PAGES} until "
        f"{short(member['once_ends'])} UTC, and then chooses a password and a second factor. "
        f"Hand it over in person or by phone. If it is lost: nrmbus staff reset {agency} {member['number']}",
        err=True,
    )


def _table(staff: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title in ("number", "name", "roles", "state", "second factor", "last sign-in (UTC)"):
        table.add_column(title, overflow="fold")
    for each in staff:
        factors = ", ".join(each["second_factor"]) or ("none: invented" if each["example"] else "–")
        last = short(each["signed_in"]) if "signed_in" in each else "–"
        table.add_row(each["number"], Text(each["name"]), ", ".join(each["roles"]), each["state"], factors, last)
    return table
