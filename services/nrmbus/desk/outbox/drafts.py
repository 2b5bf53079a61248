"""Drafts of the agency's people: what somebody has typed and not sent yet, sealed to this desk, for its owner alone.

A draft has the id of its event from the start, so that a second click, the back button or another tab send one event. A
draft outlives the session and the process. It ends when its event is registered for every receiver, together with the
drafts that were sent in the same step, when its owner deletes it, after 30 days without a change, and with the erasure of
its case. When the owner leaves the agency, the draft ends at once, unless a second person is still asked to sign.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select, update

from nrmbus.desk.outbox import verdicts
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.wire import base64, ids, times
from nrmbus.wire.errors import LetterClosed

KEPT: Final = timedelta(days=30)
"""How long a draft is kept after its last change."""

STEP: Final = 1024
"""The sealed size is a multiple of so many bytes, so that it does not show how much was typed."""

LARGEST: Final = 400_000
"""Most bytes of one draft: a full letter in any script, and less than the door takes."""

State = Literal["open", "waits", "sent"]
"""Whether its owner still types, a second person has to sign, or the event is in the outbox."""

Typed = Mapping[str, tuple[str, ...]]
"""What was typed, by the name of the field."""

_DRAFTS, _OUTBOX = tables.drafts.c, tables.outbox.c


@dataclass(frozen=True, slots=True)
class Kept:
    """One draft, opened."""

    id: str
    """Also the id of its event."""
    subject: str
    owner: str
    """Number of the member of staff."""
    type: str
    ref: str | None
    """Record of the case that the event answers."""
    page: str
    """Where its owner goes on."""
    version: int
    """Number of the change: whoever saves has seen the one before."""
    state: State
    changed: str
    typed: Typed = field(default_factory=dict, repr=False)
    request: bytes | None = field(default=None, repr=False)
    """The canonical request, once a person has confirmed it: what is sent, also the second time."""


class PassedError(Exception):
    """Raised when another tab has saved the draft since this one was opened; *now* is the draft as it is."""

    def __init__(self, now: Kept) -> None:
        """Name the draft."""
        self.now = now
        super().__init__("the draft was saved in another tab since")


class TooLongError(Exception):
    """Raised for a draft that is larger than any event."""


def begin(
    seat: Seat, tx: Connection, *, owner: str, type: str, subject: str, ref: str | None, page: str, typed: Typed,
    is_another: bool = False,
) -> Kept:  # fmt: skip
    """Return a new draft; or the owner's open one for the same step, unless *is_another* asks for a second one.

    Raises:
        TooLongError: more was typed than fits an event.
    """
    same = (
        (_DRAFTS.owner == owner) & (_DRAFTS.subject == subject) & (_DRAFTS.type == type) & (_DRAFTS.ref == (ref or ""))
    )
    there = tx.execute(select(tables.drafts).where(same, _DRAFTS.state == "open").order_by(_DRAFTS.id)).first()
    if there is not None and not is_another and (found := _opened(seat, there)) is not None:
        return found
    id, now = ids.new_event_id(int(seat.now().timestamp() * 1000)), seat.now()
    made = Kept(id, subject, owner, type, ref, page, 1, "open", times.write(now), typed)
    tx.execute(insert(tables.drafts).values(**_row(seat, made), made=times.write(now)))
    return made


def of(seat: Seat, tx: Connection, id: str, owner: str | None = None) -> Kept | None:
    """Return the draft *id* of *owner*, or of anybody; None if there is none, or if its key was destroyed."""
    mine = _DRAFTS.id == id if owner is None else (_DRAFTS.id == id) & (_DRAFTS.owner == owner)
    row = tx.execute(select(tables.drafts).where(mine)).first()
    return None if row is None else _opened(seat, row)


def take_over(seat: Seat, tx: Connection, draft: Kept, who: str, page: str) -> Kept:
    """Give the member *who* a copy of *draft*, whose owner may no longer send it, to continue at *page*; return the copy."""
    now = times.write(seat.now())
    mine = replace(
        draft, id=taken_over(draft.id, who), owner=who, page=page, version=1, state="open", changed=now, request=None
    )
    tx.execute(insert(tables.drafts).values(**_row(seat, mine), made=now))
    drop(tx, is_draft(draft.id))
    return mine


def taken_over(id: str, who: str) -> str:
    """Return the id that the draft *id* gets once the member *who* has taken it over: who asks twice is led to the same draft."""
    milliseconds = int(id.replace("-", "")[:12], 16)
    return ids.uuid7(milliseconds, sha256(b"nrmbus/taken-over/v1\0" + ids.lp(id) + ids.lp(who)).digest())


def listed(seat: Seat, tx: Connection, *, owner: str | None = None, state: State | None = None) -> list[Kept]:
    """Return the drafts of *owner*, or those in *state*, newest first."""
    rows = select(tables.drafts).order_by(_DRAFTS.changed.desc(), _DRAFTS.id)
    if owner is not None:
        rows = rows.where(_DRAFTS.owner == owner)
    if state is not None:
        rows = rows.where(_DRAFTS.state == state)
    return [found for row in tx.execute(rows).all() if (found := _opened(seat, row)) is not None]


def waiting(tx: Connection, member: str) -> int:
    """Return how many drafts wait for a second signature that *member* may give: none of the member's own."""
    rows = select(func.count()).select_from(tables.drafts).where(_DRAFTS.state == "waits", _DRAFTS.owner != member)
    return int(tx.scalar(rows) or 0)


def keep(seat: Seat, tx: Connection, draft: Kept, *, seen: int) -> Kept:
    """Save *draft* as it is now, by somebody who has seen its version *seen*; return it with its next version.

    Saving the same again changes nothing, so a repeated request is no conflict.

    Raises:
        PassedError: it was saved in between.
        TooLongError: more was typed than fits an event.
        LookupError: there is no such draft any more, or it was sent or waits for a second person since.
    """
    now = of(seat, tx, draft.id, draft.owner)
    if now is None or (now.version != seen and now.state not in ("open", draft.state)):
        raise LookupError
    if now.version != seen and now.typed != draft.typed:
        raise PassedError(now)
    kept = replace(draft, version=now.version, changed=now.changed)
    if kept != now:
        kept = replace(kept, version=now.version + 1, changed=seat.stamp())
        tx.execute(update(tables.drafts).where(_DRAFTS.id == draft.id).values(**_row(seat, kept)))
    return kept


def take_back(seat: Seat, tx: Connection, draft: Kept) -> Kept | None:
    """Let the owner of *draft*, which waits for a second person, go on with it; return it, or None if it waits no longer."""
    now = of(seat, tx, draft.id, draft.owner)
    if now is None or now.state != "waits":
        return None
    return keep(seat, tx, replace(now, state="open", request=None), seen=now.version)


def drop(tx: Connection, which: ColumnElement[bool]) -> None:
    """Destroy within *tx* the drafts *which*."""
    tx.execute(delete(tables.drafts).where(which))


def is_draft(id: str) -> ColumnElement[bool]:
    """Return the condition for the draft *id*."""
    return _DRAFTS.id == id


def of_case(subject: str) -> ColumnElement[bool]:
    """Return the condition for the drafts of a case."""
    return _DRAFTS.subject == subject


def nobodys(owner: str) -> ColumnElement[bool]:
    """Return the condition for the drafts that nobody can open once *owner* has left: all that wait for no second person."""
    return (_DRAFTS.owner == owner) & (_DRAFTS.state != "waits")


def over(seat: Seat, tx: Connection) -> list[str]:
    """Return the drafts whose time is over, or of which every event is registered for every receiver."""
    ended = times.write(seat.now() - KEPT)
    mine = (_OUTBOX.subject == _DRAFTS.subject) & (_OUTBOX.id == _DRAFTS.id)
    is_answered = (_OUTBOX.verdict == "registered") | _OUTBOX.replaced_by.is_not(None)
    answered = select(_OUTBOX.seq).where(mine, is_answered).exists()
    found = list(tx.scalars(select(_DRAFTS.id).where(_DRAFTS.changed <= ended)).all())
    for row in tx.execute(select(tables.drafts).where(_DRAFTS.changed > ended, answered)).all():
        draft = _opened(seat, row)
        if draft is None or _is_registered(seat, tx, draft):
            found.append(row.id)
    return found


def _is_registered(seat: Seat, tx: Connection, draft: Kept) -> bool:
    """Return whether every event that *draft* has become is registered, for every receiver."""
    ids = {draft.id} if draft.request is None else {str(each["id"]) for each in json.loads(draft.request)["events"]}
    return all(_is_registered_for_all(seat, tx, draft.subject, id) for id in ids)


def _is_registered_for_all(seat: Seat, tx: Connection, subject: str, id: str) -> bool:
    """Return whether the event *id* is registered, and with it each one that the request became for a further receiver."""
    row, further = _last(tx, subject, id), 0
    while row is not None and row.verdict == "registered":
        further += 1
        row = _last(tx, subject, ids.said_by_itself(seat.me, id, str(further)))
    return row is None and further > 0


def _last(tx: Connection, subject: str, id: str) -> Row[Any] | None:
    """Return the row of the event *id*, or the row under which the event was sealed again last; None if there is none."""
    row = verdicts.row_of(tx, subject, id)
    while row is not None and row.replaced_by is not None:
        row = verdicts.row_of(tx, subject, row.replaced_by)
    return row


def seal_anew(seat: Seat, tx: Connection) -> None:
    """Seal within *tx* every draft to the sealing key in use."""
    for row in tx.execute(select(tables.drafts)).all():
        found = _opened(seat, row)
        if found is None:  # in a ledger from an old backup: nobody can read it any more
            drop(tx, _DRAFTS.id == row.id)
        else:
            tx.execute(update(tables.drafts).where(_DRAFTS.id == row.id).values(sealed=_sealed(seat, found)))


def _row(seat: Seat, draft: Kept) -> dict[str, Any]:
    return {
        "id": draft.id, "subject": draft.subject, "owner": draft.owner, "type": draft.type, "ref": draft.ref or "",
        "page": draft.page, "version": draft.version, "state": draft.state, "changed": draft.changed,
        "sealed": _sealed(seat, draft),
    }  # fmt: skip


def _info(seat: Seat, draft: str, owner: str) -> bytes:
    return b"nrmbus/typed/v1\0" + b"".join(map(ids.lp, (seat.bus, seat.me, draft, owner)))


def _sealed(seat: Seat, draft: Kept) -> bytes:
    body = {"typed": draft.typed, "request": None if draft.request is None else draft.request.decode()}
    raw = json.dumps(body, ensure_ascii=False).encode()
    if len(raw) > LARGEST:
        raise TooLongError
    padded = raw + b" " * (-len(raw) % STEP)
    to = seat.identity.sealing.seal_to
    sealed = base64.encode(to.wrap(padded, _info(seat, draft.id, draft.owner)))
    return json.dumps({"kid": to.kid, "sealed": sealed}).encode()


def _opened(seat: Seat, row: Row[Any]) -> Kept | None:
    kept = json.loads(row.sealed)
    own, sealed = seat.identity.opening.get(str(kept["kid"])), base64.read(str(kept["sealed"]))
    try:
        raw = own.open(sealed, _info(seat, row.id, row.owner)) if own and sealed else None
    except LetterClosed:
        raw = None
    if raw is None:
        return None
    body = json.loads(raw)
    # An earlier release kept line breaks as a browser sends them. The same words that come again are no change.
    typed = {name: tuple(each.replace("\r\n", "\n") for each in values) for name, values in body["typed"].items()}
    request = None if body["request"] is None else body["request"].encode()
    return Kept(
        row.id, row.subject, row.owner, row.type, row.ref or None, row.page, row.version, row.state, row.changed,
        typed, request,
    )  # fmt: skip
