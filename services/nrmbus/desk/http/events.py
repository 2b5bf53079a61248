"""Routes of the agency's own events: publish, ask for the verdict, send again."""

from typing import Any, Final

from fastapi import Request
from fastapi.responses import JSONResponse
from sqlalchemy import Connection, update

from nrmbus.desk import versions
from nrmbus.desk.errors import DeskError, of_wire
from nrmbus.desk.http import recipients, repeated, views
from nrmbus.desk.http import request as event_request
from nrmbus.desk.http.answers import AT, CASE, EVENT, EventState, Published
from nrmbus.desk.http.documented import answers, subject
from nrmbus.desk.http.parameters import EventPath, Spoken, Wait
from nrmbus.desk.http.served import body_of, door_of
from nrmbus.desk.outbox import documents, queue, refusals, verdicts
from nrmbus.desk.store import tables
from nrmbus.wire.errors import WireError

routes: Final = subject("events")

_STATE: Final = {
    "id": EVENT, "case": CASE, "type": "case.signal_recorded", "version": 1, "state": "closed",
    "verdict": "registered", "number": 7, "sequence": 1, "receipt": "0" * 64, "receipts": 1, "again": False, "time": AT,
}  # fmt: skip
_PUBLISHED: Final = {
    "verdict": "registered", "id": EVENT, "case": CASE, "type": "case.signal_recorded", "number": 7,
    "receipt": "0" * 64, "events": [_STATE],
}  # fmt: skip
_OPEN: Final = {
    "id": EVENT, "case": CASE, "type": "case.signal_recorded", "version": 1, "state": "waiting", "verdict": "pending",
    "receipts": 0, "again": False, "time": AT,
}  # fmt: skip
_PENDING: Final = {
    "verdict": "pending", "id": EVENT, "case": CASE, "type": "case.signal_recorded", "events": [_OPEN],
}  # fmt: skip


@routes.post(
    "/v1/events",
    summary="Publish an event",
    openapi_extra={"requestBody": {"$ref": "#/components/requestBodies/Event"}},
    **answers(
        Published, _PUBLISHED, "json_invalid", "json_duplicate", "too_large", "letter_too_large", "unknown_field",
        "unknown_type", "unknown_version", "unknown_recipient", "id_reused", "document_unknown",
        needs=["publish"], said="The verdict: registered, refused or failed.", pending=_PENDING,
    ),
)  # fmt: skip
async def publish_event(request: Request, wait: Wait = 0, speaks: Spoken = None) -> JSONResponse:
    """Record the event in the outbox before it answers: the desk signs, numbers, seals and sends it, also after a restart.

    The registrar's verdict is recorded when it comes. An `id` of your own makes the request safe to repeat.
    """
    door = door_of(request)
    seat = door.seat
    wanted, canonical = event_request.read(await body_of(request))
    drafts = event_request.drafts_of(seat, wanted, versions.asked(speaks or (), door.desk.speaks))
    await recipients.see(seat, wanted)

    def put(tx: Connection) -> list[tuple[str, str]]:
        placed = repeated.in_its_case(seat, tx, wanted, canonical, drafts)
        digest = event_request.known_by(seat, canonical)[0]
        for draft in placed:
            if wanted.document is not None and views.said(tx, seat.me, draft.subject, draft.id or "") is None:
                documents.announce(seat, tx, wanted.document, draft)
            queue.put(seat, tx, draft, origin="door", asked=digest, is_new=wanted.id is None)
        return [(draft.subject, draft.id or "") for draft in placed]

    try:
        ids = await door.ledger.together(put)
    except WireError as error:
        raise of_wire(error) from None
    answer = await door.until(lambda: door.said(ids), lambda found: found["verdict"] != "pending", wait)
    return JSONResponse(answer, 202 if answer["verdict"] == "pending" else 200)


@routes.get(
    "/v1/events/{id}",
    summary="Ask for the state of an event",
    **answers(
        EventState,
        _STATE,
        "not_found",
        needs=["publish"],
        said="The state, followed to the id of an event that was sealed again.",
    ),
)
async def get_event(request: Request, id: EventPath) -> JSONResponse:
    """Return the state and the verdict of an event of this agency. Records nothing."""
    door = door_of(request)
    with door.ledger.read() as tx:
        subject = views.subject_of(tx, door.seat.me, id)
        found = views.said(tx, door.seat.me, subject, id) if subject else None
    if found is None:
        raise DeskError("not_found")
    return JSONResponse(refusals.told(door.seat, found))


@routes.post(
    "/v1/events/{id}/again",
    summary="Send an event once more",
    **answers(
        Published, _PUBLISHED, "not_found", "not_sent_yet", "still_open", "unknown_field",
        needs=["publish"], said="The same receipt came again.", pending=_PENDING,
    ),
)  # fmt: skip
async def send_event_again(request: Request, id: EventPath, wait: Wait = 0) -> JSONResponse:
    """Send the same bytes of an answered event once more; the answer has the same receipt. Records nothing new."""
    door = door_of(request)
    async with door.ledger.write() as tx:
        subject = views.subject_of(tx, door.seat.me, id)
        row = verdicts.row_of(tx, subject, id) if subject else None
        if row is None:
            raise DeskError("not_found")
        if row.state == "signed":
            raise DeskError("still_open")
        if row.value is None:
            raise DeskError("not_sent_yet")
        tx.execute(update(tables.outbox).where(tables.outbox.c.seq == row.seq).values(again=1))
    of_row = [(row.subject, id)]

    def is_back(found: dict[str, Any]) -> bool:
        return not found["events"][0]["again"]

    answer = await door.until(lambda: door.said(of_row), is_back, wait)
    return JSONResponse(answer, 200 if is_back(answer) else 202)
