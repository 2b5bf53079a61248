"""What lies in the inbox, read without believing any of it: who says so, to whom, and does it fit what came before.

A record is a delivery (the registrar's registration of an event, and usually the event), a passing answer, or nothing
that this desk has to believe: that is set aside, with coordinates and digest, never with what it held.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nrmbus.desk.errors import DeskError
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store.ledger import Position
from nrmbus.events.model import Event
from nrmbus.rules.clocks import TIMEKEEPER
from nrmbus.rules.due import SAID_WHEN_DUE
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


class Consumed(Protocol):
    """As much of a consumed Kafka record as a desk reads."""

    @property
    def partition(self) -> int:
        """The partition it lies on."""

    @property
    def offset(self) -> int:
        """Where it lies there."""

    @property
    def key(self) -> bytes | None:
        """The case."""

    @property
    def value(self) -> bytes | None:
        """The envelope's data."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """The envelope's attributes, the letter, and what the registrar says."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """A delivery whose signatures hold. ``event`` is none where the registrar refused, or this release cannot read it.

    ``forged`` is true when the registrar registered something that its source did not sign, or that the timekeeper alone
    says; ``unread`` says why this release cannot read it.
    """

    delivery: Delivery
    registration: Registration
    delivery_bytes: bytes
    registration_bytes: bytes
    signed: Signed | None
    event: Event | None
    forged: bool = False
    unread: WireCode | None = None


@dataclass(frozen=True, slots=True)
class SetAside:
    """A record that nobody whom this desk believes has put there."""

    code: str
    size: int
    sha256: str


Arrived = Delivered | Answer | SetAside


def record_of(consumed: Consumed) -> Record:
    """The record as the wire knows it."""
    return Record(consumed.key, consumed.value, tuple(consumed.headers))


async def read(seat: Seat, consumed: Consumed) -> Arrived:
    """Read one record of the inbox; the directory is read again before a key is called unknown."""
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
    # A desk erases, and seals anew, because the timekeeper says that it is time: nobody else does, whoever registers it.
    forged = event.type in SAID_WHEN_DUE and seat.rules.role_of(event.source) != TIMEKEEPER
    return Delivered(*whole, signed=signed, event=None if forged else event, forged=forged)


def is_next(position: Position, delivery: Delivery) -> bool:
    """Whether *delivery* is the due one of its partition; false for one that came before.

    Raises:
        DeskError: ``inbox_gap`` when one before it is missing, ``inbox_forked`` when it does not follow the last one.
    """
    if delivery.inbox_number <= position.inbox_number:
        return False
    if delivery.inbox_number > position.inbox_number + 1:
        raise DeskError("inbox_gap")
    if delivery.previous != position.digest:
        raise DeskError("inbox_forked")
    return True
