"""Reasons why an event reached some agencies and not others, and what became of it. No letter is opened for this."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from nrmbus.auditor.history.history import Audited, Entry
from nrmbus.auditor.history.outcomes import is_sealed_again, refusal_of, successor
from nrmbus.auditor.reports.plain import plain
from nrmbus.auditor.reports.replayed import row_of
from nrmbus.directory import SERVICES, Directory
from nrmbus.events.deadline import DeadlineBreached
from nrmbus.events.document import DocumentChunkSent
from nrmbus.events.model import Event, Fact, Part
from nrmbus.rules import Clock, Profile, Reason, Rules, View
from nrmbus.rules.profile import matches
from nrmbus.rules.why import ReasonCode
from nrmbus.wire.names import STATISTICS

WhyCode = (
    ReasonCode | Literal["refused", "sealed_again", "told_later", "service", "not_admitted", "unreadable", "otherwise"]
)

_SAYS: Final[Mapping[str, str]] = {
    "refused": "The event was refused: nobody but its sender was told anything.",
    "sealed_again": "Nobody but the sender was told in this form: its desk seals the event again for the changed audience.",
    "told_later": "Told just before a later event: a consent that covers the agency, a bar on embassies, or what a refusal had kept from it.",
    "not_admitted": "The directory admitted it later.",
    "unreadable": "This release does not know the type or version, so the Rules cannot be asked; who was told is on record.",
    "otherwise": "The record holds: by today's directory and Rules the answer would be another.",
}
_SERVICE: Final = "A service of the bus, which reads every envelope and no letter."
_STATISTICS: Final = "The agency that makes the figures, which reads every envelope and the coded part of every letter."

ClockState = Literal["runs", "paused", "overdue", "breached", "met", "met_late", "lifted"]
"""``breached``: published as breached and still owed. ``met_late``: met after it was due. ``lifted``: ended without being met."""
Owed = tuple[str, str]
"""Code of a clock, and the agency that owes it."""


@dataclass(frozen=True, slots=True)
class Point:
    """Place of a registration in the history."""

    partition: int
    number: int
    id: str
    type: str
    source: str
    time: datetime

    @classmethod
    def of(cls, entry: Entry) -> "Point":
        """Return the place of *entry*; the type of a refusal is empty."""
        said = entry.registration
        return cls(said.partition, said.number, said.id, entry.said.type if entry.said else "", said.source, said.time)


@dataclass(frozen=True, slots=True)
class Whom:
    """One agency of the directory: whether it was told, from the record, and why or why not, from the Rules.

    ``consent`` is the person's statement behind the reason. ``later`` is the event with which the agency was told.
    """

    agency: str
    role: str
    told: bool
    code: WhyCode
    sentence: str
    rule: str | None = None
    basis: str | None = None
    unverified: bool = False
    consent: Point | None = None
    parts: tuple[Part, ...] = ()
    later: Point | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """Receipt of a recipient's desk for the letter; ``missing`` until the desk reports."""

    agency: str
    state: Literal["opened", "kept_shut", "unreadable", "missing"]
    reason: str | None = None
    at: Point | None = None


@dataclass(frozen=True, slots=True)
class Ran:
    """A clock that the event started; ``seconds`` run from its start to its end, or to now."""

    code: str
    answerable: str
    basis: str
    unverified: bool
    start: datetime
    due: datetime | None
    state: ClockState
    seconds: int
    breach: Point | None
    end: Point | None


@dataclass(frozen=True, slots=True)
class Refused:
    """Refusal with its rule; ``sentence`` says what to do.

    ``because`` is the rule that applied, if the sender was told a more general one.
    """

    code: str
    rule: str
    article: str
    sentence: str
    because: str | None = None


@dataclass(frozen=True, slots=True)
class Explained:
    """Answers of the history about one event, as of ``now``.

    ``also``: other registrations under the same id. ``answers``: events of recipients, linked by cause or reference.
    ``ended``: clocks that the event ended, with their agencies; ``lifted``: clocks that it removed without their being met.
    ``policy_known``: whether these Rules are those of the registration.
    ``followed_by``: the same event sealed for a changed audience, if this one had to be sealed again. Then ``refusal``
    has code and rule from the registration, though no rule was broken.
    """

    entry: Entry
    now: datetime
    policy_known: bool
    refusal: Refused | None
    whom: tuple[Whom, ...]
    receipts: tuple[Receipt, ...]
    answers: tuple[Point, ...]
    clocks: tuple[Ran, ...]
    ended: tuple[Owed, ...]
    lifted: tuple[Owed, ...]
    also: tuple[Point, ...]
    followed_by: Point | None = None

    @property
    def sealed_again(self) -> bool:
        """True if the event only had to be sealed again for a changed audience, which is no refusal."""
        return is_sealed_again(self.entry)


def mapping(explained: Explained) -> dict[str, Any]:
    """Return the explanation as one JSON object; fields that do not apply are left out."""
    body = {
        "event": {"case": explained.entry.registration.subject, **row_of(explained.entry)},
        "as_of": explained.now,
        "policy_known": explained.policy_known,
        "refusal": asdict(explained.refusal) if explained.refusal else None,
        "sealed_again": True if explained.sealed_again else None,
        "followed_by": asdict(explained.followed_by) if explained.followed_by else None,
        "told": [asdict(each) for each in explained.whom if each.told],
        "not_told": [asdict(each) for each in explained.whom if not each.told],
        "receipts": [asdict(each) for each in explained.receipts],
        "answers": [asdict(each) for each in explained.answers],
        "clocks": [asdict(each) for each in explained.clocks],
        "ended": [{"code": code, "answerable": agency} for code, agency in explained.ended],
        "lifted": [{"code": code, "answerable": agency} for code, agency in explained.lifted],
        "also": [asdict(each) for each in explained.also],
    }
    found: dict[str, Any] = plain(body)
    return found


def explain(seen: Audited, entry: Entry, now: datetime) -> Explained:
    """Explain *entry* from the registrations of its case up to *now*."""
    said, rules = entry.registration, seen.rules
    case = seen.history.about(said.subject, now)
    at = next((index for index, each in enumerate(case) if each.registration == said), len(case))
    before = seen.view(said.subject, case[:at])
    later = case[at + 1 :]
    whom = tuple(_whom(seen, entry, case, before))
    clocks, ended, lifted = _clocks(rules, entry, before, later, now)
    return Explained(
        entry=entry,
        now=now,
        policy_known=rules.is_installed(said.policy.name, said.policy.digest),
        refusal=_refused(entry, rules),
        whom=whom,
        receipts=tuple(_receipts(entry, whom, later)),
        answers=tuple(_answers(entry, later)),
        clocks=clocks,
        ended=ended,
        lifted=lifted,
        also=tuple(Point.of(each) for each in case if each.registration != said and each.registration.id == said.id),
        followed_by=Point.of(again) if (again := successor(entry, case)) else None,
    )


def _refused(entry: Entry, rules: Rules) -> Refused | None:
    said = entry.registration
    if said.code is None or said.rule is None or said.article is None:
        return None
    return Refused(said.code, said.rule, said.article, refusal_of(entry, rules) or "", entry.audience.because)


def _whom(seen: Audited, entry: Entry, case: Sequence[Entry], before: View) -> Iterator[Whom]:
    points = {each.registration.id: Point.of(each) for each in case if each.said}
    for agency, admitted in sorted(seen.directory.entries.items()):
        later = next((each for each in case if _brings(each, agency, entry)), None)
        said = entry.registration
        reason = seen.rules.why(before, entry.event, agency, said.policy.name, said.time) if entry.event else None
        code, sentence = _code(seen.directory, entry, agency, reason, later=later is not None)
        kept = reason if reason and reason.code == code else Reason(agency, "told")
        yield Whom(
            agency=agency,
            role=admitted.role,
            told=later is not None or _received(entry, agency),
            code=code,
            sentence=sentence,
            rule=kept.rule,
            basis=kept.basis,
            unverified=kept.unverified,
            consent=points.get(kept.consent or ""),
            parts=kept.parts if entry.event and entry.event.sealeddigest else (),
            later=Point.of(later) if later else None,
        )


def _received(entry: Entry, agency: str) -> bool:
    return entry.registration.verdict == "registered" and agency in entry.audience.recipients


def _brings(later: Entry, agency: str, entry: Entry) -> bool:
    """Return whether *agency* was told of *entry* together with *later*."""
    return later.said is not None and entry.registration.id in later.audience.earlier.get(agency, ())


def _code(
    directory: Directory, entry: Entry, agency: str, reason: Reason | None, *, later: bool
) -> tuple[WhyCode, str]:
    told = _received(entry, agency)
    if agency == entry.registration.source:
        return "source", "Published the event itself."
    if entry.registration.verdict == "refused":
        code: Literal["refused", "sealed_again"] = "sealed_again" if is_sealed_again(entry) else "refused"
        return code, _SAYS[code]
    if not told and later:
        return "told_later", _SAYS["told_later"]
    reads_along = agency == STATISTICS and (reason is None or not reason.told)
    if reads_along or (not told and agency in SERVICES):
        return "service", _STATISTICS if agency == STATISTICS else _SERVICE
    if not told and directory.state(agency, entry.registration.time) is None:
        return "not_admitted", _SAYS["not_admitted"]
    if reason is None:
        return "unreadable", _SAYS["unreadable"]
    if reason.told != told:
        return "otherwise", _SAYS["otherwise"]
    return reason.code, reason.sentence


def _facts(entries: Iterable[Entry]) -> Iterator[tuple[Entry, Fact]]:
    return ((entry, fact) for entry in entries if (fact := entry.fact) is not None)


_RECEIPTS: Final[Mapping[str, Literal["opened", "kept_shut", "unreadable"]]] = {
    "letter.opened": "opened", "letter.kept_shut": "kept_shut", "letter.unreadable": "unreadable",
}  # fmt: skip


def _receipts(entry: Entry, whom: Iterable[Whom], later: Iterable[Entry]) -> Iterator[Receipt]:
    """Yield the last receipt of each recipient with a sealed part; a chunk that opens owes none."""
    owed = () if entry.event and entry.event.type == DocumentChunkSent.type else whom
    found = {each.agency: Receipt(each.agency, "missing") for each in owed if each.told and each.parts}
    for each, fact in _facts(later):
        event = fact.event
        state = _RECEIPTS.get(event.type)
        if state is not None and event.causationid == entry.registration.id:
            reason = event.data.to_mapping().get("reason") if state == "unreadable" else None
            found[event.source] = Receipt(event.source, state, reason, Point.of(each))
    yield from (found[agency] for agency in sorted(found))


def _answers(entry: Entry, later: Iterable[Entry]) -> Iterator[Point]:
    event = entry.event
    if event is None:
        return
    ref = event.referral or event.id
    for each, fact in _facts(later):
        other = fact.event
        if other.data.technical or other.source == event.source:
            continue
        if other.causationid == event.id or (other.referral == ref and other.source in entry.audience.recipients):
            yield Point.of(each)


# -- clocks ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Watched:
    clock: Clock
    profile: Profile
    """The profile under which the clock ran last: the one to which the case then moved may lack the duty."""
    breach: Point | None = None
    end: Point | None = None
    lifted: bool = False
    ended: datetime | None = None


def _running(rules: Rules, view: View, now: datetime | None = None) -> dict[tuple[str, str, str], Clock]:
    return {(clock.code, clock.cause, clock.answerable): clock for clock in rules.clocks(view, now)}


def _clocks(
    rules: Rules, entry: Entry, before: View, later: Iterable[Entry], now: datetime
) -> tuple[tuple[Ran, ...], tuple[Owed, ...], tuple[Owed, ...]]:
    """Return the clocks that the event started (up to their end or *now*), the ended clocks, and the lifted clocks."""
    fact = entry.fact
    if fact is None:
        return (), (), ()
    view = rules.evolve(before, fact)
    ran_before, runs = _running(rules, before, fact.registered), _running(rules, view)
    profile = rules.profile_for(view)
    watched = {key: _Watched(clock, profile) for key, clock in runs.items() if clock.cause == fact.event.id}
    over = [(clock.code, clock.answerable) for key, clock in ran_before.items() if key not in runs]
    ended = tuple(each for each in over if _is_an_end(rules.profile_for(before), each[0], fact.event.type))
    lifted = tuple(each for each in over if each not in ended)
    for each, next_fact in _facts(later) if watched else ():
        _pass(rules, view, watched, next_fact.registered)
        view = rules.evolve(view, next_fact)
        runs = _running(rules, view)
        for key, one in watched.items():
            _follow(rules.profile_for(view), one, runs.get(key), each)
        _late_breach(watched.values(), each, next_fact.event)
    _pass(rules, view, watched, now)
    return tuple(_ran(one, now) for one in watched.values()), ended, lifted


def _pass(rules: Rules, view: View, watched: Mapping[tuple[str, str, str], _Watched], until: datetime) -> None:
    """Note which clocks days alone lift in *view* up to *until*: no event is their end."""
    for at, later in rules.changing(view) if watched else ():
        if at > until:
            return
        runs = _running(rules, later)
        for key, one in watched.items():
            if key not in runs and one.ended is None:
                one.ended, one.lifted = at, True


def _is_an_end(profile: Profile, code: str, type: str) -> bool:
    return any(matches(type, name) for end in profile.clocks[code].ends_by for name in end.events)


def _late_breach(watched: Collection[_Watched], entry: Entry, event: Event) -> None:
    """Note a breach that was registered after days alone had lifted its clock: the view at the registration shows no such clock.

    Two receivers of one request have the same clock: their breaches are published in the request's order.
    """
    if not isinstance(event.data, DeadlineBreached) or any(one.breach == Point.of(entry) for one in watched):
        return
    about = (event.data.rule, event.causationid, event.data.due)
    alike = (one for one in watched if (one.clock.code, one.clock.cause, one.clock.due) == about)
    found = next((one for one in alike if one.lifted and one.breach is None), None)
    if found is not None:
        found.breach = Point.of(entry)


def _follow(profile: Profile, one: _Watched, runs: Clock | None, entry: Entry) -> None:
    if runs is not None:
        if runs.breached and not one.clock.breached:
            one.breach = Point.of(entry)
        one.clock, one.profile = runs, profile
        one.end, one.ended = None, None  # a letter that cannot be read begins the duty again
    elif one.ended is None:
        one.end, one.ended = Point.of(entry), entry.registration.time
        one.lifted = not _is_an_end(one.profile, one.clock.code, one.end.type)


def _ran(one: _Watched, now: datetime) -> Ran:
    clock, rule = one.clock, one.profile.clocks[one.clock.code]
    last = one.ended or now
    return Ran(
        code=clock.code,
        answerable=clock.answerable,
        basis=rule.basis,
        unverified=rule.unverified,
        start=clock.start,
        due=clock.due,
        state=_state(one, now),
        seconds=max(0, (last - clock.start) // timedelta(seconds=1)),
        breach=one.breach,
        end=one.end,
    )


def _state(one: _Watched, now: datetime) -> ClockState:
    due = one.clock.due
    if one.ended is not None:
        if one.lifted:
            return "lifted"
        return "met_late" if one.breach or (due and one.ended > due) else "met"
    if one.breach:
        return "breached"
    if due is None:
        return "paused"
    return "overdue" if due < now else "runs"
