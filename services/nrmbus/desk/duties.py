"""Duties that this agency owes by the Rules, over all its cases: in memory, brought up to date by the events since."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Final

from sqlalchemy import Connection, bindparam, func, select

from nrmbus.desk.desk import Desk
from nrmbus.desk.state import beginnings
from nrmbus.desk.store import tables
from nrmbus.rules import Clock

AT_A_TIME: Final = 100
"""Cases that one look folds at most: the event loop has other work, too."""

_EVENTS: Final = tables.events.c
_CHANGED: Final = (
    select(_EVENTS.subject, func.min(_EVENTS.position).label("first"), func.max(_EVENTS.position).label("last"))
    .where(_EVENTS.position > bindparam("after"), _EVENTS.position <= bindparam("until"))
    .group_by(_EVENTS.subject)
)
_UNTIL: Final = (
    select(_EVENTS.position).where(_EVENTS.position > bindparam("after")).order_by(_EVENTS.position).limit(AT_A_TIME)
)
_THERE: Final = select(_EVENTS.position).where(_EVENTS.subject == bindparam("subject")).limit(1)


class Duties:
    """Running and overdue duties of one agency, by case; those of a case without its beginning have no time."""

    def __init__(self, desk: Desk) -> None:
        """Begin with no case; `look` reads them."""
        self._desk = desk
        self._owed: dict[str, tuple[Clock, ...]] = {}
        self._until: dict[str, datetime] = {}
        """When days alone change a case next, as the last day of a consent does; only cases in which that comes."""
        self.read_to = 0
        """Position of the last event that was looked at."""

    def look(self, tx: Connection, again: Iterable[str] = ()) -> bool:
        """Fold the cases of the next events, those that days have changed, and *again*; return whether there are more."""
        now = self._desk.seat.now()
        for subject in again:
            self._fold(tx, subject, now)
        moved = list(islice((subject for subject, at in self._until.items() if at <= now), AT_A_TIME))
        for subject in moved:
            self._fold(tx, subject, now)
        positions = tx.scalars(_UNTIL, {"after": self.read_to}).all()
        if positions:
            for row in tx.execute(_CHANGED, {"after": self.read_to, "until": positions[-1]}).all():
                self._fold(tx, row.subject, now)
            self.read_to = positions[-1]
        return AT_A_TIME in (len(positions), len(moved))

    def _fold(self, tx: Connection, subject: str, now: datetime) -> None:
        seat, view = self._desk.seat, self._desk.cases.view(tx, subject)
        self._forget(subject)
        owed = tuple(each for each in seat.rules.clocks(view, now) if each.answerable == seat.me)
        if owed and beginnings.is_incomplete(seat.ledger, tx, subject):
            # Deadlines need the whole case. The duty itself stays, since people hear of the event that brought it.
            owed = tuple(replace(each, due=None, sayable=None) for each in owed)
        if owed:
            self._owed[subject] = owed
            if until := seat.rules.next_change(view, now):
                self._until[subject] = until

    def _forget(self, subject: str) -> None:
        self._owed.pop(subject, None)
        self._until.pop(subject, None)

    def all(self) -> Iterator[tuple[str, Clock]]:
        """Yield each duty with its case; of a case that was erased since, `is_there` says so."""
        for subject, owed in self._owed.items():
            yield from ((subject, each) for each in owed)

    def is_there(self, tx: Connection, subject: str) -> bool:
        """Return whether the ledger still has the case; forget its duties if not."""
        found = tx.scalar(_THERE, {"subject": subject}) is not None
        if not found:
            self._forget(subject)
        return found

    def of(self, subject: str) -> tuple[Clock, ...]:
        """Return the duties in one case."""
        return self._owed.get(subject, ())
