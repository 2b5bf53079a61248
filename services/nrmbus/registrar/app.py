"""The registrar as a process: ``nrmbus run registrar``. Health, metrics and signals as everywhere, on aiokafka alone.

FastStream cannot run the registrar: it has no transactions, and its application needs a broker of its own.
"""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from nrmbus import telemetry
from nrmbus.bus.clock import Clock, SteppedClock, clock_of
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.high_water import HighWater
from nrmbus.bus.http_server import Listening, Server, pages
from nrmbus.bus.kafka.quotas import load_submissions
from nrmbus.bus.rate_limit import Pace, Rate
from nrmbus.bus.replicas import place_of, replica
from nrmbus.bus.vitals import RELEASE, know_codes, vitals
from nrmbus.directory import Directory, DirectoryReader, Entry, Identity, apart, operator_key
from nrmbus.registrar.batch import Batcher
from nrmbus.registrar.emergency_limit import Askings
from nrmbus.registrar.history_state import HistoryError
from nrmbus.registrar.owner import EXIT_CODE, Owner, leave
from nrmbus.registrar.rest import Rest
from nrmbus.registrar.shard import Shard
from nrmbus.registrar.snapshot_process import SnapshotService, snapshots_of
from nrmbus.registrar.spill_file import Scratch
from nrmbus.rules import Agency, Rules, load_profile, refusal_codes
from nrmbus.telemetry import counts, log
from nrmbus.telemetry.metrics import page
from nrmbus.wire.names import OUTBOX, REGISTRAR

_STANDS_BY: Final = "Another process of the registrar has every partition, and this one stands by."
GARBAGE: Final = 100_000
"""New objects after which the interpreter looks for cycles among them."""


class Registrar:
    """One registrar process: directory, rules, clock, and the partitions it owns."""

    def __init__(self, folder: BusFolder, name: str, place: str) -> None:
        self._folder, self._settings, self._name, self._place = folder, folder.settings, name, place
        self._identity = Identity.at(folder.service(REGISTRAR), REGISTRAR)
        self._agencies: dict[str, Agency] = {}
        self._rules = Rules(load_profile(self._settings.policy), self._agencies)
        know_codes(refusal_codes())
        self._directory = Directory(self._settings.bus, operator_key(folder.path))
        home = folder.service(REGISTRAR)
        self._reader = DirectoryReader(folder.reach(home), self._directory, self._admit, home=home)
        self._askings = Askings(
            folder.reach(home),
            self._settings.partitions,
            self._rules,
            self._directory.registrar_key,
            coordinators=lambda: self._directory.of_role("coordinator"),
            folded=lambda: self._owner.folded if self._owner else frozenset(),
        )
        self._clock: Clock | None = None
        self._owner: Owner | None = None
        self.anew = False
        """True if the process ends only to connect with another certificate, or at another address."""
        self.stop: Callable[[], None] = lambda: None
        """Ends the process; set by the server."""

    def _begin_anew(self) -> None:
        self.anew = True
        self.stop()

    def _admit(self, entry: Entry) -> None:
        self._agencies[entry.agency] = Agency(entry.agency, entry.role, entry.supervisor)
        if self._owner is not None:
            self._owner.look_for_outboxes()

    async def _catch_up(self, sources: Iterable[str]) -> None:
        # An agency's first event may overtake its entry: topics have no order among them.
        if not all(self._directory.knows(source) for source in sources):
            await self._reader.catch_up()

    def _shard(self, partition: int) -> Shard:
        return Shard(
            bus=self._settings.bus,
            partition=partition,
            partitions=self._settings.partitions,
            rules=self._rules,
            directory=self._directory,
            salt=lambda: os.urandom(16),
            elsewhere=self._askings.elsewhere,
            scratch=Scratch(self._folder.service(self._name) / f"scratch-{partition}"),
        )

    def _snapshots(self, partition: int) -> SnapshotService:
        return SnapshotService(
            self._folder, snapshots_of(self._folder, partition), self._identity.signing, self._directory.registrar_key
        )

    def _check_head(self, shard: Shard) -> None:
        shard.memory.check_head(self._directory.registrar_key)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Read the directory to its end, then own partitions until the block ends."""
        where = self._folder.reach(self._folder.service(REGISTRAR))
        async with AsyncExitStack() as stack:
            self._clock = await stack.enter_async_context(clock_of(where, play=self._settings.play))
            await stack.enter_async_context(self._reader)
            self._owner = Owner(
                where=where,
                place=self._place,
                partitions=self._settings.partitions,
                clock=self._clock,
                batcher=Batcher(self._identity.signing, self._directory),
                askings=self._askings,
                make_shard=self._shard,
                check_head=self._check_head,
                catch_up=self._catch_up,
                high_water=lambda partition: HighWater(self._folder.service(REGISTRAR) / "history" / str(partition)),
                snapshots=self._snapshots,
                pace=Pace(Rate(*load_submissions())),
                rest=Rest(self._folder.service(self._name) / "silences.json"),
            )
            tasks: list[asyncio.Future[Any]] = [
                asyncio.create_task(self._owner.run()),
                asyncio.create_task(self._reader.follow()),
            ]
            if isinstance(self._clock, SteppedClock):
                tasks.append(asyncio.create_task(self._clock.run()))
            if self._folder.is_joined:  # where the operator runs it, his supervisor does all of it
                beside = apart.beside(self._folder, REGISTRAR, where, self._directory, self._begin_anew)
                tasks += [asyncio.ensure_future(work()) for work in await stack.enter_async_context(beside)]
            for task in tasks:
                task.add_done_callback(_must_not_end)
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def health(self, ref: str = "") -> dict[str, Any]:
        """How far it is. ``busy`` while a transaction is open: what ``inbox`` says may be behind then."""
        del ref
        owned = self._owner.owned if self._owner else {}
        unheard = self._owner is not None and self._owner.is_cut_off
        inbox: dict[str, dict[str, int]] = {}
        for number, each in owned.items():
            for agency, last in each.shard.memory.inbox_numbers.items():
                inbox.setdefault(agency, {})[str(number)] = last
        return {
            "service": REGISTRAR,
            "release": RELEASE,
            "ready": self._owner is not None and (self._owner.standing or self._owner.stands_by) and not unheard,
            "unheard": unheard,
            "standby": _STANDS_BY if self._owner is not None and self._owner.stands_by else None,
            "directory_stale": self._reader.stale,
            "busy": any(each.in_transaction for each in owned.values()),
            "tick": self._clock.tick if isinstance(self._clock, SteppedClock) else 0,
            "numbers": {str(number): each.shard.memory.number for number, each in owned.items()},
            "inbox": inbox,
            "outboxes": sorted(
                {position.topic.removeprefix(OUTBOX) for each in owned.values() for position in each.positions}
            ),
            "held_back": [each.removeprefix(OUTBOX) for each in (self._owner.held if self._owner else ())],
            "partitions_many": sorted(
                each.removeprefix(OUTBOX) for each in (self._owner.enlarged if self._owner else ())
            ),
            "repeats": sum(each.shard.repeats for each in owned.values()),
        }

    async def metrics(self) -> bytes:
        """Return the registrar's metrics for Prometheus."""
        quarantined = sum(count for (outcome, _), count in counts.handled().items() if outcome == "quarantined")
        own = vitals(self._folder, self._folder.service(REGISTRAR), self._name)
        return page(REGISTRAR, {**await self.health(), **own, "quarantined": quarantined})

    async def case(self, ref: str) -> dict[str, Any] | None:
        """Where a case stands; nothing about the person, whom the registrar does not know."""
        for each in (self._owner.owned if self._owner else {}).values():
            try:
                case = each.shard.memory.case(ref)
            except HistoryError as error:
                log.report("history_refused", error=str(error))
                leave("history_refused")
            if case is not None and case.view.status is not None:
                return {"status": case.view.status, "open_referrals": list(case.view.open_referrals)}
        return None


def _must_not_end(task: asyncio.Future[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        leave(type(error).__name__)


def main(folder: BusFolder, number: int = 1) -> None:
    """Run until SIGTERM, as the *number*-th here. Leaves with code 70 to be started again: when a transaction was cut, or to connect again."""
    name = replica(REGISTRAR, number)
    home = folder.service(name)
    telemetry.set_up(REGISTRAR, home)
    # A shard's state only grows and has no cycles: garbage collection of it took a quarter of the time.
    gc.freeze()
    gc.set_threshold(GARBAGE)
    listening = Listening(home)

    async def run() -> bool:
        registrar = Registrar(folder, name, place_of(number, folder.host))
        shown = {"/health": registrar.health, "/case": registrar.case}
        app = pages(shown, listening, registrar.running, metrics=registrar.metrics)
        server = Server(app, listening)
        registrar.stop = server.stop
        await server.run_until_told()
        return registrar.anew

    if asyncio.run(run()):  # a start is the recovery, and waits until clock and broker are well
        raise SystemExit(EXIT_CODE)
