"""Destruction by an agency that leaves: the letters, and their keys, of each case that is signed as deleted."""

import sqlite3
from collections.abc import Collection
from contextlib import suppress
from typing import Final

import sqlalchemy as sql
from sqlalchemy.exc import SQLAlchemyError

from nrmbus.bus.wall_clock import wall_now
from nrmbus.desk.erasure import rounds
from nrmbus.desk.errors import DeskError
from nrmbus.desk.outbox import documents
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import Ledger
from nrmbus.desk.store.place import Place, exists
from nrmbus.events.bulletin import is_bulletin
from nrmbus.wire import times

_KNOWN: Final = sql.select(tables.events.c.subject).union(sql.select(tables.outbox.c.subject))
"""Subjects of which something was sent or received."""


async def delete(place: Place, *, bus: str, agency: str, cases: Collection[str]) -> bool:
    """Destroy the letters of *cases*, and their keys, in the ledger at *place*; return whether there is a ledger.

    Their tasks are closed. Drafts, uploads and labels of cases of which nothing was sent or received are destroyed too, whatever *cases* has.
    Envelopes, registrations and the record of readings stay, as after an erasure. Idempotent.

    Raises:
        DeskError: ``ledger_foreign``; ``still_open`` if an event of these cases is unanswered; ``ledger_in_use`` if
            deleted pages could not be emptied: the deletion may not be signed yet.
    """
    if not exists(place):
        return False
    ledger = await Ledger.open(place, bus=bus, agency=agency)
    try:
        async with ledger.write() as tx:
            for case in cases:
                if rounds.may_be_sent(tx, case):
                    raise DeskError("still_open")
            rounds.erase(tx, cases)
            now = times.write(wall_now())
            for case in cases:  # one by one: PostgreSQL takes 65,535 values in a statement
                rounds.close_tasks(tx, tables.tasks.c.subject == case, at=now)
            # A case that was only typed is in no list, so nothing else would end its drafts, uploads and label.
            for table in (tables.case_labels, tables.assignments, tables.drafts):
                tx.execute(sql.delete(table).where(table.c.subject.not_in(_KNOWN)))
            documents.drop(tx, tables.documents.c.subject.not_in(_KNOWN))
        with suppress(SQLAlchemyError, sqlite3.Error):  # a full disk counts as in use
            await ledger.off_the_disk()
        if ledger.holds_deleted:
            raise DeskError("ledger_in_use")
    finally:
        await ledger.close()
    return True


async def part_in(place: Place, *, bus: str, agency: str) -> tuple[str, ...]:
    """Return every case with an event in the ledger at *place*, sent or received; empty if there is no ledger.

    Raises:
        DeskError: ``ledger_foreign``.
    """
    if not exists(place):
        return ()
    ledger = await Ledger.open(place, bus=bus, agency=agency)
    try:
        with ledger.read() as tx:
            return tuple(sorted(each for each in tx.execute(_KNOWN).scalars() if not is_bulletin(each)))
    finally:
        await ledger.close()
