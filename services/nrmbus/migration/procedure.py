"""The migration service: what it does about holds and permits. One function per numbered line of ``README.md``."""

from nrmbus.desk.procedure import first_contact, handoffs, support
from nrmbus.desk.procedure.handoffs import Referring as State
from nrmbus.desk.procedure.interface import Heard, Result, line, task
from nrmbus.desk.procedure.shared import noted, referral_came
from nrmbus.events.case import Withdrawn
from nrmbus.events.identification import ReasonableGroundsDecided
from nrmbus.events.model import Data
from nrmbus.events.recovery import PeriodEnded, PeriodExtended, PeriodReviewed, PeriodStarted
from nrmbus.events.referral import ReferralSubmitted
from nrmbus.events.stay import HoldEnded, HoldRequested, PermitRefused


@line(HoldRequested)
def hold(_request: HoldRequested, heard: Heard, _: State) -> Result | None:
    """1. A hold is asked for: a person enters it in the register of removals, and then confirms it; time to confirm: {D-HOLD} (CETS 197 art. 13 [S30], [D])."""
    return Result(tasks=(task(heard, "hold", "Enter the hold in the register of removals, and then confirm it."),))


@line(PeriodStarted, PeriodExtended)
def follow(_period: Data, heard: Heard, _: State) -> Result | None:
    """2. A recovery period begins or is made longer: a hold that would end before it follows its end, and the register too (CETS 197 art. 13 [S30])."""
    ends = [clock.due for clock in heard.rules.clocks(heard.view) if clock.code == "D-RECOVERY" and clock.due]
    shorter = [each for each in heard.view.holds.values() if not each.ended and any(each.until < end for end in ends)]
    if not shorter:
        return Result()
    sentence = "The recovery period ends later than the hold: enter its end in the register of removals."
    return Result(tasks=(task(heard, "hold_follows", sentence),))


@line(ReasonableGroundsDecided, PeriodReviewed, PeriodEnded)
def stand(_decision: Data, heard: Heard, _: State) -> Result | None:
    """3. Reasonable grounds are found, or a recovery period is reviewed or ends: the hold stands all the same, and nothing is to do (CETS 197 art. 10 [S30])."""
    return noted(heard)


@line(Withdrawn)
def outlast(_withdrawal: Withdrawn, heard: Heard, _: State) -> Result | None:
    """4. The person leaves the mechanism: the hold stands until the deciding body ({decider}) ends it ([S30], [D])."""
    return noted(heard)


@line(HoldEnded)
def release(_end: HoldEnded, heard: Heard, _: State) -> Result | None:
    """5. A hold is ended: it is taken out of the register, unless another hold for the same person stands ([S30], [D])."""
    if any(not each.ended and heard.me in each.migration for each in heard.view.holds.values()):
        return Result()
    return Result(
        tasks=(task(heard, "hold_ended", "No hold stands any more: take it out of the register of removals."),)
    )


@line(PermitRefused)
def refuse(_refusal: PermitRefused, heard: Heard, _: State) -> Result | None:
    """6. A permit is refused: the person is told how to ask for a review, and no removal follows from it while a hold stands ([S30, S33] [u])."""
    if not heard.own:
        return None
    sentence = "Tell the person how to ask for a review; while a hold stands, do not prepare a removal."
    return Result(tasks=(task(heard, "permit_refused", sentence),))


@line(ReferralSubmitted)
def receive(_referral: ReferralSubmitted, heard: Heard, _: State) -> Result | None:
    """7. A referral comes: an officer acknowledges it, and accepts, declines or asks; time to answer: {D-SERVICE}; time to begin after an acceptance: {D-ASSIGN} ([S39, S43, S46])."""
    return referral_came(heard)


meet = first_contact.meeting(
    8, "An officer", "Ask the person alone whom you may tell. No file on removal waits for the answer."
)
without_police = first_contact.refusal(9)
supply, decline, expire, note = handoffs.answers(10, "an officer")
course, outcome = handoffs.outcomes(
    14, "no removal is prepared while a review may be asked for or is undecided (rule G-47), and an officer asks about a review",
    "prepare no removal while a review may be asked for. Ask the person about a review, and name new evidence or a breach of the rules.",
)  # fmt: skip


stop = support.taken_back(16, "the service")
begin, keep, take_back = handoffs.begin, handoffs.keep, handoffs.take_back
