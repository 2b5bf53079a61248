"""G-20 to G-37: the child and the way home first, then what the person has consented to, refused or withdrawn."""

import re
from collections.abc import Iterator
from datetime import date
from typing import Final

from nrmbus.events.access import NOBODYS
from nrmbus.events.erasure import AccessHoldPlaced
from nrmbus.rules.audience import chosen_by_sender, told_by_choice
from nrmbus.rules.clock_moves import LIFTED
from nrmbus.rules.emergency import ASKED
from nrmbus.rules.event_context import PAPERS, SERVICES, SHARING, receivers_of, value
from nrmbus.rules.judge.check import WITH_TO, Check, Question, RuleList
from nrmbus.rules.retention import kept

_rules = RuleList()
_INTERVIEW = "identification.interview_held"
_REFERRAL = "referral.submitted"
_BED = "shelter.bed_requested"
_ACCEPTED = "referral.accepted"
_QUESTION = "referral.info_requested"
_REVIEW = "review.requested"
_PLAN = "plan.adopted"
_REVISED = "plan.revised"
_GOING_ON = ("referral.info_supplied", _REVISED, "plan.completed")
_STOPPED = "consent.stop_confirmed"
_TERMINATED = "access.terminated"
_REVOKED = "access.revoked"
_ACTIVATED = "policy.profile_activated"
_TRAVEL = ("return.travel_arranged", "return.completed")
_RETURNING = ("return.consented", "return.risk_assessed", *_TRAVEL, "return.monitored")
_MERGED = "case.merged"
_SELF_CONSENT = "SELF_CONSENT"
_PUBLISHED = "stats.period_published"
_REVIEWED = "review.decided"
_OWN = (
    _MERGED,
    "handover.person_received",
    "identification.stage_entered",
    _INTERVIEW,
    "identification.indicators_screened",
    "identification.reasonable_grounds_decided",
    "identification.status_decided",
    "identification.status_revoked",
    "recovery.period_started",
    "recovery.extended",
    "recovery.reviewed",
    "recovery.ended",
)
"""Events by which the deciding body acts on the person, and which therefore need her consent."""


@_rules.rule(
    "G-20", "case.signal_dismissed", _MERGED, _TERMINATED, _REVOKED, ASKED, _PUBLISHED, _ACTIVATED, _REVIEWED, LIFTED
)
def two_person_rule(q: Question) -> bool:
    """A child's signal dismissed, cases merged, access terminated or revoked, a duty lifted, the glass broken, a complaint decided, figures published or a profile activated, with no `approver`, or `approver` = `actor`.

    However the number is spelt; and no desk is one of the two. A complaint is decided with the superior's signature.
    """
    if q.event.type == _REVIEWED:
        return q.review is not None and q.review.complaint and q.is_unit(q.source) and not _are_two(q)
    if not q.child and q.event.type not in (_MERGED, _TERMINATED, _REVOKED, ASKED, _PUBLISHED, _ACTIVATED, LIFTED):
        return False
    return not _are_two(q)


def _are_two(q: Question) -> bool:
    """Return whether two members of staff have signed."""
    two = {_person(q.event.actor), _person(q.event.approver or "")}
    return len(two) == 2 and two.isdisjoint(_NOBODY)


def _person(number: str) -> str:
    """Return a staff number as it is read aloud: case, signs and leading zeros make no difference."""
    return re.sub(r"[^a-z0-9]|(?<![0-9])0+(?=[0-9])", "", number.lower())


_NOBODY = {"", *map(_person, NOBODYS)}


@_rules.rule("G-21", _REFERRAL)
def safeguard_first(q: Question) -> bool:
    """A child's referral before `child_flagged` reached guardianship and child_commission, also one that says so against the signal.

    The receiver takes the person for a child by the referral alone. Where the person was found to be an adult since, it hears of
    that finding first instead: whoever refers may not know of it.
    """
    told = {q.roles.of(body) for body in q.view.flagged}
    is_child = q.child or (q.says_child and q.view.grown_up is None)
    return is_child and not q.tables.groups.get("GUARDIANS", frozenset()) <= told


@_rules.rule("G-22", _INTERVIEW)
def representative_required(q: Question) -> bool:
    """A child's interview with no representative assigned, or none in `attended`."""
    return q.child and not (q.view.represented and "representative" in value(q.event, "attended", ()))


@_rules.rule("G-23", _INTERVIEW)
def doctor_required(q: Question) -> bool:
    """A child's interview without `doctor` in `attended`."""
    return q.child and "doctor" not in value(q.event, "attended", ())


@_rules.rule("G-24", "safeguard.returned_to_family", *_TRAVEL)
def best_interests_required(q: Question) -> bool:
    """Return to the family, or a child's journey home, that the latest best-interests decision does not allow."""
    if q.event.type in _TRAVEL and not q.child:
        return False
    to = "country" if q.event.type in _TRAVEL else value(q.event, "returned_to", "")
    allowed = q.tables.profile.statuses.return_needs.get(to, ())
    return q.view.best_interests not in allowed


@_rules.rule("G-25", "case.withdrawn")
def child_may_not_withdraw(q: Question) -> bool:
    """`case.withdrawn` for a child."""
    return q.child


@_rules.rule("G-26")
def access_terminated(q: Question) -> bool:
    """A letter in a case whose data access is terminated without an authority's hold, or whose erasure is due."""
    erasure = q.view.erasure
    if q.event.sealeddigest is None or q.event.type == _TERMINATED:
        return False
    terminated = erasure.terminated is not None and not q.kept_open(q.tables.calendar.day(q.now))
    return terminated or (erasure.due is not None)


@_rules.rule("G-27", AccessHoldPlaced.type)
def hold_too_long(q: Question) -> bool:
    """A hold whose last day has passed, or lies beyond the longest that the profile allows."""
    data = q.event.data
    if not isinstance(data, AccessHoldPlaced):
        return False
    left = date.fromisoformat(data.until) - q.tables.calendar.day(q.now)
    return not 0 <= left.days <= q.tables.profile.retention.hold_days


@_rules.rule("G-28", "access.erasure_due")
def still_kept(q: Question) -> bool:
    """`ground: retention` for a case that is not closed, whose retention period runs, or that is held.

    The rule compares the event's time, so a registrar whose clock is slow refuses nothing.
    """
    if value(q.event, "ground") != "retention":
        return False
    found = kept(q.tables, q.view)
    return found is None or found.over is None or q.event.time < found.over


@_rules.rule("G-29", *_TRAVEL)
def return_not_safe(q: Question) -> bool:
    """A journey home that the latest assessment of risk forbids, or while a review is undecided."""
    found_dangerous = q.view.returning is not None and q.view.returning.safe is False
    return found_dangerous or any(review.open for review in q.view.reviews.values())


def _needed(q: Question) -> Iterator[tuple[str, str]]:
    """Yield the (agency, purpose) pairs for which an adult's consent must stand; none for an event about no case."""
    if q.child or q.about_no_case:
        return
    if q.event.type in _OWN:
        yield q.source, SHARING
        return
    if q.event.type == PAPERS:
        yield from ((unit, SHARING) for unit in q.units_asked)
    services = q.event.type == _REFERRAL and bool(value(q.event, "services", ()))
    for agency in q.to:
        if agency == q.source:
            continue
        yield agency, SHARING
        if services and not q.is_unit(agency):
            yield agency, SERVICES


def _going_on(q: Question) -> Iterator[tuple[str, str]]:
    """Yield the pairs for a letter to agencies that were chosen before, without those that the person refused since.

    A changed plan is such a letter even without one: its services, which stand in the clear, are news of the person.
    """
    if q.child:
        return
    agencies = chosen_by_sender(q) if q.event.sealeddigest is not None else set()
    if q.event.type == _REVISED:
        agencies |= told_by_choice(q)
    yield from ((agency, SHARING) for agency in agencies if agency != q.source)


def _concerned(q: Question) -> Iterator[tuple[str, str]]:
    """Yield the pairs that an adult's refusal or withdrawal forbids.

    Included are an agency that takes the case over by plan or transfer, one that passes its knowledge on in a letter, and
    the sender of a referral that a question is put to: it would not see the question, and the answer would stay owed for
    ever. The same holds for a review whose deciding bodies are all refused. So does an agency that acts in a return.
    """
    yield from _needed(q)
    if q.event.type == _REVIEW and not q.deciders:
        yield from ((agency, SHARING) for agency in q.reviewers)
    if q.event.type == _QUESTION and q.referral and not q.child:
        yield q.referral.sender, SHARING
    if (takes_over(q) or hands_on(q) or q.event.type in _RETURNING) and not q.child:
        yield q.source, SHARING


def takes_over(q: Question) -> bool:
    """Return whether the sender would hold the case: it adopts a plan, or accepts a transfer."""
    referral = q.referral if q.event.type == _ACCEPTED else None
    return q.event.type == _PLAN or (referral is not None and (referral.transfer or referral.made_support))


def hands_on(q: Question) -> bool:
    """Return whether the sender passes its knowledge on in a letter to agencies that it chooses."""
    return q.event.type in WITH_TO and q.event.sealeddigest is not None


@_rules.rule("G-30", *WITH_TO, *_OWN, *_RETURNING, _ACCEPTED, PAPERS, _QUESTION, _REVIEW)
def consent_refused(q: Question) -> bool:
    """Adult; a refusal stands for an agency in `to`, the deciding body that acts or gets papers, who takes over or hands on."""
    return any(q.stands(agency, purpose) == "refused" for agency, purpose in _concerned(q))


@_rules.rule("G-31", *WITH_TO, *_OWN, *_RETURNING, _ACCEPTED, PAPERS, _QUESTION, _REVIEW)
def consent_withdrawn(q: Question) -> bool:
    """The same, a withdrawal stands."""
    return any(q.stands(agency, purpose) == "withdrawn" for agency, purpose in _concerned(q))


@_rules.rule("G-32", *WITH_TO, *_OWN, PAPERS, *_GOING_ON)
def consent_required(q: Question) -> bool:
    """For the same pairs no statement stands; or the named `consent` does not cover `to`.

    The rule also covers a changed plan, and later letters such as answers to a question, when a consent has expired or the
    person turned out to be an adult.
    """
    if any(q.stands(agency, purpose) is None for agency, purpose in (*_needed(q), *_going_on(q))):
        return True
    named = q.event.consents
    if not named or q.child:
        return False
    papers = (q.view.papers.get(each) for each in named)
    covered = {paper.receiver for paper in papers if paper and paper.grants}
    return any(agency not in covered for agency in q.to if agency != q.source)


@_rules.rule("G-33", _REFERRAL, _BED)
def refusal_not_on_record(q: Question) -> bool:
    """`withhold_from: [special_unit]` though no refusal of it stands: the time to refer is not to be dodged.

    Of several deciding bodies she refuses one of those named, and agrees to none of them.
    """
    named = q.units_withheld
    return q.withholds_from_unit and (q.child or not any(map(q.refuses, named)) or any(map(q.named, named)))


@_rules.rule("G-34", _REFERRAL, _BED)
def withhold_required(q: Question) -> bool:
    """The refusal stands, and a referral or bed request to somebody else does not say so."""
    return q.unit_refused and not q.withholds_from_unit and not q.units_in_to


@_rules.rule("G-35", _REFERRAL, _STOPPED)
def legal_basis_required(q: Question) -> bool:
    """A referral to the deciding body, of a child, or under an override, or a duty to retain, without `legal_basis`."""
    if q.event.legalbasis:
        return False
    if q.event.type == _STOPPED:
        return bool(value(q.event, "answer") == "must_retain")
    return q.child or bool(q.units_in_to) or any(q.stands(agency, SHARING) == "overridden" for agency in q.to)


@_rules.rule("G-36", "consent.given")
def self_consent(q: Question) -> bool:
    """`consent.given` that names its own publisher, except by a role of SELF_CONSENT that found the adult itself.

    What the person says herself is recorded then, and no refusal or withdrawal that another agency recorded is undone.
    """
    return q.source in receivers_of(q.event) and not _found_herself(q)


def _found_herself(q: Question) -> bool:
    """Return whether the sender gave the signal of an adult, who consents herself and has refused it before nobody else.

    Its own refusal or override in between does not make another agency's record its own.
    """
    words = [q.standing(q.source, purpose) for purpose in {SHARING, *value(q.event, "purposes", ())}]
    return (
        q.in_group(q.source, _SELF_CONSENT)
        and q.view.detector == q.source
        and not q.child
        and value(q.event, "given_by") == "individual"
        and not any(each is not None and each.against for each in words)
    )


@_rules.rule("G-37", "consent.given")
def second_person_for_own_consent(q: Question) -> bool:
    """A consent to its own publisher, recorded with no `approver`, or with `approver` = `actor`."""
    return q.source in receivers_of(q.event) and not _are_two(q)


CHECKS: Final[tuple[Check, ...]] = tuple(_rules.checks)
