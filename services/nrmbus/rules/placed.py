"""Facts of a profile in a sentence: which body decides, how long a duty may take, and by which law.

A sentence names the deciding body as ``the deciding body ({decider})``, a length as ``{D-REFER}``, a period as
``{recovery}``, ``{stay}`` or ``{follow_up}``, and the law behind a row as ``{basis:D-REFER}``. So it stays true under every
profile. The pages do the same in their reader's language (``nrmbus.web.words``).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol


class Facts(Protocol):
    """The parts of a profile that a sentence needs; the profile itself uses this module."""

    @property
    def deciders(self) -> tuple[str, ...]:
        """Roles that decide."""

    @property
    def clocks(self) -> Mapping[str, Any]:
        """Rows of the clocks, by code."""

    @property
    def periods(self) -> Any:
        """Periods and reminders."""

    @property
    def types(self) -> Mapping[str, Any]:
        """Rows of the types of event."""

    @property
    def refusals(self) -> Mapping[str, Any]:
        """Rules by which an event may be refused."""


PLACE: Final = re.compile(r"\{(decider|recovery|stay|follow_up|D-[A-Z0-9]+|basis:[A-Za-z0-9_.-]+)\}")
"""Place of a fact in a sentence."""
PERIODS: Final = ("recovery", "stay", "follow_up")
"""Places of a period."""
NO_DEADLINE: Final = "no deadline"
NO_PERIOD: Final = "no such period"
NO_ROW: Final = "no rule of this profile"
_FIRST_DECIDER: Final = re.compile(r"\b([Tt])he special unit\b")
_OWN_TEXT: Final = "RULES.md#"
_UNREAD_TWICE: Final = re.compile(r"\[u\](?: \[u\])+")
"""Mark of a line and of its law; where the profile cites no law, the mark is all that is left of it."""
_MARKS: Final = re.compile(r"\[[^\]]+\]")


def placed(text: str, profile: Facts) -> str:
    """Return *text* with the facts of *profile* in its places, in English."""
    if "{" not in text:
        return text

    def fact(found: re.Match[str]) -> str:
        if found[1] == "decider":
            return " or ".join(role.replace("_", " ") for role in profile.deciders)
        if found[1] in PERIODS:
            return _period(profile, found[1])
        if found[1].startswith("basis:"):
            return _laws(profile, found[1].removeprefix("basis:"))
        rule = profile.clocks.get(found[1])
        return "; ".join(length_in_words(rule.length)) if rule else NO_DEADLINE

    return _UNREAD_TWICE.sub("[u]", PLACE.sub(fact, text))


def period_of(profile: Facts, place: str) -> tuple[tuple[int, ...], str]:
    """Return the numbers and the unit of the period in *place*; no numbers if *profile* has no such period."""
    if place == "follow_up":
        return tuple(profile.periods.follow_up_months), "months"
    days = profile.periods.recovery_days if place == "recovery" else profile.periods.stay_days
    return () if days is None else (days,), "days"


def _period(profile: Facts, place: str) -> str:
    numbers, unit = period_of(profile, place)
    if not numbers:
        return NO_PERIOD
    *first, last = numbers
    listed = f"{', '.join(map(str, first))} and {last}" if first else str(last)
    return f"{listed} {unit if numbers != (1,) else unit[:-1]}"


def of_type(text: str, profile: Facts) -> str:
    """Return the sentence of a type of event under *profile*: its frozen text names the deciding body of the first one."""
    return placed(_FIRST_DECIDER.sub(r"\1he deciding body ({decider})", text), profile)


def _laws(profile: Facts, name: str) -> str:
    """Return the laws behind the row *name* of *profile*, or the marks of its basis if no law is cited there."""
    row = next((rows[name] for rows in (profile.clocks, profile.types, profile.refusals) if name in rows), None)
    if row is None:
        return NO_ROW
    parts = str(row.basis).split("; ")
    laws = [part for part in parts if not part.startswith(_OWN_TEXT)]
    return "; ".join(laws) or " ".join(dict.fromkeys(_MARKS.findall(row.basis)))


def unknown_places(text: str, profile: Facts) -> Iterator[str]:
    """Yield what stands in braces in *text* and is no fact of *profile*."""
    for found in re.findall(r"\{[^{}]*\}?", text):
        known = PLACE.fullmatch(found)
        if known is None or not _is_known(known[1], profile):
            yield found


def _is_known(place: str, profile: Facts) -> bool:
    rows = (profile.clocks, profile.types, profile.refusals)
    return (
        place in ("decider", *PERIODS)
        or place in profile.clocks
        or any(place == f"basis:{name}" for each in rows for name in each)
    )


def is_placed(sentence: str, text: str) -> bool:
    """Return whether *sentence* is *text* with the facts of some profile in its places."""
    pieces = [re.escape(piece) for piece in PLACE.split(text)[::2]]
    return re.fullmatch(".+".join(pieces), sentence) is not None


def length_in_words(length: Any) -> Iterator[str]:
    """Yield how long a duty may take; by urgency, one text for each."""
    if length.by_urgency is not None:
        for urgency, each in length.by_urgency.items():
            yield from (f"{urgency}: {text}" for text in length_in_words(each))
    elif length.hours is not None:
        yield _many(length.hours, "hour")
    elif length.working_days is not None:
        yield _many(length.working_days, "working day")
    elif length.event_days is not None:
        yield f"the event's days, else {_many(length.event_days, 'calendar day')}"
    elif length.days is not None:
        yield _many(length.days, "calendar day")


def _many(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}"
