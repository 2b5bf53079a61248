"""The inbox as a stream of server-sent events: as many streams as a desk can carry, and one reading of a page for all of them."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, NamedTuple

from fastapi import Depends, Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel

from nrmbus.desk import versions
from nrmbus.desk.access import documents
from nrmbus.desk.errors import DeskError, problem
from nrmbus.desk.http import views
from nrmbus.desk.http.answers import InboxEvent
from nrmbus.desk.http.documented import guarded, subject
from nrmbus.desk.http.inbox import EVENT_EXAMPLE, ONLY
from nrmbus.desk.http.parameters import After, Case, LedgerId, OfSource, OfType, Referral, Since, Spoken, Technical
from nrmbus.desk.http.served import Door, door_of

routes: Final = subject("inbox")

_PAGE: Final = 50
_RETRY: Final = 2000
"""Milliseconds after which a client connects again."""
_ID: Final = r"^[0-9]{1,19}-[0-9a-f]{16}$"


class Asked(BaseModel):
    """Parameters of a stream."""

    after: After = 0
    ledger: LedgerId = None
    case: Case = None
    type: OfType = None
    source: OfSource = None
    ref: Referral = None
    since: Since = None
    technical: Technical = False
    speaks: Spoken = None


class _Begun(NamedTuple):
    """A stream that may begin: after which row, and whether the rows are numbered anew."""

    door: Door
    asked: Asked
    after: int
    restarted: bool


LastEventId = Annotated[
    str | None,
    Header(pattern=_ID, description="The `id` of the last event that the client has; it goes before `after`."),
]


async def _begin(
    request: Request, asked: Annotated[Asked, Query()], last_event_id: LastEventId = None
) -> AsyncIterator[_Begun]:
    """Yield the stream; refuse it before it begins if there are too many."""
    door = door_of(request)
    versions.asked(asked.speaks or (), door.desk.speaks)
    after, ledger = asked.after, asked.ledger
    if last_event_id is not None:
        row, _, ledger = last_event_id.partition("-")
        after = int(row)
    with door.ledger.read() as tx:
        restarted = after > views.newest(tx) or ledger not in (None, door.ledger.id)
    with door.streams.one():
        yield _Begun(door, asked, 0 if restarted else after, restarted)


@routes.get(
    "/v1/inbox/stream",
    summary="Follow the inbox",
    response_class=EventSourceResponse,
    **guarded(
        {
            200: {
                "description": "Server-sent events. `data` of each is an event as in `GET /v1/inbox`, without its letter; "
                "`id` is its row and its ledger. An event `inbox_restarted` has a problem as `data`: the rows are "
                "numbered from the start again, and every event follows once more.",
                "content": {
                    "text/event-stream": {
                        "schema": {"type": "string", "x-data": {"$ref": f"#/components/schemas/{InboxEvent.__name__}"}},
                        "example": f"id: 12-9f2c4e6a8b0d1f35\ndata: {json.dumps(EVENT_EXAMPLE)}\n\n",
                    }
                },
            }
        },
        "unknown_field", "unknown_type", "unknown_version", "streams_used_up",
        needs=["read"],
    ),
)  # fmt: skip
async def follow_inbox(begun: Annotated[_Begun, Depends(_begin)]) -> AsyncIterator[ServerSentEvent]:
    """Send the received events as they come, in order, from row `after` or `Last-Event-ID` on. Records nothing.

    A comment comes every 15 seconds without an event. A client that reads nothing for a minute is cut off; it connects
    again with `Last-Event-ID`. Letters are opened by `GET /v1/inbox`.

    `since` leaves out earlier events for a program that needs no history. There is no `until`: a stream has no end.
    """
    door, after = begun.door, begun.after
    yield ServerSentEvent(comment="open", retry=_RETRY)
    if begun.restarted:
        restarted = problem(DeskError("inbox_restarted"))
        yield ServerSentEvent(event="inbox_restarted", raw_data=json.dumps(restarted), id=f"0-{door.ledger.id}")
    while True:
        await asyncio.sleep(0)  # nothing below has to wait while the watch is ahead of the page
        newest, page = _page(door, begun.asked, after)
        for row, said in page:
            yield ServerSentEvent(raw_data=said, id=f"{row}-{door.ledger.id}")
        if len(page) == _PAGE:
            after = page[-1][0]
            continue
        after = max(after, newest)
        await door.arrivals.past(after)


def _page(door: Door, asked: Asked, after: int) -> tuple[int, list[tuple[int, str]]]:
    """Return the newest row, and a page of rows with their events; streams that are equally far share one reading."""
    key = (after, asked.model_dump_json(exclude={"after", "ledger"}))
    return door.streams.shared(door.ledger.count, key, lambda: _read(door, asked, after))


def _read(door: Door, asked: Asked, after: int) -> tuple[int, list[tuple[int, str]]]:
    spoken = versions.asked(asked.speaks or (), door.desk.speaks)
    only: dict[str, Any] = {name: getattr(asked, name) for name in (*ONLY, "since")}
    with door.ledger.read() as tx:
        rows = views.received(tx, door.seat, after=after, limit=_PAGE, technical=asked.technical, **only)
        newest, came = views.newest(tx), documents.came(tx, door.desk, rows)
    heard = [(row.position, views.heard(row, spoken, came=came.get(row.position))) for row in rows]
    return newest, [(position, json.dumps(event, ensure_ascii=False)) for position, event in heard]
