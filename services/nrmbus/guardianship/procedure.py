"""Guardianship and child commission: what follows for them. One function per numbered line of ``README.md``."""

from nrmbus.desk.procedure import handoffs, support
from nrmbus.desk.procedure.handoffs import Referring as State
from nrmbus.desk.procedure.interface import Heard, Result, line, task
from nrmbus.events.fund import CompensationGranted
from nrmbus.events.identification import ReasonableGroundsDecided, StageEntered, StatusDecided, StatusRevoked
from nrmbus.events.justice import CaseOpened
from nrmbus.events.model import Data
from nrmbus.events.payment import PaymentExecuted, PaymentFailed, PaymentOrdered
from nrmbus.events.referral import ReferralSubmitted
from nrmbus.events.safeguard import (
    AgeAssessed,
    BestInterestsDecided,
    ChildFlagged,
    RepresentativeAssigned,
    ReturnedToFamily,
)
from nrmbus.guardianship import course


@line(ChildFlagged)
def represent(_flag: ChildFlagged, heard: Heard, _: State) -> Result | None:
    """1. A child is reported: guardianship assigns a representative, without whom nobody asks the child anything ({basis:safeguard.representative_assigned})."""
    if not course.may(heard, RepresentativeAssigned):
        return None
    return Result(tasks=(task(heard, "representative", "A child is reported to you: assign a representative first."),))


@line(ChildFlagged)
def decide(_flag: ChildFlagged, heard: Heard, _: State) -> Result | None:
    """2. A child is reported: best interests are decided before anybody brings the child home ([S8, S25], [D])."""
    if heard.view.best_interests is not None or not course.may(heard, BestInterestsDecided):
        return Result()
    sentence = "Decide where the child may live, before anybody brings the child home."
    return Result(tasks=(task(heard, "best_interests", sentence),))


@line(StageEntered)
def hurry(_stage: StageEntered, _heard: Heard, _: State) -> Result | None:
    """3. The inquiry begins and nobody represents the child: a representative is due; time to assign one: {D-REPRESENT}; another stage is noted ({basis:D-REPRESENT}, [D])."""
    return Result()


@line(ReferralSubmitted)
def receive(referral: ReferralSubmitted, heard: Heard, _: State) -> Result | None:
    """4. A referral comes: this body answers it if it was asked; time to answer: {D-SERVICE}; time to begin after an acceptance: {D-ASSIGN}; it is a notice if the child went to the deciding body ({decider}) ([S36, S39, S43])."""
    if heard.me not in referral.to:
        return Result()
    return Result(tasks=(task(heard, "referral", "A referral has come: accept it, decline it or ask."),))


@line(BestInterestsDecided, RepresentativeAssigned)
def follow(decided: Data, heard: Heard, _: State) -> Result | None:
    """5. The other body has decided where the child may live: whoever brings the child there keeps to the conditions ([S8, S25])."""
    if heard.own or not isinstance(decided, BestInterestsDecided):
        return Result()
    sentence = "It is decided where the child may live: read the conditions, and bring the child nowhere else."
    return Result(tasks=(task(heard, "conditions", sentence),))


@line(ReturnedToFamily)
def visit(_return: ReturnedToFamily, heard: Heard, _: State) -> Result | None:
    """6. The child is with family again: the visits that the decision asks for begin ([D])."""
    return Result(
        tasks=(task(heard, "visits", "The child is with family: plan the visits that the decision asks for."),)
    )


@line(ReasonableGroundsDecided, StatusDecided, StatusRevoked)
def contest(_decision: Data, heard: Heard, _: State) -> Result | None:
    """7. A decision goes against the child: the representative learns until when a review may be asked for ([S35], [D])."""
    if heard.view.negative != heard.event.id:
        return Result()
    sentence = "The decision is negative: tell the representative until when a review may be asked for."
    return Result(tasks=(task(heard, "review_window", sentence),))


@line(AgeAssessed)
def release(_assessment: AgeAssessed, heard: Heard, _: State) -> Result | None:
    """8. The person turns out to be an adult: the representative's task ends, and the person is asked from now on ([S42], [D])."""
    if heard.view.child:
        return Result()
    return Result(tasks=(task(heard, "adult", "The person is an adult: end the representation."),))


@line(CaseOpened)
def attend(_opened: CaseOpened, heard: Heard, _: State) -> Result | None:
    """9. A child has to do with a court: the representative goes along (CETS 197 art. 28 [S32])."""
    sentence = "Proceedings about what was done to the child are open: the representative goes along."
    return Result(tasks=(task(heard, "child_in_court", sentence),))


@line(PaymentOrdered, PaymentExecuted, PaymentFailed, CompensationGranted)
def keep_safe(_payment: Data, _heard: Heard, _: State) -> Result | None:
    """10. Money for a child is granted, ordered or paid, or a payment fails: noted, since it is kept for the child and never given in hand ([u])."""
    return Result()


supply, decline, expire, note = handoffs.answers(11, "the body")
stand_by, settle, report, travel = course.stand_by, course.settle, course.report, course.travel
watch, accompany, learn, return_to = course.watch, course.accompany, course.learn, course.return_to
stop = support.taken_back(23, "the body")
begin, keep, take_back = handoffs.begin, handoffs.keep, handoffs.take_back
