"""``nrmbus up --example``: a bus of invented agencies and people, with two days of invented cases behind it."""

import asyncio
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from nrmbus.bus.embedded.jars import Progress
from nrmbus.bus.embedded.ports import HOST
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import write_private
from nrmbus.bus.wall_clock import wall_now
from nrmbus.cli.membership.admitting import admitting
from nrmbus.cli.operate.foreground import progress_bar, until_told, wait_until_ready
from nrmbus.cli.operate.invented import INVENTED, agencies_file, mark_of, newcomers_of_example
from nrmbus.client.door import Door
from nrmbus.directory.admission import Newcomer
from nrmbus.host.services import pages_here
from nrmbus.host.supervisor import Supervisor
from nrmbus.intake.codes import shown
from nrmbus.intake.store import FOLDER as PUBLIC
from nrmbus.play.bus import BusStage
from nrmbus.play.example import catch_up, keep_time, play_until_now
from nrmbus.play.example_figures import event_of, invented
from nrmbus.play.people import CODE, PASSWORD, PEOPLE, to_do, write_on_page
from nrmbus.play.stage import StageError
from nrmbus.wire.names import STATISTICS

NAME: Final = "example"
"""Name of the bus, and of the folder that marks a bus as an example."""
BEGUN: Final = "begun"
"""File in the mark of a folder that this command made, and may remove."""
PLAYED: Final = "played"
"""File in the mark of an example whose stories were played to the end."""
WAIT_SECONDS: Final = 20.0
"""Seconds within which the made-up figures are registered; if they are later, pages show them later."""
WIDTH: Final = 110
"""Columns of the table at least: on a narrower terminal its lines are broken, and nothing is cut off."""


def run_example(data: Path | None, *, fork: bool | None = None) -> None:
    """Run the example in the folder *data* until a signal: made and played by the first start, gone on with by the others.

    Raises:
        BusError: the folder is no example's, or the stories could not be played.
    """
    folder = BusFolder(data) if data else BusFolder.named(NAME)
    played = _prepared(folder) / PLAYED
    newcomers = newcomers_of_example(folder.settings.policy)
    with (
        until_told(),
        admitting(agencies_file()),
        progress_bar() as progress,
        Supervisor(folder, fork=fork, agencies=newcomers, notify=typer.echo, progress=progress),
    ):
        wait_until_ready(folder, typer.echo, progress)
        _bring_to_now(folder, newcomers, played, progress)
        asyncio.run(_show(folder, newcomers))
        typer.echo(INVENTED)
        typer.echo(f"Ctrl-C ends it. The bus stays in {folder.path}; the same command goes on with it.")
        asyncio.run(keep_time(folder.as_operator))


def _prepared(folder: BusFolder) -> Path:
    """Make the bus in *folder* if there is none, and return its mark; the rest of a start that was broken off is removed.

    Raises:
        BusError: another bus is there, or other files are, or the bus runs.
    """
    mark = mark_of(folder, NAME)
    is_ours = (mark / BEGUN).exists()
    if is_ours and not (mark / PLAYED).exists():
        with folder.held():  # raises if it runs
            # The mark stays: a removal that is cut off goes on at the next start.
            for each in (each for each in folder.path.iterdir() if each != mark):
                shutil.rmtree(each) if each.is_dir() else each.unlink()
    if not is_ours and folder.path.exists() and any(folder.path.iterdir()):
        raise BusError(f"{folder.path} has other files: name a folder with --data DIR that is empty, or not there yet.")
    write_private(mark / BEGUN, b"")
    folder.create(play=True)
    return mark


def _bring_to_now(folder: BusFolder, newcomers: Mapping[str, Newcomer], played: Path, progress: Progress) -> None:
    with BusStage(folder) as stage:
        if played.exists():
            try:
                catch_up(stage, newcomers, progress)
            except StageError as error:  # the clock goes on all the same, and what is due is published as usual
                typer.echo(f"The bus did not come to rest ({error}): look at nrmbus doctor --data '{folder.path}'.")
            return
        report = play_until_now(stage, newcomers, progress)
        if not report.green:
            raise BusError(
                f"The invented cases could not be played ({report.failures[0]}): look at nrmbus doctor --data "
                f"'{folder.path}', then give the command again; it begins anew."
            )
        asyncio.run(_add_people(folder, newcomers))
        asyncio.run(_release_figures(folder))
        for agency, newcomer in newcomers.items():
            if newcomer.public is not None:
                write_on_page(folder, agency)
        write_private(played, b"")


async def _add_people(folder: BusFolder, agencies: Iterable[str]) -> None:
    for agency in agencies:
        async with Door.of(folder.agency(agency).path) as door:
            for name, role in PEOPLE[agency].items():
                email = f"{name.partition(' ')[0].lower()}@{agency}.example"  # a name of RFC 2606: no mail ever arrives
                new = {"name": name, "roles": [role], "language": "en", "email": email, "example_password": PASSWORD}
                await door.post("/v1/staff", new)


async def _release_figures(folder: BusFolder) -> None:
    """Have two people of the statistics release made-up figures of the year before, so that every agency has some to look at."""
    settings = folder.settings
    release = await asyncio.to_thread(
        invented, wall_now().year - 1, bus=settings.bus, partitions=settings.partitions, policy=settings.policy
    )
    async with Door.of(folder.agency(STATISTICS).path) as door:
        numbers = [
            each["number"] for each in (await door.get("/v1/staff"))["staff"] if "administrator" not in each["roles"]
        ]
        await door.publish(event_of(release, *numbers), wait=WAIT_SECONDS)


async def _show(folder: BusFolder, agencies: Iterable[str]) -> None:
    """Print who can sign in where, and what each of them can do now."""
    table = Table("agency and its pages", "sign in as", "role", "what you can do now", box=SIMPLE_HEAD, pad_edge=False)
    for agency in agencies:
        async with Door.of(folder.agency(agency).path) as door:
            # By name: browsers make no passkey for an address.
            deeds, url = await to_do(door, agency, wall_now()), door.url.replace(HOST, "localhost")
        for place, (name, role) in enumerate(PEOPLE[agency].items()):
            where = (agency, url)[place] if place < 2 else ""
            table.add_row(where, name, role.replace("_", " "), deeds[role])
        table.add_section()
    console = Console()
    console.width = max(console.width, WIDTH)
    console.print(table)
    typer.echo(f"Everybody's password is {PASSWORD}, and nobody has a second factor.")
    for agency in agencies:
        if pages_here(folder, agency):
            async with Door.of(folder.agency(agency).path / PUBLIC) as page:
                where = f"The public page of {agency} is {page.url}/."
            typer.echo(f"{where} Somebody has written there; the code for the answer is {shown(CODE)}.")
