"""Running clocks of a case: an event starts, ends and moves them. A clock hangs on the event that started it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from nrmbus.rules.clock_moves import MOVES, QUESTION, SUPPLY
from nrmbus.rules.conditions import holds
from nrmbus.rules.event_context import EventContext, receivers_of, review_window, value
from nrmbus.rules.mark import Mark
from nrmbus.rules.profile import ClockRule, End
from nrmbus.rules.records import Ending, Pause, Running, Status
from nrmbus.rules.tables import Tables
from nrmbus.rules.vocabulary import Answerable, Parting

STAGE_ENTERED: Final = "identification.stage_entered"
ANSWERS: Final = ("referral.acknowledged", "referral.accepted")
TIMEKEEPER: Final = "timekeeper"


def advance(context: EventContext, mark: Mark) -> tuple[Running, ...]:
    """Return the running clocks after the event of *context*, except for ends that need more than the event (``surviving``, `leaving`)."""
    running = context.view.running
    kind = context.event.type
    if running:
        if context.tables.ends.get(kind):
            running = ended(context, running)
        if kind in MOVES:
            running = MOVES[kind](context, running, mark)
    starts = context.tables.starts.get(kind, ())
    return _started(context, running, mark) if starts else running


def surviving(tables: Tables, running: tuple[Running, ...], end: Status | Parting) -> tuple[Running, ...]:
    """Return the clocks that go on when the case comes to *end*: closed or dismissed, withdrawn, or to be erased."""
    return tuple(clock for clock in running if end in tables.profile.clocks[clock.code].outlives)


# Starting


ANSWERABLE: Final[Mapping[Answerable, Callable[[EventContext], Iterable[str]]]] = {
    "decider": lambda context: context.deciders,
    # The agencies that the event reached: of a case that is over, the view knows no holders.
    "guardianship": lambda context: context.guardianship({*context.view.flagged, *context.to}),
    "holders": lambda context: context.recipients,
    "others_in_to": lambda context: (agency for agency in context.to if not context.is_unit(agency)),
    "referring": lambda context: (context.referral.sender,) if context.referral else (),
    "receivers_knowing": lambda context: (each for each in receivers_of(context.event) if context.view.count_for(each)),
    "source": lambda context: (context.source,),
    "to": lambda context: context.to,
    "unit": lambda context: _unit_in_charge(context),  # noqa: PLW0108
    "units_in_to": lambda context: context.units_in_to,
}


def _unit_in_charge(context: EventContext) -> tuple[str, ...]:
    """Return the deciding body that takes the person on, or whose decision is looked at again; all of them if nothing tells.

    Of several such bodies one does the work, and the others owe nothing.
    """
    decision = context.view.decisions.get(context.view.negative or "")
    acting = context.source if context.event.type == STAGE_ENTERED else decision.mark.source if decision else None
    return (acting,) if acting and context.is_unit(acting) else context.units


def _started(context: EventContext, running: tuple[Running, ...], mark: Mark) -> tuple[Running, ...]:
    for code, rule, start in context.tables.starts[context.event.type]:
        if not holds(start.when, context):
            continue
        if rule.answerable == "receivers_knowing" and not _in_turn(context, mark):
            continue  # its receiver did not know the case when it was registered (reading 169)
        if rule.scope == "case":
            running = tuple(clock for clock in running if clock.code != code)
        first = mark.time if start.at == "T" else mark.registered
        running += tuple(
            _start(context, code, rule, mark, first, agency) for agency in ANSWERABLE[rule.answerable](context)
        )
    return running


def _in_turn(context: EventContext, mark: Mark) -> bool:
    """Return whether the event reached the reader in its turn, and not later, just before another event."""
    newest = context.view.newest
    return newest is not None and newest < mark.number


def _start(context: EventContext, code: str, rule: ClockRule, mark: Mark, first: datetime, agency: str) -> Running:
    event, referral, plan = context.event, context.referral, context.view.plan
    answered = referral if event.type in ANSWERS else None
    asker = answered.sender if answered else context.source
    return Running(
        code=code,
        by=event.type,
        mark=mark,
        start=first,
        answerable=agency,
        ref=None if rule.scope == "case" else event.referral,
        waits=asker if asker != agency else None,
        urgency=referral.urgency if referral and event.type in (*ANSWERS, QUESTION) else value(event, "urgency"),
        days=value(event, "days"),
        until=plan.ends if plan and plan.in_force and rule.moved_by == "plan" else None,
        pauses=_begun_pauses(context, rule, agency, mark.registered),
    )


def _begun_pauses(context: EventContext, rule: ClockRule, agency: str, now: datetime) -> tuple[Pause, ...]:
    if rule.moved_by == "info":
        return _open_questions(context, rule, agency, now)
    return _reviews(context, now) if rule.waits_for_review else ()


def _reviews(context: EventContext, now: datetime) -> tuple[Pause, ...]:
    """Return the days for asking for a review, and the reviews that are undecided, for a stay that begins *now*."""
    asked = tuple(Pause(review.ref, now, review=True) for review in context.view.reviews.values() if review.open)
    window, negative = review_window(context), context.view.negative
    if window is None or negative is None or window <= now:
        return asked
    return (Pause(negative, now, window), *asked)


def _open_questions(context: EventContext, rule: ClockRule, agency: str, now: datetime) -> tuple[Pause, ...]:
    return tuple(
        Pause(referral.ref, now)
        for referral in context.view.referrals.values()
        if (rule.scope == "case" or referral.ref == context.ref)
        and any(party.asked for party in referral.receivers if party.agency == agency)
    )


# Ending


def ended(context: EventContext, running: tuple[Running, ...]) -> tuple[Running, ...]:
    """Return *running* without the clocks that the event of *context* ends; with a letter they end as long as it is read."""
    codes, rules = context.tables.ends[context.event.type], context.tables.profile.clocks
    left: list[Running] = []
    for clock in running:
        end = _end(context, clock, rules[clock.code]) if clock.code in codes else None
        if end is None:
            left.append(clock)
        elif by_letter := _by_letter(context, clock, end):
            left.append(replace(clock, endings=(*clock.endings, Ending(context.event.id, by_letter))))
    return tuple(left)


def ended_by(context: EventContext) -> Iterable[Running]:
    """Return the running duties that the event of *context* ends, whoever owes them."""
    codes, rules = context.tables.ends.get(context.event.type, frozenset()), context.tables.profile.clocks
    owed = [clock for clock in context.view.running if clock.runs and clock.code in codes]
    return [clock for clock in owed if _end(context, clock, rules[clock.code]) is not None]


def _end(context: EventContext, clock: Running, rule: ClockRule) -> End | None:
    if not _concerns(context, clock, rule):
        return None
    kind = context.event.type
    return next((end for end in rule.ends_by if kind in end.events and holds(end.when, context)), None)


def _concerns(context: EventContext, clock: Running, rule: ClockRule) -> bool:
    if rule.scope == "case":
        return True
    if rule.scope == "agency":
        return context.source == clock.answerable
    return _same(context, clock) and (
        context.source == clock.answerable
        or (context.source == clock.waits and (_by_asker(context, clock) or context.takes_back))
        or context.role == TIMEKEEPER
        or _answers_for_all(context)
    )


def _by_asker(context: EventContext, clock: Running) -> bool:
    """Return whether the asker withdraws its request, which ends the clock for every agency that was asked and has not accepted.

    An asker that asked itself too answers for itself alone.
    """
    row, party = context.tables.row(context.event.type), None
    if context.referral is not None and _kind(context.event.type) == "referral":  # a hold may bear the same reference
        party = context.referral.party(clock.answerable)
    return row is not None and row.party == "asker" and (party is None or party.state not in ("accepted", "completed"))


def _same(context: EventContext, clock: Running) -> bool:
    """Return whether the event answers the request that the clock waits for.

    An answer must name the clock's reference and be of the same kind: a service that is given unasked answers no referral
    and no other service. A first stage always answers, whatever reference it names, since it takes the person on.
    """
    row, ref = context.tables.row(context.event.type), context.event.referral
    if row is None or row.about is None:
        return True
    return ref == clock.ref and _kind(clock.by) == _kind(context.event.type)


def _kind(type: str) -> str:
    return type.partition(".")[0]


def _answers_for_all(context: EventContext) -> bool:
    """Return whether the event answers for every agency: one court decides for all, one confirmation holds for all.

    Of several deciding bodies, the one that begins takes the person on, and the others have nothing left to answer.
    """
    kind = context.event.type
    if kind == STAGE_ENTERED:
        return context.by_unit
    if kind == "review.decided":
        return context.review is not None and context.decides_review(context.source, context.review.decider)
    return kind == "stay.hold_confirmed" and context.hold is not None and context.source in context.hold.migration


def _by_letter(context: EventContext, clock: Running, end: End) -> frozenset[str]:
    """Return the agencies that must be able to read the letter for the clock to end; empty without a letter."""
    if context.event.sealeddigest is None:
        return frozenset()
    if context.event.type == SUPPLY:
        return frozenset((clock.waits,) if clock.waits else ())
    return frozenset(context.units_in_to if end.when == "to_unit" else context.to)
