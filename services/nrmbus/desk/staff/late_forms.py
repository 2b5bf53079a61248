"""Forms that came when their session was over: kept in memory for their sender, who sends them again after the sign-in."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

GOOD_FOR: Final = timedelta(hours=1)
_MOST: Final = 100
_MOST_OF_ONE: Final = 5
"""Late forms of one member: whoever sits at an expired browser fills nobody else's room."""


@dataclass(frozen=True, slots=True)
class LateForm:
    """Form of one member, and the path that it was sent to; *id* tells nothing of either."""

    id: str
    member: str
    path: str
    pairs: tuple[tuple[str, str], ...] = field(repr=False)
    came: datetime

    @property
    def until(self) -> datetime:
        """Return the time at which it is forgotten."""
        return self.came + GOOD_FOR


class LateForms:
    """Late forms at one desk, a few of each member; a restart forgets them, and nothing is on a disk."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._forms: list[LateForm] = []

    def put(self, member: str, path: str, pairs: Sequence[tuple[str, str]]) -> None:
        """Keep the form of *member*; the same form that came twice is there once."""
        there = self.of(member)
        if any((each.path, each.pairs) == (path, tuple(pairs)) for each in there):
            return
        pushed_out = there[: max(0, len(there) + 1 - _MOST_OF_ONE)]
        left = [each for each in self._forms if each.until > self._now() and each not in pushed_out]
        form = LateForm(secrets.token_hex(8), member, path, tuple(pairs), self._now())
        self._forms = [*left[1 - _MOST :], form]

    def of(self, member: str) -> tuple[LateForm, ...]:
        """Return the forms of *member* that wait, the oldest first."""
        return tuple(each for each in self._forms if each.member == member and each.until > self._now())

    def forget(self, member: str, id: str) -> None:
        """Forget the form *id* of *member*."""
        self._forms = [each for each in self._forms if (each.member, each.id) != (member, id)]
