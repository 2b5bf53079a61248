"""An NGO: the steps that keep its hand-offs alive. One function per numbered line of ``README.md``."""

from typing import Final

from nrmbus.desk.procedure.interface import Heard, Result, Settings, line, task
from nrmbus.desk.procedure.shared import noted, referral_came
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

_COVERS: Final = ("given", "overridden")


class State(Frozen):
    """Referrals of the NGO that ask for services: another receiver of such a referral needs consent to the services as well."""

    services: tuple[str, ...] = ()


def begin(_: Settings) -> State:
    """Return the state of an NGO that has referred nobody yet."""
    return State()


@line(ReferralSubmitted)
def receive(_referral: ReferralSubmitted, heard: Heard, _: State) -> Result | None:
    """1. A referral comes: a case worker acknowledges it, and accepts, declines or asks before its clock ends ([S43, S46])."""
    return referral_came(heard)


@line(ReferralDeclined)
def decline(_: ReferralDeclined, heard: Heard, state: State) -> Result | None:
    """2. A receiver declines: a task names whom the standing consent covers instead; a person sends ([S46], [D])."""
    if heard.own:
        return None
    sentence = "The referral was declined: send it to one of the alternatives that consent covers, or ask for consent."
    return Result(tasks=(task(heard, "refer_again", sentence, alternatives(heard, state)),))


@line(ReferralExpired)
def expire(_: ReferralExpired, heard: Heard, state: State) -> Result | None:
    """3. Nobody answers and the referral expires: the same task, since silence is no answer to a person ([S46], [D])."""
    if not _mine(heard):
        return None
    sentence = "Nobody answered the referral: send it to one of the alternatives that consent covers."
    return Result(tasks=(task(heard, "refer_again", sentence, alternatives(heard, state)),))


@line(ReferralInfoRequested)
def supply(_request: ReferralInfoRequested, heard: Heard, _: State) -> Result | None:
    """4. A receiver asks: a case worker supplies what is missing; until then the receiver's clock stands still ([S46])."""
    if heard.own:
        return None
    return Result(tasks=(task(heard, "supply", "The receiver asks for something: its clock stands until you answer."),))


@line(ReferralAcknowledged, ReferralAccepted, ReferralCompleted)
def note(_answer: Data, heard: Heard, _: State) -> Result | None:
    """5. A receiver acknowledges, accepts or completes: noted, and nothing to do ([S46])."""
    return noted(heard)


def alternatives(heard: Heard, state: State) -> tuple[str, ...]:
    """Return the agencies that may get the same referral now, first the one that the receiver named; none that was asked already."""
    view, event = heard.view, heard.event
    named = getattr(event.data, "alternative", None)
    referral = view.referrals.get(event.referral or "")
    asked = {party.agency for party in referral.receivers} if referral else {event.source}
    may_receive = heard.rules.profile.expand(("RECEIVERS",))
    receivers = [each.id for each in heard.agencies.values() if each.role in may_receive]
    open_to = {each for each in receivers if each not in (heard.me, *asked) and _covered(heard, state, each)}
    if view.child and named in receivers:  # nobody asks a child for consent
        open_to.add(named)
    return tuple(sorted(open_to, key=lambda each: (each != named, each)))


def keep(state: State, heard: Heard) -> State:
    """Remember which of its own referrals ask for services."""
    data, ref = heard.event.data, heard.event.referral
    if heard.own and ref and isinstance(data, ReferralSubmitted) and data.services and ref not in state.services:
        return State(services=(*state.services, ref))
    return state


def take_back(state: State, _: Event) -> State:
    """Return *state*: nothing is published automatically, so nothing is refused."""
    return state


def _mine(heard: Heard) -> bool:
    referral = heard.view.referrals.get(heard.event.referral or "")
    return referral is not None and referral.sender == heard.me


def _covered(heard: Heard, state: State, agency: str) -> bool:
    """Return whether *agency* may have the case, and the services if another agency than the special unit is asked for them."""
    purposes = ["information_sharing"]
    if heard.event.referral in state.services and heard.agencies[agency].role != "special_unit":
        purposes.append("services")
    standing = [heard.view.consents.get((agency, purpose)) for purpose in purposes]
    today = heard.registered.astimezone(heard.rules.profile.zone).date().isoformat()
    return all(each and each.kind in _COVERS and today <= (each.last_day or today) for each in standing)
