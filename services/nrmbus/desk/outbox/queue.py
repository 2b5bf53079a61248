"""Outbox of the agency: drafts become rows, and rows become signed bytes when their turn comes.

A row waits as clear data and a letter sealed to this desk alone. A row is signed only when all earlier rows of its
case are answered, so that number, audience and view are current. The bytes are committed before they are sent.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Connection, Row, bindparam, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from nrmbus import telemetry
from nrmbus.desk.letters import letters
from nrmbus.desk.state import beginnings
from nrmbus.desk.state.cases import Cases, pack, unpack
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import open_task
from nrmbus.events.model import Draft, Event, Part
from nrmbus.events.registry import data_type
from nrmbus.rules import View
from nrmbus.wire import json as wire_json
from nrmbus.wire import times
from nrmbus.wire.envelope import encode, with_letter
from nrmbus.wire.errors import WireError
from nrmbus.wire.ids import new_event_id, sealed_again
from nrmbus.wire.names import STATISTICS
from nrmbus.wire.record import Record
from nrmbus.wire.registration import Registration
from nrmbus.wire.statement import body_of

Origin = Literal["door", "procedure", "receipt"]

RESEAL_AT_MOST: Final = 5
"""Most automatic resealings of a row; a person looks at an audience that keeps changing."""

RESEALED: Final = "audience_changed"
"""Code of the refusal after which a row is sealed again under a derived id."""

NOT_SEALED: Final = "not_sealed"
"""Kind of the task to inform agencies in another way: they may read a letter, but have no current key."""

_NOT_SEALED: Final = "The letter was sealed to none of these agencies, which are suspended or have no current key: tell them another way."

SEALED_TO_MORE: Final = "sealed_to_more"
"""Kind of the task to look at readers that the registrar named and this desk's own view did not have."""

_SEALED_TO_MORE: Final = (
    "The registrar named these agencies as further readers of the letter: see whether they should have it."
)

_OPTIONAL: Final = (
    "approver", "legalbasis", "consent", "referral", "incident", "causationid", "correlationid", "expectedversion",
)  # fmt: skip


_OUTBOX, _INBOX = tables.outbox.c, tables.inbox.c
CHANGE: Final = update(tables.outbox).where(_OUTBOX.seq == bindparam("row"))
"""Change of the given columns of one row, which the parameter ``row`` names by its ``seq``."""

_PUT: Final = upsert(tables.outbox).on_conflict_do_nothing().returning(_OUTBOX.seq)
_IS_PUT: Final = select(_OUTBOX.seq).where(_OUTBOX.subject == bindparam("subject"), _OUTBOX.id == bindparam("id"))
_ANSWER: Final = (
    select(_INBOX.registration)
    .where(_INBOX.id == bindparam("id"), _INBOX.subject == bindparam("subject"), _INBOX.source == bindparam("me"))
    .order_by(_INBOX.number)
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Refused:
    """Reason why this desk cannot send a row: a code, and rule and article if the Rules forbid it."""

    code: str
    rule: str | None = None
    article: str | None = None


@dataclass(frozen=True, slots=True)
class Sealed:
    """Bytes of a row, ready to be committed and sent."""

    record: Record
    """Whole record, with its letter."""
    letter: bytes | None
    sequence: int
    recipients: tuple[str, ...]


def put(
    seat: Seat,
    tx: Connection,
    draft: Draft,
    *,
    origin: Origin,
    correlationid: str | None = None,
    asked: str | None = None,
    is_new: bool = False,
) -> str:
    """Put *draft* into the outbox within *tx*; return its id. A draft with a known id is not put again.

    A draft that the registrar has answered is not put again either: a restored or new ledger has no row, but has read
    the receipt again; *is_new* says that nobody can have seen the id. A draft refused with `RESEALED` and not yet sealed again is put under its next id.

    Raises:
        WireError: ``letter_too_large``.
    """
    said = draft.id or new_event_id(int(seat.now().timestamp() * 1000))
    id = _unanswered(seat, tx, draft.subject, said) if draft.id is not None and not is_new else said
    if id is None:
        if origin == "procedure":
            _tell_of_refusal(seat, tx, draft)
        return said
    clear: dict[str, Any] = {
        "version": draft.version,
        "data": draft.data.to_mapping(),
        "time": times.write(draft.time),
        "actor": draft.actor,
        **{name: value for name in _OPTIONAL if (value := getattr(draft, name)) is not None},
    }
    if correlationid is not None:
        clear.setdefault("correlationid", correlationid)
    raw = wire_json.dumps(clear)
    sealed = None
    if draft.letter is not None:
        sealed = letters.seal_draft(seat, draft.letter.parts(), id=id, subject=draft.subject)
    with telemetry.produced(draft.type, id) as span:
        row = {
            "turn": 0, "subject": draft.subject, "id": id, "type": draft.type, "origin": origin, "state": "waiting",
            "asked": asked or wire_json.digest(raw), "clear": raw, "draft": sealed, "traceparent": span.traceparent,
            "made": seat.stamp(),
        }  # fmt: skip
        seq = tx.scalar(_PUT, row)
    if seq is not None:
        tx.execute(CHANGE, {"row": seq, "turn": seq})
    return said


def _tell_of_refusal(seat: Seat, tx: Connection, draft: Draft) -> None:
    """Open a task where the registrar refused *draft* before the ledger was lost: the procedure cannot take it back now."""
    if draft.id is not None and (refused := refusal(seat, tx, draft.subject, draft.id)) is not None:
        about = json.dumps({"type": draft.type, "code": refused.code})
        open_task(tx, opened=seat.stamp(), subject=draft.subject, event_id=draft.id, kind="refused", about=about)


def refusal(seat: Seat, tx: Connection, subject: str, id: str) -> Registration | None:
    """Return the registrar's refusal of the own event *id*; None if the event was registered, or is still to be answered."""
    _, answer = _answered(seat, tx, subject, id)
    return answer if answer is not None and answer.verdict == "refused" else None


def _unanswered(seat: Seat, tx: Connection, subject: str, id: str) -> str | None:
    """Return the id under which the event *id* is still to be sent; None if the registrar has answered."""
    if tx.scalar(_IS_PUT, {"subject": subject, "id": id}) is not None:
        return id
    last, answer = _answered(seat, tx, subject, id)
    return last if answer is None else None


def _answered(seat: Seat, tx: Connection, subject: str, id: str) -> tuple[str, Registration | None]:
    """Return the last id under which the event *id* was sealed again, and the registrar's answer to that one; None if there is none yet."""
    while True:
        receipt = tx.scalar(_ANSWER, {"subject": subject, "id": id, "me": seat.me})
        answer = Registration.parse(body_of("registration", receipt)) if receipt is not None else None
        if answer is None or answer.code != RESEALED:
            return id, answer
        id = sealed_again(seat.me, id)


def put_again(seat: Seat, tx: Connection, row: Row[Any], seal_to: Mapping[Part, tuple[str, ...]]) -> str | None:
    """Put *row* again, to be sealed to *seal_to*, in the same turn; return its new id.

    Return None, so that the row stays refused, after `RESEAL_AT_MOST`, and if the key of its draft is gone.
    """
    if row.resealed >= RESEAL_AT_MOST:
        return None
    id = sealed_again(seat.me, row.id)
    draft = None
    if row.draft is not None:
        try:
            parts = letters.unseal_draft(seat, row.draft, id=row.id, subject=row.subject)
        except WireError:  # the machine was lost since, and the agency has new keys
            return None
        draft = letters.seal_draft(seat, parts, id=id, subject=row.subject)
    same = {name: getattr(row, name) for name in ("turn", "subject", "type", "origin", "asked", "clear", "traceparent")}
    values = {**same, "id": id, "state": "waiting", "draft": draft, "made": seat.stamp(), "resealed": row.resealed + 1}
    tx.execute(insert(tables.outbox).values(**values, seal_to=json.dumps(seal_to)))
    return id


def sign(seat: Seat, cases: Cases, tx: Connection, row: Row[Any]) -> Sealed | Refused:
    """Number, seal and sign the waiting *row* by this desk's view of the case, and store the bytes within *tx*.

    *row* has ``next_sequence``, the number that is due in its case, as *tx* sees it (`verdicts.row_of`).
    """
    refused, sealed = Refused("unknown_field"), None
    try:
        made = _seal(seat, cases, tx, row)
        if isinstance(made, Refused):
            return made
        sealed = made
    except WireError as error:
        refused = Refused(error.code)
    # No valid event: a wrong attribute, an altered row, or a day with which the Rules cannot compute.
    except (ValueError, KeyError, TypeError, ArithmeticError):
        pass  # the error's text would show content, so the error ends here
    if sealed is None:
        return refused
    values = {
        "state": "signed", "attempts": 1, "sequence": sealed.sequence, "recipients": json.dumps(sealed.recipients),
        "headers": pack(sealed.record.without_letter().headers), "value": sealed.record.value, "letter": sealed.letter,
        "digest": sealed.record.digest(),
    }  # fmt: skip
    tx.execute(CHANGE, {"row": row.seq, **values})
    seat.ledger.set_sequence(tx, row.subject, sealed.sequence + 1)
    return sealed


def _seal(seat: Seat, cases: Cases, tx: Connection, row: Row[Any]) -> Sealed | Refused:
    sequence, clear = row.next_sequence or 1, json.loads(row.clear)
    clear["time"] = times.read(clear["time"])
    clear["consent"] = _concerning(tx, row.subject, clear)
    parts = letters.unseal_draft(seat, row.draft, id=row.id, subject=row.subject) if row.draft is not None else None
    view = cases.view(tx, row.subject)
    policy = seat.rules.policy_for(view, seat.me, seat.now())
    # It would seal the letter to those whom another profile lets read it. Without a letter, a case whose profile this desk
    # is not told may be under a profile that is here: the registrar knows.
    if seat.rules.lacks(policy) and (parts is not None or seat.rules.is_told_policy(view, seat.me)):
        return Refused("profile_missing")
    bare = _event(seat, row, clear, sequence, None, policy)
    filled = {part: frozenset(fields) for part, fields in parts.items()} if parts is not None else None
    # Advice only: the registrar answers for the Rules, but sees no letter. A part that no recipient may open ends here.
    is_whole = not beginnings.is_incomplete(seat.ledger, tx, row.subject)
    advice = seat.rules.judge(view, bare, seat.now(), letter_parts=filled) if is_whole else None
    if advice is not None and advice.code == "part_not_allowed":
        return Refused(advice.code, advice.rule, advice.article)
    audience = seat.rules.audience(view, bare, policy)
    if parts is None:
        return Sealed(encode(bare, seat.identity.signing), None, sequence, audience.recipients)
    opens = json.loads(row.seal_to) if row.seal_to else audience.opens
    if row.seal_to and _beyond(seat, view, bare, opens):
        return Refused("audience_not_allowed")
    container, digest = letters.seal_letter(seat, parts, opens, id=row.id, subject=row.subject)
    left_out = {
        each for part in parts if parts[part] for each in audience.opens.get(part, ()) if seat.is_shut_out(each)
    }
    if left_out:
        _look_at_readers(seat, tx, row, NOT_SEALED, left_out, "key_not_current", _NOT_SEALED)
    of_both = [
        (letters.readers_of(seat, part, opens), letters.readers_of(seat, part, audience.opens))
        for part in opens
        if parts.get(part)  # the registrar sees no letter, so it names the readers of an empty part, too
    ]
    if more := {each for sealed, expected in of_both for each in sealed if each not in expected}:
        _look_at_readers(seat, tx, row, SEALED_TO_MORE, more, RESEALED, _SEALED_TO_MORE)
    record = with_letter(encode(_event(seat, row, clear, sequence, digest, policy), seat.identity.signing), container)
    return Sealed(record, container, sequence, audience.recipients)


def _look_at_readers(
    seat: Seat, tx: Connection, row: Row[Any], kind: str, agencies: Iterable[str], code: str, sentence: str
) -> None:
    """Open a task about *agencies* that the letter of *row* does or does not reach, otherwise than this desk's view has it."""
    about = {"type": row.type, "code": code, "agencies": sorted(agencies), "sentence": sentence}
    open_task(tx, opened=seat.stamp(), subject=row.subject, event_id=row.id, kind=kind, about=json.dumps(about))


def _beyond(seat: Seat, view: View, event: Event, opens: Mapping[Part, Iterable[str]]) -> bool:
    """Return whether the registrar named an agency that could open the part in no history: it routes and grants nothing."""
    statistics = seat.directory.of_role(STATISTICS)
    return any(
        not (part == "coded" and agency in statistics) and not seat.rules.could_open(view, event, part, agency)
        for part, agencies in opens.items()
        for agency in agencies
    )


def _event(
    seat: Seat, row: Row[Any], clear: Mapping[str, Any], sequence: int, sealeddigest: str | None, policy: str
) -> Event:
    return Event(
        id=row.id,
        source=seat.me,
        type=row.type,
        version=clear["version"],
        subject=row.subject,
        time=clear["time"],
        recordedtime=seat.now(),
        sequence=sequence,
        actor=clear["actor"],
        policy=policy,
        data=data_type(row.type, clear["version"]).from_mapping(clear["data"]),
        sealeddigest=sealeddigest,
        traceparent=row.traceparent,
        **{name: clear[name] for name in _OPTIONAL if clear.get(name) is not None},
    )


def unsigned(seat: Seat, row: Row[Any]) -> Event:
    """Return the event that *row* would have become. Raises pydantic's ValidationError if it is not a valid event."""
    clear = json.loads(row.clear)
    return _event(seat, row, {**clear, "time": times.read(clear["time"])}, 1, None, seat.rules.profile.name)


def _concerning(tx: Connection, subject: str, clear: Mapping[str, Any]) -> str | None:
    """Return the named consents that concern a recipient: another receiver's consent would disclose that receiver."""
    named = str(clear.get("consent") or "").split()
    to = set(clear["data"].get("to", ()))
    if not named or not to:
        return " ".join(named) or None
    columns = tables.events.c
    rows = select(columns.id, columns.value).where(columns.subject == subject, columns.id.in_(named))
    others = {row.id for row in tx.execute(rows) if not to & set(json.loads(row.value).get("receivers", ()))}
    # If none concerns a recipient, all stay: the registrar then refuses (G-32), and nobody is told.
    return " ".join([consent for consent in named if consent not in others] or named)


def to_send(row: Row[Any]) -> Record:
    """Return the record of a signed *row*: the same bytes each time it is sent."""
    return unpack(row.subject, row.headers, row.value, row.letter)
