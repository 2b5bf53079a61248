"""Lines of the procedure about the deciding body's own steps from a referral to a decision, and about answers that it waits for."""

from nrmbus.desk.procedure.handoffs import service_asked
from nrmbus.desk.procedure.interface import Heard, Result, line, task
from nrmbus.desk.procedure.shared import noted, referral_came
from nrmbus.events.case import Linked, Merged
from nrmbus.events.handover import DocumentTransferred
from nrmbus.events.identification import StageEntered
from nrmbus.events.model import Data
from nrmbus.events.recovery import PeriodEnded, PeriodExtended, PeriodStarted
from nrmbus.events.referral import ReferralAccepted, ReferralSubmitted
from nrmbus.events.returns import ReturnCompleted, ReturnConsented, ReturnRiskAssessed, ReturnTravelArranged
from nrmbus.events.review import ReviewDecided
from nrmbus.events.safeguard import RepresentativeAssigned
from nrmbus.events.stay import HoldConfirmed
from nrmbus.events.support import ServiceRequested
from nrmbus.police.state import State, decides


def _own_step(heard: Heard) -> Result | None:
    """Return that a clock shows the next step after an event of this deciding body; None for an event of another agency."""
    return Result() if heard.own and decides(heard) else None


@line(ReferralAccepted)
def assist(_acceptance: ReferralAccepted, heard: Heard, _: State) -> Result | None:
    """23. The deciding body ({decider}) has accepted: urgent needs are met before the inquiry, so initial assistance begins first; time to begin: {D-ANSWER} ({basis:identification.stage_entered}; [D])."""
    return _own_step(heard)


@line(StageEntered)
def inquire(_stage: StageEntered, heard: Heard, _: State) -> Result | None:
    """24. A stage begins: an NGO that referred the person may attend the interview, and a child is interviewed with a representative and a doctor (rules G-22 and G-23); time to decide on reasonable grounds: {D-RG} ({basis:identification.stage_entered}; {basis:D-RG})."""
    return _own_step(heard)


@line(PeriodStarted, PeriodExtended)
def look(_period: Data, heard: Heard, _: State) -> Result | None:
    """25. A recovery period begins or is made longer: in its middle the deciding body ({decider}) asks those who help how the person is, and it screens the indicators and decides on the status before the end; time to review: {D-REVIEW30}; time to decide: {D-RECOVERY} ({basis:D-RECOVERY}; {basis:D-REVIEW30})."""
    return _own_step(heard)


@line(PeriodEnded)
def conclude(_end: PeriodEnded, heard: Heard, _: State) -> Result | None:
    """26. A recovery period has ended: the status is decided if it is not yet; time to decide: {D-CG} ({basis:D-CG})."""
    return _own_step(heard)


@line(ReviewDecided)
def resume(_decision: ReviewDecided, heard: Heard, _: State) -> Result | None:
    """27. A court has decided a review: where it takes identification up again, the deciding body ({decider}) decides anew; time to decide: {D-RG}; a decision that stands is noted (rule T19, [S35])."""
    return noted(heard)


@line(Linked, Merged)
def match(_match: Data, heard: Heard, _: State) -> Result | None:
    """28. Two cases turn out to be one person's: they are linked, so that figures count one person, or one of them goes on alone; time to ask for consent in that one: {D-MERGE} ([S31, S54], [D])."""
    return _own_step(heard)


@line(HoldConfirmed)
def stand(_confirmation: HoldConfirmed, heard: Heard, _: State) -> Result | None:
    """29. The migration service confirms a hold: noted, and the hold stands until the deciding body ({decider}) ends it ({basis:stay.hold_confirmed})."""
    return noted(heard)


@line(RepresentativeAssigned)
def interview(_assigned: RepresentativeAssigned, heard: Heard, _: State) -> Result | None:
    """30. A child has a representative: noted, since the child may be interviewed from now on ({basis:safeguard.representative_assigned})."""
    return noted(heard)


@line(ReferralSubmitted, ServiceRequested)
def serve(asked: Data, heard: Heard, _: State) -> Result | None:
    """31. A social service that does not decide is referred somebody, or is asked for a service: a worker answers; time to answer: {D-SERVICE}; time to begin after an acceptance: {D-ASSIGN} ([S39, S43])."""
    if isinstance(asked, ServiceRequested):
        return service_asked(heard)
    return None if heard.own or decides(heard) else referral_came(heard)


@line(ReturnConsented, ReturnRiskAssessed, ReturnTravelArranged, ReturnCompleted)
def go_home(_step: Data, heard: Heard, _: State) -> Result | None:
    """32. The deciding body ({decider}) itself helps somebody home: wish, risk, journey, arrival and report come in this order (rule G-57); time to assess the risk: {D-RISK}; time to travel: {D-TRAVEL}; time to report: {D-MONITOR} ({basis:G-57} [u])."""
    return _own_step(heard)


@line(DocumentTransferred)
def take_papers(_papers: DocumentTransferred, heard: Heard, _: State) -> Result | None:
    """33. Papers of a person are handed over: the duty officer, and nobody else, receives and counts them ({basis:G-07})."""
    if heard.own or not decides(heard):
        return None
    sentence = "The sender hands over papers: only the duty officer receives and counts them."
    return Result(tasks=(task(heard, "duty_officer", sentence),))
