"""Notices in the ledger. Every function works within a transaction of its caller.

The transaction that moves the ledger's place for notices also writes the row, and the transaction that records the mail
server's answer closes the row. Rows of one mail get its id before the mail is sent. So a killed desk repeats at most the same
mail under the same Message-ID.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from nrmbus.desk.store import tables
from nrmbus.wire import times

State = Literal["open", "sent", "refused", "exhausted", "dropped"]
"""Dropped: nobody is to be told any more."""
KEPT: Final = timedelta(days=30)
"""Time for which closed rows are kept: as long as an inbox."""

AT_A_TIME: Final = 100
"""Events that went on and are looked at together."""

_ROWS, _PLACE, _EVENTS, _AGAIN = tables.notices.c, tables.notice_place.c, tables.events.c, tables.notice_again.c
_TOLD_OF: Final = (
    select(
        _EVENTS.position, _EVENTS.subject, _EVENTS.source, _EVENTS.id, _EVENTS.type, _EVENTS.referral, _EVENTS.registered,
    )
    .where(_EVENTS.technical == 0)
    .order_by(_EVENTS.position)
)  # fmt: skip
_HEARD: Final = _TOLD_OF.where(_EVENTS.position > bindparam("after"), _EVENTS.position <= bindparam("until"))
_AT_POSITIONS: Final = _TOLD_OF.where(_EVENTS.position.in_(bindparam("positions", expanding=True)))
_LET_THROUGH: Final = select(_AGAIN.position).order_by(_AGAIN.position).limit(AT_A_TIME)
_NEWEST: Final = select(func.max(_EVENTS.position))
_AT: Final = select(tables.notice_place)
_KNOWN: Final = select(_ROWS.member, _ROWS.key).where(_ROWS.key.in_(bindparam("keys", expanding=True)))
_OPEN: Final = select(tables.notices).where(_ROWS.state == "open")
_OF_MAIL: Final = update(tables.notices).where(_ROWS.mail == bindparam("of_mail"), _ROWS.state == "open")


class Place(NamedTuple):
    """Place up to which the ledger was looked at: in the events, and in the time of duties."""

    heard: int
    at: datetime


class Mail(NamedTuple):
    """Open rows of one member that leave in one mail."""

    id: str
    member: str
    at: str
    """When it was written first: the mail's date."""
    attempts: int
    rows: Sequence[Row[Any]]


def place(tx: Connection) -> Place | None:
    """Return the place; None if this ledger was never looked at."""
    row = tx.execute(_AT).first()
    at = times.read(row.at) if row else None
    return None if row is None or at is None else Place(row.heard, at)


def newest(tx: Connection) -> int:
    """Return the position of the newest event."""
    return tx.scalar(_NEWEST) or 0


def move(tx: Connection, place: Place) -> None:
    """Keep *place*."""
    tx.execute(delete(tables.notice_place))
    tx.execute(insert(tables.notice_place), {"way": "mail", "heard": place.heard, "at": times.write(place.at)})


def heard(tx: Connection, after: int, until: int) -> Sequence[Row[Any, Any, Any, Any, Any, Any, Any]]:
    """Return the events behind *after*, up to *until*; technical ones are left out."""
    return tx.execute(_HEARD, {"after": after, "until": until}).all()


def let_through(tx: Connection) -> Sequence[int]:
    """Return the positions of the next events that were parked and went on."""
    return tx.scalars(_LET_THROUGH).all()


def at(tx: Connection, positions: Iterable[int]) -> Sequence[Row[Any, Any, Any, Any, Any, Any, Any]]:
    """Return the events at *positions*; technical and erased ones are left out."""
    return tx.execute(_AT_POSITIONS, {"positions": list(positions)}).all()


def looked_at(tx: Connection, positions: Iterable[int]) -> None:
    """Forget that the events at *positions* went on."""
    tx.execute(delete(tables.notice_again).where(_AGAIN.position.in_(list(positions))))


def put(tx: Connection, rows: Iterable[tuple[str, str, str, str]]) -> int:
    """Write rows of member, kind, key and the time when they are due; a member has each key once. Return how many are new."""
    wanted = {(member, key): (kind, due) for member, kind, key, due in rows}
    known = (
        {(row.member, row.key) for row in tx.execute(_KNOWN, {"keys": sorted({key for _, key in wanted})})}
        if wanted
        else set()
    )
    new = [
        {"member": member, "kind": kind, "key": key, "state": "open", "due": due}
        for (member, key), (kind, due) in wanted.items()
        if (member, key) not in known
    ]
    if new:
        tx.execute(insert(tables.notices), new)
    return len(new)


def waiting(tx: Connection) -> list[tuple[str, str]]:
    """Return the members with open rows, each with the time when the earliest is due."""
    rows = select(_ROWS.member, func.min(_ROWS.due)).where(_ROWS.state == "open").group_by(_ROWS.member)
    return [(member, due) for member, due in tx.execute(rows.order_by(func.min(_ROWS.due)))]


def opened(tx: Connection) -> Sequence[Row[Any]]:
    """Return all open rows."""
    return tx.execute(_OPEN).all()


def hasten(tx: Connection, dues: Mapping[int, str]) -> None:
    """Make each row of *dues*, by its id, due at the time there."""
    one = update(tables.notices).where(_ROWS.id == bindparam("row")).values(due=bindparam("at"))
    tx.execute(one, [{"row": id, "at": due} for id, due in dues.items()])


def taken(tx: Connection, member: str, now: str) -> Mail | None:
    """Return the mail that is to leave for *member* at *now*: one that failed before and is due again, else one of all new rows if one is due.

    New rows wait for no mail that failed before: its next try may be a day away. They never join it either, since it may
    have arrived, and its repetition has to be the same mail.
    """
    open_rows = tx.execute(_OPEN.where(_ROWS.member == member).order_by(_ROWS.id)).all()
    due = [row for row in open_rows if row.due <= now]
    begun = next((row.mail for row in due if row.mail is not None), None)
    if begun is not None:
        return _mail([row for row in open_rows if row.mail == begun])
    if not due:
        return None
    together = update(tables.notices).where(_ROWS.member == member, _ROWS.state == "open", _ROWS.mail.is_(None))
    id = secrets.token_hex(16)
    tx.execute(together.values(mail=id, mailed=now, due=now))
    return _mail(tx.execute(_OPEN.where(_ROWS.mail == id).order_by(_ROWS.id)).all())


def _mail(rows: Sequence[Row[Any]]) -> Mail:
    first = rows[0]
    return Mail(first.mail, first.member, first.mailed, first.attempts, rows)


def close(tx: Connection, mail: str, state: State, at: str, code: str = "") -> None:
    """Close the rows of a mail."""
    tx.execute(_OF_MAIL.values(state=state, closed=at, code=code or None), {"of_mail": mail})


def again(tx: Connection, mail: str, attempts: int, due: str, code: str) -> None:
    """Have the mail tried again when it is *due*."""
    tx.execute(_OF_MAIL.values(attempts=attempts, due=due, code=code), {"of_mail": mail})


def prune(tx: Connection, before: str) -> None:
    """Remove rows that were closed *before* then."""
    tx.execute(delete(tables.notices).where(_ROWS.closed.is_not(None), _ROWS.closed < before))


def count(tx: Connection) -> int:
    """Return the number of open rows."""
    return tx.scalar(select(func.count()).select_from(tables.notices).where(_ROWS.state == "open")) or 0
