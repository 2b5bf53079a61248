"""Question that every rule of section 4 is asked, and the record that describes a rule."""

from collections.abc import Callable, Mapping
from datetime import datetime

from nrmbus.events.model import Part
from nrmbus.events.registry import TYPES
from nrmbus.events.values import frozen
from nrmbus.rules.calendar import LAST
from nrmbus.rules.dated import Timeline
from nrmbus.rules.event_context import EventContext

WITH_TO = frozenset(name for (name, _), data in TYPES.items() if "to" in data.model_fields)
"""Types in which the sender chooses recipients."""


@frozen
class Question(EventContext):
    """May this event be registered now? ``letter_parts`` are the filled fields by part, while the letter is open.

    ``spent`` counts the sender's emergency requests in this month, over all cases; ``timeline`` has the activations so far.
    """

    now: datetime = LAST
    letter_parts: Mapping[Part, frozenset[str]] | None = None
    spent: int = 0
    timeline: Timeline | None = None


@frozen
class Check:
    """One rule: its id, its event types (None: all), and the predicate that refuses the event."""

    rule: str
    types: frozenset[str] | None
    applies: Callable[[Question], bool]


class RuleList:
    """Rules in the order in which their functions are defined."""

    def __init__(self) -> None:
        self.checks: list[Check] = []

    def rule(self, rule: str, *types: str) -> Callable[[Callable[[Question], bool]], Callable[[Question], bool]]:
        """Return a decorator that adds a function as *rule*, for *types* or, without any, for every type."""

        def written(applies: Callable[[Question], bool]) -> Callable[[Question], bool]:
            self.checks.append(Check(rule, frozenset(types) or None, applies))
            return applies

        return written
