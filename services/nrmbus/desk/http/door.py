"""The desk's door: HTTP on this machine, for the agency's own system, its pages, the player and the command line.

Errors (RFC 9457) never repeat input, and nothing is done before the token was checked.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute
from starlette.types import Message, Receive, Scope, Send

from nrmbus.bus.http_server import CHALLENGE, bearer
from nrmbus.desk.errors import DeskCode, DeskError, problem
from nrmbus.desk.http import (
    batches,
    books,
    bulletins,
    cases,
    checks,
    cursors,
    document,
    documents,
    events,
    inbox,
    inbox_stream,
    records,
    staff,
    state,
    steps,
    tasks,
    timelines,
    token_routes,
    webhooks,
)
from nrmbus.desk.http.closed import is_closed
from nrmbus.desk.http.documented import PROBLEM_JSON
from nrmbus.desk.http.limits import Limits
from nrmbus.desk.http.request import BODY_LIMIT
from nrmbus.desk.http.scopes import LOCAL, VISITOR, Caller, admit
from nrmbus.desk.http.served import Door
from nrmbus.edge.door import INNER
from nrmbus.edge.problems import allowed
from nrmbus.events.document import LARGEST
from nrmbus.events.errors import Problem, values_of

ROUTES: Final[tuple[APIRouter, ...]] = (
    events.routes,
    batches.routes,
    checks.routes,
    inbox.routes,
    documents.routes,
    inbox_stream.routes,
    cursors.routes,
    cases.routes,
    timelines.routes,
    steps.routes,
    books.routes,
    bulletins.routes,
    tasks.routes,
    webhooks.routes,
    records.routes,
    state.routes,
    token_routes.routes,
    staff.routes,
    document.routes,
)
"""The routes by subject, in the order of the document."""

_PLACES: Final = {"query": "?{}", "path": "{{{}}}", "header": "{}:"}
_DIGITS: Final = 12
_ROOM: Final[dict[str, int]] = {"streams_used_up": 5, "documents_waiting": 60}
"""Seconds after which a program may try again for which there is no room: nobody knows when another one goes."""
_STATUS: Final[dict[int, DeskCode]] = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}


class Token:
    """Check of the token and of its limits: runs first on each request, before the body is read."""

    def __init__(
        self,
        app: Starlette,
        known: Callable[[str | None], Caller | None],
        limits: Limits | None = None,
        *,
        holds: Callable[[Caller], bool] = lambda _: True,
        role: str | None = None,
    ) -> None:
        """Guard *app*; *known* returns the caller whose token an Authorization header has, or None.

        *holds* says of a caller whether its token is still valid. If an agency with *role* has no cases, programs with a
        token find no route about one: 404.
        """
        self.app, self._known, self._limits, self._holds, self._role = app, known, limits or Limits(), holds, role

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on requests with a known token, and their caller; answer 401 to the others, and 429 beyond a limit."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        sent = [value.decode("latin-1") for name, value in scope.get("headers", ()) if name == b"authorization"]
        caller = self._known(bearer(sent[0])) if scope["type"] == "http" and len(sent) == 1 else None
        if caller is None and not sent and _is_public(scope):
            caller = VISITOR
        counts = INNER not in scope  # the request that the adapter serves was counted
        if caller is not None and counts and (wait := self._limits.enter(caller, _size(scope))):
            await _answer(DeskError("too_many_requests"), {"retry-after": str(wait)})(scope, receive, send)
        elif caller is not None:
            admit(scope, caller)
            refused = self._refused(caller, scope)
            try:
                answer = self.app if refused is None else _answer(refused)
                unstored = send if caller is VISITOR else _unstored(send)
                if caller in (LOCAL, VISITOR):
                    await answer(scope, receive, unstored)
                else:
                    await answer(scope, self._from(caller, receive), self._to(caller, scope, receive, unstored))
            finally:
                if counts:
                    self._limits.leave(caller)
        elif scope["type"] == "http":
            await _answer(DeskError("token_required"))(scope, receive, send)

    def _refused(self, caller: Caller, scope: Scope) -> DeskError | None:
        """Return why no route gets the request; None if one may. A NUL fits no text of a ledger on a server."""
        if "\0" in scope["path"] or (caller not in (LOCAL, VISITOR) and is_closed(self._role, scope["path"])):
            return DeskError("not_found")
        if any(each in scope["query_string"] for each in (b"%00", b"\0")):
            return DeskError("unknown_field", [Problem("?", "string_pattern_mismatch")])
        return None

    def _from(self, caller: Caller, receive: Receive) -> Receive:
        """Return *receive* that takes nothing more from *caller* once its token has ended: a body may come slowly."""

        async def received() -> Message:
            message = await receive()
            if message["type"] == "http.request" and not self._holds(caller):
                raise DeskError("token_required")
            return message

        return received

    def _to(self, caller: Caller, scope: Scope, receive: Receive, send: Send) -> Send:
        """Return *send* that hands nothing more to *caller* once its token has ended: a stream ends, a long poll gets 401."""
        is_refused = False

        async def sent(message: Message) -> None:
            nonlocal is_refused
            if is_refused:
                return
            if self._holds(caller):
                await send(message)
            elif message["type"] == "http.response.start":
                is_refused = True
                await _answer(DeskError("token_required"))(scope, receive, send)
            else:
                raise TokenEnded

        return sent


def _unstored(send: Send) -> Send:
    """Return *send* whose answers no cache keeps: an opened letter among them, whichever adapter hands it on."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).setdefault("cache-control", "no-store")
        await send(message)

    return sent


class TokenEnded(Exception):
    """Raised in an answer that has begun: its token was revoked, or has ended, and the connection is closed."""


def _is_public(scope: Scope) -> bool:
    """Return whether a browser of this machine asks for the page of the document, which is the same at every desk."""
    asked = (scope["type"], scope.get("scheme"), scope.get("path"), scope.get("method"))
    return asked == ("http", "http", "/docs", "GET")


def _size(scope: Scope) -> int:
    """Return the announced size of a body, at most that of a document: no route reads more.

    A size that is not announced counts as the largest of an event.
    """
    sent = dict(scope["headers"])
    size = sent.get(b"content-length", b"0").decode("latin-1")
    if not size.isdecimal() or b"transfer-encoding" in sent:
        return BODY_LIMIT
    return min(int(size[:_DIGITS]), LARGEST)


def _answer(error: DeskError, headers: Mapping[str, str] | None = None) -> Response:
    if (seconds := _ROOM.get(error.code)) is not None:
        headers = {"retry-after": str(seconds)}
    if error.code == "token_required":
        headers = CHALLENGE
    return JSONResponse(problem(error), error.status, headers, media_type=PROBLEM_JSON)


def _of_parameter(item: Any) -> Problem:
    """Return the problem of a parameter: ``?name`` of the query, ``{name}`` of the path, ``name:`` of the headers."""
    where, name = item["loc"][:2]
    return Problem(_PLACES[where].format(name), item["type"], values_of(item))


@asynccontextmanager
async def _at_once() -> AsyncIterator[None]:
    yield


def application(
    door: Door,
    known: Callable[[str | None], Caller | None],
    running: Callable[[], AbstractAsyncContextManager[None]] = _at_once,
) -> Token:
    """Return the HTTP application of *door*; *known* returns the caller with a token, *running* is active while the door is open."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Door]]:
        async with running():
            yield {"door": door}  # the state of each request

    return Token(routed(lifespan), known, holds=door.tokens.holds, role=door.seat.role)


def routed(lifespan: Callable[[FastAPI], AbstractAsyncContextManager[dict[str, Door]]] | None = None) -> FastAPI:
    """Return the routes of every desk, with their errors; the state of a request has its door."""
    # Given as one list: FastAPI would look for an included router's route a second time at each request.
    listed: list[BaseRoute] = [route for each in ROUTES for route in each.routes]
    app = FastAPI(
        title="nrmbus desk",
        routes=listed,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )

    async def desk_error(_request: Request, error: Exception) -> Response:
        return _answer(error if isinstance(error, DeskError) else DeskError("not_available"))

    async def http_error(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            return _answer(DeskError("not_available"))
        code = _STATUS.get(error.status_code, "not_found")
        return _answer(
            DeskError(code), allowed(listed, request.scope) if code == "method_not_allowed" else error.headers
        )

    async def parameter_error(_request: Request, error: Exception) -> Response:
        found = error.errors() if isinstance(error, RequestValidationError) else ()
        return _answer(
            DeskError("unknown_field", map(_of_parameter, found))
        )  # FastAPI's own error would repeat the input

    app.add_exception_handler(DeskError, desk_error)
    app.add_exception_handler(SQLAlchemyError, desk_error)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(RequestValidationError, parameter_error)
    app.add_exception_handler(Exception, desk_error)
    return app
