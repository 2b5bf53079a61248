"""Routes of the inbox: received events, with or without their letters."""

import time
from typing import Annotated, Any, Final, NamedTuple

from fastapi import Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy import Row

from nrmbus.desk import versions
from nrmbus.desk.access import documents, opening
from nrmbus.desk.errors import DeskError
from nrmbus.desk.http import views
from nrmbus.desk.http.answers import AT, CASE, EVENT, Inbox
from nrmbus.desk.http.documented import answers, subject
from nrmbus.desk.http.parameters import (
    Actor,
    After,
    Case,
    LedgerId,
    Limit,
    OfSource,
    OfType,
    Open,
    Purpose,
    Referral,
    Since,
    Spoken,
    Technical,
    Until,
    Wait,
)
from nrmbus.desk.http.scopes import caller_of
from nrmbus.desk.http.served import Door, door_of
from nrmbus.desk.state import parking

routes: Final = subject("inbox")


class Asked(BaseModel):
    """Parameters of the inbox."""

    after: After = 0
    ledger: LedgerId = None
    limit: Limit = 200
    wait: Wait = 0
    case: Case = None
    type: OfType = None
    source: OfSource = None
    ref: Referral = None
    since: Since = None
    until: Until = None
    open: Open = False
    technical: Technical = False
    actor: Actor = None
    purpose: Purpose = "case_work"
    speaks: Spoken = None


ONLY: Final = ("case", "type", "source", "ref")
"""Members by which the inbox is filtered."""

EVENT_EXAMPLE: Final = {
    "row": 12, "partition": 0, "inbox_number": 12, "number": 31, "id": EVENT, "type": "referral.acknowledged",
    "published": 1, "case": CASE, "source": "special-unit", "time": AT, "registered": AT, "ref": CASE,
    "parts": [], "technical": False, "original": {"headers": {"ce_id": EVENT}, "value": "e30=", "registration": "e30="},
    "version": 1, "data": {"receipt_no": "SU-1", "duty_role": "duty_officer"},
}  # fmt: skip
_INBOX: Final = {"ledger": "9f2c4e6a8b0d1f35", "events": [EVENT_EXAMPLE], "next": 12}


@routes.get(
    "/v1/inbox",
    summary="Read the inbox",
    **answers(
        Inbox, _INBOX, "inbox_restarted", "unknown_field", "unknown_type", "unknown_version", "reader_unnamed",
        "inbox_unread", "read_not_registered", "read_refused", needs=["read"], said="A page of received events, in order.",
    ),
)  # fmt: skip
async def read_inbox(request: Request, asked: Annotated[Asked, Query()]) -> JSONResponse:
    """Return events received, in order, each in the spoken version, and the `ledger` that numbers the rows.

    `next` is null once there is nothing more: a program that goes on later keeps `ledger` and the `row` of the last event
    that it has dealt with, and gives them as `ledger` and `after`.

    With `wait` an empty page comes only after that time: the answer comes as soon as there is an event.

    Without `open` nothing is recorded. With `open`, which needs the scope of that name, the letters come too: the
    registrar records each reading first, for `actor` and `purpose`, and the desk records who opened which part.
    With `open` a page ends before a letter that the desk opens only after it has read further records. If that letter is
    the first, the answer comes as soon as the letter opens; after `wait`, and at least two seconds, it is `inbox_unread`:
    ask again. A `parked` row without its letter waits longer, for a person or an upgrade: ask for that row again later.

    Row numbers begin again if the ledger was replaced: `inbox_restarted`.
    """
    door = door_of(request)
    desk = door.desk
    spoken = versions.asked(asked.speaks or (), desk.speaks)
    most = min(asked.limit, opening.MOST) if asked.open else asked.limit
    if asked.open:
        caller_of(request).require("open")
    began = time.monotonic()
    while True:
        page = _page(door, asked, most)
        waited = time.monotonic() - began
        if page.rows:
            break
        if page.unread is not None:
            left = max(asked.wait, opening.READ_ON_SECONDS) - waited
            if left <= 0:
                raise DeskError("inbox_unread")
            await _let_through(door, page.unread, left)
        elif waited >= asked.wait:
            break
        else:
            await door.arrivals.past(page.newest, asked.wait - waited)
        if asked.open:  # else nobody would get what is read now
            door.require_token(caller_of(request))
    rows, came = page.rows, page.came
    if asked.open:
        who, purpose = opening.reader(desk, asked.actor), asked.purpose
        found = await opening.to_open(desk, rows, who=who, purpose=purpose)
        await door.put_on_record(found.due.values())
        how: dict[str, Any] = {"who": who, "purpose": purpose, "system": caller_of(request).name}
        events = [
            await views.opened(desk, row, spoken, asked=found, came=came.get(row.position), **how) for row in rows
        ]
    else:
        events = [views.heard(row, spoken, came=came.get(row.position)) for row in rows]
    return JSONResponse({"ledger": door.ledger.id, "events": events, "next": page.following})


class _Page(NamedTuple):
    """Page of the inbox, in one snapshot."""

    newest: int
    """The newest row of the ledger."""
    rows: list[Row[Any]]
    following: int | None
    """Cursor of the next page; None if there is nothing more."""
    unread: int | None
    """Row behind the page whose letter opens once the desk has read on; None if no such letter ended the page."""
    came: dict[int, int]
    """How many chunks of each document are here, by the row of its announcement."""


def _page(door: Door, asked: Asked, most: int) -> _Page:
    """Return at most *most* rows that are *asked* for, up to the first letter that opens once the desk has read on."""
    with door.ledger.read() as tx:
        newest = views.newest(tx)
        # Who begins at row 0 begins again, whatever ledger is named; but nothing opens by the number of another ledger's row.
        is_foreign = asked.ledger not in (None, door.ledger.id) and (asked.after > 0 or asked.open)
        if asked.after > newest or is_foreign:
            raise DeskError("inbox_restarted")
        only = {name: getattr(asked, name) for name in (*ONLY, "since", "until")}
        how: dict[str, Any] = {
            "after": asked.after,
            "limit": most + 1,
            "technical": asked.technical,
            "letters": asked.open,
        }
        found = views.received(tx, door.seat, **how, **only)
        soon = (row.position for row in found[:most] if asked.open and opening.opens_soon(door.desk, tx, row))
        unread = next(soon, None)
        rows = [row for row in found[:most] if unread is None or row.position < unread]
        came = documents.came(tx, door.desk, rows)
    following = rows[-1].position if rows and len(rows) < len(found) else None
    return _Page(newest, rows, following, unread, came)


async def _let_through(door: Door, position: int, seconds: float) -> None:
    """Return when the record at *position* is parked no more, or after *seconds*."""

    async def look() -> dict[str, Any]:
        with door.ledger.read() as tx:
            return {"parked": parking.is_parked(tx, position)}

    await door.until(look, lambda found: not found["parked"], seconds)
