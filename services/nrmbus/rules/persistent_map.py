"""A mapping that only grows and is never changed: putting something in copies one drawer, not the whole history."""

from collections.abc import Mapping
from dataclasses import field
from typing import Generic, TypeVar

from nrmbus.events.values import frozen

Value = TypeVar("Value")
DRAWER = 64
"""Size of a drawer: large enough to keep the search short, small enough that a copy costs less than a signature."""


@frozen
class PersistentMap(Generic[Value]):
    """Records by key. The same records put in the same order make equal maps."""

    full: tuple[Mapping[str, Value], ...] = ()
    last: Mapping[str, Value] = field(default_factory=dict)

    def get(self, key: str | None) -> Value | None:
        """Return the value that was last put at *key*, or None."""
        if key is None:
            return None
        found = self.last.get(key)
        if found is not None:
            return found
        return next((drawer[key] for drawer in reversed(self.full) if key in drawer), None)

    def put(self, key: str, value: Value) -> "PersistentMap[Value]":
        """Return a map with *value* at *key*; this one stays as it is."""
        if len(self.last) < DRAWER:
            return PersistentMap(self.full, {**self.last, key: value})
        return PersistentMap((*self.full, self.last), {key: value})
