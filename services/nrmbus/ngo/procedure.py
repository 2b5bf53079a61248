"""An NGO: the steps that keep its hand-offs alive. One function per numbered line of ``README.md``."""

from nrmbus.desk.procedure import handoffs
from nrmbus.desk.procedure.interface import Heard, Result, Settings, line
from nrmbus.desk.procedure.shared import noted, referral_came
from nrmbus.events.case import FollowUpDue
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
    return handoffs.declined(heard, state.services)


@line(ReferralExpired)
def expire(_: ReferralExpired, heard: Heard, state: State) -> Result | None:
    """3. Nobody answers and the referral expires: the same task, since silence is no answer to a person ([S46], [D])."""
    return handoffs.expired(heard, state.services)


@line(ReferralInfoRequested)
def supply(_request: ReferralInfoRequested, heard: Heard, _: State) -> Result | None:
    """4. A receiver asks: a case worker supplies what is missing; until then the receiver's clock stands still ([S46])."""
    return handoffs.questioned(heard, "supply", "The receiver asks for something: its clock stands until you answer.")


@line(ReferralAcknowledged, ReferralAccepted, ReferralCompleted)
def note(_answer: Data, heard: Heard, _: State) -> Result | None:
    """5. A receiver acknowledges, accepts or completes: noted, and nothing to do ([S46])."""
    return noted(heard)


@line(FollowUpDue)
def follow_up(due: FollowUpDue, heard: Heard, _: State) -> Result | None:
    """6. A follow-up is due, 3, 6 or 12 months after closing: the NGO asks how the person fares, if asking is safe, and records the answer ([S55])."""
    return handoffs.follow_up_due(heard, due.month)


def keep(state: State, heard: Heard) -> State:
    """Remember which of its own referrals ask for services."""
    return State(services=handoffs.asking_for_services(heard, state.services))


def take_back(state: State, _: Event) -> State:
    """Return *state*: nothing is published automatically, so nothing is refused."""
    return state
