"""Which role runs which written procedure.

The special unit runs the police's, which is its own: other police only detect and refer. A shelter runs the shelter's,
also when an NGO keeps it: its beds come before its hand-offs. Every other role is a desk without a procedure, where
each thing heard becomes a task.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, cast

from nrmbus.desk.procedure.interface import Procedure

ROOMS: Final[Mapping[str, str]] = {
    "special_unit": "police",
    "shelter_state": "shelter",
    "ngo_shelter": "shelter",
    "fund": "fund",
    "ngo_outreach": "ngo",
    "ngo_legal": "ngo",
}
"""Role -> the folder that holds its procedure. By name, since a desk knows no agency: agencies are built on desks."""


def procedure_of(role: str) -> Procedure[Any] | None:
    """The procedure that an agency of this *role* runs; None if there is none."""
    room = ROOMS.get(role)
    if room is None:
        return None
    return cast("Procedure[Any]", import_module(f"nrmbus.{room}.procedure"))
