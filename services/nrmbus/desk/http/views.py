"""Views of the door: rows of the ledger in plain JSON types, each page one snapshot."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, count, takewhile
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, func, literal_column, null, select

from nrmbus.desk import versions
from nrmbus.desk.access import opening
from nrmbus.desk.desk import Desk
from nrmbus.desk.erasure import rounds
from nrmbus.desk.http.stops import stops
from nrmbus.desk.letters import letters
from nrmbus.desk.outbox.queue import RESEALED
from nrmbus.desk.outbox.verdicts import row_of
from nrmbus.desk.state import beginnings, parking
from nrmbus.desk.state.cases import event_of, known, signed_of
from nrmbus.desk.state.context import Seat
from nrmbus.desk.state.open_duties import open_duties, open_referrals
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import Ledger
from nrmbus.desk.versions import Speaks
from nrmbus.desk.witness import cosignatures
from nrmbus.events.access import AccessGranted
from nrmbus.events.bulletin import is_bulletin
from nrmbus.events.document import DocumentShared
from nrmbus.rules import View
from nrmbus.wire import base64, times
from nrmbus.wire.envelope import Signed
from nrmbus.wire.ids import said_by_itself, sealed_again
from nrmbus.wire.registration import Registration
from nrmbus.wire.statement import body_of

_OF_LETTER: Final = b'"what":"letter"'
"""Part of the signed data of an `AccessGranted` about a letter, which has no free text."""
_OUTBOX, _EVENTS, _TASKS = tables.outbox.c, tables.events.c, tables.tasks.c

_FILTERS: Final = {"case": _EVENTS.subject, "type": _EVENTS.type, "source": _EVENTS.source, "ref": _EVENTS.referral}
OPEN_ROWS: Final = (
    select(func.count())
    .select_from(tables.outbox)
    .where((_OUTBOX.state == "waiting") | (_OUTBOX.state == "signed") | (_OUTBOX.again == literal_column("1")))
)
"""Query for the number of events without an answer, or to be sent again."""

_POSITIONS: Final = select(tables.positions.c.partition, tables.positions.c.inbox_number)
_AT_A_TIME: Final = 200
"""Tasks of one reading."""
_OPEN_TASKS: Final = select(func.count()).select_from(tables.tasks).where(_TASKS.done.is_(None))


def _there(mapping: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if value is not None}


def said(tx: Connection, me: str, subject: str, id: str) -> dict[str, Any] | None:
    """Return the state of an event of the agency *me*, followed to the id under which it was sealed again.

    After a loss of the ledger, the state comes from the registrar's receipts in the inbox.
    """
    asked = id
    row = row_of(tx, subject, id)
    receipt = _receipt(tx, me, subject, id) if row is None else None
    while following := _following(me, id, row, receipt):
        next_row = row_of(tx, subject, following)
        next_receipt = _receipt(tx, me, subject, following) if next_row is None else None
        if next_row is None and next_receipt is None:
            break
        id, row, receipt = following, next_row, next_receipt
    found = state_of(tx, row) if row is not None else _of_receipt(tx, receipt) if receipt else None
    return None if found is None else _there({"asked_id": asked if asked != id else None, **found})


def of_request(tx: Connection, me: str, subject: str, id: str) -> list[dict[str, Any]]:
    """Return the state of the event *id*, and of those beside it in its request if it is the first: one for each receiver."""
    ids = chain([id], (said_by_itself(me, id, str(number)) for number in count(1)))
    return [*takewhile(bool, (said(tx, me, subject, each) for each in ids))]  # type: ignore[list-item]  # None ends it


def _following(me: str, id: str, row: Row[Any] | None, receipt: Registration | None) -> str | None:
    """Return the id under which the event was sealed again; None if it was not."""
    if row is not None:
        return row.replaced_by  # type: ignore[no-any-return]  # a column of text
    return sealed_again(me, id) if receipt is not None and receipt.code == RESEALED else None


def state_of(tx: Connection, row: Row[Any]) -> dict[str, Any]:
    """Return the state of the event in a *row* of the outbox, members without a value left out."""
    clear = json.loads(row.clear)
    found = {
        "id": row.id,
        "case": row.subject,
        "type": row.type,
        "version": clear["version"],
        "state": row.state,
        "verdict": row.verdict or "pending",
        "code": row.code,
        "accepts": _accepted(tx, row) if row.code == "unknown_version" else None,
        "rule": row.rule,
        "article": row.article,
        "number": row.number,
        "sequence": row.sequence,
        "receipt": row.receipt,
        "receipts": row.receipts,
        "again": bool(row.again),
        "receivers": clear["data"].get("receivers"),
        "ref": clear.get("referral"),
        "time": clear["time"],
        "asked_id": _first_id(tx, row),
    }
    return _there(found)


def _first_id(tx: Connection, row: Row[Any]) -> str | None:
    """Return the id under which the event in a *row* of the outbox was put first; None if it was not sealed again."""
    return None if row.turn == row.seq else tx.scalar(select(_OUTBOX.id).where(_OUTBOX.seq == row.turn))


def _receipt(tx: Connection, me: str, subject: str, id: str) -> Registration | None:
    inbox = tables.inbox.c
    same = (inbox.id == id) & (inbox.subject == subject) & (inbox.source == me)
    raw = tx.scalar(select(inbox.registration).where(same).order_by(inbox.number).limit(1))
    return None if raw is None else Registration.parse(body_of("registration", raw))  # verified before it was stored


def _of_receipt(tx: Connection, receipt: Registration) -> dict[str, Any]:
    """Return the registrar's answer; the text of a refused event is no longer available."""
    same = (_EVENTS.subject == receipt.subject) & (_EVENTS.source == receipt.source) & (_EVENTS.id == receipt.id)
    row = tx.execute(select(tables.events).where(same)).first()
    data = json.loads(row.value) if row is not None else {}
    return {
        "id": receipt.id,
        "case": receipt.subject,
        "type": row.type if row is not None else None,
        "version": signed_of(row).version if row is not None else None,
        "state": "closed",
        "verdict": receipt.verdict,
        "code": receipt.code,
        "accepts": list(receipt.accepts or ()) or None,
        "rule": receipt.rule,
        "article": receipt.article,
        "number": receipt.number,
        "sequence": receipt.sequence,
        "receipt": receipt.digest,
        "receipts": 1,
        "again": False,
        "receivers": data.get("receivers"),
        "ref": row.referral if row is not None else None,
        "time": row.time if row is not None else None,
    }


def _accepted(tx: Connection, row: Row[Any]) -> list[int] | None:
    """Return the versions of the type that the registrar accepts, by its refusal of *row*."""
    inbox = tables.inbox.c
    refusal = (inbox.subject == row.subject) & (inbox.id == row.id) & (inbox.number == row.number)
    raw = tx.scalar(select(inbox.registration).where(refusal))
    if raw is None:
        return None
    return list(Registration.parse(body_of("registration", raw)).accepts or ())  # verified before it was stored


def page(name: str, found: list[dict[str, Any]], limit: int, cursor: str) -> dict[str, Any]:
    """Return a page of *found*, read with one entry more than *limit*; ``next`` is the member *cursor* of its last entry."""
    following = found[limit - 1][cursor] if len(found) > limit else None
    return {name: found[:limit], "next": following}


def together(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one answer for all events of a request: pending, or else the first verdict other than registered.

    A pending one has the id of the first event, by which the state of all is asked for.
    """
    first = next((part for part in parts if part["verdict"] != "registered"), parts[0])
    pending = any(part["verdict"] == "pending" for part in parts)
    names = ("id", "case", "type", "code", "sentence", "accepts", "rule", "article", "number", "receipt")
    return {
        "verdict": "pending" if pending else first["verdict"],
        **{name: first[name] for name in names if name in first},
        **({"id": parts[0].get("asked_id", parts[0]["id"])} if pending else {}),
        "events": parts,
    }


def subject_of(tx: Connection, me: str, id: str) -> str | None:
    """Return the case of the event *id* of the agency *me*; None if there is no such event."""
    put: str | None = tx.scalar(select(_OUTBOX.subject).where(_OUTBOX.id == id).order_by(_OUTBOX.seq).limit(1))
    inbox = tables.inbox.c
    answered = select(inbox.subject).where(inbox.id == id, inbox.source == me).order_by(inbox.number).limit(1)
    return put or tx.scalar(answered)


def filtered(columns: Mapping[str, Any], time: Any, only: Mapping[str, str | int | datetime | None]) -> list[Any]:
    """Return the conditions of *only*: equality of *columns*, by name, and bounds of *time*: ``since`` is included, ``until`` is not."""
    found = []
    for name, value in only.items():
        if isinstance(value, datetime):
            at = times.stamp(value)
            found.append(time >= at if name == "since" else time < at)
        elif value is not None:
            found.append(columns[name] == value)
    return found


def newest(tx: Connection) -> int:
    """Return the number of the newest row; 0 if there is none."""
    return tx.scalar(select(func.max(_EVENTS.position))) or 0


def without_letter(*, letters: bool = False) -> tuple[ColumnElement[Any], ...]:
    """Return the columns of an event, with null instead of its letter unless the *letters* are wanted."""
    return tuple(each if letters or each.name != "letter" else null().label("letter") for each in _EVENTS)


def received(
    tx: Connection,
    seat: Seat,
    *,
    after: int,
    limit: int,
    technical: bool,
    letters: bool = False,
    **only: str | datetime | None,
) -> list[Row[Any]]:
    """Return the rows of received events after row *after*, in order, each with its registration; *only* are filters.

    Letters are read only to be opened, by *letters*: a page of a document's chunks would be 130 MB.
    """
    inbox, parked = tables.inbox, tables.parked
    rows: Select[Any] = (
        select(*without_letter(letters=letters), inbox.c.registration, parked.c.error)
        .select_from(tables.events)
        .join(inbox, (inbox.c.partition == _EVENTS.partition) & (inbox.c.inbox_number == _EVENTS.inbox_number))
        .outerjoin(parked, parked.c.position == _EVENTS.position)
        .where(_EVENTS.position > after, _EVENTS.source != seat.me)
    )
    rows = rows.where(*filtered(_FILTERS, _EVENTS.registered, only))
    if not technical:
        rows = rows.where(_EVENTS.technical == 0)
    return list(tx.execute(rows.order_by(_EVENTS.position).limit(limit)).all())


def heard(
    row: Row[Any], speaks: Speaks, letter: letters.Opened | None = None, came: int | None = None
) -> dict[str, Any]:
    """Return a received event in the version that its reader *speaks*, with the *letter* if opened.

    Of a document *came* says how many chunks are here.

    An event unknown to this release has only the fields of the envelope. ``original`` is always included.
    """
    signed = signed_of(row)
    event = known(signed)
    body = {
        "row": row.position,
        "partition": row.partition,
        "inbox_number": row.inbox_number,
        "number": row.number,
        "id": row.id,
        "type": row.type,
        "published": signed.version,
        "case": row.subject,
        "source": row.source,
        "time": row.time,
        "registered": row.registered,
        "ref": row.referral,
        "parts": json.loads(row.parts),
        "shut": (letter.shut if letter else None) or row.shut,
        "technical": bool(row.technical),
        "parked": True if row.error else None,
        "unknown": True if event is None else None,
        "original": original(signed, row.registration),
    }
    if event is not None:
        version = versions.version_of(speaks, row.type)
        said = versions.told(event, letter.fields if letter else {}, version)
        body |= {"version": version, "data": said.data, "lost": versions.listed(said.lost) or None}
        if isinstance(event.data, DocumentShared) and came is not None:
            chunks = event.data.chunks
            body["document"] = {"chunks": chunks, "came": came, "complete": came == chunks}
        if letter is not None:
            body["letter"] = versions.by_part(row.type, version, said.letter, letter.parts)
    return _there(body)


def original(signed: Signed, registration: bytes) -> dict[str, Any]:
    """Return the signed event and its registration: the headers as text, the rest in base64.

    The letter is left out: the headers contain the digest, so the signature verifies without the letter.
    """
    headers = signed.record.without_letter().headers
    return {
        "headers": {name: value.decode("ascii") for name, value in headers},
        "value": base64.encode(signed.data),
        "registration": base64.encode(registration),
    }


async def opened(
    desk: Desk,
    row: Row[Any],
    speaks: Speaks,
    *,
    asked: opening.LettersToOpen,
    who: str,
    purpose: str,
    system: str,
    came: int | None = None,
) -> dict[str, Any]:
    """Return the event as `heard` does, with its letter if the reading was registered as *asked*; else closed."""
    if row.position in asked.due:
        how = {"who": who, "purpose": purpose, "system": system}
        return heard(row, speaks, await opening.open_letter(desk, signed_of(row), **how), came)
    shut = asked.shut.get(row.position)
    return heard(row, speaks, None if shut is None else letters.Opened(shut=shut), came)


def events_of(tx: Connection, subject: str) -> int:
    """Return how many events of a case this desk has sent or received; 0 for a case that it does not know."""
    count = tx.scalar(select(func.count()).select_from(tables.events).where(_EVENTS.subject == subject))
    return 0 if is_bulletin(subject) else count or 0


def case(tx: Connection, desk: Desk, subject: str) -> dict[str, Any] | None:
    """Return this desk's view of a case; None if no event was sent or received."""
    if not (count := events_of(tx, subject)):
        return None
    view = desk.cases.view(tx, subject)
    if beginnings.is_incomplete(desk.seat.ledger, tx, subject):
        return _incomplete(tx, desk, subject, view, count)
    now = desk.seat.now()
    duties = open_duties(desk.seat.rules.clocks(view, now), desk.seat.me, now)
    return _there(
        {
            "case": subject,
            "status": view.status,
            "child": view.child,
            "version": view.count_for(desk.seat.me),
            "on_case": view.on_case(desk.seat.me),
            "events": count,
            "open_referrals": list(open_referrals(view, desk.seat.me)),
            "open_deadlines": [
                _there(
                    {
                        "code": duty.code,
                        "agency": duty.answerable,
                        "due": times.write(duty.due) if duty.due else None,
                        "ref": duty.ref,
                    }
                )
                for duty in duties
            ],
            "stops": stops(tx, desk, view) or None,
            "parked": subject in desk.parked,
            "parked_because": _because(tx, subject),
        }
    )


def _incomplete(tx: Connection, desk: Desk, subject: str, view: View, count: int) -> dict[str, Any]:
    """Return a case with an unknown beginning: the known events, and no values that need the whole case."""
    return _there(
        {
            "case": subject,
            "incomplete": True,
            "sentence": beginnings.INCOMPLETE,
            "events": count,
            "open_referrals": list(open_referrals(view, desk.seat.me)),
            "stops": stops(tx, desk, view) or None,
            "parked": subject in desk.parked,
            "parked_because": _because(tx, subject),
        }
    )


def reads(
    tx: Connection, subject: str, after: int = 0, limit: int | None = None, **within: datetime | None
) -> list[dict[str, Any]]:
    """Return the openings of the case's letters at this desk behind the row *after*: reader, purpose and part; its own openings too.

    *within* are ``since`` and ``until``.
    """
    of_case = select(tables.reads).where(tables.reads.c.subject == subject, tables.reads.c.id > after)
    of_case = of_case.where(*filtered({}, tables.reads.c.at, within))
    rows = tx.execute(of_case.order_by(tables.reads.c.id).limit(limit))
    return [{"row": row.id} | read(row) for row in rows]


def read(row: Row[Any]) -> dict[str, Any]:
    """Return one row of ``reads``."""
    return _there({name: getattr(row, name) for name in ("at", "who", "source", "event", "part", "purpose", "system")})


def granted(tx: Connection, me: str, *only: ColumnElement[bool], letters: bool = True) -> Iterator[dict[str, Any]]:
    """Yield what the registrar recorded of the agency *me* reading or handing on, the oldest first, where *only* holds.

    Without *letters*, only cases that were read as a whole, printed or handed on.
    """
    mine = (_OUTBOX.subject == _EVENTS.subject) & (_OUTBOX.id == _EVENTS.id)
    rows = select(*without_letter()).outerjoin(tables.outbox, mine)
    rows = rows.where(_EVENTS.type == AccessGranted.type, _EVENTS.source == me, *only)
    for row in tx.execute(rows.order_by(_EVENTS.position)):
        if not letters and _OF_LETTER in row.value:
            continue  # almost all are, and to decode each takes a quarter of a millisecond
        event = event_of(row)
        if event is not None and isinstance(data := event.data, AccessGranted) and (letters or data.what != "letter"):
            yield {
                "case": row.subject, "at": row.registered, "who": event.actor, "what": data.what, "event": data.event or "",
                "parts": data.parts or (), "purpose": data.purpose,
            }  # fmt: skip


def lost_reads(tx: Connection, me: str, *only: ColumnElement[bool]) -> list[dict[str, Any]]:
    """Return the openings of letters, part by part, that an earlier ledger of this desk had the registrar record.

    They come back when the inbox is read again after a loss; the rows ``reads`` and ``outbox`` do not. Nobody can say
    whether the letter was opened. The opposite, a reading that this ledger asked for without a row ``reads``, did not happen.
    """
    return [
        {name: each[name] for name in ("case", "at", "who", "event", "purpose")} | {"part": part}
        for each in granted(tx, me, _OUTBOX.seq.is_(None), *only)
        if each["what"] == "letter"
        for part in each["parts"]
    ]


def _because(tx: Connection, subject: str) -> dict[str, Any] | None:
    """Return why a case is parked: type, error and remedy of its oldest parked record."""
    row = parking.first(tx, subject)
    if row is None:
        return None
    signed = signed_of(row)
    return {
        "error": row.error,
        "sentence": parking.sentence_of(row.error, signed),
        "row": row.position,
        "type": row.type,
        "published": signed.version,
        "since": row.since,
        "waiting": parking.count(tx, subject),
    }


def cases(tx: Connection, *, after: str, limit: int, **within: datetime | None) -> list[dict[str, Any]]:
    """Return the cases with sent or received events, by reference; *within* are ``since`` and ``until`` of the newest one."""
    last = func.max(_EVENTS.registered)
    rows = select(_EVENTS.subject, func.count().label("events"), last.label("last"))
    rows = (
        rows.where(_EVENTS.subject > after, tables.of_case(_EVENTS.subject))
        .group_by(_EVENTS.subject)
        .having(*filtered({}, last, within))
        .order_by(_EVENTS.subject)
        .limit(limit)
    )
    return [{"case": row.subject, "events": row.events, "last": row.last} for row in tx.execute(rows)]


def tasks(
    tx: Connection, *, after: int, limit: int, of_cases: bool = True, **only: str | int | datetime | None
) -> list[dict[str, Any]]:
    """Return the open tasks, oldest first; without those *of_cases*, the tasks of whoever looks after the desk. *only* are filters."""
    rows = select(tables.tasks).where(_TASKS.done.is_(None), _TASKS.id > after).order_by(_TASKS.id).limit(limit)
    rows = rows.where(*filtered({"case": _TASKS.subject, "kind": _TASKS.kind, "task": _TASKS.id}, _TASKS.opened, only))
    if not of_cases:
        rows = rows.where(_TASKS.subject == "")
    found = []
    for row in tx.execute(rows):
        task = {"task": row.id, "opened": row.opened, "case": row.subject or None, "event": row.event, "kind": row.kind}
        found.append(_there(task) | json.loads(row.about))
    return found


def open_tasks(tx: Connection, *, of_cases: bool = True) -> Iterator[dict[str, Any]]:
    """Yield all open tasks, oldest first, as `tasks` returns them page by page."""
    after = 0
    while page := tasks(tx, after=after, limit=_AT_A_TIME, of_cases=of_cases):
        yield from page
        after = page[-1]["task"]


def some_of_each_kind(found: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Return at most *most* of the tasks *found*, in their order: the first of each kind before the second of any.

    An alarm stands among them, however many tasks of another kind are older.
    """
    counts = Counter[str]()
    turns = list[tuple[int, int]]()
    for place, each in enumerate(found):
        turns.append((counts[each["kind"]], place))
        counts[each["kind"]] += 1
    return [found[place] for place in sorted(place for _, place in sorted(turns)[:most])]


class Shown:
    """Progress of a desk by its ledger: read once per commit, since waiting programs ask far more often."""

    def __init__(self, ledger: Ledger, me: str) -> None:
        """Prepare for the *ledger* of the agency *me*; nothing is read yet."""
        self._ledger, self._me = ledger, me
        self._count = -1
        self._read: dict[str, Any] = {}

    def position(self) -> dict[str, Any]:
        """Return one snapshot: positions of the inbox, unanswered rows, open tasks, erasures and the witness.

        A simultaneous commit is either completely included or completely missing.
        """
        count = self._ledger.count
        if count != self._count:
            with self._ledger.read() as tx:
                self._read = {
                    **_position(tx),
                    "erasing": rounds.waiting(tx, self._me),
                    "witness": cosignatures.health(tx),
                }
            self._count = count
        return {**self._read, "erasing": self._read["erasing"] + self._ledger.holds_deleted}


def _position(tx: Connection) -> dict[str, Any]:
    return {
        "inbox": {str(row.partition): row.inbox_number for row in tx.execute(_POSITIONS)},
        "outbox_open": tx.scalar(OPEN_ROWS),
        "tasks": tx.scalar(_OPEN_TASKS),
    }
