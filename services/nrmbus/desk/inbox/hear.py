"""Third stage of an inbox transaction: receipt, then the procedure, or parking until the case may go on.

An error here is the record's own fault: after a few tries its case is parked, and other cases go on.
"""

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from nrmbus.desk import versions
from nrmbus.desk.access import break_glass, opening
from nrmbus.desk.desk import Desk
from nrmbus.desk.inbox.store import Outcome, Stored, open_record_task
from nrmbus.desk.inbox.verify import Delivered, Verified
from nrmbus.desk.outbox import queue
from nrmbus.desk.procedure.interface import Heard, Result, unhandled
from nrmbus.desk.state import parking
from nrmbus.events.model import Event
from nrmbus.rules import View
from nrmbus.wire.names import STATISTICS


@dataclass(frozen=True, slots=True)
class Hearing:
    """Result of the third stage, and of the first two where nothing is to be heard."""

    outcome: Outcome
    code: str | None = None
    heard: Heard | None = None
    """Event that the procedure hears; None if there is none, or if the case waits."""
    view: tuple[int, View] | None = None
    """Position of the event, and the case after it."""


def hear(desk: Desk, tx: Connection, record: Verified, stored: Stored, *, park_as: str | None) -> Hearing:
    """Have the procedure hear the stored *record*, or park it; *park_as* names the error that gave up on it.

    Raises the ``fault`` of a record that is not parked.
    """
    arrived, nothing = record.arrived, Hearing(stored.outcome, stored.code)
    if not isinstance(arrived, Delivered):
        return nothing
    if stored.refused is not None:
        _take_back(desk, tx, arrived, stored, park_as)
    if stored.position is None or arrived.signed is None:
        return nothing
    # The statistics are no receiver, so nobody waits for a receipt of theirs.
    owes = record.opened.came and desk.seat.role != STATISTICS
    if owes and arrived.event is not None and opening.owes_receipt(arrived.event, record.opened):
        _put_receipt(desk, tx, record, arrived, arrived.event)
    if record.released is None and (error := _why_parked(desk, record, arrived, park_as)) is not None:
        _park(desk, tx, arrived, stored.position, error)
        return replace(nothing, outcome="parked", code=arrived.unread)
    if record.fault is not None:
        raise record.fault
    return nothing if arrived.event is None else _listen(desk, tx, record, arrived, arrived.event, stored.position)


def _take_back(desk: Desk, tx: Connection, arrived: Delivered, stored: Stored, park_as: str | None) -> None:
    if park_as is not None:  # the procedure could not take it back: a person does
        open_record_task(desk, tx, arrived, "refused")
    elif stored.refused is not None:
        registration = arrived.registration
        break_glass.not_delivered(desk, tx, stored.refused, registration.rule, registration.time)
        desk.take_back(tx, stored.refused, stored.code or "")


def _put_receipt(desk: Desk, tx: Connection, record: Verified, arrived: Delivered, event: Event) -> None:
    draft = opening.receipt(desk.seat.me, event, record.opened, arrived.registration.time)
    queue.put(desk.seat, tx, draft, origin="receipt", correlationid=event.correlationid or event.id)


def _why_parked(desk: Desk, record: Verified, arrived: Delivered, park_as: str | None) -> str | None:
    """Return why the procedure cannot hear *record* yet; None if it can."""
    if arrived.unread is not None:
        return parking.UNKNOWN.get(arrived.unread, parking.UNREAD)
    if park_as is not None:
        return park_as
    if record.read_first is not None:
        return parking.AHEAD
    return parking.BEHIND if arrived.registration.subject in desk.parked else None


def _park(desk: Desk, tx: Connection, arrived: Delivered, position: int, error: str) -> None:
    subject = arrived.registration.subject
    parking.park(tx, subject=subject, position=position, error=error, since=desk.seat.stamp())
    if arrived.signed is not None and subject not in desk.parked and error != parking.AHEAD:
        sentence = parking.sentence_of(error, arrived.signed)
        open_record_task(desk, tx, arrived, parking.TASK, sentence=sentence)


def _listen(desk: Desk, tx: Connection, record: Verified, arrived: Delivered, event: Event, position: int) -> Hearing:
    view = desk.cases.view(tx, event.subject, up_to=position, read={position: event})
    event, letter = versions.heard(event, record.opened.fields)
    heard = Heard(
        event=event, letter=letter, view=view, me=desk.seat.me,
        registered=arrived.registration.time, rules=desk.seat.rules, agencies=desk.seat.agencies,
    )  # fmt: skip
    return Hearing("handled", heard=heard, view=(position, view))


def finish(desk: Desk, tx: Connection, record: Verified, heard: Heard, answer: Result | None) -> None:
    """Store within *tx* the *answer* of a handler, the procedure's state after it, and a task if nobody handled the event."""
    procedure = desk.seat.procedure
    if record.released is not None:
        parking.notice_again(tx, record.released)
    if answer is not None:
        desk.say(tx, answer, heard.event)
    after = desk.book if procedure is None else procedure.keep(desk.book, heard)
    desk.say(tx, record.resealed, heard.event)
    if answer is None:
        desk.say(tx, unhandled(heard), heard.event)
    if after != desk.book and procedure is not None:
        desk.save_book(tx, after)
