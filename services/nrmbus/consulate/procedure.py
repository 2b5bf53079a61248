"""An embassy or consulate: what it does about own nationals abroad and returns. One function per numbered line of ``README.md``."""

from typing import Final

from nrmbus.desk.procedure import first_contact, handoffs, support
from nrmbus.desk.procedure.handoffs import Referring as State
from nrmbus.desk.procedure.interface import Heard, Result, line, task
from nrmbus.desk.procedure.shared import referral_came
from nrmbus.events.case import ReReferred, SignalRecorded
from nrmbus.events.referral import ReferralSubmitted
from nrmbus.events.returns import (
    ReturnCompleted,
    ReturnConsented,
    ReturnRiskAssessed,
    ReturnStopped,
    ReturnTravelArranged,
)

_NOT_SAFE: Final = "not_safe"


@line(SignalRecorded, ReReferred)
def find(signal: SignalRecorded, heard: Heard, _: State) -> Result | None:
    """1. The consulate has found a citizen abroad: of a child, the guardian bodies are notified first; an adult is asked about consent to the deciding body ({decider}) and about the wish to go home; an officer then refers; time to refer: {D-REFER} ({basis:D-REFER}; [S25, S36])."""
    if not (heard.own and signal.detected_abroad):
        return None
    if heard.view.child:
        return first_contact.met(heard, "")
    sentence = (
        "Ask whether the deciding body ({decider}) may be told, and whether the person wants to go home; then refer."
    )
    return Result(tasks=(task(heard, "found_abroad", sentence),))


@line(ReferralSubmitted)
def receive(_referral: ReferralSubmitted, heard: Heard, _: State) -> Result | None:
    """2. A referral comes: an officer acknowledges it, and accepts, declines or asks; time to answer: {D-SERVICE}; time to begin after an acceptance: {D-ASSIGN} ([S39, S43, S46])."""
    return referral_came(heard)


@line(ReturnConsented)
def prepare(wish: ReturnConsented, heard: Heard, _: State) -> Result | None:
    """3. Somebody wants to go home and agreed to this agency: travel papers are made ready, and nothing is booked before the risk is assessed ({basis:return.consented} [u])."""
    if heard.own or heard.me not in (wish.to or ()):
        return None
    sentence = "Make the travel papers ready; book nothing before the risk is assessed."
    return Result(tasks=(task(heard, "travel_papers", sentence),))


@line(ReturnRiskAssessed)
def arrange(risk: ReturnRiskAssessed, heard: Heard, _: State) -> Result | None:
    """4. The risk was assessed: the consulate arranges the journey only if the person can return, and a child's once best interests are decided; an embassy does not hear of it ({basis:return.travel_arranged} [u]; [S8, S25])."""
    if risk.outcome == _NOT_SAFE:
        return Result(tasks=(task(heard, "not_safe", "The return is not safe: arrange nothing, and tell the person."),))
    sentence = "The person can return: arrange the journey together."
    if heard.view.child:
        sentence = "The child can return: arrange the journey once best interests are decided."
    return Result(tasks=(task(heard, "arrange_travel", sentence),))


@line(ReturnTravelArranged)
def hand_over(_journey: ReturnTravelArranged, heard: Heard, _: State) -> Result | None:
    """5. Somebody else arranged the journey: the papers are handed over before the day of travel ({basis:return.travel_arranged} [u])."""
    if heard.own:
        return None
    return Result(tasks=(task(heard, "hand_over_papers", "Hand the travel papers over before the day of travel."),))


@line(ReturnStopped)
def cancel(_stop: ReturnStopped, heard: Heard, _: State) -> Result | None:
    """6. The return is stopped: papers and bookings are cancelled, and nobody is told in the person's country ([D])."""
    if heard.own:
        return None
    return Result(
        tasks=(task(heard, "cancel_travel", "The return is stopped: cancel papers and bookings, and tell nobody."),)
    )


@line(ReturnCompleted)
def note_arrival(_arrival: ReturnCompleted, _heard: Heard, _: State) -> Result | None:
    """7. The person has arrived: noted; an agency that arranged the journey itself reports how the person fares; time to report: {D-MONITOR} ({basis:return.completed} [u]; [S55])."""
    return Result()


@line(SignalRecorded, ReReferred)
def meet(signal: SignalRecorded, heard: Heard, _: State) -> Result | None:
    """8. Somebody comes to the embassy or consulate here: the person is asked, referred, and given a copy of the form; of a child, the guardian bodies are notified first; time to refer: {D-REFER} ({basis:D-REFER}, [S13, S43])."""
    if signal.detected_abroad:
        return None
    return first_contact.met(heard, "Ask the person alone whom you may tell.")


refuse = first_contact.refusal(9)
supply, decline, expire, note = handoffs.answers(10, "an officer")
course, outcome = handoffs.outcomes(
    14, "an officer asks about a review, and help with the way home goes on",
    "help with the way home goes on. Ask the person about a review, and name new evidence or a breach of the rules.",
)  # fmt: skip


stop = support.taken_back(16, "the agency")
begin, keep, take_back = handoffs.begin, handoffs.keep, handoffs.take_back
