"""Pages of the Coordinator's office: no person and no case."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, select
from starlette.responses import Response

from nrmbus.coordinator import deadlines, profiles
from nrmbus.coordinator.procedure import BREACH, CORRECTED, RELEASED, SILENT
from nrmbus.desk.http import views
from nrmbus.desk.state.bulletins import announcements
from nrmbus.desk.state.cases import event_of
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import finish_task
from nrmbus.desk.web.shell import NotFound, Pages, Visit
from nrmbus.desk.web.staff.account import moment_of
from nrmbus.events.agency import ListeningChanged
from nrmbus.events.breach import BreachReported
from nrmbus.events.model import Data
from nrmbus.statistics import released
from nrmbus.statistics.released import Released
from nrmbus.statistics.shown import main_numbers, period_name
from nrmbus.web.words import Words

routes: Final = Pages([*profiles.routes.routes])
ACTS: Final = profiles.ACTS

TASKS: Final = frozenset({SILENT, BREACH, RELEASED, CORRECTED})
"""Kinds of tasks that the overview shows: those of the procedure."""
_MOST_TASKS: Final = 200
"""Most tasks on the overview."""
_EVENTS: Final = tables.events.c
_ABOUT_NO_CASE: Final = select(tables.events).where(~tables.of_case(_EVENTS.subject)).order_by(_EVENTS.position)
_REPORTS: Final = _ABOUT_NO_CASE.where(_EVENTS.type == BreachReported.type)


@routes.get("/overview", may="member")
async def overview(visit: Visit) -> Response:
    """Show the main figures, what is to be done, which agencies do not read, breaches of data, and the Rules in force."""
    every = released.newest_first(visit.door.ledger)
    found, directory = released.chosen(every), visit.door.seat.directory
    with visit.door.ledger.read() as tx:
        said = list(announcements(tx, visit.door.desk.cases))
        silent = {
            each.mark.id: each.data
            for each in said
            if isinstance(each.data, ListeningChanged)
            and not each.data.listening
            and directory.state(each.data.agency, visit.now) == "admitted"  # nobody watches the others any more
        }
        now = [each for each in _open_tasks(tx) if each["kind"] != SILENT or each["event"] in silent]
        tasks = views.some_of_each_kind(now, _MOST_TASKS)
        reports = _read(tx.execute(_REPORTS))
        about = {
            each.id: each
            for each in _read(tx.execute(_ABOUT_NO_CASE.where(_EVENTS.id.in_([task["event"] for task in tasks]))))
        }
    return visit.page(
        "coordinator/overview.html.j2",
        title=visit.t("Overview"),
        tasks=[_task(visit, each, about.get(each["event"]), every) for each in tasks],
        all_tasks=len(now),
        silent=[_silent(visit, each) for each in silent.values()],
        breaches=[_breach(visit, each) for each in _not_over(reports)],
        profile=visit.profile,
        release=found,
        period=period_name(visit.t, found.period) if found else "",
        numbers=main_numbers(found.figures, visit.t) if found else (),
        missing_year=_missing_year(visit, every),
    )  # fmt: skip


@routes.post("/overview/done", may="publish")
async def done(visit: Visit) -> Response:
    """Mark a task of the overview as done."""
    asked = (await visit.form())["task"]
    with visit.door.ledger.read() as tx:
        is_open = any(asked == str(each["task"]) for each in _open_tasks(tx))
    if not is_open:
        raise NotFound
    async with visit.door.ledger.write() as tx:
        visit.must_go_on()
        finish_task(tx, int(asked), visit.door.seat.stamp())
    return visit.see("/overview")


@routes.get("/missed", may="member")
async def missed(visit: Visit) -> Response:
    """Show the duties that were met and missed in a period: the share over all and by kind, and what is hidden and why."""
    t, every = visit.t, released.newest_first(visit.door.ledger)
    period = visit.asked("period", 16)
    found = released.chosen(every, period=period)
    if found is None and period:
        raise NotFound
    return visit.page(
        "coordinator/missed.html.j2",
        title=t("Missed deadlines"),
        release=found,
        periods=[
            {"period": each, "name": period_name(t, each), "is_here": found is not None and each == found.period}
            for each in released.periods_of(every)
        ],
        **(_shares(t, found, every) if found else {}),
    )


def _shares(t: Words, found: Released, every: Sequence[Released]) -> dict[str, Any]:
    """Return what the page of missed deadlines shows of *found*, and of *every* newest release over all."""
    shown, numbers = deadlines.extent(found.figures)
    newest = {each: released.chosen(every, period=each) for each in released.periods_of(every)}
    releases = [(period_name(t, period), each.figures) for period, each in newest.items() if each is not None]
    return {
        "whole": deadlines.over_all(found.figures, t), "shown": shown, "numbers": numbers,
        "tables": deadlines.shares(found.figures, t), "course": tuple(deadlines.course(releases, t)),
    }  # fmt: skip


def _missing_year(visit: Visit, every: Sequence[Released]) -> str:
    """Return the last whole year if its figures are not released; else an empty text."""
    last = str(visit.now.astimezone(visit.t.zone).year - 1)
    return "" if any(each.period == last for each in every) else last


def _open_tasks(tx: Connection) -> Iterator[dict[str, Any]]:
    """Return the open tasks of the procedure, the oldest first."""
    return (each for each in views.open_tasks(tx) if each["kind"] in TASKS)


class _Said(NamedTuple):
    """Event about no case, as this desk has it."""

    id: str
    source: str
    time: str
    registered: str
    data: Data
    cause: str | None


def _read(rows: Iterable[Row[Any]]) -> list[_Said]:
    """Return the events in *rows* whose type and version this release knows."""
    found = ((row, event_of(row)) for row in rows)
    return [
        _Said(row.id, row.source, row.time, row.registered, event.data, event.causationid)
        for row, event in found
        if event is not None
    ]


def _not_over(reports: Iterable[_Said]) -> list[_Said]:
    """Return the newest report of each breach that is not over, of *reports*, the oldest first.

    A report is about the breach that its cause reported; without a cause, about the one of the same kind at the same agency,
    or, if it ends a breach of no such kind, about the agency's only one.
    """
    found: dict[tuple[str, str], _Said] = {}
    for said in reports:
        data = said.data
        assert isinstance(data, BreachReported)  # noqa: S101 - chosen by its query
        own = [each for each in found if each[0] == said.source]
        about = next((each for each in own if said.cause == found[each].id), (said.source, data.kind))
        if data.ended and about not in found and len(own) == 1:
            about = own[0]
        found.pop(about, None)
        if not data.ended:
            found[about] = said
    return list(found.values())


def _task(visit: Visit, task: Mapping[str, Any], event: _Said | None, every: Sequence[Released]) -> dict[str, Any]:
    """Return a *task* in words, about its *event* or, if that is new figures, about one of *every* release."""
    t = visit.t
    about = event.data if event else None
    agency = about.agency if isinstance(about, ListeningChanged) else event.source if event else t("an agency")
    release = next((each for each in every if each.event == task["event"]), None)
    period = period_name(t, release.period) if release else ""
    texts = {
        SILENT: t("The desk of {agency} no longer takes what is delivered. Call the agency, and ask when it runs again.", agency=agency),
        BREACH: t("{agency} reports that a breach of data is over. Read what was done.", agency=agency)
        if isinstance(about, BreachReported) and about.ended
        else t("{agency} reported a breach of data. Ask what is done, until the breach is over.", agency=agency),
        RELEASED: t("New figures are released: {period}. Read them, and write the yearly information if they are of a whole year.", period=period),
        CORRECTED: t("Figures that were published before are corrected: {period}. Publish the corrected ones in their place.", period=period),
    }  # fmt: skip
    figures = {"digest": release.digest, "name": t("Figures for {period}", period=period)} if release else None
    return {
        "number": task["task"], "text": texts[task["kind"]], "figures": figures, "since": moment_of(visit, task["opened"])
    }  # fmt: skip


def _silent(visit: Visit, said: ListeningChanged) -> dict[str, str]:
    entry = visit.door.seat.directory.entries.get(said.agency)
    contact = entry.contact if entry else None
    return {
        "agency": said.agency,
        "role": visit.t.capital(visit.t.agency_role(entry.role)) if entry else "",
        "since": visit.t.moment(said.since),
        "phone": (contact.phone or "") if contact else "",
    }


def _breach(visit: Visit, said: _Said) -> dict[str, Any]:
    t, data = visit.t, said.data
    assert isinstance(data, BreachReported)  # noqa: S101 - chosen by its caller
    return {
        "agency": said.source,
        "kind": t.capital(t.code("BreachKind", data.kind)),
        "persons": t.capital(t.code("PersonsBand", data.persons)),
        "measures": [t.capital(t.code("BreachMeasure", each)) for each in data.measures],
        "happened": moment_of(visit, said.time),
        "when": moment_of(visit, said.registered),
    }
