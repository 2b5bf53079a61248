"""Cases as this desk sees them: a fold of all sent and received events, by the Rules that every agency uses."""

import json
from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, bindparam, literal_column, null, select

from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.events.model import Event, Fact
from nrmbus.events.policy import ProfileActivated
from nrmbus.rules import Rules, View
from nrmbus.rules.due import SAID_WHEN_DUE
from nrmbus.rules.running import TIMEKEEPER
from nrmbus.wire import times
from nrmbus.wire.envelope import Signed, decode
from nrmbus.wire.errors import WireError
from nrmbus.wire.record import LETTER, Record

_KEPT: Final = 1_000
"""Number of cases whose view stays in memory; other cases are folded again from the ledger."""

NEWEST: Final = 2**63 - 1
"""Largest position in a ledger."""

_EVENTS = tables.events.c
_AFTER: Final[Select[Any]] = (
    select(*(each for each in _EVENTS if each.name != "letter"), null().label("letter"))  # a fold reads no letter
    .where(
        _EVENTS.subject == bindparam("subject"),
        _EVENTS.position > bindparam("position"),
        _EVENTS.position <= bindparam("until"),
    )
    .order_by(_EVENTS.position)
)

_ACTIVATIONS: Final = select(tables.events).where(_EVENTS.type == literal_column(f"'{ProfileActivated.type}'"))


def pack(headers: tuple[tuple[str, bytes], ...]) -> bytes:
    """Return the headers of a record for one column; the wire has checked that they are printable ASCII."""
    return json.dumps([[name, value.decode("ascii")] for name, value in headers]).encode()


def unpack(subject: str, headers: bytes, value: bytes, letter: bytes | None = None) -> Record:
    """Return the record that `pack` took apart, with its *letter*."""
    pairs = tuple((name, text.encode("ascii")) for name, text in json.loads(headers))
    record = Record(subject.encode(), value, pairs)
    return record if letter is None else record.with_header(LETTER, letter)


def signed_of(row: Row[Any] | Mapping[str, Any]) -> Signed:
    """Return the signed event in a row of ``events`` or ``outbox``, as received or sent."""
    get = row._mapping if isinstance(row, Row) else row  # noqa: SLF001 - SQLAlchemy's public name for it
    return decode(unpack(get["subject"], get["headers"], get["value"], get["letter"]))


def event_of(row: Row[Any]) -> Event | None:
    """Return the event in a row of ``events``, as published; None if this release does not have its type or version."""
    return known(signed_of(row))


def known(signed: Signed) -> Event | None:
    """Return the *signed* event; None if this release does not have its type or version."""
    try:
        return signed.event()
    except WireError:
        return None


def is_forged(rules: Rules, event: Event) -> bool:
    """Return whether only the timekeeper may publish *event*, and another agency did.

    A desk erases and seals again only if the timekeeper publishes that this is due, even for registered events.
    """
    return event.type in SAID_WHEN_DUE and rules.role_of(event.source) != TIMEKEEPER


class Cases:
    """Views of this desk's cases. Only committed views are kept in memory."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._kept: OrderedDict[str, tuple[int, View]] = OrderedDict()

    def view(
        self, tx: Connection, subject: str, up_to: int | None = None, read: Mapping[int, Event] = MappingProxyType({})
    ) -> View:
        """Return this desk's view of the case in *tx*, or its view after the event at position *up_to*.

        *read* has events, by position, that need not be read from their rows.
        """
        position, view = self._kept.get(subject, (0, None))
        if view is None or (up_to is not None and up_to < position):
            position, view = 0, self._seat.rules.start(subject)
        until = NEWEST if up_to is None else up_to
        for row in tx.execute(_AFTER, {"subject": subject, "position": position, "until": until}).all():
            view = self._after(view, row, read.get(row.position) or event_of(row))
        return view

    def _after(self, view: View, row: Row[Any], event: Event | None) -> View:
        registered = times.read(row.registered)
        is_known = row.policy is None or self._seat.rules.knows(row.policy)
        if event is None or registered is None or not is_known or is_forged(self._seat.rules, event):
            return view
        return self._seat.rules.evolve(
            view, Fact.of(event, tuple(json.loads(row.recipients)), registered, row.number, row.policy)
        )

    def activate(self, tx: Connection) -> None:
        """Have the Rules take every activation of a profile that this desk sent or received."""
        for row in tx.execute(_ACTIVATIONS):
            event, registered = event_of(row), times.read(row.registered)
            if event is not None and registered is not None:
                self._seat.rules.activate(Fact.of(event, (), registered, row.number, row.policy))

    def keep(self, subject: str, position: int, view: View) -> None:
        """Remember a view whose last event is committed at *position*."""
        self._kept[subject] = (position, view)
        self._kept.move_to_end(subject)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
