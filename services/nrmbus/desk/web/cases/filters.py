"""Filter of a case's timeline: by what an event is about, and by the agency that published it.

An address has the place of each choice in its list and names no agency. The places stay as they are while events come.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from sqlalchemy import Connection, func, select

from nrmbus.desk.store import tables
from nrmbus.desk.web.acts.around import name_of, subject_of, subjects
from nrmbus.desk.web.shell import Visit

_EVENTS: Final = tables.events.c


@dataclass(frozen=True, slots=True)
class Filter:
    """The choices that a timeline offers, and those that were made."""

    kinds: Sequence[tuple[str, str]]
    """Place and words of each subject that the case has an event about."""
    agencies: Sequence[tuple[str, str]]
    """Place and name of each agency that published an event, in the order of their first ones."""
    chosen: Mapping[str, str]
    """Places of the choices, by the name of the list."""
    types: frozenset[str] | None
    """Types to show; None: all."""
    source: str | None
    """Agency to show; None: all."""

    @property
    def is_useful(self) -> bool:
        """Return whether there is anything to choose from."""
        return len(self.kinds) > 1 or len(self.agencies) > 1

    @property
    def query(self) -> str:
        """Return the choices as the beginning of a query; empty if there are none."""
        return urlencode(self.chosen) + "&" if self.chosen else ""


def asked(visit: Visit, tx: Connection, case: str) -> Filter:
    """Return the filter of the timeline of *case*, with the choices of the page's address; an unknown place chooses nothing."""
    first = func.min(_EVENTS.number)
    rows = select(_EVENTS.type, _EVENTS.source).where(
        _EVENTS.subject == case, tables.of_case(_EVENTS.subject), _EVENTS.technical == 0
    )
    known = tx.execute(rows.group_by(_EVENTS.type, _EVENTS.source).order_by(first)).all()
    titles = subjects(visit.t)
    places = {str(place): heading for place, heading in enumerate(titles, 1)}
    sources = {str(place): each for place, each in enumerate(dict.fromkeys(row.source for row in known), 1)}
    about = {subject_of(row.type) for row in known}
    kinds = {place: heading for place, heading in places.items() if heading in about}
    kind, agency = visit.asked("kind", 4), visit.asked("agency", 4)
    chosen = {name: place for name, place, of in (("kind", kind, kinds), ("agency", agency, sources)) if place in of}
    return Filter(
        kinds=[(place, titles[heading]) for place, heading in kinds.items()],
        agencies=[(place, name_of(visit, each)) for place, each in sources.items()],
        chosen=chosen,
        types=frozenset(row.type for row in known if subject_of(row.type) == kinds[kind]) if "kind" in chosen else None,
        source=sources[agency] if "agency" in chosen else None,
    )
