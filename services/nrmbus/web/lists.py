"""Names of the closed lists of codes in the events: the words of a code stand under the name of its list."""

from collections.abc import Mapping
from functools import cache
from typing import Final, Literal, get_args, get_origin

from pydantic import BaseModel

from nrmbus.events import codes
from nrmbus.events.registry import MODULES

_FAMILIES: Final[Mapping[str, str]] = {
    "Detector": "role", "Role": "role", "Attendee": "role", "Part": "part", "Access": "access",
    "AccessPurpose": "purpose",
}  # fmt: skip
"""Families of words that have another name than the list; every other list has its own."""


@cache
def _lists() -> Mapping[tuple[str, ...], str]:
    """Return the name of each closed list of codes, by its codes: those of the room's lists first."""
    found: dict[tuple[str, ...], str] = {}
    for module in (codes, *MODULES):
        for name, each in vars(module).items():
            if get_origin(each) is Literal:
                found.setdefault(get_args(each), name)
    return found


def list_of(found: tuple[str, ...]) -> str:
    """Return the name of the list with the codes *found*; empty if the list has none."""
    return _lists().get(found, "")


def list_in(model: type[BaseModel], name: str) -> str:
    """Return the name of the list from which the field *name* of *model* has its code; empty if the model has no such field."""
    field = model.model_fields.get(name)
    return list_of(get_args(field.annotation)) if field is not None else ""


def lists() -> Mapping[str, tuple[str, ...]]:
    """Return every closed list of codes, by its name."""
    return {name: found for found, name in _lists().items()}


def family_of(name: str) -> str:
    """Return the family of words of the list *name*."""
    return _FAMILIES.get(name, name)
