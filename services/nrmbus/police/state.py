"""State of the body that decides: which persons are foreign nationals; and questions that several of its lines ask."""

from datetime import timedelta

from nrmbus.desk.procedure.handoffs import Referring
from nrmbus.desk.procedure.interface import Heard
from nrmbus.events.case import Closed, Merged, Reopened, ReReferred, SignalRecorded, Withdrawn
from nrmbus.events.erasure import AccessErasureConfirmed
from nrmbus.rules.profile import DECIDERS


class State(Referring):
    """Referrals that ask for services, the open cases of foreign nationals, as their signals say, and the cases opened again."""

    foreign: tuple[str, ...] = ()
    reopened: tuple[str, ...] = ()
    """The citizenship was forgotten when the case ended, and the signal is not heard a second time."""


def decides(heard: Heard) -> bool:
    """Return whether this agency is a body that decides, by the profile of the case."""
    return heard.agencies[heard.me].role in heard.profile.expand((DECIDERS,))


def noticed(state: State, heard: Heard) -> State:
    """Return the state after *heard*: the signal's letter says the citizenship; a case that has ended or was erased is forgotten.

    Each case that is opened again is noted.
    """
    data, case = heard.event.data, heard.event.subject
    home, citizenship = heard.profile.calendar.country, heard.letter.get("citizenship")
    if isinstance(data, SignalRecorded | ReReferred) and home and citizenship and citizenship != home:
        return state.changed(foreign=(*state.foreign, case))
    if isinstance(data, Reopened) and case not in state.reopened:
        return state.changed(reopened=(*state.reopened, case))
    ended = isinstance(data, Closed | Withdrawn) or (isinstance(data, Merged) and data.outcome == "ends")
    erased = heard.own and isinstance(data, AccessErasureConfirmed)
    if ended or erased:
        foreign, reopened = (tuple(each for each in kept if each != case) for kept in (state.foreign, state.reopened))
        return state.changed(foreign=foreign, reopened=reopened)
    return state


def ask_migration(heard: Heard, state: State) -> str | None:
    """Return what to ask migration for if the person is a foreign national, or may be one in a case opened again; else None."""
    if heard.event.subject in state.foreign:
        return "The person is a foreign national, and no hold on removal stands: ask migration for one."
    if heard.event.subject in state.reopened:
        return "The case was opened again, and no hold on removal stands: ask migration for one, if the person is a foreign national."
    return None


def holds_removal(heard: Heard) -> bool:
    """Return whether a hold on removal stands that this agency asked for."""
    return any(not each.ended and each.mark.source == heard.me for each in heard.view.holds.values())


def last_day(heard: Heard) -> str | None:
    """Return the last day for a review, if the event is a negative decision of this agency."""
    decision = heard.view.decisions.get(heard.view.negative or "")
    if not heard.own or not decides(heard) or decision is None or decision.mark.id != heard.event.id:
        return None
    told = max(heard.event.time, heard.registered).astimezone(heard.profile.zone)
    return (told.date() + timedelta(days=decision.review_days)).isoformat()
