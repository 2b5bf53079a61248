"""Written procedure of each role.

The body that decides runs the police procedure: the special unit, or under another profile a social service. Each line asks
the case's profile whether this agency decides in it. Other police find groups as the border service does, and communities
of faith refer people as NGOs do. A shelter runs the shelter procedure,
even if an NGO keeps the shelter: beds come before hand-offs. Every other role is a desk without a procedure, where
each received event becomes a task.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, cast

from nrmbus.desk.procedure.interface import Procedure

ROOMS: Final[Mapping[str, str]] = {
    "special_unit": "police",
    "social_services": "police",
    "shelter_state": "shelter",
    "ngo_shelter": "shelter",
    "fund": "fund",
    "ngo_outreach": "ngo",
    "ngo_legal": "ngo",
    "statistics": "statistics",
    "migration": "migration",
    "consulate": "consulate",
    "embassy": "consulate",
    "international_organisation": "organisation",
    "coordinator": "coordinator",
    "vac": "centre",
    "hotline": "hotline",
    "labour_inspection": "inspection",
    "border": "inspection",
    "police_other": "inspection",
    "religious": "ngo",
    "health": "public_services",
    "education": "public_services",
    "employment": "public_services",
    "prosecution": "justice",
    "court": "justice",
    "guardianship": "guardianship",
    "child_commission": "guardianship",
}
"""Role -> folder of the procedure. Imported by name, since agencies are built on desks and not the reverse."""

BESIDE: Final[Mapping[str, str]] = {"statistics": "nrmbus.statistics.service"}
"""Module that adds routes to the desk of an agency, by the agency's id. Imported by name, for the same reason."""


def procedure_of(role: str) -> Procedure[Any] | None:
    """Return the procedure of an agency of this *role*; None if there is none."""
    room = ROOMS.get(role)
    if room is None:
        return None
    return cast("Procedure[Any]", import_module(f"nrmbus.{room}.procedure"))
