"""Records that an event may answer: whether its sender knows the record, and on which side of it the sender stands."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from nrmbus.rules.event_context import EventContext
from nrmbus.rules.records import Bed, Emergency, Grant, Hold, Payment, Proceedings, Referral, Review, Service
from nrmbus.rules.running import TIMEKEEPER
from nrmbus.rules.view import View
from nrmbus.rules.vocabulary import Record

Opened = Referral | Bed | Hold | Review | Service | Payment | Emergency | Grant | Proceedings
Ask = Callable[[EventContext], bool]


@dataclass(frozen=True, slots=True)
class Sides:
    """Three questions about a kind of record: does the sender know it, was the sender asked, did the sender ask?"""

    known: Ask
    asked: Ask
    asker: Ask = lambda _: False


def _letter_known(context: EventContext) -> bool:
    letter = context.view.letters.get(context.event.causationid)
    return letter is not None and context.source in letter.recipients


def _document_known(context: EventContext) -> bool:
    document = context.document
    return document is not None and {*context.to} <= {document.source, *document.recipients}


def _is_known(context: EventContext, record: Referral | Bed | Hold | Review | Emergency | Proceedings | None) -> bool:
    return record is not None and (context.role == TIMEKEEPER or context.source in record.known_to)


RECORDS: Final[Mapping[Record, Sides]] = {
    "emergency": Sides(
        lambda context: _is_known(context, context.emergency),
        lambda context: context.emergency is not None and context.emergency.holder == context.source,
        lambda context: context.emergency is not None and context.emergency.mark.source == context.source,
    ),
    "document": Sides(
        _document_known,
        lambda context: context.document is not None and context.source in context.document.recipients,
        lambda context: context.document is not None and context.document.source == context.source,
    ),
    "bed": Sides(
        lambda context: _is_known(context, context.bed),
        lambda context: context.bed is not None and context.bed.house(context.source) is not None,
    ),
    "hold": Sides(
        lambda context: _is_known(context, context.hold),
        lambda context: context.hold is not None and context.source in context.hold.migration,
        lambda context: context.hold is not None and context.hold.mark.source == context.source,
    ),
    "letter": Sides(_letter_known, _letter_known),
    "proceedings": Sides(
        lambda context: _is_known(context, context.proceedings),
        lambda context: context.proceedings is not None and context.proceedings.court == context.source,
        lambda context: context.proceedings is not None and context.proceedings.mark.source == context.source,
    ),
    "referral": Sides(
        lambda context: _is_known(context, context.referral),
        lambda context: context.referral is not None and context.referral.party(context.source) is not None,
        lambda context: context.referral is not None and context.referral.sender == context.source,
    ),
    "review": Sides(
        lambda context: _is_known(context, context.review),
        lambda context: context.review is not None and context.decides_review(context.source, context.review.decider),
    ),
    # A service that nobody was asked for is free to all
    "service": Sides(
        lambda _: True,
        lambda context: (
            context.service is None or not context.service.receivers or context.source in context.service.receivers
        ),
    ),
    "withdrawal": Sides(
        lambda context: context.source in context.view.stops, lambda context: context.source in context.view.stops
    ),
}


def _opened_by(view: View) -> Mapping[str, Mapping[str, Opened]]:
    """Return the records of *view* by reference, under the type that opens them."""
    return {
        "access.break_glass": view.emergencies,
        "fund.compensation_granted": view.grants,
        "justice.case_opened": view.proceedings,
        "payment.ordered": view.payments,
        "referral.submitted": view.referrals,
        "review.requested": view.reviews,
        "service.requested": view.services,
        "shelter.bed_requested": view.beds,
        "stay.hold_requested": view.holds,
    }


def opened_record(context: EventContext) -> Opened | None:
    """Return the existing record under the reference by which this event would open one, or None."""
    return _opened_by(context.view).get(context.event.type, {}).get(context.event.referral or "")


def is_anothers(context: EventContext) -> bool:
    """Return whether the event would open a record under a reference that another agency uses, for any kind.

    Answers, clocks and audiences use the reference: a second record under it would replace the first. A service that was
    given unasked waits for no answer, so its reference is free.
    """
    ref, opened = context.event.referral, _opened_by(context.view)
    if ref is None or context.event.type not in opened:
        return False
    same = opened[context.event.type].get(ref)
    waiting = [records[ref] for records in opened.values() if ref in records and not _is_unasked(records[ref])]
    return any(record.mark.source != context.source for record in (*waiting, *([same] if same else ())))


def _is_unasked(record: Opened) -> bool:
    return isinstance(record, Service) and record.requester is None


ANSWERED_BY_REFERENCE: Final = frozenset(
    {
        "access.break_glass",
        "fund.compensation_granted",
        "justice.case_opened",
        "referral.submitted",
        "review.requested",
        "service.requested",
        "shelter.bed_requested",
        "stay.hold_requested",
    }
)
"""Types whose records can be answered only by reference."""


def still_stands(record: Opened) -> bool:
    """Return whether *record* is still open, so that its reference is not free for another agency."""
    if isinstance(record, Referral):
        return record.stands
    if isinstance(record, Bed):
        return any(house.state in ("asked", "offered", "admitted") for house in record.houses)
    if isinstance(record, Hold):
        return not record.ended
    if isinstance(record, Payment):
        return record.state != "failed"
    if isinstance(record, Grant):
        return True
    return record.open
