"""Routes for CloudEvents over HTTP, above the door's routes for events and the inbox."""

import re
import time
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nrmbus.edge.cloud_events import mapping
from nrmbus.edge.door import Answer, DoorProblem, OwnDoor, body_of, seconds_of
from nrmbus.edge.misfit import Misfit, NotThere
from nrmbus.edge.problems import answer_of, handlers
from nrmbus.events.errors import Problem
from nrmbus.wire import json

ONE: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
MOST: Final = 200
"""Most events of one batch."""
_ROW: Final = re.compile("[0-9]{1,19}")


class CloudEvents:
    """Request handlers of CloudEvents over HTTP."""

    def __init__(self, door: OwnDoor) -> None:
        """Publish and read at *door*."""
        self._door = door

    def application(self) -> Starlette:
        """Return the routes of this adapter."""
        routes = [
            Route("/events", self.publish, methods=["POST"]),
            Route("/events", self.handshake, methods=["OPTIONS"]),
            Route("/inbox", self.inbox),
            Route("/inbox/{row}", self.one),
        ]
        return Starlette(routes=routes, exception_handlers=handlers(routes, mapping.place))

    async def handshake(self, _request: Request) -> Response:
        """Answer the validation request of the HTTP webhook specification: any sender with a token may deliver, as often as the token may ask."""
        return Response(headers={"allow": "POST, OPTIONS", "webhook-allowed-origin": "*", "webhook-allowed-rate": "*"})

    async def publish(self, request: Request) -> Response:
        """Publish one event, or the events of a batch in their order, up to the first that is not taken.

        The answer is that of ``POST /v1/events``, with 422 for an event that the registrar refused; for a batch a list.
        """
        until = time.monotonic() + seconds_of(request)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        raw = await body_of(request)
        if kind != BATCH:
            if kind == ONE:  # whatever the headers say: they may repeat the attributes (section 3.2.3)
                event = json.loads(raw, limit=len(raw), tidy=mapping.without_unset)
            elif any(name.startswith("ce-") for name in request.headers):
                event = mapping.from_headers(request.headers.items(), raw)
            else:
                raise Misfit(Problem("/datacontenttype", "literal_error", (ONE, BATCH)))
            answer = await self._say(request, event, until)
            return JSONResponse(answer.body, answer.status)
        answers: list[Answer] = []
        for event in _batch_in(raw):
            try:
                answers.append(await self._say(request, event, until))
            except (DoorProblem, Misfit) as error:
                answers.append(answer_of(error, mapping.place))
            if answers[-1].is_error:
                break
        status = max((answer.status for answer in answers), default=200)
        return JSONResponse([{"status": answer.status} | answer.body for answer in answers], status)

    async def _say(self, request: Request, event: dict[str, Any], until: float) -> Answer:
        params = {"wait": max(0.0, until - time.monotonic())}
        body = mapping.asked(event, self._door.agency)
        answer = await self._door.ask(request, "POST", "/v1/events", params=params, body=body)
        return answer._replace(status=422) if answer.body["verdict"] in {"refused", "failed"} else answer

    async def inbox(self, request: Request) -> Response:
        """Return a page of the inbox as a batch; parameters and readings are those of ``GET /v1/inbox``."""
        page = (await self._door.ask(request, "GET", "/v1/inbox", params=request.query_params.multi_items())).body
        events = [mapping.cloud_event(row, page["ledger"]) for row in page["events"]]
        headers = {}
        if page["events"]:
            after = request.url.include_query_params(after=page["events"][-1]["row"], ledger=page["ledger"])
            headers["link"] = f'<{request.url.path}?{after.query}>; rel="next"'
        return JSONResponse(events, headers=headers, media_type=BATCH)

    async def one(self, request: Request) -> Response:
        """Return the event of a row: structured, or with ``Accept: application/json`` in binary mode."""
        if _ROW.fullmatch(request.path_params["row"]) is None:  # a number of thousands of digits is none for Python
            raise NotThere
        row = int(request.path_params["row"])
        asked = [each for each in request.query_params.multi_items() if each[0] not in {"after", "limit", "technical"}]
        asked += [("after", str(max(0, row - 1))), ("limit", "1"), ("technical", "true")]
        # The page begins at the next received row if this one is the agency's own: its letter must not open for a 404.
        found = await self._at(request, row, [each for each in asked if each[0] != "open"])
        if found and "open" in request.query_params:
            found = await self._at(request, row, asked)
        if not found:
            raise NotThere
        if "application/json" in request.headers.get("accept", ""):
            headers, body = mapping.to_headers(found[0])
            return Response(body, headers=headers)
        return JSONResponse(found[0], media_type=ONE)

    async def _at(self, request: Request, row: int, asked: list[tuple[str, str]]) -> list[dict[str, Any]]:
        """Return the event of *row* as a list of one, or an empty list if the page that is *asked* for begins with another row."""
        page = (await self._door.ask(request, "GET", "/v1/inbox", params=asked)).body
        return [mapping.cloud_event(each, page["ledger"]) for each in page["events"] if each["row"] == row]


def _batch_in(raw: bytes) -> list[dict[str, Any]]:
    """Return the events of a batch, which the desk's reader of JSON takes as the one member of an object.

    Raises:
        WireError: the JSON cannot be read.
        Misfit: this is no list of at most `MOST` objects.
    """
    whole = json.loads(b'{"events":%s}' % raw, limit=len(raw) + 11, tidy=_without_unset)
    events = whole["events"]
    if len(whole) > 1 or not isinstance(events, list) or not all(isinstance(each, dict) for each in events):
        raise Misfit(Problem("", "list_type"))
    if len(events) > MOST:
        raise Misfit(Problem("", "too_long"))
    return events


def _without_unset(whole: dict[str, Any]) -> None:
    for each in whole["events"] if isinstance(whole["events"], list) else ():
        if isinstance(each, dict):
            mapping.without_unset(each)
