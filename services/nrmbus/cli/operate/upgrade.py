"""``nrmbus upgrade``: what a change of the release does to this machine's part of a bus, and the two steps that a person takes."""

import asyncio
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from rich.console import Console
from rich.markup import escape
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from nrmbus.bus.embedded import jars, metadata_level
from nrmbus.bus.errors import BusError, FolderHeld, NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.vitals import RELEASE
from nrmbus.cli import health
from nrmbus.cli.commands import Commands
from nrmbus.cli.membership.keys import KeysContext
from nrmbus.cli.operate.peers import peers_of
from nrmbus.cli.options import AsJson
from nrmbus.desk.errors import DeskError
from nrmbus.desk.store import schema
from nrmbus.desk.store.place import Place, alone_with_tables, exists, on_tables, place_of, run

app = Commands()

ROOM: Final = 3
"""Disk space for the upgrade of a ledger, in sizes of the ledger: the write-ahead file holds the changes."""

Result = Literal["done", "next", "later", "prevents"]
_MARKS: Final = {
    "done": "[green]ok[/]  ",
    "next": "[cyan]next[/]",
    "later": "[cyan]then[/]",
    "prevents": "[red]no[/]  ",
}


@dataclass(frozen=True, slots=True)
class Look:
    """Result for one part: done, done at the *next* start, to be done *later* by a person, or something *prevents* the upgrade."""

    part: str
    result: Result
    what: str


@app.register(example="nrmbus upgrade --check")
def upgrade(
    *,
    context: KeysContext,
    check: Annotated[bool, typer.Option("--check", help="Only look; change nothing.")] = False,
    finish: Annotated[
        bool,
        typer.Option("--finish", help="Raise the level of Kafka's metadata, for good: no earlier Kafka starts on it."),
    ] = False,
    back_to: Annotated[
        str | None,
        typer.Option(
            "--back-to",
            metavar="RELEASE",
            help="Take the ledgers on this machine back to what RELEASE reads; nothing may run here.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what this release will change on this machine, and which services and desks still run another one.

    Give it with the new release, before it runs and afterwards. Exit status: 1 if something prevents the upgrade, or if a
    ledger could not be taken back.
    """
    folder = context.folder
    if check + finish + (back_to is not None) != 1:
        raise BusError("Give one of --check, --finish and --back-to.")
    if back_to is not None:
        try:
            sys.exit(not _take_back(folder, back_to))
        except DeskError as error:
            raise BusError(error.sentence) from None
    if folder.is_held:
        context.unlock(folder)
    if finish:
        _finish(folder)
    found = list(looks(folder))
    prevented = any(each.result == "prevents" for each in found)
    if as_json:
        typer.echo(json.dumps({"release": RELEASE, "parts": [asdict(each) for each in found], "well": not prevented}))
    else:
        console = Console(highlight=False, soft_wrap=True)
        for each in found:
            console.print(f"  {_MARKS[each.result]}  {each.part:<14}  {escape(each.what)}")
    sys.exit(prevented)


def looks(folder: BusFolder) -> Iterator[Look]:
    """Yield what this release finds on this machine, part by part; changes nothing."""
    running = folder.is_held or bool(folder.running)
    yield from _ledgers(folder)
    if not folder.is_joined and not folder.settings.bootstrap:
        yield from _kafka(folder, running=running)
    yield from _releases(folder)
    if running and not folder.is_joined:
        yield from _peers(folder)


def _ledgers(folder: BusFolder) -> Iterator[Look]:
    free = shutil.disk_usage(folder.path).free
    for agency in folder.agencies():
        ledger: Place | None = None
        try:
            ledger = place_of(folder.agency(agency))
            revision = on_tables(ledger, schema.revision_of) if exists(ledger) else None
        except DeskError as error:
            yield Look(agency, "prevents", error.sentence)
            continue
        except SQLAlchemyError as error:
            result: Result = "prevents" if isinstance(ledger, Path) else "later"
            yield Look(agency, result, f"its ledger cannot be looked at: {_why(ledger, error)}")
            continue
        if revision in (None, schema.REVISION):
            yield Look(agency, "done", "its ledger is as this release writes it")
        elif revision not in schema.releases():
            yield Look(agency, "prevents", "a newer release made its ledger: install that release, or a newer one")
        elif isinstance(ledger, Path) and free < ROOM * ledger.stat().st_size:
            yield Look(
                agency, "prevents", "its ledger is upgraded at the next start, and the disk has no room for that"
            )
        else:
            yield Look(agency, "next", "its ledger is upgraded at the next start, in one transaction")


def _kafka(folder: BusFolder, *, running: bool) -> Iterator[Look]:
    home = jars.jar_home()
    if all((home / jar.name).exists() for jar in jars.pinned()):
        yield Look("Kafka", "done", f"{jars.KAFKA} is in the cache")
    else:
        yield Look("Kafka", "next", f"{jars.KAFKA} is fetched at the next start, which needs a network")
    if not running:
        return
    level = metadata_level.read(folder)
    if level.is_newest:
        yield Look("Kafka metadata", "done", f"at level {level.present}, the newest of this Kafka")
    else:
        yield Look(
            "Kafka metadata",
            "later",
            f"at level {level.present}, so the earlier Kafka can still be started; "
            f"once the new release has proved itself: nrmbus upgrade --finish raises it to {level.newest}",
        )


def _releases(folder: BusFolder) -> Iterator[Look]:
    """Yield the services of this machine that run, with their releases."""
    for name, found in asyncio.run(health.ask_all(folder)).items():
        if found is None:
            yield Look(name, "later", "does not answer: nrmbus status")
            continue
        if "standby" in found or "waiting" in found:
            yield Look(name, "later", "waits, so its release is unknown: it runs that with which it was started")
            continue
        release = str(found.get("release", ""))
        if release == RELEASE:
            yield Look(name, "done", f"runs {release}")
        else:
            yield Look(name, "next", f"runs {release or 'an earlier release'}, until it is started again")


def _peers(folder: BusFolder) -> Iterator[Look]:
    """Yield the desks on other machines, with the releases that they told the broker."""
    here = set(folder.agencies())
    for peer in peers_of(folder):
        releases = peer["releases"]
        if peer["agency"] in here or peer["suspended"] or not isinstance(releases, list):
            continue
        if not releases:
            yield Look(str(peer["agency"]), "later", "its desk is not connected, so its release is unknown")
        elif releases == [RELEASE]:
            yield Look(str(peer["agency"]), "done", f"runs {RELEASE} elsewhere")
        else:
            yield Look(str(peer["agency"]), "later", f"runs {', '.join(releases)} elsewhere, which goes on working")


def _finish(folder: BusFolder) -> None:
    if folder.is_joined or folder.settings.bootstrap:
        raise NoBus("This machine runs no Kafka of the bus: the cluster's administrator raises its metadata.version.")
    if not folder.is_held:
        raise NoBus("The bus is not running here: nrmbus up, and then again nrmbus upgrade --finish")
    if not metadata_level.read(folder).is_newest:
        metadata_level.raise_to_newest(folder)


def _take_back(folder: BusFolder, release: str) -> bool:
    """Take every ledger of this machine back, each whole before and after; name each that fails, and return whether none did.

    Raises:
        FolderHeld: something runs here.
        BusError: *release* is none that this one can go back to.
        DeskError: a ledger's server does not answer, or a desk elsewhere has the ledger open.
    """
    if folder.is_held or folder.running:
        raise FolderHeld("Something runs here on this release: stop it first, and start it with the earlier release.")
    is_whole = True
    with folder.idle():
        for agency in folder.agencies():
            ledger = place_of(folder.agency(agency))
            if not exists(ledger):
                continue
            try:
                revision = run(
                    alone_with_tables(ledger, agency, lambda tables: schema.take_back(tables, release)), ledger
                )
            except SQLAlchemyError as error:
                is_whole = False
                typer.echo(f"{agency}: the ledger was not taken back: {_why(ledger, error)}", err=True)
            else:
                typer.echo(f"{agency}: the ledger is at revision {revision}, which release {release} reads")
    return is_whole


def _why(ledger: Place | None, error: SQLAlchemyError) -> str:
    """Return why the ledger failed, and what to do; a full disk is no reason to restore a backup over it."""
    if not isinstance(ledger, Path):
        return "its server is away, or fails"
    if isinstance(error, OperationalError):
        return f"{error.orig}; mend that, and run this again"
    return "the file is damaged (deploy/RUNBOOK.md#ledger-gone)"
