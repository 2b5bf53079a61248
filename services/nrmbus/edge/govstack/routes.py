"""Routes of GovStack's PubSub API, above the door's routes for events, the inbox and cursors."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from nrmbus.edge.door import DoorProblem, OwnDoor, body_of, seconds_of
from nrmbus.edge.govstack import mapping
from nrmbus.edge.misfit import Misfit, NotThere
from nrmbus.edge.problems import PROBLEM_JSON, allowed, answer_of
from nrmbus.events.errors import Problem
from nrmbus.wire import json
from nrmbus.wire.errors import WireError

Json = dict[str, Any]

CLIENT: Final = "x-govstack-client"
_TYPE: Final = "/{event_type:str}"
_EVENT: Final = _TYPE + "/{event_id:str}"
_INVALID: Final = frozenset({413, 422})
"""Statuses of the door for which the API has 400."""


class GovStack:
    """Request handlers of the PubSub API: one room, whose types of event are those of the bus."""

    def __init__(self, door: OwnDoor) -> None:
        """Publish, and read the inbox, at *door*."""
        self._door = door

    def application(self) -> Starlette:
        """Return the routes of this adapter."""
        subs = {"GET": self.subscription, "POST": self.subscribe, "PATCH": self.change, "DELETE": self.unsubscribe}
        routes = [
            Route("/api/v1/eventType", self.types, methods=["GET"]),
            Route("/api/v1/eventType", self.make_type, methods=["POST"]),
            Route(f"/api/v1/eventType{_TYPE}", self.type, methods=["GET"]),
            Route("/api/v1/subs", self.subscriptions, methods=["GET"]),
            *(Route(f"/api/v1/subs{_TYPE}", handler, methods=[method]) for method, handler in subs.items()),
            Route(f"/pub/v1{_TYPE}", self.publish, methods=["POST"]),
            Route(f"/pub/v1{_EVENT}", self.status, methods=["GET"]),
            Route(f"/pull/v1{_TYPE}", self.pull, methods=["GET"]),
            Route(f"/pull/v1{_EVENT}", self.confirm, methods=["DELETE"]),
        ]
        room = Mount("/r1/{instance}/{member_class}/{member}/{room}", routes=routes)
        found: tuple[Any, ...] = (DoorProblem, Misfit, NotThere, WireError, HTTPException)

        async def refused(request: Request, error: Exception) -> Response:
            if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
                return Response(status_code=405, headers=allowed(routes, request.scope))
            return _refused(request, error)

        return Starlette(routes=[room], exception_handlers=dict.fromkeys(found, refused))

    def _kind(self, request: Request) -> str:
        """Return the type of event in the address, in this desk's room.

        Raises:
            NotThere: another member's room, or a type that is not published.
            Misfit: the header that names the calling application is missing.
        """
        self._in_room(request)
        name = str(request.path_params["event_type"])
        if mapping.event_type(name) is None:
            raise NotThere
        return name

    def _in_room(self, request: Request) -> str:
        if (request.path_params["member"], request.path_params["room"]) != (self._door.agency, mapping.ROOM):
            raise NotThere
        if not request.headers.get(CLIENT):
            raise Misfit(Problem(f"{CLIENT}:", "missing"))
        return str(request.path_params["instance"])

    async def types(self, request: Request) -> Response:
        """Return the types of event."""
        self._in_room(request)
        return JSONResponse(mapping.types())

    async def make_type(self, request: Request) -> Response:
        """Refuse a type of event: the bus publishes them with the Rules. One that is there already is a conflict."""
        self._in_room(request)
        wanted = (await _object(request)).get("eventType")
        if isinstance(wanted, str) and mapping.event_type(wanted) is not None:
            return Response(status_code=409)
        raise Misfit(Problem("/eventType", "literal_error", mapping.types()))

    async def type(self, request: Request) -> Response:
        """Return a type of event with its schema."""
        try:
            return JSONResponse(mapping.event_type(self._kind(request)))
        except NotThere:
            return Response(status_code=204)

    async def publish(self, request: Request) -> Response:
        """Publish an event; 201 with its id once it is registered, or while there is no verdict yet."""
        body = mapping.asked(self._kind(request), await _object(request))
        params = {"wait": seconds_of(request)}
        answer = await self._door.ask(request, "POST", "/v1/events", params=params, body=body)
        if answer.body["verdict"] in {"refused", "failed"}:
            return JSONResponse(answer.body, 400)
        return JSONResponse({"id": answer.body["id"]}, 201)

    async def status(self, request: Request) -> Response:
        """Return an own event with its verdict."""
        kind, instance = self._kind(request), self._in_room(request)
        state = (await self._door.ask(request, "GET", f"/v1/events/{request.path_params['event_id']}")).body
        if state.get("type") != kind:
            raise NotThere
        return JSONResponse(mapping.published(state, self._door.agency, instance))

    async def subscriptions(self, request: Request) -> Response:
        """Return the subscriptions of the caller's token."""
        instance = self._in_room(request)
        found, after = [], ""
        while True:
            page = (await self._door.ask(request, "GET", "/v1/cursors", params={"after": after})).body
            found += [mapping.subscription(each["name"], self._door.agency, instance) for each in page["cursors"]]
            if page["next"] is None:
                return JSONResponse([each for each in found if each is not None])
            after = page["next"]

    async def subscription(self, request: Request) -> Response:
        """Return one subscription."""
        kind = self._kind(request)
        await self._after(request, kind)
        return JSONResponse(mapping.subscription(mapping.cursor_of(kind), self._door.agency, self._in_room(request)))

    async def subscribe(self, request: Request) -> Response:
        """Keep a subscription: a cursor of the token, which begins behind the newest row."""
        kind = self._kind(request)
        mapping.subscribed(kind, await _object(request))
        try:
            await self._after(request, kind)
        except NotThere:
            await self._door.ask(request, "PUT", f"/v1/cursors/{mapping.cursor_of(kind)}")
            return Response(status_code=200)
        return Response(status_code=409)

    async def change(self, request: Request) -> Response:
        """Take a change of a subscription that changes nothing; a desk has no other options."""
        kind = self._kind(request)
        await self._after(request, kind)
        mapping.subscribed(kind, await _object(request))
        return Response(status_code=201)

    async def unsubscribe(self, request: Request) -> Response:
        """Remove a subscription."""
        kind = self._kind(request)
        await self._after(request, kind)
        await self._door.ask(request, "DELETE", f"/v1/cursors/{mapping.cursor_of(kind)}")
        return Response(status_code=204)

    async def pull(self, request: Request) -> Response:
        """Return the oldest event of a type that was not confirmed; the same one until it is."""
        kind, instance = self._kind(request), self._in_room(request)
        row = await self._first(request, kind)
        if row is None:
            raise NotThere
        return JSONResponse(mapping.item(row, instance))

    async def confirm(self, request: Request) -> Response:
        """Confirm the event that a pull gave last: the next pull gives the one behind it."""
        kind = self._kind(request)
        row = await self._first(request, kind)
        if row is None:
            raise NotThere
        if row["id"] != request.path_params["event_id"]:
            return Response(status_code=409)
        await self._door.ask(request, "PUT", f"/v1/cursors/{mapping.cursor_of(kind)}", params={"after": row["row"]})
        return Response(status_code=204)

    async def _after(self, request: Request, kind: str) -> int:
        """Return the row behind which the subscription to *kind* goes on. Raises NotThere if there is none."""
        try:
            answer = await self._door.ask(request, "GET", f"/v1/cursors/{mapping.cursor_of(kind)}")
        except DoorProblem as error:
            if error.answer.body.get("code") != "not_found":
                raise
            raise NotThere from None
        return int(answer.body["after"])

    async def _first(self, request: Request, kind: str) -> Json | None:
        """Return the first row behind the subscription to *kind*; None if there is none now.

        Raises:
            Misfit: the token has no subscription to this type.
        """
        try:
            after = await self._after(request, kind)
        except NotThere:
            raise Misfit(Problem("/eventType", "missing")) from None
        params = {"after": after, "limit": 1, "type": kind, "technical": "true"}
        page = (await self._door.ask(request, "GET", "/v1/inbox", params=params)).body
        return dict(page["events"][0]) if page["events"] else None


async def _object(request: Request) -> Json:
    raw = await body_of(request)
    return json.loads(raw, limit=len(raw))


def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return Response(status_code=error.status_code)
    place: Callable[[str], str] = mapping.place if isinstance(error, DoorProblem) else str
    answer = answer_of(error, place)
    status = 400 if answer.status in _INVALID else answer.status
    if isinstance(error, Misfit) and "/pull/" in request.url.path:
        status = 409
    body = answer.body | {"status": status}
    return JSONResponse(body, status, answer.headers, media_type=PROBLEM_JSON)
