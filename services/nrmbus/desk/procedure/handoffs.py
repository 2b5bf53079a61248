"""Hand-offs, as every agency that refers people keeps them alive: whom to ask next, and what to answer.

Agencies share these steps: `answers` are whole lines of a procedure, which gives them their numbers.
"""

from typing import Any, Final, Self, TypeVar

from nrmbus.desk.procedure.first_contact import is_station
from nrmbus.desk.procedure.interface import Heard, Line, Result, Settings, shared_line, task
from nrmbus.desk.procedure.shared import noted
from nrmbus.events.handover import PersonReceived
from nrmbus.events.identification import ReasonableGroundsDecided, StageEntered, StatusDecided, StatusRevoked
from nrmbus.events.model import Data, Event, Frozen
from nrmbus.events.referral import (
    ReferralAccepted,
    ReferralAcknowledged,
    ReferralCompleted,
    ReferralDeclined,
    ReferralExpired,
    ReferralInfoRequested,
    ReferralSubmitted,
)
from nrmbus.rules.profile import DECIDERS

_COVERS: Final = ("given", "overridden")
_NOTED: Final[tuple[type[Data], ...]] = (ReferralAcknowledged, ReferralAccepted, ReferralCompleted)


class Referring(Frozen):
    """State of an agency that refers people: its referrals that ask for services.

    Another receiver of such a referral needs consent to the services as well.
    """

    services: tuple[str, ...] = ()

    def changed(self, **fields: Any) -> Self:
        """Return the state with *fields* in place of its own, validated as a new one is."""
        return type(self)(**{**dict(self), **fields})

    def after(self, heard: Heard) -> Self:
        """Return the state with the agency's own referral of *heard*, if it asks for services."""
        services = asking_for_services(heard, self.services)
        return self if services == self.services else self.changed(services=services)


R = TypeVar("R", bound=Referring)


def begin(_: Settings) -> Referring:
    """Return the state of an agency that has received nothing yet."""
    return Referring()


def keep(state: R, heard: Heard) -> R:
    """Return *state* with the agency's own referral of *heard*, if it asks for services."""
    return state.after(heard)


def take_back(state: R, _: Event) -> R:
    """Return *state*: the procedure reserves nothing, so a refusal releases nothing."""
    return state


def answers(number: int, who: str, noted_types: tuple[type[Data], ...] = _NOTED) -> tuple[Line[Any], ...]:
    """Return the four lines about answers to the agency's own referrals, from *number* on; *who* supplies what is missing."""
    return (question(number, who), *ends(number + 1, noted_types))


def question(number: int, who: str) -> Line[Any]:
    """Return the line about a question of a receiver."""
    text = f"{number}. A receiver asks: {who} supplies what is missing in the time of the referral; until then the receiver's clock stands still ([S46], [D])."
    sentence = "The receiver asks for something: its clock stands until you answer."
    return shared_line(text, "supply", (ReferralInfoRequested,), lambda heard, _: questioned(heard, "supply", sentence))


def ends(number: int, noted_types: tuple[type[Data], ...] = _NOTED) -> tuple[Line[Any], Line[Any], Line[Any]]:
    """Return the lines about a referral that is declined, that expires, or that goes on, from *number* on."""
    no = f"{number}. A receiver declines: a task names whom the standing consent covers instead; a person sends ([S46], [D])."
    silence = f"{number + 1}. Nobody answers and the referral expires: the same task, since silence is no answer to a person ([S46], [D])."
    words = {ReferralAcknowledged: "acknowledges", ReferralAccepted: "accepts", ReferralCompleted: "completes"}
    *first, last = [words[each] for each in noted_types]
    yes = f"{number + 2}. A receiver {', '.join(first)} or {last}: noted, and nothing to do ([S46])."
    return (
        shared_line(no, "decline", (ReferralDeclined,), lambda heard, state: declined(heard, state.services)),
        shared_line(silence, "expire", (ReferralExpired,), lambda heard, state: expired(heard, state.services)),
        shared_line(yes, "note", noted_types, lambda heard, _: noted(heard)),
    )


def steps(number: int) -> Line[Any]:
    """Return the line about what the deciding body does before it decides."""
    text = f"{number}. The deciding body ({{decider}}) receives the person, or begins a stage: noted, and nothing to do ({{basis:identification.stage_entered}})."
    return shared_line(text, "course", (PersonReceived, StageEntered), lambda heard, _: noted(heard))


def outcomes(
    number: int,
    no: str = "the person is asked about a review",
    sentence: str = "ask the person about a review, and name new evidence or a breach of the rules.",
    code: str = "review_for_person",
) -> tuple[Line[Any], Line[Any]]:
    """Return the lines about a person whom the agency referred to the deciding body, from *number* on: its steps, and its decision.

    *no* says in the line what follows a negative one, and the task *code* says so with *sentence*.
    """
    text = f"{number + 1}. A decision comes about a person whom this agency referred: after a negative one {no}; a positive one is noted ({{basis:identification.reasonable_grounds_decided}}, [S35])."
    types: tuple[type[Data], ...] = (ReasonableGroundsDecided, StatusDecided, StatusRevoked)
    decision = shared_line(text, "outcome", types, lambda heard, _: decided(heard, code, sentence))
    return steps(number), decision


def decided(heard: Heard, code: str, sentence: str) -> Result | None:
    """Return the task *code* after a negative decision about a person whom this agency referred; a positive one is noted."""
    if heard.own or not referred_to_the_deciding_body(heard):
        return None
    if heard.view.negative != heard.event.id:
        return Result()
    return Result(tasks=(task(heard, code, f"The decision is negative: {sentence}"),))


def referred_to_the_deciding_body(heard: Heard) -> bool:
    """Return whether this agency referred the person to a body that decides."""
    deciding = {each.id for each in heard.agencies.values() if each.role in heard.profile.expand((DECIDERS,))}
    own = (referral for referral in heard.view.referrals.values() if referral.sender == heard.me)
    return any(party.agency in deciding for referral in own for party in referral.receivers)


def declined(heard: Heard, services: tuple[str, ...]) -> Result | None:
    """Return the task to refer to somebody else; *services* are the agency's referrals that ask for services."""
    if heard.own:
        return None
    sentence = "The referral was declined: send it to one of the alternatives that consent covers, or ask for consent."
    return Result(tasks=(task(heard, "refer_again", sentence, alternatives(heard, services)),))


def expired(heard: Heard, services: tuple[str, ...]) -> Result | None:
    """Return the same task after silence; None if the referral is not this agency's."""
    referral = heard.view.referrals.get(heard.event.referral or "")
    if referral is None or referral.sender != heard.me:
        return None
    sentence = "Nobody answered the referral: send it to one of the alternatives that consent covers."
    return Result(tasks=(task(heard, "refer_again", sentence, alternatives(heard, services)),))


def questioned(heard: Heard, code: str, sentence: str) -> Result | None:
    """Return the task *code* to supply what a receiver asks for."""
    return None if heard.own else Result(tasks=(task(heard, code, sentence),))


def service_asked(heard: Heard) -> Result | None:
    """Return the task to answer a service that another agency asks for."""
    if heard.own:
        return None
    sentence = "A service is asked for: name a time, give it, or say why not, before its time is over."
    return Result(tasks=(task(heard, "service", sentence),))


def follow_up_due(heard: Heard, month: int) -> Result | None:
    """Return the task to ask how the person fares, *month* months after closing."""
    sentence = f"{month} months after closing: ask how the person fares, if asking is safe, and record the answer. If the person is not safe, ask about opening the case again."
    return Result(tasks=(task(heard, "follow_up", sentence),))


def asking_for_services(heard: Heard, services: tuple[str, ...]) -> tuple[str, ...]:
    """Return *services* with the agency's own referral of *heard*, if it asks for services."""
    data, ref = heard.event.data, heard.event.referral
    asks = heard.own and ref and isinstance(data, ReferralSubmitted) and data.services
    return (*services, ref) if asks and ref and ref not in services else services


def alternatives(heard: Heard, services: tuple[str, ...]) -> tuple[str, ...]:
    """Return the agencies that may get the same referral now, first the one that the receiver named; none that was asked already."""
    view, event = heard.view, heard.event
    named = getattr(event.data, "alternative", None)
    referral = view.referrals.get(event.referral or "")
    asked = {party.agency for party in referral.receivers} if referral else {event.source}
    may_receive = heard.profile.expand(("RECEIVERS",))
    if is_station(heard):
        may_receive &= heard.profile.expand((DECIDERS,))
    receivers = [each.id for each in heard.agencies.values() if each.role in may_receive]
    left = [each for each in receivers if each not in (heard.me, *asked)]
    open_to = {each for each in left if covered(heard, each, services)}
    if view.child and named in left:  # nobody asks a child for consent
        open_to.add(named)
    return tuple(sorted(open_to, key=lambda each: (each != named, each)))


def covered(heard: Heard, agency: str, services: tuple[str, ...] = ()) -> bool:
    """Return whether *agency* may have the case, and the services if another agency than the deciding body is asked for them.

    *services* are the referrals that ask for services.
    """
    purposes = ["information_sharing"]
    if heard.event.referral in services and heard.agencies[agency].role not in heard.profile.expand((DECIDERS,)):
        purposes.append("services")
    standing = [heard.view.consents.get((agency, purpose)) for purpose in purposes]
    today = heard.registered.astimezone(heard.profile.zone).date().isoformat()
    return all(each and each.kind in _COVERS and today <= (each.last_day or today) for each in standing)
