"""The assistance centre: help with or without a status, to its end and after. One function per numbered line of ``README.md``."""

from nrmbus.desk.procedure import first_contact, handoffs, support
from nrmbus.desk.procedure.handoffs import Referring as State
from nrmbus.desk.procedure.interface import Heard, Result, line, task
from nrmbus.desk.procedure.shared import referral_came
from nrmbus.events.case import FollowUpDue, Reopened, ReReferred, SignalRecorded
from nrmbus.events.consent import ConsentGiven
from nrmbus.events.identification import ReasonableGroundsDecided, StatusDecided, StatusRevoked
from nrmbus.events.model import Data
from nrmbus.events.referral import ReferralAccepted, ReferralAcknowledged, ReferralCompleted, ReferralSubmitted
from nrmbus.events.safeguard import ChildFlagged
from nrmbus.events.support import PlanCompleted


@line(SignalRecorded, ReReferred)
def come(_: Data, heard: Heard, __: State) -> Result | None:
    """1. Somebody comes without a referral, also again: of a child, the guardian bodies are notified first; an adult is asked, and helped whatever the answer ([S26, S34, S36])."""
    return first_contact.met(
        heard, "Ask the person whom you may tell. Help does not wait for an answer about the deciding body ({decider})."
    )


@line(ReferralSubmitted)
def receive(_: ReferralSubmitted, heard: Heard, __: State) -> Result | None:
    """2. A referral comes: the centre answers it, and tells the deciding body ({decider}) nothing if the person refused it; time to answer: {D-SERVICE} ([S26, S43])."""
    if heard.own or heard.view.status != "SUPPORT_NO_STATUS":
        return referral_came(heard)
    sentence = "A person who refuses the deciding body ({decider}) is referred to you: accept or decline, and tell that body nothing."
    return Result(tasks=(task(heard, "without_police", sentence),))


@line(ReferralAccepted)
def plan(_: ReferralAccepted, heard: Heard, __: State) -> Result | None:
    """3. Once the centre has accepted, it assesses the needs and agrees on an individual plan, time to begin: {D-ASSIGN} ([S26, S39]); an acceptance by another is noted."""
    if not heard.own:
        return Result()
    return Result(
        tasks=(task(heard, "make_plan", "Assess the needs, and agree with the person on a plan of her own."),)
    )


@line(ConsentGiven, ChildFlagged)
def change_mind(_: Data, heard: Heard, __: State) -> Result | None:
    """4. A person without status agrees to the deciding body ({decider}), or is found to be a child: a task to refer, an adult with this fresh consent (rule T23, [S34, S36])."""
    if isinstance(heard.event.data, ChildFlagged):
        return first_contact.child_after_a_refusal(heard)
    return first_contact.agreed_to_the_deciding_body(heard, status="SUPPORT_NO_STATUS")


ask = support.service(5, "the centre")


@line(ReasonableGroundsDecided, StatusDecided, StatusRevoked)
def decide(_: Data, heard: Heard, __: State) -> Result | None:
    """6. A decision comes: after a positive one the centre agrees on a plan, unless one is in force; after a negative one support goes on, and ends only after a transition plan ([S26, S55], [D])."""
    if heard.own:
        return None
    if heard.view.negative is not None:
        sentence = "The decision is negative: tell the person about the review, and agree on a transition plan before support ends."
        return Result(tasks=(task(heard, "transition", sentence),))
    if heard.view.plan is not None and heard.view.plan.in_force:
        return None
    sentence = "The decision is positive: assess the needs, and agree with the person on a plan of her own."
    return Result(tasks=(task(heard, "make_plan", sentence),))


@line(PlanCompleted)
def complete(_: PlanCompleted, heard: Heard, __: State) -> Result | None:
    """7. The plan is completed: open services are settled, and the case is closed, with follow-up if the person agrees ([S45, S55])."""
    if not heard.own:
        return None
    sentence = "Settle what is open, then close the case. Ask whether you may ask again after {follow_up}."
    return Result(tasks=(task(heard, "close", sentence),))


@line(FollowUpDue)
def follow_up(due: FollowUpDue, heard: Heard, __: State) -> Result | None:
    """8. A follow-up is due, some months after closing as the profile says: the centre asks how the person fares, if asking is safe, records the answer, and opens the case again for somebody who is not safe and wants that ([S54, S55])."""
    return handoffs.follow_up_due(heard, due.month)


@line(Reopened)
def open_again(_: Reopened, heard: Heard, __: State) -> Result | None:
    """9. The case is opened again: the person is asked anew, and the plan is looked at again (rule T22, [S46])."""
    sentence = "The case is open again: ask the person anew what you may tell, and look at the plan."
    return Result(tasks=(task(heard, "make_plan", sentence),))


supply, decline, expire, note = handoffs.answers(10, "the centre", (ReferralAcknowledged, ReferralCompleted))
course = handoffs.steps(14)
recover, grow_up, bed_again = support.recovery(15), support.grown_up(16), support.bed(17)
stop, keep_to = support.taken_back(18, "the centre"), support.home(19, "the centre")
begin, keep, take_back = handoffs.begin, handoffs.keep, handoffs.take_back
