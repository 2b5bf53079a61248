"""A verified history judged once more under another profile: which acts, recipients and clocks would have been others.

Every event is taken as it happened; only its judgement differs. So an act that the other profile would have refused is
named once, and what followed it is judged as if it had been let in. A refusal keeps no envelope and cannot be judged
again: it is named if the other profile lacks its rule. A breach that the timekeeper published follows from the clocks, and
is no act. Pure: entries in, findings out.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from nrmbus.auditor.history.history import Entry
from nrmbus.auditor.reports.rejudge import GLASS
from nrmbus.events.bulletin import is_bulletin
from nrmbus.events.deadline import DeadlineBreached
from nrmbus.events.model import Fact
from nrmbus.rules import Clock, Profile, Rules, View
from nrmbus.rules.event_context import STATISTICS
from nrmbus.wire import times

DifferenceKind = Literal[
    "refused", "let_in", "told", "not_told", "clock_gone", "clock_new", "clock_moved", "breached", "met"
]
KINDS: Final[tuple[DifferenceKind, ...]] = (
    "refused", "let_in", "told", "not_told", "clock_gone", "clock_new", "clock_moved", "breached", "met",
)  # fmt: skip
"""An event that would have been refused; a refusal whose rule the other profile lacks; an agency that would have been told, or not; a duty that would not exist, would be new,
or due at another time; a duty that would have been missed, or met."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that would have gone otherwise: in which case, by which rule, and on which basis of the other profile."""

    kind: DifferenceKind
    case: str
    number: int
    type: str
    rule: str
    basis: str
    unverified: bool
    agencies: tuple[str, ...] = ()
    was: datetime | None = None
    would_be: datetime | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """Size of a history: registered events, refusals, and cases."""

    events: int
    refusals: int
    cases: int

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "Judged":
        """Count *entries*."""
        events = refusals = 0
        cases = set[str]()
        for each in entries:
            refused = each.registration.verdict == "refused"
            refusals += refused
            events += not refused
            if not is_bulletin(each.registration.subject):
                cases.add(each.registration.subject)
        return cls(events, refusals, len(cases))


@dataclass(slots=True)
class _Ran:
    clock: Clock
    number: int
    type: str
    ended: datetime | None = None


@dataclass(slots=True)
class _World:
    """One case under one profile; ``ran`` are all its duties so far."""

    view: View
    ran: dict[tuple[str, str, str], _Ran] = field(default_factory=dict)

    def take(self, rules: Rules, fact: Fact) -> None:
        self.wait(rules, fact.registered)
        self.view = rules.evolve(self.view, fact)
        for key, clock in self._runs(rules, self.view, fact.registered).items():
            known = self.ran.get(key)
            if known is None:
                self.ran[key] = _Ran(clock, fact.number, fact.event.type)
            else:
                known.clock, known.ended = clock, None

    def wait(self, rules: Rules, until: datetime) -> None:
        """Let days pass: the last day of a consent lifts duties by itself."""
        for at, later in rules.changing(self.view):
            if at > until:
                return
            self._runs(rules, later, at)

    def _runs(self, rules: Rules, view: View, at: datetime) -> dict[tuple[str, str, str], Clock]:
        """Return the duties of *view*, and note which others have ended by *at*."""
        now = {(each.code, each.cause, each.answerable): each for each in rules.clocks(view)}
        for key, each in self.ran.items():
            if key not in now and each.ended is None:
                each.ended = at
        return now


def differences(entries: Iterable[Entry], rules: Rules, other: Rules, now: datetime) -> Iterator[Difference]:
    """Yield what would have gone otherwise under *other* in the cases of *entries*, verified and complete, up to *now*.

    *rules* are those of the history, with its activations; *other* are the Rules under the other profile alone.
    """
    cases: dict[str, tuple[_World, _World]] = {}
    unread: set[str] = set()
    spent: Counter[tuple[str, str]] = Counter()
    for entry in sorted(
        entries, key=lambda each: (each.registration.time, each.registration.partition, each.registration.number)
    ):
        said, fact = entry.registration, entry.fact
        if said.verdict == "refused":
            yield from _let_in(entry, rules, other)
        if said.verdict != "registered" or said.subject in unread or is_bulletin(said.subject):
            continue
        if fact is None:
            unread.add(said.subject)
            continue
        was, would = cases.setdefault(
            said.subject, (_World(rules.start(said.subject)), _World(other.start(said.subject)))
        )
        month = fact.event.source, other.month(said.time)
        yield from _judged(entry, fact, would.view, other, spent[month])
        spent[month] += fact.event.type == GLASS
        was.take(rules, fact)
        would.take(other, Fact.of(fact.event, fact.recipients, fact.registered, fact.number, other.profile.name))
    for subject, (was, would) in cases.items():
        was.wait(rules, now)
        would.wait(other, now)
        yield from _clocks(subject, was, would, other, now)


def _let_in(entry: Entry, rules: Rules, other: Rules) -> Iterator[Difference]:
    """Yield the refusal of *entry* if the rule behind it is one of the profile that judged it, and *other* lacks that rule."""
    said = entry.registration
    rule = entry.audience.because or said.rule or ""
    if rule in rules.profile_named(said.policy.name).refusals and rule not in other.profile.refusals:
        yield Difference("let_in", said.subject, said.number, "", rule, said.article or "", unverified=False)


def _judged(entry: Entry, fact: Fact, view: View, other: Rules, spent: int) -> Iterator[Difference]:
    event, said, policy = fact.event, entry.registration, other.profile.name
    refusal = other.judge(view, event, said.time, spent=spent, policy=policy)
    row = other.profile.types.get(event.type)
    if event.type == DeadlineBreached.type:
        return
    if refusal is not None:
        cited = other.profile.refusals.get(refusal.because or refusal.rule)
        yield Difference(
            "refused", said.subject, said.number, event.type, refusal.because or refusal.rule, refusal.article,
            bool(cited and cited.unverified),
        )  # fmt: skip
        return
    due, told = set(other.audience(view, event, policy, said.time).recipients), set(fact.recipients)
    if event.sealeddigest is not None:  # the statistics are told of each letter with coded parts, under every profile
        told = {each for each in told if other.role_of(each) != STATISTICS}
    found: tuple[tuple[DifferenceKind, set[str]], ...] = (("told", due - told), ("not_told", told - due))
    for kind, agencies in found:
        if agencies and row is not None:
            yield Difference(
                kind,
                said.subject,
                said.number,
                event.type,
                event.type,
                row.basis,
                row.unverified,
                tuple(sorted(agencies)),
            )


def _clocks(subject: str, was: _World, would: _World, other: Rules, now: datetime) -> Iterator[Difference]:
    for key in dict.fromkeys((*was.ran, *would.ran)):
        before, after = was.ran.get(key), would.ran.get(key)
        one = after or before
        assert one is not None  # noqa: S101 - the key is of one of the two
        rule = other.profile.clocks.get(key[0])
        basis, unverified = (rule.basis, rule.unverified) if rule else ("", False)
        place = subject, one.number, one.type, key[0], basis, unverified, (key[2],)
        due = before.clock.due if before else None, after.clock.due if after else None
        if before is None or after is None:
            yield Difference("clock_new" if before is None else "clock_gone", *place, *due)
        elif due[0] != due[1]:
            yield Difference("clock_moved", *place, *due)
        late = _is_late(before, now), _is_late(after, now)
        if late[0] != late[1]:
            yield Difference("breached" if late[1] else "met", *place, *due)


def _is_late(ran: _Ran | None, now: datetime) -> bool:
    return ran is not None and ran.clock.due is not None and (ran.ended or now) > ran.clock.due


def summary(found: Iterable[Difference]) -> dict[tuple[DifferenceKind, str, str], tuple[int, int]]:
    """Return, for each kind, rule and basis, how many differences there are and in how many cases."""
    many = Counter[tuple[DifferenceKind, str, str]]()
    cases: dict[tuple[DifferenceKind, str, str], set[str]] = {}
    for each in found:
        key = each.kind, each.rule, each.basis
        many[key] += 1
        cases.setdefault(key, set()).add(each.case)
    return {key: (count, len(cases[key])) for key, count in many.most_common()}


def by_type(found: Iterable[Difference]) -> dict[tuple[DifferenceKind, str], tuple[int, int]]:
    """Return, for each kind and type of event, how many differences there are and in how many cases; a refusal keeps no type."""
    many = Counter[tuple[DifferenceKind, str]]()
    cases: dict[tuple[DifferenceKind, str], set[str]] = {}
    for each in found:
        many[each.kind, each.type] += 1
        cases.setdefault((each.kind, each.type), set()).add(each.case)
    return {key: (count, len(cases[key])) for key, count in many.most_common()}


def mapping(found: Iterable[Difference], profile: Profile, judged: Judged) -> dict[str, Any]:
    """Return the answer in JSON types: totals, the summary by rule and basis and by type, then each difference."""
    rows = list(found)
    totals = Counter(each.kind for each in rows)
    return {
        "profile": profile.name,
        "digest": profile.digest,
        "judged": {"events": judged.events, "cases": judged.cases},
        "not_judged": judged.refusals,
        "totals": {kind: totals[kind] for kind in KINDS},
        "by_type": [
            {"kind": kind, "type": type, "count": count, "cases": cases}
            for (kind, type), (count, cases) in by_type(rows).items()
        ],
        "summary": [
            {"kind": kind, "rule": rule, "basis": basis, "count": count, "cases": cases}
            for (kind, rule, basis), (count, cases) in summary(rows).items()
        ],
        "differences": [
            {
                "kind": each.kind, "case": each.case, "number": each.number, "type": each.type, "rule": each.rule,
                "basis": each.basis, "unverified": each.unverified, "agencies": list(each.agencies),
                "was": times.write(each.was) if each.was else None,
                "would_be": times.write(each.would_be) if each.would_be else None,
            }
            for each in rows
        ],
    }  # fmt: skip
