"""An international organisation: what it does about returns. One function per numbered line of ``README.md``."""

from typing import Final

from nrmbus.desk.procedure import first_contact, handoffs, support
from nrmbus.desk.procedure.handoffs import Referring as State
from nrmbus.desk.procedure.interface import Heard, Result, line, task
from nrmbus.desk.procedure.shared import referral_came
from nrmbus.events.referral import ReferralSubmitted
from nrmbus.events.returns import (
    ReturnCompleted,
    ReturnConsented,
    ReturnMonitored,
    ReturnRiskAssessed,
    ReturnStopped,
)
from nrmbus.events.stay import EmbassyBarred

_NOT_SAFE: Final = "not_safe"


@line(ReferralSubmitted)
def receive(_referral: ReferralSubmitted, heard: Heard, _: State) -> Result | None:
    """1. A referral comes: a case worker acknowledges it, and accepts, declines or asks; time to answer: {D-SERVICE}; time to begin after an acceptance: {D-ASSIGN} ([S39, S43, S46])."""
    return referral_came(heard)


@line(ReturnConsented)
def assess(wish: ReturnConsented, heard: Heard, _: State) -> Result | None:
    """2. Somebody wants to go home and agreed to this organisation: the dangers there are assessed before anything is arranged; time to assess, for who recorded the wish: {D-RISK} ({basis:return.risk_assessed} [u])."""
    if heard.own or heard.me not in (wish.to or ()):
        return None
    return Result(tasks=(task(heard, "assess_risk", "Assess with the person what waits there, before any travel."),))


@line(ReturnRiskAssessed)
def arrange(risk: ReturnRiskAssessed, heard: Heard, _: State) -> Result | None:
    """3. The person can return: the journey is arranged with that person; a child's waits for the decision on best interests ({basis:return.travel_arranged} [u]; [S8, S25])."""
    if risk.outcome == _NOT_SAFE:
        return None
    sentence = "The person can return: arrange the journey together."
    if heard.view.child:
        sentence = "The child can return: arrange the journey once best interests are decided."
    return Result(tasks=(task(heard, "arrange_travel", sentence),))


@line(ReturnRiskAssessed)
def advise(risk: ReturnRiskAssessed, heard: Heard, _: State) -> Result | None:
    """4. The return is not safe: nothing is arranged, and the person is told what else there is ([D])."""
    if risk.outcome != _NOT_SAFE:
        return None
    sentence = "The return is not safe: arrange nothing, tell the person what else there is, and stop the return if it stays so."
    return Result(tasks=(task(heard, "not_safe", sentence),))


@line(ReturnCompleted)
def agree(_arrival: ReturnCompleted, heard: Heard, _: State) -> Result | None:
    """5. The person has arrived: who arranged the journey agrees with that person how and when to ask how life goes; time to report: {D-MONITOR} ({basis:return.completed} [u]; [S55])."""
    if not heard.own:
        return Result()
    return Result(
        tasks=(task(heard, "agree_on_report", "Agree with the person on a safe way and a day for the report."),)
    )


@line(ReturnMonitored)
def refer_again(_report: ReturnMonitored, heard: Heard, _: State) -> Result | None:
    """6. A report on the life after a return comes: a case worker reads it, and asks a person who is not safe about a new referral, which opens a new case ([S35, S54], [D])."""
    sentence = "A report has come: read whether the person is safe. If not, ask about a new referral, which opens a new case that names this one."
    return Result(tasks=(task(heard, "read_report", sentence),))


@line(ReturnStopped)
def cancel(_stop: ReturnStopped, heard: Heard, _: State) -> Result | None:
    """7. The return is stopped: what was booked is cancelled, and nobody urges the person ([D])."""
    if heard.own:
        return None
    return Result(
        tasks=(task(heard, "cancel_travel", "The return is stopped: cancel what is booked, and urge nobody."),)
    )


@line(EmbassyBarred)
def keep_out(_bar: EmbassyBarred, heard: Heard, _: State) -> Result | None:
    """8. Contact with embassies is barred: travel papers are asked for in no way that tells an embassy ([D] [u])."""
    if heard.own:
        return None
    sentence = "No embassy may hear of this person: ask for no travel papers there."
    return Result(tasks=(task(heard, "embassy_barred", sentence),))


meet = first_contact.meeting(9, "A case worker", "Ask the person alone whom you may tell.")
refuse = first_contact.refusal(10)
supply, decline, expire, note = handoffs.answers(11, "a case worker")
course, outcome = handoffs.outcomes(
    15, "a case worker asks about a review, and help with the way home goes on",
    "help with the way home goes on. Ask the person about a review, and name new evidence or a breach of the rules.",
)  # fmt: skip


ask = support.service(17, "a case worker")
stop = support.taken_back(18, "the organisation")
begin, keep, take_back = handoffs.begin, handoffs.keep, handoffs.take_back
