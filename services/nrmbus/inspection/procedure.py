"""Labour inspection, border service and police stations: groups found together. One function per numbered line of ``README.md``."""

from typing import Final

from pydantic import Field

from nrmbus.desk.procedure import first_contact, handoffs, support
from nrmbus.desk.procedure.handoffs import Referring
from nrmbus.desk.procedure.interface import Heard, Result, Settings, line, task
from nrmbus.events.access import AccessRevoked
from nrmbus.events.case import IncidentOpened, ReReferred, SignalRecorded
from nrmbus.events.consent import ConsentGiven, ConsentRefused, ConsentWithdrawn
from nrmbus.events.erasure import AccessErasureConfirmed
from nrmbus.events.identification import ReasonableGroundsDecided, StatusDecided, StatusRevoked
from nrmbus.events.model import Data
from nrmbus.rules.profile import DECIDERS

_ALONE: Final = (
    "Ask this person alone, away from the others and from whoever brought them: each consents or refuses alone."
)


class State(Referring):
    """Referrals that ask for services; the incident of each case; the agencies to which each person agreed."""

    incidents: dict[str, str] = Field(default_factory=dict)
    helpers: dict[str, tuple[str, ...]] = Field(default_factory=dict)


def begin(_: Settings) -> State:
    """Return the state of a service that has found nobody yet."""
    return State()


@line(IncidentOpened)
def find(incident: IncidentOpened, heard: Heard, _: State) -> Result | None:
    """1. A group is found: one incident with a head count, and one case for each person; no list of persons is ever made ([D])."""
    if not heard.own:
        return None
    sentence = f"Record one signal for each of the {incident.head_count} people, with this incident."
    return Result(tasks=(task(heard, "one_case_each", sentence),))


@line(SignalRecorded, ReReferred)
def meet(_: Data, heard: Heard, __: State) -> Result | None:
    """2. Each person is asked alone, referred, and given a copy of the form; of a child, the guardian bodies are notified first; time to refer: {D-REFER} ({basis:D-REFER}, [S34, S36, S43])."""
    return first_contact.met(heard, _ALONE)


@line(*first_contact.REFUSING)
def refuse(_: Data, heard: Heard, __: State) -> Result | None:
    """3. One of a group refuses the deciding body ({decider}): help without the police is offered, and the others' cases go on; one who is then found to be a child is referred ([S26, S36], [D])."""
    return first_contact.refused_the_deciding_body(heard)


@line(ReasonableGroundsDecided, StatusDecided, StatusRevoked)
def recruiter(_: Data, heard: Heard, state: State) -> Result | None:
    """4. One of a group turns out to be no victim, and may have recruited the others: a task names the agencies that help this person and others of the group, so that each of the others is asked again ([D])."""
    view, case = heard.view, heard.event.subject
    group = state.incidents.get(case)
    if heard.own or view.negative is None or group is None:
        return None
    others = {each for each, incident in state.incidents.items() if incident == group and each != case}
    shared = {agency for each in others for agency in state.helpers.get(each, ())} & {*state.helpers.get(case, ())}
    deciding = heard.profile.expand((DECIDERS,))
    shared = {each for each in shared if each in heard.agencies and heard.agencies[each].role not in deciding}
    sentence = "A negative decision is no proof. If this person recruited the others, tell the deciding body ({decider}), which ends access, and ask each of them alone whether the agencies named here may go on."
    return Result(tasks=(task(heard, "cut_access", sentence, tuple(sorted(shared))),))


supply, decline, expire, note = handoffs.answers(5, "an officer")
course, outcome = handoffs.outcomes(
    9, "an officer asks the person alone about a review",
    "ask the person alone about a review, and name new evidence or a breach of the rules.",
)  # fmt: skip
stop = support.taken_back(11, "the service")


def keep(state: State, heard: Heard) -> State:
    """Remember the incident of each own case until the erasure, and the agencies with the person's consent."""
    incidents, helpers, event = state.incidents, state.helpers, heard.event
    if heard.own and isinstance(event.data, AccessErasureConfirmed):
        incidents = {case: each for case, each in incidents.items() if case != event.subject}
        helpers = {case: each for case, each in helpers.items() if case != event.subject}
    if heard.own and event.incident and isinstance(event.data, SignalRecorded):
        incidents = {**incidents, event.subject: event.incident}
    if heard.own and event.subject in incidents and isinstance(event.data, ConsentGiven):
        known = helpers.get(event.subject, ())
        helpers = {**helpers, event.subject: tuple(sorted({*known, *event.data.receivers}))}
    if event.subject in helpers and isinstance(event.data, ConsentRefused | ConsentWithdrawn | AccessRevoked):
        (agency,) = event.data.receivers
        if isinstance(event.data, AccessRevoked) or not _agrees(heard, agency):
            helpers = {**helpers, event.subject: tuple(each for each in helpers[event.subject] if each != agency)}
    after = state.after(heard)
    if (incidents, helpers) == (state.incidents, state.helpers):
        return after
    return after.changed(incidents=incidents, helpers=helpers)


def _agrees(heard: Heard, agency: str) -> bool:
    """Return whether a consent of the person to *agency* stands on this day, for any purpose."""
    today = heard.registered.astimezone(heard.profile.zone).date()
    words = (each.on(today) for about, each in heard.view.consents.items() if about[0] == agency)
    return any(word is not None and word.kind == "given" for word in words)


take_back = handoffs.take_back
