"""Breaking the glass at the holder's desk: the needed parts are sealed again to the agency that asked.

The desk answers when the timekeeper publishes that the answer is due: never before the request is registered, never
after an objection, and never before the desk has read the records behind. It trusts neither registrar nor timekeeper in
what its own records show: a request that breaks the Rules by them, or an answer that is due too early, is a task for a
person. So is an answer that the registrar refuses, or that hands nothing over. Nobody is told that something was handed
over before the answer is registered. Each opening for this is recorded first, under the desk's own name. Letters that must stay closed stay closed.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, bindparam, literal_column, select

from nrmbus.bus.clock import SteppedClock
from nrmbus.desk.access import opening
from nrmbus.desk.desk import Desk
from nrmbus.desk.erasure.rounds import AHEAD_AT_MOST
from nrmbus.desk.letters import letters
from nrmbus.desk.outbox import queue, verdicts
from nrmbus.desk.procedure.interface import BY_ITSELF, Result, Task
from nrmbus.desk.state import beginnings
from nrmbus.desk.state.cases import event_of, signed_of
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.events.access import AccessBreakGlass, AccessResealDue, AccessResealed, AccessResealedLetter
from nrmbus.events.document import DocumentChunkSent
from nrmbus.events.errors import Invalid
from nrmbus.events.model import Draft, Event, Part
from nrmbus.rules import Rules
from nrmbus.rules.records import Emergency
from nrmbus.rules.view import View
from nrmbus.wire import times
from nrmbus.wire.errors import LetterClosed, WireError
from nrmbus.wire.ids import said_by_itself
from nrmbus.wire.letter import Container, Place

PURPOSE: Final = "emergency"
"""Purpose of the desk's openings here."""

SEALED: Final = "resealed"
"""Kind of the task to see whether more is to be told to an agency whose request was answered."""
CALL_ASKER: Final = "call_asker"
"""Kind of the task to call an agency that got no answer in time, or one without any part."""
CHECK_ASKER: Final = "check_asker"
"""Kind of the task about a request that the records contradict: the agency is not to be called for a repair."""
WITHOUT_ANSWER: Final = frozenset({CALL_ASKER, CHECK_ASKER})
"""Kinds of tasks about a request by which nothing was handed over; first in every list by deadline until the case is over."""

TOO_LATE: Final = (
    "An agency broke the glass and got no answer of this desk in time, so nothing was handed over:"
    " call that agency, and see whether it still has to be told."
)

NOTHING_HELD: Final = (
    "An agency broke the glass, and this desk could open nothing of what is needed, so nothing was handed over:"
    " call that agency, and see whether it has to be told."
)

NOT_BY_THE_RULES: Final = (
    "An agency broke the glass, and by the records of this desk or of the registrar the Rules do not let it be answered"
    " automatically, the person refuses that agency, or this agency may know no more of the person, so nothing was handed over:"
    " ask your supervisor before you tell anything."
)

HANDED_OVER: Final = "An agency broke the glass, and was sealed what this one holds: see whether more is to be told."

_EVENTS = tables.events.c
_REQUESTS: Final = (
    select(tables.events)
    .where(_EVENTS.type == literal_column(f"'{AccessBreakGlass.type}'"), _EVENTS.source == bindparam("source"))
    .order_by(_EVENTS.position)
)
_DUE: Final = select(_EVENTS.id).where(
    _EVENTS.subject == bindparam("case"), _EVENTS.type == literal_column(f"'{AccessResealDue.type}'"),
    _EVENTS.referral.in_(bindparam("refs", expanding=True)),
)  # fmt: skip
"""Ids of the events by which the answers to some requests of a case are due."""
_DOUBTED: Final = select(tables.tasks.c.id).where(
    tables.tasks.c.subject == bindparam("case"), tables.tasks.c.event == bindparam("due"),
    tables.tasks.c.kind == literal_column(f"'{CHECK_ASKER}'"),
)  # fmt: skip
_NOT_AVAILABLE: Final = "G-70"
"""Rule of an answer that is late, and of an answer whose asker has no part in the case any more."""
_OF_THE_RULES: Final = "G-"
"""Start of each rule by which the Rules forbid an event; a check of a record's form has another name."""

Parts = Mapping[Part, Mapping[str, Any]]


def is_due(me: str, event: Event | None) -> bool:
    """Return whether *event* says that the answer of *me* to an emergency access is due."""
    return event is not None and isinstance(event.data, AccessResealDue) and event.data.holder == me


def needed(me: str, event: Event, view: View) -> tuple[Part, ...]:
    """Return the parts that *me* has to seal again because of *event*; empty if *event* does not ask *me*."""
    asked = view.emergencies.get(event.referral or "")
    return asked.parts if is_due(me, event) and asked is not None else ()


def answer(me: str, event: Event, parts: Iterable[Part], held: Iterable[Parts], registered: datetime) -> Result:
    """Return the answer of *me* to the due *event*: the wanted *parts* of the letters *held*.

    The letters are in the order of their arrival; the last value of each field counts.
    """
    wanted, whole = frozenset(parts), AccessResealedLetter()
    for each in held:
        found = {
            name: value
            for part, fields in each.items()
            for name, value in fields.items()
            if part in wanted and name in _FIELDS and AccessResealedLetter.part_of(name) == part
        }
        try:
            whole = AccessResealedLetter.from_mapping(whole.to_mapping() | found)
        except Invalid:
            continue  # a field that this release reads differently: the earlier values stay
    filled = tuple(part for part, fields in whole.parts().items() if fields)
    draft = Draft(
        type=AccessResealed.type, version=AccessResealed.version, subject=event.subject,
        data=AccessResealed(parts=filled), letter=whole, time=registered, actor=BY_ITSELF, referral=event.referral,
        causationid=event.id, id=_id_of_answer(me, event.id),
    )  # fmt: skip
    return Result((draft,))


def _id_of_answer(me: str, due: str) -> str:
    """Return the id of the answer of *me* to the event *due*."""
    return said_by_itself(me, due, AccessResealed.type)


_FIELDS: Final = frozenset(AccessResealedLetter.model_fields) - {"notes"}


async def by_itself(desk: Desk, event: Event | None, registered: datetime) -> Result:
    """Return what this desk answers to *event*, before the transaction that stores the event; empty if nothing is owed.

    An answer of this desk that was registered gives the task to see whether more is to be told, and ends the tasks that
    the request had no answer; one without any part gives the task to call.
    """
    seat = desk.seat
    if event is not None and isinstance(event.data, AccessResealed) and event.source == seat.me:
        with seat.ledger.read() as tx:
            view = desk.cases.view(tx, event.subject)
            return (_registered if event.data.parts else _with_nothing)(seat, tx, view, event)
    if event is None or not is_due(seat.me, event):
        return Result()
    with seat.ledger.read() as tx:
        view = desk.cases.view(tx, event.subject)
        parts = needed(seat.me, event, view)
        if not parts:
            return Result()
        asked, now = view.emergencies[event.referral or ""], seat.clock.now()
        # A ledger that begins again may read the refusal of its earlier answer before the request.
        refused = queue.refusal(seat, tx, event.subject, _id_of_answer(seat.me, event.id))
        is_late = not seat.rules.may_be_answered(view, asked, now)
        is_by_the_rules = _is_by_the_rules(seat, tx, view, asked, registered)
        if is_late or not is_by_the_rules or refused is not None:
            is_doubtful = not is_by_the_rules
            if refused is not None:
                is_doubtful |= _is_doubted(seat, view, asked, refused.rule, refused.time)
            return _without_answer(seat, tx, view, asked, event.id, is_doubtful=is_doubtful)
        rows = tx.execute(with_letters(seat.me, event.subject)).all()
    return answer(seat.me, event, parts, [await opened(desk, row, parts, PURPOSE) for row in rows], registered)


def not_delivered(desk: Desk, tx: Connection, event: Event, rule: str | None, at: datetime) -> None:
    """Open within *tx* the task of a person if *event* is this desk's answer to an emergency and was not registered.

    It was refused by *rule* at *at*; *rule* is None if the answer could not be sent, or got a passing answer.
    """
    if not isinstance(event.data, AccessResealed):
        return
    seat, view, due = desk.seat, desk.cases.view(tx, event.subject), event.causationid
    asked = view.emergencies.get(event.referral or "")
    if due is None or asked is None:  # sent by a person, who hears of the refusal
        return
    is_doubtful = _is_doubted(seat, view, asked, rule, at)
    task = _without_answer(seat, tx, view, asked, due, is_doubtful=is_doubtful)
    # A release before this one told of the answer when it was written.
    desk.say(tx, Result(over=((SEALED, due),)) + task, None)


def is_met(view: View, asked: Emergency) -> bool:
    """Return whether nobody is to be called about *asked* any more: it was objected to, or something was handed over by it or a later request."""
    return asked.state == "objected" or any(
        each.state == "resealed" and each.sealed and (each == asked or _covers(each, asked))
        for each in view.emergencies.values()
    )


def _covers(later: Emergency, asked: Emergency) -> bool:
    """Return whether *later* asks the same holder for all that *asked* did, for the same agency: who gets no answer asks again."""
    return (
        (later.mark.source, later.holder) == (asked.mark.source, asked.holder)
        and later.mark.registered > asked.mark.registered
        and frozenset(later.parts).issuperset(asked.parts)
    )


def is_out(rules: Rules, view: View, me: str, now: datetime, *, is_whole: bool) -> bool:
    """Return whether by *view* the agency *me* may know no more of the person *now*: it has no part in the case, its access was ended, or the person refuses it.

    Most parts come from the beginning of a case. If the beginning is gone (not *is_whole*), the agency has no part only
    if the view shows that it left.
    """
    has_no_part = not view.on_case(me) if is_whole else me in view.left
    return has_no_part or rules.shuts_out(view, me, now) or rules.is_refused(view, me, now)


def _is_doubted(seat: Seat, view: View, asked: Emergency, rule: str | None, at: datetime) -> bool:
    """Return whether the *rule* that refused the answer to *asked* at *at* forbids the answer for another reason than that it is late."""
    if rule == _NOT_AVAILABLE:
        return at <= seat.rules.answer_until(view, asked)
    return rule is not None and rule.startswith(_OF_THE_RULES)


def _without_answer(
    seat: Seat, tx: Connection, view: View, asked: Emergency, due: str, *, is_doubtful: bool, call: str = TOO_LATE
) -> Result:
    """Return the task of a person about *asked*, whose answer is due by the event *due* and hands nothing over; empty if nobody is to be told or called.

    *call* is the sentence of the task to call.
    """
    now, asker = seat.clock.now(), asked.mark.source
    # A task would lead a person to tell an agency whose access has ended.
    if seat.rules.shuts_out(view, asker, now) or is_met(view, asked):
        return Result()
    said = (CALL_ASKER, call), (CHECK_ASKER, NOT_BY_THE_RULES)
    is_whole = not beginnings.is_incomplete(seat.ledger, tx, view.subject)
    is_out_here = is_out(seat.rules, view, seat.me, now, is_whole=is_whole)
    is_doubtful = is_doubtful or seat.rules.is_refused(view, asker, now) or is_out_here
    (kind, sentence), (other, _) = reversed(said) if is_doubtful else said
    return Result((), (Task(kind, sentence, view.subject, due, asked.ref),), ((other, due),))


def _registered(seat: Seat, tx: Connection, view: View, event: Event) -> Result:
    """Return the tasks that this desk's registered answer *event*, with at least one part, gives and ends.

    A ledger that begins again hears of an old request first, and takes it for one without an answer; it did not send the
    answer, and its staff have seen the task.
    """
    asked = view.emergencies.get(event.referral or "")
    refs = {each.ref for each in view.emergencies.values() if asked is not None and _covers(asked, each)}
    due = tx.scalars(_DUE, {"case": event.subject, "refs": sorted({event.referral or "", *refs})}).all()
    over = tuple((kind, id) for id in dict.fromkeys((event.causationid or "", *due)) for kind in sorted(WITHOUT_ANSWER))
    if event.causationid is None or asked is None or verdicts.row_of(tx, event.subject, event.id) is None:
        return Result(over=over)
    if seat.rules.shuts_out(view, asked.mark.source, seat.clock.now()):
        return Result(over=over)
    task = Task(SEALED, HANDED_OVER, event.subject, event.causationid, event.referral)
    return Result((), (task,), over)


def _with_nothing(seat: Seat, tx: Connection, view: View, event: Event) -> Result:
    """Return the task of a person that this desk's registered answer *event*, without any part, gives; it ends no call.

    A doubt about the request remains, and a ledger that begins again opens the task too: no answer has done the call.
    """
    asked, due = view.emergencies.get(event.referral or ""), event.causationid
    if asked is None or due is None:
        return Result()
    is_doubtful = tx.scalar(_DOUBTED, {"case": event.subject, "due": due}) is not None
    return _without_answer(seat, tx, view, asked, due, is_doubtful=is_doubtful, call=NOTHING_HELD)


def _is_by_the_rules(seat: Seat, tx: Connection, view: View, asked: Emergency, due: datetime) -> bool:
    """Return whether this desk's own records contradict neither the request *asked* nor that its answer was registered as due at *due*.

    Requests about cases that this desk does not hold are unknown to it, and so is whether the asker has a part in the case.
    """
    # A stepped clock comes by a topic of its own, so it may be behind the inbox for a moment.
    if not (asked.at_once or isinstance(seat.clock, SteppedClock)) and due > seat.clock.now() + AHEAD_AT_MOST:
        return False
    month, spent = seat.rules.month(asked.mark.registered), 0
    for row in tx.execute(_REQUESTS, {"source": asked.mark.source}):
        if (row.subject, row.id) == (view.subject, asked.mark.id):
            event = event_of(row)
            return event is not None and seat.rules.may_be_due(view, asked, event, due, spent=spent)
        registered = times.read(row.registered)
        spent += registered is not None and seat.rules.month(registered) == month
    return False


def with_letters(me: str, subject: str) -> Any:
    """Select the case's events with a letter, including this agency's own, in the order of their arrival."""
    events, outbox = tables.events.c, tables.outbox.c
    own = and_(events.source == me, outbox.subject == events.subject, outbox.id == events.id)
    return (
        select(tables.events, outbox.letter.label("own"))
        .outerjoin(tables.outbox, own)
        .where(events.subject == subject, events.letter.is_not(None) | outbox.letter.is_not(None))
        .where(events.type != DocumentChunkSent.type)  # the announcement's letter names the file
        .order_by(events.position)
    )


async def opened(desk: Desk, row: Row[Any], parts: Iterable[Part], purpose: str) -> Parts:
    """Return the *parts* of the letter of *row* that this desk can open and may open for *purpose*."""
    seat = desk.seat
    place = Place(seat.bus, row.source, row.id, row.subject)
    try:
        container = Container.parse(row.own or row.letter)
        mine = [part for part in parts if part in container.parts and seat.me in container.wraps(part)]
        if not mine or not await _on_record(desk, row, mine, purpose):
            return {}
        secrets = letters.secrets(desk.seat, container, place)
        return container.open_with({part: secrets[part] for part in mine if part in secrets}, place)
    except (LetterClosed, WireError):
        return {}


async def _on_record(desk: Desk, row: Row[Any], parts: Iterable[Part], purpose: str) -> bool:
    if row.own is not None:  # this agency's own words, which only an erasure closes
        with desk.seat.ledger.read() as tx:
            return opening.why_shut(desk, signed_of(row), tx) is None
    if await desk.unaltered.is_altered(row.subject):
        return False
    signed = signed_of(row)
    shut = partial(opening.why_shut, desk, signed)
    how: dict[str, Any] = {"who": letters.DESK, "purpose": purpose, "why_shut": shut}
    return await letters.record_reads(desk.seat, signed, parts, **how) is None
