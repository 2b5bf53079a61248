"""Reading a document that was shared: on record once, verified as a whole, then handed out chunk by chunk.

A document opens under the same conditions as the letter of its announcement: consent, erasure and the Rules treat the
chunks like that letter. The sender reads its own documents in the same way.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select

from nrmbus.desk.access import opening
from nrmbus.desk.desk import Desk
from nrmbus.desk.errors import DeskError
from nrmbus.desk.letters import case_keys, letters
from nrmbus.desk.outbox import refusals
from nrmbus.desk.outbox.documents import CutShort, cut_short
from nrmbus.desk.state.cases import known, signed_of
from nrmbus.desk.store import tables
from nrmbus.events.access import AccessPurpose
from nrmbus.events.document import PART_OF, DocumentChunkSent, DocumentFile, DocumentShared
from nrmbus.events.errors import Invalid, Problem
from nrmbus.events.model import Draft, Part
from nrmbus.wire.envelope import Signed
from nrmbus.wire.errors import LetterClosed, WireError

_EVENTS, _PARKED = tables.events.c, tables.parked.c


@dataclass(frozen=True, slots=True)
class Shared:
    """Document as it lies here: its announcement, and the positions of its chunks in order."""

    announcement: Row[Any]
    data: DocumentShared
    chunks: tuple[int, ...]
    is_own: bool

    @property
    def part(self) -> Part:
        """Return the part of the letters that the document lies in."""
        return PART_OF[self.data.document_type]


def find(tx: Connection, me: str, id: str, subject: str | None) -> Shared | None:
    """Return the document that the event *id* of the case *subject* announces; None if this desk has no such announcement.

    Without *subject* the id has to be that of one announcement alone: any agency can give an event of another case this id.

    Raises:
        DeskError: ``unknown_field``: *subject* is None, and several cases have such an announcement.
    """
    of_id: ColumnElement[bool] = (_EVENTS.id == id) & (_EVENTS.type == DocumentShared.type)
    if subject is not None:
        of_id &= _EVENTS.subject == subject
    rows = tx.execute(opening.with_letters(me).where(of_id).order_by(_EVENTS.position).limit(2)).all()
    if subject is None and len(rows) > 1:
        raise DeskError("unknown_field", [Problem("?case", "missing")])
    if not rows:
        return None
    named = tables.has_bytes(_EVENTS.headers, id.encode())
    return _document(me, rows[0], _chunks(tx, rows[0].subject, named))


def of_case(tx: Connection, me: str, subject: str) -> list[Shared]:
    """Return the documents of the case *subject*, the newest first; of several announcements with one id the one that `find` returns."""
    of_it = (_EVENTS.subject == subject) & (_EVENTS.type == DocumentShared.type)
    rows = tx.execute(opening.with_letters(me).where(of_it).order_by(_EVENTS.position.desc())).all()
    first, chunks = {row.id: row for row in rows}, _chunks(tx, subject)
    documents = (_document(me, row, chunks) for row in first.values())
    return sorted(filter(None, documents), key=lambda each: each.announcement.number, reverse=True)


_Chunks = Mapping[tuple[str, str | None], Mapping[int, int]]
"""Source of an announcement and its id -> index of each chunk that is here -> its position."""


def _chunks(tx: Connection, subject: str, *only: ColumnElement[bool]) -> _Chunks:
    """Return the chunks of the case *subject* where *only* holds, the first one of each index."""
    rows = select(_EVENTS.position, _EVENTS.source, _EVENTS.headers, _EVENTS.value).where(
        _EVENTS.subject == subject, _EVENTS.type == DocumentChunkSent.type, *only
    )
    found = dict[tuple[str, str | None], dict[int, int]]()
    for row in tx.execute(rows.order_by(_EVENTS.position)):
        announced = row.source, dict(json.loads(row.headers)).get("ce_causationid")
        found.setdefault(announced, {}).setdefault(json.loads(row.value)["index"], row.position)
    return found


def _document(me: str, row: Row[Any], chunks: _Chunks) -> Shared | None:
    """Return the document that *row* announces; None if this release does not have the version of the announcement."""
    event = known(signed_of(row))
    if event is None or not isinstance(event.data, DocumentShared):
        return None
    came = chunks.get((row.source, row.id), {})
    here = tuple(came[index] for index in range(event.data.chunks) if index in came)
    return Shared(row, event.data, here, row.source == me)


def came(tx: Connection, desk: Desk, rows: Iterable[Row[Any]]) -> dict[int, int]:
    """Return for each announcement in *rows*, by its position, how many of its chunks have come."""
    found, view = dict[int, int](), cache(partial(desk.cases.view, tx))
    for row in rows:
        if row.type == DocumentShared.type:
            document = view(row.subject).documents.get(row.id)
            found[row.position] = 0 if document is None else document.came
    return found


async def reading(desk: Desk, shared: Shared, *, who: str, purpose: AccessPurpose) -> Draft:
    """Return the event to register before *who* reads the document.

    Raises:
        DeskError: ``document_incomplete``, ``document_shut``, ``unknown_field``.
    """
    row = shared.announcement
    (closed,) = await why_closed(desk, row.subject, [shared])
    if closed is not None:
        raise closed.error
    how: dict[str, Any] = {"who": who, "purpose": purpose, "parts": (shared.part,), "event": row.id}
    return opening.access(desk, row.subject, "letter", **how)


@dataclass(frozen=True, slots=True)
class Closed:
    """Reason why a document cannot be read now."""

    error: DeskError
    """``document_incomplete`` or ``document_shut``."""
    cut_short: CutShort | None = None
    """Of an own document: why no further chunk is sent; None while one is, or if nothing is missing."""


async def why_closed(desk: Desk, subject: str, documents: Sequence[Shared]) -> list[Closed | None]:
    """Return for each of *documents*, all of the case *subject*, why it cannot be read now; None if it can.

    What holds for the whole case is read once, since a case may have hundreds of documents.
    """
    if await desk.unaltered.is_altered(subject):
        return [Closed(_shut(letters.ALTERED))] * len(documents)
    missing = [each.announcement.id for each in documents if each.is_own and len(each.chunks) < each.data.chunks]
    with desk.seat.ledger.read() as tx:
        parked = frozenset(tx.scalars(select(_PARKED.position).where(_PARKED.subject == subject)))
        ended = cut_short(tx, subject, missing) if missing else {}
        of_case = opening.OfCase(desk, tx, subject)
        return [_why_closed(desk, tx, each, of_case, parked, ended) for each in documents]


def _why_closed(
    desk: Desk,
    tx: Connection,
    shared: Shared,
    of_case: opening.OfCase,
    parked: frozenset[int],
    ended: Mapping[str, CutShort],
) -> Closed | None:
    row = shared.announcement
    is_parked = not parked.isdisjoint((row.position, *shared.chunks))
    if (shut := opening.why_shut(desk, signed_of(row), tx, of_case) or row.shut) is not None:
        return Closed(_shut(shut))
    if not is_parked and not shared.is_own and shared.part not in json.loads(row.parts):
        return Closed(_shut("not_allowed"))
    if not is_parked and len(shared.chunks) == shared.data.chunks:
        return None
    here = f"{len(shared.chunks)} of {shared.data.chunks} pieces are here."
    found = None if is_parked else ended.get(row.id)
    if found is not None:
        why = f" {refusals.sentence(desk.seat, found.code, found.rule)}" if found.code else ""
        here += f" No further piece is sent; the document can be shared again.{why}"
    return Closed(DeskError("document_incomplete", detail=here), found)


def _shut(why: str) -> DeskError:
    return DeskError("document_shut", safe={"shut": why})


async def open_file(desk: Desk, shared: Shared, *, who: str, purpose: str, system: str) -> DocumentFile:
    """Record that *who* opens the document by *system*, and return what it is, after the content was compared with that.

    Raises:
        DeskError: ``document_shut``, ``document_damaged``.
    """
    signed = signed_of(shared.announcement)

    shut_by = partial(opening.why_shut, desk, signed)
    how: dict[str, Any] = {"who": who, "purpose": purpose, "why_shut": shut_by, "system": system}
    shut = await letters.record_reads(desk.seat, signed, [shared.part], **how)
    if shut is not None:
        raise _shut(shut)
    fields = _opened(desk, signed, shared.part)
    try:
        file = DocumentFile.from_mapping(fields[f"{shared.part}_file"])
    except (KeyError, Invalid):
        file = None
    if file is None:
        raise DeskError("document_damaged")
    async for _ in pieces(desk, shared, file):
        pass
    return file


async def pieces(desk: Desk, shared: Shared, file: DocumentFile) -> AsyncIterator[bytes]:
    """Yield the content, the last piece only if all of it is what its sender announced as *file*.

    Raises:
        DeskError: ``document_damaged``; ``document_shut`` if a withdrawal or an erasure came meanwhile.
    """
    digest, size, waiting = sha256(), 0, b""
    announced = signed_of(shared.announcement)
    for position in shared.chunks:
        if waiting:
            yield waiting
        waiting = _piece(desk, shared.part, announced, position)
        digest.update(waiting)
        size += len(waiting)
        await asyncio.sleep(0)  # others are served between two pieces
    if (size, digest.hexdigest()) != (file.size, file.sha256):
        raise DeskError("document_damaged")
    yield waiting


def _piece(desk: Desk, part: Part, announced: Signed, position: int) -> bytes:
    """Return the content of the chunk at *position*, unless a new request for the document *announced* would be refused by now."""
    with desk.seat.ledger.read() as tx:
        shut = opening.why_shut(desk, announced, tx)
        row = tx.execute(opening.with_letters(desk.seat.me).where(_EVENTS.position == position)).one()
    if shut is not None or row.letter is None:
        raise _shut(shut or row.shut or letters.ERASED)
    piece = None
    try:
        fields = _opened(desk, signed_of(row), part)
        piece = base64.b64decode(fields[f"{part}_chunk"], validate=True)
    except (KeyError, TypeError, ValueError):
        piece = None
    if piece is None:
        raise DeskError("document_damaged")
    return piece


def _opened(desk: Desk, signed: Signed, part: Part) -> dict[str, Any]:
    """Return the fields of *part* of a letter whose opening is on record."""
    place, fields = case_keys.place_of(desk.seat, signed), None
    try:
        container = signed.letter(whole=False)
        if container is not None:
            secrets = letters.secrets(desk.seat, container, place)
            fields = container.open_with({part: secrets[part]}, place)[part]
    except (KeyError, LetterClosed, WireError):
        fields = None
    if fields is None:
        raise DeskError("document_damaged")
    return fields
