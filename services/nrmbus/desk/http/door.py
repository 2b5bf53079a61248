"""The desk's door: HTTP on this machine, for the agency's own system, its pages, the player and the command line.

Errors (RFC 9457) never repeat input, and nothing is done before the token was checked.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Annotated, Any, Final, Literal

from fastapi import FastAPI, Query, Request, Response
from fastapi import Path as PathParam
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import StringConstraints
from sqlalchemy import Connection, update
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from nrmbus.desk import versions
from nrmbus.desk.access import opening
from nrmbus.desk.access.written_parts import written
from nrmbus.desk.desk import Desk
from nrmbus.desk.errors import DeskCode, DeskError, of_wire, problem
from nrmbus.desk.http import recipients, repeated, views
from nrmbus.desk.http import request as event_request
from nrmbus.desk.http.measured import Measured
from nrmbus.desk.http.scopes import Caller, Opens, admit, needs
from nrmbus.desk.outbox import queue, refusals, verdicts
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import finish_task
from nrmbus.desk.witness import cosignatures
from nrmbus.events.access import AccessPurpose
from nrmbus.events.errors import Problem, values_of
from nrmbus.events.model import Draft
from nrmbus.telemetry.metrics import CONTENT_TYPE, page
from nrmbus.wire.errors import WireError

LONGEST_WAIT: Final = 60.0
Wait = Annotated[float, Query(ge=0, le=LONGEST_WAIT)]
Limit = Annotated[int, Query(ge=1, le=1000)]
LAST_ROW: Final = 2**63 - 1
"""Largest row number of SQLite."""
After = Annotated[int, Query(ge=0, le=LAST_ROW)]
Task = Annotated[int, PathParam(ge=0, le=LAST_ROW)]
Who = Annotated[str, Query(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Flag = Annotated[bool, Query()]
LedgerId = Annotated[str, Query(pattern=r"^[0-9a-f]{16}$")]
Handed = Literal["case", "person_report", "export"]
"""Readings and disclosures of a whole case, as `events/access.py` defines them."""

CASE_REF: Final = re.compile("[0-9a-f]{32}")
Ref = Annotated[str, Query(pattern=r"^[0-9a-f]{32}$")]
Spoken = Annotated[
    list[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,40}\.[a-z][a-z_]{0,40}:[1-9][0-9]{0,3}$")]] | None,
    Query(max_length=256),
]
"""Version that the requesting system speaks, as ``referral.submitted:2``; overrides the desk's declaration."""

_STATUS: Final[dict[int, DeskCode]] = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}


class Token:
    """Check of the token: runs first on each request, before the body is read."""

    def __init__(self, app: Starlette, known: Callable[[str | None], Caller | None]) -> None:
        """Guard *app*; *known* returns the caller whose token an Authorization header has, or None."""
        self.app, self._known = app, known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on requests with a known token, and their caller; answer 401 to the others."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        sent = [value.decode("latin-1") for name, value in scope.get("headers", ()) if name == b"authorization"]
        caller = self._known(sent[0]) if scope["type"] == "http" and len(sent) == 1 else None
        if caller is not None:
            admit(scope, caller)
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await _answer(DeskError("token_required"))(scope, receive, send)


def _answer(error: DeskError) -> Response:
    headers = {"www-authenticate": "Bearer"} if error.status == DeskError("token_required").status else None
    return JSONResponse(problem(error), error.status, headers, media_type="application/problem+json")


async def body_of(request: Request) -> bytes:
    """Return the body, unless it is too long.

    Raises:
        DeskError: ``too_large``, by the actual or the announced length.
    """
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced[:12]) > event_request.BODY_LIMIT:
        raise DeskError("too_large")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > event_request.BODY_LIMIT:
            raise DeskError("too_large")
        parts.append(part)
    return b"".join(parts)


class Door:
    """Request handlers of one desk."""

    def __init__(
        self,
        desk: Desk,
        *,
        health: Callable[[], Awaitable[dict[str, Any]]],
        release: Callable[[str], Awaitable[int]],
        vitals: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        """Open on *desk*; *health* and *vitals* add the process's own values, *release* lets a case's parked records through."""
        self._desk, self._seat, self._ledger = desk, desk.seat, desk.seat.ledger
        self._health, self._release, self._vitals = health, release, vitals
        self._measured = Measured(desk.seat)
        self._shown = views.Shown(self._ledger, desk.seat.me)

    # -- saying ------------------------------------------------------------------------------------------------------

    async def say(self, request: Request, wait: Wait = 0, speaks: Spoken = None) -> JSONResponse:
        """Publish an event: the desk signs, numbers and seals it. 202 while the answer is pending, 200 with the verdict."""
        wanted, canonical = event_request.read(await body_of(request))
        drafts = event_request.drafts_of(self._seat, wanted, versions.asked(speaks or (), self._desk.speaks))
        await recipients.see(self._seat, wanted)

        def put(tx: Connection) -> list[tuple[str, str]]:
            placed = repeated.in_its_case(self._seat, tx, wanted, canonical, drafts)
            digest = event_request.known_by(self._seat, canonical)[0]
            for draft in placed:
                queue.put(self._seat, tx, draft, origin="door", asked=digest, is_new=wanted.id is None)
            return [(draft.subject, draft.id or "") for draft in placed]

        try:
            ids = await self._ledger.together(put)
        except WireError as error:
            raise of_wire(error) from None
        answer = await self._until(lambda: self._said(ids), lambda found: found["verdict"] != "pending", wait)
        return JSONResponse(answer, 202 if answer["verdict"] == "pending" else 200)

    async def _said(self, ids: list[tuple[str, str]]) -> dict[str, Any]:
        with self._ledger.read() as tx:
            found = [views.said(tx, self._seat.me, subject, id) for subject, id in ids]
        return views.together([refusals.told(self._seat, part) for part in found if part is not None])

    async def _until(
        self, look: Callable[[], Awaitable[dict[str, Any]]], enough: Callable[[dict[str, Any]], bool], seconds: float
    ) -> dict[str, Any]:
        until = time.monotonic() + seconds
        while True:
            seen = self._ledger.count
            found = await look()
            left = until - time.monotonic()
            if enough(found) or left <= 0:
                return found
            with suppress(TimeoutError):
                async with asyncio.timeout(left), self._ledger.commits:
                    await self._ledger.commits.wait_for(partial(self._ledger.passed, seen))

    async def again(self, id: str, wait: Wait = 0) -> JSONResponse:
        """Send the same bytes of an answered event once more; with *wait*, return the answer with the same receipt."""
        async with self._ledger.write() as tx:
            subject = views.subject_of(tx, self._seat.me, id)
            row = verdicts.row_of(tx, subject, id) if subject else None
            if row is None:
                raise DeskError("not_found")
            if row.state == "signed":
                raise DeskError("still_open")
            if row.value is None:
                raise DeskError("not_sent_yet")
            tx.execute(update(tables.outbox).where(tables.outbox.c.seq == row.seq).values(again=1))
        of_row = [(row.subject, id)]
        answer = await self._until(lambda: self._said(of_row), lambda found: not found["events"][0]["again"], wait)
        return JSONResponse(answer, 202 if answer["events"][0]["again"] else 200)

    async def event(self, id: str) -> dict[str, Any]:
        """Return the state of an event of this agency."""
        with self._ledger.read() as tx:
            subject = views.subject_of(tx, self._seat.me, id)
            found = views.said(tx, self._seat.me, subject, id) if subject else None
        if found is None:
            raise DeskError("not_found")
        return refusals.told(self._seat, found)

    # -- looking -----------------------------------------------------------------------------------------------------

    async def inbox(
        self,
        case: Ref | None = None,
        after: After = 0,
        ledger: LedgerId | None = None,
        limit: Limit = 200,
        open: Opens = False,  # noqa: FBT002 - a query parameter has its default in the signature
        technical: Flag = False,  # noqa: FBT002 - the same
        actor: Who | None = None,
        purpose: AccessPurpose = "case_work",
        speaks: Spoken = None,
    ) -> dict[str, Any]:
        """Return events received, in order, each in the spoken version, and the `ledger` that numbers the rows.

        With *open*, return their letters too: each reading is registered first, for *actor* and *purpose*.

        Raises:
            DeskError: ``inbox_restarted`` if row *after* is beyond the newest row, or was numbered by another *ledger*.
        """
        spoken = versions.asked(speaks or (), self._desk.speaks)
        most = min(limit, opening.MOST) if open else limit
        with self._ledger.read() as tx:
            if after > views.newest(tx) or (after and ledger not in (None, self._ledger.id)):
                raise DeskError("inbox_restarted")
            rows = views.received(tx, self._seat, case=case, after=after, limit=most, technical=technical)
        if not open:
            return {"ledger": self._ledger.id, "events": [views.heard(row, spoken) for row in rows]}
        who = opening.reader(self._desk, actor)
        found = await opening.to_open(self._desk, rows, who=who, purpose=purpose)
        await self._put_on_record(found.due.values())
        events = [await views.opened(self._desk, row, spoken, who=who, purpose=purpose, asked=found) for row in rows]
        return {"ledger": self._ledger.id, "events": events}

    async def _put_on_record(self, drafts: Collection[Draft]) -> dict[str, Any]:
        """Have the registrar record the readings of *drafts*. Nothing was read if this raises."""
        if not drafts:
            return {}
        ids = await opening.put(self._desk, drafts)
        found = await self._until(
            lambda: self._said(ids), lambda found: found["verdict"] != "pending", opening.WITHIN_SECONDS
        )
        if found["verdict"] == "refused":
            ground: dict[str, object] = {name: found[name] for name in ("rule", "article") if name in found}
            raise DeskError("read_refused", detail=found["sentence"], safe={"refusal": found["code"], **ground})
        if found["verdict"] != "registered":
            raise DeskError("read_not_registered")
        return found

    async def read_case(
        self, ref: str, what: Handed, actor: Who | None = None, purpose: AccessPurpose = "case_work"
    ) -> dict[str, Any]:
        """Record that *actor* reads the case as a whole, or hands it on; then this is permitted.

        For a report to the person, ``written`` names the parts of the case's letters that have content.
        """
        if CASE_REF.fullmatch(ref) is None:
            raise DeskError("not_found")
        who = opening.reader(self._desk, actor)
        said = await self._put_on_record([opening.access(self._desk, ref, what, who=who, purpose=purpose)])
        return said | {"written": await written(self._desk, ref)} if what == "person_report" else said

    async def reads(self, ref: str) -> dict[str, Any]:
        """Return this desk's openings of a case's letters, with the readers."""
        with self._ledger.read() as tx:
            return {"reads": views.reads(tx, ref)}

    async def case(self, ref: str) -> dict[str, Any]:
        """Return this agency's view of a case: the fold of all sent and received events."""
        with self._ledger.read() as tx:
            found = views.case(tx, self._desk, ref)
        if found is None:
            raise DeskError("not_found")
        return found

    async def cases(self, after: Annotated[str, Query(max_length=32)] = "", limit: Limit = 200) -> dict[str, Any]:
        """Return the cases that this agency knows."""
        with self._ledger.read() as tx:
            return {"cases": views.cases(tx, after=after, limit=limit)}

    async def tasks(self, after: After = 0, limit: Limit = 200) -> dict[str, Any]:
        """Return the open tasks."""
        with self._ledger.read() as tx:
            return {"tasks": views.tasks(tx, after=after, limit=limit)}

    async def done(self, task: Task) -> dict[str, Any]:
        """Mark a task as done."""
        async with self._ledger.write() as tx:
            if not finish_task(tx, task, self._seat.stamp()):
                raise DeskError("not_found")
        return {"task": task, "done": True}

    async def release(self, ref: str) -> dict[str, Any]:
        """Let a case's parked records through, in order; stops at the first that fails again."""
        if ref not in self._desk.parked:
            raise DeskError("not_parked")
        if ref in self._desk.ahead:  # a withdrawal may follow the letter: the desk continues automatically
            raise DeskError("inbox_unread")
        return {"case": ref, "left": await self._release(ref)}

    async def witness(self) -> dict[str, Any]:
        """Return this desk's co-signatures of the history's logs, and the alarms."""
        with self._ledger.read() as tx:
            return {"logs": cosignatures.view(tx)}

    async def health(self) -> dict[str, Any]:
        """Return the state of the desk, in one snapshot."""
        process = await self._health()
        return {
            "service": self._seat.me,
            "live": True,
            **process,
            **self._desk.health(),
            **self._shown.position(),
        }

    async def metrics(self) -> Response:
        """Return the desk's metrics in Prometheus' text format."""
        facts = {**await self.health(), **self._measured.facts(), **self._vitals()}
        return Response(page("desk", facts), headers={"content-type": CONTENT_TYPE})


def _of_parameter(item: Any) -> Problem:
    """Return the problem of a parameter of the address: ``?name`` of the query, ``{name}`` of the path."""
    where, name = item["loc"][:2]
    return Problem(f"?{name}" if where == "query" else f"{{{name}}}", item["type"], values_of(item))


@asynccontextmanager
async def _at_once() -> AsyncIterator[None]:
    yield


def application(
    door: Door,
    known: Callable[[str | None], Caller | None],
    running: Callable[[], AbstractAsyncContextManager[None]] = _at_once,
) -> Token:
    """Return the HTTP application of *door*; *known* returns the caller with a token, *running* is active while the door is open."""
    app = FastAPI(title="nrmbus desk", docs_url=None, redoc_url=None, lifespan=lambda _: running())
    app.post("/v1/events", response_model=None, dependencies=[needs("publish")])(door.say)
    app.post("/v1/events/{id}/again", response_model=None, dependencies=[needs("publish")])(door.again)
    app.get("/v1/events/{id}", dependencies=[needs("publish")])(door.event)
    app.get("/v1/inbox", dependencies=[needs("read")])(door.inbox)
    app.get("/v1/cases", dependencies=[needs("read")])(door.cases)
    app.get("/v1/cases/{ref}", dependencies=[needs("read")])(door.case)
    app.get("/v1/cases/{ref}/reads", dependencies=[needs("read")])(door.reads)
    app.post("/v1/cases/{ref}/reads", dependencies=[needs("open")])(door.read_case)
    app.post("/v1/cases/{ref}/release", dependencies=[needs("administer")])(door.release)
    app.get("/v1/tasks", dependencies=[needs("read")])(door.tasks)
    app.post("/v1/tasks/{task}/done", dependencies=[needs("publish")])(door.done)
    app.get("/v1/witness", dependencies=[needs("read")])(door.witness)
    app.get("/health", dependencies=[needs()])(door.health)
    app.get("/metrics", response_model=None, dependencies=[needs()])(door.metrics)

    async def desk_error(_request: Request, error: Exception) -> Response:
        return _answer(error if isinstance(error, DeskError) else DeskError("not_available"))

    async def http_error(_request: Request, error: Exception) -> Response:
        code = _STATUS.get(error.status_code, "not_found") if isinstance(error, HTTPException) else "not_available"
        return _answer(DeskError(code))

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
    return Token(app, known)
