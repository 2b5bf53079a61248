"""Judges what can be seen on a stage against what a step of the scenario expects."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from nrmbus.events.errors import EventError
from nrmbus.events.model import Part
from nrmbus.events.registry import TYPES
from nrmbus.play.aliases import Aliases
from nrmbus.play.report import Failure
from nrmbus.play.scenario import (
    CARRIERS,
    Check,
    CheckAway,
    CheckBack,
    CheckEvents,
    CheckInbox,
    CheckListening,
    CheckPayments,
    CheckReplay,
    CheckRestart,
    CheckState,
    CheckStatistics,
    Publish,
    Step,
)
from nrmbus.play.stage import Happened, Outcome, Stage, Words

Difference = tuple[str, str, str]
"""One difference: the place, the expected and the actual value."""

_SHORTEST_TEXT: Final = 10
"""Shorter ones are codes or numbers, which clear data holds as well."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A case from outside: its history, and every agency's inbox of it."""

    history: tuple[Happened, ...]
    inboxes: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Submitted:
    """An event of a step: alias of the case, event and answer.

    *before* is the case before it, where the step expects nothing to change; *first* the answer to bytes that went out
    once more, when they went out first.
    """

    case: str | None
    words: Words
    outcome: Outcome
    before: Seen | None = None
    first: Outcome | None = None


class Judge:
    """Looks at a *stage* for one play; *aliases* are the play's, *agencies* those that take part."""

    def __init__(self, stage: Stage, aliases: Aliases, agencies: Iterable[str]) -> None:
        """Judge what *stage* shows."""
        self._stage = stage
        self._aliases = aliases
        self._agencies = tuple(agencies)

    def seen(self, subject: str) -> Seen:
        """Return the case *subject* as it is now."""
        inboxes = tuple(self._stage.inbox(agency, subject) for agency in self._agencies)
        return Seen(self._stage.history(subject), inboxes)

    def received(self, submitted: Iterable[Submitted]) -> tuple[str, ...]:
        """Return the sorted agencies whose inbox has any of the events *submitted*."""
        return tuple(sorted({agency for each in submitted for agency in self._stage.received(each.outcome.id)}))

    def published(self, step: Step, what: Publish, submitted: list[Submitted]) -> list[Failure]:
        """Judge the events that a step published."""
        return [
            Failure(step.number, step.line, *difference)
            for case in what.subjects
            for difference in self._published(what, [each for each in submitted if each.case == case])
        ]

    def _published(self, what: Publish, submitted: list[Submitted]) -> Iterator[Difference]:
        on = f" on {submitted[0].case}" if what.cases else ""
        outcomes = [(what.event + on, _expected(what), _found(what, each.outcome)) for each in submitted]
        if wrong := [outcome for outcome in outcomes if outcome[1] != outcome[2]]:
            yield wrong[0]
            return  # what it would have reached says nothing more
        for each in submitted:
            if each.first is not None and each.first != each.outcome:
                yield f"again{on}", "the same receipt", "another one"
            if each.before is not None and each.before != self.seen(each.words.subject):
                yield what.event + on, "nothing to change", "a change of the history or of an inbox"
        received = () if what.again else self.received(submitted)
        if what.seen_by is not None and set(what.seen_by) != set(received):
            yield f"seen_by{on}", _names(what.seen_by), _names(received)
        for each in submitted:
            if what.opened_by is not None and each.outcome.registered:
                yield from self._opened(what, each, on)
            if what.closed_to:
                yield from self._closed(what, each, on)

    def _opened(self, what: Publish, submitted: Submitted, on: str) -> Iterator[Difference]:
        filled = filled_parts(submitted.words)
        expected = what.opened_by
        if not isinstance(expected, dict):
            expected = dict.fromkeys(filled, expected or ())
        elif set(expected) != set(filled):
            lists, parts = f"one list for each of {_names(expected)}", f"a letter with {_names(filled, 'no part')}"
            yield f"opened_by{on}", lists, parts
            return
        opens = self._stage.opens(submitted.outcome.id)
        for part in filled:
            if set(expected[part]) != set(opens.get(part, ())):
                yield f"opened_by {part}{on}", _names(expected[part]), _names(opens.get(part, ()))

    def _closed(self, what: Publish, submitted: Submitted, on: str) -> Iterator[Difference]:
        opens = self._stage.opens(submitted.outcome.id)
        exposed = self._stage.exposed(texts(submitted.words.sealed or {}))
        for party in what.closed_to:
            parts = [part for part in opens if party in opens[part]]
            if parts or (party in CARRIERS and party in exposed):
                yield f"closed_to {party}{on}", "no part open", _names(parts) if parts else "text of the letter"

    def checked(self, step: Step, check: Check) -> tuple[str, list[Failure]]:
        """Judge a check: what was found, in a few words, and the failures."""
        found, differences = self._checked(check)
        return found, [Failure(step.number, step.line, *difference) for difference in differences]

    def _checked(self, check: Check) -> tuple[str, list[Difference]]:
        match check:
            case CheckEvents():
                return self._events(check)
            case CheckState():
                return self._state(check)
            case CheckInbox():
                return self._inbox(check)
            case CheckPayments():
                return self._payments(check)
            case CheckStatistics():
                return self._statistics(check)
            case CheckReplay():
                return self._replay(check)
            case CheckRestart():
                self._stage.restart(check.service)
                return "killed and back", []
            case CheckAway():
                self._stage.away(check.agency)
                return "takes nothing from here on", []
            case CheckBack():
                self._stage.back(check.agency)
                return "goes on", []
            case CheckListening():
                return self._listening(check)

    def _listening(self, check: CheckListening) -> tuple[str, list[Difference]]:
        words = {True: "reads", False: "does not read"}
        shown = {each: self._stage.listens(check.agency, each, check.listens) for each in check.shown_to}
        wrong = [each for each, found in shown.items() if found is not check.listens]
        what = f"listening {check.agency}"
        return words[check.listens], [(f"{what} at {each}", words[check.listens], words[shown[each]]) for each in wrong]

    def _events(self, check: CheckEvents) -> tuple[str, list[Difference]]:
        cases = map(self._aliases.case, check.subjects)
        events = [event for case in cases for event in self._stage.history(case, technical=True)]
        of_type = [event for event in events if event.type == check.type and check.by in (None, event.by)]
        count = sum(_has(event.data, check.data) for event in of_type)
        if count == check.count:
            return _times(count), []
        other = f", {_times(len(of_type) - count)} with other data" if len(of_type) != count else ""
        by = f" by {check.by}" if check.by else ""
        return _times(count), [(f"events {check.type}{by}", _times(check.count), _times(count) + other)]

    def _state(self, check: CheckState) -> tuple[str, list[Difference]]:
        differences: list[Difference] = []
        words: list[str] = []
        for alias in check.subjects:
            on = f" of {alias}" if check.cases else ""
            case = self._aliases.case(alias)
            standing = self._stage.standing(case)
            status = standing.status or "no status"
            if check.status not in (None, standing.status):
                differences.append((f"status{on}", str(check.status), status))
            referrals = sorted(map(self._aliases.alias_of_ref, standing.open_referrals))
            expected = {self._aliases.ref(each, alias): each for each in check.open_referrals or ()}
            if check.open_referrals is not None and set(expected) != set(standing.open_referrals):
                due, found = _names(expected.values(), "none"), _names(referrals, "none")
                differences.append((f"open_referrals{on}", due, found))
            deadlines = sorted(standing.open_deadlines)
            if check.open_deadlines is not None and sorted(check.open_deadlines) != deadlines:
                due, found = _names(check.open_deadlines, "none"), _names(deadlines, "none")
                differences.append((f"open_deadlines{on}", due, found))
            for agency in check.shown_to:
                shown = self._stage.status_at(agency, case)
                if shown != (check.status or standing.status):
                    differences.append((f"shown_to {agency}{on}", check.status or status, shown or "no status"))
            words.append(" · ".join([status, *referrals, *deadlines]))
        return "; ".join(dict.fromkeys(words)), differences

    def _inbox(self, check: CheckInbox) -> tuple[str, list[Difference]]:
        types = self._stage.inbox(check.agency, self._aliases.case(check.case) if check.case else None)
        expected, found = str(check.count), str(len(types))
        if check.types is not None:
            ordered = (check.types, types) if check.case else (tuple(sorted(check.types)), tuple(sorted(types)))
            expected, found = (", ".join(each) or "nothing" for each in ordered)
        difference = (f"inbox of {check.agency}", expected, found)
        return f"{len(types)} received", [] if expected == found else [difference]

    def _payments(self, check: CheckPayments) -> tuple[str, list[Difference]]:
        orders = standing_orders(self._stage.history(self._aliases.case(check.case)), check.kind)
        amounts = [str(order.data["amount"]["value"]) for order in orders]
        differences = []
        if len(orders) != check.count:
            differences.append((f"payments {check.kind}", _times(check.count), _times(len(orders))))
        if check.amount is not None and set(amounts) - {check.amount}:
            differences.append((f"payments {check.kind}", f"{check.amount} each", _names(amounts, "none")))
        return _names(amounts, "none"), differences

    def _statistics(self, check: CheckStatistics) -> tuple[str, list[Difference]]:
        cells = self._stage.statistics(check.year, check.table)
        differences = [
            (f"statistics {check.year} {check.table}, cell {cell}", str(expected), str(cells.get(cell, "no such cell")))
            for cell, expected in check.cells.items()
            if cells.get(cell) != expected
        ]
        return ", ".join(f"{cell} {value}" for cell, value in cells.items()), differences

    def _replay(self, check: CheckReplay) -> tuple[str, list[Difference]]:
        sentences = self._stage.replay(None if check.case == "all" else self._aliases.case(check.case))
        differences = [("replay", "the fold of the history and the live state to be equal", each) for each in sentences]
        return "history and live state agree", differences


def filled_parts(words: Words) -> tuple[Part, ...]:
    """Return the parts of the letter of *words* that have content."""
    model = TYPES.get((words.type, 1))
    if words.sealed is None or model is None or model.letter is None:
        return ()
    try:
        parts = model.letter.from_mapping(words.sealed).parts()
    except EventError:  # the desk does not take it either
        return ()
    return tuple(part for part, fields in parts.items() if fields)


def texts(sealed: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the free texts, names and numbers of a letter, which may stand nowhere in the clear; codes are in public lists."""
    found: list[str] = []
    for value in sealed.values():
        if isinstance(value, Mapping):
            found += texts(value)
        elif isinstance(value, str) and len(value) >= _SHORTEST_TEXT and not value.replace("_", "").islower():
            found.append(value)
    return tuple(found)


def standing_orders(history: Iterable[Happened], kind: str) -> list[Happened]:
    """Return the ordered or executed payments of *kind*: every order except failed ones.

    A failure names the order by ``ref``, or by the decision behind the order.
    """
    orders: list[Happened] = []
    for event in history:
        if event.data.get("kind") != kind:
            continue
        if event.type == "payment.ordered":
            orders.append(event)
        elif event.type == "payment.failed":
            of = [order for order in orders if _same_order(order, event)]
            orders = [order for order in orders if order not in of[-1:]]
    return orders


def _same_order(order: Happened, failure: Happened) -> bool:
    if failure.ref is not None:
        return order.ref == failure.ref
    return failure.data.get("decision") in (None, order.data.get("decision"))


def _has(data: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    return all(key in data and data[key] == value for key, value in expected.items())


def _times(count: int) -> str:
    return "none" if count == 0 else "once" if count == 1 else f"{count} times"


def _names(names: Iterable[str], without: str = "nobody") -> str:
    return ", ".join(sorted(names)) or without


def _expected(what: Publish) -> str:
    if what.expect == "registered":
        return "registered"
    return f"refused {what.expect.refused}" + (f" by {what.expect.rule}" if what.expect.rule else "")


def _found(what: Publish, outcome: Outcome) -> str:
    """Say the outcome as far as the step cares: a rule only where one is expected, or where nothing of it was."""
    if outcome.registered:
        return "registered"
    named = what.expect == "registered" or what.expect.rule or what.expect.refused != outcome.code
    return f"refused {outcome.code}" + (f" by {outcome.rule}" if outcome.rule and named else "")
