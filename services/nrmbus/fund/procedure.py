"""The fund: its automatic orders. One function per numbered line of ``README.md``."""

from typing import Final, Literal

from nrmbus.desk.procedure import handoffs, support
from nrmbus.desk.procedure.handoffs import Referring
from nrmbus.desk.procedure.interface import BY_ITSELF, Heard, Result, Settings, by_itself, derived_ref, line, task
from nrmbus.desk.procedure.shared import noted, referral_came
from nrmbus.events.fund import CompensationGranted
from nrmbus.events.identification import StatusDecided, StatusRevoked
from nrmbus.events.justice import VerdictRecorded
from nrmbus.events.model import Draft, Event
from nrmbus.events.payment import Amount, PaymentFailed, PaymentOrdered
from nrmbus.events.referral import ReferralSubmitted
from nrmbus.wire.ids import said_by_itself

_RULE: Final = "one-time-allowance"
_DEPOSIT: Final = "into-a-deposit"
COMPENSATION: Final = "compensation"
_VICTIM: Final = "ActualVictimOfTrafficking"


class State(Referring):
    """The decisions that have earned an allowance, in the order in which the fund received them; referrals that ask for services."""

    earned: tuple[str, ...] = ()


def begin(_: Settings) -> State:
    """Return the state of a fund that has received nothing yet."""
    return State()


@line(StatusDecided)
def allowance(_: StatusDecided, heard: Heard, state: State) -> Result | None:
    """1. A decision that the person is a victim earns the one-time allowance, by the tariff of its day ({basis:payment.ordered})."""
    if not _victim(heard) or heard.event.id in state.earned:
        return None
    profile = heard.profile
    tariff = profile.tariff_on(heard.event.time.astimezone(profile.zone).date())
    if tariff is None:
        return Result(tasks=(task(heard, "no_tariff", "The profile has no tariff for the day of this decision."),))
    order = PaymentOrdered(
        kind="one_time_allowance",
        tariff=tariff.tariff,
        amount=Amount(value=tariff.value, currency=tariff.currency),
        payee=payee(heard),
        decision=heard.event.id,
    )
    return Result(drafts=(by_itself(heard, _RULE, order, ref=derived_ref(heard, _RULE)),))


def payee(heard: Heard) -> Literal["person", "deposit"]:
    """2. It goes to the person, for a child into a deposit ([u]); a decision that came without consent is a child's."""
    if heard.view.child is not None:
        return "deposit" if heard.view.child else "person"
    standing = heard.view.consents.get((heard.me, "information_sharing"))
    return "person" if standing is not None and standing.kind in ("given", "overridden") else "deposit"


def remember(state: State, heard: Heard) -> State:
    """3. A decision earns it once, whatever is restarted, delivered twice or replayed ([D])."""
    if not _victim(heard) or heard.event.id in state.earned:
        return state
    return state.changed(earned=(*state.earned, heard.event.id))


def mend(refused: Event, code: str) -> Result | None:
    """4. An order to the person that is refused since the person is a child is made again, into a deposit ([u])."""
    order = refused.data
    if code != "payee_not_allowed" or refused.actor != BY_ITSELF or not isinstance(order, PaymentOrdered):
        return None
    again = PaymentOrdered.from_mapping({**order.to_mapping(), "payee": "deposit"})
    draft = Draft(
        type=again.type, version=again.version, subject=refused.subject, data=again, time=refused.time, actor=BY_ITSELF,
        referral=refused.referral, causationid=refused.causationid, id=said_by_itself(refused.source, refused.id, _DEPOSIT),
    )  # fmt: skip
    return Result(drafts=(draft,))


@line(CompensationGranted)
def grant(granted: CompensationGranted, heard: Heard, _: State) -> Result | None:
    """5. Money is granted: it is ordered once and within its band, for a child into a deposit ({basis:fund.compensation_granted})."""
    sentence = "Money is granted: order it once, within its band. A child's money goes into a deposit."
    if granted.purpose == COMPENSATION and any(
        each.order and each.purpose == COMPENSATION for each in heard.view.grants.values()
    ):
        sentence = "Compensation was ordered in this case before: ask the court whether it counted that, then order this sum once."
    return Result(tasks=(task(heard, "order_grant", sentence),))


@line(VerdictRecorded)
def claim(verdict: VerdictRecorded, heard: Heard, _: State) -> Result | None:
    """6. A court has confiscated property: the fund claims it, and pays victims from it ({basis:fund.compensation_granted})."""
    if not verdict.confiscation:
        return Result()
    sentence = "A court has confiscated property, which is the fund's: claim it, then grant compensation."
    return Result(tasks=(task(heard, "confiscated", sentence),))


@line(PaymentFailed)
def again(failed: PaymentFailed, heard: Heard, _: State) -> Result | None:
    """7. Compensation or assistance comes back: it is ordered again, so that nobody waits in vain ([D])."""
    if not heard.own or failed.kind == "one_time_allowance":
        return None
    return Result(tasks=(task(heard, "came_back", "The money has come back: order the payment again."),))


@line(ReferralSubmitted)
def receive(_referral: ReferralSubmitted, heard: Heard, _: State) -> Result | None:
    """8. A referral comes: the fund acknowledges it, and accepts, declines or asks; time to answer: {D-SERVICE}; time to begin after an acceptance: {D-ASSIGN} ([S9, S39, S43])."""
    return referral_came(heard)


supply, decline, expire, note = handoffs.answers(9, "the fund")
course, outcome = handoffs.outcomes(
    13, "the fund says who may ask for a review, since it may not",
    "tell the person who may ask for a review: an NGO or the assistance centre.", "tell_of_review",
)  # fmt: skip


@line(StatusRevoked)
def leave(_: StatusRevoked, heard: Heard, __: State) -> Result | None:
    """15. A status is revoked: the person keeps what was paid, and an allowance that was ordered and not paid is not paid any more (rule G-60, [D])."""
    if not any(each.kind == "one_time_allowance" and each.state == "ordered" for each in heard.view.payments.values()):
        return noted(heard)
    sentence = "The status is revoked: do not pay the allowance that is ordered, and record that the payment failed. What was paid stays the person's."
    return Result(tasks=(task(heard, "do_not_pay", sentence),))


stop = support.taken_back(16, "the fund")


def keep(state: State, heard: Heard) -> State:
    """Return the state after *heard*."""
    return remember(state, heard).after(heard)


def take_back(state: State, _: Event) -> State:
    """Keep a refused order as earned: a person handles an order that `mend` does not correct, or it would be refused again."""
    return state


def _victim(heard: Heard) -> bool:
    return isinstance(heard.event.data, StatusDecided) and heard.event.data.status == _VICTIM
