"""Step of a check: what was looked at, whether it works, and what was found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """Result of one step: *well* is None where nothing can be said; *what* names what was found and, in a fault, what to do."""

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
