"""Requests under an id that the agency has used before: the same event again, or a different one.

The id alone names the event, with or without a case in the request. If the ledger has the row of the outbox, the
keyed digest of the request decides. After a loss of the ledger, the clear signed fields decide; the letter's text is
gone and cannot be compared.
"""

from typing import Any, Final

from sqlalchemy import Connection, Row, select

from nrmbus.desk.errors import DeskError
from nrmbus.desk.http.request import Asked, known_by
from nrmbus.desk.outbox import verdicts
from nrmbus.desk.state.cases import event_of
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.events.model import Draft, Event
from nrmbus.wire import json

_OUTBOX, _INBOX, _EVENTS = tables.outbox.c, tables.inbox.c, tables.events.c
_IN_THE_CLEAR: Final = (
    "type", "version", "actor", "approver", "legalbasis", "referral", "incident", "causationid", "expectedversion",
)  # fmt: skip


def in_its_case(
    seat: Seat, tx: Connection, asked: Asked, request: bytes, drafts: tuple[Draft, ...]
) -> tuple[Draft, ...]:
    """Return *drafts* unchanged if the id is new, else in the case of the event with this id.

    *request* is the canonical request. Call within the transaction that puts the drafts into the outbox, so that of two
    requests at once the second finds the first.

    Raises:
        DeskError: ``id_reused``: the id names an event of another case or with other words.
    """
    subjects = _subjects(seat, tx, drafts[0].id or "") if asked.id else []
    if not subjects:
        return drafts
    member = "incident" if drafts[0].data.keyed_by == "incident" else "case"
    given = getattr(asked, member)
    subject = given or subjects[0]
    if subject not in subjects:
        raise DeskError("id_reused")
    known = _known_by(seat, request, member, subject)
    drafts = tuple(in_case(draft, subject) for draft in drafts)
    for draft in drafts:
        row = verdicts.row_of(tx, subject, draft.id or "")
        if row is not None and row.asked not in known:
            raise DeskError("id_reused")
        if row is None and (event := _event(seat, tx, draft)) and not _is_same(asked, draft, event):
            raise DeskError("id_reused")
    return drafts


def in_case(draft: Draft, subject: str) -> Draft:
    """Return *draft* in the case *subject*."""
    said = {name: getattr(draft, name) for name in Draft.model_fields}
    return Draft(**{**said, "subject": subject})


def _known_by(seat: Seat, request: bytes, member: str, subject: str) -> frozenset[str]:
    """Return every digest that the outbox may have for the request: with its *subject*, or without."""
    body = {name: value for name, value in json.loads(request, limit=len(request)).items() if name != member}
    forms = (json.dumps(body), json.dumps({**body, member: subject}))
    return frozenset(digest for form in forms for digest in known_by(seat, form))


def _subjects(seat: Seat, tx: Connection, id: str) -> list[str]:
    """Return the cases or incidents in which this agency used *id*, the first one first.

    More than one occurs only in ledgers of a release that looked ids up by case.
    """
    put = tx.scalars(select(_OUTBOX.subject).where(_OUTBOX.id == id).order_by(_OUTBOX.seq))
    answered = select(_INBOX.subject).where(_INBOX.id == id, _INBOX.source == seat.me).order_by(_INBOX.number)
    return list(dict.fromkeys([*put.all(), *tx.scalars(answered).all()]))


def _event(seat: Seat, tx: Connection, draft: Draft) -> Row[Any] | None:
    same = (_EVENTS.subject == draft.subject) & (_EVENTS.source == seat.me) & (_EVENTS.id == draft.id)
    return tx.execute(select(tables.events).where(same)).first()


def _is_same(asked: Asked, draft: Draft, row: Row[Any]) -> bool:
    """Return whether the registered event in *row* equals *draft* in all clear signed fields."""
    event = event_of(row)
    if event is None:
        return False
    has_time = asked.time is not None or asked.occurred is not None
    return (
        all(getattr(draft, name) == getattr(event, name) for name in _IN_THE_CLEAR)
        and draft.data == event.data
        and (not has_time or draft.time == event.time)
        and (draft.letter is None) == (event.sealeddigest is None)
        and _consents(event) <= _consents(draft)  # the desk leaves out consents that concern no recipient
    )


def _consents(said: Draft | Event) -> set[str]:
    return set((said.consent or "").split())
