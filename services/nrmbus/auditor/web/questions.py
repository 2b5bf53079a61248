"""HTTP for the auditor's command line: it records a question and then answers it, places holds, and hands out evidence.

Only this process signs with the auditor's key: a second one would compete for the next sequence. Decision record 0021.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from aiokafka.errors import KafkaError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nrmbus.auditor.errors import LogError
from nrmbus.auditor.evidence.export import Export
from nrmbus.auditor.history.history import Entry, History
from nrmbus.auditor.history.live import SLICE_SECONDS
from nrmbus.auditor.web.access_log import NotOnRecordError, Question
from nrmbus.auditor.web.names import PURPOSES
from nrmbus.auditor.web.offline_log import OffTheRecord
from nrmbus.auditor.web.pages.answers import Kept, Opened
from nrmbus.auditor.web.queries import MistypedQuery, Steps, find, read_query
from nrmbus.auditor.web.users import Users
from nrmbus.bus.errors import BusError
from nrmbus.bus.http_server import CHALLENGE, Listening
from nrmbus.bus.periodic import every
from nrmbus.events.access import AccessGranted, AccessPurpose
from nrmbus.events.erasure import AccessHoldPlaced
from nrmbus.events.errors import Invalid
from nrmbus.events.policy import MOST_CHARACTERS
from nrmbus.telemetry import log
from nrmbus.wire import ids, times
from nrmbus.wire.names import AUDITOR

BODY_LIMIT: Final = 1024
QUERY_LIMIT: Final = 16 * 1024
"""Bytes of a query, whose options are as long as somebody types them."""
DRAFT_LIMIT: Final = QUERY_LIMIT + 12 * MOST_CHARACTERS
"""Bytes of an inquiry that brings a profile of its own: JSON escapes a character in up to 12."""
SETTLE_SECONDS: Final = 10.0
"""Seconds of real time between two looks for readings off the record."""


class _Body(BaseModel):
    """Body of a request."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class AuditQuestion(_Body):
    """Audit question of the command line: it is about to show a case, an event or all cases, or to hand a case on.

    A case is handed on as evidence, or to the person who asked for it; the whole history is handed on for its figures.
    """

    actor: Annotated[str, Field(pattern=r"^[0-9]{6}$")]
    purpose: AccessPurpose
    what: Literal["case", "event", "search", "figures", "export", "person_report"]
    case: Annotated[str, Field(pattern=f"^{ids.REF.pattern}$")] | None = None
    event: Annotated[str, Field(pattern=f"^{ids.EVENT_ID.pattern}$")] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        about_case = self.case is not None if self.what == "event" else self.what not in ("search", "figures")
        if self.purpose not in PURPOSES or about_case != (self.case is not None):
            raise ValueError
        if (self.what == "event") != (self.event is not None):
            raise ValueError
        if self.what == "person_report" and self.purpose != "person_request":
            raise ValueError
        return self

    def is_known(self, history: History) -> bool:
        """Return whether *history* knows the case or event; a question about another one gets no number."""
        if self.case is None:
            return True
        about = history.about(self.case)
        return any(self.event in (None, each.registration.id) for each in about)


class Inquiry(_Body):
    """Inquiry of the command line: a query, who asks it, and for which purpose; the answer shows the history."""

    actor: Annotated[str, Field(pattern=r"^[0-9]{6}$")]
    purpose: AccessPurpose
    query: dict[str, Any]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.purpose not in PURPOSES:
            raise ValueError
        options = {name: each for name, each in self.query.items() if name != "text"}
        if len(json.dumps(options)) > QUERY_LIMIT:
            raise ValueError
        return self


class HoldRequest(_Body):
    """Request for a hold of the auditor: nothing of the case is erased until the end of a day."""

    actor: Annotated[str, Field(pattern=r"^[0-9]{6}$")]
    case: Annotated[str, Field(pattern=f"^{ids.REF.pattern}$")]
    reasons: Annotated[list[str], Field(min_length=1, max_length=8)]
    until: Annotated[str, Field(max_length=10)]

    def placed(self) -> AccessHoldPlaced | None:
        """Return the data of the event, or None if they do not fit the event."""
        try:
            return AccessHoldPlaced.from_mapping({"reasons": self.reasons, "until": self.until})
        except Invalid:  # the error repeats the input
            return None


class Sought(_Body):
    """A case by its reference or the first digits, in a body and not in a path: a path would stand in logs."""

    ref: Annotated[str, Field(pattern=r"^[0-9a-f]{8,32}$")]


class Wanted(_Body):
    """The evidence of a case. ``number`` is the record of this export; without one, the export is off the record."""

    case: Annotated[str, Field(pattern=f"^{ids.REF.pattern}$")]
    number: Annotated[int, Field(ge=1)] | None = None


class Questions:
    """Questions and holds of the command line, and the recording of readings off the record."""

    def __init__(self, kept: Kept, users: Users, unrecorded: OffTheRecord) -> None:
        """Answer the people in *users*; *unrecorded* are readings from times when nothing could be recorded."""
        self._kept, self._users, self._unrecorded = kept, users, unrecorded
        self._opened: Opened | None = None
        self._beginning: asyncio.Task[None] | None = None

    def open(self, opened: Opened) -> None:
        """Begin to answer."""
        self._opened = opened

    def routes(self, listening: Listening) -> list[Route]:
        """Return the routes, behind the token of *listening*."""

        def behind(does: Callable[[Request, Opened], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
            async def answer(request: Request) -> Response:
                if not listening.allows(request.headers.get("authorization")):
                    return Response(status_code=401, headers=CHALLENGE)
                if self._opened is None:
                    return JSONResponse({"code": "not_ready"}, 503)
                try:
                    return await does(request, self._opened)
                except NotOnRecordError as error:
                    return JSONResponse({"code": error.code}, 503)
                except KafkaError:
                    return JSONResponse({"code": "unanswered"}, 503)

            return answer

        return [
            Route("/questions", behind(self._begin), methods=["GET"]),
            Route("/questions", behind(self._record), methods=["POST"]),
            Route("/answers", behind(self._answer), methods=["POST"]),
            Route("/holds", behind(self._hold), methods=["POST"]),
            Route("/cases", behind(self._cases), methods=["POST"]),
            Route("/evidence", behind(self._evidence), methods=["POST"]),
        ]

    async def _begin(self, _: Request, opened: Opened) -> Response:
        """Begin to read the history for a question that is about to come."""
        if self._beginning is None or self._beginning.done():
            self._beginning = asyncio.create_task(_read(opened))
        return JSONResponse({"trouble": self._kept.stopped_at})

    async def _record(self, request: Request, opened: Opened) -> Response:
        asked = await _read_as(AuditQuestion, request)
        if asked is None or not self._users.knows(asked.actor):
            return JSONResponse({"code": "not_a_question"}, 422)
        if said_no := await _not_known(opened, asked.is_known):
            return said_no
        subject = asked.case or self._users.own_number()
        question = Question(asked.actor, asked.purpose, asked.what, subject, asked.event)
        record = await opened.access_log.record(question)
        return JSONResponse({"id": record.id, "partition": record.partition, "number": record.number})

    async def _answer(self, request: Request, opened: Opened) -> Response:
        """Answer a query from the history as it stands, once the question about that is recorded."""
        asked = await _read_as(Inquiry, request, DRAFT_LIMIT)
        if asked is None or not self._users.knows(asked.actor):
            return JSONResponse({"code": "not_a_question"}, 422)
        found = problem = answer = None
        async with opened.seen.reading() as seen:  # held until the answer is made: it shows the history of one moment
            if opened.seen.trouble is not None:
                return JSONResponse({"code": "not_verified"}, 503)
            try:
                found = find(read_query(asked.query), seen, opened.clock.now().replace(microsecond=0))
                answer = await _in_slices(found.steps)
            except MistypedQuery as error:
                return JSONResponse({"code": "mistyped", "sentence": str(error)}, 422)
            except BusError as error:  # there is none, or there are several: an answer too
                problem = str(error)
        what = found.what if found else "search"
        subject = (found.case if found else None) or self._users.own_number()
        question = Question(asked.actor, asked.purpose, what, subject, found.event if found else None)
        record = await opened.access_log.record(question)
        place = {"partition": record.partition, "number": record.number, "what": what}
        return JSONResponse({**place, **({"problem": problem} if answer is None else {"answer": answer})})

    async def _hold(self, request: Request, opened: Opened) -> Response:
        held = await _read_as(HoldRequest, request)
        placed = held.placed() if held is not None and self._users.knows(held.actor) else None
        if held is None or placed is None:
            return JSONResponse({"code": "not_a_hold"}, 422)
        if said_no := await _not_known(opened, lambda history: any(True for _ in history.about(held.case))):
            return said_no
        said = (await opened.access_log.publish(held.case, held.actor, placed)).registration
        return JSONResponse({"id": said.id, "partition": said.partition, "number": said.number})

    # -- evidence ------------------------------------------------------------------------------------------------------

    async def _cases(self, request: Request, opened: Opened) -> Response:
        """Answer which cases a reference may mean, two at most; the question is recorded once one is found, or none."""
        sought = await _read_as(Sought, request)
        if sought is None:
            return JSONResponse({"code": "not_a_question"}, 422)
        async with opened.seen.reading() as seen:
            if opened.seen.trouble is not None:
                return JSONResponse({"code": "not_verified"}, 503)
            found = [each for each in seen.history.spoken_of() if each.startswith(sought.ref)]
        return JSONResponse({"cases": found[:2]})

    async def _evidence(self, request: Request, opened: Opened) -> Response:
        """Answer with the evidence of a case, once this export is on record or written down."""
        wanted = await _read_as(Wanted, request)
        if wanted is None:
            return JSONResponse({"code": "not_a_question"}, 422)
        if said_no := await _not_known(opened, lambda history: any(True for _ in history.about(wanted.case))):
            return said_no
        async with opened.seen.reading() as seen:
            entries = list(seen.history.about(wanted.case))
        if not self._is_recorded(wanted, entries):
            return JSONResponse({"code": "not_on_record"}, 403)
        if wanted.number is not None:  # the record of this export, and all that follows, wait for the next one
            entries = [each for each in entries if each.registration.number < wanted.number]
        if self._kept.logs is None:
            return JSONResponse({"code": "not_ready"}, 503)
        made = times.write(opened.clock.now())
        export = Export(wanted.case, entries, opened.directory, opened.access_log.policy, made)
        try:
            raw = await export.written(self._kept.logs, self._kept.turn)
        except LogError as error:
            return JSONResponse({"code": error.code}, 503)
        if raw is None:
            return JSONResponse({"code": "checkpoint_due"}, 503)
        return Response(raw, media_type="application/jsonl")

    def _is_recorded(self, wanted: Wanted, entries: list[Entry]) -> bool:
        """Return whether the history has the record of this export, or else a line of this machine's file has it."""
        if wanted.number is not None:
            return any(each.registration.number == wanted.number and _is_export(each) for each in entries)
        with suppress(OSError):  # a file of another user: what cannot be read is no record
            left = self._unrecorded.left().readings
            return any((each.what, each.subject) == ("export", wanted.case) for each in left)
        return False

    # -- what was read off the record ----------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Record readings off the record every `SETTLE_SECONDS`, for ever."""
        await every(SETTLE_SECONDS, self.look)

    async def look(self) -> None:
        """Record the readings off the record, if there are any; what fails now is tried again at the next look."""
        try:
            left = await asyncio.to_thread(self._unrecorded.left)
            if self._opened is not None and left.readings:
                await self._settle(self._opened)
        except (NotOnRecordError, KafkaError, OSError) as error:
            log.report("read_off_the_record", error=type(error).__name__)

    async def _settle(self, opened: Opened) -> None:
        for each in self._unrecorded.left().readings:
            if opened.seen.trouble is not None:
                return
            code = None
            try:
                record = await opened.access_log.record(
                    each.question, earlier=(each.id, each.read or opened.clock.now())
                )
                log.report("read_off_the_record", number=record.number, partition=record.partition)
            except NotOnRecordError as error:
                if error.code in ("unanswered", "not_verified"):  # no refusal: the reading waits here
                    raise
                code = error.code
                log.report("read_off_the_record", code=code)
            self._unrecorded.settle(each, code)


def _is_export(entry: Entry) -> bool:
    data = entry.event.data if entry.event else None
    return entry.registration.source == AUDITOR and isinstance(data, AccessGranted) and data.what == "export"


async def _read(opened: Opened) -> None:
    with suppress(KafkaError):
        async with opened.seen.reading():
            pass


async def _not_known(opened: Opened, is_known: Callable[[History], bool]) -> Response | None:
    """Return the answer to a question that is not recorded, since the history does not verify or does not know its subject."""
    async with opened.seen.reading() as seen:
        if opened.seen.trouble is not None:  # later registrations could not be seen
            return JSONResponse({"code": "not_verified"}, 503)
        return None if is_known(seen.history) else JSONResponse({"code": "not_found"}, 404)


async def _in_slices(steps: Steps) -> dict[str, Any]:
    """Return the answer that *steps* make; every `SLICE_SECONDS` other tasks have their turn."""
    since = time.monotonic()
    while True:
        try:
            next(steps)
        except StopIteration as done:
            answer: dict[str, Any] = done.value
            return answer
        if time.monotonic() - since > SLICE_SECONDS:
            await asyncio.sleep(0)
            since = time.monotonic()


_Model = TypeVar("_Model", AuditQuestion, Inquiry, HoldRequest, Sought, Wanted)


async def _read_as(model: type[_Model], request: Request, limit: int = BODY_LIMIT) -> _Model | None:
    """Return the body of *request*, of at most *limit* bytes, as *model*, or None if it does not fit."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            return None
    try:
        return model.model_validate_json(body)
    except ValidationError:  # the error repeats the input
        return None
