"""``nrmbus figures``: figures of the mechanism for a year or a quarter, from the desk of the statistics."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import write_private
from nrmbus.bus.wall_clock import wall_now
from nrmbus.cli.commands import Commands
from nrmbus.cli.desk.desks import UNANSWERED, door_of, published
from nrmbus.cli.options import BusContext, to_write
from nrmbus.cli.release_file import read_release
from nrmbus.client.desk import event_of
from nrmbus.client.door import Door
from nrmbus.client.errors import DoorError
from nrmbus.events.figures import Release
from nrmbus.events.stats import PeriodPublished, packed
from nrmbus.statistics import sdmx, sheet
from nrmbus.statistics.document import document
from nrmbus.statistics.named import InAllLanguages
from nrmbus.statistics.spans import Span
from nrmbus.web.languages import Language
from nrmbus.web.words import Words
from nrmbus.wire.names import STATISTICS

app = Commands()
WAIT_SECONDS: Final = 20.0
_ANYWHERE: Final = ZoneInfo("UTC")
"""Zone of figures, which have no times."""


class Format(StrEnum):
    """Forms of the figures."""

    JSON = "json"
    CSV = "csv"
    SDMX = "sdmx"
    STRUCTURE = "sdmx-structure"
    HTML = "html"


@dataclass(frozen=True)
class Publication:
    """Choice of figures: published figures, unpublished figures, or figures that two people publish now."""

    draft: Annotated[
        bool, typer.Option("--draft", help="Compute the figures again, though some are published already.")
    ] = False
    publish: Annotated[
        bool,
        typer.Option("--publish", help="Publish the figures; needs --actor and --approver, two people of the agency."),
    ] = False
    actor: Annotated[str | None, typer.Option(metavar="CODE", help="Staff number of the person who publishes.")] = None
    approver: Annotated[str | None, typer.Option(metavar="CODE", help="Staff number of the second person.")] = None

    @property
    def people(self) -> tuple[str, str] | None:
        """Return the two people who publish, or None. Raises BusError if one of them is missing."""
        if not self.publish:
            return None
        if self.actor is None or self.approver is None:
            raise BusError(
                "Two people publish figures: give their staff numbers with --actor CODE and --approver CODE."
            )
        return self.actor, self.approver


@app.register(example="nrmbus figures --year 2026 --format html --out 2026.html")
def figures(
    *,
    year: Annotated[
        int | None, typer.Option(min=2000, max=2999, metavar="YEAR", help="The year that is counted.")
    ] = None,
    quarter: Annotated[
        int | None,
        typer.Option(min=1, max=4, metavar="N", help="Only this quarter of the year. (default: the whole year)"),
    ] = None,
    format: Annotated[
        Format,
        typer.Option(
            help="json: the release itself, for programs. csv: a line for each cell, for a spreadsheet. sdmx and "
            "sdmx-structure: the two messages of SDMX-ML 2.1, for Eurostat. html: a page with charts, to publish or print."
        ),
    ] = Format.JSON,
    language: Annotated[Language, typer.Option(help="With --format html: the language of the page.")] = "az",
    release: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write these figures, a release in JSON, and compute none; no bus is needed."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Where to write; no file may be there yet. (default: print)", callback=to_write
        ),
    ] = None,
    publication: Publication,
    context: BusContext,
) -> None:
    """Write the figures of a year or a quarter as JSON, CSV, SDMX or a page; no small count can be derived from them.

    These are the published figures or, as long as none are published, those that would be published now. The desk of the
    agency `statistics` computes them from the whole history and from the coded parts that were sealed to it; it must run.
    A cell below the profile's threshold k is suppressed, and so are cells beside which it could be derived.
    Exit status: 0 if the figures are written, 1 if not, 3 if they are to be published and there is no verdict yet: then
    nothing is written. A publication that was interrupted may be repeated; it is published once.
    """
    folder = context.folder
    if out is not None and out.exists():
        raise BusError(f"{out} exists already: choose another file with --out FILE.")
    if release is not None:
        _refuse_beside_a_release(
            {"--year": year, "--quarter": quarter, **{f"--{name}": value for name, value in vars(publication).items()}}
        )
        found = read_release(release)
    elif year is not None:
        made = asyncio.run(_made(folder, Span(year, quarter), publication.people, draft=publication.draft))
        typer.echo(made.says, err=True)
        if made.release is None:
            raise typer.Exit(UNANSWERED)
        found = made.release
    else:
        raise BusError("Nothing says what is counted: add --year YEAR, or --release FILE for figures that are there.")
    text = _written(found, format, language)
    if out is None:
        typer.echo(text, nl=False)
        return
    write_private(out, text.encode())
    cells = [row for table in found.tables for row in table.rows]
    shown = sum(row.count is not None for row in cells)
    typer.echo(
        f"{out}: {len(found.tables)} tables of {found.period}, {shown} of {len(cells)} cells shown (k = {found.k})."
    )


def _refuse_beside_a_release(options: Mapping[str, object]) -> None:
    """Raise BusError if one of *options* is given: figures from a file are only written."""
    if given := [name for name, value in options.items() if value]:
        raise BusError(
            f"--release FILE only writes figures that are there: leave out {', '.join(given)}, or give --year YEAR instead of FILE."
        )


def _written(release: Release, format: Format, language: Language) -> str:
    """Return *release* in the form *format*."""
    match format:
        case Format.CSV:
            return sheet.write(release)
        case Format.SDMX:
            return sdmx.data(release, prepared=wall_now()).decode()
        case Format.STRUCTURE:
            return sdmx.structure(release, InAllLanguages(_ANYWHERE), prepared=wall_now()).decode()
        case Format.HTML:
            return document(release, Words(language, _ANYWHERE)) + "\n"
        case _:
            return release.to_json().decode() + "\n"


@dataclass(frozen=True, slots=True)
class _Made:
    """The figures, or None while nobody knows whether they are published; and a sentence about that."""

    release: Release | None
    says: str


async def _made(folder: BusFolder, span: Span, people: tuple[str, str] | None, *, draft: bool) -> _Made:
    """Return the figures of *span*, published in the name of *people* if there are any."""
    if STATISTICS not in folder.agencies():
        raise BusError(
            "No agency makes figures here: admit one with the id and the role statistics, with nrmbus up --agencies FILE. "
            "It counts what is published from then on."
        )
    async with door_of(folder, STATISTICS) as door:
        known = await _published(door, span)
        if known is not None and not draft and people is None:
            return _Made(known, f"These figures are published (release {known.digest[:16]}).")
        found = Release.from_mapping(await door.get(f"/v1/figures/{span.name}/draft"))
        if people is None:
            return _Made(found, _about_a_draft(found, known))
        if known is not None and known.tables == found.tables:
            return _Made(
                known,
                f"These figures are published already (release {known.digest[:16]}), and nothing that may be shown has "
                "changed since. Nothing was published again.",
            )
        return await _publish(door, found, *people)


def _about_a_draft(found: Release, known: Release | None) -> str:
    """Return whether the draft *found* is published, where *known* is the release of the period."""
    if known is not None and known.tables == found.tables:
        return f"The published figures (release {known.digest[:16]}) are the same."
    if known is not None:
        return (
            f"These figures differ from the published ones (release {known.digest[:16]}). Two people publish a correction: "
            "--publish with --actor and --approver."
        )
    return (
        "These figures are not published. When the period is over, two people publish them: --publish with --actor and "
        "--approver."
    )


async def _published(door: Door, span: Span) -> Release | None:
    try:
        return Release.from_mapping(await door.get(f"/v1/figures/{span.name}"))
    except DoorError as error:
        if error.code == "not_found":
            return None
        raise


async def _publish(door: Door, release: Release, actor: str, approver: str) -> _Made:
    """Publish *release* in the name of two people; return what became of it. Raises BusError if it is refused."""
    data = PeriodPublished(
        period=release.period,
        k=release.k,
        release=release.digest,
        previous=release.previous,
        figures=packed(release.to_json()),
    )
    event = {"type": data.type, "actor": actor, "approver": approver, "data": data.to_mapping()}
    again = f"ask later whether the figures of {release.period} are published, by the same command without --publish"
    answer = await published(door, event_of(event), WAIT_SECONDS, again)
    (said,) = answer["events"]
    if answer["verdict"] == "registered":
        return _Made(release, f"Published as number {said['number']}, release {release.digest[:16]}.")
    if answer["verdict"] == "pending":
        return _Made(
            None,
            f"There is no verdict yet: the desk keeps the event and sends it. Ask later whether the figures of {release.period} "
            "are published: the same command without --publish says so.",
        )
    raise BusError(f"Nothing was published: {said['code']} {said.get('rule', '')}: {said['sentence']}")
