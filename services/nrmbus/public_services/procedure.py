"""Health, education and employment: they meet people first, and give services. One function per numbered line of ``README.md``."""

from nrmbus.desk.procedure import first_contact, handoffs
from nrmbus.desk.procedure.interface import Heard, Result, Settings, line
from nrmbus.desk.procedure.shared import noted, referral_came
from nrmbus.events.case import ReReferred, SignalRecorded
from nrmbus.events.consent import ConsentRefused
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
from nrmbus.events.support import (
    PlanAdopted,
    PlanCompleted,
    PlanRevised,
    ServiceDelivered,
    ServiceNotDelivered,
    ServiceRequested,
    ServiceScheduled,
)


class State(Frozen):
    """Referrals of the service that ask for services of others."""

    services: tuple[str, ...] = ()


def begin(_: Settings) -> State:
    """Return the state of a service that has met nobody yet."""
    return State()


@line(SignalRecorded, ReReferred)
def meet(_: Data, heard: Heard, __: State) -> Result | None:
    """1. A worker meets somebody: of a child, the guardian bodies are notified first; an adult is asked, and referred within 24 hours (CoM 21/2008 art. 7 [S2], [S34, S36])."""
    return first_contact.met(
        heard, "Ask the person alone whom you may tell. Treatment, school or work does not wait for it."
    )


@line(ConsentRefused)
def refuse(_: ConsentRefused, heard: Heard, __: State) -> Result | None:
    """2. An adult refuses the special unit: help without the police is offered, and the notice stays anonymous ([S26, S34])."""
    return first_contact.refused_the_deciding_body(heard)


@line(ReferralSubmitted)
def receive(_: ReferralSubmitted, heard: Heard, __: State) -> Result | None:
    """3. A referral comes: a worker accepts, declines with a reason or asks, in 24 hours, 72 hours or 14 days by its urgency ([S43, S46])."""
    return referral_came(heard)


@line(ServiceRequested)
def ask(_: ServiceRequested, heard: Heard, __: State) -> Result | None:
    """4. A service is asked for: a worker names a time, gives it, or says why not, in the same times ([S43])."""
    return handoffs.service_asked(heard)


@line(ServiceScheduled, ServiceDelivered, ServiceNotDelivered, PlanAdopted, PlanRevised, PlanCompleted)
def follow(_: Data, heard: Heard, __: State) -> Result | None:
    """5. A plan that names this service is adopted, changed or completed, or another provider answers: noted, and nothing to do ([S26])."""
    return noted(heard)


@line(ReferralInfoRequested)
def supply(_: ReferralInfoRequested, heard: Heard, __: State) -> Result | None:
    """6. A receiver asks: a worker supplies what is missing; until then the receiver's clock stands still ([S46])."""
    return handoffs.questioned(heard, "supply", "The receiver asks for something: its clock stands until you answer.")


@line(ReferralDeclined)
def decline(_: ReferralDeclined, heard: Heard, state: State) -> Result | None:
    """7. A receiver declines: a task names whom the standing consent covers instead; a person sends ([S46], [D])."""
    return handoffs.declined(heard, state.services)


@line(ReferralExpired)
def expire(_: ReferralExpired, heard: Heard, state: State) -> Result | None:
    """8. Nobody answers and the referral expires: the same task, since silence is no answer to a person ([S46], [D])."""
    return handoffs.expired(heard, state.services)


@line(ReferralAcknowledged, ReferralAccepted, ReferralCompleted)
def note(_answer: Data, heard: Heard, _: State) -> Result | None:
    """9. A receiver acknowledges, accepts or completes: noted, and nothing to do ([S46])."""
    return noted(heard)


def keep(state: State, heard: Heard) -> State:
    """Remember which of its own referrals ask for services."""
    return State(services=handoffs.asking_for_services(heard, state.services))


def take_back(state: State, _: Event) -> State:
    """Return *state*: nothing is published automatically, so nothing is refused."""
    return state
