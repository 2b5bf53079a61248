"""Pages of the work list, the board of the agency's role, and a case's own label and colleague."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

from markupsafe import Markup
from starlette.responses import Response

from nrmbus.desk.http.served import Door
from nrmbus.desk.staff.permissions import Permission
from nrmbus.desk.state import labels
from nrmbus.desk.store.ledger import finish_task
from nrmbus.desk.web.shell import NotFound, Pages, Visit, url
from nrmbus.desk.web.work import searches, stream
from nrmbus.desk.web.work.item import Item
from nrmbus.desk.web.work.known import Snapshot, known_of
from nrmbus.desk.web.work.queues import ORDERS, Board, Order, Queue, board_of, general, ordered, queue_of
from nrmbus.desk.web.work.rows import agency_called, headings, matrix, places, rows_of, spent, totals
from nrmbus.desk.web.work.searches import NOBODY, Search, Searches
from nrmbus.telemetry import log
from nrmbus.web.frame import LANGUAGE
from nrmbus.web.guard import Form

PAGE: Final = 50
"""Rows of one page."""
SECTION: Final = 10
"""Rows of a list on a board; the rest stands on a page of its own."""
SORTS: Final[Mapping[Order, str]] = {
    "due": "Due first",
    "since": "Oldest first",
    "newest": "Newest first",
    "label": "By label",
}
_OF_STEPS: Final = frozenset[Permission](("publish", "decide"))
"""Permissions on which the next step of a row depends, so that members with the same ones share a page."""

routes: Final = Pages()

FEW: Final = 5
"""Most rows that everybody sees at once, so that no order of them is offered."""
_SEARCHES: Final[WeakKeyDictionary[Door, Searches]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Tab:
    """Link to one of the lists, with its count."""

    queue: Queue
    count: int | None
    is_late: bool
    is_here: bool


def _searches(visit: Visit) -> Searches:
    return _SEARCHES.setdefault(visit.door, Searches())


def _tabs(visit: Visit, snapshot: Snapshot, here: str) -> list[Tab]:
    found = stream.counts(snapshot, visit.now)
    tabs = []
    for queue in general().queues:
        count, is_late = found.get(queue.id, (None, False))
        if count or not queue.hides_empty or queue.id == here:
            tabs.append(Tab(queue, count, is_late, queue.id == here))
    return tabs


async def count_anew(visit: Visit) -> None:
    """Bring the counts of the navigation up to date, once a list was shown: only cases that have changed are read."""
    known = known_of(visit.door)
    if not known.is_loaded or visit.member is None or "read_cases" not in visit.me.permissions:
        return
    try:
        await known.fresh()
    except Exception as error:  # noqa: BLE001 - a page about something else goes without a count
        log.report("counts_failed", error=type(error).__name__)


def counted(visit: Visit, queue: str) -> tuple[int, bool] | None:
    """Return how many rows the list *queue* has, and whether one is overdue; None before the first list, and after a failure."""
    known = known_of(visit.door)
    return stream.counts(known.now, visit.now).get(queue) if known.is_loaded else None


@routes.get("/work", may="read_cases")
async def first(visit: Visit) -> Response:
    """Show what waits for this agency."""
    return await _list(visit, general().queues[0])


@routes.get("/lists/stream", may="read_cases")
async def follow(visit: Visit) -> Response:
    """Stream the counts of the lists."""
    return stream.stream(visit)


@routes.get("/lists/{queue}", may="read_cases")
async def one(visit: Visit) -> Response:
    """Show one of the lists."""
    return await _list(visit, _queue(visit, visit.path("queue")))


def _queue(visit: Visit, id: str) -> Queue:
    queue = queue_of(visit.door.seat.role, id, visit.door.seat.rules.deciders)
    if queue is None:
        raise NotFound
    return queue


def _page(visit: Visit) -> int:
    """Return the number of the page that was asked for."""
    asked = visit.asked("page", 5)
    return max(int(asked), 1) if asked.isdecimal() else 1


async def _list(visit: Visit, queue: Queue) -> Response:
    snapshot = await known_of(visit.door).fresh()
    name = visit.asked("search", 16)
    search, typed = (_searches(visit).of(visit.me.number, each) for each in (name, visit.asked("typed", 16)))
    order = visit.asked("sort")
    sort: Order = next((each for each in ORDERS if each == order), queue.order)
    rows = snapshot.rows(queue, visit.now)
    shown = rows if search is None else searches.found(rows, search, snapshot, visit.me.number)
    if sort != queue.order:
        shown = ordered(list(shown), sort, snapshot.labels)
    pages = max(1, -(-len(shown) // PAGE))
    page = min(_page(visit), pages)
    here = shown[(page - 1) * PAGE : page * PAGE]
    values: dict[str, Any] = {
        "queue": queue, "page": page, "pages": pages, "sort": sort, "search": name if search else "", "total": len(shown),
        "is_board": False,
    }  # fmt: skip
    part = partial(_part, visit, snapshot, here, values)
    key = (visit.t.language, visit.me.permissions & _OF_STEPS, queue.id, page, sort)
    return visit.page(
        "work/list.html.j2",
        title=visit.t(queue.name),
        tabs=_tabs(visit, snapshot, queue.id),
        part=part() if search else snapshot.once(visit.now, key, part),
        search=search,
        search_name=values["search"],
        typed=typed,
        keeps=f"{url(f'/lists/{queue.id}/search')}?{_place(values['search'], sort, page)}",
        is_lost=bool(name) and search is None,
        few=FEW,
        sorts=[(each, visit.t(SORTS[each])) for each in ORDERS],
        types=snapshot.once(visit.now, (*key[:1], queue.id, "types"), partial(_types, visit, rows)),
        colleagues=_colleagues(visit, snapshot),
        **{name: value for name, value in values.items() if name != "search"},
        at=visit.t.clock(visit.now),
        version=snapshot.version,
    )


def _place(search: str, sort: str, page: int) -> str:
    """Return the query of one page of a list."""
    return urlencode({"search": search, "sort": sort, "page": page})


def _colleagues(visit: Visit, snapshot: Snapshot) -> list[tuple[str, str]]:
    name_of = visit.door.staff.members.name_of
    return sorted(((number, name_of(number)) for number in set(snapshot.assigned.values())), key=lambda each: each[1])


def _types(visit: Visit, rows: list[Item]) -> list[tuple[str, str]]:
    t = visit.t
    kinds = {each: t.type(each) for each in {row.type for row in rows if row.side != "case"} if each}
    statuses = {each: t.code("status", each) for each in {row.status for row in rows if row.side == "case"} if each}
    return sorted((kinds | statuses).items(), key=lambda each: each[1])


def _part(visit: Visit, snapshot: Snapshot, items: list[Item], values: Mapping[str, Any]) -> Markup:
    """Return the table of *items*; it is the same for everybody with the same words and permissions."""
    queue: Queue = values["queue"]
    permissions = visit.me.permissions
    rows = rows_of(visit.t, visit.door, items, snapshot, visit.now, permissions)
    return visit.part(
        "work/rows.html.j2",
        rows=list(rows),
        headings=headings(visit.t, queue),
        may_publish="publish" in permissions,
        **values,
    )


# -- searching -------------------------------------------------------------------------------------------------------


@routes.post("/lists/{queue}/search", may="read_cases")
async def search(visit: Visit) -> Response:
    """Keep what the member looks for, and lead to the rows that fit."""
    queue, form = _queue(visit, visit.path("queue")), await visit.form()
    text = form["text"].strip()[: searches.LONGEST]
    wanted = Search(
        text, form["type"][:64], form["colleague"][:64], agency=agency_called(visit.door, text) if text else ""
    )
    if form["go"] == LANGUAGE:  # the list as it is, with what was typed and not looked for yet
        here = _place(visit.asked("search", 16), visit.asked("sort"), _page(visit))
        return visit.see(f"/lists/{queue.id}?{here}&typed={_searches(visit).keep(visit.me.number, wanted)}")
    if wanted == Search():
        return visit.see(f"/lists/{queue.id}")
    return visit.see(f"/lists/{queue.id}?search={_searches(visit).keep(visit.me.number, wanted)}")


# -- the agency's own notes ------------------------------------------------------------------------------------------


@routes.post("/lists/take", may="read_cases")
async def take(visit: Visit) -> Response:
    """Assign a case or a task to the member who asks; a colleague who was faster keeps it."""
    form = await visit.form()
    snapshot, case = await known_of(visit.door).fresh(), form["case"]
    task = int(form["task"]) if form["task"].isdecimal() else 0
    if not any(item.case == case and item.task == task for item in snapshot.items):
        raise NotFound
    async with visit.door.ledger.write() as tx:
        visit.must_go_on()
        if (case, task) not in labels.assigned(tx):
            labels.assign(tx, case, visit.me.number, visit.door.seat.stamp(), task)
    return _back(visit, form["back"])


@routes.post("/lists/tasks/{task}/done", may="publish")
async def done(visit: Visit) -> Response:
    """Mark a task of a case as done."""
    asked, form = visit.path("task"), await visit.form()
    snapshot = await known_of(visit.door).fresh()
    if not asked.isdecimal() or not any(item.task == int(asked) for item in snapshot.items if item.task):
        return _back(visit, form["back"])  # a colleague was faster
    async with visit.door.ledger.write() as tx:
        visit.must_go_on()
        finish_task(tx, int(asked), visit.door.seat.stamp())
    return _back(visit, form["back"])


def _back(visit: Visit, queue: str) -> Response:
    board = board_of(visit.door.seat.role, visit.door.seat.rules.deciders)
    if board is not None and queue == "board":
        return visit.see("/board")
    return visit.see(
        f"/lists/{queue}" if queue_of(visit.door.seat.role, queue, visit.door.seat.rules.deciders) else "/work"
    )


@routes.get("/cases/{case}/notes", may="read_cases")
async def notes(visit: Visit) -> Response:
    """Show the agency's own label of a case, and who has the case."""
    snapshot, case = await known_of(visit.door).fresh(), visit.path("case")
    if case not in snapshot.cases:
        raise NotFound
    now = _Notes(snapshot.labels.get(case, ""), snapshot.assigned.get((case, 0), ""))
    return _notes(visit, case, now, now, now)


@dataclass(frozen=True, slots=True)
class _Notes:
    """Label of a case, and the number of the colleague who has it; empty if nobody has."""

    label: str
    colleague: str

    @classmethod
    def sent(cls, form: Form, now: "_Notes", before: str = "") -> "_Notes":
        """Return what *form* has in the fields whose names begin with *before*; what it has not, as from a page of an earlier release, is as *now*."""
        label = next(iter(form.all(f"{before}label")), now.label)
        colleague = next(iter(form.all(f"{before}colleague")), now.colleague)
        return cls(labels.tidied(label), "" if colleague == NOBODY else colleague)


def _notes(visit: Visit, case: str, typed: _Notes, was: _Notes, now: _Notes, *, passed: bool = False) -> Response:
    """Show what is *typed*; *was*: what the member saw before any change, *passed*: a colleague has changed it since."""
    return visit.page(
        "work/notes.html.j2",
        title=visit.t("Label and colleague"),
        status=409 if passed else 200,
        case=case,
        typed=typed,
        was=was,
        passed=passed,
        choices=_choices(visit, now.colleague, typed.colleague),
        longest=labels.LONGEST,
        keeps=url(f"/cases/{case}/notes"),
    )


def _choices(visit: Visit, now: str, chosen: str = "") -> list[dict[str, Any]]:
    """Return who may be said to have a case that the colleague *now* has, and who is *chosen*; a supervisor may give it to anybody."""
    t, me = visit.t, visit.me.number
    names = {me: t("I have it"), NOBODY: t("Nobody yet")}
    if "see_colleagues" in visit.me.permissions:
        others = (each for each in visit.door.staff.members.everybody() if "read_cases" in each.permissions)
        names |= {each.number: each.name for each in others if each.standing != "removed" and each.number != me}
    if now:
        names.setdefault(now, visit.door.staff.members.name_of(now))
    return [{"value": value, "text": text, "checked": value == (chosen or NOBODY)} for value, text in names.items()]


@routes.post("/cases/{case}/notes", may="read_cases")
async def keep_notes(visit: Visit) -> Response:
    """Keep what the member changed of the label, and of who has the case; nothing if a colleague has changed the same since."""
    snapshot, case, form = await known_of(visit.door).fresh(), visit.path("case"), await visit.form()
    if case not in snapshot.cases:
        raise NotFound
    shown = _Notes(snapshot.labels.get(case, ""), snapshot.assigned.get((case, 0), ""))
    if form["go"] == LANGUAGE:
        return _notes(visit, case, _Notes.sent(form, shown), _Notes.sent(form, shown, "was_"), shown)
    seat = visit.door.seat
    async with visit.door.ledger.write() as tx:
        visit.must_go_on()
        now = _Notes(labels.of(seat, tx, case), labels.colleague_of(tx, case))
        typed, was = _Notes.sent(form, now), _Notes.sent(form, now, "was_")
        label, is_label_passed = _merged(was.label, now.label, typed.label)
        colleague, is_colleague_passed = _merged(was.colleague, now.colleague, typed.colleague)
        passed = is_label_passed or is_colleague_passed
        if not passed and label != now.label:
            labels.keep(seat, tx, case, label)
        choices = {each["value"] for each in _choices(visit, now.colleague)}
        if not passed and colleague != now.colleague and (colleague or NOBODY) in choices:
            labels.assign(tx, case, colleague, seat.stamp())
    if passed:
        return _notes(visit, case, _Notes(label, colleague), now, now, passed=True)
    return visit.see(f"/cases/{case}")


def _merged(was: str, now: str, typed: str) -> tuple[str, bool]:
    """Return what is kept of *typed* if *was* was shown and a colleague has made it *now*, and whether both changed it."""
    is_passed = was != typed and now not in (was, typed)
    return now if is_passed or was == typed else typed, is_passed


# -- the board of a role ---------------------------------------------------------------------------------------------


@routes.get("/board", may="read_cases")
async def board(visit: Visit) -> Response:
    """Show the page of the agency's role."""
    page = board_of(visit.door.seat.role, visit.door.seat.rules.deciders)
    if page is None:
        return visit.see("/work")
    snapshot = await known_of(visit.door).fresh()
    key = (visit.t.language, visit.me.permissions & _OF_STEPS, "board")
    return visit.page(
        "work/board.html.j2",
        title=visit.t(page.name),
        board=page,
        part=snapshot.once(visit.now, key, partial(_board, visit, snapshot, page, visit.now)),
        at=visit.t.clock(visit.now),
        version=snapshot.version,
    )


def _board(visit: Visit, snapshot: Snapshot, page: Board, now: datetime) -> Markup:
    sections = []
    for queue in page.sections:
        rows = snapshot.rows(queue, now)
        values: dict[str, Any] = {
            "queue": queue,
            "page": 1,
            "pages": 1,
            "sort": queue.order,
            "search": "",
            "total": len(rows),
            "is_board": True,
        }
        total = totals(visit.t, rows) if "amount" in queue.columns else ""
        sections.append((queue, len(rows), total, _part(visit, snapshot, rows[:SECTION], values)))
    services = matrix(visit.t, visit.door, snapshot, now, PAGE) if page.services else None
    return visit.part(
        "work/sections.html.j2", board=page, sections=sections, most=SECTION, services=services,
        places=places(visit.t, visit.door.desk.book, page), money=spent(visit.t, snapshot, page),
    )  # fmt: skip
