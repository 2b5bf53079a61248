"""Rows of a list in the reader's words. Nothing here is read from a letter."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from nrmbus.desk.http.served import Door
from nrmbus.desk.staff.permissions import Permission, permission_for
from nrmbus.desk.web.called import called, is_service
from nrmbus.desk.web.work.item import Item
from nrmbus.desk.web.work.known import Snapshot
from nrmbus.desk.web.work.queues import Board, Queue, files, state_words
from nrmbus.events.registry import data_type, versions
from nrmbus.web.folding import folded
from nrmbus.web.lists import family_of, list_in
from nrmbus.web.words import Words
from nrmbus.wire import times

SHORT: Final = 8
"""Digits of a case's reference that a row shows: enough for every command, too."""
_OF_MONEY: Final = frozenset({"granted", "ordered", "executed", "failed"})
_ANSWERS: Final = frozenset({"referral.acknowledged", "referral.accepted"})
_TASK_ACTS: Final[Mapping[str, str]] = {
    "refer_again": "referral.submitted", "ask_first": "consent.given", "children_first": "safeguard.child_flagged",
    "without_police": "referral.submitted", "refer_now": "referral.submitted", "refer_child": "referral.submitted",
    "call_back": "referral.info_supplied",
    "make_plan": "plan.adopted", "transition": "plan.revised", "close": "case.closed",
    "shield": "stay.hold_requested", "ask_hold": "stay.hold_requested", "review_for_person": "review.requested", "follow_up": "case.follow_up_recorded",
}  # fmt: skip

COLUMNS: Final[Mapping[str, str]] = {
    "case": "Case", "what": "What", "since": "Since", "due": "Due", "state": "State", "colleague": "Colleague",
    "amount": "Amount", "status": "Status", "stage": "Stage", "last": "Last event", "for_what": "For what",
}  # fmt: skip
AGENCY: Final[Mapping[str, str]] = {
    "ours": "From whom",
    "theirs": "Who has it",
    "answer": "From whom",
    "case": "Found by",
    "record": "Agency",
}


Time = tuple[str, str]
"""Day and clock."""


@dataclass(frozen=True, slots=True)
class Tag:
    """State of a row, as a coloured tag."""

    text: str
    colour: str = "grey"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: each cell in words."""

    key: str
    case: str
    label: str
    """The agency's own label, else the short reference."""
    reference: str
    child: bool
    what: str
    result: str
    """What an answer came to, in words."""
    urgency: Tag | None
    agencies: Sequence[tuple[str, str]]
    """Id and role of each."""
    since: Time | None
    due: str
    """Time of the deadline; empty without one."""
    left: str
    """Countdown in words."""
    is_late: bool
    state: Tag
    status: str
    stage: str
    last: Time | None
    for_what: str
    amount: str
    colleague: str
    task: int
    act: str
    """Type of the next step; empty: look at the case."""
    ref: str
    is_answer: bool
    """Whether the next step answers a referral: that page has the other answers too."""
    is_group: bool
    """Whether the next step is about a group of people found together."""
    path: str
    """Address of the case, or of the groups where the row is about an incident."""
    action: str
    """The next step in words."""


@lru_cache(maxsize=4096)
def _minute(t: Words, time: datetime) -> Time:
    return t.day(time), t.clock(time)


@lru_cache(maxsize=4096)
def _at(t: Words, time: Any) -> Time | None:
    return _minute(t, time.replace(second=0)) if isinstance(time, datetime) else None


def rows_of(
    t: Words, door: Door, items: Iterable[Item], snapshot: Snapshot, now: datetime, permissions: frozenset[Permission]
) -> Iterator[Row]:
    """Yield a row for each of *items* at *now*, in the words *t*; its next step is one that *permissions* allow."""
    name_of = door.staff.members.name_of
    for item in items:
        is_late = item.is_late(now)
        act = item.act or _TASK_ACTS.get(item.code, "")
        if permission_for(act) not in permissions:
            act = ""
        yield Row(
            key="-".join(
                (item.case[:SHORT], item.about, (item.ref or item.code)[:SHORT], *item.agencies, str(item.task))
            ),
            case=item.case,
            label=snapshot.labels.get(item.case) or item.case[:SHORT],
            reference=item.case[:SHORT] if item.case in snapshot.labels else "",
            child=item.child,
            what=what_of(t, item),
            result=result_of(t, item),
            urgency=_urgency(t, item.urgency),
            agencies=[_known_as(t, door, each) for each in item.agencies],
            since=_at(t, item.since),
            due=t.deadline(item.due) if item.due else "",
            left=_left(t, item, now),
            is_late=is_late,
            state=_state(t, item, is_late=is_late),
            status=t.code("status", item.status) if item.status else "",
            stage=t.code("Stage", item.said["stage"]) if item.said.get("stage") else "",
            last=_at(t, item.said.get("last")),
            for_what=_for_what(t, item) or ", ".join(called(door, each) for each in _alternatives(door, item, now)),
            amount=t.money(item.said["amount"], item.said["currency"]) if "amount" in item.said else "",
            colleague=name_of(number) if (number := snapshot.colleague(item)) else "",
            task=item.task,
            act=act,
            ref=item.ref or "",
            is_answer=(is_answer := act in _ANSWERS and bool(item.ref)),
            is_group=(is_group := item.type == "incident.opened" or item.code == "cut_access"),
            path="/groups" if item.type == "incident.opened" else f"/cases/{item.case}",
            action=t("Answer a referral")
            if is_answer
            else _group_step(t, item)
            if is_group
            else t.code("act", act)
            if act
            else t("Open the case"),
        )


def _alternatives(door: Door, item: Item, now: datetime) -> list[str]:
    """Return the agencies that the task *item* names and to which somebody can turn now: the form offers no others."""
    named: tuple[str, ...] = item.said.get("alternatives", ())
    return [each for each in named if door.seat.directory.state(each, now) == "admitted"]


def _known_as(t: Words, door: Door, agency: str) -> tuple[str, str]:
    """Return the name by which people know *agency*, and its role in words; of a service of the bus the role alone."""
    role = t.agency_role(door.seat.rules.role_of(agency))
    return (t.capital(role), "") if is_service(door, agency) else (called(door, agency), role)


def agency_called(door: Door, text: str) -> str:
    """Return the agency that *text* names by its id or its name; empty if none."""
    wanted = folded(text)
    return next((each for each in door.seat.directory.entries if wanted in (each, folded(called(door, each)))), "")


def _group_step(t: Words, item: Item) -> str:
    return t("Record the people") if item.type == "incident.opened" else t("Look at the group")


def what_of(t: Words, item: Item) -> str:
    """Return what *item* is about, in words."""
    if item.about == "task":
        kind = next((file.tasks[item.code] for file in files().values() if item.code in file.tasks), None)
        said = t(kind) if kind else t.code("task", item.code)
        if item.code == "read" and item.type:  # the list is called so
            return t.type(item.type)
        return f"{said}: {t.type(item.type)}" if item.type else said
    if item.about == "child":  # a worker, who may not take the step, reads here which one it is
        return f"{t.code('act', item.code)}: {t.type(item.type)}"
    return t.type(item.type) if item.type else ""


def result_of(t: Words, item: Item) -> str:
    """Return what the answer *item* came to, in words; empty for what is no answer, and for one that says no more than its type."""
    name = item.said.get("result")
    if name is None:
        return ""
    list = list_in(data_type(item.type, max(versions(item.type))), name)
    return t.code(family_of(list), item.said[name])


def _urgency(t: Words, urgency: str) -> Tag | None:
    colours = {"emergency": "red", "urgent": "orange"}
    return Tag(t.code("Urgency", urgency), colours[urgency]) if urgency in colours else None


def _left(t: Words, item: Item, now: datetime) -> str:
    if item.due is None:
        return ""
    seconds = int(abs(item.due - now).total_seconds())
    length = t.duration(seconds - seconds % 60 or seconds)  # rounded down: nobody is promised more time than there is
    length = length.replace(" ", "\N{NO-BREAK SPACE}")  # a number stays beside its unit in a narrow column
    return t("{length} overdue", length=length) if item.due < now else t("{length} left", length=length)


def _state(t: Words, item: Item, *, is_late: bool) -> Tag:
    if is_late and item.side in ("ours", "theirs"):
        found = state_words("overdue" if item.side == "ours" else "not_answered")
    else:
        found = state_words(item.state)
    if found is not None:
        return Tag(t(found.name), found.colour)
    if item.side == "case" and not item.state:
        return Tag(t("Not known here"))
    if item.side == "case":
        return Tag(t.code("status", item.state), "grey" if item.is_over else "blue")
    return Tag(t.type(item.state) if "." in item.state else item.state.replace("_", " "))


def _for_what(t: Words, item: Item) -> str:
    if item.said.get("service"):
        return t.code("Service", item.said["service"])
    if item.said.get("services"):
        return ", ".join(t.code("Service", each) for each in item.said["services"])
    if item.said.get("purpose"):
        return t.code("GrantPurpose", item.said["purpose"])
    if item.said.get("kind"):
        return t.code("PaymentKind", item.said["kind"])
    return ""


def totals(t: Words, items: Iterable[Item]) -> str:
    """Return the sum of the amounts of *items*, by currency."""
    sums: dict[str, Decimal] = {}
    for item in items:
        if "amount" in item.said:
            currency = str(item.said["currency"])
            sums[currency] = sums.get(currency, Decimal(0)) + Decimal(str(item.said["amount"]))
    return ", ".join(t.money(str(amount), currency) for currency, amount in sorted(sums.items()))


@dataclass(frozen=True, slots=True)
class Spent:
    """Money for one purpose from one source: grants without an order, and number of payments and their sum by state."""

    purpose: str
    source: str
    granted: int
    sums: Mapping[str, tuple[int, str]]


def spent(t: Words, snapshot: Snapshot, board: Board) -> list[Spent]:
    """Return where the money went, by purpose and source: granted, ordered, paid and come back; none if not asked for."""
    if not board.money:
        return []
    lines: dict[tuple[str, str], dict[str, list[Item]]] = {}
    for item in snapshot.items:
        if item.side == "record" and item.about in ("payment", "grant") and item.state in _OF_MONEY:
            source = t.code("GrantSource", item.said["source"]) if item.said.get("source") else ""
            lines.setdefault((_for_what(t, item), source), {}).setdefault(item.state, []).append(item)
    return [
        Spent(purpose, source, len(states.pop("granted", ())), {code: (len(items), totals(t, items)) for code, items in states.items()})
        for (purpose, source), states in sorted(lines.items())
    ]  # fmt: skip


def headings(t: Words, queue: Queue) -> list[tuple[str, str]]:
    """Return the columns of *queue*, each with its heading."""
    names = {**COLUMNS, "agency": AGENCY[queue.pick.side], **({"since": "When"} if queue.pick.side == "answer" else {})}
    return [(each, t(names[each])) for each in queue.columns]


@dataclass(frozen=True, slots=True)
class Cell:
    """One service of one case."""

    tag: Tag
    when: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """Services by case."""

    services: Sequence[tuple[str, str]]
    """Code and words of each column."""
    cases: Sequence[tuple[Row, Mapping[str, Cell]]]
    total: int
    """Number of cases that have services, shown or not."""


def matrix(t: Words, door: Door, snapshot: Snapshot, now: datetime, most: int) -> Matrix:
    """Return the services of the cases that are not over, at most *most* cases: those in which a service is overdue first, then those with the newest change."""
    by_case: dict[str, dict[str, Item]] = {}
    newest: dict[str, datetime] = {}
    late = set[str]()
    for item in snapshot.items:
        codes = item.said.get("services", (item.said["service"],) if item.said.get("service") else ())
        if codes and item.side in ("ours", "theirs") and item.is_late(now):
            late.add(item.case)
        if item.side != "record" or item.about not in ("service", "referral") or item.is_over:
            continue
        for code in codes:
            there = by_case.setdefault(item.case, {})
            before = there.get(code)
            if before is None or (item.since and before.since and item.since >= before.since):
                there[code] = item
            if item.since:
                newest[item.case] = max(newest.get(item.case, item.since), item.since)
    shown = sorted(by_case, key=lambda case: (case in late, newest[case]), reverse=True)[:most]
    codes = sorted({code for case in shown for code in by_case[case]})
    cases = []
    for case in shown:
        items = by_case[case]
        (row,) = rows_of(t, door, [next(iter(items.values()))], snapshot, now, frozenset())
        cases.append((row, {code: _cell(t, item, now) for code, item in items.items()}))
    return Matrix([(code, t.code("Service", code)) for code in codes], cases, len(by_case))


def _cell(t: Words, item: Item, now: datetime) -> Cell:
    when = times.read(item.said["when"]) if isinstance(item.said.get("when"), str) else item.since
    return Cell(_state(t, item, is_late=item.is_late(now)), t.day(when) if when else "")


@dataclass(frozen=True, slots=True)
class Places:
    """Places of a shelter in one category."""

    category: str
    free: int
    held: int
    taken: int
    all: int


def places(t: Words, book: Any, board: Board) -> list[Places]:
    """Return a shelter's places by category from its procedure's *book*; none if the board has no places."""
    known = getattr(book, "places", None)
    if not board.places or known is None:
        return []
    found = []
    for category, count in known.items():
        beds = [bed for bed in book.beds if bed.category in (category, "")]
        taken = sum(bed.taken for bed in beds)
        held = len(beds) - taken
        found.append(Places(t.code("BedCategory", category), max(0, count - len(beds)), held, taken, count))
    return found
