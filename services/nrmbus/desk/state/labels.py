"""The agency's own label of a case, and the colleague who has a case or a task: known to this desk alone, never on the bus.

A label may name a person, so that it is sealed to the desk's own key, and destroyed with its case.
"""

import json
from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, delete, select, update

from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import replaced
from nrmbus.wire import ids
from nrmbus.wire.errors import LetterClosed

LONGEST: Final = 80
"""Most characters of a label."""
_STEP: Final = 64
"""The sealed size is a multiple of so many bytes, so that it does not show how long the label is."""
_CASE: Final = 0
"""Stands for the case itself where a task could stand."""
_LABELS, _ASSIGNED = tables.case_labels.c, tables.assignments.c
_PUT: Final = replaced(tables.case_labels, "kid", "sealed")
_ASSIGN: Final = replaced(tables.assignments, "member", "at")

Sealed = tuple[str, bytes]
"""Id of the key that a label is sealed to, and the sealed label."""


def _info(seat: Seat, subject: str) -> bytes:
    return b"nrmbus/case-label/v1\0" + b"".join(map(ids.lp, (seat.bus, seat.me, subject)))


def tidied(label: str) -> str:
    """Return *label* as it is kept: without spaces around it, and not too long."""
    return " ".join(label.split())[:LONGEST]


def keep(seat: Seat, tx: Connection, subject: str, label: str) -> None:
    """Keep *label* for the case *subject* within *tx*; an empty one removes it."""
    said = tidied(label)
    if not said:
        tx.execute(delete(tables.case_labels).where(_LABELS.subject == subject))
        return
    raw = json.dumps(said, ensure_ascii=False).encode()
    raw += b" " * (-len(raw) % _STEP)
    to = seat.identity.sealing.seal_to
    tx.execute(_PUT, {"subject": subject, "kid": to.kid, "sealed": to.wrap(raw, _info(seat, subject))})


def sealed(tx: Connection) -> dict[str, Sealed]:
    """Return every label as it is kept, by case."""
    return {row.subject: (row.kid, row.sealed) for row in tx.execute(select(tables.case_labels))}


def opened(seat: Seat, subject: str, label: Sealed) -> str:
    """Return a kept *label*; empty if its key was destroyed."""
    kid, raw = label
    own = seat.identity.opening.get(kid)
    try:
        return str(json.loads(own.open(raw, _info(seat, subject)))) if own else ""
    except LetterClosed:
        return ""


def of(seat: Seat, tx: Connection, subject: str) -> str:
    """Return the label of the case *subject*; empty if there is none."""
    row = tx.execute(select(tables.case_labels).where(_LABELS.subject == subject)).first()
    return "" if row is None else opened(seat, subject, (row.kid, row.sealed))


def assign(tx: Connection, subject: str, member: str, at: str, task: int = _CASE) -> None:
    """Note within *tx* that the colleague with the number *member* has the case, or its *task*; nobody if it is empty."""
    if member:
        tx.execute(_ASSIGN, {"subject": subject, "task": task, "member": member, "at": at})
    else:
        tx.execute(delete(tables.assignments).where(_ASSIGNED.subject == subject, _ASSIGNED.task == task))


def give_up(tx: Connection, member: str) -> None:
    """Note within *tx* that nobody has what the colleague with the number *member* had."""
    tx.execute(delete(tables.assignments).where(_ASSIGNED.member == member))


def assigned(tx: Connection) -> Mapping[tuple[str, int], str]:
    """Return the colleague's number by case and task; task 0 is the case itself."""
    return {(row.subject, row.task): row.member for row in tx.execute(select(tables.assignments))}


def colleague_of(tx: Connection, subject: str) -> str:
    """Return the number of the colleague who has the case *subject*; empty if nobody has."""
    case = (_ASSIGNED.subject == subject) & (_ASSIGNED.task == _CASE)
    return tx.scalar(select(_ASSIGNED.member).where(case)) or ""


def drop(tx: Connection, subject: str) -> None:
    """Destroy within *tx* what the agency noted about the case *subject*."""
    tx.execute(delete(tables.case_labels).where(_LABELS.subject == subject))
    tx.execute(delete(tables.assignments).where(_ASSIGNED.subject == subject))


def is_behind(seat: Seat, tx: Connection) -> bool:
    """Return whether any label is sealed to another sealing key of this agency than the one in use."""
    kids = set(tx.execute(select(_LABELS.kid).distinct()).scalars())
    return bool((kids & seat.identity.opening.keys()) - {seat.identity.sealing.kid})


def hand_over(seat: Seat, tx: Connection) -> None:
    """Seal every label to the key in use, within *tx*; remove those that no key opens any more."""
    to = seat.identity.sealing.seal_to
    for subject, label in sealed(tx).items():
        if label[0] == to.kid:
            continue
        own, info = seat.identity.opening.get(label[0]), _info(seat, subject)
        try:
            raw = own.open(label[1], info) if own else None
        except LetterClosed:
            raw = None
        same = _LABELS.subject == subject
        if raw is None:
            tx.execute(delete(tables.case_labels).where(same))
        else:
            tx.execute(update(tables.case_labels).where(same).values(kid=to.kid, sealed=to.wrap(raw, info)))
