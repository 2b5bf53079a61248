"""Counting: what happened in a period, as records that the tables are made of. Pure: a history in, counts out.

Two kinds of facts go in, and no others. *Envelopes* tell what happened, when, and between which roles. The *coded part*
of letters tells sex, age band, citizenship, region, form, sector, and which cases are one person's. A table names the
kind that it needs, so that everybody knows which figures can be computed again without a key.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from itertools import product
from statistics import median
from typing import Any, Final, Literal, get_args

from nrmbus.events import codes
from nrmbus.events.model import Fact
from nrmbus.rules import Rules, View
from nrmbus.rules.view import Running
from nrmbus.statistics.tables import TOTAL, UNKNOWN, Unit

Record = Mapping[str, str]
"""One counted person or event: the code of each dimension that its population has."""

Cell = tuple[str, tuple[tuple[str, str], ...]]
"""One cell, whichever table shows it: the population, and dimension and code of each restriction, sorted."""

OTHER: Final = "other"
VICTIM: Final = "ActualVictimOfTrafficking"
ERASED: Final = "access.erasure_due"
SIGNALS: Final = frozenset({"case.signal_recorded", "case.re_referred"})
ANSWERS: Final = {
    "referral.accepted": "accepted",
    "referral.declined": "declined",
    "referral.revoked": "revoked",
    "referral.expired": "expired",
}
LINKS: Final = {"case.linked": "other_case", "case.merged": "other_case"}
"""Events that say that two cases are one person's, and the coded field that names the other case."""
_CHILD_BANDS: Final = frozenset({"0-9", "10-13", "14-15", "16-17"})
_SERVICES: Final = frozenset({"auditor", "timekeeper", "registrar"})
_ROLES: Final = (*(each for each in get_args(codes.Role) if each not in _SERVICES), UNKNOWN)
_FORM_OF: Final = {
    "SexualExploitation": "sexual", "ForcedLabour": "labour", "ChildLabour": "labour", "Servitude": "labour", "Slavery": "labour",
    "ForcedBegging": "begging", "ForcedCriminality": "criminality", "OrganRemoval": "organs",
}  # fmt: skip
"""Group of each form of exploitation; every form that is not named is `other`."""
_FORMS: Final = ("sexual", "labour", "begging", "criminality", "organs", OTHER, "several", UNKNOWN)

CODES: Final[Mapping[str, tuple[str, ...]]] = {
    "sex": get_args(codes.Sex),
    "age": ("child", "adult", UNKNOWN),
    "age_band": get_args(codes.AgeBand),
    "citizenship_group": ("national", "foreign", UNKNOWN),
    "form": _FORMS,
    "sector": (*get_args(codes.Sector), UNKNOWN),
    "detector": get_args(codes.Detector),
    "status": get_args(codes.VictimStatus),
    "role": _ROLES,
    "sender": _ROLES,
    "answer": tuple(ANSWERS.values()),
    "reason": get_args(codes.DeclineReason),
    "service": get_args(codes.Service),
    "kind": get_args(codes.PaymentKind),
    "outcome": ("met", "missed"),
    "measure": (
        "case.re_referred", "case.withdrawn", "consent.refused", "consent.withdrawn", "access.break_glass",
        "identification.interview_held",
    ),
}  # fmt: skip
"""Closed list of each dimension: every code is a row of every table, so a suppressed row says nothing by being there."""

OPEN: Final = frozenset({"citizenship", "region"})
"""Dimensions without a closed list: a code is a row only if its count may be published; the others are in `other`."""

WITHIN: Final[Mapping[str, str]] = {"age_band": "age", "citizenship": "citizenship_group"}
"""Dimensions that divide the codes of another one, so that each code lies in one code of that."""


@dataclass(frozen=True, slots=True)
class Spec:
    """Table that is made of the records of a *population*; *fixed* restricts it, and the table does not show that."""

    id: str
    title: str
    population: str
    dimensions: tuple[str, ...]
    fixed: tuple[tuple[str, str], ...] = ()
    unit: Unit = "persons"
    needs: Literal["letters", "envelopes"] = "letters"
    adds_up: bool = True
    """True if each record has one code of each dimension, so that the table has totals."""
    yearly: bool = False

    def cell(self, keys: tuple[str, ...]) -> Cell:
        """Return the cell of the row *keys*, the same for every table that shows it."""
        said = zip(self.dimensions, keys, strict=True)
        return self.population, tuple(sorted({*self.fixed, *(each for each in said if each[1] != TOTAL)}))


_IDENTIFIED: Final = (("status", VICTIM),)


def _identified(dimensions: tuple[str, ...], words: str, *, yearly: bool = False) -> Spec:
    name = "identified_by_" + "_and_".join(
        each for each in dimensions if each not in WITHIN.values() or len(dimensions) == 1 or "sex" in dimensions
    )
    return Spec(name, f"Identified victims by {words}", "decided", dimensions, _IDENTIFIED, yearly=yearly)


SPECS: Final[tuple[Spec, ...]] = (
    Spec("signalled_by_detector", "Persons with a signal, by detector", "signalled", ("detector",)),
    Spec("signalled_by_sex", "Persons with a signal, by sex", "signalled", ("sex",)),
    Spec("signalled_by_age", "Persons with a signal, children and adults", "signalled", ("age",)),
    Spec("presumed_by_sex", "Presumed victims by sex", "presumed", ("sex",)),
    Spec("presumed_by_age", "Presumed victims, children and adults", "presumed", ("age",)),
    Spec("decided_by_status", "Persons with a decision on status", "decided", ("status",)),
    _identified(("sex",), "sex"),
    _identified(("age",), "children and adults"),
    _identified(("age", "age_band"), "age band"),
    _identified(("sex", "age"), "sex, children and adults"),
    _identified(("citizenship_group",), "citizenship, national or foreign"),
    _identified(("sex", "citizenship_group"), "sex and citizenship"),
    _identified(("citizenship_group", "citizenship"), "country of citizenship", yearly=True),
    _identified(("form",), "form of exploitation"),
    _identified(("sex", "form"), "sex and form of exploitation"),
    _identified(("sector",), "sector of the work"),
    _identified(("region",), "region where the person was found", yearly=True),
    _identified(("detector",), "detector"),
    Spec("reflection_by_sex", "Persons given a recovery and reflection period", "reflection", ("sex",)),
    Spec("permit_by_sex", "Persons given a residence permit", "permit", ("sex",)),
    Spec("sheltered_by_sex", "Persons admitted to a shelter", "sheltered", ("sex",)),
    Spec("assisted_by_sex", "Persons who received a service", "assisted", ("sex",)),
    Spec("assisted_by_service", "Persons who received each service", "helped", ("service",), adds_up=False),
    Spec("steps_by_type", "Persons with each step of return, justice and compensation", "steps", ("step",), adds_up=False),
    Spec("paid_by_kind", "Payments made, by kind", "paid", ("kind",), unit="events", needs="envelopes", adds_up=False, yearly=True),
    Spec("referrals_by_role", "Referrals, by role of the receiver", "referrals", ("role",), unit="events", needs="envelopes"),
    Spec("answers_by_role", "Answers to referrals, by role of the receiver", "answers", ("role", "answer"), unit="events", needs="envelopes"),
    Spec("answers_by_sender", "Answers to referrals, by role of the sender", "answers", ("sender", "answer"), unit="events", needs="envelopes"),
    Spec(
        "declined_by_reason", "Declined referrals, by role of the receiver and reason", "answers", ("role", "reason"),
        (("answer", "declined"),), unit="events", needs="envelopes",
    ),
    Spec("clocks_by_rule", "Duties met and missed, by clock", "clocks", ("rule", "outcome"), unit="events", needs="envelopes"),
    Spec("clocks_by_role", "Duties met and missed, by role", "clocks", ("role", "outcome"), unit="events", needs="envelopes"),
    Spec("measures_by_type", "Other events, by type", "measures", ("measure",), unit="events", needs="envelopes", adds_up=False),
)  # fmt: skip
"""Every counted table of a release, in order."""

MONEY: Final = Spec(
    "paid_amount_by_kind",
    "Money paid, by kind",
    "paid",
    ("kind",),
    unit="AZN",
    needs="envelopes",
    adds_up=False,
    yearly=True,
)
"""Sums, each shown where its count is: with a known tariff a sum is a count, so there is none of a quarter and no total."""

MEDIANS: Final = (
    Spec("minutes_to_answer_by_role", "Median time to answer a referral, by role of the receiver", "answers", ("role",), unit="minutes", needs="envelopes"),
    Spec("minutes_to_answer_by_sender", "Median time to answer a referral, by role of the sender", "answers", ("sender",), unit="minutes", needs="envelopes"),
)  # fmt: skip
"""Medians, each shown where the count of answers below it is."""


@dataclass(frozen=True, slots=True)
class Case:
    """Course of one case: its facts in the order of registration, and the coded fields of its letters by the event's id."""

    subject: str
    facts: tuple[Fact, ...]
    coded: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """A year or a quarter of the profile's calendar."""

    year: int
    quarter: int | None = None

    @classmethod
    def named(cls, name: str) -> "Span":
        """Return the period *name*, such as 2026 or 2026-Q1."""
        year, _, quarter = name.partition("-Q")
        return cls(int(year), int(quarter) if quarter else None)

    @property
    def name(self) -> str:
        """Return the name, such as 2026 or 2026-Q1."""
        return f"{self.year:04d}" + (f"-Q{self.quarter}" if self.quarter else "")

    @property
    def parts(self) -> tuple["Span", ...]:
        """Return the quarters of the year; the quarter itself of a quarter."""
        return (self,) if self.quarter else tuple(Span(self.year, quarter) for quarter in (1, 2, 3, 4))

    def has(self, local: datetime) -> bool:
        """Return whether the *local* time lies in the period."""
        return local.year == self.year and self.quarter in (None, (local.month + 2) // 3)


class Count:
    """Counts of one year and of each of its quarters, from every case."""

    def __init__(self, rules: Rules, cases: Iterable[Case], year: int) -> None:
        """Read *cases*. A case whose erasure was ordered is left out, as if it had never been."""
        self.profile = rules.profile
        self._rules, self._year = rules, year
        self._zone = rules.profile.zone
        self._own = rules.profile.name.partition("@")[0].upper()
        self._cases = [each for each in cases if all(fact.event.type != ERASED for fact in each.facts)]
        self._found: dict[str, list[tuple[datetime, Record]]] = {}
        self._minutes: list[tuple[datetime, Record, int]] = []
        self._money: list[tuple[datetime, str, int]] = []
        self.currencies: set[str] = set()
        self._read()

    @cached_property
    def codes(self) -> Mapping[str, tuple[str, ...]]:
        """The closed list of each dimension, those of the profile included."""
        types = sorted(
            each for each in self._rules.profile.types if each.split(".")[0] in ("return", "justice", "fund")
        )
        return {**CODES, "rule": tuple(sorted(self._rules.profile.clocks)), "step": tuple(types)}

    def records(self, population: str, span: Span) -> Iterator[Record]:
        """Yield the records of *population* in *span*."""
        return (record for at, record in self._found.get(population, ()) if span.has(at))

    def cells(self, spec: Spec, span: Span, k: int) -> dict[tuple[str, ...], int]:
        """Return the count of each row of *spec*, by its keys, totals included, in the order of the table."""
        fixed = set(spec.fixed)
        counted: Counter[tuple[str, ...]] = Counter()
        for record in self.records(spec.population, span):
            if fixed <= set(record.items()):
                counted[tuple(record[each] for each in spec.dimensions)] += 1
        return _with_totals(spec, self._closed(spec, counted, k), self._rows(spec, counted, k))

    def minutes(self, spec: Spec, span: Span, k: int) -> dict[tuple[str, ...], int]:
        """Return the median of each row of *spec*; a row with fewer than *k* answers is absent."""
        taken: dict[str, list[int]] = {}
        for at, record, minutes in self._minutes:
            if span.has(at):
                for key in (record[spec.dimensions[0]], TOTAL):
                    taken.setdefault(key, []).append(minutes)
        return {(key,): round(median(each)) for key, each in taken.items() if len(each) >= k}

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
        return [keys for keys in rows if last != "age_band" or _fits(*keys)]

    # -- reading -----------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        persons = self._persons()
        for each in persons:
            self._read_person(each)
        for case in self._cases:
            self._read_course(case)
        for case in self._cases:
            self._read_clocks(case)

    def _local(self, fact: Fact) -> datetime:
        return fact.registered.astimezone(self._zone)

    def _persons(self) -> list[list[Case]]:
        """Return the cases of each person: linked cases, and those that name an earlier one, are one person's."""
        known = {case.subject for case in self._cases}
        above = {case.subject: case.subject for case in self._cases}

        def root(subject: str) -> str:
            while above[subject] != subject:
                above[subject] = subject = above[above[subject]]
            return subject

        for case in self._cases:
            for other in _same_person(case):
                if other in known:
                    first, second = sorted((root(case.subject), root(other)))
                    above[second] = first
        persons: dict[str, list[Case]] = {}
        for case in self._cases:
            if case.facts:
                persons.setdefault(root(case.subject), []).append(case)
        return [sorted(persons[each], key=_first) for each in sorted(persons)]

    def _read_person(self, cases: list[Case]) -> None:
        facts = sorted(
            (fact for case in cases for fact in case.facts), key=lambda fact: (fact.registered, fact.event.id)
        )
        about = self._attributes(cases, facts)
        once: dict[tuple[str, str], datetime] = {}
        status: str | None = None
        for fact in facts:
            at = self._local(fact)
            if at.year != self._year:
                continue
            for population, code in _counted_once(fact):
                once.setdefault((population, code), at)
            if fact.event.type == "identification.status_decided":
                said = fact.event.data.status  # type: ignore[attr-defined]  # both versions have it
                status = VICTIM if VICTIM in (said, status) else said
        for (population, code), at in once.items():
            if population == "decided" and code != status:
                continue
            self._put(population, at, {**about, **({_CODE[population]: code} if population in _CODE else {})})

    def _put(self, population: str, at: datetime, record: Record) -> None:
        self._found.setdefault(population, []).append((at, record))

    def _attributes(self, cases: list[Case], facts: list[Fact]) -> dict[str, str]:
        """Return the codes of a person: the newest known one of each; the detector is that of the first signal."""
        coded = [case.coded[fact.event.id] for case in cases for fact in case.facts if fact.event.id in case.coded]

        def newest(name: str) -> Any:
            return next((each[name] for each in reversed(coded) if each.get(name) not in (None, UNKNOWN)), None)

        citizenship, band = newest("citizenship"), newest("age_band")
        forms = sorted({_FORM_OF.get(each, OTHER) for each in newest("exploitation") or ()})
        child = _child(facts, band)
        age = UNKNOWN if child is None else "child" if child else "adult"
        group = UNKNOWN if citizenship is None else "national" if citizenship == self._own else "foreign"
        detectors = [fact.event.data.detector for fact in facts if fact.event.type in SIGNALS]  # type: ignore[attr-defined]
        return {
            "sex": newest("sex") or UNKNOWN,
            "age": age,
            "age_band": band if band is not None and _fits(age, band) else UNKNOWN,
            "citizenship_group": group,
            "citizenship": citizenship or UNKNOWN,
            "region": newest("region") or UNKNOWN,
            "form": UNKNOWN if not forms else forms[0] if len(forms) == 1 else "several",
            "sector": newest("sector") or UNKNOWN,
            "detector": detectors[0] if detectors else "special_unit",
        }

    def _role(self, agency: str | None) -> str:
        role = self._rules.role_of(agency) if agency else UNKNOWN
        return role if role in _ROLES else UNKNOWN

    def _read_course(self, case: Case) -> None:
        asked: dict[str, Fact] = {}
        ordered: dict[str, str] = {}
        for fact in case.facts:
            event, at = fact.event, self._local(fact)
            match event.type:
                case "referral.submitted":
                    asked[event.referral or ""] = fact
                    for agency in event.data.recipients:
                        self._put("referrals", at, {"role": self._role(agency)})
                case "payment.ordered":
                    amount = event.data.amount  # type: ignore[attr-defined]
                    ordered[event.referral or ""] = amount.value
                    self.currencies.add(amount.currency)
                case "payment.executed":
                    kind = event.data.kind  # type: ignore[attr-defined]
                    self._put("paid", at, {"kind": kind})
                    self._money.append((at, kind, round(Decimal(ordered.get(event.referral or "", "0")))))
                case type if type in self.codes["measure"]:
                    self._put("measures", at, {"measure": type})
                case type if type in ANSWERS:
                    self._read_answer(fact, asked.get(event.referral or ""))

    def _read_answer(self, fact: Fact, asked: Fact | None) -> None:
        event, at = fact.event, self._local(fact)
        answer = ANSWERS[event.type]
        sender = self._role(asked.event.source) if asked else UNKNOWN
        # The sender revokes, and the timekeeper lets expire: those are answers for whoever was asked.
        receivers = asked.event.data.recipients if asked else ()
        agencies = (event.source,) if answer in ("accepted", "declined") else receivers
        for agency in agencies:
            record = {"role": self._role(agency), "sender": sender, "answer": answer}
            if answer == "declined":
                record["reason"] = event.data.reason  # type: ignore[attr-defined]
            self._put("answers", at, record)
            if asked and answer in ("accepted", "declined"):
                minutes = int((fact.registered - asked.registered).total_seconds() // 60)
                self._minutes.append((at, record, minutes))

    def _read_clocks(self, case: Case) -> None:
        """Fold the case, and count each duty when it ends in time or its breach is published; a lifted one is neither."""
        rules = self._rules
        view = rules.start(case.subject)
        for fact in case.facts:
            before, view = view, rules.evolve(view, fact)
            kind, at = fact.event.type, self._local(fact)
            if kind == "deadline.breached":
                rule: str = fact.event.data.rule  # type: ignore[attr-defined]
                self._put("clocks", at, {"rule": rule, "outcome": "missed", "role": self._role(_owing(before, view))})
            for clock in _ended(before, view):
                ends = rules.profile.clocks[clock.code].ends_by
                if not clock.breached and any(kind in end.events for end in ends):
                    role = self._role(clock.answerable)
                    self._put("clocks", at, {"rule": clock.code, "outcome": "met", "role": role})


_CODE: Final = {"decided": "status", "helped": "service", "steps": "step"}
"""Dimension of the code with which a person counts in a population."""


def _counted_once(fact: Fact) -> Iterator[tuple[str, str]]:
    """Yield each population, and code, in which *fact* makes a person count."""
    event = fact.event
    data: Any = event.data
    match event.type:
        case "case.signal_recorded" | "case.re_referred":
            yield "signalled", ""
        case "identification.reasonable_grounds_decided" if data.outcome == "positive":
            yield "presumed", ""
        case "identification.status_decided":
            yield "decided", data.status
        case "recovery.period_started":
            yield "reflection", ""
        case "stay.permit_issued":
            yield "permit", ""
        case "shelter.admitted":
            yield "sheltered", ""
        case "service.delivered":
            yield "assisted", ""
            yield "helped", data.service
        case type if type.split(".")[0] in ("return", "justice", "fund"):
            yield "steps", type


def _same_person(case: Case) -> Iterator[str]:
    """Yield the other cases that are the same person's as *case*, by its coded facts."""
    for fact in case.facts:
        coded = case.coded.get(fact.event.id, {})
        if "previous_case" in coded:
            yield coded["previous_case"]
        other = coded.get(LINKS.get(fact.event.type, ""))
        if other and getattr(fact.event.data, "confidence", None) != "possible":
            yield other


def _first(case: Case) -> tuple[datetime, str]:
    return case.facts[0].registered, case.subject


def _child(facts: Iterable[Fact], band: str | None) -> bool | None:
    """Return whether the person is a child: by the newest signal, unless the age was assessed since; else by the band."""
    child: bool | None = None
    for fact in facts:
        data: Any = fact.event.data
        if fact.event.type in SIGNALS:
            child = data.child
        elif fact.event.type == "safeguard.age_assessed":
            child = data.result != "adult"
    return child if child is not None or band is None else band in _CHILD_BANDS


def _fits(age: str, band: str) -> bool:
    """Return whether the age *band* lies in the *age*; an unknown one lies in each."""
    return UNKNOWN in (band, age) or (band in _CHILD_BANDS) == (age == "child")


def _ended(before: View, after: View) -> Iterator[Running]:
    """Yield the clocks that ran before an event and not after it."""
    if before.running is after.running:
        return
    left = Counter(_name(each) for each in after.running if each.runs)
    for clock in before.running:
        if clock.runs:
            if left[_name(clock)]:
                left[_name(clock)] -= 1
            else:
                yield clock


def _owing(before: View, after: View) -> str | None:
    """Return the agency whose clock is breached since *before*; None if no clock is."""
    known = Counter(_name(each) for each in before.running if each.breached)
    return next((each.answerable for each in after.running if each.breached and not known[_name(each)]), None)


def _name(clock: Running) -> tuple[str, str, str, str | None]:
    return clock.code, clock.mark.id, clock.answerable, clock.ref


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
