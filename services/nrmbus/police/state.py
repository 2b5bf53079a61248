"""State of the body that decides: which persons are foreign nationals; and questions that several of its lines ask."""

from datetime import timedelta

from nrmbus.desk.procedure.handoffs import Referring
from nrmbus.desk.procedure.interface import Heard
from nrmbus.events.case import Closed, Merged, ReReferred, SignalRecorded, Withdrawn
from nrmbus.events.erasure import AccessErasureConfirmed
from nrmbus.rules.profile import DECIDERS


class State(Referring):
    """Referrals that ask for services, and the open cases of foreign nationals, as their signals say."""

    foreign: tuple[str, ...] = ()


def decides(heard: Heard) -> bool:
    """Return whether this agency is a body that decides, by the profile of the case."""
    return heard.agencies[heard.me].role in heard.profile.expand((DECIDERS,))


def noticed(state: State, heard: Heard) -> State:
    """Return the state after *heard*: the signal's letter says the citizenship; a case that has ended or was erased is forgotten."""
    data, case = heard.event.data, heard.event.subject
    home, citizenship = heard.profile.calendar.country, heard.letter.get("citizenship")
    if isinstance(data, SignalRecorded | ReReferred) and home and citizenship and citizenship != home:
        return state.changed(foreign=(*state.foreign, case))
    ended = isinstance(data, Closed | Withdrawn) or (isinstance(data, Merged) and data.outcome == "ends")
    erased = heard.own and isinstance(data, AccessErasureConfirmed)
    if (ended or erased) and case in state.foreign:
        return state.changed(foreign=tuple(each for each in state.foreign if each != case))
    return state


def foreigner(heard: Heard, state: State) -> bool:
    """Return whether the person of the case is known to be a foreign national."""
    return heard.event.subject in state.foreign


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
