"""Integrity of the ledger: comparison with the registrar's deliveries, to find manual edits.

If somebody removed a withdrawal, the desk would disclose letters against the person's will. If somebody swapped two
letters, a reading would be recorded for the wrong letter. Each delivery names the previous delivery, so removed,
inserted and changed records are found without a signature. Edits made after the check do not change the views in
memory.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, or_, select

from nrmbus import telemetry
from nrmbus.desk.state.cases import unpack
from nrmbus.desk.store import tables
from nrmbus.desk.store.different import different
from nrmbus.desk.store.ledger import Ledger, Position, open_task
from nrmbus.wire import times
from nrmbus.wire.envelope import decode
from nrmbus.wire.errors import WireError
from nrmbus.wire.registration import Delivery, Registration
from nrmbus.wire.statement import body_of

TASK: Final = "ledger_altered"

_SENTENCE: Final = (
    "The ledger does not say what the registrar delivered: somebody has edited it, or its disk is damaged. No letter that it "
    "is about is opened. Ask who has access to {}. Wait until nrmbus status shows no unanswered event, stop the "
    "desk, keep a copy of the ledger, and put a backup in its place: {}. "
    "The desk then reads the rest again from its inbox."
)
_OF_A_FILE: Final = ("this machine", "nrmbus restore DIR --part ledger --agency AGENCY --over-newer")
_OF_A_SERVER: Final = ("its PostgreSQL server", "the newest one of its database, by the server's own means")
_AT_A_TIME: Final = 200
_INBOX, _EVENTS, _TASKS = tables.inbox.c, tables.events.c, tables.tasks.c
_WITH_DELIVERIES: Final = different(_INBOX.partition)


class Unaltered:
    """Findings of a desk about its own *ledger* since the start; *stamp* is the bus's time."""

    def __init__(self, ledger: Ledger, stamp: Callable[[], str]) -> None:
        self._ledger, self._stamp = ledger, stamp
        self._turn = asyncio.Lock()
        self._seen: dict[int, Position] = {}
        self._altered: dict[str, str] = {}
        """Altered cases, with the place of the first difference; the empty name stands for a missing delivery."""
        self._told: set[str] = set()
        """Altered cases whose task is in the ledger. On a full disk none can be opened, so a later look tries again."""

    async def is_altered(self, subject: str) -> bool:
        """Return whether the case *subject* differs from its deliveries, or cannot be compared; open a task if so."""
        await self.look(subject)
        return "" in self._altered or subject in self._altered

    async def look(self, subject: str | None = None) -> None:
        """Check all records since the last check (the first time all), and every stored event of *subject*."""
        async with self._turn:
            with self._ledger.read() as tx:
                positions, firsts = _positions(tx), _firsts(tx)
                for row in tx.execute(_of_no_delivery(subject)):
                    self._altered.setdefault(row.subject, f"{row.partition}/{row.inbox_number}")
            for partition, last in positions:
                self._deliveries(partition, firsts.get(partition, Position()), last)
            if new := self._altered.keys() - self._told:
                await self._tell(sorted(new))
                self._told |= new

    async def _tell(self, subjects: list[str]) -> None:
        telemetry.handled("alarm", code=TASK)
        sentence = _SENTENCE.format(*(_OF_A_FILE if isinstance(self._ledger.place, Path) else _OF_A_SERVER))
        async with self._ledger.write() as tx:
            for subject in subjects:
                about = json.dumps({"code": TASK, "sentence": sentence})
                where = self._altered[subject]
                open_task(tx, opened=self._stamp(), subject=subject, event_id=where, kind=TASK, about=about)

    def _deliveries(self, partition: int, first: Position, last: Position) -> None:
        """Check the unchecked deliveries of *partition*, which follow *first*, up to its *last*, in short snapshots."""
        at = self._seen.get(partition, first)
        while at.inbox_number < last.inbox_number:
            with self._ledger.read() as tx:
                rows = tx.execute(_after(partition, at.inbox_number)).all()
            for row in rows:
                at = self._delivery(row, at) if row.inbox_number <= last.inbox_number else at
            if len(rows) < _AT_A_TIME:
                break
        if (at.inbox_number, at.digest) != (last.inbox_number, last.digest):
            self._altered.setdefault("", f"{partition}/{last.inbox_number}")
        if at.inbox_number:  # after a lost ledger, only the first delivery says with which number the ledger begins
            self._seen[partition] = at

    def _delivery(self, row: Row[Any], before: Position) -> Position:
        where = f"{row.partition}/{row.inbox_number}"
        try:
            delivery = Delivery.parse(body_of("delivery", row.delivery))
            said = Registration.parse(body_of("registration", row.registration))
        except (WireError, ValueError, TypeError):
            self._altered.setdefault("", where)
            return Position(row.inbox_number, row.digest)
        in_turn = (delivery.inbox_number, delivery.previous) == (before.inbox_number + 1, before.digest)
        as_stored = (row.inbox_number, row.number, row.subject, row.source, row.id, row.verdict)
        as_signed = (delivery.inbox_number, said.number, said.subject, said.source, said.id, said.verdict)
        if not in_turn or delivery.registration != said.digest or as_stored != as_signed:
            self._altered.setdefault("", where)
        elif said.verdict == "registered" and not _is_there(row, said):
            self._altered.setdefault(said.subject, where)
        return Position(row.inbox_number, delivery.digest)


def _positions(tx: Connection) -> list[tuple[int, Position]]:
    # A partition with deliveries but without a position was edited: no delivery has the number -1.
    found = {partition: Position(-1) for partition in tx.scalars(_WITH_DELIVERIES)}
    for row in tx.execute(select(tables.positions)):
        found[row.partition] = Position(row.inbox_number, row.digest)
    return sorted(found.items(), key=lambda each: each[0])


def _firsts(tx: Connection) -> dict[int, Position]:
    """Return the position before the ledger's first delivery, for each partition on which earlier deliveries may be missing.

    Read in the snapshot of the positions: memory follows a commit a moment later.
    """
    known = select(tables.beginnings).where(tables.beginnings.c.inbox_number.is_not(None))
    return {row.partition: Position(row.inbox_number - 1, row.previous) for row in tx.execute(known)}


def _after(partition: int, inbox_number: int) -> Any:
    """Select the next deliveries, each with its stored event, and with the task if the event was found forged."""
    of_event = and_(_EVENTS.subject == _INBOX.subject, _EVENTS.source == _INBOX.source, _EVENTS.id == _INBOX.id)
    forged = and_(_TASKS.subject == _INBOX.subject, _TASKS.event == _INBOX.id, _TASKS.kind == "forged")
    event = (_EVENTS.headers, _EVENTS.value, _EVENTS.type, _EVENTS.registered)
    return (
        select(tables.inbox, *event, _TASKS.id.label("forged"))
        .outerjoin(tables.events, of_event)
        .outerjoin(tables.tasks, forged)
        .where(_INBOX.partition == partition, _INBOX.inbox_number > inbox_number)
        .order_by(_INBOX.inbox_number)
        .limit(_AT_A_TIME)
    )


def _is_there(row: Row[Any], said: Registration) -> bool:
    """Return whether the event of the delivery *row* is stored as registered; a forged event is never stored."""
    if row.headers is None:
        return row.forged is not None
    try:
        signed = decode(unpack(row.subject, row.headers, row.value))
    except (WireError, ValueError, TypeError):
        return False
    as_stored = (signed.source, signed.id, signed.type, signed.sequence, signed.digest, row.type, row.registered)
    as_signed = (said.source, said.id, row.type, said.sequence, said.envelope, signed.type, times.write(said.time))
    return signed.fits and as_stored == as_signed


def _of_no_delivery(subject: str | None) -> Any:
    """Select stored events, of *subject* or all, without a matching delivery: inserted, or moved from another case."""
    at = and_(_INBOX.partition == _EVENTS.partition, _INBOX.inbox_number == _EVENTS.inbox_number)
    other = or_(
        _INBOX.id.is_(None),
        _INBOX.id != _EVENTS.id,
        _INBOX.source != _EVENTS.source,
        _INBOX.subject != _EVENTS.subject,
        _INBOX.number != _EVENTS.number,
        _INBOX.verdict != "registered",
    )
    rows = select(_EVENTS.subject, _EVENTS.partition, _EVENTS.inbox_number).outerjoin(tables.inbox, at)
    return rows.where(other) if subject is None else rows.where(other, _EVENTS.subject == subject)
