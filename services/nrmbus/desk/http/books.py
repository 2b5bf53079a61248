"""Routes of beds and payments: what was asked for or ordered in the cases of this agency, and what became of it."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache, partial
from typing import Any, Final

from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import Field
from sqlalchemy import Row, select

from nrmbus.desk.http import views
from nrmbus.desk.http.answers import AT, CASE, EVENT, Happened, Ref, Registered
from nrmbus.desk.http.documented import Answer, answers, subject
from nrmbus.desk.http.parameters import After, Case, Limit, Referral, Since, Until
from nrmbus.desk.http.served import Door, door_of
from nrmbus.desk.store import tables
from nrmbus.rules import View
from nrmbus.rules.records import BedState, PaymentState

routes: Final = subject("cases")

_EVENTS: Final = tables.events.c


class Record(Answer):
    """What a bed or a payment has: where it comes from."""

    row: int = Field(description="Number of the row in this ledger: the cursor `after`.")
    ref: str | None = None
    case: Ref
    source: str = Field(description="Agency that asked or ordered.")
    id: str = Field(description="Event that asked or ordered.")
    time: Happened
    registered: Registered


class BedHouse(Answer):
    """Shelter that was asked, and its answer."""

    agency: str
    state: BedState
    valid_hours: int | None = Field(None, description="For how long an offer stands.")


class BedItem(Record):
    """Request for a bed."""

    houses: list[BedHouse]


class BedList(Answer):
    """Page of requests for beds, in the order in which this desk heard of them."""

    places: dict[str, int] | None = Field(None, description="A shelter's own places by category, by `agency.json`.")
    beds: list[BedItem]
    next: int | None = Field(description="Cursor of the next page; null if there is nothing more now.")


class PaymentItem(Record):
    """Order of money."""

    kind: str | None = None
    decision: str | None = Field(None, description="Event of the decision that it rests on.")
    amount: str | None = None
    currency: str | None = None
    state: PaymentState | None = None


class PaymentList(Answer):
    """Page of orders, in the order in which this desk heard of them."""

    payments: list[PaymentItem]
    next: int | None = Field(description="Cursor of the next page; null if there is nothing more now.")


_FROM: Final = {
    "row": 7,
    "ref": CASE,
    "case": CASE,
    "source": "special-unit",
    "id": EVENT,
    "time": AT,
    "registered": AT,
}


@routes.get(
    "/v1/beds",
    summary="List the requests for beds",
    **answers(
        BedList,
        {
            "places": {"women": 6},
            "beds": [{**_FROM, "houses": [{"agency": "shelter", "state": "offered", "valid_hours": 24}]}],
            "next": 7,
        },
        "unknown_field", needs=["read"], said="A page of requests, each with the answers of the shelters.",
    ),
)  # fmt: skip
async def list_beds(
    request: Request,
    case: Case = None,
    ref: Referral = None,
    after: After = 0,
    limit: Limit = 200,
    since: Since = None,
    until: Until = None,
) -> JSONResponse:
    """Return the requests for beds that this agency made or received, and how each stands. Records nothing.

    The category of a bed is a fact of the letter: it is not here.
    """
    door = door_of(request)

    def told(view: View, reference: str) -> dict[str, Any]:
        bed = view.beds.get(reference)
        houses = (
            [{"agency": each.agency, "state": each.state, "valid_hours": each.valid_hours} for each in bed.houses]
            if bed
            else []
        )
        return {"houses": [{name: value for name, value in each.items() if value is not None} for each in houses]}

    only = {"case": case, "ref": ref, "since": since, "until": until}
    found = _records(door, "shelter.bed_requested", only, (after, limit), told)
    places = getattr(door.desk.book, "places", None)
    return JSONResponse(
        {**({} if places is None else {"places": dict(places)}), **views.page("beds", found, limit, "row")}
    )


@routes.get(
    "/v1/payments",
    summary="List the payments",
    **answers(
        PaymentList,
        {
            "payments": [
                {**_FROM, "kind": "one_time_allowance", "decision": EVENT, "amount": "400.00", "currency": "AZN", "state": "ordered"}
            ],
            "next": 7,
        },
        "unknown_field", needs=["read"], said="A page of orders, each with what became of it.",
    ),
)  # fmt: skip
async def list_payments(
    request: Request,
    case: Case = None,
    ref: Referral = None,
    after: After = 0,
    limit: Limit = 200,
    since: Since = None,
    until: Until = None,
) -> JSONResponse:
    """Return the orders of money that this agency made or was told of, and how each stands. Records nothing."""

    def told(view: View, reference: str) -> dict[str, Any]:
        order = view.payments.get(reference)
        names = ("kind", "decision", "amount", "currency", "state") if order else ()
        return {name: value for name in names if (value := getattr(order, name)) is not None}

    only = {"case": case, "ref": ref, "since": since, "until": until}
    found = _records(door_of(request), "payment.ordered", only, (after, limit), told)
    return JSONResponse(views.page("payments", found, limit, "row"))


def _records(
    door: Door,
    type_: str,
    only: Mapping[str, str | datetime | None],
    page: tuple[int, int],
    told: Callable[[View, str], dict[str, Any]],
) -> list[dict[str, Any]]:
    """Return the events of *type_* after a row, one more than a page has, each with what *told* says of its record."""
    after, limit = page
    columns = {"case": _EVENTS.subject, "ref": _EVENTS.referral}
    rows = (
        select(tables.events)
        .where(_EVENTS.type == type_, _EVENTS.position > after)
        .where(*views.filtered(columns, _EVENTS.registered, only))
        .order_by(_EVENTS.position)
        .limit(limit + 1)
    )
    with door.ledger.read() as tx:
        view_of = cache(partial(door.desk.cases.view, tx))
        return [_record(row, told, view_of(row.subject)) for row in tx.execute(rows).all()]


def _record(row: Row[Any], told: Callable[[View, str], dict[str, Any]], view: View) -> dict[str, Any]:
    found = {
        "row": row.position, "ref": row.referral, "case": row.subject, "source": row.source, "id": row.id, "time": row.time,
        "registered": row.registered, **told(view, row.referral or row.id),
    }  # fmt: skip
    return {name: value for name, value in found.items() if value is not None}
