"""Counts of handled messages in this process, by outcome and code; both come from closed lists."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

OTHER: Final = "other"
"""Label of an outcome or a code that is in no list."""
NO_CODE: Final = "none"

OUTCOMES: Final = frozenset(
    {
        "alarm", "answered", "asked", "checked", "connections_anew", "cosigned", "deleted", "epoch_ended", "erased",
        "forged", "handled", "interim_key_made", "known", "mail_failed", "not_available", "not_sent", "parked", "quarantined", "refused",
        "registered", "renewed", "repeated", "retried", "sent", "set_aside", "stopped",
        "waiting", "webhook_disabled", "webhook_failed", "webhook_paused",
    }
)  # fmt: skip
"""Every outcome that a service says of a message."""

AGE_BOUNDS: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 21_600.0, 86_400.0)
"""Upper bounds of the classes of ages, in seconds."""


class _Counts:
    """The counts of this process."""

    def __init__(self) -> None:
        self.codes: frozenset[str] = frozenset()
        self.handled = Counter[tuple[str, str]]()
        self.ages = Counter[float]()
        """Number of events by class of age."""
        self.age_sum = 0.0


_HERE: Final = _Counts()


def know(codes: Iterable[str]) -> None:
    """Have *codes* counted under their own names from now on; any other code counts as `OTHER`."""
    _HERE.codes = frozenset(codes)


def codes() -> frozenset[str]:
    """Return every value that the label ``code`` can have."""
    return _HERE.codes | {OTHER, NO_CODE}


def count(outcome: str, code: object) -> None:
    """Count one message. A value from outside the lists counts as `OTHER`, so that nothing from a message is kept."""
    known = NO_CODE if not code else code if isinstance(code, str) and code in _HERE.codes else OTHER
    _HERE.handled[outcome if outcome in OUTCOMES else OTHER, known] += 1


def arrived(seconds: float) -> None:
    """Count one event that was handled *seconds* after its publication; a negative age is a difference of clocks, and counts as 0."""
    age = max(0.0, seconds)
    _HERE.ages[next((bound for bound in AGE_BOUNDS if age <= bound), float("inf"))] += 1
    _HERE.age_sum += age


def handled() -> Mapping[tuple[str, str], int]:
    """Return the counts by outcome and code."""
    return dict(_HERE.handled)


def ages() -> tuple[Mapping[float, int], float]:
    """Return the counts by class of age, and the sum of all ages in seconds."""
    return dict(_HERE.ages), _HERE.age_sum


def forget() -> None:
    """Begin to count at nothing, as a new process does."""
    _HERE.handled.clear()
    _HERE.ages.clear()
    _HERE.age_sum = 0.0
