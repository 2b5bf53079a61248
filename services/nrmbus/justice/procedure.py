"""Prosecution and court: what follows for them. One function per numbered line of ``README.md``."""

from datetime import timedelta
from typing import Final

from nrmbus.desk.procedure import handoffs, support
from nrmbus.desk.procedure.handoffs import Referring as State
from nrmbus.desk.procedure.interface import Heard, Result, line, task
from nrmbus.events.deadline import DeadlineBreached
from nrmbus.events.erasure import AccessHoldPlaced, AccessTerminated
from nrmbus.events.fund import CompensationGranted
from nrmbus.events.justice import CaseOpened, MeasureGranted, VerdictRecorded
from nrmbus.events.referral import ReferralSubmitted
from nrmbus.events.review import ReviewRequested

COMPENSATION: Final = "compensation"
_FOR_THE_PERSON: Final = ("conviction", "claim_granted")


@line(ReferralSubmitted)
def receive(_referral: ReferralSubmitted, heard: Heard, _: State) -> Result | None:
    """1. A referral comes: a prosecutor answers it, and opens proceedings or says why not; time to answer: {D-SERVICE}; time to begin after an acceptance: {D-ASSIGN} ([S32, S39, S43], [D])."""
    if heard.own:
        return None
    sentence = "A referral has come: answer it, and open proceedings if a crime is suspected."
    return Result(tasks=(task(heard, "open_proceedings", sentence),))


@line(CaseOpened)
def protect(_opened: CaseOpened, heard: Heard, _: State) -> Result | None:
    """2. Proceedings are opened: the witness is protected before the first hearing, a child before all others (CETS 197 art. 28 [S32])."""
    sentence = "Proceedings are open: decide which measures protect the witness before anybody is heard."
    return Result(tasks=(task(heard, "measures", sentence),))


@line(MeasureGranted)
def note(_granted: MeasureGranted, heard: Heard, _: State) -> Result | None:
    """3. The other side protects the witness: noted, and the deciding body ({decider}) carries the measures out ([S18])."""
    return None if heard.own else Result()


@line(VerdictRecorded)
def compensate(verdict: VerdictRecorded, heard: Heard, _: State) -> Result | None:
    """4. A conviction or a granted claim: the court decides on compensation, and confiscated property goes to the fund ({basis:fund.compensation_granted})."""
    if heard.agencies[heard.me].role != "court" or verdict.outcome not in _FOR_THE_PERSON:
        return Result()
    sentence = "The proceedings have ended for the person: decide on compensation, and record what is granted."
    return Result(tasks=(task(heard, "compensation", sentence),))


@line(ReviewRequested)
def review(_request: ReviewRequested, heard: Heard, _: State) -> Result | None:
    """5. A review comes to the court: it decides by the last day, and nobody is removed or put out before; the prosecution notes a review ([S35], [D])."""
    if heard.own:
        return None
    if heard.agencies[heard.me].role != "court":
        return Result()
    sentence = "A review is asked for: decide it by its last day. Removal and eviction wait for you."
    return Result(tasks=(task(heard, "review", sentence),))


@line(AccessTerminated)
def terminate(_decision: AccessTerminated, heard: Heard, _: State) -> Result | None:
    """6. Access was ended: every holder may object for some days, and then each erases and confirms ([S11], [D])."""
    if not heard.own:
        return None
    profile = heard.profile
    last = heard.registered.astimezone(profile.zone).date() + timedelta(days=profile.retention.objection_days)
    sentence = f"Holders may object until the end of {last.isoformat()}; then they erase and confirm."
    return Result(tasks=(task(heard, "objections", sentence),))


@line(AccessHoldPlaced)
def weigh(_hold: AccessHoldPlaced, heard: Heard, _: State) -> Result | None:
    """7. A holder objects: the decision is looked at again, and a court that repeats it overrules the objection ([S11], [D])."""
    if heard.own:
        return None
    sentence = "A holder objects to the end of access: look at the decision again. A court may repeat it."
    return Result(tasks=(task(heard, "objection", sentence),))


@line(DeadlineBreached)
def remind(breach: DeadlineBreached, heard: Heard, _: State) -> Result | None:
    """8. A holder did not confirm in its days that it has erased: the agency that decided asks it, or lifts the duty of one that is gone for good ([S11], [D])."""
    if breach.rule != "D-ERASE":
        return None
    sentence = "An agency did not confirm that it has erased the case: ask it, or lift the duty if it is gone for good."
    return Result(tasks=(task(heard, "not_erased", sentence),))


supply, decline, expire, note_answer = handoffs.answers(9, "the agency")


@line(CompensationGranted)
def count(granted: CompensationGranted, heard: Heard, _: State) -> Result | None:
    """13. The fund has granted compensation: the court that hears the proceedings counts it when it decides ([S9], [D])."""
    if heard.own or granted.purpose != COMPENSATION:
        return None
    sentence = "The fund has granted compensation: count it, so that the same harm is not made good twice."
    return Result(tasks=(task(heard, "fund_granted", sentence),))


course, outcome = handoffs.outcomes(
    14, "proceedings go on, and the agency says who may ask for a review",
    "proceedings go on. Tell the person who may ask for a review: an NGO or the assistance centre.", "tell_of_review",
)  # fmt: skip


stop = support.taken_back(16, "the agency")
begin, keep, take_back = handoffs.begin, handoffs.keep, handoffs.take_back
