"""The timekeeper as a process: ``nrmbus run timekeeper``. An agency with a desk of its own, which watches all cases.

The process reads ``nrm.cases`` from the start, without a group: all state follows from the history, and none is stored.
Due events go into the desk's outbox under ids derived from the clock, so that a restart publishes none twice.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from nrmbus import telemetry
from nrmbus.bus.agency_folder import AgencyFolder
from nrmbus.bus.aiokafka_patches import private
from nrmbus.bus.clock import SteppedClock, Tick
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.http_server import Listening, Server, pages
from nrmbus.bus.kafka import clients, groups
from nrmbus.bus.kafka.lease import LeaseHeld, newest, refused, turn
from nrmbus.desk.http import views
from nrmbus.desk.http.measured import Measured
from nrmbus.desk.outbox import queue, verdicts
from nrmbus.desk.process import DeskProcess
from nrmbus.desk.store.ledger import Ledger
from nrmbus.directory import apart
from nrmbus.events import bulletin
from nrmbus.events.model import Draft
from nrmbus.telemetry import log
from nrmbus.telemetry.metrics import page
from nrmbus.timekeeper.silence import LOOKS, Reading, Silence, Stillness, told
from nrmbus.timekeeper.watch import Watch
from nrmbus.wire import times
from nrmbus.wire.history import HistoryFault, named_in
from nrmbus.wire.names import CASES, TIMEKEEPER, inbox_of
from nrmbus.wire.record import Record

LOOK_MS: Final = 250
"""Longest wait for a record before the clock is checked, far below the minute within which a breach must be published."""


LOOK_SECONDS: Final = 10.0
"""Between two looks at the desks; a returned desk is announced within a minute."""


class Timekeeper:
    """The watch over all cases, and the desk that speaks for it."""

    def __init__(self, folder: BusFolder, process: DeskProcess) -> None:
        self._folder, self._process = folder, process
        self._watch: Watch | None = None
        self._numbers: dict[int, int] = {}
        self._tick = 0
        self._away: tuple[str, ...] = ()
        """Agencies without a desk at the broker, at the last look."""
        self._still: tuple[str, ...] = ()
        """Agencies whose connected desk has read nothing of a waiting inbox for a minute."""
        self._unseen = 0
        """Looks in a row to which the broker did not say which desks are connected."""
        self._is_read = False
        """True once the history was read to where it ended at the start."""
        self._measured: Measured | None = None
        self._turn = asyncio.Lock()
        self._shown = views.Shown(process.seat.ledger, process.seat.me)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the desk, read the history to its end, then say what is due until the block ends."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._process.running())
            seat = self._process.seat
            self._measured = Measured(seat)
            self._watch = Watch(seat.rules, self._folder.settings.bus, seat.registrar_key)
            reader = clients.reader(self._folder.reach(self._folder.service(TIMEKEEPER)), client_id=TIMEKEEPER)
            await reader.start()
            stack.push_async_callback(reader.stop)
            partitions = [TopicPartition(CASES, number) for number in range(self._folder.settings.partitions)]
            reader.assign(partitions)
            await reader.seek_to_beginning(*partitions)
            if isinstance(seat.clock, SteppedClock):
                seat.clock.on_tick(self._at)
            running = [
                asyncio.create_task(self._follow(reader, partitions)),
                asyncio.create_task(self._look(Silence(self._silent_after()))),
            ]
            if self._folder.host is not None:
                where = self._folder.reach(self._folder.service(TIMEKEEPER))
                running.append(asyncio.create_task(apart.watch_clock(where, TIMEKEEPER, self._process.begin_anew)))
            for each in running:
                each.add_done_callback(self._process.ended)
            try:
                yield
            finally:
                for each in running:
                    each.cancel()
                await asyncio.gather(*running, return_exceptions=True)

    async def _follow(self, reader: Any, partitions: list[TopicPartition]) -> None:
        # Nothing is said before the history was read to where it ended at the start: a clock may have ended in it.
        ends = await clients.ends(reader, partitions)
        while any([await reader.position(each) < end for each, end in ends.items()]):
            await self._read(reader)
        self._is_read = True
        private.wait_for_silent(reader, clients.AT_REST_MS)
        clock = self._process.seat.clock
        self._tick = clock.tick if isinstance(clock, SteppedClock) else 0
        while True:
            async with self._turn:
                await self._publish()
            await self._read(reader, new=True)

    async def _read(self, reader: Any, *, new: bool = False) -> None:
        found = await reader.getmany(timeout_ms=LOOK_MS, max_records=1000)
        if not found or self._watch is None:
            return
        records = [
            (place.partition, Record(each.key, each.value, tuple(each.headers)))
            for place, some in found.items()
            for each in some
        ]
        # Records that are read again at a start were traced before.
        with telemetry.joined("watch", [each.traceparent for _, each in records] if new else ()):
            await self._take(self._watch, records)

    async def _take(self, watch: Watch, records: list[tuple[int, Record]]) -> None:
        seat = self._process.seat
        for partition, record in records:
            # An agency's first event may overtake its entry: topics have no order among them.
            if not all(seat.directory.knows(agency) for agency in named_in(record)):
                await seat.catch_up()
            async with self._turn:
                try:
                    watch.take(record, partition)
                except HistoryFault as fault:
                    due = watch.numbers.get(partition, 0) + 1
                    log.report("history_refused", code=fault.code, partition=partition, number=due)
                    raise

    async def _publish(self) -> None:
        watch = self._watch
        if watch is None:
            return
        reached, drafts = dict(watch.numbers), list(watch.due(self._process.seat.now()))
        await self._put(watch, drafts)
        self._numbers = reached

    async def _put(self, watch: Watch, drafts: Sequence[Draft]) -> None:
        """Put *drafts* into the outbox, once each; what the outbox has given up is published under another id, as *watch* says."""
        if not drafts:
            return
        seat = self._process.seat
        async with seat.ledger.write() as tx:
            for draft in drafts:
                id = queue.put(seat, tx, draft, origin="procedure")
                ended = times.read(verdicts.ended_at(tx, draft.subject, id) or "")
                if ended is not None:
                    watch.failed(id, ended)

    async def _look(self, silence: Silence) -> None:
        """Look every few seconds which agencies have a desk at the broker, and publish what `Silence` yields."""
        seat, where, stillness = self._process.seat, self._folder.reach(self._folder.service(TIMEKEEPER)), Stillness()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            watch = self._watch
            if not self._is_read or watch is None:
                continue
            agencies = self._receiving()
            try:
                found = await groups.standings(where, {f"{each}.desk": self._inbox_of(each) for each in agencies})
            except KafkaError:  # a broker that is away, or that was not given the right yet, says nothing of any desk
                self._unseen += 1
                continue
            self._unseen = 0
            there = {each: found[f"{each}.desk"] for each in agencies}
            still = stillness.look({each: _readings(at) for each, at in there.items() if at.has_members})
            still |= {each for each, at in there.items() if at.has_members and self._is_stuck(at)}
            self._away = tuple(sorted(each for each in agencies if not there[each].has_members))
            taking = {each: there[each].has_members and each not in still for each in agencies}
            async with self._turn:
                silence.after = self._silent_after()
                published, now = told(watch.view(bulletin.of(TIMEKEEPER))), seat.now()
                await self._put(watch, list(silence.look(taking, published, now, still, partial(watch.id_of, now=now))))
            self._still = tuple(sorted(each for each in still if silence.stands_still(each)))

    def _is_stuck(self, at: groups.Standing) -> bool:
        """Return whether the desk's lease reports a ledger that cannot be written."""
        lease = newest(at.metadata, self._folder.settings.bus)
        return lease is not None and lease.stuck

    def _inbox_of(self, agency: str) -> list[TopicPartition]:
        return [TopicPartition(inbox_of(agency), each) for each in range(self._folder.settings.partitions)]

    def _silent_after(self) -> timedelta:
        """Return after which time without a desk everybody is told, by the profile in force."""
        seat = self._process.seat
        return timedelta(minutes=seat.rules.profile_at(seat.now()).periods.silent_minutes)

    def _receiving(self) -> list[str]:
        """Return the admitted agencies that others may turn to."""
        seat = self._process.seat
        now = seat.now()
        roles = seat.rules.profile_at(now).expand(("EVERYBODY",))
        entries = seat.directory.entries.items()
        return [name for name, each in entries if each.role in roles and seat.directory.state(name, now) == "admitted"]

    async def _at(self, tick: Tick) -> None:
        async with self._turn:
            await self._publish()
        self._tick = tick.number

    async def health(self, ref: str = "") -> dict[str, Any]:
        """Return how far it is: what was read *and* answered; ``next_due`` is the time of its next event."""
        del ref
        # Progress is read before the open events: a tick that passes between the two must not look answered.
        tick, numbers = self._tick, dict(self._numbers)
        process = await self._process.health()
        position = self._shown.position()
        next_due = self._watch.next_due() if self._watch else None
        return {
            "service": TIMEKEEPER,
            "live": True,
            **process,
            **self._process.desk.health(),
            **position,
            "tick": tick,
            "numbers": {str(number): last for number, last in numbers.items()},
            "next_due": times.write(next_due) if next_due else None,
            "desks_unseen": self._unseen >= LOOKS,  # one look without an answer is a busy machine
            "desks_away": list(self._away),
            "desks_still": list(self._still),
            "cases_unknown": len(self._watch.unknown) if self._watch else 0,
        }

    async def metrics(self) -> bytes:
        """Return the timekeeper's metrics, with the overdue duties of all cases, in Prometheus' text format."""
        overdue = self._watch.overdue(self._process.seat.now()) if self._watch and self._is_read else None
        own = self._measured.facts() if self._measured else {}
        facts = {**await self.health(), **own, **self._process.vitals(), "clocks_overdue": overdue}
        return page(TIMEKEEPER, facts)

    async def case(self, ref: str) -> dict[str, Any]:
        """Return the duties of a case that run or are overdue."""
        now = self._process.seat.now()
        return {"open_deadlines": list(self._watch.open_deadlines(ref, now)) if self._watch else []}


def _readings(at: groups.Standing) -> dict[int, Reading]:
    return {each.partition: Reading(at.reached[each], at.ends[each]) for each in at.ends}


async def _run(folder: BusFolder) -> bool:
    home = AgencyFolder(folder.service(TIMEKEEPER))
    listening = Listening(home.path)
    # The turn was decided before (`bus/standby.py`), so the lease of another host is over.
    begins = await turn(folder, TIMEKEEPER, home.path, "take_over")
    ledger = await Ledger.open(home.ledger, bus=folder.settings.bus, agency=TIMEKEEPER)
    try:
        process = DeskProcess(folder, home, ledger, begins)
        timekeeper = Timekeeper(folder, process)
        app = pages(
            {"/health": timekeeper.health, "/case": timekeeper.case},
            listening,
            timekeeper.running,
            metrics=timekeeper.metrics,
        )
        server = Server(app, listening)
        process.stop = server.stop
        await server.run_until_told()
        if process.holding.put_out is not None:
            raise LeaseHeld(process.holding.put_out)
        return not (process.failed or process.anew)
    finally:
        await ledger.close()


def main(folder: BusFolder) -> None:
    """Run until SIGTERM. Raises SystemExit 70 to be started again: if the service could not go on, or has to connect again."""
    telemetry.set_up(TIMEKEEPER, folder.service(TIMEKEEPER))
    try:
        goes_on = asyncio.run(_run(folder))
    except LeaseHeld as held:
        raise BusError(refused(TIMEKEEPER, held.lease)) from None
    if not goes_on:
        raise SystemExit(70)
