"""Items of every case that a desk knows, kept in memory and made again when a commit changes a case.

The first page reads every case once; a later one only those with new events. Nothing of it is loaded at a desk without people.
"""

import asyncio
import json
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from typing import Any, Final, TypeVar, cast
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Row, bindparam, func, select

from nrmbus.desk.access.break_glass import is_out
from nrmbus.desk.desk import Desk
from nrmbus.desk.http.served import Door
from nrmbus.desk.state import beginnings, labels
from nrmbus.desk.state.cases import NEWEST
from nrmbus.desk.store import tables
from nrmbus.desk.web.work.item import Facts, Happened, Item, Task
from nrmbus.desk.web.work.items import items_of
from nrmbus.desk.web.work.kinds import REFER_AGAIN
from nrmbus.desk.web.work.queues import Queue, picked
from nrmbus.events.registry import TYPES
from nrmbus.events.shelter import BedOffered
from nrmbus.rules import Rules, View
from nrmbus.wire import times

_T = TypeVar("_T")

AT_ONCE: Final = 20
"""Cases read before other requests get a turn."""
_ALLOWANCE: Final = "one_time_allowance"
_TECHNICAL: Final = frozenset(data.type for data in TYPES.values() if data.technical)

_EVENTS, _TASKS, _OUTBOX = tables.events.c, tables.tasks.c, tables.outbox.c
_ALL: Final = (
    select(_EVENTS.subject, func.max(_EVENTS.position).label("last"))
    .where(tables.of_case(_EVENTS.subject))
    .group_by(_EVENTS.subject)
)
_CHANGED: Final = _ALL.where(_EVENTS.position > bindparam("seen"), _EVENTS.position <= bindparam("until"))
"""The cases of the events since: without both bounds SQLite would look through all events for them."""
_HAPPENED: Final = (
    select(_EVENTS.id, _EVENTS.type, _EVENTS.source, _EVENTS.referral, _EVENTS.registered, _EVENTS.value)
    .where(_EVENTS.subject == bindparam("subject"), _EVENTS.technical == 0)
    .order_by(_EVENTS.position)
)
_OPEN_IDS: Final = select(_TASKS.id).where(_TASKS.done.is_(None), _TASKS.subject != "")
_NEW_TASKS: Final = (
    select(tables.tasks, _EVENTS.type, _EVENTS.source, _EVENTS.referral)
    .select_from(tables.tasks)
    .outerjoin(tables.events, (_EVENTS.subject == _TASKS.subject) & (_EVENTS.id == _TASKS.event))
    .where(_TASKS.done.is_(None), _TASKS.subject != "", _TASKS.id > bindparam("seen"))
    .order_by(_TASKS.id)
)
_SETTLED: Final = (
    select(tables.tasks, _EVENTS.type, _EVENTS.source, _EVENTS.referral)
    .select_from(tables.tasks)
    .outerjoin(tables.events, (_EVENTS.subject == _TASKS.subject) & (_EVENTS.id == _TASKS.event))
    .where(_TASKS.subject == bindparam("subject"), _TASKS.kind == REFER_AGAIN, _TASKS.done.is_not(None))
)
_UNSENT: Final = (
    select(_OUTBOX.subject, _OUTBOX.id, _OUTBOX.type, _OUTBOX.made)
    .where(_OUTBOX.state.in_(("waiting", "signed")), _OUTBOX.type.not_in(sorted(_TECHNICAL)))  # by their index
    .order_by(_OUTBOX.seq)
)


@dataclass(frozen=True)
class Snapshot:
    """What the lists show, as of one commit."""

    version: int = 0
    """Goes up whenever something that a list shows has changed."""
    items: tuple[Item, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    assigned: Mapping[tuple[str, int], str] = field(default_factory=dict)
    made: dict[Hashable, Any] = field(default_factory=dict, compare=False)
    """Result of the snapshot in the minute that it has under the key ``minute``."""

    def once(self, now: datetime, key: Hashable, make: Callable[[], _T]) -> _T:
        """Return what *make* returns: once a minute for each *key*, since countdowns show minutes."""
        minute = int(now.timestamp()) // 60
        if self.made.get("minute") != minute:
            self.made.clear()
            self.made["minute"] = minute
        if key not in self.made:
            self.made[key] = make()
        return cast("_T", self.made[key])

    def rows(self, queue: Queue, now: datetime) -> list[Item]:
        """Return the rows of *queue* at *now*."""
        return self.once(now, ("rows", queue.id), lambda: picked(queue, self.items, now))

    @cached_property
    def cases(self) -> Mapping[str, Item]:
        """Return the item of each case, by reference."""
        return {item.case: item for item in self.items if item.side == "case"}

    def colleague(self, item: Item) -> str:
        """Return the number of the colleague who has the item's task, or else its case; empty if nobody has."""
        return self.assigned.get((item.case, item.task)) or self.assigned.get((item.case, 0), "")


@dataclass(frozen=True, slots=True)
class _Case:
    """One case as it was read last."""

    beside: tuple[Any, ...]
    """Tasks, unsent events and the hold on the case: they change without an event of the case."""
    items: tuple[Item, ...]
    until: datetime | None
    """When days alone change the duties of the case next."""


class Known:
    """Items of one desk's cases."""

    def __init__(self, desk: Desk) -> None:
        """Read nothing yet."""
        self._desk, self._seat = desk, desk.seat
        self._cases: dict[str, _Case] = {}
        self._seen, self._count = 0, -1
        self._until: datetime | None = None
        """When days alone change the duties of any case next."""
        self._labels: dict[str, tuple[labels.Sealed, str]] = {}
        self._tasks: dict[int, tuple[str, Task]] = {}
        self._turn = asyncio.Lock()
        self._watch: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self.streams = 0
        """Streams that wait for changes now."""
        self.now = Snapshot()
        """The newest snapshot; empty until the first page."""

    @property
    def is_loaded(self) -> bool:
        """Return whether every case was read once, and the last reading did not fail."""
        return self._count >= 0

    async def fresh(self) -> Snapshot:
        """Return the snapshot of the newest commit."""
        if self._is_old():
            async with self._turn:
                if self._is_old():
                    try:
                        await self._read()
                    except Exception:
                        self._count = -1  # so that no page shows the counts of an older commit
                        raise
        return self.now

    def _is_old(self) -> bool:
        return self._count != self._seat.ledger.count or self._has_ended()

    def _has_ended(self) -> bool:
        """Return whether days alone have changed the duties of a case since the last reading."""
        return self._until is not None and self._until <= self._seat.now()

    async def _read(self) -> None:
        ledger, now = self._seat.ledger, self._seat.now()
        count = ledger.count
        with ledger.read() as tx:
            of_events = tx.execute(_CHANGED, {"seen": self._seen, "until": NEWEST}) if self._seen else tx.execute(_ALL)
            changed = {row.subject: row.last for row in of_events}
            tasks, unsent = self._tasks_of(tx), _unsent(tx)
            named, assigned = self._named(tx), labels.assigned(tx)
        parked = self._desk.parked
        due: dict[str, tuple[Any, ...]] = {}
        for subject in dict.fromkeys((*self._cases, *changed)):
            beside = tasks.get(subject, ()), unsent.get(subject, ()), subject in parked
            known = self._cases.get(subject)
            is_moved = known is not None and known.until is not None and known.until <= now
            if subject in changed or is_moved or self._cases[subject].beside != beside:
                due[subject] = beside
        subjects, made = list(due), dict[str, _Case]()
        for first in range(0, len(subjects), AT_ONCE):
            with ledger.read() as tx:
                for subject in subjects[first : first + AT_ONCE]:
                    made[subject] = self._case(tx, subject, due[subject], now)
            await asyncio.sleep(0)
        # Only now: a reading that was cut short must leave nothing behind that the next one takes for unchanged.
        is_other = any(
            subject not in self._cases or self._cases[subject].items != made[subject].items for subject in made
        )
        self._cases |= made
        self._seen, self._count = max((self._seen, *changed.values())), count
        self._until = min((case.until for case in self._cases.values() if case.until), default=None)
        if is_other or named != self.now.labels or assigned != self.now.assigned or not self.now.version:
            items = tuple(item for case in self._cases.values() for item in case.items)
            self.now = Snapshot(self.now.version + 1, items, named, assigned)

    def _case(self, tx: Connection, subject: str, beside: tuple[Any, ...], now: datetime) -> _Case:
        tasks, unsent, is_parked = beside
        rules, view = self._seat.rules, self._desk.cases.view(tx, subject)
        is_whole = not beginnings.is_incomplete(self._seat.ledger, tx, subject)
        askers = {each.mark.source for each in view.emergencies.values()}
        facts = Facts(
            view=view,
            duties=rules.clocks(view, now) if is_whole else (),
            due=rules.due(view) if is_whole and view.beds else (),
            happened=tuple(map(_happened, tx.execute(_HAPPENED, {"subject": subject}).all())),
            tasks=tasks,
            settled=frozenset(ref for row in tx.execute(_SETTLED, {"subject": subject}) if (ref := _task(row).ref)),
            unsent=unsent,
            is_whole=is_whole,
            is_parked=is_parked,
            shelters=frozenset(
                party.agency
                for referral in view.referrals.values()
                for party in referral.receivers
                if rules.may_publish(party.agency, BedOffered.type)
            ),
            shut_out=frozenset(agency for agency in askers if rules.shuts_out(view, agency, now)),
            refused=frozenset(agency for agency in askers if rules.is_refused(view, agency, now)),
            is_out=is_out(rules, view, self._seat.me, now, is_whole=is_whole),
            answer_until={ref: rules.answer_until(view, each) for ref, each in view.emergencies.items()},
            owed=owed(rules, view) if self._seat.role == "fund" else "",
        )
        may_publish = partial(rules.may_publish, self._seat.me)
        items = items_of(self._seat.me, facts, rules.profile_for(view).emergency.object_minutes, may_publish)
        return _Case(beside, items, rules.next_change(view, now))

    def _tasks_of(self, tx: Connection) -> dict[str, tuple[Task, ...]]:
        """Return the open tasks by case; those that were read before are not read again."""
        is_open = set(tx.scalars(_OPEN_IDS).all())
        self._tasks = {id: each for id, each in self._tasks.items() if id in is_open}
        for row in tx.execute(_NEW_TASKS, {"seen": max(self._tasks, default=0)}):
            self._tasks[row.id] = row.subject, _task(row)
        found: dict[str, tuple[Task, ...]] = {}
        for subject, task in self._tasks.values():
            found[subject] = (*found.get(subject, ()), task)
        return found

    def _named(self, tx: Connection) -> dict[str, str]:
        sealed = labels.sealed(tx)
        for subject, label in sealed.items():
            if self._labels.get(subject, (None,))[0] != label:
                self._labels[subject] = (label, labels.opened(self._seat, subject, label))
        self._labels = {subject: self._labels[subject] for subject in sealed}
        return {subject: said for subject, (_, said) in self._labels.items() if said}

    # -- waiting ---------------------------------------------------------------------------------------------------

    async def after(self, version: int, seconds: float) -> Snapshot:
        """Return the next snapshot after *version*, or the newest one after *seconds*; all callers share one watch."""
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._follow())
        moved = self._moved
        if self.now.version == version:
            with suppress(TimeoutError):
                await asyncio.wait_for(moved.wait(), seconds)
        return await self.fresh() if self._has_ended() else self.now  # no commit tells the watch of a day

    async def _follow(self) -> None:
        ledger = self._seat.ledger
        while True:
            before = self.now.version
            await self.fresh()
            if self.now.version != before:
                moved, self._moved = self._moved, asyncio.Event()
                moved.set()
            count = self._count
            async with ledger.commits:
                await ledger.commits.wait_for(partial(ledger.passed, count))
            await asyncio.sleep(_TOGETHER)

    def rest(self) -> None:
        """End the watch: nobody waits any more."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None


def owed(rules: Rules, view: View) -> str:
    """Return the amount of an allowance that nobody has ordered yet for the decision in force; empty if none is owed."""
    decision = view.decisions.get(view.effective or "")
    is_ordered = any(each.kind == _ALLOWANCE and each.decision == view.effective for each in view.payments.values())
    if decision is None or not decision.victim or is_ordered:
        return ""
    profile = rules.profile_for(view)
    tariff = profile.tariff_on(decision.mark.time.astimezone(profile.zone).date())
    return f"{tariff.value} {tariff.currency}" if tariff else ""


_TOGETHER: Final = 0.3
"""Seconds within which several commits make one change of a page."""


def _at(text: str) -> datetime:
    return cast("datetime", times.read(text))  # the desk wrote it


def _happened(row: Any) -> Happened:
    return Happened(row.id, row.type, row.source, row.referral, _at(row.registered), json.loads(row.value or b"{}"))


def _task(row: Row[Any]) -> Task:
    about = json.loads(row.about)
    return Task(
        row.id, row.kind, _at(row.opened), event_type=row.type or about.get("type") or "", source=row.source or "",
        ref=about.get("referral") or row.referral, alternatives=tuple(about.get("alternatives") or ()),
        readers=tuple(about.get("agencies") or ()),
    )  # fmt: skip


def _unsent(tx: Connection) -> dict[str, tuple[Happened, ...]]:
    found: dict[str, tuple[Happened, ...]] = {}
    for row in tx.execute(_UNSENT):
        event = Happened(row.id, row.type, "", None, _at(row.made), {})
        found[row.subject] = (*found.get(row.subject, ()), event)
    return found


_OF: Final[WeakKeyDictionary[Door, Known]] = WeakKeyDictionary()


def known_of(door: Door) -> Known:
    """Return what the pages of the desk behind *door* know."""
    if door not in _OF:
        _OF[door] = Known(door.desk)
    return _OF[door]
