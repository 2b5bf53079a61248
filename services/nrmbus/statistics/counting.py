"""Counting: the events of a period, as records for the tables. Pure: a history in, counts out.

Two kinds of facts go in, and no others. *Envelopes* tell what happened, when, and between which roles. The *coded part*
of letters tells sex, age band, citizenship, region, form, sector, and which cases are one person's. A table names the
kind of its facts, so that everybody knows which figures can be computed again without a key.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from itertools import product, takewhile
from statistics import median
from typing import Any

from nrmbus.events.figures import TOTAL, UNKNOWN
from nrmbus.events.model import Event, Fact
from nrmbus.events.policy import ProfileActivated
from nrmbus.rules import Profile, Rules
from nrmbus.statistics.duties import duties_of
from nrmbus.statistics.persons import CODE, DECIDED, ERASED, Case, attributes, counted_once, facts_of, fits, persons_of
from nrmbus.statistics.spans import Rest, Span
from nrmbus.statistics.specs import ABOUT, ANSWERS, CODES, OPEN, OTHER, ROLES, VICTIM, WITHIN, Record, Spec

_STEPS = ("return", "justice", "fund")
"""Groups of events that are steps of return, justice and compensation."""


class Count:
    """Counts of one year and of each of its quarters, from every case."""

    def __init__(self, rules: Rules, cases: Iterable[Case], year: int) -> None:
        """Read *cases*. A case whose erasure was ordered is left out, as if it had never been.

        The profile, and so the threshold, is that in force at the last registration: it follows from the history alone.
        """
        self._cases = [each for each in cases if all(fact.event.type != ERASED for fact in each.facts)]
        for fact in (fact for case in self._cases for fact in case.facts if fact.event.type == ProfileActivated.type):
            rules.activate(fact)
        self._rules = rules
        self._until = max((fact.registered for case in self._cases for fact in case.facts), default=None)
        self.profile = rules.profile if self._until is None else rules.profile_at(self._until)
        self._zone = self.profile.zone
        self._begins, self._ends = (
            datetime(each, 1, 1, tzinfo=self._zone).astimezone(UTC) for each in (year, year + 1)
        )
        self._found: dict[str, list[tuple[datetime, Record]]] = {}
        self._minutes: list[tuple[datetime, Record, int]] = []
        self._money: list[tuple[datetime, str, int]] = []
        self.currencies: set[str] = set()
        self._read()

    @cached_property
    def codes(self) -> Mapping[str, tuple[str, ...]]:
        """The closed list of each dimension, those of the profiles that were ever in force included."""
        profiles = self._profiles()
        steps = sorted({each for known in profiles for each in known.types if each.split(".")[0] in _STEPS})
        rules = sorted({each for known in profiles for each in known.clocks})
        return {**CODES, "rule": tuple(rules), "step": tuple(steps)}

    def _profiles(self) -> list[Profile]:
        rules, until = self._rules, self._until
        names = [each.profile for each in rules.timeline if until is not None and each.since <= until]
        return [rules.profile, *(rules.profile_named(each) for each in names)]

    def records(self, population: str, span: Span | Rest) -> Iterator[Record]:
        """Yield the records of *population* in *span*."""
        return (record for at, record in self._found.get(population, ()) if span.has(at))

    def cells(self, spec: Spec, span: Span | Rest, k: int) -> dict[tuple[str, ...], int]:
        """Return the count of each row of *spec*, by its keys, totals included, in the order of the table."""
        fixed = set(spec.fixed)
        counted: Counter[tuple[str, ...]] = Counter()
        for record in self.records(spec.population, span):
            if fixed <= set(record.items()):
                counted[tuple(record[each] for each in spec.dimensions)] += 1
        return _with_totals(spec, self._closed(spec, counted, k), self._rows(spec, counted, k))

    def few(self, spec: Spec, span: Span | Rest, k: int) -> frozenset[tuple[str, ...]]:
        """Return the rows of *spec*, totals included, whose events are about fewer than *k* cases; none if it counts persons."""
        about: dict[tuple[str, ...], set[str]] = {}
        fixed = set(spec.fixed)
        for record in self.records(spec.population, span):
            if ABOUT in record and fixed <= set(record.items()):
                keys = tuple(record[each] for each in spec.dimensions)
                for row in product(*((key, TOTAL) for key in keys)) if spec.adds_up else (keys,):
                    about.setdefault(row, set()).add(record[ABOUT])
        return frozenset(row for row, cases in about.items() if len(cases) < k)

    def minutes(self, spec: Spec, span: Span) -> dict[tuple[str, ...], int]:
        """Return the median of each row of *spec*; a row without an answer is absent."""
        taken: dict[str, list[int]] = {}
        for at, record, minutes in self._minutes:
            if span.has(at):
                for key in (record[spec.dimensions[0]], TOTAL):
                    taken.setdefault(key, []).append(minutes)
        return {(key,): round(median(each)) for key, each in taken.items()}

    def money(self, span: Span) -> dict[tuple[str, ...], int]:
        """Return the sum of each kind of payment."""
        sums: Counter[tuple[str, ...]] = Counter()
        for at, kind, amount in self._money:
            if span.has(at):
                sums[kind,] += amount
        return dict(sums)

    # -- rows --------------------------------------------------------------------------------------------------------

    def _closed(self, spec: Spec, counted: Counter[tuple[str, ...]], k: int) -> Counter[tuple[str, ...]]:
        """Return *counted* with the codes of an open dimension that are too rare put together as `other`."""
        if spec.dimensions[-1] not in OPEN:
            return counted
        closed: Counter[tuple[str, ...]] = Counter()
        for keys, count in counted.items():
            closed[keys if count >= k or keys[-1] == UNKNOWN else (*keys[:-1], OTHER)] += count
        return closed

    def _rows(self, spec: Spec, counted: Counter[tuple[str, ...]], k: int) -> list[tuple[str, ...]]:
        last = spec.dimensions[-1]
        if last in OPEN:
            shown = sorted(keys for keys, count in counted.items() if count >= k and keys[-1] != UNKNOWN)
            before = [(each,) for each in self.codes[spec.dimensions[0]]] if len(spec.dimensions) > 1 else [()]
            return [
                (*first, code)
                for first in before
                for code in (*(keys[-1] for keys in shown if keys[:-1] == first), OTHER, UNKNOWN)
            ]
        rows = product(*(self.codes[each] for each in spec.dimensions))
        return [keys for keys in rows if last != "age_band" or fits(*keys)]

    # -- reading -----------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        for each in persons_of(self._cases):
            self._read_person(each)
        for case in self._cases:
            if self._touches(case.facts):
                self._read_course(case)
                self._read_duties(case)

    def _touches(self, facts: Iterable[Fact]) -> bool:
        """Return whether any of *facts* is of the year; a case of other years is not folded."""
        return any(self._begins <= fact.registered < self._ends for fact in facts)

    def _local(self, registered: datetime) -> datetime:
        return registered.astimezone(self._zone)

    def _read_person(self, cases: list[Case]) -> None:
        if not any(self._touches(case.facts) for case in cases):
            return
        facts = facts_of(cases)
        once: dict[tuple[str, str], datetime] = {}
        status: str | None = None
        for fact in facts:
            if not self._begins <= fact.registered < self._ends:
                continue
            for population, code in counted_once(fact):
                once.setdefault((population, code), fact.registered)
            if fact.event.type == DECIDED:
                said = fact.event.data.status  # type: ignore[attr-defined]  # both versions have it
                status = VICTIM if VICTIM in (said, status) else said
        if not once:
            return
        about = attributes(cases, facts, self.profile.calendar.country)
        for (population, code), at in once.items():
            if population != "decided" or code == status:
                self._put(population, at, {**about, **({CODE[population]: code} if population in CODE else {})})

    def _put(self, population: str, at: datetime, record: Record) -> None:
        if self._begins <= at < self._ends:
            self._found.setdefault(population, []).append((self._local(at), record))

    def _role(self, agency: str | None) -> str:
        role = self._rules.role_of(agency) if agency else UNKNOWN
        return role if role in ROLES else UNKNOWN

    def _read_course(self, case: Case) -> None:
        asked: dict[str, Fact] = {}
        orders: list[Event] = []
        for fact in case.facts:
            event, at = fact.event, fact.registered
            match event.type:
                case "referral.submitted":
                    asked[event.referral or ""] = fact
                    for agency in event.data.recipients:
                        self._put("referrals", at, {"role": self._role(agency), ABOUT: case.subject})
                case "payment.ordered":
                    orders.append(event)
                    self.currencies.add(event.data.amount.currency)  # type: ignore[attr-defined]
                case "payment.executed" | "payment.failed":
                    order = _order_of(orders, event)
                    if order is not None:
                        orders.remove(order)
                    if event.type == "payment.executed":
                        kind = event.data.kind  # type: ignore[attr-defined]
                        self._put("paid", at, {"kind": kind, ABOUT: case.subject})
                        value = order.data.amount.value if order is not None else "0"  # type: ignore[attr-defined]
                        self._money.append((self._local(at), kind, round(Decimal(value))))
                case "fund.compensation_granted":
                    said: Any = event.data
                    self._put("granted", at, {"purpose": said.purpose, "source": said.source, ABOUT: case.subject})
                case type if type in self.codes["measure"]:
                    self._put("measures", at, {"measure": type, ABOUT: case.subject})
                case type if type in ANSWERS:
                    self._read_answer(case, fact, asked.get(event.referral or ""))

    def _read_answer(self, case: Case, fact: Fact, asked: Fact | None) -> None:
        event, at = fact.event, fact.registered
        answer = ANSWERS[event.type]
        sender = self._role(asked.event.source) if asked else UNKNOWN
        # Revoked by the sender or expired by the timekeeper: both count as answers of the asked agency.
        for agency in (event.source,) if answer in ("accepted", "declined") else self._ended_by(case, fact):
            record = {"role": self._role(agency), "sender": sender, "answer": answer, ABOUT: event.subject}
            if answer == "declined":
                record["reason"] = event.data.reason  # type: ignore[attr-defined]
            self._put("answers", at, record)
            if asked and answer in ("accepted", "declined"):
                minutes = int((fact.registered - asked.registered).total_seconds() // 60)
                self._minutes.append((self._local(at), record, minutes))

    def _ended_by(self, case: Case, fact: Fact) -> list[str]:
        """Return the receivers whose part of a referral *fact* ends, a revocation or an expiry of *case*."""
        view = self._rules.start(case.subject)
        for each in takewhile(lambda each: each is not fact, case.facts):
            view = self._rules.evolve(view, each)
        ref = fact.event.referral or ""
        before, after = (each.referrals.get(ref) for each in (view, self._rules.evolve(view, fact)))
        if before is None or after is None:
            return []
        pairs = zip(before.receivers, after.receivers, strict=True)
        return [then.agency for then, now in pairs if then.state != now.state]

    def _read_duties(self, case: Case) -> None:
        for duty in duties_of(self._rules, case.subject, case.facts):
            record = {"rule": duty.rule, "outcome": duty.outcome, "role": self._role(duty.agency), ABOUT: case.subject}
            self._put("clocks", duty.registered, record)


def _order_of(orders: Iterable[Event], paid: Event) -> Event | None:
    """Return which of the open *orders* the event *paid* is about, as the Rules read it; None if there is none.

    The reference of *paid* names the order. Without a reference, it is the latest order of the same kind, and of the same
    decision if both events name a decision.
    """
    said: Any = paid.data
    found = None
    for each in orders:
        ordered: Any = each.data
        if (
            ordered.kind == said.kind
            and paid.referral in (None, each.referral)
            and said.decision in (None, ordered.decision or said.decision)
        ):
            found = each
    return found


def _with_totals(
    spec: Spec, counted: Mapping[tuple[str, ...], int], rows: list[tuple[str, ...]]
) -> dict[tuple[str, ...], int]:
    """Return the count of each of *rows* and of each total above them."""
    if not spec.adds_up:
        return {keys: counted.get(keys, 0) for keys in rows}
    nested = len(spec.dimensions) > 1 and WITHIN.get(spec.dimensions[1]) == spec.dimensions[0]
    found = dict.fromkeys(rows, 0)  # totals stand below what they count
    for keys in rows:
        for total in product(*((key, TOTAL) for key in keys)):
            if not (nested and total[0] == TOTAL != total[1]):
                found[total] = found.get(total, 0) + counted.get(keys, 0)
    return found
