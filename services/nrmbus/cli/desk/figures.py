"""``nrmbus figures``: figures of the mechanism for a year or a quarter, from the desk of the statistics."""

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.cli.commands import Commands
from nrmbus.cli.desk.desks import door_of
from nrmbus.cli.options import BusContext, to_write
from nrmbus.statistics import sheet
from nrmbus.statistics.counting import Span
from nrmbus.statistics.tables import Release
from nrmbus.wire.names import STATISTICS

app = Commands()


class Format(StrEnum):
    """Forms of the figures."""

    JSON = "json"
    CSV = "csv"


@app.register(example="nrmbus figures --year 2026 --format csv --out 2026.csv")
def figures(
    *,
    year: Annotated[int, typer.Option(min=2000, max=2999, metavar="YEAR", help="The year that is counted.")],
    quarter: Annotated[
        int | None,
        typer.Option(min=1, max=4, metavar="N", help="Only this quarter of the year. (default: the whole year)"),
    ] = None,
    format: Annotated[
        Format,
        typer.Option(help="json: the release itself, for programs. csv: a line for each cell, for a spreadsheet."),
    ] = Format.JSON,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Where to write; no file may be there yet. (default: print)", callback=to_write
        ),
    ] = None,
    context: BusContext,
) -> None:
    """Write the figures of a year or a quarter as JSON or CSV; no small count can be derived from them.

    The desk of the agency `statistics` computes them from the whole history and from the coded parts that were sealed to
    it; it must run. A cell below the profile's threshold k is suppressed, and so is every cell beside which it could be
    derived. The figures of a period change as long as it runs.
    """
    if out is not None and out.exists():
        raise BusError(f"{out} exists already: choose another file with --out FILE.")
    release = asyncio.run(_asked(context.folder, Span(year, quarter)))
    text = sheet.write(release) if format is Format.CSV else release.to_json().decode() + "\n"
    if out is None:
        typer.echo(text, nl=False)
        return
    out.write_text(text, encoding="utf-8", newline="")
    cells = [row for table in release.tables for row in table.rows]
    shown = sum(row.count is not None for row in cells)
    typer.echo(
        f"{out}: {len(release.tables)} tables of {release.period}, {shown} of {len(cells)} cells shown (k = {release.k})."
    )


async def _asked(folder: BusFolder, span: Span) -> Release:
    if STATISTICS not in folder.agencies():
        raise BusError(
            "No agency makes figures from here: nrmbus agency add statistics --role statistics admits it to a bus. "
            "It counts what is published from then on."
        )
    async with door_of(folder, STATISTICS) as door:
        return Release.from_mapping(await door.get(f"/v1/figures/{span.name}"))
