"""``nrmbus sandbox``: a bus with invented agencies, a token for one of them, and a counterpart that answers referrals."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import make_private
from nrmbus.bus.wall_clock import wall_now
from nrmbus.cli.commands import Commands
from nrmbus.cli.membership.admitting import admitting, newcomers_of
from nrmbus.cli.membership.keys import unlock
from nrmbus.cli.operate.foreground import progress_bar, until_told, wait_until_ready
from nrmbus.cli.operate.invented import INVENTED, agencies_file, mark_of
from nrmbus.cli.options import Data
from nrmbus.client import AsyncDesk
from nrmbus.client.door import Door
from nrmbus.client.errors import DoorError
from nrmbus.host.supervisor import Supervisor
from nrmbus.play import counterpart
from nrmbus.play.counterpart import ACTOR, Declines
from nrmbus.wire import times
from nrmbus.wire.ids import new_ref

app = Commands()

NAME: Final = "sandbox"
"""Name of the bus, of the token, and of the folder that marks a bus as invented."""
SENDER: Final = "ngo-a"
RECEIVER: Final = "special-unit"
DAYS: Final = 7
WEBHOOKS: Final = {"networks": ["127.0.0.0/8", "::1/128"], "http_on_loopback": True}
"""A receiver that is still being written listens on this machine, without TLS."""


@app.register(example="nrmbus sandbox ngo-a --decline urgency=normal")
def sandbox(
    agency: Annotated[
        str, typer.Argument(help=f"The agency that you play: {SENDER} sends a referral, the others receive one.")
    ] = SENDER,
    *,
    decline: Annotated[
        str,
        typer.Option(
            metavar="MEMBER=VALUE", help="Referrals that are declined: a member of their data, and its value."
        ),
    ] = "urgency=normal",
    data: Data = None,
) -> None:
    """Run a bus of invented agencies until Ctrl-C, print a token for one of them, and have the others answer referrals.

    The other agencies acknowledge each referral and accept it, or decline it by --decline. Three printed curl commands
    play a hand-off. The bus stays in its folder, and the next start goes on with it; each start makes a new token.
    """
    declines = Declines.parse(decline)
    if declines is None:
        raise typer.BadParameter("--decline takes MEMBER=VALUE of a referral's data, as urgency=normal.")
    folder = BusFolder(data) if data else BusFolder.named(NAME)
    marked = mark_of(folder, NAME)
    settings = folder.create()
    make_private(marked)
    invented = newcomers_of(agencies_file(), settings.policy)
    newcomers = {each: replace(newcomer, webhooks=WEBHOOKS) for each, newcomer in invented.items()}
    if agency not in newcomers:
        raise typer.BadParameter(f"The sandbox has {', '.join(newcomers)}.")
    unlock(folder, unprotected=True)
    with (
        until_told(),
        admitting(agencies_file()),
        progress_bar() as progress,
        Supervisor(folder, agencies=newcomers, notify=typer.echo, progress=progress),
    ):
        wait_until_ready(folder, typer.echo, progress)
        asyncio.run(_play(folder, agency, newcomers, declines, marked))


async def _play(folder: BusFolder, agency: str, others: Iterable[str], declines: Declines, cursors: Path) -> None:
    homes = {each: folder.agency(each).path for each in others}
    url, token = await _token(homes[agency])
    if agency == SENDER:
        async with AsyncDesk.of(homes[SENDER]) as desk:
            case = await counterpart.prepare(desk, RECEIVER)
        asked = counterpart.referral(case, new_ref(), RECEIVER)
    else:
        async with AsyncDesk.of(homes[SENDER]) as desk:
            case, ref = await counterpart.refer(desk, agency)
        asked = {
            "type": "referral.acknowledged", "case": case, "ref": ref, "actor": ACTOR,
            "data": {"receipt_no": "SANDBOX-1", "duty_role": "duty_officer"},
        }  # fmt: skip
    for line in _introduced(url, token, agency, declines, commands(agency, url, token, asked)):
        typer.echo(line)
    typer.echo(
        "A receiver of webhooks on this machine is told after this command, with its own port and path:\n"
        f"nrmbus webhook add {agency} http://127.0.0.1:9000/ --data {folder.path}\n"
    )
    typer.echo(f"Ctrl-C ends it. The bus stays in {folder.path}.")
    del homes[agency]
    await counterpart.answer_referrals(homes, declines, cursors, typer.echo)


async def _token(home: Path) -> tuple[str, str]:
    """Return the address of the desk whose folder is *home*, and a new token; that of the last start ends."""
    ends = times.write(wall_now() + timedelta(days=DAYS))
    async with Door.of(home) as door:
        with suppress(DoorError):
            await door.delete(f"/v1/tokens/{NAME}")
        made = await door.post("/v1/tokens", {"name": NAME, "scopes": ["publish", "read", "open"], "ends": ends})
    return json.loads((home / "door.json").read_bytes())["url"], made["token"]


def commands(agency: str, url: str, token: str, asked: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the commands for *agency*'s side of a hand-off, each with its effect; *asked* is the agency's event."""
    inbox = f"{url}/v1/inbox?case={asked['case']}"
    said = _curl(token, f"{url}/v1/events?wait=20", asked)
    look = ("Look at the case", _curl(token, f"{url}/v1/cases/{asked['case']}"))
    if agency == SENDER:
        read = ("Read what came for you in this case; the answer to a referral takes a second", _curl(token, inbox))
        return [(f"Refer the person to {RECEIVER}", said), read, look]
    opened = (
        "Open the letter of the referral that came; the reading is recorded first",
        _curl(token, f"{inbox}&open=true&actor={ACTOR}"),
    )
    return [opened, (f"Acknowledge the referral of {SENDER}", said), look]


def _curl(token: str, url: str, body: Mapping[str, Any] | None = None) -> str:
    """Return a curl command for *url*, with *body* to publish; no value contains a quote."""
    sent = f" -H 'Content-Type: application/json' -d '{json.dumps(body)}'" if body else ""
    return f"curl -sS -H 'Authorization: Bearer {token}'{sent} '{url}'"


def _introduced(
    url: str, token: str, agency: str, declines: Declines, commands: Iterable[tuple[str, str]]
) -> Iterable[str]:
    yield INVENTED
    yield f"You are {agency}, whose desk is at {url}. The token for {DAYS} days (publish, read, open):"
    yield f"{token}\n"
    for number, (what, command) in enumerate(commands, 1):
        yield f"{number}. {what}:\n{command}\n"
    yield (
        "The other agencies acknowledge each referral and accept it; they decline one whose "
        f"`{declines.member}` is `{declines.value}`."
    )
