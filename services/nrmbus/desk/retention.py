"""Which cases of this desk have been kept for as long as the profile says, after they were closed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from nrmbus.desk import erasing, tables
from nrmbus.desk.desk import Desk
from nrmbus.rules import Profile, View
from nrmbus.rules.calendar import Calendar


@dataclass(frozen=True, slots=True)
class Kept:
    """One closed case: its classes of retention, the last day of keeping (None where a class has no value), a hold's last day."""

    case: str
    closed: date
    classes: tuple[str, ...]
    through: date | None
    held_through: str | None

    def due(self, today: date) -> bool:
        """Whether its time is over and nothing holds it."""
        held = self.held_through is not None and self.held_through >= today.isoformat()
        return self.through is not None and self.through < today and not held

    def body(self, today: date) -> dict[str, Any]:
        """The JSON object."""
        body = {
            "case": self.case,
            "closed": self.closed.isoformat(),
            "classes": list(self.classes),
            "through": self.through.isoformat() if self.through else None,
            "held_through": self.held_through,
            "due": self.due(today),
        }
        return {name: value for name, value in body.items() if value is not None}


def kept(profile: Profile, view: View, types: Iterable[str]) -> Kept | None:
    """How long the case of *view* is kept, by the *types* of its events: the longest of their classes; None while it is open."""
    if view.status != "CLOSED" or view.closing is None:
        return None
    calendar, rows = Calendar.of(profile), profile.retention.classes
    closed = calendar.day(view.closing.mark.time)
    known = {name for name in types if name in profile.types}
    classes = tuple(sorted({profile.retention_class(name) for name in known}))
    years = [rows[each].years for each in classes]
    longest = None if not years or None in years else max(each for each in years if each is not None)
    through = None if longest is None else calendar.months_after(closed, 12 * longest)
    held = max((hold.until for hold in view.erasure.holds), default=None)
    return Kept(view.subject, closed, classes, through, held)


async def cases(desk: Desk, tx: AsyncConnection) -> list[Kept]:
    """Every closed case of this desk that was not erased."""
    events, erased = tables.events.c, select(tables.erasures.c.subject)
    rows = select(events.subject, events.type).where(events.subject.not_in(erased)).distinct()
    types: dict[str, set[str]] = {}
    for row in await tx.execute(rows):
        types.setdefault(row.subject, set()).add(row.type)
    found = []
    for subject in sorted(each for each, names in types.items() if "case.closed" in names):
        one = kept(desk.seat.rules.profile, await desk.cases.view(tx, subject), types[subject])
        if one is not None:
            found.append(one)
    return found


async def apply(desk: Desk, now: datetime) -> list[str]:
    """Have every case erased whose time is over at *now*; which. They are erased, and it is confirmed, within seconds."""
    today = now.astimezone(desk.seat.rules.profile.zone).date()
    async with desk.seat.ledger.write() as tx:
        due = [each.case for each in await cases(desk, tx) if each.due(today)]
        for case in due:
            await erasing.order(tx, case, cause="", ground="retention", at=desk.seat.stamp())
    return due
