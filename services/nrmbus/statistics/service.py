"""Figures at the desk of the statistics: the history is read, the coded parts are opened, and a release is computed."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from aiokafka import TopicPartition
from sqlalchemy import Row, literal, select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.desk.access import break_glass
from nrmbus.desk.desk import Desk
from nrmbus.desk.errors import DeskError, problem
from nrmbus.desk.http.documented import PROBLEM_JSON
from nrmbus.desk.http.scopes import caller_of
from nrmbus.desk.process import DeskProcess
from nrmbus.desk.state import beginnings
from nrmbus.desk.state.cases import event_of
from nrmbus.desk.store import tables
from nrmbus.edge.mounts import Guarded
from nrmbus.events import bulletin
from nrmbus.events.case import OPENING
from nrmbus.events.errors import EventError, Problem
from nrmbus.events.figures import PERIOD, Checkpoint, Release
from nrmbus.events.model import Fact, Part
from nrmbus.statistics.history import Histories
from nrmbus.statistics.persons import ERASED, LINKS, Case
from nrmbus.statistics.release import compute, published_in
from nrmbus.statistics.spans import Span
from nrmbus.wire import times
from nrmbus.wire.history import named_in
from nrmbus.wire.names import CASES
from nrmbus.wire.record import Record

PURPOSE: Final = "figures"
"""Purpose of the desk's openings here."""
WITHIN_SECONDS: Final = 20.0
"""How long a question waits for letters that the history has and the inbox does not have yet."""
_LOOK: Final = 0.05
_PATIENCE_MS: Final = 250
_COUNTED: Final = OPENING | LINKS.keys() | {"identification.status_decided"}
"""Types whose coded part is counted; no other letter is opened."""


class Reader:
    """Reads ``nrm.cases`` on, from where the last reading ended; what was read stays in memory."""

    def __init__(self, folder: BusFolder, process: DeskProcess) -> None:
        """Read as the agency of *process*, on the bus in *folder*."""
        self._where = folder.reach(folder.agency(process.seat.me).path)
        self._seat = process.seat
        self._partitions = folder.settings.partitions
        self.histories = Histories(folder.settings.bus, self._partitions, process.seat.registrar_key)
        self._offsets: dict[int, int] = {}

    async def read(self) -> None:
        """Read the history on, to its present end. Raises HistoryFault if it does not verify."""
        partitions = [TopicPartition(CASES, number) for number in range(self._partitions)]
        reader = clients.reader(self._where, client_id=self._seat.me)
        await reader.start()
        try:
            reader.assign(partitions)
            for each in partitions:
                reader.seek(each, self._offsets.get(each.partition, 0))
            ends = await clients.ends(reader, partitions)
            while any([await reader.position(each) < end for each, end in ends.items()]):
                for place, records in (await reader.getmany(timeout_ms=_PATIENCE_MS, max_records=1000)).items():
                    for each in records:
                        await self._take(Record(each.key, each.value, tuple(each.headers)), place.partition)
                        self._offsets[place.partition] = each.offset + 1
        finally:
            await reader.stop()

    async def _take(self, record: Record, partition: int) -> None:
        # An agency's first event may overtake its entry: topics have no order among them.
        if not all(self._seat.directory.knows(agency) for agency in named_in(record)):
            await self._seat.catch_up()
        self.histories.take(record, partition)


class Figures:
    """Computes releases at one desk, one at a time."""

    def __init__(self, desk: Desk, histories: Histories, read: Callable[[], Awaitable[None]]) -> None:
        """Compute at *desk*, from *histories*, which *read* brings up to date."""
        self._desk, self._seat = desk, desk.seat
        self._histories, self._read = histories, read
        self._turn = asyncio.Lock()
        self._made: dict[str, tuple[tuple[Checkpoint, ...], Release]] = {}
        """The last draft of each period, and the place of the history up to which it counts."""
        self._running: dict[str, asyncio.Task[Release]] = {}

    async def published(self, span: Span) -> Release | None:
        """Return the last published figures of *span*, or None. Raises as `draft`."""
        async with self._turn:
            await self._read()
            return next((each for each in reversed(self._published()) if each.period == span.name), None)

    def _published(self) -> list[Release]:
        return published_in(self._histories.facts.get(bulletin.of(self._seat.me), ()))

    async def within(self, span: Span, seconds: float) -> Release | None:
        """Return the draft of *span*; None if it takes longer: the computation goes on, and the next question gets its result. Raises as `draft`."""
        running = self._running.get(span.name)
        if running is None or running.done():
            running = self._running[span.name] = asyncio.create_task(self.draft(span))
            running.add_done_callback(lambda done: done.cancelled() or done.exception())
        done, _ = await asyncio.wait([running], timeout=seconds)
        return running.result() if done else None

    async def draft(self, span: Span) -> Release:
        """Return the figures of *span* as they would be published now, from the history to its end.

        As long as nothing is registered, they stay the same, and no letter is opened again.

        Raises:
            DeskError: ``inbox_unread`` if letters that the history has did not arrive; ``letters_lost`` if they came before
                the beginning of this ledger, so that no waiting brings them; ``history_unread`` if the history has an
                event or a profile that this release does not know.
            HistoryFault: the history does not verify.
        """
        async with self._turn:
            await self._read()
            if not self._histories.is_known_to(self._seat.rules):
                raise DeskError("history_unread")
            counted, known = self._histories.checkpoints, self._made.get(span.name)
            if known is not None and counted and known[0] == counted:
                return known[1]
            facts = {
                subject: tuple(found)
                for subject, found in self._histories.facts.items()
                if all(fact.event.type != ERASED for fact in found)
            }
            coded = await self._opened(facts)
            cases = [Case(subject, found, coded.get(subject, {})) for subject, found in facts.items()]
            made = await asyncio.to_thread(
                compute,
                self._seat.rules,
                cases,
                span,
                bus=self._seat.bus,
                by=self._seat.me,
                checkpoints=counted,
                earlier=self._published(),
            )
            self._made[span.name] = counted, made
            return made

    async def _opened(self, facts: Mapping[str, tuple[Fact, ...]]) -> dict[str, dict[str, Mapping[str, Any]]]:
        """Return the coded fields of each counted letter, by case and event. Each opening is recorded before."""
        wanted = {
            fact.event.id: fact
            for found in facts.values()
            for fact in found
            if fact.event.type in _COUNTED and fact.event.sealeddigest and self._seat.me in fact.recipients
        }
        found: dict[str, dict[str, Mapping[str, Any]]] = {}
        for row in await self._arrived(wanted):
            parts = await break_glass.opened(self._desk, row, ("coded",), PURPOSE)
            if (fields := parts.get("coded")) and _fits(row, parts):
                found.setdefault(row.subject, {})[row.id] = fields
        return found

    async def _arrived(self, wanted: Mapping[str, Fact]) -> list[Any]:
        """Return the rows of the ledger of the events *wanted*, once all of them have arrived."""
        until = asyncio.get_running_loop().time() + WITHIN_SECONDS
        # No row is an event of this agency: the statistics publish no event of these types.
        letters = select(tables.events, literal(None).label("own")).where(tables.events.c.type.in_(_COUNTED))
        while True:
            with self._seat.ledger.read() as tx:
                rows = tx.execute(letters).all()
            missing = wanted.keys() - {row.id for row in rows}
            if not missing:
                return [row for row in rows if row.id in wanted and row.letter is not None]
            if asyncio.get_running_loop().time() > until:
                raise DeskError("letters_lost" if self._are_lost(wanted[each] for each in missing) else "inbox_unread")
            await asyncio.sleep(_LOOK)

    def _are_lost(self, facts: Iterable[Fact]) -> bool:
        """Return whether one of *facts* was registered before the time from which this ledger knows every delivery."""
        lost = beginnings.shown(self._seat.ledger)
        since = lost["since"] if lost is not None else None
        return since is not None and any(times.write(each.registered) <= since for each in facts)


def _fits(row: Row[Any], parts: Mapping[Part, Mapping[str, Any]]) -> bool:
    """Return whether the opened *parts* are what the type has: otherwise the sender's system wrote something else, and nothing is known."""
    event = event_of(row)
    try:
        return event is not None and event.data.letter is not None and bool(event.data.letter.from_parts(parts))
    except EventError:
        return False


def mount(folder: BusFolder, process: DeskProcess, served: Guarded) -> None:
    """Mount the routes of the figures behind the check of the token in *served*, the application of the desk."""
    reader = Reader(folder, process)
    figures = Figures(process.desk, reader.histories, reader.read)
    if process.door is not None:
        process.door.beside[Figures] = figures

    def span_of(request: Request) -> Span:
        caller_of(request).require("read")
        period = request.path_params["period"]
        if PERIOD.fullmatch(period) is None:
            raise DeskError("unknown_field", (Problem("{period}", "string_pattern_mismatch"),))
        return Span.named(period)

    async def published(request: Request) -> Response:
        release = await figures.published(span_of(request))
        if release is None:
            raise DeskError("not_found")
        return Response(release.to_json(), media_type="application/json")

    async def draft(request: Request) -> Response:
        release = await figures.draft(span_of(request))
        return Response(release.to_json(), media_type="application/json")

    async def refused(_: Request, error: Exception) -> Response:
        code = error if isinstance(error, DeskError) else DeskError("not_available")
        return JSONResponse(problem(code), code.status, media_type=PROBLEM_JSON)

    handlers: dict[Any, Any] = {DeskError: refused, Exception: refused}
    routes = [Route("/{period}", published), Route("/{period}/draft", draft)]
    served.app.mount("/v1/figures", Starlette(routes=routes, exception_handlers=handlers))
