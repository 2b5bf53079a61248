"""Support: what agencies do that give services, ask for beds, or have the person's consent.

Agencies share these steps: each function returns a whole line of a procedure, which gives the line its number.
"""

from typing import Any

from nrmbus.desk.procedure.handoffs import covered, service_asked
from nrmbus.desk.procedure.interface import Heard, Line, Result, shared_line, task
from nrmbus.desk.procedure.shared import noted
from nrmbus.events.access import AccessRevoked
from nrmbus.events.consent import ConsentWithdrawn
from nrmbus.events.erasure import AccessTerminated
from nrmbus.events.recovery import PeriodEnded, PeriodExtended, PeriodReviewed, PeriodStarted
from nrmbus.events.safeguard import AgeAssessed, BestInterestsDecided
from nrmbus.events.shelter import BedRefused, OfferLapsed
from nrmbus.events.support import ServiceRequested


def service(number: int, who: str) -> Line[Any]:
    """Return the line about a service that another agency asks for; *who* answers."""
    text = f"{number}. A service is asked for: {who} names a time, gives it, or says why not; time to answer: {{D-SERVICE}} ([S43])."
    return shared_line(text, "ask", (ServiceRequested,), lambda heard, _: service_asked(heard))


def bed(number: int) -> Line[Any]:
    """Return the line about a request for a bed that a shelter refused, or whose offer has lapsed."""
    text = f"{number}. A shelter refuses a bed, or its offer lapses: a task names the shelters that were not asked and that consent covers; a person asks one of them ([S3], [D])."
    return shared_line(text, "bed_again", (BedRefused, OfferLapsed), lambda heard, _: _without_a_bed(heard))


def grown_up(number: int) -> Line[Any]:
    """Return the line about a person whose age was assessed."""
    text = f"{number}. The person turns out to be an adult: from now on the person is asked for consent to everything that follows; a person who is still a child is noted ([S42], [D])."
    return shared_line(text, "grow_up", (AgeAssessed,), lambda heard, _: _ask_the_adult(heard))


def recovery(number: int) -> Line[Any]:
    """Return the line about the recovery period of somebody whom the agency supports."""
    text = f"{number}. A recovery period begins, is made longer, is reviewed or ends: noted, since support goes on whatever the period does ({{basis:recovery.period_started}})."
    types = (PeriodStarted, PeriodExtended, PeriodReviewed, PeriodEnded)
    return shared_line(text, "recover", types, lambda heard, _: noted(heard))


def home(number: int, who: str) -> Line[Any]:
    """Return the line about where a child may live; *who* keeps to it."""
    text = f"{number}. It is decided where a child may live: {who} reads the conditions, and brings the child nowhere else ([S8, S25], [D])."
    return shared_line(text, "keep_to", (BestInterestsDecided,), lambda heard, _: _where_to_live(heard))


def taken_back(number: int, who: str) -> Line[Any]:
    """Return the line about an agency that may know no more of a person; *who* stops."""
    text = f"{number}. The person takes consent to this agency back, its access is ended, or a court or the prosecution ends access of all: {who} stops, deletes the data or says why they are kept, and confirms; time to confirm: {{D-STOP}}; time to erase, for all: {{D-ERASE}} ([S11], [D])."
    return shared_line(text, "stop", (ConsentWithdrawn, AccessRevoked, AccessTerminated), lambda heard, _: _stop(heard))


def _without_a_bed(heard: Heard) -> Result | None:
    request = heard.view.beds.get(heard.event.referral or "")
    if request is None or request.asker != heard.me:
        return None
    if any(house.houses or house.state == "asked" for house in request.houses):
        return Result()
    houses = sorted(each.id for each in heard.agencies.values() if each.role in heard.profile.shelters)
    others = (each for each in houses if request.house(each) is None and each != heard.me)
    open_to = tuple(each for each in others if heard.view.child or covered(heard, each))
    sentence = "No bed was got: ask another shelter that consent covers, or ask the person for consent to one."
    return Result(tasks=(task(heard, "ask_another_shelter", sentence, open_to),))


def _ask_the_adult(heard: Heard) -> Result | None:
    if heard.own:
        return None
    if heard.view.child:
        return Result()
    sentence = "The person is an adult: ask for consent before you pass anything on."
    return Result(tasks=(task(heard, "ask_adult", sentence),))


def _where_to_live(heard: Heard) -> Result | None:
    sentence = "It is decided where the child may live: read the conditions, and bring the child nowhere else."
    return None if heard.own else Result(tasks=(task(heard, "conditions", sentence),))


def _stop(heard: Heard) -> Result | None:
    if heard.own:
        return None
    if isinstance(heard.event.data, AccessTerminated):
        sentence = "Access to this case was ended: object within the days for it, or delete what your own files have. The desk erases the rest."
        return Result(tasks=(task(heard, "stop", sentence),))
    if heard.me not in getattr(heard.event.data, "receivers", ()):
        return None
    if isinstance(heard.event.data, ConsentWithdrawn) and heard.view.count_for(heard.me) == 1:
        return None  # told with the consent that followed, before the first event of the case: nothing is here yet
    sentence = "You may know no more of this person: stop, delete the data or name the duty to keep them, and confirm."
    return Result(tasks=(task(heard, "stop", sentence),))
