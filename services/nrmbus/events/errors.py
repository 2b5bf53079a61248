"""What can be wrong with something that claims to be an event, said without repeating any of it.

A message is built from names that the published schemas hold, never from what came in: not its values, and not its
names either, since an unknown member's name may be a person's.
"""

from collections.abc import Iterable
from typing import NamedTuple, Self

from pydantic import ValidationError


class EventError(ValueError):
    """Something is not an event of the published language."""


class UnknownType(EventError):
    """Raised when no type of that name is published."""

    def __init__(self) -> None:
        """Say it."""
        super().__init__("this type of event is not published; `schemas/README.md` lists those that are")


class UnknownVersion(EventError):
    """Raised when the type is published, but not in that version; *known* has those that are."""

    def __init__(self, known: Iterable[int]) -> None:
        """Say it, with the versions that are *known*."""
        self.known = tuple(sorted(known))
        super().__init__(f"this version is not published; those that are: {', '.join(map(str, self.known))}")


class _Place(NamedTuple):
    pointer: str
    kind: str


class Problem(_Place):
    """One thing that does not fit: *pointer* (RFC 6901) as far as its names are published ones, and *kind*, a code.

    ``allowed`` has the names or values that may stand there, ``nearest`` those that were probably meant; both are public
    and never hold what came in. They are advice: a problem unpacks and compares as its place and kind.
    """

    allowed: tuple[str, ...]
    nearest: tuple[str, ...]

    def __new__(cls, pointer: str, kind: str, allowed: Iterable[str] = (), nearest: Iterable[str] = ()) -> Self:
        """Say what is wrong where, with the public names of what would fit."""
        made = super().__new__(cls, pointer, kind)
        made.allowed, made.nearest = tuple(allowed), tuple(nearest)
        return made


class Invalid(EventError):
    """Raised when fields do not fit the model; *problems* say where and how, without what was there."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Say the *problems*."""
        self.problems = tuple(problems)
        super().__init__(
            "does not fit the schema: " + "; ".join(f"{pointer or '/'} {kind}" for pointer, kind in self.problems)
        )

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of problem there are; ``unknown_field`` among them if a member was not in the schema."""
        return frozenset(kind for _, kind in self.problems)


def problems_of(error: ValidationError, known: frozenset[str]) -> tuple[Problem, ...]:
    """Retell pydantic's *error* with pointers of *known* names and pydantic's own codes only."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return tuple(_retold(item["loc"], item["type"], known) for item in found)


def _retold(loc: tuple[int | str, ...], kind: str, known: frozenset[str]) -> Problem:
    if kind == "extra_forbidden":  # its last step is the unknown name itself
        return Problem(_pointer(loc[:-1], known), "unknown_field")
    return Problem(_pointer(loc, known), kind)


def _pointer(loc: tuple[int | str, ...], known: frozenset[str]) -> str:
    return "".join(f"/{step}" for step in loc if isinstance(step, int) or step in known)
