"""Records that an event may answer: whether its sender knows the record, and on which side of it the sender stands."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from nrmbus.rules.clocks import TIMEKEEPER
from nrmbus.rules.event_context import Step
from nrmbus.rules.view import Bed, Emergency, Hold, Payment, Referral, Review, Service, View
from nrmbus.rules.vocabulary import Record

Opened = Referral | Bed | Hold | Review | Service | Payment | Emergency
Ask = Callable[[Step], bool]


def _never(_: Step) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Sides:
    """Three questions about a kind of record: does the sender know it, was the sender asked, did the sender ask?"""

    known: Ask
    asked: Ask
    asker: Ask = _never


def _referral_known(step: Step) -> bool:
    return _is_known(step, step.referral)


def _referral_asked(step: Step) -> bool:
    return step.referral is not None and step.referral.party(step.source) is not None


def _referral_asker(step: Step) -> bool:
    return step.referral is not None and step.referral.sender == step.source


def _bed_asked(step: Step) -> bool:
    return step.bed is not None and step.bed.house(step.source) is not None


def _hold_asked(step: Step) -> bool:
    return step.hold is not None and step.source in step.hold.migration


def _hold_asker(step: Step) -> bool:
    return step.hold is not None and step.hold.mark.source == step.source


def _review_asked(step: Step) -> bool:
    return step.review is not None and step.review.decider == step.role


def _service_asked(step: Step) -> bool:
    """A service that nobody was asked for is anybody's to give."""
    return step.service is None or not step.service.receivers or step.source in step.service.receivers


def _letter_known(step: Step) -> bool:
    letter = step.view.letters.get(step.event.causationid)
    return letter is not None and step.source in letter.recipients


def _stop_known(step: Step) -> bool:
    return step.source in step.view.stops


def _is_known(step: Step, record: Referral | Bed | Hold | Review | Emergency | None) -> bool:
    return record is not None and (step.role == TIMEKEEPER or step.source in record.known_to)


RECORDS: Final[Mapping[Record, Sides]] = {
    "emergency": Sides(
        lambda step: _is_known(step, step.emergency),
        lambda step: step.emergency is not None and step.emergency.holder == step.source,
        lambda step: step.emergency is not None and step.emergency.mark.source == step.source,
    ),
    "bed": Sides(lambda step: _is_known(step, step.bed), _bed_asked),
    "hold": Sides(lambda step: _is_known(step, step.hold), _hold_asked, _hold_asker),
    "letter": Sides(_letter_known, _letter_known),
    "referral": Sides(_referral_known, _referral_asked, _referral_asker),
    "review": Sides(lambda step: _is_known(step, step.review), _review_asked),
    "service": Sides(lambda _: True, _service_asked),
    "withdrawal": Sides(_stop_known, _stop_known),
}


def _opened_by(view: View) -> Mapping[str, Mapping[str, Opened]]:
    """The records of *view* by reference, under the type that opens one."""
    return {
        "access.break_glass": view.emergencies,
        "payment.ordered": view.payments,
        "referral.submitted": view.referrals,
        "review.requested": view.reviews,
        "service.requested": view.services,
        "shelter.bed_requested": view.beds,
        "stay.hold_requested": view.holds,
    }


def opened_record(step: Step) -> Opened | None:
    """The record already there under the reference by which this event would open one."""
    return _opened_by(step.view).get(step.event.type, {}).get(step.event.referral or "")


def is_anothers(step: Step) -> bool:
    """Return whether the event would open a record under a reference that another agency uses, for any kind.

    Answers, clocks and audiences use the reference: a second record under it would replace the first. A service that was
    given unasked waits for no answer, so its reference is free.
    """
    ref, opened = step.event.referral, _opened_by(step.view)
    if ref is None or step.event.type not in opened:
        return False
    same = opened[step.event.type].get(ref)
    waiting = [records[ref] for records in opened.values() if ref in records and not _is_unasked(records[ref])]
    return any(record.mark.source != step.source for record in (*waiting, *([same] if same else ())))


def _is_unasked(record: Opened) -> bool:
    return isinstance(record, Service) and record.requester is None


ANSWERED_BY_REFERENCE: Final = frozenset(
    {
        "access.break_glass",
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
    return record.open
