"""Step of a check: subject, result and finding."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """Result of one step: *well* is None if unknown; *what* has the finding and, for a fault, the remedy."""

    step: str
    well: bool | None
    what: str


def ok(step: str, what: str) -> Step:
    """Return a step that works."""
    return Step(step, True, what)  # noqa: FBT003 - named by this function


def fault(step: str, what: str) -> Step:
    """Return a step that fails; *what* also says what to do."""
    return Step(step, False, what)  # noqa: FBT003 - named by this function


def unknown(step: str, what: str) -> Step:
    """Return a step of which nothing can be said."""
    return Step(step, None, what)
