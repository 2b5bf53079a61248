"""Documents that this agency shares: uploaded, then announced by an event, then sent chunk by chunk.

An upload is kept as pieces that are sealed to this desk alone, and ends after a day unless an event announces it. Once
the announcement is registered, the first chunk goes into the outbox, and each further one when the one before it is
registered. So a kill resumes where the ledger stands, other events of the case go out between two chunks, and a refusal
ends what is left.
"""

import base64
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, delete, exists, insert, null, select, update

from nrmbus.desk.errors import DeskError
from nrmbus.desk.letters import letters
from nrmbus.desk.outbox import queue
from nrmbus.desk.outbox.content import TEXT, Kind, Upload, differing
from nrmbus.desk.procedure.interface import BY_ITSELF
from nrmbus.desk.state.cases import event_of
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.events.document import (
    CHUNK,
    LARGEST,
    PART_OF,
    DocumentChunkSent,
    DocumentChunkSentLetter,
    DocumentShared,
    MediaType,
)
from nrmbus.events.model import Draft, Event
from nrmbus.wire import times
from nrmbus.wire.errors import WireError
from nrmbus.wire.ids import new_event_id, said_by_itself

KEPT: Final = timedelta(days=1)
"""How long an upload waits for the event that announces it."""

MOST: Final = 20
"""Most uploads that wait at a time."""

_TOGETHER: Final = 8
"""Pieces that are written in one transaction: one commit for each would take longer than the upload."""

_DOCUMENTS, _PIECES = tables.documents.c, tables.document_pieces.c
_EVENTS: Final = tables.events.c
_OUTBOX: Final = tables.outbox.c
_WITHOUT_LETTER: Final = (*(each for each in _EVENTS if each.name != "letter"), null().label("letter"))


async def upload(seat: Seat, subject: str, stream: AsyncIterator[bytes]) -> Upload:
    """Keep the content of *stream* for the case *subject*, sealed to this desk; return its description.

    Raises:
        DeskError: ``document_unfit``, ``document_too_large``, ``documents_waiting``; ``document_unknown`` if the case
            was erased meanwhile, and the upload with it.
    """
    document, now = new_event_id(int(seat.now().timestamp() * 1000)), seat.now()
    row = {"document": document, "subject": subject, "made": times.write(now), "ends": times.write(now + KEPT)}

    def begin(tx: Connection) -> None:
        if len(tx.execute(select(_DOCUMENTS.document).where(_waits())).all()) >= MOST:
            raise DeskError("documents_waiting")
        tx.execute(insert(tables.documents), row)

    await seat.ledger.together(begin)
    try:
        found = await _kept(seat, document, subject, stream, row["ends"])
        sealed = _sealed(seat, document, subject, "file", asdict(found))
        await seat.ledger.together(partial(_finish, document=document, sealed=sealed))
    except BaseException:
        await seat.ledger.together(lambda tx: drop(tx, _DOCUMENTS.document == document))
        raise
    return found


def _add(tx: Connection, *, document: str, pieces: list[dict[str, Any]]) -> None:
    """Store *pieces* of an upload, unless the upload was destroyed since it began: nothing would find them again."""
    if tx.scalar(select(_DOCUMENTS.document).where(_DOCUMENTS.document == document)) is None:
        raise DeskError("document_unknown")
    tx.execute(insert(tables.document_pieces), pieces)


def _finish(tx: Connection, *, document: str, sealed: bytes) -> None:
    if not tx.execute(update(tables.documents).where(_DOCUMENTS.document == document).values(sealed=sealed)).rowcount:
        raise DeskError("document_unknown")


async def _kept(seat: Seat, document: str, subject: str, stream: AsyncIterator[bytes], ends: str) -> Upload:
    kind, digest, size, rows = Kind(), sha256(), 0, list[dict[str, Any]]()
    media_type: MediaType = TEXT
    async for piece, is_last in _pieces(stream):
        index, size = size // CHUNK, size + len(piece)
        media_type = kind.read(piece, is_last=is_last)
        digest.update(piece)
        chunk = {"chunk": base64.b64encode(piece).decode("ascii")}
        rows.append({"document": document, "index": index, "sealed": _sealed(seat, document, subject, index, chunk)})
        if is_last or len(rows) == _TOGETHER:
            written, rows = rows, []
            await seat.ledger.together(partial(_add, document=document, pieces=written))
    return Upload(document, media_type, size, digest.hexdigest(), ends)


async def _pieces(stream: AsyncIterator[bytes]) -> AsyncIterator[tuple[bytes, bool]]:
    """Yield the content in pieces of `CHUNK` bytes, and whether each is the last one."""
    waiting, size = bytearray(), 0
    async for part in stream:
        size += len(part)
        if size > LARGEST:
            raise DeskError("document_too_large")
        waiting += part
        while len(waiting) > CHUNK:
            yield bytes(waiting[:CHUNK]), False
            del waiting[:CHUNK]
    if not waiting:
        raise DeskError("document_unfit")
    yield bytes(waiting), True


def _sealed(seat: Seat, document: str, subject: str, of: int | str, fields: dict[str, Any]) -> bytes:
    return letters.seal_draft(seat, {"story": fields}, id=said_by_itself(seat.me, document, str(of)), subject=subject)


def _unsealed(seat: Seat, document: str, subject: str, of: int | str, sealed: bytes) -> dict[str, Any]:
    id = said_by_itself(seat.me, document, str(of))
    return letters.unseal_draft(seat, sealed, id=id, subject=subject)["story"]


def drop(tx: Connection, which: ColumnElement[bool]) -> None:
    """Destroy within *tx* the uploads *which*, with their content."""
    of_them = select(_DOCUMENTS.document).where(which)
    tx.execute(delete(tables.document_pieces).where(_PIECES.document.in_(of_them)))
    tx.execute(delete(tables.documents).where(which))


def let_go(tx: Connection, document: str, subject: str) -> None:
    """Destroy within *tx* an upload of the case *subject* that no event announces, since its content was announced before."""
    drop(tx, (_DOCUMENTS.document == document) & (_DOCUMENTS.subject == subject) & _DOCUMENTS.event.is_(None))


def cut() -> ColumnElement[bool]:
    """Return the condition for uploads whose end was never stored: no request goes on with one after the start of the desk."""
    return _DOCUMENTS.sealed.is_(None)


def _waits() -> ColumnElement[bool]:
    """Return the condition for uploads that wait for an event: none announces them, or one that ended without a verdict of the registrar.

    Another copy of that event's bytes may still be registered, and the upload is then sent.
    """
    same = (_OUTBOX.subject == _DOCUMENTS.subject) & (_OUTBOX.id == _DOCUMENTS.event)
    return _DOCUMENTS.event.is_(None) | exists().where(same, _OUTBOX.state == "closed", _OUTBOX.receipt.is_(None))


def ended(seat: Seat, tx: Connection) -> list[str]:
    """Return the uploads whose day is over: nobody has announced them, or their sending ended without a verdict of the registrar.

    The day begins with the upload, or when the announcement or chunk was closed: an announcement may have waited for days.
    A client may name any event as the cause of an announcement, so only a chunk is found by its cause.
    """
    unannounced = select(_DOCUMENTS.document).where(_DOCUMENTS.event.is_(None), _DOCUMENTS.ends <= seat.stamp())
    closed = (_OUTBOX.subject == _DOCUMENTS.subject) & (_OUTBOX.state == "closed") & _OUTBOX.receipt.is_(None)
    long_ago = _OUTBOX.closed <= times.write(seat.now() - KEPT)
    stopped_at = (
        select(_DOCUMENTS.document, _DOCUMENTS.event, _OUTBOX.type, _OUTBOX.id, _OUTBOX.clear)
        .join_from(tables.documents, tables.outbox, closed & long_ago)
        .where(_OUTBOX.type.in_((DocumentShared.type, DocumentChunkSent.type)))
    )
    found = [
        row.document
        for row in tx.execute(stopped_at)
        if row.event == (row.id if row.type == DocumentShared.type else json.loads(row.clear)["causationid"])
    ]
    return [*tx.scalars(unannounced), *found]


# -- announcing ------------------------------------------------------------------------------------------------------


def announce(seat: Seat, tx: Connection, document: str, draft: Draft) -> None:
    """Note within *tx* that *draft* announces the upload *document*.

    Raises:
        DeskError: ``document_unknown``; ``unknown_field`` if the draft says anything else of the file than the upload.
    """
    mine = (_DOCUMENTS.document == document) & (_DOCUMENTS.subject == draft.subject)
    free = _waits() | (_DOCUMENTS.event == draft.id)
    row = tx.execute(select(tables.documents).where(mine, free)).first()
    if row is None or row.sealed is None:
        raise DeskError("document_unknown")
    found = Upload(**_unsealed(seat, document, draft.subject, "file", row.sealed))
    if problems := differing(draft, found):
        raise DeskError("unknown_field", problems)
    tx.execute(update(tables.documents).where(mine).values(event=draft.id))


def not_registered(
    seat: Seat, tx: Connection, row: Row[Any], replaced_by: str | None = None, *, has_verdict: bool
) -> None:
    """Note within *tx* that the *row* of the outbox was closed without a registration; *replaced_by* is the id of its next try.

    A refused announcement leaves the upload to be announced again within a day. So does a sent one that ended without a
    verdict, and the upload remains its own, since another copy of its bytes may be registered. After a refused chunk, no
    further one would be registered either, so the rest is destroyed; after a sent one without a verdict, the rest waits
    for another copy.
    """
    if not has_verdict and row.value is not None:
        return
    if row.type == DocumentShared.type:
        values = {"event": replaced_by}
        if replaced_by is None:  # the announcement may have waited for longer than the day of the upload
            values["ends"] = times.write(seat.now() + KEPT)
        tx.execute(update(tables.documents).where(_announced_by(row.subject, row.id)).values(values))
    elif row.type == DocumentChunkSent.type and replaced_by is None:
        drop(tx, _announced_by(row.subject, json.loads(row.clear)["causationid"]))


def is_cut_short(seat: Seat, tx: Connection, row: Row[Any]) -> bool:
    """Return whether the *row* of the outbox is of a document of which no further chunk is sent, although chunks are missing."""
    if row.type == DocumentShared.type:
        announced, last = row.id, False
    elif row.type == DocumentChunkSent.type:
        said = json.loads(row.clear)
        announced = said["causationid"]
        found = _announcement(tx, row.subject, seat.me, announced)
        last = (
            found is not None
            and isinstance(found.data, DocumentShared)
            and said["data"]["index"] + 1 >= found.data.chunks
        )
    else:
        return False
    return not last and tx.scalar(select(_DOCUMENTS.document).where(_announced_by(row.subject, announced))) is None


@dataclass(frozen=True, slots=True)
class CutShort:
    """End of the sending of a document of which chunks are missing; both None unless a chunk was refused or could not be sent."""

    code: str | None = None
    rule: str | None = None


def cut_short(tx: Connection, subject: str, announced: Iterable[str]) -> Mapping[str, CutShort]:
    """Return, of the documents with missing chunks that the own events *announced* announce, those of which nothing more is sent, and why.

    While its upload is here a document is not among them: the next chunk is on its way, or another copy of one may be registered.
    """
    here = set(tx.scalars(select(_DOCUMENTS.event).where(_DOCUMENTS.subject == subject)))
    if not (gone := set(announced) - here):
        return {}
    ended = select(_OUTBOX.code, _OUTBOX.rule, _OUTBOX.clear).where(
        _OUTBOX.subject == subject, _OUTBOX.type == DocumentChunkSent.type, _OUTBOX.verdict.in_(("refused", "failed")),
        _OUTBOX.replaced_by.is_(None),
    )  # fmt: skip
    found = dict.fromkeys(gone, CutShort())
    for row in tx.execute(ended.order_by(_OUTBOX.seq)):
        if (of_it := json.loads(row.clear)["causationid"]) in gone:
            found[of_it] = CutShort(row.code, row.rule)
    return found


def _announced_by(subject: str, id: str) -> ColumnElement[bool]:
    """Return the condition for the upload that the own event *id* of the case *subject* announces."""
    return (_DOCUMENTS.subject == subject) & (_DOCUMENTS.event == id)


# -- sending ---------------------------------------------------------------------------------------------------------


def go_on(seat: Seat, tx: Connection, event: Event) -> None:
    """Put within *tx* the chunk that follows *event* into the outbox: an own announcement or chunk that was registered."""
    data = event.data
    if isinstance(data, DocumentShared):
        announced, index = event, 0
    elif (
        isinstance(data, DocumentChunkSent)
        and (found := _announcement(tx, event.subject, event.source, event.causationid)) is not None
    ):
        announced, index = found, data.index + 1
    else:
        return
    row = tx.execute(select(tables.documents).where(_announced_by(announced.subject, announced.id))).first()
    said = announced.data
    if row is None or not isinstance(said, DocumentShared):
        return
    if index >= said.chunks:
        drop(tx, _DOCUMENTS.document == row.document)
        return
    this = (_PIECES.document == row.document) & (_PIECES.index == index)
    sealed = tx.scalar(select(_PIECES.sealed).where(this))
    if sealed is None:  # it is in the outbox already
        return
    try:
        piece = _unsealed(seat, row.document, row.subject, index, sealed)["chunk"]
    except WireError:  # in a ledger from an old backup: the key is gone, and the document stays incomplete
        drop(tx, _DOCUMENTS.document == row.document)
        return
    draft = Draft(
        type=DocumentChunkSent.type, version=DocumentChunkSent.version, subject=announced.subject,
        data=DocumentChunkSent(to=said.to, index=index), time=seat.now(), actor=BY_ITSELF,
        letter=DocumentChunkSentLetter.from_mapping({f"{PART_OF[said.document_type]}_chunk": piece}),
        legalbasis=announced.legalbasis, consent=announced.consent, referral=announced.referral,
        causationid=announced.id, id=said_by_itself(seat.me, row.document, f"chunk/{index}"),
    )  # fmt: skip
    queue.put(seat, tx, draft, origin="receipt", correlationid=announced.correlationid or announced.id)
    tx.execute(delete(tables.document_pieces).where(this))


def stopped(tx: Connection, me: str) -> list[Event]:
    """Return, for each announced upload, the newest own event about the upload that was registered and handled.

    `go_on` does nothing with one whose next chunk is in the outbox already. An earlier release let an event that had waited
    for an upgrade through without its next chunk, and nothing else would send the rest.
    """
    found, parked = list[Event](), select(tables.parked.c.position)
    for row in tx.execute(select(tables.documents).where(_DOCUMENTS.event.is_not(None))).all():
        chunks = (_EVENTS.type == DocumentChunkSent.type) & tables.has_bytes(_EVENTS.headers, row.event.encode())
        own = select(*_WITHOUT_LETTER).where(
            _EVENTS.subject == row.subject, _EVENTS.source == me, (_EVENTS.id == row.event) | chunks, _EVENTS.position.not_in(parked)
        )  # fmt: skip
        events = map(event_of, tx.execute(own.order_by(_EVENTS.position.desc())))
        found += [each for each in events if each is not None and row.event in (each.id, each.causationid)][:1]
    return found


def _announcement(tx: Connection, subject: str, source: str, id: str | None) -> Event | None:
    same = (_EVENTS.subject == subject) & (_EVENTS.source == source) & (_EVENTS.id == id)
    row = tx.execute(select(tables.events).where(same)).first()
    return None if row is None else event_of(row)


def seal_anew(seat: Seat, tx: Connection) -> None:
    """Seal within *tx* all that was uploaded to the sealing key in use."""
    for row in tx.execute(select(tables.documents)).all():
        of = (seat, row.document, row.subject)
        try:
            if row.sealed is not None:
                file = _sealed(*of, "file", _unsealed(*of, "file", row.sealed))
                tx.execute(update(tables.documents).where(_DOCUMENTS.document == row.document).values(sealed=file))
            left = select(_PIECES.index).where(_PIECES.document == row.document)
            for index in tx.scalars(left).all():
                this = (_PIECES.document == row.document) & (_PIECES.index == index)
                piece = _unsealed(*of, index, tx.scalar(select(_PIECES.sealed).where(this)) or b"")
                tx.execute(update(tables.document_pieces).where(this).values(sealed=_sealed(*of, index, piece)))
        except WireError:  # in a ledger from an old backup: it cannot be sent
            drop(tx, _DOCUMENTS.document == row.document)
