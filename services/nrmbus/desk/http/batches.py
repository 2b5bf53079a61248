"""Route that publishes several events in their order: all are taken, or none."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request
from fastapi.responses import JSONResponse
from sqlalchemy import Connection

from nrmbus.desk import versions
from nrmbus.desk.errors import DeskError, of_wire
from nrmbus.desk.http import events, recipients, repeated
from nrmbus.desk.http import request as event_request
from nrmbus.desk.http.answers import PENDING_EXAMPLE, PUBLISHED_EXAMPLE, Batch
from nrmbus.desk.http.documented import answers, subject
from nrmbus.desk.http.parameters import Prefer, Spoken, Wait, patience
from nrmbus.desk.http.request import Asked
from nrmbus.desk.http.scopes import caller_of
from nrmbus.desk.http.served import Door, body_of, door_of
from nrmbus.events.model import Draft
from nrmbus.wire import json
from nrmbus.wire.errors import WireError
from nrmbus.wire.ids import new_ref

routes: Final = subject("events")


@dataclass(frozen=True, slots=True)
class _Read:
    """One event of a batch, read and not yet placed."""

    asked: Asked
    canonical: bytes
    drafts: tuple[Draft, ...]
    follows: bool
    """True if the event names no case, and belongs to the case of the event before it."""


@routes.post(
    "/v1/batches",
    summary="Publish events in their order",
    openapi_extra={"requestBody": {"$ref": "#/components/requestBodies/Events"}},
    **answers(
        Batch, {"verdict": "registered", "published": [PUBLISHED_EXAMPLE]},
        "json_invalid", "json_duplicate", "too_large", "letter_too_large", "unknown_field", "unknown_type",
        "unknown_version", "unknown_recipient", "id_reused", "document_unknown",
        needs=["publish"], said="A verdict for each event, in their order.",
        pending={"verdict": "pending", "published": [PENDING_EXAMPLE]},
    ),
)  # fmt: skip
async def publish_batch(request: Request, wait: Wait = 0, prefer: Prefer = None, speaks: Spoken = None) -> JSONResponse:
    """Record all events in the outbox, in one transaction and in their order; or none of them, if one does not fit.

    The problem then has the event's number in the list as `event`, from 0, and pointers below `/events`. What is recorded
    is published as by `POST /v1/events`: the next event of a case is sent when the one before it has its verdict. An event
    that the registrar refuses does not hold up those behind it: each gets its own verdict.

    An event without `case` belongs to the case of the event before it. With an `id` of your own in each event the request
    is safe to repeat. A header `Idempotency-Key` has no effect here, since it names one event.
    """
    door, caller = door_of(request), caller_of(request)
    bodies = event_request.events_in(await body_of(request))
    spoken = versions.asked(speaks or (), door.desk.speaks)
    # Checked again within the transaction: the directory may have answered late.
    ids = await publish(door, bodies, spoken, lambda _: door.require_token(caller))

    async def said() -> dict[str, Any]:
        published = [await door.said(each) for each in ids]
        verdicts = [each["verdict"] for each in published]
        worst = next((each for each in ("pending", "failed", "refused") if each in verdicts), "registered")
        return {"verdict": worst, "published": published}

    seconds, headers = patience(request, wait, prefer)
    answer = await door.until(said, lambda found: found["verdict"] != "pending", seconds)
    return JSONResponse(answer, 202 if answer["verdict"] == "pending" else 200, headers)


async def publish(
    door: Door,
    bodies: list[dict[str, Any]],
    spoken: versions.Speaks,
    within: Callable[[Connection], None] | None = None,
) -> list[list[tuple[str, str]]]:
    """Record the events of *bodies* in the outbox, all or none; return case and id of the events that each has become.

    *within* does more in the same transaction, before the events are put.

    Raises:
        DeskError: as for one event, with the number of the event; whatever *within* raises.
    """
    read: list[_Read] = []
    for number, body in enumerate(bodies):
        try:
            read.append(_read(door, body, spoken, is_first=not read))
            await recipients.see(door.seat, read[-1].asked)
        except DeskError as error:
            raise error.of_event(number) from None

    def put(tx: Connection) -> list[list[tuple[str, str]]]:
        if within is not None:
            within(tx)
        placed: list[tuple[Draft, ...]] = []
        for number, each in enumerate(read):
            before = event_request.case_before(placed)
            try:
                placed.append(_placed(door, tx, each, before))
            except WireError as error:
                raise of_wire(error).of_event(number) from None
            except DeskError as error:
                raise error.of_event(number) from None
        return [[(draft.subject, draft.id or "") for draft in drafts] for drafts in placed]

    return await door.ledger.together(put)


def _read(door: Door, body: dict[str, Any], spoken: versions.Speaks, *, is_first: bool) -> _Read:
    """Return the event in *body*; one that follows has a case of nobody's until it is placed."""
    follows = event_request.follows(body, is_first=is_first)
    canonical = json.dumps(body)
    asked, _ = event_request.read(json.dumps({**body, "case": new_ref()}) if follows else canonical)
    return _Read(asked, canonical, event_request.drafts_of(door.seat, asked, spoken), follows)


def _placed(door: Door, tx: Connection, each: _Read, before: str) -> tuple[Draft, ...]:
    """Put the drafts of an event into the outbox within *tx*, in the case *before* if the event follows; return them."""
    asked, drafts = each.asked, each.drafts
    if each.follows:
        body = json.loads(each.canonical, limit=len(each.canonical))
        asked, _ = event_request.read(json.dumps({**body, "case": before}))
        drafts = tuple(repeated.in_case(one, before) for one in drafts)
    return events.placed(door.seat, tx, asked, each.canonical, drafts)
