"""Opening of letters: by the desk when a letter comes, by a person at the door, and never around these two ways.

A letter that arrived by consent stays closed after the person refused or withdrew consent for this agency, and each
letter once the agency's access to the case was ended. A letter that was read before may be opened again only if the agency has confirmed a legal duty to retain it. Before a person
reads, the registrar registers ``access.granted``. The registration comes back through the inbox, so every earlier
event has been read by then, including a withdrawal.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property, partial
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, func, or_, select

from nrmbus.desk.desk import Desk
from nrmbus.desk.erasure import rounds
from nrmbus.desk.errors import DeskError
from nrmbus.desk.letters import letters
from nrmbus.desk.outbox import queue
from nrmbus.desk.procedure.interface import BY_ITSELF
from nrmbus.desk.state import beginnings, parking
from nrmbus.desk.state.cases import known, signed_of
from nrmbus.desk.store import tables
from nrmbus.events.access import Access, AccessGranted, AccessPurpose, is_reader
from nrmbus.events.delivery import LetterKeptShut, LetterOpened, LetterUnreadable
from nrmbus.events.document import DocumentChunkSent
from nrmbus.events.errors import Problem
from nrmbus.events.model import Data, Draft, Event, Part
from nrmbus.rules import View
from nrmbus.wire.envelope import Signed
from nrmbus.wire.ids import said_by_itself

MOST: Final = 50
"""Largest number of letters per request: each opening is an event, and events of a case wait for each other."""

WITHIN_SECONDS: Final = 20.0
"""Seconds that the registrar may take to register a reading; after that nothing is opened."""

READ_ON_SECONDS: Final = 2.0
"""Seconds that a reading waits at least for the records behind a letter; a desk that is up reads these within milliseconds."""

_WITHDRAWING: Final = ("consent.refused", "consent.withdrawn", "access.revoked")

_PASSING: Final = "not_available"
"""Trouble of an inbox that ends without a person, except in a partition that is in `Desk.failing`."""

_EVENTS, _OUTBOX, _PARKED = tables.events.c, tables.outbox.c, tables.parked.c
_PLAIN: Final = tuple(each for each in _EVENTS if each.name != "letter")
_DESTROYED: Final = select(_EVENTS.position).where(
    _EVENTS.subject == bindparam("subject"), _EVENTS.source == bindparam("source"), _EVENTS.id == bindparam("id"),
    _EVENTS.letter.is_(None), _EVENTS.shut == letters.ERASED,
)  # fmt: skip
_UNREAD_WORD: Final = (
    select(_PARKED.position)
    .join(tables.events, _EVENTS.position == _PARKED.position)
    .where(
        _PARKED.subject == bindparam("subject"),
        or_(*(_EVENTS.type == each for each in _WITHDRAWING)),
        or_(*(_PARKED.error == each for each in parking.NOT_READ)),
    )
    .limit(1)
)


async def open_letter(
    desk: Desk, signed: Signed, *, who: str, purpose: str, system: str | None = None
) -> letters.Opened:
    """Open this desk's copy of the letter of *signed*, each part on record first; ``shut`` says why it stayed closed."""
    shut = partial(why_shut, desk, signed)
    return await letters.open_copy(desk.seat, signed, who=who, purpose=purpose, why_shut=shut, system=system)


def rests_on_consent(desk: Desk, signed: Signed) -> bool:
    """Return whether a withdrawal could close the letter of *signed* and a part is sealed to this desk."""
    rows = [profile.types.get(signed.type) for profile in desk.seat.rules.profiles]
    return any(row is None or not row.stops for row in rows) and bool(letters.copy_of(desk.seat, signed)[1])


def may_be_closed_later(desk: Desk, signed: Signed, partition: int, offset: int) -> bool:
    """Return whether a later record than *offset*, to be read first, may close the letter of *signed*.

    After a loss of the ledger, when the inbox is read again, this may also be an erasure.
    """
    if beginnings.is_read_again(desk.seat.ledger, partition, offset):
        return bool(letters.copy_of(desk.seat, signed)[1])
    return rests_on_consent(desk, signed)


class OfCase:
    """Facts of one case that may keep its letters closed: each is read at most once in the snapshot *tx*, for all letters."""

    def __init__(self, desk: Desk, tx: Connection, subject: str) -> None:
        """Read nothing yet."""
        self._desk, self._tx, self._subject = desk, tx, subject

    @cached_property
    def view(self) -> View:
        """Return this desk's view of the case."""
        return self._desk.cases.view(self._tx, self._subject)

    @cached_property
    def orders(self) -> rounds.Orders:
        """Return the orders that letters of the case be destroyed."""
        return rounds.orders(self._desk.seat, self._tx, self._subject)

    @cached_property
    def has_unread_word(self) -> bool:
        """Return whether the person may have withdrawn consent in an event that this release cannot read yet."""
        return self._tx.execute(_UNREAD_WORD, {"subject": self._subject}).first() is not None

    @cached_property
    def read_before(self) -> frozenset[tuple[str, str]]:
        """Return source and event of each letter that a person has read."""
        reads = tables.reads.c
        rows = select(reads.source, reads.event).where(reads.subject == self._subject, reads.who != letters.DESK)
        return frozenset((row.source, row.event) for row in self._tx.execute(rows))


def why_shut(desk: Desk, signed: Signed, tx: Connection, of_case: OfCase | None = None) -> letters.Shut | None:
    """Return why the case's events or erasures keep the letter of *signed* closed; None if it may open.

    This agency's own letter is closed by an erasure alone. *of_case* is given for several letters of the case.
    """
    orders = None if of_case is None else of_case.orders
    if signed.source == desk.seat.me:
        kept = select(_OUTBOX.letter).where(_OUTBOX.subject == signed.subject, _OUTBOX.id == signed.id)
        return letters.ERASED if rounds.is_due(desk.seat, tx, signed, orders) or tx.scalar(kept) is None else None
    if _is_destroyed(tx, signed) or rounds.is_due(desk.seat, tx, signed, orders):
        return letters.ERASED
    return letters.KEPT_SHUT if _is_kept_shut(desk, signed, of_case or OfCase(desk, tx, signed.subject)) else None


def _is_destroyed(tx: Connection, signed: Signed) -> bool:
    """Return whether the letter was destroyed after the row was read, for example while the reading was registered."""
    return tx.scalar(_DESTROYED, {"subject": signed.subject, "source": signed.source, "id": signed.id}) is not None


def _is_kept_shut(desk: Desk, signed: Signed, of_case: OfCase) -> bool:
    event = known(signed)
    if event is None:
        return False  # of a type or version that this release cannot open at all
    rules, now = desk.seat.rules, desk.seat.now()
    view = of_case.view
    if not rules.keeps_shut(view, event, desk.seat.me, now):
        return rests_on_consent(desk, signed) and of_case.has_unread_word
    stop = view.stops.get(desk.seat.me)
    retained = stop is not None and stop.answer == "must_retain" and not rules.shuts_out(view, desk.seat.me, now)
    return not (retained and (signed.source, signed.id) in of_case.read_before)


def owes_receipt(event: Event, opened: letters.Opened) -> bool:
    """Return whether the sender is told about the letter: of a chunk that opened, the announcement's receipt is enough."""
    return event.type != DocumentChunkSent.type or opened.shut is not None


def receipt(me: str, event: Event, opened: letters.Opened, at: datetime) -> Draft:
    """Return the receipt of *me* for the letter of *event*: opened, unreadable with a reason, or kept shut."""
    data: Data = LetterOpened()
    match opened.shut:
        case None:
            pass
        case "consent_withdrawn" | "erased" | "ledger_altered":
            data = LetterKeptShut()
        case reason:
            data = LetterUnreadable(reason=reason)
    return Draft(
        type=data.type, version=data.version, subject=event.subject, data=data, time=at, actor=BY_ITSELF,
        causationid=event.id, id=said_by_itself(me, event.id, "letter"),
    )  # fmt: skip


# What people read


def reader(desk: Desk, actor: str | None) -> str:
    """Return the reader: *actor*, or else the ``reader`` of ``agency.json``, who answers for the agency's system.

    Raises:
        DeskError: ``reader_unnamed``: neither is there.
    """
    found = actor or desk.reader
    if found is None:
        raise DeskError("reader_unnamed")
    return found


def access(
    desk: Desk,
    subject: str,
    what: Access,
    *,
    who: str,
    purpose: AccessPurpose,
    parts: Iterable[Part] = (),
    event: str | None = None,
) -> Draft:
    """Return the event to register before *who* reads or hands on *what* of the case *subject*.

    Raises:
        DeskError: ``unknown_field``: *who* is no number, or a name of machines, under which no person reads.
    """
    if not is_reader(who):
        raise DeskError("unknown_field", [Problem("?actor", "string_pattern_mismatch")])
    data = AccessGranted(what=what, purpose=purpose, parts=tuple(parts) or None, event=event)
    now = desk.seat.now()
    return Draft(type=data.type, version=data.version, subject=subject, data=data, time=now, actor=who)


@dataclass(frozen=True, slots=True)
class LettersToOpen:
    """Letters to open, by position: events to register first, and reasons why other letters stay closed."""

    due: Mapping[int, Draft]
    shut: Mapping[int, letters.Shut]


async def to_open(desk: Desk, rows: Iterable[Row[Any]], *, who: str, purpose: AccessPurpose) -> LettersToOpen:
    """Return the letters of *rows* that *who* may open after registration, and why the others stay closed."""
    closed = [row for row in rows if can_open(desk.seat.me, row)]
    altered = {subject for subject in {row.subject for row in closed} if await desk.unaltered.is_altered(subject)}
    shut: dict[int, letters.Shut] = {row.position: letters.ALTERED for row in closed if row.subject in altered}
    due = {}
    with desk.seat.ledger.read() as tx:
        of_case = cache(partial(OfCase, desk, tx))
        for row in closed:
            if row.position in shut:
                continue
            signed = signed_of(row)
            parts = letters.copy_of(desk.seat, signed)[1]
            if parts and (why := why_shut(desk, signed, tx, of_case(row.subject))) is not None:
                shut[row.position] = why
            elif parts:
                how: dict[str, Any] = {"who": who, "purpose": purpose, "parts": parts, "event": row.id}
                due[row.position] = access(desk, row.subject, "letter", **how)
    return LettersToOpen(due, shut)


def can_open(me: str, row: Row[Any]) -> bool:
    """Return whether the letter of *row* opened on arrival and can be opened again; chunks open as their document alone.

    A row of `with_letters` has this agency's own letters too, which it can open since it wrote them.
    """
    return row.letter is not None and row.type != DocumentChunkSent.type and (row.parts != "[]" or row.source == me)


def opens_soon(desk: Desk, tx: Connection, row: Row[Any]) -> bool:
    """Return whether the letter of the received *row* opens as soon as the desk has read on.

    False if something lasting is in the way: a person, an upgrade or a repair, for the case or for the row's partition.
    """
    is_closed = row.letter is not None and row.parts == "[]" and row.shut is None
    if row.error is None or not is_closed or row.type == DocumentChunkSent.type:
        return False
    if desk.seat.troubles.get(row.partition, _PASSING) != _PASSING or row.partition in desk.failing:
        return False
    if not letters.copy_of(desk.seat, signed_of(row))[1]:
        return False
    return parking.goes_on_soon(tx, row.subject, row.position, desk.seat.rules)


def with_letters(me: str, letter: ColumnElement[Any] | None = None) -> Select[Any]:
    """Return the query for events with their letters, this agency's own as they were sent; or with *letter* in their place."""
    own = and_(_EVENTS.source == me, _OUTBOX.subject == _EVENTS.subject, _OUTBOX.id == _EVENTS.id)
    kept = func.coalesce(_OUTBOX.letter, _EVENTS.letter) if letter is None else letter
    return select(*_PLAIN, kept.label("letter")).outerjoin(tables.outbox, own)


async def put(desk: Desk, drafts: Iterable[Draft]) -> list[tuple[str, str]]:
    """Put *drafts* into the outbox in one transaction; return subject and id of each."""

    def place(tx: Connection) -> list[tuple[str, str]]:
        return [(draft.subject, queue.put(desk.seat, tx, draft, origin="door")) for draft in drafts]

    return await desk.seat.ledger.together(place)
