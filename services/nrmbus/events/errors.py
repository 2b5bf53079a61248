"""Errors of input that claims to be an event; no message repeats any of the input.

A message is built from names of the published schemas alone. It holds no value of the input, and no name of an unknown
member either, because that name may be a person's.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, Self, get_args

from pydantic import BaseModel, ValidationError

from nrmbus.events.nearest import nearest


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


_EXPLAINED: Final = 16
"""Problems that say what is allowed: a request of half a mebibyte may have some ten thousand."""

_QUOTED: Final = re.compile("'([^']*)'")

_WORDS: Final[Mapping[str, str]] = {
    "unknown_field": "has a member whose name is not one of those allowed there",
    "literal_error": "has none of the values that are allowed there",
    "missing": "is missing",
    "null": "is null: leave it out",
    "no_letter": "stands there, and this type has no letter",
    "no_provider": "stands there, and agency.json names no `provider` in `staff`: leave it out",
    "twice": "stands there twice",
    "unknown_parameter": "begins parameters, and the name of one of them is not among those of this route",
    "datetime_parsing": "is no time by RFC 3339 with its zone, as 2026-03-02T05:00:00Z",
    "differs": "is not what the upload was answered with",
    "form": "says that a form comes: send the content itself as the body",
    "wrong_part": "stands in another part than the type of the document says",
    "unknown_recipient": "is no agency of the directory",
    "string_pattern_mismatch": "does not have the form that it must have",
    "too_short": "is too short",
    "too_long": "is too long",
    "string_too_short": "is too short",
    "string_too_long": "is too long",
    "greater_than_equal": "is too small",
    "less_than_equal": "is too large",
    "int_parsing": "is no whole number",
    "float_parsing": "is no number",
    "bool_parsing": "is neither true nor false",
    "keyed_by_incident": "stands there, and this type is about an incident",
    "keyed_by_agency": "stands there, and this type is about no case",
}
"""Words for a person, by kind of problem."""


class _Place(NamedTuple):
    pointer: str
    kind: str


class Problem(_Place):
    """One thing that does not fit: *pointer* (RFC 6901) as far as its names are published ones, and *kind*, a code.

    For a member with an unknown name, the pointer leads to the enclosing object: the name may be a person's and is never
    repeated. ``allowed`` has the names or values that are possible there, ``nearest`` the ones that were probably meant.
    Both are public, and advice only: a problem unpacks and compares as its place and kind.
    """

    allowed: tuple[str, ...]
    nearest: tuple[str, ...]

    def __new__(cls, pointer: str, kind: str, allowed: Iterable[str] = (), nearest: Iterable[str] = ()) -> Self:
        """Make a problem at *pointer*, with the public names or values that would fit."""
        made = super().__new__(cls, pointer, kind)
        made.allowed, made.nearest = tuple(allowed), tuple(nearest)
        return made

    def below(self, pointer: str) -> "Problem":
        """Return the same problem of an object that stands at *pointer*."""
        return Problem(pointer + self.pointer, self.kind, self.allowed, self.nearest)

    @property
    def sentence(self) -> str:
        """Return the place, the problem and the allowed names or values as one sentence, without a full stop."""
        words = _WORDS.get(self.kind, f"does not fit ({self.kind.replace('_', ' ')})")
        meant = f"; perhaps {' or '.join(self.nearest)} was meant" if self.nearest else ""
        allowed = f"; allowed: {', '.join(self.allowed)}" if self.allowed else ""
        return f"{self.pointer or '/'} {words}{meant}{allowed}"


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
        """Return the kinds of the problems; ``unknown_field`` is among them if a member was not in the schema."""
        return frozenset(kind for _, kind in self.problems)


def problems_of(error: ValidationError, model: type[BaseModel], known: frozenset[str]) -> tuple[Problem, ...]:
    """Return pydantic's *error* about *model* as problems: pointers of *known* names, pydantic's codes, allowed values.

    One fault is one problem: a list with a wrong item is not reported as too short as well, and a field with a misspelt
    name is not reported as missing as well.
    """
    found = error.errors(include_url=False, include_input=False)
    told, places = list[Problem](), [item["loc"] for item in found]
    spelt = set[tuple[int | str, ...]]()
    for turn, item in enumerate(found):
        loc, kind = item["loc"], item["type"]
        if kind == "too_short" and any(len(each) > len(loc) and each[: len(loc)] == loc for each in places):
            continue
        if kind == "extra_forbidden":  # its last step is the unknown name itself
            allowed = _names_at(model, loc[:-1])
            meant = nearest(str(loc[-1]), allowed) if turn < _EXPLAINED else ()
            spelt.update((*loc[:-1], each) for each in meant[:1])
            told.append(
                Problem(_pointer(loc[:-1], known), "unknown_field", allowed if turn < _EXPLAINED else (), meant)
            )
        else:
            told.append(Problem(_pointer(loc, known), kind, values_of(item) if turn < _EXPLAINED else ()))
    misspelt = {_pointer(loc, known) for loc in spelt}
    return tuple(each for each in told if not (each.kind == "missing" and each.pointer in misspelt))


def values_of(item: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the values of a code list, as pydantic lists them: 'a', 'b' or 'c'. Its other contexts may hold the input."""
    if item["type"] not in ("literal_error", "enum"):
        return ()
    return tuple(_QUOTED.findall(str(item.get("ctx", {}).get("expected", ""))))


def _names_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """Return the names of the fields of the object at *loc* in *model*; none if that is not one of our objects."""
    for step in loc:
        if isinstance(step, str) and step in model.model_fields:
            inner = _model_in(model.model_fields[step].annotation)
            if inner is None:
                return ()
            model = inner
    return tuple(model.model_fields)


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Return the model that a field holds, alone, in a list or optionally."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := _model_in(each))), None)


def _pointer(loc: tuple[int | str, ...], known: frozenset[str]) -> str:
    return "".join(f"/{step}" for step in loc if isinstance(step, int) or step in known)
