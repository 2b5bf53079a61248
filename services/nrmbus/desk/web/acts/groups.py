"""People found together: one incident with a head count, and a signal of its own for each person.

A group is shown by numbers alone. The list has what this desk published itself, and nothing of a letter.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, select
from starlette.responses import Response

from nrmbus.desk.outbox import drafts
from nrmbus.desk.store import tables
from nrmbus.desk.web.acts import around, sending
from nrmbus.desk.web.acts.editing import WHAT, moment_of
from nrmbus.desk.web.shell import NotFound, Pages, Visit
from nrmbus.events.case import IncidentOpened, ReReferred, SignalRecorded
from nrmbus.wire.ids import new_ref

routes: Final = Pages()

_OUTBOX: Final = tables.outbox.c
_SIGNALS: Final = (SignalRecorded.type, ReReferred.type)


@dataclass(frozen=True, slots=True)
class Group:
    """One incident: kind of place, head count, when it was recorded, and the cases that came out of it."""

    incident: str
    place: str
    heads: int
    moment: str
    cases: tuple[str, ...]

    @property
    def missing(self) -> int:
        """Return how many people of the group have no case yet."""
        return max(0, self.heads - len(self.cases))


@routes.get("/groups", may="publish")
async def groups(visit: Visit) -> Response:
    """Show the agency's groups, each with the cases recorded so far."""
    _may_open(visit)
    with visit.door.ledger.read() as tx:
        found = list(_groups(visit, tx))
    return visit.page("acts/groups.html.j2", title=visit.t("People found together"), groups=found)


@routes.post("/groups", may="publish")
async def begin(visit: Visit) -> Response:
    """Begin the draft of an incident."""
    _may_open(visit)
    return await _begun(visit, IncidentOpened.type, {})


@routes.post("/groups/{ref}/signal", may="publish")
async def begin_signal(visit: Visit) -> Response:
    """Begin the signal of one person of the group, in a case of its own."""
    _may_open(visit)
    with visit.door.ledger.read() as tx:
        incident = next((each.incident for each in _groups(visit, tx) if each.incident == visit.path("ref")), None)
    if incident is None:
        raise NotFound
    typed = {"data.detector": (visit.door.seat.role or "",), sending.INCIDENT: (incident,)}
    return await _begun(visit, SignalRecorded.type, typed)


def _may_open(visit: Visit) -> None:
    if not around.may_do(visit, IncidentOpened.type) or not around.may_do(visit, SignalRecorded.type):
        raise NotFound


async def _begun(visit: Visit, type: str, typed: Mapping[str, tuple[str, ...]]) -> Response:
    basis = around.basis_of(visit, type)
    begun = {**typed, **({"legal_basis": (basis,)} if basis else {})}
    async with visit.door.ledger.write() as tx:
        made = drafts.begin(
            visit.door.seat, tx, owner=visit.me.number, type=type, subject=new_ref(), ref=None, page=WHAT,
            typed=sending.fresh(type, begun),
        )  # fmt: skip
    return visit.see(f"/acts/{made.id}/{made.page}")


def _groups(visit: Visit, tx: Connection) -> Iterator[Group]:
    """Yield the incidents that this desk had registered, newest first."""
    events = [(row, json.loads(row.clear)) for row in tx.execute(_rows()).all()]
    cases = [(clear.get("incident"), row.subject) for row, clear in events if row.type in _SIGNALS]
    for row, clear in reversed(events):
        if row.type == IncidentOpened.type:
            yield _group(visit, row.subject, clear, tuple(case for of, case in cases if of == row.subject))


def _rows() -> Any:
    kinds = (IncidentOpened.type, *_SIGNALS)
    return select(tables.outbox).where(_OUTBOX.type.in_(kinds), _OUTBOX.verdict == "registered").order_by(_OUTBOX.seq)


def _group(visit: Visit, incident: str, clear: Mapping[str, Any], cases: tuple[str, ...]) -> Group:
    data = clear["data"]
    place = visit.t.code("PlaceFound", data["place_type"])
    return Group(incident, place, data["head_count"], moment_of(visit, clear["time"]), cases)
