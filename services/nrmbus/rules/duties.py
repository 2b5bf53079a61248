"""What nobody can answer any more: duties of who may say nothing more in a case, and what waited for him alone.

Such a duty is lifted, not met: it ends by an event that its row does not name, and the history shows by which. What a
closing ended is owed again when the case is re-opened.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from nrmbus.rules.changes import Changes
from nrmbus.rules.event_context import SHARING, UNIT, Step
from nrmbus.rules.mark import Mark
from nrmbus.rules.tables import Tables
from nrmbus.rules.view import Bed, House, Pause, Review, Running, Service, Status, View

ERASED: Final = "ERASED"
LEFT: Final = "LEFT"


def settled(tables: Tables, view: View, now: datetime) -> View:
    """*view* with no duty resting upon who has left the case, or upon a special unit that the person refuses.

    Who has a part again has come back, and owes what begins from there on. No duty waits any longer for the answer of
    somebody who has left, or who may not hear the question any more: from *now* on it runs.
    """
    if view.left:
        left = {agency: at for agency, at in view.left.items() if agency not in view.parts}
        view = replace(view, left=left) if len(left) < len(view.left) else view
    owed = tuple(_awaited(view, clock, now) for clock in view.running if _owed(tables, view, clock))
    return replace(view, running=owed) if owed != view.running else view


def _awaited(view: View, clock: Running, now: datetime) -> Running:
    def ended(pause: Pause) -> Pause:
        referral = view.referrals.get(pause.ref)
        if pause.until is not None or referral is None or not _silenced(view, referral.sender):
            return pause
        return replace(pause, supplied=now, supply=None, unread=False)

    pauses = tuple(map(ended, clock.pauses))
    return replace(clock, pauses=pauses) if pauses != clock.pauses else clock


def _silenced(view: View, agency: str) -> bool:
    return agency in view.left or _refused(view, agency)


def _owed(tables: Tables, view: View, clock: Running) -> bool:
    rule = tables.profile.clocks[clock.code]
    if clock.answerable in view.left and LEFT not in rule.outlives:
        return False
    return not (rule.unit_consent and _refused(view, clock.answerable))


def _refused(view: View, agency: str) -> bool:
    standing = view.consents.get((agency, SHARING))
    return not view.child and standing is not None and standing.kind in ("refused", "withdrawn")


def stopped(tables: Tables, view: View, end: Status) -> tuple[Running, ...]:
    """The duties of *view* that end because the case comes to *end*, and for nothing else."""
    return tuple(clock for clock in view.running if end not in tables.profile.clocks[clock.code].outlives)


def resumed(step: Step, mark: Mark) -> tuple[Running, ...]:
    """The duties that the closing ended, of a case that is re-opened: each due later by as long as it was closed.

    Nobody answers one by closing and opening again. Of a case that is to be erased they stay ended.
    """
    closing = step.view.closing
    if closing is None:
        return ()
    again = closing.stopped
    if step.view.erasure.due is not None:
        again = tuple(clock for clock in again if ERASED in step.tables.profile.clocks[clock.code].outlives)
    closed = Pause("", closing.mark.registered, mark.registered, step.event.id)
    return tuple(replace(clock, pauses=(*clock.pauses, closed), reopened=mark.registered) for clock in again)


def left_by(step: Step, mark: Mark) -> Changes:
    """The sender has deleted what it was told: it has no part any more, houses nobody, and nothing waits for it alone."""
    view, agency = step.view, step.source
    gone = {agency, *view.left}
    services: Mapping[str, Service] = {
        ref: replace(each, open=each.open and not (each.receivers and gone.issuperset(each.receivers)))
        for ref, each in view.services.items()
    }
    reviews: Mapping[str, Review] = {
        ref: replace(each, open=each.open and not each.decider == step.role == UNIT)
        for ref, each in view.reviews.items()
    }
    return {
        "left": {**view.left, agency: mark.registered},
        "parts": {each: parts for each, parts in view.parts.items() if each != agency},
        "services": services,
        "reviews": reviews,
        "beds": {ref: _without_guest(bed, agency) for ref, bed in view.beds.items()},
    }


def _without_guest(bed: Bed, agency: str) -> Bed:
    def emptied(house: House) -> House:
        is_hers = house.agency == agency and house.state == "admitted"
        return replace(house, state="discharged") if is_hers else house

    return replace(bed, houses=tuple(map(emptied, bed.houses)))
