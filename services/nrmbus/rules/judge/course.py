"""G-40 to G-69: what may follow in the course of a case, the way home, the money, and the end of one agency's access."""

from typing import Final

from nrmbus.rules.answers import is_over
from nrmbus.rules.conditions import holds
from nrmbus.rules.due import SAID_WHEN_DUE, is_due
from nrmbus.rules.event_context import CLOSED, COURT, SHARING, receivers_of, review_window, value
from nrmbus.rules.evolve.payment import ordered_before
from nrmbus.rules.grants import COMPENSATION, in_band, paid_grant
from nrmbus.rules.judge.check import WITH_TO, Check, Question, RuleList
from nrmbus.rules.judge.protection import hands_on, takes_over
from nrmbus.rules.records import Grant, Service

_rules = RuleList()
_STAGE = "identification.stage_entered"
_CLOSURE = ("case.closed", "case.signal_dismissed")
_MERGED = "case.merged"
_GROUNDS = "identification.reasonable_grounds_decided"
_STATUS = "identification.status_decided"
_REVOKED = "identification.status_revoked"
_ORDER = "payment.ordered"
_EXECUTED = "payment.executed"
_ASSESSED = "return.risk_assessed"
_ARRANGED = "return.travel_arranged"
_ARRIVED = "return.completed"
_MONITORED = "return.monitored"
_VERDICT = "justice.verdict_recorded"
_GRANT = "fund.compensation_granted"
_ACCESS_ENDED = "access.revoked"
_OF_WHO_IS_OUT: Final = frozenset(
    {"consent.stop_confirmed", "access.erasure_confirmed", "letter.opened", "letter.kept_shut", "letter.unreadable"}
)
"""Types that an agency still publishes after its access was ended: that it has stopped, what it erased, and receipts."""
_READ_OR_ASKED: Final = frozenset(
    {"access.granted", "case.copy_issued", "referral.submitted", "service.requested", "shelter.bed_requested"}
)
"""Types by which an agency reads the case as a whole, hands it out, or brings another agency into it."""


@_rules.rule("G-40")
def wrong_state(q: Question) -> bool:
    """Section 2 does not have this event from this status. An agency that lacks the events before cannot tell.

    A case with a decision ends by no merge, also where its status has come back to an earlier one. A house in
    which the person still lives records that she has left also after her case was closed: G-49 does not wait for a barred house (reading 159).
    """
    view, name = q.view, q.event.type
    row = q.tables.row(name)
    if row and row.opening:
        return view.exists
    if view.status is None:
        return False
    if view.decisions and holds("merge_ends", q):
        return True
    permitted = q.tables.permitted.get(view.status)
    if permitted is not None and name not in permitted and not _leaves_house(q):
        return True
    limiting = [each for each in q.tables.transitions.get(name, ()) if not each.moves_only and holds(each.when, q)]
    return bool(limiting) and not any(view.status in each.from_ for each in limiting)


def _leaves_house(q: Question) -> bool:
    house = q.bed.house(q.source) if q.bed and q.event.type == "shelter.discharged" else None
    return house is not None and house.state == "admitted"


@_rules.rule("G-41", _STAGE, "handover.person_received", "referral.completed")
def acceptance_required(q: Question) -> bool:
    """Initial assistance, person received or completion before acceptance.

    The deciding body begins with its own find at once only while nobody has referred the person to it.
    """
    if q.event.type != _STAGE:
        party = q.referral.party(q.source) if q.referral else None
        if q.event.type == "referral.completed":
            return party is not None and party.state == "submitted"
        return party is None or party.state not in ("accepted", "completed")
    if not holds("first_stage", q):
        return False
    parties = (each.party(q.source) for each in q.view.referrals.values())
    states = {party.state for party in parties if party}
    return "submitted" in states or not (_own_find(q) or states & {"accepted", "completed"})


def _own_find(q: Question) -> bool:
    return q.by_unit and q.view.detector == q.source and q.view.status != "REFERRED"


@_rules.rule("G-42", _STAGE, "identification.interview_held", "identification.indicators_screened")
def stage_order(q: Question) -> bool:
    """A stage that is not the next; interview in `initial_assistance`; screening before `indicator_screening`."""
    stages, reached = q.tables.profile.statuses.stages, q.view.stage
    if q.event.type == _STAGE:
        return reached >= len(stages) or stages[reached] != value(q.event, "stage")
    if q.event.type == "identification.interview_held":
        return reached <= 1
    return "indicator_screening" not in stages or reached <= stages.index("indicator_screening")


@_rules.rule("G-43", _STATUS)
def screening_required(q: Question) -> bool:
    """Status decided before `indicators_screened`."""
    return not q.view.screened


@_rules.rule("G-44", _GROUNDS, _STATUS, _REVOKED)
def review_notice_required(q: Question) -> bool:
    """A negative decision without `reasons` or without `review_until_days`."""
    told = value(q.event, "reasons") and value(q.event, "review_until_days")
    return not told and holds("negative", q)


@_rules.rule("G-45", "review.requested")
def new_evidence_required(q: Question) -> bool:
    """Kind `reconsideration` with neither `new_evidence` nor `breach_of_rules`."""
    event = q.event
    grounds = value(event, "new_evidence", default=False) or value(event, "breach_of_rules", default=False)
    return value(event, "kind") == "reconsideration" and not grounds


@_rules.rule("G-46", "review.requested")
def review_window_closed(q: Question) -> bool:
    """Later than `review_until_days` (calendar) after the decision."""
    window = review_window(q)
    return window is not None and q.event.time > window


def _under_review(q: Question) -> bool:
    """Return whether the review window is open, or a review is not decided."""
    window = review_window(q)
    return (window is not None and q.now < window) or any(review.open for review in q.view.reviews.values())


@_rules.rule("G-47", "stay.hold_ended")
def hold_must_stand(q: Question) -> bool:
    """Hold ended while identification goes on, in the review window, or before a review is decided, unless the person is home.

    The last hold of a recognised person stands for the days of the shield, and a child's for good, unless a permit is in force
    or the person has left the country.
    """
    reason = value(q.event, "reason")
    if reason == "left_country" and q.view.returning is not None and q.view.returning.made:
        return False
    return q.view.status in q.tables.profile.statuses.hold_stands_in or _under_review(q) or _shielded(q, reason)


def _shielded(q: Question, reason: str) -> bool:
    """Return whether nothing else than this hold keeps a recognised person from being removed before the time is over."""
    recognised, days = q.view.decisions.get(q.view.effective or ""), q.tables.profile.periods.stay_days
    if recognised is None or days is None or reason == "left_country":
        return False
    others = (each for ref, each in q.view.holds.items() if ref != q.ref)
    permit = q.view.permit
    if any(not each.ended for each in others) or (permit is not None and permit.until > q.now):
        return False
    return q.child or q.now < q.tables.calendar.days_after(recognised.mark.time, days)


@_rules.rule("G-48", "shelter.discharged", "case.closed")
def support_must_stand(q: Question) -> bool:
    """Discharge (unless `own_request`) or closure in the review window or before a review is decided."""
    at_any_time = q.tables.profile.statuses.discharge_reasons_at_any_time
    if q.event.type == "shelter.discharged" and value(q.event, "reason") in at_any_time:
        return False
    return _under_review(q)


@_rules.rule("G-49", *_CLOSURE, _MERGED)
def open_items(q: Question) -> bool:
    """Closure with an unanswered referral, an occupied bed, a requested service, an undecided review or a return under way.

    A case that ends by a merge has no plan in force and no order of money open either: nobody else would see them through.
    """
    view = q.view
    if q.event.type == _MERGED:
        if not holds("merge_ends", q):
            return False
        helped = view.plan is not None and view.plan.in_force
        if helped or any(payment.state == "ordered" for payment in view.payments.values()):
            return True
    return (
        (view.returning is not None and view.returning.open)
        or any(referral.open for referral in view.referrals.values())
        or _bed_occupied(q)
        or any(service.open and _asked_or_given(q, service) for service in view.services.values())
        or any(review.open for review in view.reviews.values())
    )


def _bed_occupied(q: Question) -> bool:
    """Return whether the person lives in a house that she has not refused.

    A house that closed its doors, or that keeps her, discharges nobody: once her consent to it is withdrawn, or its access
    was ended, its bed keeps no other house from admitting her, and the case from no closing. After the last day of a consent
    that let it in again the house still discharges her.
    """
    return any(house.state == "admitted" and not q.refused(house.agency) for _, house in q.view.houses())


def _asked_or_given(q: Question, service: Service) -> bool:
    """Return whether somebody can still answer for *service*: who was asked for it, or its requester while that has a part."""
    return bool(service.receivers) or service.requester is None or q.view.on_case(service.requester)


@_rules.rule("G-50", "case.closed")
def closure_reason_not_allowed(q: Question) -> bool:
    """Closing from SUSPECTED for other than `duplicate lost_contact deceased` (else T04)."""
    allowed = q.tables.profile.statuses.closing_reasons_when_suspected
    return q.view.status == "SUSPECTED" and value(q.event, "reason") not in allowed


@_rules.rule("G-51")
def not_open(q: Question) -> bool:
    """A second answer to a referral or review; an order that is not open; a chunk out of order; what is not due by the history."""
    if is_over(q):
        return True
    return q.event.type in SAID_WHEN_DUE and not is_due(q.tables, q.roles, q.view, q.event, q.now)


@_rules.rule("G-52", "shelter.admitted", "shelter.discharged")
def no_offer(q: Question) -> bool:
    """Admission without a standing offer; discharge of somebody not in the house."""
    house = q.bed.house(q.source) if q.bed else None
    return house is None or house.state != ("offered" if q.event.type == "shelter.admitted" else "admitted")


@_rules.rule("G-53", "shelter.admitted")
def already_admitted(q: Question) -> bool:
    """Admission while another bed is occupied, unless the person has refused that house."""
    return _bed_occupied(q)


@_rules.rule("G-54", "shelter.admitted")
def shelter_not_open(q: Question) -> bool:
    """`shelter_state` admits outside the statuses in which it is open."""
    open_in = q.tables.profile.statuses.state_shelter_admits_in
    return q.role == "shelter_state" and q.view.status is not None and q.view.status not in open_in


@_rules.rule("G-55", *WITH_TO, _ASSESSED, _ARRANGED)
def embassy_not_allowed(q: Question) -> bool:
    """An embassy or consulate in `to` without the person's own consent to it, or in contact or at work while a bar stands.

    An override does not do. A child is not asked: the consent that names the embassy is the one that its carer gave.
    """
    if q.event.type in (_ASSESSED, _ARRANGED):
        return q.embassy_barred(q.source)
    envoys = [agency for agency in q.to if agency != q.source and q.in_group(agency, "ENVOYS")]
    return any(q.embassy_barred(agency) or q.stands(agency, SHARING) != "given" for agency in envoys)


@_rules.rule("G-56", "return.consented", _ASSESSED, _ARRANGED, _ARRIVED)
def return_not_voluntary(q: Question) -> bool:
    """A step of a return to which nobody consents: an adult in person, for a child the carer or the child."""
    record = q.view.returning
    by = value(q.event, "given_by") if q.event.type == "return.consented" else record.given_by if record else ""
    if q.event.type != "return.consented" and not (record and record.open):
        return True
    return by not in (("individual", "caregiver") if q.child else ("individual",))


@_rules.rule("G-57", _ARRANGED, _ARRIVED, _MONITORED)
def return_order(q: Question) -> bool:
    """Travel before the risk was assessed, arrival before travel was arranged, a report on a return that was not made.

    An agency that owes a report on an earlier return may still give it.
    """
    record = q.view.returning
    if record is None or q.event.type == _MONITORED:
        return record is None or not (record.made or q.owes(q.source, _MONITORED))
    return record.safe is None if q.event.type == _ARRANGED else record.step != "travel_arranged"


@_rules.rule("G-58", "shelter.discharged", "plan.completed", CLOSED)
def transition_plan_required(q: Question) -> bool:
    """Support ended after a negative decision on the status, with no plan adopted or revised since by the agency that helps.

    A shelter need not plan while another agency's plan goes on. Nobody waits for the plan of an agency that has left, nor for
    one that the status lets nobody make any more, since the person has withdrawn.
    """
    view, decision = q.view, q.view.decisions.get(q.view.negative or "")
    plan = view.plan if view.plan and view.plan.in_force and view.plan.holder not in view.left else None
    permitted = q.tables.permitted.get(view.status) if view.status else None
    if decision is None or not decision.on_status or q.barred(q.source):
        return False
    if permitted is not None and "plan.adopted" not in permitted:
        return False
    if value(q.event, "reason") in q.tables.profile.statuses.ending_without_transition:
        return False
    if q.event.type == "shelter.discharged" and (plan is None or plan.holder != q.source):
        return plan is None and (view.plan is None or view.plan.agreed < decision.mark.number)
    return plan is not None and plan.agreed < decision.mark.number


@_rules.rule("G-59", "case.withdrawn")
def only_the_person(q: Question) -> bool:
    """An adult's case withdrawn by the word of a relative or of anybody else than that person."""
    return bool(value(q.event, "requested_by") != "person")


def _allowance(q: Question) -> bool:
    return bool(value(q.event, "kind") == q.tables.profile.allowance.kind)


@_rules.rule("G-60", _ORDER, _EXECUTED)
def status_required(q: Question) -> bool:
    """`one_time_allowance` without an effective decision `ActualVictimOfTrafficking`: ordered, or paid after revocation.

    A payment made before the revocation stays valid, even if its record arrives later.
    """
    if not _allowance(q):
        return False
    if q.event.type == _EXECUTED:
        return _revoked_before(q)
    effective = q.view.effective
    return effective is None or value(q.event, "decision", effective) != effective


def _revoked_before(q: Question) -> bool:
    """Return whether the recognition behind the order had been revoked when the order was executed."""
    order, decisions = ordered_before(q), q.view.decisions
    ground = decisions.get(order.decision or "") if order else None
    return ground is not None and any(
        each.negative and each.mark.number > ground.mark.number and each.mark.time <= q.event.time
        for each in decisions.values()
    )


@_rules.rule("G-61", _ORDER)
def already_ordered(q: Question) -> bool:
    """A second `one_time_allowance` on the same decision."""
    return _allowance(q) and any(
        each.kind == q.tables.profile.allowance.kind and each.decision == q.view.effective and each.state != "failed"
        for each in q.view.payments.values()
    )


@_rules.rule("G-62", _ORDER)
def amount_not_in_tariff(q: Question) -> bool:
    """Tariff or amount is not that of the day of the decision. Where no tariff could be read, nothing is compared."""
    decision = q.view.decisions.get(q.view.effective or "")
    if not _allowance(q) or decision is None or not q.tables.profile.allowance.tariffs:
        return False
    tariff = q.tables.profile.tariff_on(q.tables.calendar.day(decision.mark.time))
    amount = value(q.event, "amount")
    said = (value(q.event, "tariff"), getattr(amount, "value", None), getattr(amount, "currency", None))
    return tariff is None or said != (tariff.tariff, tariff.value, tariff.currency)


@_rules.rule("G-63", _ORDER)
def payee_not_allowed(q: Question) -> bool:
    """Money for a child that goes to the person, and not into a deposit or to the representative's account.

    The fund may not know that the person is a child. It learns so here, when it has to know, and nobody else does.
    """
    return q.child and value(q.event, "payee") == "person"


@_rules.rule("G-64", _VERDICT)
def court_decides(q: Question) -> bool:
    """Conviction, acquittal or a claim decided by another than the court that hears the proceedings; anybody may discontinue its own."""
    found = q.proceedings
    return (
        found is not None
        and found.court not in (None, q.source)
        and value(q.event, "outcome") not in ("discontinued", "other")
    )


@_rules.rule("G-65", _GRANT)
def compensation_not_due(q: Question) -> bool:
    """Money granted to a person who is neither recognised nor the victim of somebody convicted; by a court without proceedings.

    The fund grants no compensation beside one of a court, nor beside its own that is ordered or paid: it does not make the
    same harm good twice. A court is told of what the fund granted, and decides.
    """
    if q.role == COURT:
        return not q.view.proceedings
    if value(q.event, "purpose") == COMPENSATION and any(_compensates(q, each) for each in q.view.grants.values()):
        return True
    convicted = any(each.outcome in ("conviction", "claim_granted") for each in q.view.proceedings.values())
    return q.view.effective is None and not convicted


def _compensates(q: Question, grant: Grant) -> bool:
    """Return whether the harm is made good by this grant: a court's, or one of the fund that is ordered or paid."""
    return grant.purpose == COMPENSATION and (grant.order is not None or q.roles.of(grant.mark.source) == COURT)


@_rules.rule("G-66", _ORDER)
def not_granted(q: Question) -> bool:
    """Compensation ordered that nobody granted, or for which an order stands already."""
    return bool(value(q.event, "kind") == COMPENSATION) and paid_grant(q) is None


@_rules.rule("G-67")
def access_revoked(q: Question) -> bool:
    """An event of an agency whose access was ended, beyond its answer to that; or one that turns to an agency that is shut out.

    An override lets nobody in again, nor does the word of a relative: the person does, for a child also the carer, by a consent
    that another agency records. A consent for some days is made longer in no other way. In these days the agency takes no
    case over: its last day would leave the case with an agency that hears nothing. Afterwards it answers, and reads, hands out and asks nothing.
    """
    revoked, let_in = q.view.revoked, q.view.let_in
    if not (revoked or let_in) or q.about_no_case:
        return False
    if q.source in revoked:
        return q.event.type not in _OF_WHO_IS_OUT
    if takes_over(q) and q.source in let_in:
        return True
    if q.shut_out(q.source) and (q.event.type in _READ_OR_ASKED or hands_on(q)):
        return True
    named = receivers_of(q.event) if _by_others_word(q) else ()
    if any(agency in revoked or agency in let_in for agency in named):
        return True
    return any(q.shut_out(agency) for agency in q.to if agency != q.source)


def _by_others_word(q: Question) -> bool:
    """Return whether the event would let an agency hear of the person by another word than the person's own."""
    if q.event.type == "consent.given" and SHARING in value(q.event, "purposes", ()):
        return value(q.event, "given_by") not in (("individual", "caregiver") if q.child else ("individual",))
    return q.event.type == "consent.overridden"


@_rules.rule("G-68", _ORDER)
def amount_not_in_band(q: Question) -> bool:
    """An order that pays a grant, of a sum outside the band that was granted."""
    grant, amount = paid_grant(q), value(q.event, "amount")
    return grant is not None and amount is not None and not in_band(amount.value, grant.band)


@_rules.rule("G-69", _ACCESS_ENDED)
def access_not_revocable(q: Question) -> bool:
    """The end of access of an agency that decides, protects, judges or pays, that is out already or unknown, or that alone houses the person."""
    return any(
        not q.in_group(agency, "REVOCABLE")
        or q.is_unit(agency)
        or agency in (q.source, *q.view.revoked)
        or _houses_alone(q, agency)
        or not q.view.count_for(agency)
        for agency in receivers_of(q.event)
    )


def _houses_alone(q: Question, agency: str) -> bool:
    """Return whether the person lives with *agency*, and no other house that is on the case and that she does not refuse has a bed for her."""
    houses = [house for _, house in q.view.houses() if q.view.on_case(house.agency)]
    lives = any(house.agency == agency and house.state == "admitted" for house in houses)
    return lives and not any(house.agency != agency and not q.barred(house.agency) for house in houses)


CHECKS: Final[tuple[Check, ...]] = tuple(_rules.checks)
