"""Pages of the released figures, at every desk: the tables of a period with charts, and files to download."""

from typing import Final

from starlette.responses import Response

from nrmbus.desk.web.called import called
from nrmbus.desk.web.shell import NotFound, Pages, Visit
from nrmbus.statistics import released, sdmx, sheet
from nrmbus.statistics.named import InAllLanguages
from nrmbus.statistics.released import Released
from nrmbus.statistics.shown import period_name, shown
from nrmbus.web.guard import HEADERS

routes: Final = Pages()

ALL: Final = "all"
"""Name of the page with every subject, to print."""


@routes.get("/figures", may="member")
async def figures(visit: Visit) -> Response:
    """Show one subject of the newest release of the asked period, or of the release with the asked digest; or all of them."""
    t, every = visit.t, released.newest_first(visit.door.ledger)
    digest, period = visit.asked("release"), visit.asked("period", 16)
    found = released.chosen(every, digest=digest, period=period)
    if found is None:
        if digest or period:
            raise NotFound
        return visit.page("figures/figures.html.j2", title=t("Figures"), release=None)
    sections = shown(found.figures, t)
    subject = visit.asked("subject", 16) or next((each.id for each in sections), ALL)
    if subject not in {ALL, *(each.id for each in sections)}:
        raise NotFound
    here = [each for each in sections if subject in (ALL, each.id)]
    return visit.page(
        "figures/figures.html.j2",
        title=t("Figures for {period}", period=period_name(t, found.period)),
        release=found,
        by=called(visit.door, found.source),
        periods=[
            {"period": each, "name": period_name(t, each), "is_here": each == found.period}
            for each in released.periods_of(every)
        ],
        sections=here,
        subjects=[(each.id, each.title, len(each.tables), each.id == subject) for each in sections],
        is_whole=subject == ALL,
        asked=f"release={found.digest}" if digest else f"period={found.period}",
        has_change=any(table.has_change for each in here for table in each.tables),
        newer=found is not released.chosen(every, period=found.period),
        corrected=released.chosen(every, digest=found.previous) if found.previous else None,
        files=[
            (f"{found.digest}.json", "JSON"), (f"{found.digest}.csv", "CSV"), (f"{found.digest}.sdmx.xml", "SDMX"),
            (f"{found.digest}.structure.xml", t("SDMX structure")),
        ],
    )  # fmt: skip


@routes.get("/figures/files/{name}", may="member")
async def file(visit: Visit) -> Response:
    """Return a release as a file: the release itself in JSON, or CSV or SDMX that is made of it."""
    digest, _, kind = visit.path("name").partition(".")
    found = released.chosen(released.newest_first(visit.door.ledger), digest=digest)
    if found is None or not digest:
        raise NotFound
    body, media = _file(found, kind, visit)
    name = f'attachment; filename="figures-{found.period}.{kind}"'
    return Response(body, media_type=media, headers={**HEADERS, "content-disposition": name})


def _file(found: Released, kind: str, visit: Visit) -> tuple[bytes, str]:
    """Return content and media type of *found* as a file of *kind*. Raises NotFound for another kind."""
    match kind:
        case "json":
            return found.figures.to_json(), "application/json"
        case "csv":
            return sheet.write(found.figures).encode(), "text/csv; charset=utf-8"
        case "sdmx.xml":
            return sdmx.data(found.figures, prepared=found.at), "application/vnd.sdmx.structurespecificdata+xml"
        case "structure.xml":
            names = InAllLanguages(visit.t.zone)
            return sdmx.structure(found.figures, names, prepared=found.at), "application/vnd.sdmx.structure+xml"
        case _:
            raise NotFound
