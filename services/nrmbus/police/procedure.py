"""The body that decides, in Azerbaijan the police's special unit: its automatic steps. One function per numbered line of ``README.md``."""

from nrmbus.desk.procedure import first_contact, handoffs, support
from nrmbus.desk.procedure.interface import Heard, Result, Settings, by_itself, line, task
from nrmbus.events.case import ReReferred, SignalRecorded
from nrmbus.events.identification import InterviewHeld, ReasonableGroundsDecided, StatusDecided, StatusRevoked
from nrmbus.events.justice import MeasureGranted
from nrmbus.events.model import Data
from nrmbus.events.recovery import PeriodStarted
from nrmbus.events.referral import ReferralSubmitted
from nrmbus.events.returns import ReturnCompleted
from nrmbus.events.review import ReviewRequested
from nrmbus.events.safeguard import AgeAssessed
from nrmbus.police import groups, steps
from nrmbus.police.state import State, decides, holds_removal, last_day


def begin(_: Settings) -> State:
    """Return the state of a unit that has received nothing yet."""
    return State()


@line(ReferralSubmitted)
def receive(_referral: ReferralSubmitted, heard: Heard, _: State) -> Result | None:
    """1. A referral comes: its duty officer, and nobody else, acknowledges it and receives person and papers; time to acknowledge: {D-ACK} ({basis:G-07}; [D])."""
    if heard.own or not decides(heard):
        return None
    sentence = "A referral has come: only the duty officer acknowledges it, answers it and receives the person."
    return Result(tasks=(task(heard, "duty_officer", sentence),))


@line(InterviewHeld)
def warn(interview: InterviewHeld, heard: Heard, _: State) -> Result | None:
    """2. From the second interview on a warning comes: share the record, ask nobody the same again ([S32, S39], [D])."""
    if not heard.own or not decides(heard) or interview.number <= 1:
        return None
    sentence = f"Interview number {interview.number} of this person: share the record instead of asking again."
    return Result(tasks=(task(heard, "interviewed_again", sentence),))


@line(ReasonableGroundsDecided)
def reflect(decision: ReasonableGroundsDecided, heard: Heard, _: State) -> Result | None:
    """3. A positive reasonable-grounds decision starts the recovery and reflection period ({basis:recovery.period_started})."""
    days = heard.profile.periods.recovery_days
    if not heard.own or decision.outcome != "positive" or not decides(heard) or days is None:
        return None
    period = PeriodStarted(days=days)
    return Result(drafts=(by_itself(heard, "recovery-period", period, time=heard.event.time),))


@line(StatusDecided)
def shield(decision: StatusDecided, heard: Heard, _: State) -> Result | None:
    """4. A recognised person whose removal is held is shielded: the migration service is asked for a second hold of {stay} ([S28])."""
    profile, days = heard.profile, heard.profile.periods.stay_days
    if not (heard.own and decides(heard) and decision.status in profile.statuses.victim and holds_removal(heard)):
        return None
    if days is None:  # a profile without a shield
        return None
    sentence = f"Ask the migration service for a second hold, on the ground of status: {days} days."
    return Result(tasks=(task(heard, "shield", sentence),))


@line(ReturnCompleted)
def release(_arrival: ReturnCompleted, heard: Heard, _: State) -> Result | None:
    """5. A person whose removal is held has gone home: the hold is ended, since nobody else can end it ([S30], [D])."""
    if not holds_removal(heard):
        return None if heard.own else Result()
    return Result(tasks=(task(heard, "end_hold", "The person has gone home: end each hold that still stands."),))


@line(ReasonableGroundsDecided, StatusDecided, StatusRevoked)
def tell(_decision: Data, heard: Heard, _: State) -> Result | None:
    """6. A negative decision: the person hears the reasons and the last day for a review, in writing ([S35], [D])."""
    last = last_day(heard)
    if last is None:
        return None
    sentence = f"Tell the person in writing: the reasons, and that a review may be asked for until the end of {last}."
    return Result(tasks=(task(heard, "tell_person", sentence),))


@line(ReasonableGroundsDecided, StatusDecided, StatusRevoked)
def freeze(_decision: Data, heard: Heard, _: State) -> Result | None:
    """7. Until a review is over nobody is removed: where no hold stands, one is asked for (CETS 197 art. 13 [S30], [D])."""
    if last_day(heard) is None or any(not hold.ended for hold in heard.view.holds.values()):
        return None
    sentence = "No hold on removal stands: ask migration for one, if the person could be removed."
    return Result(tasks=(task(heard, "ask_hold", sentence),))


@line(ReviewRequested)
def review(request: ReviewRequested, heard: Heard, _: State) -> Result | None:
    """8. A review is asked for: somebody who did not decide before decides by the last day, and a superior signs the decision on a complaint ([S35], [D])."""
    if heard.own or not decides(heard):
        return None
    sentence = "A review is asked for: let somebody else than before decide. Removal and eviction wait."
    if request.kind == "complaint_to_superior":
        sentence = "A complaint has come: the superior of whoever decided signs the answer. Removal and eviction wait."
    return Result(tasks=(task(heard, "review", sentence),))


@line(MeasureGranted)
def guard(_granted: MeasureGranted, heard: Heard, _: State) -> Result | None:
    """9. A witness is protected: the unit carries the measures out ([S18]; CETS 197 art. 28 [S32])."""
    return Result(tasks=(task(heard, "carry_out", "A witness is protected: read the measures and carry them out."),))


@line(ReasonableGroundsDecided)
def keep_here(decision: ReasonableGroundsDecided, heard: Heard, _: State) -> Result | None:
    """10. Reasonable grounds about a foreign national whose removal nobody holds: the migration service is asked for a hold (CETS 197 art. 10, 13 [S30])."""
    if not heard.own or not decides(heard) or decision.outcome != "positive":
        return None
    if any(not hold.ended for hold in heard.view.holds.values()):
        return None
    sentence = "No hold on removal stands: ask migration for one, if the person is a foreign national."
    return Result(tasks=(task(heard, "ask_hold", sentence),))


@line(AgeAssessed)
def ask(_assessment: AgeAssessed, heard: Heard, _: State) -> Result | None:
    """11. The person turns out to be an adult: from now on nothing is done or passed on without that person's own consent ([S42], [D])."""
    if not heard.own or heard.view.child:
        return None
    sentence = "The person is an adult: have another agency ask for consent before you go on."
    return Result(tasks=(task(heard, "ask_adult", sentence),))


@line(SignalRecorded, ReReferred)
def meet(_signal: Data, heard: Heard, _: State) -> Result | None:
    """12. Somebody is found who may be a victim: of a child, the guardian bodies are notified first; an adult is asked for consent before anything else ([S34, S36], [D])."""
    sentence = "Ask the person alone whom you may tell. A second member of staff signs a consent to your own agency."
    return first_contact.met(heard, sentence)


supply, decline, expire, note = handoffs.answers(13, "an officer")
shut_out = groups.shut_out
course, outcome = handoffs.outcomes(18)
bed_again, stop, keep_to = support.bed(20), support.taken_back(21, "an officer"), support.home(22, "an officer")
assist, inquire, look, conclude, resume = steps.assist, steps.inquire, steps.look, steps.conclude, steps.resume
match, stand, interview, serve = steps.match, steps.stand, steps.interview, steps.serve
go_home, take_papers = steps.go_home, steps.take_papers
keep, take_back = handoffs.keep, handoffs.take_back
