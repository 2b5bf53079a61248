"""Emergency access (break glass): parts, second agencies, refusals by the person, and the month for the limit.

All values are the profile's (``emergency``); the engine has none of its own [D].
"""

from collections.abc import Iterable
from datetime import date, datetime

from nrmbus.events.model import Part
from nrmbus.rules.calendar import lasting, later
from nrmbus.rules.event_context import EventContext, value
from nrmbus.rules.records import Emergency
from nrmbus.rules.tables import Tables
from nrmbus.rules.view import View

ASKED = "access.break_glass"
OBJECTED = "access.break_glass_objected"
RESEALED = "access.resealed"
OF_THE_REQUEST = frozenset({"G-01", "G-20", "G-72"})
"""Rules that a holder can hold against a request itself: role, two members of staff, and the known requests of the month.

The others ask for the whole history: whether the asker has a part in the case, who else could be told, and the person's
word, since a consent after a refusal that the holder knows may have reached others alone.
"""


def parts_needed(context: EventContext) -> tuple[Part, ...]:
    """Return the parts that the reason needs, within the asking agency's parts of a referral; sorted."""
    needed = context.tables.profile.emergency.parts.get(value(context.event, "reason", ""), ())
    may = context.tables.may_open_of_referral(context.role)
    return tuple(sorted(part for part in needed if part in may))


def at_once(context: EventContext) -> bool:
    """Return whether the danger is too urgent to wait for an objection."""
    return value(context.event, "reason") in context.tables.profile.emergency.at_once


def answer_due(tables: Tables, emergency: Emergency) -> datetime:
    """Return when *emergency* is to be answered: after the minutes for objecting, or at once."""
    wait = lasting(minutes=0 if emergency.at_once else tables.profile.emergency.object_minutes)
    return later(emergency.mark.registered, wait)


def answer_until(tables: Tables, emergency: Emergency) -> datetime:
    """Return until when *emergency* may be answered, so that a desk that was off seals nothing days later."""
    return later(emergency.mark.registered, lasting(hours=tables.profile.emergency.answer_hours))


def is_too_late(tables: Tables, emergency: Emergency, now: datetime) -> bool:
    """Return whether *emergency* is too old to answer at *now*."""
    return now > answer_until(tables, emergency)


def refused_by_person(view: View, agency: str, day: date) -> bool:
    """Return whether a refusal or withdrawal for *agency* stands on *day*, for any purpose; a child's refusal counts too."""
    words = (standing.on(day) for (receiver, _), standing in view.consents.items() if receiver == agency)
    return any(word is not None and word.bars for word in words)


def second_agencies(context: EventContext) -> Iterable[str]:
    """Return the agencies notified besides the holder: both supervisors, or else the agency with the oldest part.

    One is enough, so that no more agencies learn who else is on the case. An agency that the person refused is never
    notified, since it would learn that she is in danger; nor one that is out, nor an embassy under a bar.
    """
    emergency = context.emergency if context.event.type != ASKED else None  # an ended emergency may share the reference
    both = (emergency.mark.source, emergency.holder) if emergency else (context.source, context.holder)
    bosses = {context.roles.supervisor(agency) for agency in both if agency}
    found = _others(context, bosses, both)
    return found or _others(context, context.view.parts, both)[:1]


def _others(context: EventContext, agencies: Iterable[str | None], both: tuple[str | None, ...]) -> tuple[str, ...]:
    return tuple(
        agency
        for agency in agencies
        if agency is not None
        and agency not in both
        and not refused_by_person(context.view, agency, context.today)
        and not context.barred(agency)
    )
