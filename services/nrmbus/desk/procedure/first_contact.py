"""First contact: the next step after an agency has met somebody who may be a victim.

Detectors share these steps: `meeting` and `refusal` are whole lines of a procedure, which gives them a number.
"""

from datetime import date
from typing import Any, Final

from nrmbus.desk.procedure.interface import Heard, Line, Result, shared_line, task
from nrmbus.events.case import ReReferred, SignalRecorded
from nrmbus.events.consent import ConsentRefused
from nrmbus.events.safeguard import ChildFlagged
from nrmbus.rules.emergency import refused_by_person
from nrmbus.rules.profile import DECIDERS

_SHARING: Final = "information_sharing"
_STATION: Final = "police_other"
REFUSING: Final = (ConsentRefused, ChildFlagged)
"""Events of the line about a refusal of the body that decides."""


def meeting(number: int, who: str, ask: str) -> Line[Any]:
    """Return the line after the agency's own signal, which *who* gave; *ask* is what an adult is asked."""
    text = f"{number}. {who} meets somebody who may be a victim: of a child, the guardian bodies are notified first; an adult is asked, referred, and given a copy of the form; time to refer: {{D-REFER}} ({{basis:D-REFER}}, [S34, S36, S43])."
    return shared_line(text, "meet", (SignalRecorded, ReReferred), lambda heard, _: met(heard, ask))


def refusal(number: int) -> Line[Any]:
    """Return the line after an adult's refusal of the body that decides."""
    text = f"{number}. An adult refuses the deciding body ({{decider}}): help without the police is offered, and the notice stays anonymous; somebody who is then found to be a child is referred ([S26, S34, S36])."
    return shared_line(text, "refuse", REFUSING, lambda heard, _: refused_the_deciding_body(heard))


def is_station(heard: Heard) -> bool:
    """Return whether this agency is a police station, which refers to the body that decides and to nobody else (G-10)."""
    me = heard.agencies.get(heard.me)
    return me is not None and me.role == _STATION


def met(heard: Heard, ask: str) -> Result | None:
    """Return the task after the agency's own signal: a child's bodies first, else *ask* what the person agrees to."""
    if not heard.own:
        return None
    if heard.view.child:
        sentence = "A child: notify the guardian bodies first, then refer. Time to refer: {D-REFER}."
        return Result(tasks=(task(heard, "children_first", sentence),))
    return Result(tasks=(task(heard, "ask_first", ask),))


def refused_the_deciding_body(heard: Heard) -> Result | None:
    """Return the task after an adult's refusal of the body that decides, as the agency itself recorded it.

    While a consent to another deciding body stands, the person is referred to that one (reading 168). A child's word ends no duty to refer, so there is another task when the agency finds that the adult is a child.
    """
    if isinstance(heard.event.data, ChildFlagged):
        return child_after_a_refusal(heard)
    purposes = getattr(heard.event.data, "purposes", ())
    if not heard.own or heard.view.child or _SHARING not in purposes or not _names_the_deciding_body(heard):
        return None
    if _agrees_to_a_deciding_body(heard):
        return None
    if is_station(heard):
        sentence = "The person refuses the deciding body ({decider}): say how to reach an assistance centre or an NGO. The notice stays anonymous."
        return Result(tasks=(task(heard, "address_given", sentence),))
    sentence = "The person refuses the deciding body ({decider}): refer to an assistance centre or an NGO, withheld from that body."
    return Result(tasks=(task(heard, "without_police", sentence),))


def child_after_a_refusal(heard: Heard) -> Result | None:
    """Return the task to refer a child who was taken for an adult and refused the body that decides."""
    deciding, today = _deciding(heard), _today(heard)
    is_refused = any(refused_by_person(heard.view, each, today) for each in deciding)
    is_referred = any(
        party.agency in deciding and party.stands for each in heard.view.referrals.values() for party in each.receivers
    )
    if not heard.own or not heard.view.child or not is_refused or is_referred:
        return None
    sentence = "A child, whose refusal of the deciding body ({decider}) does not count: refer the child, once the guardian bodies are notified."
    return Result(tasks=(task(heard, "refer_child", sentence),))


def agreed_to_the_deciding_body(heard: Heard, *, status: str) -> Result | None:
    """Return the task after consent to the body that decides, in a case of this *status*: to refer with this consent."""
    if heard.view.status != status or not _names_the_deciding_body(heard):
        return None
    sentence = "The person agrees to the deciding body ({decider}): refer, and name this consent."
    return Result(tasks=(task(heard, "refer_now", sentence),))


def _names_the_deciding_body(heard: Heard) -> bool:
    deciding, receivers = heard.profile.expand((DECIDERS,)), getattr(heard.event.data, "receivers", ())
    return any(heard.agencies[each].role in deciding for each in receivers if each in heard.agencies)


def _agrees_to_a_deciding_body(heard: Heard) -> bool:
    words = (heard.view.consents.get((each, _SHARING)) for each in _deciding(heard))
    standing = (word.on(_today(heard)) for word in words if word is not None)
    return any(word is not None and word.kind in ("given", "overridden") for word in standing)


def _deciding(heard: Heard) -> list[str]:
    return [each for each in heard.agencies if heard.agencies[each].role in heard.profile.expand((DECIDERS,))]


def _today(heard: Heard) -> date:
    return heard.registered.astimezone(heard.profile.zone).date()
