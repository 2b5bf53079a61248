"""One thing of a profile as the pages show it: the profile's own rows, with the words and laws behind them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from nrmbus.events.legal_basis import is_legal_basis
from nrmbus.events.registry import versions
from nrmbus.rules.audience import openers_of
from nrmbus.rules.handbook import words
from nrmbus.rules.handbook.citations import OF_THE_ROW, Citation, citations
from nrmbus.rules.handbook.default import PROFILE
from nrmbus.rules.handbook.diagram import BEGINNING, moving
from nrmbus.rules.handbook.picture import Picture, picture
from nrmbus.rules.judge.judge import CHECKS
from nrmbus.rules.length import Length
from nrmbus.rules.placed import PERIODS, is_placed, period_of
from nrmbus.rules.profile import Profile, Transition
from nrmbus.rules.profile_files import load_profile
from nrmbus.rules.records import Status
from nrmbus.rules.why import WORDS

PHRASES: Final[tuple[Mapping[Any, str], ...]] = (
    words.CONDITIONS, words.ANSWERABLE, words.TOLD, words.MOVED_BY, words.OUTLIVES, words.AT, WORDS,
    {"": words.UNIT_CONSENT},
)  # fmt: skip
"""Every phrase that a page shows in its reader's language."""


PAGE_WORDS: Final[Mapping[str, Any]] = {
    "CONDITIONS": words.CONDITIONS, "ANSWERABLE": words.ANSWERABLE, "TOLD": words.TOLD, "MOVED_BY": words.MOVED_BY,
    "OUTLIVES": words.OUTLIVES, "AT": words.AT, "UNIT_CONSENT": words.UNIT_CONSENT, "TERMS": WORDS,
}  # fmt: skip
"""What the templates read the words of a row from."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a page says about *name*; ``row`` is the profile's, and the lists are what other tables say about it."""

    kind: Literal["rule", "clock", "type", "status"]
    name: str
    row: Any
    sources: tuple[Citation, ...] = ()
    types: tuple[str, ...] = ()
    every_type: bool = False
    opened: tuple[tuple[str, tuple[str, ...]], ...] = ()
    roles: tuple[str, ...] = ()
    rows: tuple[Transition, ...] = ()
    into: tuple[Transition, ...] = ()
    starts: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    lengths: tuple[tuple[str, int, str], ...] = field(default=())


def looked_up(profile: Profile, name: str) -> Found | None:
    """Return what *profile* has under *name*: a rule, a clock, a type or a status; None if nothing."""
    if name in profile.refusals:
        return _rule(profile, name)
    if name in profile.clocks:
        rule = profile.clocks[name]
        bound = tuple(sorted(profile.expand(rule.binds or ())))
        return Found(
            "clock",
            name,
            rule,
            tuple(citations(rule.basis, profile.laws)),
            lengths=tuple(lengths(rule.length)),
            roles=bound,
        )
    if name in profile.types:
        return _type(profile, name)
    if name in get_args(Status):
        rows = tuple(row for row in profile.statuses.transitions if name in row.from_)
        into = tuple(row for row in moving(profile) if row.to == name)
        return Found("status", name, profile.statuses.only.get(name, ()), rows=rows, into=into)  # type: ignore[call-overload]
    return None


def lengths(length: Length, urgency: str = "") -> list[tuple[str, int, str]]:
    """Return a length as urgency, number and unit: hours, working_days, event_days or days; by urgency, one for each."""
    if length.by_urgency is not None:
        return [found for name, each in length.by_urgency.items() for found in lengths(each, name)]
    units = ("hours", "working_days", "event_days", "days")
    return [(urgency, value, unit) for unit in units if (value := getattr(length, unit)) is not None]


def _rule(profile: Profile, name: str) -> Found:
    cited, check = profile.refusals[name], CHECKS.get(name)
    every = check is not None and check.types is None
    types = tuple(each for each in profile.types if check and each in (check.types or ()))
    sources = () if cited.basis == OF_THE_ROW else tuple(citations(cited.basis, profile.laws))
    return Found("rule", name, cited, sources, types, every)


def _type(profile: Profile, name: str) -> Found:
    row = profile.types[name]
    data = list(versions(name).values())[-1] if versions(name) else None
    parts = data.letter.part_names() if data and data.letter else ()
    return Found(
        "type",
        name,
        row,
        tuple(citations(row.basis, profile.laws)),
        opened=tuple((part, openers_of(row, part)) for part in parts),
        roles=tuple(sorted(profile.expand(row.by))),
        rows=tuple(each for each in profile.statuses.transitions if name in each.events),
        starts=tuple(code for code, rule in profile.clocks.items() if any(name in each.events for each in rule.starts)),
        ends=tuple(code for code, rule in profile.clocks.items() if any(name in each.events for each in rule.ends_by)),
        rules=tuple(rule for rule in profile.refusals if rule in CHECKS and name in (CHECKS[rule].types or ())),
    )


@dataclass(frozen=True, slots=True)
class Book:
    """Everything that the first page of a profile shows: its tables, the picture, and the ways from each status."""

    profile: Profile
    picture: Picture
    ways: tuple[tuple[str, tuple[Transition, ...]], ...]
    clocks: tuple[tuple[str, Any, tuple[tuple[str, int, str], ...]], ...]


def book(profile: Profile) -> Book:
    """Return the first page of *profile*."""
    rows = tuple(moving(profile))
    ways = ((name, tuple(row for row in rows if name in row.from_)) for name in (BEGINNING, *get_args(Status)))
    return Book(
        profile,
        picture(profile),
        tuple(each for each in ways if each[1]),
        tuple((code, rule, tuple(lengths(rule.length))) for code, rule in profile.clocks.items()),
    )


def has_words(name: str | None, sentence: str | None) -> bool:
    """Return whether *sentence*, of the rule or code *name*, is one that the pages have words for.

    A profile with another sentence is shown as it says, in its own language: old words would say something else.
    """
    refusals = load_profile(PROFILE).refusals
    known = [cited.says for rule, cited in refusals.items() if name in (rule, cited.code)]
    return not known or not sentence or any(is_placed(sentence, each) for each in known)


def facts_of(profile: Profile) -> dict[str, Any]:
    """Return the facts of *profile* that stand in sentences of the pages: arguments of ``nrmbus.web.words.Words``."""
    clocks = {code: tuple(lengths(rule.length)) for code, rule in profile.clocks.items()}
    periods = {place: period_of(profile, place) for place in PERIODS}
    newest = max(profile.allowance.tariffs, key=lambda each: each.valid_from, default=None)
    return {
        "zone": profile.zone,
        "deciders": profile.deciders,
        "clocks": clocks
        | {place: tuple(("", each, unit) for each in numbers) for place, (numbers, unit) in periods.items()},
        "allowance": (newest.value, newest.currency) if newest else None,
        "rules": tuple(profile.refusals),
        "laws": laws_of(profile),
    }


def laws_of(profile: Profile) -> tuple[str, ...]:
    """Return the acts and articles that *profile* cites for its types of event, each once, if an event can name it."""
    parts = (each for row in profile.types.values() for each in citations(row.basis) if each.anchor is None)
    return tuple(dict.fromkeys(each.text for each in parts if is_legal_basis(each.text)))
