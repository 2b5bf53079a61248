"""Forms that came when their session was over: kept in memory for their sender, who sends them again after the sign-in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

GOOD_FOR: Final = timedelta(hours=1)
_MOST: Final = 100


@dataclass(frozen=True, slots=True)
class LateForm:
    """Form of one member, and the path that it was sent to."""

    path: str
    pairs: tuple[tuple[str, str], ...] = field(repr=False)
    until: datetime


class LateForms:
    """Late forms at one desk, one of each member at most; a restart forgets them, and nothing is on a disk."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._forms: dict[str, LateForm] = {}

    def put(self, member: str, path: str, pairs: Sequence[tuple[str, str]]) -> None:
        """Keep the form of *member*."""
        there = {each: form for each, form in self._forms.items() if form.until > self._now() and each != member}
        self._forms = dict(list(there.items())[1 - _MOST :])
        self._forms[member] = LateForm(path, tuple(pairs), self._now() + GOOD_FOR)

    def of(self, member: str) -> LateForm | None:
        """Return the form of *member* that waits."""
        found = self._forms.get(member)
        return found if found is not None and found.until > self._now() else None

    def forget(self, member: str) -> None:
        """Forget the form of *member*."""
        self._forms.pop(member, None)
