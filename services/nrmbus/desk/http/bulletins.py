"""Route of the bulletins: what agencies say about themselves or the bus, and about no case."""

from typing import Annotated, Any, Final

from fastapi import Query, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from nrmbus.desk.http.answers import AT, EVENT, Happened, Registered
from nrmbus.desk.http.documented import Answer, answers, subject
from nrmbus.desk.http.parameters import OfType, Since, Until
from nrmbus.desk.http.served import door_of
from nrmbus.desk.state.bulletins import Standing, announcements
from nrmbus.rules import Announced
from nrmbus.wire import times

routes: Final = subject("records")

AgencyName = Annotated[
    str | None, Query(max_length=64, description="Only what is about this agency, whoever published it.")
]


class Announcement(Answer):
    """Latest event of its type about one agency."""

    type: str
    agency: str = Field(description="Agency that it is about; else its publisher.")
    source: str = Field(description="Agency that published it.")
    id: str
    time: Happened
    registered: Registered
    data: dict[str, Any]


class Bulletins(Answer):
    """What this agency was told of no case, or published itself."""

    announcements: list[Announcement]


@routes.get(
    "/v1/bulletins",
    summary="List what agencies say about no case",
    **answers(
        Bulletins,
        {
            "announcements": [
                {
                    "type": "provider.capacity_changed", "agency": "shelter", "source": "shelter", "id": EVENT, "time": AT,
                    "registered": AT, "data": {"women": "few", "children": "none"},
                }
            ]
        },
        "unknown_field",
        needs=["read"],
        said="The latest of each type, of those about the same agency or the same period of figures.",
    ),
)  # fmt: skip
async def list_bulletins(
    request: Request, type: OfType = None, agency: AgencyName = None, since: Since = None, until: Until = None
) -> JSONResponse:
    """Return the latest event about no case of each publisher and type, such as free places. Records nothing.

    Of events about an agency or about a period of figures, it is the latest about each agency and each period.

    An agency that is missing has said nothing since this agency joined the bus.
    """
    door = door_of(request)
    with door.ledger.read() as tx:
        found = [_told(each) for each in announcements(tx, door.desk.cases)]
    kept = [
        each
        for each in found
        if type in (None, each["type"])
        and agency in (None, each["agency"])
        and times.is_within(each["registered"], since, until)
    ]
    return JSONResponse({"announcements": kept})


def _told(said: Announced) -> dict[str, Any]:
    data = said.data.to_mapping()
    return {
        "type": said.data.type,
        "agency": data.get("agency", said.mark.source),
        "source": said.mark.source,
        "id": said.mark.id,
        "time": times.write(said.mark.time),
        "registered": times.write(said.mark.registered),
        "data": data,
    }


def standing_of(known: Standing | None) -> dict[str, Any]:
    """Return what is known of an agency before somebody turns to it, as the door tells it; empty if that is nothing."""
    if known is None:
        return {}
    told = {
        "places": dict(known.places) or None,
        "places_at": known.places_at and times.write(known.places_at),
        "silent_since": known.silent_since and times.write(known.silent_since),
    }
    return {name: value for name, value in told.items() if value is not None}
