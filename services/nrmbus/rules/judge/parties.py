"""G-01 to G-15: permitted senders, cases, subjects and receivers of an event, and the activation of a profile."""

from collections.abc import Mapping
from typing import Final

from nrmbus.events import bulletin
from nrmbus.events.policy import ProfileActivated
from nrmbus.rules.audience import chosen_by_sender, may_open
from nrmbus.rules.calendar import lasting, later
from nrmbus.rules.clock_moves import LIFTED
from nrmbus.rules.emergency import OBJECTED
from nrmbus.rules.event_context import AUTHORITIES, CLOSED, COURT, PAPERS, receivers_of, value
from nrmbus.rules.judge.check import WITH_TO, Check, Question, RuleList
from nrmbus.rules.profile import Row
from nrmbus.rules.profile_files import is_installed
from nrmbus.rules.references import ANSWERED_BY_REFERENCE, RECORDS, is_anothers
from nrmbus.rules.running import TIMEKEEPER

_rules = RuleList()
AUDITOR = "auditor"
_COPY = "case.copy_issued"
_LETTERS = ("letter.opened", "letter.kept_shut", "letter.unreadable")
_ACCESS = "access.granted"
_SHARED = ("document.shared", "document.chunk_sent")
_OF_THE_PLAN = ("plan.revised", "plan.completed")
_OBJECTION = "consent.objected"
_REVIEW = "review.requested"
_STATEMENTS = ("consent.given", "consent.refused", "consent.withdrawn", "consent.overridden")
_PROCEEDINGS = "justice.case_opened"
_ENDING_ACCESS = ("access.terminated", "access.hold_placed")
_ERASING = ("access.erasure_confirmed", *_ENDING_ACCESS)
RECEIVING: Final[Mapping[str, str]] = {
    "referral.submitted": "RECEIVERS",
    "shelter.bed_requested": "SHELTERS",
    "service.requested": "SERVICE_PROVIDERS",
    "return.consented": "RETURN_HELPERS",
    "stay.hold_requested": "migration",
    "safeguard.child_flagged": "GUARDIANS",
}
"""Role, or group of the profile, that each of these types may be sent to (G-10); other types go to whom the sender chooses."""


def _row(q: Question) -> Row | None:
    return q.tables.row(q.event.type)


def _opening(q: Question) -> bool:
    row = _row(q)
    return row is not None and row.opening


@_rules.rule("G-01")
def publisher_not_allowed(q: Question) -> bool:
    """The role may never publish this type (section 3); says nothing about the case."""
    return q.role not in q.tables.publishers.get(q.event.type, frozenset())


@_rules.rule("G-02")
def unknown_case(q: Question) -> bool:
    """The sender does not know the case, or there is none; an opening event must find no case, or the sender's own.

    A sender that opens another agency's reference learns only that the reference is taken: not when the case began, nor
    its state. An auditor reads every case, and may search without one. Auditor, court and prosecution need no event of a
    case whose data they order erased or kept. After the retention period there is no case: the agencies that were notified
    erase and confirm, the timekeeper publishes who did not, and no event opens the case again.
    An event about no case stands in its publisher's bulletin, and nothing else does: a bulletin is never a case.
    """
    if q.about_no_case or bulletin.is_bulletin(q.view.subject):
        return not (q.about_no_case and q.view.subject == bulletin.of(q.source))
    if q.view.over:
        return not _of_the_erasure(q)
    if q.event.type == _ACCESS and q.role == AUDITOR:
        return False
    if _opening(q):
        return q.view.exists and not q.view.count_for(q.source)
    if not q.view.exists or (q.view.incident and q.event.type not in (_ACCESS, *_LETTERS)):
        return True
    if q.event.type in _ENDING_ACCESS and q.role in AUTHORITIES:
        return False
    return q.role != TIMEKEEPER and not q.view.count_for(q.source)


def _of_the_erasure(q: Question) -> bool:
    kind = q.event.type
    return (
        (kind == _ACCESS and q.role == AUDITOR)
        or (kind == "deadline.breached" and q.role == TIMEKEEPER)
        or (kind in ("access.erasure_confirmed", LIFTED) and q.source in q.view.erasure.told)
    )


@_rules.rule("G-03")
def unknown_reference(q: Question) -> bool:
    """A referral, bed, hold, review, document, decision or consent that is not of this case or that the sender does not know.

    Events of `ANSWERED_BY_REFERENCE` need a reference; an objection names a consent or override, of which it is a receiver.
    """
    if q.event.referral is None and q.event.type in ANSWERED_BY_REFERENCE:
        return True
    row = _row(q)
    if row and row.about and not RECORDS[row.about].known(q):
        return True
    decision = value(q.event, "decision")
    if decision is not None:
        found = q.view.decisions.get(decision)
        if found is None or q.source not in found.known_to:
            return True
    papers = [q.view.papers.get(each) for each in q.event.consents]
    if any(paper is None or q.source not in paper.known_to for paper in papers):
        return True
    about = [paper for paper in papers if paper and paper.grants and paper.receiver in receivers_of(q.event)]
    return q.event.type == _OBJECTION and (not papers or about != papers)


@_rules.rule("G-04")
def not_a_party(q: Question) -> bool:
    """An answer not by the receiver, a supplement or revocation not by the sender, or another agency's reference.

    Papers go to the deciding body: under a referral that did not ask one, or asks none any more, they are no supplement. Only the agency that
    adopted a plan revises or completes the plan; another agency adopts its own, of which the former holder is notified.
    Nobody lifts a duty of its own: an agency that can publish can confirm.
    """
    row = _row(q)
    if q.event.type == LIFTED and value(q.event, "agency") == q.source:
        return True
    if q.event.type == PAPERS and not q.units_asked:
        return True
    if q.event.type in _OF_THE_PLAN and not (q.view.plan and q.view.plan.holder == q.source):
        return True
    if row and row.about and row.party:
        record = RECORDS[row.about]
        if q.takes_back:
            return False
        return not (record.asked(q) if row.party == "asked" else record.asker(q))
    return is_anothers(q)


@_rules.rule("G-05")
def not_on_case(q: Question) -> bool:
    """The sender has no standing part (exceptions: `consent.stop_confirmed`, court decisions, the end of waiting for a confirmation, records of reading, of erasing or of a copy).

    If every agency that could close the case has left, its former holder closes it; else retention would never begin.
    """
    if (
        _opening(q)
        or q.about_no_case
        or q.role in (TIMEKEEPER, COURT)
        or (q.event.type == CLOSED and q.source == q.holder)
        or q.event.type in ("consent.stop_confirmed", _ACCESS, _COPY, LIFTED, *_ERASING, *_LETTERS)
    ):
        return False
    return not q.view.on_case(q.source)


@_rules.rule("G-06", "case.closed", "case.reopened", "case.signal_dismissed", _OBJECTION)
def not_case_holder(q: Question) -> bool:
    """Closing, re-opening or objecting by another than the holder (T21, T22); its detector dismisses a signal (T04)."""
    if q.event.type == "case.signal_dismissed":
        return q.source != q.view.detector
    if q.event.type == "case.reopened" and (q.role == COURT or q.by_unit):
        return False
    return q.source != q.holder


@_rules.rule("G-07", "handover.person_received", "referral.acknowledged", OBJECTED)
def duty_officer_only(q: Question) -> bool:
    """Person received, referral acknowledged by the deciding body, or an emergency objected to, by no `duty_officer`."""
    return (q.by_unit or q.event.type == OBJECTED) and value(q.event, "duty_role") != "duty_officer"


@_rules.rule("G-08")
def time_before_case(q: Question) -> bool:
    """`time` is earlier than the case's first event, which happened by its registration at the latest.

    The first event may be dated some minutes ahead; events of desks and timekeeper in these minutes need not wait.
    """
    opened = q.view.opened
    return opened is not None and q.event.time < min(opened.time, opened.registered)


@_rules.rule("G-10", *WITH_TO, _REVIEW, _PROCEEDINGS, *_STATEMENTS)
def recipient_not_allowed(q: Question) -> bool:
    """`to` names an agency that gets nothing or does not take this type, or, in a referral, the sender itself.

    An event about no case may name every agency that hears what concerns the whole bus. Of a case the statistics get the coded parts
    of letters, and are turned to by nobody; nor is an agency of which nothing is known.
    Nobody is in `to` from whom the event is withheld, by id or by role.
    A referral to oneself would take the case over with nobody asked. A review needs a deciding body on the bus: without
    one, the review would stay undecided and bar closing for ever. Proceedings are heard by a court. A consent, refusal or
    withdrawal is about an agency: a service of the bus could not confirm that it stopped.
    """
    if q.event.type == _REVIEW:
        return not q.reviewers
    if q.event.type in _STATEMENTS:
        return not all(q.in_group(agency, "AGENCIES") for agency in receivers_of(q.event))
    if q.event.type == _PROCEEDINGS:
        court = value(q.event, "court")
        return court is not None and q.roles.of(court) != COURT
    to = q.to
    if q.about_no_case:
        return not all(q.in_group(agency, "EVERYBODY") for agency in to)
    if any(q.in_group(agency, "NEVER_RECIPIENTS") or not q.in_group(agency, "AGENCIES") for agency in to):
        return True
    bound = q.role == "police_other" and q.event.type in ("referral.submitted", *_SHARED)
    if bound and any(not q.is_unit(agency) for agency in to):
        return True
    if q.event.type == "referral.submitted" and q.source in to:
        return True
    withheld = value(q.event, "withhold_from", ())
    if any(agency in withheld or q.roles.of(agency) in withheld for agency in to):
        return True
    wanted = RECEIVING.get(q.event.type)
    return wanted is not None and not all(q.roles.of(agency) == wanted or q.in_group(agency, wanted) for agency in to)


@_rules.rule("G-11")
def part_not_allowed(q: Question) -> bool:
    """A filled part that none of the chosen receivers may open (asked only at the desk's door)."""
    filled = [part for part, fields in (q.letter_parts or {}).items() if fields]
    chosen = chosen_by_sender(q) if filled else ()
    return bool(chosen) and any(not any(may_open(q, agency, part) for agency in chosen) for part in filled)


@_rules.rule("G-14", ProfileActivated.type)
def profile_unknown(q: Question) -> bool:
    """An activation of a profile that this release of the bus does not have, or has with other values."""
    data = q.event.data
    return isinstance(data, ProfileActivated) and not is_installed(data.profile, data.digest)


@_rules.rule("G-15", ProfileActivated.type)
def activation_day_unfit(q: Question) -> bool:
    """An activation dated back or too near, not after the one before it, or of the profile that is in force by then already."""
    data = q.event.data
    if not isinstance(data, ProfileActivated) or q.timeline is None:
        return False
    since, newest = q.timeline.begins(data.valid_from), q.timeline.newest
    notice = lasting(hours=q.tables.profile.periods.activation_notice_hours)
    if newest is not None and since <= newest.since:
        return True
    return later(q.now, notice) > since or data.profile == (newest.profile if newest else q.timeline.first)


CHECKS: Final[tuple[Check, ...]] = tuple(_rules.checks)
