"""People found together: one incident with a head count, and a signal of its own for each person.

A group is shown by numbers alone. The list has what this desk published itself, and nothing of a letter.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, select
from starlette.responses import Response

from nrmbus.desk.outbox import drafts
from nrmbus.desk.state.cases import event_of
from nrmbus.desk.store import tables
from nrmbus.desk.web.acts import around, sending
from nrmbus.desk.web.acts.editing import WHAT
from nrmbus.desk.web.shell import NotFound, Pages, Visit
from nrmbus.events.case import OPENING, IncidentOpened, SignalDismissed, SignalRecorded
from nrmbus.events.model import Event
from nrmbus.wire.ids import new_ref

routes: Final = Pages()

_EVENTS: Final = tables.events.c


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
    events = list(_own(tx, visit.door.seat.me))
    twice = {each.subject for each in events if _is_duplicate(each)}
    cases = [(each.incident, each.subject) for each in events if each.type in OPENING and each.subject not in twice]
    for each in reversed(events):
        if each.type == IncidentOpened.type:
            yield _group(visit, each, tuple(case for of, case in cases if of == each.subject))


def _own(tx: Connection, me: str) -> Iterator[Event]:
    """Yield the registered events of this agency about groups and signals; they come back after a loss of the ledger, the outbox does not."""
    kinds = (IncidentOpened.type, *OPENING, SignalDismissed.type)
    rows = select(tables.events).where(_EVENTS.source == me, _EVENTS.type.in_(kinds)).order_by(_EVENTS.position)
    yield from (event for row in tx.execute(rows) if (event := event_of(row)) is not None)


def _is_duplicate(event: Event) -> bool:
    """Return whether *event* says that its person has another case already, so that the person is counted once."""
    return event.type == SignalDismissed.type and _data(event)["reason"] == "duplicate"


def _data(event: Event) -> dict[str, Any]:
    return event.data.model_dump(mode="json")


def _group(visit: Visit, opened: Event, cases: tuple[str, ...]) -> Group:
    data = _data(opened)
    place = visit.t.code("PlaceFound", data["place_type"])
    return Group(opened.subject, place, data["head_count"], visit.t.moment(opened.time), cases)
