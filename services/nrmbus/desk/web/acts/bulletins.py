"""Page of the bulletins: what agencies say of themselves and of no case, and what this agency may say itself."""

from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, select
from starlette.responses import Response

from nrmbus.desk.outbox import drafts
from nrmbus.desk.outbox.drafts import Typed
from nrmbus.desk.state.bulletins import announcements, standings
from nrmbus.desk.state.cases import event_of
from nrmbus.desk.store import tables
from nrmbus.desk.web.acts import around, sending
from nrmbus.desk.web.acts.editing import WHAT
from nrmbus.desk.web.acts.proposed import proposed_about_no_case, with_places
from nrmbus.desk.web.rooms import own_act
from nrmbus.desk.web.shell import NotFound, Pages, Visit
from nrmbus.events import bulletin
from nrmbus.events.breach import BreachReported
from nrmbus.events.provider import CapacityChanged
from nrmbus.events.registry import TYPES

routes: Final = Pages()

ABOUT_NO_CASE: Final = tuple(dict.fromkeys(data.type for data in TYPES.values() if data.keyed_by == "agency"))

_EVENTS: Final = tables.events.c
_BEGUN: Final = "begun."
"""Prefix in a draft of the answers that its form began with: people have typed where the others differ from these."""


@routes.get("/bulletins", may="read_cases")
async def show(visit: Visit) -> Response:
    """Show who has places, who does not read, and breaches of data that this agency was told of."""
    with visit.door.ledger.read() as tx:
        known = standings(tx, visit.door.desk.cases)
        told = list(announcements(tx, visit.door.desk.cases))
    # An agency that is suspended or has left publishes nothing any more: what it said last would stand for ever.
    there = (name for name in sorted(known) if visit.door.seat.directory.state(name, visit.now) == "admitted")
    rows = [_row(visit, name, known[name]) for name in there if known[name].places or known[name].silent_since]
    breaches = [_breach(visit, each.mark, each.data) for each in told if isinstance(each.data, BreachReported)]
    mine = [each for each in ABOUT_NO_CASE if around.may_do(visit, each) and own_act(visit, each) is None]
    return visit.page(
        "acts/bulletins.html.j2", title=visit.t("What agencies say"), rows=rows, breaches=breaches, mine=mine
    )


@routes.post("/bulletins/{type}", may="read_cases")
async def begin(visit: Visit) -> Response:
    """Begin the draft of an event about no case."""
    type = visit.path("type")
    if type not in ABOUT_NO_CASE or not around.may_do(visit, type) or own_act(visit, type) is not None:
        raise NotFound
    seat = visit.door.seat
    proposal = proposed_about_no_case(visit, sending.model_of(visit.door, type))
    typed = {**sending.fresh(type, proposal), **{f"{_BEGUN}{name}": values for name, values in proposal.items()}}
    async with seat.ledger.write() as tx:
        made = drafts.begin(
            seat, tx, owner=visit.me.number, type=type, subject=bulletin.of(seat.me), ref=None, page=WHAT, typed=typed
        )
        if _is_untouched(made.typed) or _is_of_an_earlier_release(visit, tx, made):  # the agency may have spoken since
            made = drafts.keep(seat, tx, replace(made, typed=typed), seen=made.version)
    return visit.see(f"/acts/{made.id}/{made.page}")


def _is_untouched(typed: Typed) -> bool:
    """Return whether a draft still has the answers that its form began with, and no others."""
    begun = {name.removeprefix(_BEGUN): values for name, values in typed.items() if name.startswith(_BEGUN)}
    return begun == {name: values for name, values in typed.items() if not name.startswith(_BEGUN)}


def _is_of_an_earlier_release(visit: Visit, tx: Connection, draft: drafts.Kept) -> bool:
    """Return whether *draft* has the places that this agency named in some event, and no other answers.

    An earlier release stored such a draft as soon as the form was opened, without the answers that it began with.
    """
    if draft.type != CapacityChanged.type or draft.version != 1:
        return False
    of_places = (_EVENTS.subject == draft.subject, _EVENTS.source == visit.door.seat.me, _EVENTS.type == draft.type)
    named = map(event_of, tx.execute(select(tables.events).where(*of_places)))
    model = sending.model_of(visit.door, draft.type)
    return any(with_places(visit, model, each.data.to_mapping()) == draft.typed for each in named if each is not None)


def _row(visit: Visit, agency: str, known: Any) -> dict[str, Any]:
    t = visit.t
    return {
        "name": around.name_of(visit, agency),
        "places": around.places_of(visit, known),
        "said": t.moment(known.places_at) if known.places_at else "",
        "silent": t.moment(known.silent_since) if known.silent_since else "",
    }


def _breach(visit: Visit, mark: Any, data: BreachReported) -> dict[str, Any]:
    t = visit.t
    return {
        "name": around.name_of(visit, mark.source),
        "at": t.moment(mark.time),
        "reported": t.moment(mark.registered),
        "kind": t.code("BreachKind", data.kind),
        "classes": [t.code("BreachedClass", each) for each in data.classes],
        "persons": t.code("PersonsBand", data.persons),
        "measures": [t.code("BreachMeasure", each) for each in data.measures],
        "ended": data.ended,
    }
