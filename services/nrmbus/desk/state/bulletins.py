"""What the agencies of the bus say about no case, as this desk has heard it: free places, who reads, breaches of data."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection, select

from nrmbus.desk.state.cases import Cases
from nrmbus.desk.store import tables
from nrmbus.rules import Announced

_EVENTS: Final = tables.events.c
_SUBJECTS: Final = select(_EVENTS.subject).where(~tables.of_case(_EVENTS.subject)).distinct().order_by(_EVENTS.subject)


def announcements(tx: Connection, cases: Cases) -> Iterator[Announced]:
    """Yield the latest event about no case of each agency and type, and of each agency that it is about; by bulletin.

    A desk has what was published since its agency joined: an agency that is not here has said nothing since.
    """
    for subject in tx.scalars(_SUBJECTS).all():
        yield from cases.view(tx, subject).bulletin.values()
