"""Parked cases: the waiting records in order, the reason, and the task for a person.

A record that could not be handled waits for a person. A record of an unknown type or version waits for an upgrade,
one that met a lasting fault of the machine for its repair, and later records for their turn: these continue automatically.
"""

import json
from typing import Any, Final

from sqlalchemy import INTEGER, Connection, Row, bindparam, delete, exists, func, insert, literal_column, select, update

from nrmbus.desk.state.cases import known, signed_of
from nrmbus.desk.store import tables
from nrmbus.rules import Rules
from nrmbus.wire.envelope import Signed
from nrmbus.wire.registration import Registration
from nrmbus.wire.statement import body_of

BEHIND: Final = "Behind"
"""Reason of a record that only waits for an earlier record."""

UNREAD: Final = "Unread"
"""Reason of a record whose data do not fit this release's schema of their version."""

AHEAD: Final = "InboxUnread"
"""Reason of a record whose letter, or answer to an emergency, waits until the inbox is read to its end: a withdrawal may follow."""

STUCK: Final = "MachineFault"
"""Reason of a record that met a fault of this machine, which is no record's, at every try; the desk tries it again."""

UNKNOWN: Final = {
    "unknown_type": "UnknownType",
    "unknown_version": "UnknownVersion",
    "unknown_profile": "UnknownProfile",
}
"""Why this release cannot read an event -> reason of its parked record."""

NOT_READ: Final = (*UNKNOWN.values(), UNREAD)
"""Reasons of records that this release cannot read."""

TASK: Final = "parked"

_PARKED, _EVENTS, _INBOX, _TASKS = tables.parked.c, tables.events.c, tables.inbox.c, tables.tasks.c
_PUT: Final = insert(tables.parked)
_AT: Final = select(_EVENTS.subject, _EVENTS.id).where(_EVENTS.position == bindparam("position"))
_NOTICE_AGAIN: Final = insert(tables.notice_again).from_select(
    ["position"], select(bindparam("position", type_=INTEGER)).where(exists(select(tables.notice_place.c.way)))
)
_LET_GO: Final = delete(tables.parked).where(_PARKED.position == bindparam("at_position"))
_ITS_TASK: Final = (
    (_TASKS.subject == bindparam("of_case"))
    & (_TASKS.event == bindparam("of_event"))
    & (_TASKS.kind == literal_column(f"'{TASK}'"))
    & _TASKS.done.is_(None)
)
_TASK_DONE: Final = update(tables.tasks).where(_ITS_TASK).values(done=bindparam("at"))
_TASK_SAYS: Final = select(_TASKS.about).where(_ITS_TASK)
_TASK_SAYS_NOW: Final = update(tables.tasks).where(_ITS_TASK).values(about=bindparam("says"))
_OF_CASE: Final = (
    select(tables.events, _INBOX.registration, _INBOX.delivery, _PARKED.error, _PARKED.since)
    .join(tables.parked, _PARKED.position == _EVENTS.position)
    .join(tables.inbox, (_INBOX.partition == _EVENTS.partition) & (_INBOX.inbox_number == _EVENTS.inbox_number))
    .where(_PARKED.subject == bindparam("subject"))
    .order_by(_PARKED.id)
)
_FIRST: Final = _OF_CASE.limit(1)
_IN_THE_WAY: Final = _OF_CASE.where(
    _PARKED.position <= bindparam("position"), _PARKED.error != BEHIND, _PARKED.error != AHEAD
)
"""Parked records of a case, up to a position, that do not only wait for their turn or for the end of the inbox."""
_COUNT: Final = select(func.count()).select_from(tables.parked).where(_PARKED.subject == bindparam("subject"))


def sentence_of(error: str, signed: Signed) -> str:
    """Return the sentence for a person about a record that is parked because of *error*."""
    if error == UNKNOWN["unknown_version"]:
        what = f"This desk's release does not know {signed.type} in version {signed.version}"
    elif error == UNKNOWN["unknown_type"]:
        what = f"This desk's release does not know {signed.type}"
    elif error == UNKNOWN["unknown_profile"]:
        return (
            "The case is under a profile of the Rules that this desk does not have, or has with other values: add the operator's "
            "file of the profile (nrmbus rules add FILE, which names an earlier draft that is in its way) or, if a newer "
            "release has the profile, upgrade the desk; then start the desk again, and it lets the case through."
        )
    elif error == AHEAD:
        return "Nothing: the desk goes on by itself once it has read its inbox to the end."
    elif error == BEHIND:
        return "Nothing: what stood before it was let through, and the desk goes on by itself."
    elif error == STUCK:
        return (
            f"{signed.type} meets a fault of this machine at every try: the log of the desk names the error. Mend the "
            "machine; the desk then lets the case through by itself, in order."
        )
    else:
        return f"{signed.type} could not be handled ({error}): have the desk mended, then release the case at its door."
    return f"{what}: upgrade the desk, which then lets the case through by itself, in order."


def park(tx: Connection, *, subject: str, position: int, error: str, since: str) -> None:
    """Park the record at *position* behind the other parked records of its case."""
    tx.execute(_PUT, {"subject": subject, "position": position, "error": error, "since": since})


def let_go(tx: Connection, position: int, at: str) -> None:
    """Remove the handled record at *position* from the parked ones, and mark its task as done."""
    event = tx.execute(_AT, {"position": position}).one()
    tx.execute(_LET_GO, {"at_position": position})
    tx.execute(_TASK_DONE, {"of_case": event.subject, "of_event": event.id, "at": at})


def notice_again(tx: Connection, position: int) -> None:
    """Have notices look again at the event at *position*, which went on: while it was parked, its duties may have been unknown."""
    tx.execute(_NOTICE_AGAIN, {"position": position})


def keep(tx: Connection, position: int, error: str, sentence: str) -> None:
    """Store *error*, with which the record at *position* failed again; *sentence* replaces that of the record's open task."""
    tx.execute(update(tables.parked).where(_PARKED.position == position).values(error=error))
    event = tx.execute(_AT, {"position": position}).one()
    its_task = {"of_case": event.subject, "of_event": event.id}
    about = tx.scalar(_TASK_SAYS, its_task)
    if about is not None:
        tx.execute(_TASK_SAYS_NOW, {**its_task, "says": json.dumps({**json.loads(about), "sentence": sentence})})


def first(tx: Connection, subject: str) -> Row[Any] | None:
    """Return the oldest parked record of a case: its event, the registrar's statements, ``error`` and ``since``."""
    return tx.execute(_FIRST, {"subject": subject}).first()


def count(tx: Connection, subject: str) -> int:
    """Return the number of parked records of a case."""
    return tx.scalar(_COUNT, {"subject": subject}) or 0


def is_parked(tx: Connection, position: int) -> bool:
    """Return whether the record at *position* is parked."""
    return tx.scalar(select(_PARKED.id).where(_PARKED.position == position)) is not None


def goes_on_soon(tx: Connection, subject: str, position: int, rules: Rules) -> bool:
    """Return whether the parked record at *position* goes on once the inbox is read: nothing before it waits for a person, an upgrade or a repair."""
    rows = tx.execute(_IN_THE_WAY, {"subject": subject, "position": position})
    return all(row.error != STUCK and waits_for_nobody(row, rules) for row in rows)


def waits_for_nobody(row: Row[Any], rules: Rules) -> bool:
    """Return whether the parked *row* needs no person: it waited for its turn or the machine, or this release now knows its type and profile."""
    if row.error in (BEHIND, AHEAD, STUCK):
        return True
    if row.error not in UNKNOWN.values() or known(signed_of(row)) is None:
        return False
    policy = Registration.parse(body_of("registration", row.registration)).policy
    return rules.is_installed(policy.name, policy.digest)
