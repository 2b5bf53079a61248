"""Question that every rule of section 4 is asked, and the record that describes a rule."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from nrmbus.events.model import Part
from nrmbus.events.registry import TYPES
from nrmbus.rules.calendar import LAST
from nrmbus.rules.event_context import Step

WITH_TO = frozenset(name for (name, _), data in TYPES.items() if "to" in data.model_fields)
"""The types in which the sender chooses recipients."""


@dataclass(frozen=True, slots=True)
class Question(Step):
    """May this event be registered now? ``letter_parts`` are the filled fields by part, where the letter is still open.

    ``spent``: how often the sender broke the glass in this month, over all cases.
    """

    now: datetime = LAST
    letter_parts: Mapping[Part, frozenset[str]] | None = None
    spent: int = 0

    @property
    def today(self) -> date:
        """The day of judging too: a paper dated back does not make a consent hold that has expired since."""
        return max(self.tables.calendar.day(self.event.recordedtime), self.tables.calendar.day(self.now))


@dataclass(frozen=True, slots=True)
class Check:
    """One rule: its id, its event types (None: all), and the predicate that refuses the event."""

    rule: str
    types: frozenset[str] | None
    applies: Callable[[Question], bool]


class Book:
    """Collects rules in the order in which they are written."""

    def __init__(self) -> None:
        self.checks: list[Check] = []

    def rule(self, rule: str, *types: str) -> Callable[[Callable[[Question], bool]], Callable[[Question], bool]]:
        """Write down the decorated function as *rule*, about *types* or, with none, about every type."""

        def written(applies: Callable[[Question], bool]) -> Callable[[Question], bool]:
            self.checks.append(Check(rule, frozenset(types) or None, applies))
            return applies

        return written
