"""What an agency that leaves destroys: of each case that it signs as deleted, what opens its letters."""

import sqlite3
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from sqlalchemy import select

from nrmbus.desk.erasure import rounds
from nrmbus.desk.errors import DeskError
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import Ledger


async def delete(path: Path, *, bus: str, agency: str, cases: Collection[str]) -> bool:
    """Destroy in the ledger at *path* what opens the letters of *cases*, and the letters; whether there is a ledger.

    Envelopes, registrations and who read what stay, as after an erasure. Done twice, the second changes nothing.

    Raises:
        DeskError: ``ledger_foreign``; ``still_open`` when something of these cases was not answered yet; ``ledger_in_use``
            when it is destroyed and its pages could not be emptied: nobody may sign yet that it is gone.
    """
    if not path.exists():
        return False
    ledger = await Ledger.open(path, bus=bus, agency=agency)
    try:
        async with ledger.write() as tx:
            for case in cases:
                if await rounds.may_be_sent(tx, case):
                    raise DeskError("still_open")
            await rounds.erase(tx, cases)
        with suppress(sqlite3.Error):  # a full disk: as if it were held
            await rounds.off_the_disk(ledger)
        if ledger.holds_deleted:
            raise DeskError("ledger_in_use")
    finally:
        await ledger.close()
    return True


async def part_in(path: Path, *, bus: str, agency: str) -> tuple[str, ...]:
    """Every case of which the ledger at *path* has that the agency said or was told something; none where there is no ledger.

    Raises:
        DeskError: ``ledger_foreign``.
    """
    if not path.exists():
        return ()
    ledger = await Ledger.open(path, bus=bus, agency=agency)
    try:
        known = select(tables.events.c.subject).union(select(tables.outbox.c.subject))
        async with ledger.read() as tx:
            return tuple(sorted((await tx.execute(known)).scalars()))
    finally:
        await ledger.close()
