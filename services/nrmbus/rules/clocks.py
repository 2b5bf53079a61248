"""The clocks of section 5 as they are shown: who owes what until when, and whom a breach concerns."""

from dataclasses import dataclass
from datetime import datetime

from nrmbus.rules.due_times import due_of
from nrmbus.rules.event_context import referrer
from nrmbus.rules.records import Running
from nrmbus.rules.tables import Roles, Tables
from nrmbus.rules.view import View


@dataclass(frozen=True, slots=True)
class Clock:
    """A duty that runs or is overdue. ``due`` is None while it is paused; ``told`` hears of a breach beside the answerable."""

    code: str
    cause: str
    answerable: str
    told: tuple[str, ...]
    start: datetime
    due: datetime | None
    sayable: datetime | None
    ref: str | None
    breached: bool


def clocks_of(tables: Tables, roles: Roles, view: View) -> tuple[Clock, ...]:
    """Return every duty that runs or is overdue, oldest first."""
    return tuple(_shown(tables, roles, view, clock) for clock in view.running if clock.runs)


def late(tables: Tables, roles: Roles, view: View) -> tuple[Clock, ...]:
    """Return every unbreached duty that is late at its ``sayable``: it runs, or an adult's word lifted it only later.

    A breach may be registered after that word: until then the duty was owed.
    """
    owed = (clock for clock in view.running if not clock.breached and is_late(tables, roles, clock))
    return tuple(_shown(tables, roles, view, clock) for clock in owed)


def is_late(tables: Tables, roles: Roles, clock: Running) -> bool:
    """Return whether *clock* is still owed at its ``sayable``, so that a breach is or was due."""
    at = _sayable(tables, roles, clock, due_of(tables, clock))
    return at is not None and clock.runs_until(at)


def breached_since(before: View, after: View) -> Running | None:
    """Return the duty that is breached in *after*, the view after one event, and not in *before*; None if there is none.

    An adult's word may have lifted the duty: a breach may be registered after that.
    """
    known = {_name(clock) for clock in before.running if clock.breached}
    return next((clock for clock in after.running if clock.breached and _name(clock) not in known), None)


def _name(clock: Running) -> tuple[str, str, str, str | None]:
    return clock.code, clock.mark.id, clock.answerable, clock.ref


def _sayable(tables: Tables, roles: Roles, clock: Running, due: datetime | None) -> datetime | None:
    """Return when the breach of *clock* is due; None while the clock is paused, or if its lateness is no breach."""
    if due is None or not _binds(tables, roles, clock):
        return None
    return max(due, clock.mark.registered, clock.reopened or due)


def _shown(tables: Tables, roles: Roles, view: View, clock: Running) -> Clock:
    due = due_of(tables, clock)
    return Clock(
        code=clock.code,
        cause=clock.mark.id,
        answerable=clock.answerable,
        told=told(tables, roles, view, clock),
        start=clock.start,
        due=due,
        sayable=_sayable(tables, roles, clock, due),
        ref=clock.ref,
        breached=clock.breached,
    )


def _binds(tables: Tables, roles: Roles, clock: Running) -> bool:
    """Return whether lateness of the agency that owes *clock* is a breach; for the others the time is a reminder."""
    roles_bound = tables.bound.get(clock.code)
    return roles_bound is None or roles.of(clock.answerable) in roles_bound


def told(tables: Tables, roles: Roles, view: View, clock: Running) -> tuple[str, ...]:
    """Return the agencies notified of a breach of *clock*, besides the answerable agency and its supervisor."""
    whom = tables.profile.clocks[clock.code].told
    found: str | None = None
    if whom == "asker":
        # An agency that has deleted its data still hears whether others confirm the stop that it recorded.
        has_left = clock.waits in view.left and "LEFT" not in tables.profile.clocks[clock.code].outlives
        found = None if has_left else clock.waits
    elif whom == "referrer":
        found = referrer(tables, roles, view)
    elif whom == "plan_holder":
        found = view.plan.holder if view.plan and view.on_case(view.plan.holder) else None
    elif whom == "terminator":
        found = view.erasure.terminated.source if view.erasure.terminated else None
    elif whom == "supervisor":
        found = roles.supervisor(clock.answerable)
    return (found,) if found else ()
