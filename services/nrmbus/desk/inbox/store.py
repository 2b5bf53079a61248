"""Second stage of an inbox transaction: delivery, event, receipts of own events and position are stored.

An error here is not the record's fault (the ledger is locked, the disk is full): the inbox stops and the record is read
again, since other records would fare no better.
"""

import json
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from nrmbus.desk.access import break_glass
from nrmbus.desk.desk import Desk
from nrmbus.desk.errors import DeskError
from nrmbus.desk.inbox import verify
from nrmbus.desk.inbox.verify import Delivered, SetAside, Verified
from nrmbus.desk.letters import case_keys
from nrmbus.desk.outbox import documents, verdicts
from nrmbus.desk.state import beginnings
from nrmbus.desk.state.cases import pack
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import Position, open_task
from nrmbus.events.model import Event
from nrmbus.wire import times
from nrmbus.wire.envelope import Signed
from nrmbus.wire.registration import Answer

Outcome = Literal["handled", "parked", "known", "refused", "forged", "repeated", "answered", "set_aside"]
"""Result of one record, as the log names it."""

NOTHING_ELSE: Final[frozenset[Outcome]] = frozenset({"known", "forged", "repeated", "answered", "set_aside"})
"""Outcomes after which the record is done: the procedure hears nothing of it."""


_PUT_DELIVERY: Final = insert(tables.inbox)
_WAITING: Final = select(tables.events.c.recipients, tables.events.c.letter.is_(None).label("has_no_letter")).where(
    tables.events.c.position == bindparam("position")
)
_READ_LATER: Final = update(tables.events).where(tables.events.c.position == bindparam("at_position"))
"""Change of the given columns of the event that the parameter ``at_position`` names."""
_RECEIVED_LATER: Final = (
    update(tables.inbox)
    .where(tables.inbox.c.partition == bindparam("at_partition"), tables.inbox.c.inbox_number == bindparam("at_number"))
    .values(received=bindparam("at"))
)
_PUT_EVENT: Final = upsert(tables.events).on_conflict_do_nothing().returning(tables.events.c.position)


@dataclass(frozen=True, slots=True)
class Stored:
    """Result of the second stage."""

    outcome: Outcome
    code: str | None = None
    position: int | None = None
    """Position of the event in the ledger, if the procedure is to hear it."""
    refused: Event | None = None
    """Own event that the registrar refused and the procedure must take back."""

    @property
    def is_heard(self) -> bool:
        """Return whether the third stage has something to do."""
        return self.outcome not in NOTHING_ELSE


def store(desk: Desk, tx: Connection, record: Verified) -> Stored:
    """Store *record* within *tx*, and that its partition was read this far.

    Raises:
        DeskError: ``unknown_type``, ``unknown_version``: a released event that this release cannot read either.
    """
    stored = _store(desk, tx, record)
    _advance(desk, record)
    return stored


def _store(desk: Desk, tx: Connection, record: Verified) -> Stored:
    match record.arrived:
        case SetAside() as found:
            _set_aside(desk, tx, record, found)
            return Stored("set_aside", found.code)
        case Answer(sha256=digest, code=code) if (waits := desk.heard_again.get(digest)) is not None:
            desk.seat.ledger.then(waits.set)  # the event itself is registered: nothing else changes
            return Stored("answered", code)
        case Answer() as answer:
            if (event := verdicts.answered(desk.seat, tx, answer)) is not None:
                break_glass.not_delivered(desk, tx, event, None, answer.time)
                if answer.code not in verdicts.OF_THE_DIRECTORY:
                    desk.take_back(tx, event, answer.code)
            return Stored("answered", answer.code)
        case Delivered() as arrived if not record.is_due:
            _repeated(desk, tx, record, arrived)
            return Stored("repeated")
        case Delivered() as arrived if record.released is not None:
            return _released(desk, tx, record, arrived, record.released)
        case Delivered() as arrived:
            return _delivered(desk, tx, record, arrived)


def _advance(desk: Desk, record: Verified) -> None:
    if record.released is not None:
        return
    partition, offset = record.where
    now = desk.seat.ledger.position(partition)
    number, digest = now.inbox_number, now.digest
    if record.is_due and isinstance(record.arrived, Delivered):
        number, digest = record.arrived.delivery.inbox_number, record.arrived.delivery.digest
    desk.seat.ledger.advance(partition, Position(number, digest, max(now.next_offset, offset + 1)))


def _set_aside(desk: Desk, tx: Connection, record: Verified, found: SetAside) -> None:
    partition, offset = record.where
    row = {"size": found.size, "sha256": found.sha256, "code": found.code, "at": desk.seat.stamp()}
    statement = upsert(tables.set_aside).values(partition=partition, offset=offset, **row)
    tx.execute(statement.on_conflict_do_nothing())


def _delivered(desk: Desk, tx: Connection, record: Verified, arrived: Delivered) -> Stored:
    registration, delivery = arrived.registration, arrived.delivery
    row = {
        "partition": delivery.partition, "inbox_number": delivery.inbox_number, "number": registration.number,
        "subject": registration.subject, "source": registration.source, "id": registration.id,
        "verdict": registration.verdict, "digest": delivery.digest, "delivery": arrived.delivery_bytes,
        "registration": arrived.registration_bytes, "received": desk.seat.stamp(),
    }  # fmt: skip
    tx.execute(_PUT_DELIVERY, row)
    if beginnings.begins_with(desk.seat.ledger, delivery):
        beginnings.begin_with(desk.seat.ledger, tx, delivery, registration)
    if registration.verdict == "refused":
        event = verdicts.refused(desk.seat, tx, registration)
        return Stored("refused", registration.code, refused=event)
    if arrived.forged:
        open_record_task(desk, tx, arrived, "forged")
        return Stored("forged")
    position = None if arrived.signed is None else _event(desk, tx, record, arrived, arrived.signed)
    return Stored("known") if position is None else Stored("handled", position=position)


def _event(desk: Desk, tx: Connection, record: Verified, arrived: Delivered, signed: Signed) -> int | None:
    """Store the event; return its position, or None if the ledger has the event already."""
    registration, me = arrived.registration, desk.seat.me
    is_own = registration.source == me
    recipients = verdicts.registered(desk.seat, tx, registration) if is_own else (me,)
    row = {
        "subject": registration.subject, "source": registration.source, "id": registration.id, "type": signed.type,
        "time": times.write(signed.time), "registered": times.write(registration.time),
        "partition": registration.partition, "inbox_number": arrived.delivery.inbox_number,
        "number": registration.number, "referral": signed.attributes.get("ce_referral"),
        "headers": pack(signed.record.without_letter().headers), "value": signed.data, "letter": signed.letter_bytes,
        "policy": registration.policy.name,
        **_columns_of(record, arrived, recipients),
    }  # fmt: skip
    case_keys.keep(desk.seat, tx, signed)
    position: int | None = tx.scalar(_PUT_EVENT, row)
    if is_own and arrived.event is not None:
        documents.go_on(desk.seat, tx, arrived.event)
    return position


def _columns_of(record: Verified, arrived: Delivered, recipients: tuple[str, ...]) -> dict[str, int | str | None]:
    """Return the columns of ``events`` that can be filled only by a release that reads the event."""
    data = arrived.event.data if arrived.event else None
    others = {*recipients, *(data.recipients if data else ())} - {arrived.registration.source}
    return {
        "technical": int(data is not None and data.technical), "recipients": json.dumps(sorted(others)),
        "parts": json.dumps(sorted(record.opened.parts)), "shut": record.opened.shut,
    }  # fmt: skip


def _released(desk: Desk, tx: Connection, record: Verified, arrived: Delivered, position: int) -> Stored:
    if arrived.forged:  # seen only now that the type is known; the row stays, and counts for nothing (`is_forged`)
        open_record_task(desk, tx, arrived, "forged")
        return Stored("forged")
    if arrived.event is None:
        raise DeskError("unknown_version" if arrived.unread == "unknown_version" else "unknown_type")
    row = tx.execute(_WAITING, {"position": position}).one()
    values = _columns_of(record, arrived, tuple(json.loads(row.recipients or "[]")))
    if row.has_no_letter:  # erased while the record waited or its letter opened: the row says so already
        del values["shut"], values["parts"]
    tx.execute(_READ_LATER, {"at_position": position, **values})
    # A program that asks by time for what is new may not have been able to read the event before.
    delivery = arrived.delivery
    at = {"at_partition": delivery.partition, "at_number": delivery.inbox_number, "at": desk.seat.stamp()}
    tx.execute(_RECEIVED_LATER, at)
    if arrived.registration.source == desk.seat.me:
        documents.go_on(desk.seat, tx, arrived.event)
    return Stored("handled", position=position)


def _repeated(desk: Desk, tx: Connection, record: Verified, arrived: Delivered) -> None:
    columns, delivery = tables.inbox.c, arrived.delivery
    if beginnings.is_before(desk.seat.ledger, delivery.partition, delivery.inbox_number):
        return  # a receipt from before this ledger came again
    same = (columns.partition == delivery.partition) & (columns.inbox_number == delivery.inbox_number)
    digest = tx.scalar(select(columns.digest).where(same))
    if digest == delivery.digest:
        verdicts.repeated(desk.seat, tx, arrived.registration)
        if (waits := desk.heard_again.get(arrived.registration.id)) is not None:
            desk.seat.ledger.then(waits.set)
        return
    # The chain that this desk holds is whole; another one under the same number is evidence, not news.
    raw = verify.record_of(record.consumed)
    _set_aside(desk, tx, record, SetAside("inbox_forked", raw.size(), raw.digest()))
    open_record_task(desk, tx, arrived, "inbox_forked")


def open_record_task(desk: Desk, tx: Connection, arrived: Delivered, kind: str, **more: str) -> None:
    """Open a task of *kind* about the delivery *arrived*, with its coordinates in the history."""
    said = arrived.registration
    about = json.dumps({"source": said.source, "number": said.number, "partition": said.partition, **more})
    open_task(tx, opened=desk.seat.stamp(), subject=said.subject, event_id=said.id, kind=kind, about=about)
