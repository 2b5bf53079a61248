"""Names by which people know agencies."""

from typing import Final

from nrmbus.desk.http.served import Door

SERVICES: Final = frozenset({"timekeeper", "registrar", "statistics", "auditor", "coordinator", "canary"})
"""Roles that nobody sends a case to."""


def called(door: Door, agency: str) -> str:
    """Return the name by which people know *agency*; its id without one."""
    entry = door.seat.directory.entries.get(agency)
    return entry.contact.name if entry and entry.contact else agency


def is_service(door: Door, agency: str) -> bool:
    """Return whether *agency* is one of the bus's own services without a name: its role says what it is."""
    entry = door.seat.directory.entries.get(agency)
    return entry is not None and entry.contact is None and entry.role in SERVICES
