"""Derived values of a profile, made once for all callers."""

from collections.abc import Callable
from typing import Final, TypeVar

from nrmbus.rules.profile import Profile

T = TypeVar("T")

KEPT: Final = 8
"""Profiles that are remembered: a bus has one, and years of amendments a few."""


def once_for(make: Callable[[Profile], T]) -> Callable[[Profile], T]:
    """Return *make*, which is called once for each of the last `KEPT` profiles: a profile never changes."""
    made: dict[int, tuple[Profile, T]] = {}
    """By the id of the profile, which stands beside the result and so keeps its id."""

    def remembered(profile: Profile) -> T:
        found = made.get(id(profile))
        if found is None:
            if len(made) >= KEPT:
                del made[next(iter(made))]
            found = made[id(profile)] = profile, make(profile)
        return found[1]

    return remembered
