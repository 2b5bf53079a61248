"""Answers of the registrar, applied to the rows of the outbox: closed, sealed again, or sent again.

Everything here happens within the transaction in which the answer is stored, so a row is closed exactly when its answer
is on disk. An answer that came before changes nothing but a count.
"""

import json
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import Connection, Row, bindparam, func, literal_column, select, update

from nrmbus.desk.outbox import documents, queue, refusals
from nrmbus.desk.state.cases import signed_of
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import finish_task, finish_task_of, open_task
from nrmbus.events.model import Event
from nrmbus.wire.errors import WireError
from nrmbus.wire.registration import Answer, Registration

_ROW = tables.outbox.c
_NEXT_ANSWER: Final = select(func.coalesce(func.max(tables.outbox.alias("others").c.answered), 0) + 1).scalar_subquery()
_CLOSE: Final = queue.CHANGE.values(answered=_NEXT_ANSWER)
_OF_EVENT: Final = (
    select(tables.outbox, tables.sequences.c.next.label("next_sequence"))
    .outerjoin(tables.sequences, tables.sequences.c.subject == _ROW.subject)
    .where(_ROW.subject == bindparam("subject"), _ROW.id == bindparam("id"))
)
_CLOSED_ALONE: Final = select(_ROW.closed).where(
    _ROW.subject == bindparam("subject"), _ROW.id == bindparam("id"), _ROW.state == "closed", _ROW.receipt.is_(None)
)
_ANSWERED_AGAIN: Final = (
    update(tables.outbox)
    .where(_ROW.again == literal_column("1"), _ROW.state == "closed", _ROW.digest == bindparam("answered_digest"))
    .values(again=0)
)


_SENT_AFTER_ALL: Final = (
    update(tables.tasks)
    .where(
        tables.tasks.c.subject == bindparam("of_case"), tables.tasks.c.event == bindparam("of_event"),
        tables.tasks.c.kind.in_(literal_column(f"'{each}'") for each in ("not_sent", "refused")), tables.tasks.c.done.is_(None),
    )
    .values(done=bindparam("at"))
)  # fmt: skip


COPY_REFUSED: Final = "copy_refused"
"""Kind of the task about added readers of a letter whose copy was refused: no honest registrar sent them that copy."""

_COPY_REFUSED: Final = (
    "The registrar had a copy of the letter sealed to these agencies as further readers, and refused that copy, so it was"
    " delivered to nobody: tell your administrator if this happens often."
)

_OF_READERS: Final = (
    select(tables.tasks)
    .join(tables.outbox, (_ROW.subject == tables.tasks.c.subject) & (_ROW.id == tables.tasks.c.event))
    .where(
        _ROW.subject == bindparam("subject"), _ROW.turn == bindparam("turn"),
        tables.tasks.c.kind.in_(literal_column(f"'{each}'") for each in (queue.SEALED_TO_MORE, COPY_REFUSED)),
    )
)  # fmt: skip
"""Tasks about added readers of any copy of one letter: its copies have one turn."""


OF_THE_DIRECTORY: Final = frozenset({"agency_suspended", "signature_invalid"})
"""Codes of passing answers that depend on the directory of that moment: the same bytes may be registered later, so the procedure keeps its reservations."""


def row_of(tx: Connection, subject: str, id: str) -> Row[Any] | None:
    """Return the outbox row of an event, or None if this desk did not make it.

    ``next_sequence`` is the number of the next signed event of its case; None before the first.
    """
    return tx.execute(_OF_EVENT, {"subject": subject, "id": id}).first()


def ended_at(tx: Connection, subject: str, id: str) -> str | None:
    """Return when the row of an event was closed without a registration; None if the row is open, or the registrar decided."""
    return tx.scalar(_CLOSED_ALONE, {"subject": subject, "id": id})


def _close(tx: Connection, seq: int, at: str, **values: Any) -> None:
    tx.execute(_CLOSE, {"row": seq, "state": "closed", "closed": at, "again": 0, **values})


def _after(seat: Seat, tx: Connection, registration: Registration, row: Row[Any] | None) -> None:
    # Also for events that a restored ledger has forgotten: the next number follows the registrar's.
    if row is None or (row.next_sequence or 1) <= registration.sequence:
        seat.ledger.pass_sequence(tx, registration.subject, registration.sequence)


def _answered(registration: Registration) -> dict[str, Any]:
    return {
        "verdict": registration.verdict,
        "code": registration.code,
        "rule": registration.rule,
        "article": registration.article,
        "number": registration.number,
        "receipt": registration.digest,
        "sequence": registration.sequence,
        "receipts": 1,
    }


def registered(seat: Seat, tx: Connection, registration: Registration) -> tuple[str, ...]:
    """Close the row of an own event that was registered; return its recipients, as far as this desk knows them."""
    row = row_of(tx, registration.subject, registration.id)
    _after(seat, tx, registration, row)
    if row is None:
        return ()
    is_late = row.state == "closed" and row.receipt is None  # a passing answer to another copy of the bytes came first
    if is_late and not documents.is_cut_short(seat, tx, row):
        tx.execute(_SENT_AFTER_ALL, {"of_case": row.subject, "of_event": row.id, "at": seat.stamp()})
    _close(tx, row.seq, seat.stamp(), draft=None, **_answered(registration))
    if row.resealed:
        _forget_refused_copies(seat, tx, row)
    return tuple(json.loads(row.recipients)) if row.recipients else ()


def refused(seat: Seat, tx: Connection, registration: Registration) -> Event | None:
    """Close the row of a refused own event, or have the row sealed again if only the audience was wrong.

    Returns the event if the agency's procedure made it: the procedure then releases its reservations, also after a
    passing answer to the same bytes, which may have released none.
    """
    row = row_of(tx, registration.subject, registration.id)
    _after(seat, tx, registration, row)
    if row is None:
        return None
    if row.resealed:
        _look_at_refused_copy(seat, tx, row)
    if row.state == "closed":
        if row.receipt is None:  # a passing answer to another copy of the bytes came first: the numbered verdict counts
            _close(tx, row.seq, seat.stamp(), **_answered(registration))
            documents.not_registered(seat, tx, row, has_verdict=True)
            return _event_of(seat, row) if row.origin == "procedure" else None
        return None
    replaced_by = None
    if registration.code == queue.RESEALED:
        replaced_by = queue.put_again(seat, tx, row, registration.seal_to or {})
    _close(tx, row.seq, seat.stamp(), replaced_by=replaced_by, **_answered(registration))
    documents.not_registered(seat, tx, row, replaced_by, has_verdict=True)
    if replaced_by is not None:
        return None
    if row.origin == "receipt":
        _task(seat, tx, row, "refused", registration.code, registration.rule)
    return _event_of(seat, row) if row.origin == "procedure" else None


def _look_at_refused_copy(seat: Seat, tx: Connection, row: Row[Any]) -> None:
    """Open the task `COPY_REFUSED` in place of the one that more agencies can read the letter of *row*, once for each reader of a letter.

    A task remains, since a rogue registrar that has the copy could give it to them.
    """
    named, about = set[str](), dict[str, Any]()
    for task in tx.execute(_OF_READERS, {"subject": row.subject, "turn": row.turn}):
        if task.kind == COPY_REFUSED:
            named |= set(json.loads(task.about)["agencies"])
        elif task.event == row.id and task.done is None:
            about = json.loads(task.about)
    if not about:
        return
    finish_task_of(tx, row.id, queue.SEALED_TO_MORE, seat.stamp())
    if agencies := [each for each in about["agencies"] if each not in named]:
        about |= {"agencies": agencies, "sentence": _COPY_REFUSED}
        open_task(
            tx, opened=seat.stamp(), subject=row.subject, event_id=row.id, kind=COPY_REFUSED, about=json.dumps(about)
        )


def _forget_refused_copies(seat: Seat, tx: Connection, row: Row[Any]) -> None:
    """End the tasks `COPY_REFUSED` about agencies that can all read the registered copy *row*: a task says so of that copy."""
    tasks = tx.execute(_OF_READERS, {"subject": row.subject, "turn": row.turn}).all()
    readers = {each for task in tasks if task.event == row.id for each in json.loads(task.about)["agencies"]}
    for task in tasks:
        if task.kind == COPY_REFUSED and readers.issuperset(json.loads(task.about)["agencies"]):
            finish_task(tx, task.id, seat.stamp())


def repeated(seat: Seat, tx: Connection, registration: Registration) -> None:
    """Count a receipt that came again."""
    if registration.source != seat.me:
        return
    same = (_ROW.subject == registration.subject) & (_ROW.id == registration.id) & (_ROW.receipt == registration.digest)
    tx.execute(update(tables.outbox).where(same).values(again=0, receipts=_ROW.receipts + 1))


def answered(seat: Seat, tx: Connection, answer: Answer) -> Event | None:
    """Apply a passing answer: fill a gap by sending again in order; close an unreadable row as failed.

    A closed row that was to be sent again has its answer by that. Returns as `fail` does; after a code of
    `OF_THE_DIRECTORY` the procedure releases nothing.
    """
    tx.execute(_ANSWERED_AGAIN, {"answered_digest": answer.sha256})
    if answer.code == "sequence_gap":
        if answer.subject and answer.id and answer.expected_sequence:
            _gap(seat, tx, answer.subject, answer.id, answer.expected_sequence)
        return None
    signed = select(tables.outbox).where(_ROW.digest == answer.sha256, _ROW.state == "signed")
    row = tx.execute(signed).first()
    if row is None:
        known = tx.scalar(select(_ROW.seq).where(_ROW.digest == answer.sha256).limit(1))
        if known is None:  # a record in this agency's outbox topic was not sent by its desk
            open_task(
                tx, opened=seat.stamp(), subject="", event_id=f"{answer.topic}/{answer.partition}/{answer.offset}",
                kind="not_ours", about=json.dumps({"code": answer.code}),
            )  # fmt: skip
        return None
    return fail(seat, tx, row, queue.Refused(answer.code))


def _gap(seat: Seat, tx: Connection, subject: str, id: str, expected: int) -> None:
    row = row_of(tx, subject, id)
    if row is None or row.state != "signed" or row.sequence is None or row.sequence == expected:
        return  # the relay sends a signed row again in any case
    if row.sequence < expected:
        # The registrar has more of this case than a restored ledger. Number the row again.
        tx.execute(update(tables.outbox).where(_ROW.seq == row.seq).values(state="waiting", sequence=None))
        seat.ledger.set_sequence(tx, subject, expected)
        return
    missing = (
        (_ROW.subject == subject)
        & (_ROW.sequence >= expected)
        & (_ROW.sequence <= row.sequence)
        & _ROW.value.is_not(None)
    )
    tx.execute(update(tables.outbox).where(missing).values(again=1))


def fail(seat: Seat, tx: Connection, row: Row[Any], why: queue.Refused) -> Event | None:
    """Close *row*, which never became an event of the case and frees its number: refused by a rule, else failed.

    A refusal by a rule is answered at the door; everything else becomes a task. Returns the event if the agency's
    procedure made it: the procedure then releases its reservations.
    """
    if row.sequence is not None:
        seat.ledger.set_sequence(tx, row.subject, row.sequence)
    verdict = "refused" if why.rule else "failed"
    _close(tx, row.seq, seat.stamp(), verdict=verdict, code=why.code, rule=why.rule, article=why.article, sequence=None)
    documents.not_registered(seat, tx, row, has_verdict=False)
    if verdict == "failed" or row.origin != "door":
        _task(seat, tx, row, "not_sent", why.code, why.rule)
    return _event_of(seat, row) if row.origin == "procedure" else None


def _task(seat: Seat, tx: Connection, row: Row[Any], kind: str, code: str | None, rule: str | None) -> None:
    about: dict[str, Any] = {"type": row.type, "code": code}
    if code is not None:
        about["sentence"] = refusals.sentence(seat, code, rule)
    open_task(tx, opened=seat.stamp(), subject=row.subject, event_id=row.id, kind=kind, about=json.dumps(about))


def _event_of(seat: Seat, row: Row[Any]) -> Event | None:
    try:
        return signed_of(row).event() if row.value is not None else queue.unsigned(seat, row)
    except (WireError, ValidationError):
        return None
