"""Pages and places that only agencies of one role have: those of the role's room.

The room is imported by name, since agencies are built on desks and not the reverse. Its module ``pages`` has ``routes``, and
beside it are ``templates/`` and ``places.yaml``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Final

from nrmbus.desk.web.shell import Pages

ROOMS: Final[Mapping[str, str]] = {"coordinator": "coordinator"}
"""Role -> room with pages of its own."""


@dataclass(frozen=True, slots=True)
class Room:
    """Pages of one role: routes, templates, and the file of places in the navigation."""

    routes: Pages
    templates: Path
    places: Path


@cache
def room_of(role: str | None) -> Room | None:
    """Return the room with the pages of *role*; None if the role has the pages of every agency."""
    if role is None or role not in ROOMS:
        return None
    pages = import_module(f"nrmbus.{ROOMS[role]}.pages")
    here = Path(str(pages.__file__)).parent
    return Room(pages.routes, here / "templates", here / "places.yaml")
