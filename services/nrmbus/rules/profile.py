"""A dated policy profile: every value of the Rules as data, closed, and named by its digest.

Its tables are those of the NRM Rules as ``RULES.md`` sets them out; ``profile_files`` reads it.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from functools import cached_property
from typing import Annotated, Literal, Self, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from nrmbus.events.access import Emergency
from nrmbus.events.model import Frozen, Part
from nrmbus.events.policy import PROFILE_NAME
from nrmbus.rules.length import Length
from nrmbus.rules.placed import placed
from nrmbus.rules.records import Status
from nrmbus.rules.vocabulary import Answerable, Condition, Parting, Record, Side, Term, Told
from nrmbus.zone import zone_of

Basis = Annotated[str, Field(min_length=3)]
DECIDERS = "DECIDERS"
"""The group of the roles that decide whether a person is a victim."""
SHELTERS = "SHELTERS"
"""The group of the roles that take people in."""


def _day(value: str) -> str:
    is_real = False
    with suppress(ValueError):
        is_real = bool(date.fromisoformat(value))
    if not is_real:
        raise ValueError("the calendar has no such day")
    return value


def _dated(name: str) -> str:
    _day(name.rpartition("@")[2])
    return name


Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$"), AfterValidator(_day)]


class UnknownProfileError(LookupError):
    """There is no profile of that name. The message names those there are."""


class ProfileError(ValueError):
    """A profile does not read. The message names the file's keys that are wrong, and no more."""


class Cited(Frozen):
    """Value with its source: ``basis`` as cited, ``unverified`` if the law's text was not readable."""

    basis: Basis
    unverified: bool = False


class Row(Cited):
    """One event type: its publishers, its recipients, and the agencies that open each part of its letter (section 3).

    ``refused_as`` is the rule that every refusal of the type shows to its sender.
    """

    by: tuple[str, ...]
    sees: tuple[Term, ...]
    opens: dict[Part | Literal["all", "rest"], tuple[Term, ...]] = Field(default_factory=dict)
    stops: bool = False
    opening: bool = False
    about: Record | None = None
    party: Side | None = None
    refused_as: str | None = None


class Transition(Frozen):
    """One row of section 2."""

    id: str
    events: tuple[str, ...]
    when: Condition | None = None
    from_: Annotated[tuple[Status | Literal["none"], ...], Field(alias="from")]
    to: Status | Literal["before"] | None = None
    moves_only: bool = False


class Statuses(Frozen):
    """Section 2, and what other rules ask of a status."""

    transitions: tuple[Transition, ...]
    only: dict[Status, tuple[str, ...]]
    always: tuple[str, ...]
    state_shelter_admits_in: tuple[Status, ...]
    hold_stands_in: tuple[Status, ...]
    closing_reasons_when_suspected: tuple[str, ...]
    discharge_reasons_at_any_time: tuple[str, ...]
    ending_without_transition: tuple[str, ...]
    stages: tuple[str, ...]
    victim: tuple[str, ...]
    return_needs: dict[str, tuple[str, ...]]


class RefusalRule(Cited):
    """One rule of section 4. A basis "of the row" is that of the refused type's row."""

    code: Annotated[str, Field(pattern=r"^[a-z_]+$")]
    says: Annotated[str, Field(min_length=10)]


class Start(Frozen):
    """Events that start a clock, and whether it starts at the event's time (T) or its registration (R)."""

    events: tuple[str, ...]
    when: Condition | None = None
    at: Literal["T", "R"]


class End(Frozen):
    """Events that end a clock, and their condition."""

    events: tuple[str, ...]
    when: Condition | None = None


class ClockRule(Cited):
    """One row of section 5. ``binds``: the roles whose lateness is a breach, and for whom else it is a reminder; None binds all."""

    starts: tuple[Start, ...]
    length: Length
    scope: Literal["case", "reference", "agency"]
    answerable: Answerable
    told: Told
    ends_by: tuple[End, ...]
    moved_by: Literal["info", "extension", "plan"] | None = None
    waits_for_review: bool = False
    unit_consent: bool = False
    outlives: tuple[Status | Parting, ...] = ()
    binds: tuple[str, ...] | None = None


class Periods(Frozen):
    """Periods and reminders that nobody breaches; None where the law of the day has no such period."""

    bed_offer_hours: Annotated[int, Field(ge=1)]
    activation_notice_hours: Annotated[int, Field(ge=1)]
    follow_up_months: tuple[Annotated[int, Field(ge=1)], ...]
    stay_days: Annotated[int | None, Field(ge=1)] = None
    recovery_days: Annotated[int | None, Field(ge=1)] = None
    silent_minutes: Annotated[int, Field(ge=1)] = 30


class AbroadRule(Cited):
    """Own nationals found abroad: whether the time to refer begins with the report from there, or with the arrival."""

    refer_from: Literal["report", "arrival"]


class EmergencyRule(Cited):
    """Breaking the glass: the time for objecting and for answering, which reasons do not wait, how often a month, which parts."""

    object_minutes: Annotated[int, Field(ge=1)]
    answer_hours: Annotated[int, Field(ge=1)]
    monthly: Annotated[int, Field(ge=1)]
    at_once: tuple[str, ...]
    parts: dict[str, Annotated[tuple[Part, ...], Field(min_length=1)]]


class Tariff(Cited):
    """An amount of money, and the first day of decisions that it holds for."""

    tariff: str
    valid_from: Day
    value: Annotated[str, Field(pattern=r"^\d+\.\d{2}$")]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class Allowance(Cited):
    """The one-time allowance, paid once on each recognition. Without a known tariff any amount may be ordered (G-62)."""

    kind: str
    tariffs: tuple[Tariff, ...]


class CalendarRule(Cited):
    """Working days. ``days_off`` and ``working_days`` override the country's holidays and the weekend.

    Without a ``country`` there are no holidays but the ``days_off``.
    """

    country: Annotated[str | None, Field(pattern=r"^[A-Z]{2}$")] = None
    weekend: tuple[Annotated[int, Field(ge=0, le=6)], ...]
    days_off: tuple[Day, ...]
    working_days: tuple[Day, ...]


class RetentionClass(Cited):
    """Retention period of some event types after a case is closed; ``years`` is None if no value is known."""

    types: Annotated[tuple[str, ...], Field(min_length=1)]
    years: Annotated[int | None, Field(ge=1, le=100)] = None


class Retention(Cited):
    """How long things are kept; None where no value is known. A type is of the first class that names it."""

    letter_days: Annotated[int, Field(ge=1)]
    objection_days: Annotated[int, Field(ge=1)]
    hold_days: Annotated[int, Field(ge=1)]
    classes: dict[str, RetentionClass]


class Profile(Frozen):
    """A whole profile. Equal contents have equal digests."""

    name: Annotated[str, Field(pattern=PROFILE_NAME), AfterValidator(_dated)]
    timezone: str
    laws: dict[str, Annotated[str, Field(min_length=3)]] = Field(default_factory=dict)
    """Laws that a basis cites beside those that RULES.md lists: the name as it is cited, and the title."""
    k: Annotated[int, Field(ge=2)]
    retention: Retention
    roles: dict[str, tuple[str, ...]]
    types: dict[str, Row]
    referral_parts: dict[str, tuple[Part, ...]]
    statuses: Statuses
    refusals: dict[str, RefusalRule]
    clocks: dict[str, ClockRule]
    periods: Periods
    abroad: AbroadRule
    emergency: EmergencyRule
    allowance: Allowance
    calendar: CalendarRule

    @model_validator(mode="after")
    def _whole(self) -> Self:
        problems = [
            *self._unknown_zone(), *self._circles(), *self._unknown_roles(), *self._unknown_types(), *self._unknown_words(),
        ]  # fmt: skip
        if problems:
            message = "; ".join(problems)
            raise ValueError(message)
        return self

    def _unknown_zone(self) -> Iterator[str]:
        try:
            zone_of(self.timezone)
        except ZoneInfoNotFoundError:
            yield "timezone: no such time zone"

    def _circles(self) -> Iterator[str]:
        """Yield each group that contains itself: nobody could write out its roles."""
        for name in self.roles:
            waiting, seen = list(self.roles[name]), set[str]()
            while waiting:
                group = waiting.pop()
                if group == name:
                    yield f"roles.{name}: the group contains itself"
                    break
                if group not in seen:
                    seen.add(group)
                    waiting += self.roles.get(group, ())

    def _unknown_roles(self) -> Iterator[str]:
        if not self.roles.get(DECIDERS):
            yield f"roles: {DECIDERS} has no role, so nobody could decide"
        named = {name: (name,) for name in self.referral_parts} | self.roles
        named |= {name: row.by for name, row in self.types.items()}
        named |= {code: rule.binds for code, rule in self.clocks.items() if rule.binds}
        for where, names in named.items():
            yield from (f"{where}: no such group" for name in names if name.isupper() and name not in self.roles)

    def _unknown_types(self) -> Iterator[str]:
        named = [(row.id, row.events) for row in self.statuses.transitions]
        for code, clock in self.clocks.items():
            named += [(code, start.events) for start in clock.starts]
            named += [(code, end.events) for end in clock.ends_by]
        for where, names in named:
            yield from (f"{where}: no such type" for name in names if name not in self.types)
        patterns: list[tuple[str, tuple[str, ...]]] = [("always", self.statuses.always), *self.statuses.only.items()]
        patterns += [(name, row.types) for name, row in self.retention.classes.items()]
        classed = [pattern for row in self.retention.classes.values() for pattern in row.types]
        yield from (
            f"{name}: no class of retention" for name in self.types if not any(matches(name, each) for each in classed)
        )
        for where, listed in patterns:
            unmatched = (each for each in listed if not any(matches(name, each) for name in self.types))
            yield from (f"{where}: a pattern that no type matches" for _ in unmatched)

    def _unknown_words(self) -> Iterator[str]:
        for name, row in self.types.items():
            if row.refused_as is not None and row.refused_as not in self.refusals:
                yield f"{name}: no such rule"
        for where, reasons in {"at_once": self.emergency.at_once, "parts": tuple(self.emergency.parts)}.items():
            yield from (f"{where}: no such emergency" for each in reasons if each not in get_args(Emergency))

    @cached_property
    def digest(self) -> str:
        """SHA-256, lower hex, of the profile's canonical JSON: sorted members, no spaces, UTF-8; the refusals in their order."""
        values = self.model_dump(mode="json", by_alias=True)
        if not self.laws:
            del values["laws"]
        values["refusals"] = list(values["refusals"].items())
        text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def zone(self) -> ZoneInfo:
        """Return the time zone in which days begin and end."""
        return zone_of(self.timezone)

    @cached_property
    def unverified(self) -> tuple[str, ...]:
        """Return the names of types, rules, clocks and values that rest on law whose text was not readable."""
        tables: tuple[dict[str, Cited], ...] = (
            dict(self.types),
            dict(self.refusals),
            dict(self.clocks),
            {tariff.tariff: tariff for tariff in self.allowance.tariffs},
            {
                "calendar": self.calendar,
                "retention": self.retention,
                "abroad": self.abroad,
                "allowance": self.allowance,
            },
            {f"retention of {name}": row for name, row in self.retention.classes.items()},
        )
        return tuple(name for table in tables for name, cited in table.items() if cited.unverified)

    def says(self, code: str | None, rule: str | None) -> str | None:
        """Return the sentence of a refusal with *code* by *rule*: what happened and what to do; None if it is not ours."""
        cited = self.refusals.get(rule or "")
        return placed(cited.says, self) if cited is not None and cited.code == code else None

    @cached_property
    def deciders(self) -> tuple[str, ...]:
        """Return the roles that decide whether a person is a victim, sorted."""
        return tuple(sorted(self.expand((DECIDERS,)))) if DECIDERS in self.roles else ()

    @cached_property
    def shelters(self) -> frozenset[str]:
        """Return the roles that take people in; none in a profile without shelters."""
        return self.expand((SHELTERS,)) if SHELTERS in self.roles else frozenset()

    def expand(self, names: tuple[str, ...]) -> frozenset[str]:
        """Return the roles that *names* stand for: a name in capitals is a group of ``roles``, any other a role."""
        found: set[str] = set()
        for name in names:
            found |= self.expand(self.roles[name]) if name.isupper() else {name}
        return frozenset(found)

    def retention_class(self, name: str) -> str:
        """Return the retention class of the type *name*."""
        return next(
            each for each, row in self.retention.classes.items() if any(matches(name, pattern) for pattern in row.types)
        )

    def tariff_on(self, day: date) -> Tariff | None:
        """Return the allowance's tariff for a decision of the local *day*, or None before the first tariff."""
        known = [tariff for tariff in self.allowance.tariffs if tariff.valid_from <= day.isoformat()]
        return max(known, key=lambda tariff: tariff.valid_from, default=None)


def matches(name: str, pattern: str) -> bool:
    """Return whether the type *name* equals *pattern*, or starts with a pattern that ends in ``*``."""
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
