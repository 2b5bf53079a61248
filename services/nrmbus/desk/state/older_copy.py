"""Older copy of a ledger: a backup was put back, or another host's copy runs now.

The bus remembers outside every folder: the generation of the newest lease, the acknowledged offsets of the inbox, and the
registrar's receipts. A ledger behind one of them is an older copy. Reading the inbox again brings back what the bus can
give; before that the desk sends nothing.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select

from nrmbus import telemetry
from nrmbus.bus.kafka.lease import Standing
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import Ledger, Position, open_task
from nrmbus.telemetry import log

TASK: Final = "ledger_older"
"""Kind of the task for an older copy, and its name in `/health`."""

_NOTE: Final = "older_copy"
_GENERATION: Final = "generation"
_GONE: Final = (
    "What it had not sent yet, who had read which letter and which tasks were done does not come back: compare with the "
    "agency's own files, and enter again what is missing."
)
_LETTERS: Final = (
    "Letters of some cases ({keys}) do not open any more, since their keys are sealed to a sealing key that was destroyed "
    "after the copy was made: ask their senders to send them again."
)
_KEYS: Final = (
    "The directory names keys of this agency that this folder does not have, so nothing is sent. If keys/ was put back too, "
    "put its newest copy in place and start again; if that is gone for good, ask for new keys with nrmbus agency lost. If "
    "keys/ was not put back, another person may speak as this agency: follow the task entry_not_asked."
)
_TOO_OLD: Final = (
    "Kafka no longer has what follows the copy: stop the desk, {}, "
    "and start again. The desk then begins with what Kafka has, and says since when it knows everything."
)
_FILE_AWAY: Final = "move ledger.sqlite and the files beside it to another folder, keep them"
_DATABASE_AWAY: Final = "name an empty database in `ledger` of agency.json, keep the one before"
_INBOX, _OUTBOX = tables.inbox.c, tables.outbox.c


async def look(seat: Seat, standing: Standing) -> int:
    """Return the generation of this start, and note in the ledger if it is an older copy than the *standing* on the bus.

    Call before the inbox is read.
    """
    ledger = seat.ledger
    known, last = int(ledger.notes.get(_GENERATION, "0")), standing.lease.generation if standing.lease else 0
    behind = any(at > ledger.positions.get(each, Position()).next_offset for each, at in standing.offsets.items())
    async with ledger.write() as tx:
        ledger.note(tx, _GENERATION, str(max(known, last) + 1))
        if ledger.positions and (behind or known < last):
            _note(seat, tx, _begun(seat, tx, read_to(ledger)))
            telemetry.handled("alarm", code=TASK)
    return max(known, last) + 1


def read_to(ledger: Ledger) -> dict[str, int]:
    """Return the number of the last delivery of each partition that *ledger* has read."""
    return {str(each): at.inbox_number for each, at in ledger.positions.items()}


def _begun(seat: Seat, tx: Connection, since: Mapping[str, int]) -> dict[str, Any]:
    # Rows are numbered in another order than before: a program that follows them must begin again.
    seat.ledger.name_anew(tx)
    ends = tx.scalar(select(func.max(_INBOX.received)).where(~_after(since)))
    return {"noticed": seat.stamp(), "ends": ends, "read_to": since}


def _note(seat: Seat, tx: Connection, found: Mapping[str, Any]) -> None:
    seat.ledger.note(tx, _NOTE, json.dumps(found))


def is_behind(ledger: Ledger) -> bool:
    """Return whether the ledger is an older copy that has not caught up yet."""
    found = _noted(ledger)
    return found is not None and "again" not in found


def shown(seat: Seat) -> Mapping[str, Any] | None:
    """Return the entry of `/health` for an older copy, or None if the ledger never was one.

    ``again`` counts the deliveries that were read again, and ``own`` the receipts among them for events that the copy does
    not have. Both are None until the desk has caught up.
    """
    found = _noted(seat.ledger)
    if found is None:
        return None
    return {name: found.get(name) for name in ("noticed", "ends", "again", "own")} | {
        "caught_up": "again" in found,
        "sentence": _sentence(seat, found),
    }


def _noted(ledger: Ledger) -> dict[str, Any] | None:
    raw = ledger.notes.get(_NOTE)
    return json.loads(raw) if raw is not None else None


def _sentence(seat: Seat, found: Mapping[str, Any]) -> str:
    copy = f"On {found['noticed']} this desk began with an older copy of its ledger, which ends on {found['ends']}."
    keys = f" {_KEYS}" if seat.own is not None and seat.own.alarm is not None else ""
    if "again" not in found:
        away = _FILE_AWAY if isinstance(seat.ledger.place, Path) else _DATABASE_AWAY
        gap = f" {_TOO_OLD.format(away)}" if seat.trouble == "inbox_gap" else ""
        return f"{copy} It reads its inbox again, and sends nothing until it has caught up.{gap}{keys}"
    letters = f" {_LETTERS.format(keys=found['keys'])}" if found["keys"] else ""
    return (
        f"{copy} It has caught up. Deliveries that it read again: {found['again']}; receipts among them of events that the copy "
        f"does not have: {found['own']}. Its numbers continue after the registrar's. {_GONE}{letters}{keys}"
    )


async def tell(seat: Seat, since: Mapping[str, int]) -> None:
    """Note that the copy has caught up, and open the task, once the inbox is read to where it ended at the start.

    *since* is what `read_to` said at the start. A receipt after it for an event of which the ledger has no row shows an older
    copy too.
    """
    found = _noted(seat.ledger) if is_behind(seat.ledger) else None
    if found is None and (not since or since == read_to(seat.ledger)):
        return
    async with seat.ledger.write() as tx:
        counted = _counted(seat, tx, found["read_to"] if found else since)
        if found is None and not counted["own"]:
            return
        found = (found or _begun(seat, tx, since)) | counted
        _note(seat, tx, found)
        about = json.dumps({"code": TASK, "sentence": _sentence(seat, found)})
        open_task(tx, opened=seat.stamp(), subject="", event_id=f"{TASK}/{found['noticed']}", kind=TASK, about=about)
    log.report("caught_up", code=TASK, count=counted["again"])


def _after(since: Mapping[str, int]) -> ColumnElement[bool]:
    """Return the condition of the deliveries after *since*, all of a partition that it does not name."""
    return or_(
        _INBOX.partition.not_in([int(each) for each in since]),
        *(and_(_INBOX.partition == int(each), _INBOX.inbox_number > number) for each, number in since.items()),
    )


def _counted(seat: Seat, tx: Connection, since: Mapping[str, int]) -> dict[str, int]:
    again = select(func.count()).select_from(tables.inbox).where(_after(since))
    made = exists().where(_OUTBOX.subject == _INBOX.subject, _OUTBOX.id == _INBOX.id)
    closed = tables.case_keys.c.kid.not_in(list(seat.identity.opening))
    keys = select(func.count()).select_from(tables.case_keys).where(closed)
    return {
        "again": tx.scalar(again) or 0,
        "own": tx.scalar(again.where(_INBOX.source == seat.me, ~made)) or 0,
        "keys": tx.scalar(keys) or 0,
    }
