"""An NGO: the steps that keep its hand-offs alive. One function per numbered line of ``README.md``."""

from nrmbus.desk.procedure import first_contact, handoffs, support
from nrmbus.desk.procedure.handoffs import Referring as State
from nrmbus.desk.procedure.interface import Heard, Result, line, task
from nrmbus.desk.procedure.shared import referral_came
from nrmbus.events.case import FollowUpDue
from nrmbus.events.consent import ConsentGiven
from nrmbus.events.handover import PersonReceived
from nrmbus.events.identification import ReasonableGroundsDecided, StageEntered, StatusDecided, StatusRevoked
from nrmbus.events.model import Data
from nrmbus.events.referral import ReferralSubmitted


@line(ReferralSubmitted)
def receive(_referral: ReferralSubmitted, heard: Heard, _: State) -> Result | None:
    """1. A referral comes: a case worker acknowledges it, and accepts, declines or asks; time to answer: {D-SERVICE}; time to begin after an acceptance: {D-ASSIGN} ([S39, S43, S46])."""
    return referral_came(heard)


supply, decline, expire, note = handoffs.answers(2, "a case worker")


@line(FollowUpDue)
def follow_up(due: FollowUpDue, heard: Heard, _: State) -> Result | None:
    """6. A follow-up is due, some months after closing as the profile says: the NGO asks how the person fares, if asking is safe, records the answer, and opens the case again for somebody who is not safe and wants that ([S54, S55])."""
    return handoffs.follow_up_due(heard, due.month)


meet = first_contact.meeting(7, "Somebody of the organisation", "Ask the person alone whom you may tell.")
refuse = first_contact.refusal(8)


@line(ConsentGiven)
def agree(_consent: ConsentGiven, heard: Heard, _: State) -> Result | None:
    """9. A person without status agrees to the deciding body ({decider}): a task to refer, with this fresh consent (rule T23, [S34])."""
    return first_contact.agreed_to_the_deciding_body(heard, status="SUPPORT_NO_STATUS")


@line(StageEntered, PersonReceived)
def attend(stage: Data, heard: Heard, _: State) -> Result | None:
    """10. The inquiry begins about a person whom the NGO referred: the NGO may attend the interview, if the person wants that; another stage, and that the person was received, is noted ({basis:identification.stage_entered})."""
    if not isinstance(stage, StageEntered) or stage.stage != "inquiry":
        return Result()
    sentence = "The inquiry begins: ask the person whether you should attend the interview, and tell the deciding body ({decider})."
    return Result(tasks=(task(heard, "attend", sentence),))


@line(ReasonableGroundsDecided, StatusDecided, StatusRevoked)
def answer_no(_decision: Data, heard: Heard, _: State) -> Result | None:
    """11. A decision comes about a person whom the NGO referred: after a negative one, new evidence or a breach of the rules is reason for a review; a positive one is noted ([S35])."""
    if heard.view.negative != heard.event.id:
        return Result()
    sentence = (
        "The decision is negative: ask the person about a review, and name new evidence or a breach of the rules."
    )
    return Result(tasks=(task(heard, "review_for_person", sentence),))


ask = support.service(12, "a case worker")
bed_again = support.bed(13)
stop = support.taken_back(14, "the organisation")
begin, keep, take_back = handoffs.begin, handoffs.keep, handoffs.take_back
