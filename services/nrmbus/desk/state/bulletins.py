"""Bulletins of the agencies, about no case, as this desk has heard them: free places, silent agencies, breaches of data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from nrmbus.desk.state.cases import Cases
from nrmbus.desk.store import tables
from nrmbus.desk.store.different import different
from nrmbus.events.agency import ListeningChanged
from nrmbus.events.bulletin import PREFIX
from nrmbus.events.provider import CapacityChanged
from nrmbus.rules import Announced

_EVENTS: Final = tables.events.c
_BEHIND: Final = f"{PREFIX}g"
"""Text behind every bulletin's subject, which is in hexadecimal digits."""
_SUBJECTS: Final = different(_EVENTS.subject, _EVENTS.subject >= PREFIX, _EVENTS.subject < _BEHIND)


def announcements(tx: Connection, cases: Cases) -> Iterator[Announced]:
    """Yield the latest event about no case of each agency and type, and of each agency that it is about; by bulletin.

    A desk has what was published since its agency joined: an agency that is not here has said nothing since.
    """
    for subject in tx.scalars(_SUBJECTS).all():
        yield from cases.view(tx, subject).bulletin.values()


@dataclass(frozen=True, slots=True)
class Standing:
    """Facts about an agency before somebody turns to it; empty if it has said nothing since this agency joined."""

    places: Mapping[str, str] = field(default_factory=dict)
    """Category -> free, few or none, as the agency said it last."""
    places_at: datetime | None = None
    silent_since: datetime | None = None
    """Since when its desk takes nothing of what is delivered; None while it does."""


def standings(tx: Connection, cases: Cases) -> Mapping[str, Standing]:
    """Return the standing of each agency of which something is known."""
    found: dict[str, Standing] = {}
    for each in announcements(tx, cases):
        known: dict[str, Any]
        match each.data:
            case CapacityChanged():
                agency, known = each.mark.source, {"places": each.data.to_mapping(), "places_at": each.mark.registered}
            case ListeningChanged(agency=agency):
                known = {"silent_since": None if each.data.listening else each.data.since}
            case _:
                continue
        found[agency] = replace(found.get(agency, Standing()), **known)
    return found
