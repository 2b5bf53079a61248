"""Routes of the inbox: received events, with or without their letters."""

from typing import Annotated, Final

from fastapi import Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from nrmbus.desk import versions
from nrmbus.desk.access import opening
from nrmbus.desk.errors import DeskError
from nrmbus.desk.http import views
from nrmbus.desk.http.answers import AT, CASE, EVENT, Inbox
from nrmbus.desk.http.documented import answers, subject
from nrmbus.desk.http.parameters import Actor, After, Case, LedgerId, Limit, Open, Purpose, Spoken, Technical
from nrmbus.desk.http.scopes import caller_of
from nrmbus.desk.http.served import door_of

routes: Final = subject("inbox")


class Asked(BaseModel):
    """Parameters of the inbox."""

    case: Case = None
    after: After = 0
    ledger: LedgerId = None
    limit: Limit = 200
    open: Open = False
    technical: Technical = False
    actor: Actor = None
    purpose: Purpose = "case_work"
    speaks: Spoken = None


_INBOX: Final = {
    "ledger": "9f2c4e6a8b0d1f35",
    "events": [
        {
            "row": 12, "partition": 0, "inbox_number": 12, "number": 31, "id": EVENT, "type": "referral.acknowledged",
            "published": 1, "case": CASE, "source": "special-unit", "time": AT, "registered": AT, "ref": CASE,
            "parts": [], "technical": False, "original": {"headers": {"ce_id": EVENT}, "value": "e30=", "registration": "e30="},
            "version": 1, "data": {"receipt_no": "SU-1", "duty_role": "duty_officer"},
        }
    ],
    "next": 12,
}  # fmt: skip


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

    Without `open` nothing is recorded. With `open`, which needs the scope of that name, the letters come too: the registrar records each reading first, for
    `actor` and `purpose`, and the desk records who opened which part.

    Row numbers begin again if the ledger was replaced: `inbox_restarted`.
    """
    door = door_of(request)
    desk = door.desk
    spoken = versions.asked(asked.speaks or (), desk.speaks)
    most = min(asked.limit, opening.MOST) if asked.open else asked.limit
    with door.ledger.read() as tx:
        if asked.after > views.newest(tx) or (asked.after and asked.ledger not in (None, door.ledger.id)):
            raise DeskError("inbox_restarted")
        rows = views.received(
            tx, door.seat, case=asked.case, after=asked.after, limit=most + 1, technical=asked.technical
        )
    following = rows[most - 1].position if len(rows) > most else None
    rows = rows[:most]
    if asked.open:
        caller_of(request).require("open")
        who, purpose = opening.reader(desk, asked.actor), asked.purpose
        found = await opening.to_open(desk, rows, who=who, purpose=purpose)
        await door.put_on_record(found.due.values())
        events = [await views.opened(desk, row, spoken, who=who, purpose=purpose, asked=found) for row in rows]
    else:
        events = [views.heard(row, spoken) for row in rows]
    return JSONResponse({"ledger": door.ledger.id, "events": events, "next": following})
