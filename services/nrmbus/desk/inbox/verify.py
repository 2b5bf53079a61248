"""First stage of an inbox transaction: signatures, order, and the letter, opened where it may be.

A record is a delivery (the registrar's registration of an event, and usually the event), a passing answer, or an
untrusted record. For an untrusted record only coordinates and digest are stored, never the content.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, Protocol

from sqlalchemy.exc import SQLAlchemyError

from nrmbus.desk.access import break_glass, opening
from nrmbus.desk.desk import Desk
from nrmbus.desk.errors import DeskError
from nrmbus.desk.letters import letters
from nrmbus.desk.procedure.interface import Result
from nrmbus.desk.state import beginnings
from nrmbus.desk.state.cases import is_forged
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store.ledger import Position
from nrmbus.events.model import Event
from nrmbus.wire.envelope import Signed, decode
from nrmbus.wire.errors import WireCode, WireError
from nrmbus.wire.record import ANSWER, DELIVERY, REGISTRATION, Record
from nrmbus.wire.registration import (
    Answer,
    Delivery,
    Registration,
    verify_answer,
    verify_delivery,
    verify_registration,
)

_NOT_ITS_FAULT: Final = (DeskError, SQLAlchemyError, sqlite3.Error, OSError)
"""Errors of the ledger and of what the desk reads: other records would fare no better."""


class Consumed(Protocol):
    """Part of a consumed Kafka record that a desk reads."""

    @property
    def partition(self) -> int:
        """Return the partition of the record."""

    @property
    def offset(self) -> int:
        """Return the offset of the record within its partition."""

    @property
    def key(self) -> bytes | None:
        """Return the case reference."""

    @property
    def value(self) -> bytes | None:
        """Return the envelope's data."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Return the envelope's attributes, the letter, and the registrar's statements."""


@dataclass(frozen=True, slots=True)
class Released:
    """Parked record that is handled again: the same bytes, and its position in the ledger."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    position: int
    consumer: object


@dataclass(frozen=True, slots=True)
class Delivered:
    """Delivery whose signatures hold; ``event`` is None if the registrar refused the event or this release cannot read it.

    ``forged`` is true if the source did not sign the registered event, or if only the timekeeper may publish its type.
    ``unread`` says why this release cannot read the event.
    """

    delivery: Delivery
    registration: Registration
    delivery_bytes: bytes
    registration_bytes: bytes
    signed: Signed | None
    event: Event | None
    forged: bool = False
    unread: WireCode | Literal["unknown_profile"] | None = None


@dataclass(frozen=True, slots=True)
class SetAside:
    """Record that no trusted key vouches for."""

    code: str
    size: int
    sha256: str


Arrived = Delivered | Answer | SetAside


@dataclass(frozen=True, slots=True)
class Verified:
    """Record of the inbox as the later stages read it; no stage changes it."""

    consumed: Consumed
    arrived: Arrived
    is_due: bool = False
    """True for a delivery to be stored now: the next of its partition, or a released one."""
    opened: letters.Opened = field(default_factory=letters.Opened)
    resealed: Result = field(default_factory=Result)
    """Answer of this desk to an emergency access that is due."""
    read_first: int | None = None
    """Offset that the inbox must be read to before the letter is opened or the emergency answered; None if nothing waits."""
    fault: Exception | None = None
    """Error of the record or its case that kept the letter closed; the third stage raises it, or parks the record."""

    @property
    def released(self) -> int | None:
        """Return the position in the ledger of a parked record that is released; None for a new record."""
        return self.consumed.position if isinstance(self.consumed, Released) else None

    @property
    def where(self) -> tuple[int, int]:
        """Return partition and offset."""
        return self.consumed.partition, self.consumed.offset


async def verify(desk: Desk, records: Sequence[Consumed]) -> list[Verified]:
    """Verify *records*, each of another case, and open their letters; each opening is recorded before the letter opens.

    The openings of all records are recorded in one transaction.

    Raises:
        DeskError: ``inbox_gap``, ``inbox_forked``: the inbox stops until a person has looked.
    """
    after = dict(desk.seat.ledger.positions)
    read_ones = [_in_order(desk.seat, Verified(each, await read(desk.seat, each)), after) for each in records]
    if len(read_ones) == 1:
        return [await _prepare(desk, read_ones[0])]
    found = await asyncio.gather(*(_prepare(desk, each) for each in read_ones), return_exceptions=True)
    verified = [each for each in found if isinstance(each, Verified)]
    for each in found:
        if isinstance(each, BaseException):
            raise each
    return verified


def _in_order(seat: Seat, record: Verified, after: dict[int, Position]) -> Verified:
    """Return *record*, due or not by the positions *after* the records before it, and move them on."""
    if not isinstance(record.arrived, Delivered):
        return record
    delivery = record.arrived.delivery
    if record.released is not None:
        return replace(record, is_due=True)
    position = after.get(delivery.partition, Position())
    if not beginnings.begins_with(seat.ledger, delivery) and not is_next(position, delivery):
        return record
    after[delivery.partition] = Position(delivery.inbox_number, delivery.digest)
    return replace(record, is_due=True)


async def _prepare(desk: Desk, record: Verified) -> Verified:
    """Return *record* with its opened letter and this desk's answer to an emergency that is due, or with its ``fault``.

    Raises the errors that are not the record's fault.
    """
    arrived = record.arrived
    if not isinstance(arrived, Delivered) or not record.is_due:
        return record
    try:
        return await _with_openings(desk, record, arrived)
    except _NOT_ITS_FAULT:
        raise
    except Exception as error:  # noqa: BLE001 - for example an earlier event of the case with which the Rules cannot go on
        return replace(record, fault=error)


async def _with_openings(desk: Desk, record: Verified, arrived: Delivered) -> Verified:
    if record.released is None and break_glass.is_due(desk.seat.me, arrived.event):
        record = replace(record, read_first=_read_before_answering(desk, record, arrived))
    if record.read_first is None:
        resealed = await break_glass.by_itself(desk, arrived.event, arrived.registration.time)
        record = replace(record, resealed=resealed)
    return await _open(desk, record, arrived)


def _read_before_answering(desk: Desk, record: Verified, arrived: Delivered) -> int | None:
    """Return the end to read to before an emergency is answered: a withdrawal or an objection may follow; None if at once."""
    end = desk.read_first(*record.where)
    if end is None and arrived.registration.subject in desk.parked:
        return record.where[1] + 1  # released with its case, even if the case is released before this is stored
    return end


async def _open(desk: Desk, record: Verified, arrived: Delivered) -> Verified:
    signed = arrived.signed
    if signed is None or arrived.event is None or arrived.registration.source == desk.seat.me:
        return record
    if record.released is None and opening.may_be_closed_later(desk, signed, *record.where):
        record = replace(record, read_first=desk.read_first(*record.where))
    if record.read_first is not None:
        return record
    purpose = "receipt" if record.released is None else "release"
    return replace(record, opened=await opening.open_letter(desk, signed, who=letters.DESK, purpose=purpose))


def record_of(consumed: Consumed) -> Record:
    """Return *consumed* as a wire record."""
    return Record(consumed.key, consumed.value, tuple(consumed.headers))


async def read(seat: Seat, consumed: Consumed) -> Arrived:
    """Return what *consumed* is; read the directory again before a key counts as unknown."""
    arrived = _read(seat, consumed)
    if isinstance(arrived, SetAside) or (isinstance(arrived, Delivered) and arrived.forged):
        known = seat.directory.number
        await seat.catch_up()
        if seat.directory.number > known:
            arrived = _read(seat, consumed)
    return arrived


def _read(seat: Seat, consumed: Consumed) -> Arrived:
    record = record_of(consumed)
    code: str
    try:
        submitted, added = record.split()
        if added.keys() == {ANSWER}:
            return _answer(seat, added[ANSWER])
        return _delivered(seat, consumed.partition, submitted, added)
    except WireError as error:
        code = error.code
    except DeskError as error:
        code = error.code
    return SetAside(code, record.size(), record.digest())


def _answer(seat: Seat, raw: bytes) -> Answer:
    answer = verify_answer(raw, seat.registrar_key)
    if (answer.bus, answer.to) != (seat.bus, seat.me):
        raise DeskError("not_a_delivery")
    return answer


def _delivered(seat: Seat, partition: int, submitted: Record, added: dict[str, bytes]) -> Delivered:
    if added.keys() != {REGISTRATION, DELIVERY}:
        raise DeskError("not_a_delivery")
    registration = verify_registration(added[REGISTRATION], seat.registrar_key)
    delivery = verify_delivery(added[DELIVERY], seat.registrar_key)
    if (
        {delivery.bus, registration.bus} != {seat.bus}
        or delivery.to != seat.me
        or {delivery.partition, registration.partition} != {partition}
        or delivery.registration != registration.digest
    ):
        raise DeskError("not_a_delivery")
    whole = (delivery, registration, added[DELIVERY], added[REGISTRATION])
    if registration.verdict == "refused":
        if registration.source != seat.me:
            raise DeskError("not_a_delivery")
        return Delivered(*whole, signed=None, event=None)
    signed = decode(submitted)
    if (signed.source, signed.subject, signed.id) != (registration.source, registration.subject, registration.id):
        raise DeskError("not_a_delivery")
    if (signed.digest, signed.sequence) != (registration.envelope, registration.sequence):
        raise DeskError("not_a_delivery")
    return _believed(seat, whole, signed)


def _believed(seat: Seat, whole: tuple[Delivery, Registration, bytes, bytes], signed: Signed) -> Delivered:
    registration = whole[1]
    try:
        signed.verify(seat.directory.any_verify_key(registration.source, registration.key))
    except WireError:
        return Delivered(*whole, signed=signed, event=None, forged=True)
    try:
        event = signed.event()
    except WireError as error:  # known to exist, not yet understood
        return Delivered(*whole, signed=signed, event=None, unread=error.code)
    if not seat.rules.is_installed(registration.policy.name, registration.policy.digest):
        return Delivered(*whole, signed=signed, event=None, unread="unknown_profile")
    forged = is_forged(seat.rules, event)
    return Delivered(*whole, signed=signed, event=None if forged else event, forged=forged)


def is_next(position: Position, delivery: Delivery) -> bool:
    """Return whether *delivery* is the next one of its partition; False if the ledger has it already.

    Raises:
        DeskError: ``inbox_gap`` if an earlier delivery is missing, ``inbox_forked`` if the last delivery is not its
            predecessor.
    """
    if delivery.inbox_number <= position.inbox_number:
        return False
    if delivery.inbox_number > position.inbox_number + 1:
        raise DeskError("inbox_gap")
    if delivery.previous != position.digest:
        raise DeskError("inbox_forked")
    return True
