"""Routes of the agency's own events: publish, ask for the verdict, send again."""

from typing import Any, Final

from fastapi import Request
from fastapi.responses import JSONResponse
from sqlalchemy import Connection, update

from nrmbus.desk import versions
from nrmbus.desk.errors import DeskError, of_wire
from nrmbus.desk.http import recipients, repeated, views
from nrmbus.desk.http import request as event_request
from nrmbus.desk.http.answers import PENDING_EXAMPLE, PUBLISHED_EXAMPLE, STATE_EXAMPLE, EventOutcome, Published
from nrmbus.desk.http.documented import answers, subject
from nrmbus.desk.http.parameters import EventPath, IdempotencyKey, Prefer, Spoken, Wait, patience
from nrmbus.desk.http.scopes import caller_of
from nrmbus.desk.http.served import body_of, door_of
from nrmbus.desk.outbox import documents, queue, refusals, verdicts
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store import tables
from nrmbus.events.model import Draft
from nrmbus.wire.errors import WireError

routes: Final = subject("events")


@routes.post(
    "/v1/events",
    summary="Publish an event",
    openapi_extra={"requestBody": {"$ref": "#/components/requestBodies/Event"}},
    **answers(
        Published, PUBLISHED_EXAMPLE, "json_invalid", "json_duplicate", "too_large", "letter_too_large", "unknown_field",
        "unknown_type", "unknown_version", "unknown_recipient", "id_reused", "document_unknown",
        needs=["publish"], said="The verdict: registered, refused or failed.", pending=PENDING_EXAMPLE,
    ),
)  # fmt: skip
async def publish_event(
    request: Request,
    wait: Wait = 0,
    prefer: Prefer = None,
    idempotency_key: IdempotencyKey = None,
    speaks: Spoken = None,
) -> JSONResponse:
    """Record the event in the outbox before it answers: the desk signs, numbers, seals and sends it, also after a restart.

    The registrar's verdict is recorded when it comes. An `id` of your own, or an `Idempotency-Key`, makes the request safe
    to repeat: the same request again has the same answer, and another one with the same id is `id_reused`.
    """
    door, caller = door_of(request), caller_of(request)
    seat = door.seat
    wanted, canonical = event_request.read(await body_of(request), idempotency_key and idempotency_key.strip('"'))
    drafts = event_request.drafts_of(seat, wanted, versions.asked(speaks or (), door.desk.speaks))
    await recipients.see(seat, wanted)

    def put(tx: Connection) -> tuple[list[tuple[str, str]], dict[str, Any]]:
        door.require_token(caller)  # the directory may have answered late
        ids = [(draft.subject, draft.id or "") for draft in placed(seat, tx, wanted, canonical, drafts)]
        return ids, door.said_within(tx, ids)

    try:
        ids, answer = await door.ledger.together(put)
    except WireError as error:
        raise of_wire(error) from None
    seconds, headers = patience(request, wait, prefer)
    if seconds and answer["verdict"] == "pending":
        answer = await door.until(lambda: door.said(ids), lambda found: found["verdict"] != "pending", seconds)
    return JSONResponse(answer, 202 if answer["verdict"] == "pending" else 200, headers)


def placed(
    seat: Seat, tx: Connection, asked: event_request.Asked, canonical: bytes, drafts: tuple[Draft, ...]
) -> tuple[Draft, ...]:
    """Put *drafts* into the outbox within *tx*, as *asked* with the *canonical* request; return them in their case.

    Raises:
        DeskError: ``id_reused``, ``document_unknown``.
        WireError: ``letter_too_large``.
    """
    drafts = repeated.in_its_case(seat, tx, asked, canonical, drafts)
    digest = event_request.known_by(seat, canonical)[0]
    for draft in drafts:
        if asked.document is not None:
            said = views.said(tx, seat.me, draft.subject, draft.id or "")
            if said is None:
                documents.announce(seat, tx, asked.document, draft)
            elif said["verdict"] in {"registered", "pending"}:  # whoever repeats a request uploads the document again
                documents.let_go(tx, asked.document, draft.subject)
        queue.put(seat, tx, draft, origin="door", asked=digest, is_new=asked.id is None)
    return drafts


@routes.get(
    "/v1/events/{id}",
    summary="Ask for the state of an event",
    **answers(
        EventOutcome,
        STATE_EXAMPLE,
        "not_found",
        needs=["publish"],
        said="The state, followed to the id of an event that was sealed again.",
    ),
)
async def get_event(request: Request, id: EventPath) -> JSONResponse:
    """Return the state and the verdict of an event of this agency. Records nothing.

    If the request had several receivers, the id of its first event has the verdict of all, and the state of each in `events`.
    """
    door = door_of(request)
    with door.ledger.read() as tx:
        subject = views.subject_of(tx, door.seat.me, id)
        found = views.of_request(tx, door.seat.me, subject, id) if subject else []
    if not found:
        raise DeskError("not_found")
    first, *others = told = [refusals.told(door.seat, each) for each in found]
    return JSONResponse({**first, **views.together(told), "id": first["id"]} if others else first)


@routes.post(
    "/v1/events/{id}/again",
    summary="Send an event once more",
    **answers(
        Published, PUBLISHED_EXAMPLE, "not_found", "not_sent_yet", "still_open", "unknown_field",
        needs=["publish"], said="The same receipt came again.", pending=PENDING_EXAMPLE,
    ),
)  # fmt: skip
async def send_event_again(request: Request, id: EventPath, wait: Wait = 0) -> JSONResponse:
    """Send the same bytes of an answered event once more; the answer has the same receipt. Records nothing new."""
    door = door_of(request)
    async with door.ledger.write() as tx:
        door.require_token(caller_of(request))
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
