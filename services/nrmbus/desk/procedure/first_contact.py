"""First contact: the next step after an agency has met somebody who may be a victim.

Detectors share these steps; each procedure declares its own lines and calls them.
"""

from typing import Final

from nrmbus.desk.procedure.interface import Heard, Result, task
from nrmbus.rules.profile import DECIDERS

_SHARING: Final = "information_sharing"


def met(heard: Heard, ask: str) -> Result | None:
    """Return the task after the agency's own signal: a child's bodies first, else *ask* what the person agrees to."""
    if not heard.own:
        return None
    if heard.view.child:
        sentence = "A child: notify guardianship and the child commission first, then refer within 24 hours."
        return Result(tasks=(task(heard, "children_first", sentence),))
    return Result(tasks=(task(heard, "ask_first", ask),))


def refused_the_deciding_body(heard: Heard) -> Result | None:
    """Return the task after an adult's refusal of the body that decides, as the agency itself recorded it."""
    purposes = getattr(heard.event.data, "purposes", ())
    if not heard.own or heard.view.child or _SHARING not in purposes or not _names_the_deciding_body(heard):
        return None
    sentence = "The person wants help without the police: refer to an assistance centre or an NGO, withheld from the special unit."
    return Result(tasks=(task(heard, "without_police", sentence),))


def agreed_to_the_deciding_body(heard: Heard, *, status: str) -> Result | None:
    """Return the task after consent to the body that decides, in a case of this *status*: to refer with this consent."""
    if heard.view.status != status or not _names_the_deciding_body(heard):
        return None
    sentence = "The person agrees to the special unit: refer, and name this consent."
    return Result(tasks=(task(heard, "refer_now", sentence),))


def _names_the_deciding_body(heard: Heard) -> bool:
    deciding, receivers = heard.profile.expand((DECIDERS,)), getattr(heard.event.data, "receivers", ())
    return any(heard.agencies[each].role in deciding for each in receivers if each in heard.agencies)
