"""Lines of the procedure about what other agencies do with a child: reception, reviews, journeys, support, and the end of the case."""

from nrmbus.desk.procedure.handoffs import Referring
from nrmbus.desk.procedure.interface import Heard, Result, line, task
from nrmbus.desk.procedure.shared import noted
from nrmbus.events.case import Closed, Reopened
from nrmbus.events.handover import PersonReceived
from nrmbus.events.justice import MeasureGranted, VerdictRecorded
from nrmbus.events.model import Data
from nrmbus.events.recovery import PeriodEnded, PeriodExtended, PeriodReviewed, PeriodStarted
from nrmbus.events.returns import (
    ReturnCompleted,
    ReturnConsented,
    ReturnMonitored,
    ReturnRiskAssessed,
    ReturnStopped,
    ReturnTravelArranged,
)
from nrmbus.events.review import ReviewDecided
from nrmbus.events.safeguard import BestInterestsDecided
from nrmbus.events.shelter import Admitted, Discharged


def may(heard: Heard, data: type[Data]) -> bool:
    """Return whether the profile of the case lets this agency publish *data*."""
    return heard.rules.may_publish(heard.me, data.type, heard.view)


def is_guardianship(heard: Heard) -> bool:
    """Return whether this agency is guardianship, which assigns representatives, and not the child commission."""
    return heard.agencies[heard.me].role == "guardianship"


@line(PersonReceived)
def stand_by(_reception: PersonReceived, heard: Heard, _: Referring) -> Result | None:
    """15. The deciding body ({decider}) receives a child whom guardianship referred: the representative goes there before anybody asks the child anything ({basis:safeguard.representative_assigned})."""
    if heard.own or not heard.view.child or not is_guardianship(heard):
        return None
    sentence = "The deciding body ({decider}) has received the child: send the representative there before anybody asks the child anything."
    return Result(tasks=(task(heard, "child_received", sentence),))


@line(PersonReceived)
def settle(_reception: PersonReceived, heard: Heard, _: Referring) -> Result | None:
    """16. The deciding body ({decider}) receives a child whom the child commission referred: until best interests are decided, nobody brings the child from there to the family ([S8, S25], [D])."""
    if heard.own or not heard.view.child or is_guardianship(heard):
        return None
    if heard.view.best_interests is not None or not may(heard, BestInterestsDecided):
        return Result()
    sentence = "The deciding body ({decider}) has received the child: decide where the child may live, before anybody brings the child home."
    return Result(tasks=(task(heard, "child_received", sentence),))


@line(ReviewDecided)
def report(_decision: ReviewDecided, heard: Heard, _: Referring) -> Result | None:
    """17. A review is decided: guardianship has the representative tell the child how, and the child commission notes it ([S35], [D])."""
    if not is_guardianship(heard):
        return noted(heard)
    return Result(
        tasks=(task(heard, "review_decided", "A review is decided: let the representative tell the child how."),)
    )


@line(ReturnConsented)
def travel(_wish: ReturnConsented, heard: Heard, _: Referring) -> Result | None:
    """18. A child is to travel home to another country: nobody arranges the journey before best interests are decided and allow it (rule G-24, {basis:return.travel_arranged} [u])."""
    if heard.view.best_interests in heard.profile.statuses.return_needs.get("country", ()):
        return Result()
    sentence = "A child is to travel home to another country: nobody arranges the journey before a decision on best interests allows it."
    return Result(tasks=(task(heard, "journey_home", sentence),))


@line(ReturnRiskAssessed, ReturnTravelArranged, ReturnCompleted, ReturnMonitored, ReturnStopped)
def watch(_step: Data, heard: Heard, _: Referring) -> Result | None:
    """19. The risk of a child's journey home is assessed, or the journey is arranged, made, reported on or stopped: noted, since the agency that takes the step answers for it ({basis:return.risk_assessed} [u])."""
    return noted(heard)


@line(PeriodStarted, PeriodExtended, PeriodReviewed, PeriodEnded, Admitted, Discharged)
def accompany(_step: Data, heard: Heard, _: Referring) -> Result | None:
    """20. A recovery period runs for a child, or a house takes the child in or lets the child go: noted, since the representation goes on ({basis:recovery.period_started}; [S8])."""
    return noted(heard)


@line(MeasureGranted, VerdictRecorded)
def learn(_step: Data, heard: Heard, _: Referring) -> Result | None:
    """21. A child is protected as a witness, or the proceedings end: noted, since the representative went along (CETS 197 art. 28 [S32])."""
    return noted(heard)


@line(Closed, Reopened)
def return_to(ended: Data, heard: Heard, _: Referring) -> Result | None:
    """22. The case of a child is closed: noted; it is opened again: the representative is told, and best interests are looked at again ([S46], [D])."""
    if not isinstance(ended, Reopened):
        return noted(heard)
    sentence = "The case of a child is open again: tell the representative, and look at the decision on best interests."
    return Result(tasks=(task(heard, "child_again", sentence),))
