"""Pages of other rooms at a desk: those that every desk has, and those of the role's room.

A room is imported by name, since agencies are built on desks and not the reverse. Its module ``pages`` has ``routes``, and
``ACTS`` if the room has acts of its own; beside it are ``templates/`` and ``places.yaml``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Final

from nrmbus.desk.web.own_acts import Own
from nrmbus.desk.web.shell import Pages, Visit

ROOMS: Final[Mapping[str, str]] = {"coordinator": "coordinator", "statistics": "statistics.releasing"}
"""Role -> room with pages of its own."""
EVERYWHERE: Final = ("statistics",)
"""Rooms with pages at every desk: released figures are for everybody."""


@dataclass(frozen=True, slots=True)
class Room:
    """Pages of a room: routes, templates, the file of places in the navigation, and acts of its own by type."""

    routes: Pages
    templates: Path
    places: Path
    acts: Mapping[str, Own]


def room_of(role: str | None) -> Room | None:
    """Return the room with the pages of *role*; None if the role has the pages of every agency."""
    return _room(ROOMS[role]) if role is not None and role in ROOMS else None


def rooms_of(role: str | None) -> tuple[Room, ...]:
    """Return the rooms with pages at a desk whose agency has *role*: that of the role, and those with pages everywhere."""
    own = room_of(role)
    return (*([own] if own else []), *map(_room, EVERYWHERE))


def own_act(visit: Visit, type: str) -> Own | None:
    """Return the act of the room of the visit's agency for events of *type*; None if their form is like every other."""
    room = room_of(visit.door.seat.role)
    return room.acts.get(type) if room is not None else None


@cache
def _room(name: str) -> Room:
    pages = import_module(f"nrmbus.{name}.pages")
    here = Path(str(pages.__file__)).parent
    return Room(pages.routes, here / "templates", here / "places.yaml", getattr(pages, "ACTS", {}))
