"""Witness records in the ledger: checked trees, co-signatures, and alarms that wait for a person."""

import json
from typing import Any, Final

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import open_task
from nrmbus.desk.witness.decision import SENTENCES, Alarm, Known, Submitted
from nrmbus.wire import base64
from nrmbus.wire.log import merkle
from nrmbus.wire.log.checkpoint import Checkpoint
from nrmbus.wire.names import CHECKPOINTS

TASK: Final = "witness_alarm"
UNSIGNED: Final = CHECKPOINTS
"""Name used instead of the log for a record that no log of this bus signed."""

_WHAT_TO_DO: Final = (
    "Nothing more of this log is co-signed: keep the ledger, ask the auditor and another agency what they hold, "
    "and mark this task as done when the history is settled."
)
_SET_ASIDE: Final = (
    "No log of this bus signed this record, so it was set aside: ask who may write to the topic, "
    "and mark this task as done."
)
_W, _A = tables.witnessed.c, tables.witness_alarms.c
_CHECKED: Final = _W.offset.is_not(None)
_SIGNED: Final = _W.cosignature.is_not(None)


def next_offset(tx: Connection, topic: str) -> int:
    """Return the offset at which reading of *topic* continues."""
    column = tables.followed.c
    return tx.scalar(select(column.next_offset).where(column.topic == topic)) or 0


def advance(tx: Connection, topic: str, following: int) -> None:
    """Remember within *tx* that *topic* was read up to *following*."""
    statement = upsert(tables.followed).values(topic=topic, next_offset=following)
    tx.execute(
        statement.on_conflict_do_update(index_elements=["topic"], set_={"next_offset": statement.excluded.next_offset})
    )


def _largest(tx: Connection, origin: str, which: Any) -> Checkpoint:
    rows = select(_W.size, _W.root).where(_W.origin == origin, which).order_by(_W.size.desc()).limit(1)
    found = tx.execute(rows).first()
    return Checkpoint(origin, found.size, found.root) if found else Checkpoint(origin, 0, merkle.EMPTY)


def known(tx: Connection, origin: str, size: int) -> Known:
    """Return the knowledge of the log *origin*, and of its tree of *size*."""
    row = tx.execute(select(tables.witnessed).where(_W.origin == origin, _W.size == size)).first()
    checked, signed = _largest(tx, origin, _CHECKED), _largest(tx, origin, _SIGNED)
    return Known(checked, signed, (row.root, row.digest) if row else None)


def origins(tx: Connection) -> list[str]:
    """Return the logs that this desk knows."""
    return list(tx.scalars(select(_W.origin).distinct().order_by(_W.origin)).all())


def due(tx: Connection) -> list[Checkpoint]:
    """Return the newest checked tree of each log without an open alarm, if larger than the co-signed tree."""
    alarmed = {row.origin for row in open_alarms(tx)}
    found = []
    for origin in origins(tx):
        checked, signed = _largest(tx, origin, _CHECKED), _largest(tx, origin, _SIGNED)
        if origin not in alarmed and checked.size > signed.size:
            found.append(checked)
    return found


def _keep(tx: Connection, checkpoint: Checkpoint, at: str, **fields: Any) -> None:
    row = {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root, "at": at}
    statement = upsert(tables.witnessed).values(**row, **fields)
    tx.execute(statement.on_conflict_do_update(index_elements=["origin", "size"], set_=fields))


def keep_signed(tx: Connection, checkpoint: Checkpoint, cosignature: bytes, at: str) -> None:
    """Store within *tx* the co-signature of the checked *checkpoint*, before publication."""
    row = update(tables.witnessed).where(_W.origin == checkpoint.origin, _W.size == checkpoint.size)
    tx.execute(row.values(cosignature=cosignature, sent=0, at=at))


def keep_sent(tx: Connection, origin: str, size: int) -> None:
    """Store within *tx* that the broker has a co-signature."""
    tx.execute(update(tables.witnessed).where(_W.origin == origin, _W.size == size).values(sent=1))


def recall(tx: Connection, checkpoint: Checkpoint, cosignature: bytes, at: str) -> None:
    """Store within *tx* the co-signature of *checkpoint* from this desk's own topic; the ledger may have forgotten it.

    Raises:
        Alarm: ``root_differs`` or ``gap`` if the checked trees do not agree with the signed tree.
    """
    origin, size = checkpoint.origin, checkpoint.size
    root = tx.scalar(select(_W.root).where(_W.origin == origin, _W.size == size))
    if root not in {None, checkpoint.root}:
        raise Alarm("root_differs", origin)
    if root is None and size <= _largest(tx, origin, _CHECKED).size:
        raise Alarm("gap", origin)
    _keep(tx, checkpoint, at, cosignature=cosignature, sent=1)


def keep_checked(tx: Connection, submitted: Submitted, offset: int, at: str) -> None:
    """Store within *tx* the next step *submitted* of a log; the note replaces the previous note."""
    origin = submitted.checkpoint.origin
    tx.execute(update(tables.witnessed).where(_W.origin == origin, _W.note.is_not(None)).values(note=None))
    fields = {"offset": offset, "digest": submitted.digest, "note": submitted.note}
    _keep(tx, submitted.checkpoint, at, **fields)


def keep_alarm(tx: Connection, alarm: Alarm, *, source: str, record: bytes, size: int | None, at: str) -> None:
    """Store within *tx* an *alarm* with its evidence, and open a task, unless an open alarm covers this.

    After a fork or a gap, every later record is a gap too.
    """
    known = [row.code for row in open_alarms(tx) if row.origin == alarm.origin]
    if alarm.code in known or (known and alarm.code == "gap"):
        return
    held = tx.scalar(select(_W.note).where(_W.origin == alarm.origin, _W.note.is_not(None)))
    row = {"source": source, "origin": alarm.origin, "size": size, "code": alarm.code}
    evidence = {"record": record, "held": held, "at": at}
    tx.execute(upsert(tables.witness_alarms).values(**row, **evidence).on_conflict_do_nothing())
    sentence = f"{SENTENCES[alarm.code]} {_WHAT_TO_DO if alarm.origin else _SET_ASIDE}"
    about = {"code": alarm.code, "origin": alarm.origin, "size": size, "sentence": sentence}
    about = {name: value for name, value in about.items() if value is not None}
    open_task(tx, opened=at, subject="", event_id=source, kind=TASK, about=json.dumps(about))


def open_alarms(tx: Connection) -> list[Any]:
    """Return the alarms with an open task, the worst of each log last; until done, an alarm blocks co-signing."""
    task = tables.tasks.c
    of_task = (task.event == _A.source) & (task.kind == TASK) & task.done.is_(None)
    columns = (_A.source, _A.origin, _A.size, _A.code, _A.at)
    rows = select(*columns).join_from(tables.witness_alarms, tables.tasks, of_task).order_by(task.id)
    return list(tx.execute(rows).all())


def unsent(tx: Connection) -> list[Any]:
    """Return the co-signatures that the broker may not have, ordered by size."""
    rows = select(_W.origin, _W.size, _W.cosignature).where(_W.sent == 0, _SIGNED).order_by(_W.origin, _W.size)
    return list(tx.execute(rows).all())


def view(tx: Connection) -> list[dict[str, Any]]:
    """Return for the door, for each log: the newest checked tree, the newest co-signed tree, and the alarms."""
    alarms: dict[str, list[dict[str, Any]]] = {}
    for row in open_alarms(tx):
        wrong = {
            "code": row.code,
            "sentence": SENTENCES[row.code],
            "size": row.size,
            "at": row.at,
            "record": row.source,
        }
        alarms.setdefault(row.origin or UNSIGNED, []).append(wrong)
    logs = []
    for origin in sorted({*origins(tx), *alarms}):
        checked, signed = _largest(tx, origin, _CHECKED), _largest(tx, origin, _SIGNED)
        at = tx.scalar(select(_W.at).where(_W.origin == origin, _W.size == signed.size, _SIGNED))
        root = base64.encode(signed.root) if signed.size else None
        tree = {"origin": origin, "size": signed.size, "root": root, "at": at, "checked": checked.size}
        logs.append(tree | {"alarms": alarms.get(origin, [])})
    return logs


def health(tx: Connection) -> dict[str, Any]:
    """Return for the health page, for each log: the co-signed size, and the code of the last open alarm."""
    return {
        log["origin"]: {"size": log["size"], "code": log["alarms"][-1]["code"] if log["alarms"] else None}
        for log in view(tx)
    }
