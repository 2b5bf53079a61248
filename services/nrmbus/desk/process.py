"""Process of one desk: inbox, relay, door, directory and clock in one event loop."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from aiokafka import TopicPartition
from faststream import FastStream
from sqlalchemy.exc import SQLAlchemyError

from nrmbus import telemetry
from nrmbus.bus.agency_folder import AgencyFolder
from nrmbus.bus.aiokafka_patches import private
from nrmbus.bus.clock import SteppedClock, WallClock, clock_of
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.bus.kafka.lease import Begins
from nrmbus.bus.periodic import doubled, every
from nrmbus.bus.vitals import RELEASE, vitals
from nrmbus.desk.broker_clock import BrokerClock
from nrmbus.desk.desk import Desk
from nrmbus.desk.erasure import rounds
from nrmbus.desk.errors import DeskError
from nrmbus.desk.holding import Holding
from nrmbus.desk.http.served import Door
from nrmbus.desk.inbox.broker import check_settings, make_broker, make_inbox
from nrmbus.desk.inbox.release import release, release_by_itself
from nrmbus.desk.keys import lost_keys, rotation
from nrmbus.desk.keys.rotation import Rotating
from nrmbus.desk.own_settings import settings_of
from nrmbus.desk.procedure.handlers import Inbox
from nrmbus.desk.procedure.roles import procedure_of
from nrmbus.desk.relay import Relay, through
from nrmbus.desk.state import beginnings
from nrmbus.desk.state.context import Seat
from nrmbus.desk.store.ledger import Ledger
from nrmbus.desk.witness import follower
from nrmbus.desk.witness.follower import Witness
from nrmbus.directory import (
    SERVICES,
    Directory,
    DirectoryReader,
    Entry,
    Identity,
    addresses,
    operator_key,
    own_certificate,
)
from nrmbus.directory.own_certificate import Renewing
from nrmbus.directory.own_entry_watch import Own
from nrmbus.rules import Agency, Rules, load_profile
from nrmbus.wire.keys.keyfile import is_sealed
from nrmbus.wire.names import inbox_of, outbox_of

if TYPE_CHECKING:
    from nrmbus.desk.web.notices.dispatcher import Notices

STUCK_SECONDS: Final = 15.0
"""Seconds without a handled record, while records wait, after which a desk is not ready."""

_LOOK: Final = 0.01
_LONGEST_LOOK: Final = 1.0
_PATIENCE: Final = 0.25
_TRY_STUCK_EVERY: Final = 5.0
"""Seconds between two tries to let cases through that met a fault of this machine."""


def is_hosted(folder: BusFolder, service: str) -> bool:
    """Return whether *service* is one of the bus's own that may run here on a standby host, with the signing key alone."""
    return folder.host is not None and service in SERVICES


class DeskProcess:
    """Process of one agency's desk, at *home* in a bus's *folder*."""

    notices: "Notices | None" = None
    """Notices by mail, if the agency has a mail server."""
    is_refused = False
    """True if the process ended for an error of its ledger's server, which may last: a moment passes before the next start."""

    def __init__(
        self, folder: BusFolder, home: AgencyFolder, ledger: Ledger, begins: Begins, *, renews: bool = False
    ) -> None:
        """Make the process, which *begins* as the holder of the desk; *renews*: also renew certificate and keys.

        Raises:
            DeskError: ``speaks_unpublished``.
        """
        settings = folder.settings
        self._where, self._play, self._settings = folder.reach(home.path), settings.play, settings_of(home)
        self._folder, self._home, self._partitions = folder, home.path, settings.partitions
        agencies: dict[str, Agency] = {}
        self._lost: list[Entry] = []
        """Entries by which another agency lost its keys, still to be handled."""

        directory, identity = Directory(settings.bus, operator_key(folder.path)), Identity.at(home.path, home.id)

        def made() -> frozenset[str]:
            self.seat.identity = Identity.at(home.path, home.id)  # letters to the requested keys open from now on
            return self.seat.identity.kids

        self._keys_sealed = is_sealed(home.keys / "signing.seed")

        def renew() -> None:
            kid = directory.signing_kid(home.id, self.seat.now())
            if kid in (None, self.seat.identity.signing.kid) or kid not in self.seat.identity.kids:
                return
            made()  # `nrmbus agency check` may have put them in place already
            if self.seat.identity.signing.kid != kid:
                self.seat.identity.promote(home.path)
                made()

        # A standby host has the signing key alone of a service's keys: the others in the directory are the first machine's.
        own = None if is_hosted(folder, home.id) else Own(home.id, identity.kids, made)

        def admitted(entry: Entry) -> None:
            agencies[entry.agency] = Agency(entry.agency, entry.role, entry.supervisor)
            if own is not None:
                own.take(entry, directory.kids(entry))
            if entry.kind == "lost" and entry.agency != home.id:
                self._lost.append(entry)

        self._reader = DirectoryReader(self._where, directory, admitted, home=home.path)
        self.seat = Seat(
            bus=settings.bus,
            identity=identity,
            ledger=ledger,
            directory=directory,
            rules=Rules(load_profile(settings.policy), agencies),
            agencies=agencies,
            clock=WallClock(),
            catch_up=self._reader.catch_up,
            stale=lambda: self._reader.stale,
            own=own,
            renew=renew,
        )
        self.desk = Desk(self.seat)
        self.desk.end_of = self._end_of
        self._inbox: Inbox | None = None
        self._relay: Relay | None = None
        self.witness = Witness(self.seat, self._inbox_is_read)
        self._clock = BrokerClock()
        self._went_on = False
        """True once the cases that waited for this release have been let through."""
        self._renewing = (
            Renewing(folder, self.seat.me, lambda: self.seat.identity.signing)
            if (renews or folder.is_joined) and settings.tls
            else None
        )
        self._elsewhere = folder if folder.is_joined else None
        """The bus's folder if the broker runs on another machine, and may move."""
        self._rotating = Rotating(folder, self.seat) if renews else None
        self.anew = False
        """True if the process ends only to reconnect: with another certificate, or to its ledger."""
        self.lost_ledger = False
        """True if the connection to the ledger was lost: then this process begins as a standby, whoever runs the desk now."""
        self.failed = False
        """True if a task that must not end has ended."""
        self.door: Door | None = None
        """The door, with the tokens and the webhooks of the agency's systems."""
        self.holding = Holding(self.desk, begins, self._stop)
        self.stop: Callable[[], None] = lambda: None
        """Ends the process; set by the server."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Read the directory to its end, then receive and send until the block ends."""
        async with AsyncExitStack() as stack:
            clock = await stack.enter_async_context(clock_of(self._where, play=self._play))
            self.seat.clock = clock
            await stack.enter_async_context(self._reader)
            if self.seat.role is None:
                raise DeskError("not_admitted")
            if self.seat.own is not None:
                self.seat.own.read_to_the_end(self.seat.directory.number)
            self.seat.procedure = procedure_of(self.seat.role)
            await self.desk.load(self._settings)
            await self.holding.begin()
            await beginnings.look(self.seat, self._where, self._partitions)
            watched = None
            if self._elsewhere is not None:
                watched = await stack.enter_async_context(
                    addresses.following(self._elsewhere, self._where, self.seat.directory)
                )
            broker = make_broker(self._where, self.seat.me, self.desk)
            self._inbox = make_inbox(broker, self.desk)
            check_settings(broker, self.seat.me)
            producer = clients.producer(self._where, client_id=self.seat.me)
            await producer.start()
            stack.push_async_callback(producer.stop)
            await stack.enter_async_context(FastStream(broker, logger=None))
            sends = through(producer, outbox_of(self.seat.me), self._clock, self._partitions)
            self._relay = Relay(self.desk, sends, may_send=self.holding.may_send)
            background = asyncio.create_task(self._background(clock, self._relay, watched))
            background.add_done_callback(self.ended)
            try:
                yield
            finally:
                if self._inbox.consumer is not None:
                    await self.holding.end(self._inbox.consumer)
                background.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await background

    async def _background(
        self, clock: WallClock | SteppedClock, relay: Relay, watched: addresses.Following | None
    ) -> None:
        async with asyncio.TaskGroup() as tasks:
            if self._inbox is not None and self._inbox.consumer is not None:
                tasks.create_task(self.holding.run(self._inbox.consumer))
                tasks.create_task(self.holding.watch_ledger(self._inbox.consumer))
            tasks.create_task(relay.run())
            if self.door is not None:
                tasks.create_task(self.door.tokens.run())
                tasks.create_task(self.door.webhooks.run())
            if self.notices is not None:
                tasks.create_task(self.notices.run())
            tasks.create_task(self._begin_anew_without_ledger())
            tasks.create_task(self._reader.follow())
            tasks.create_task(self._catch_up(relay))
            tasks.create_task(every(_TRY_STUCK_EVERY, self._try_stuck))
            tasks.create_task(self._look_over(relay))
            tasks.create_task(lost_keys.run(self.seat, self._lost))
            tasks.create_task(follower.run(self.witness, self._where))
            tasks.create_task(rounds.run(self.desk, self._home, self._inbox_is_read))
            if watched is not None:
                tasks.create_task(addresses.run(watched, self.begin_anew))
            if self._rotating is not None:
                tasks.create_task(rotation.run(self._rotating, self.begin_anew))
            if self._renewing is not None:
                tasks.create_task(own_certificate.run(self._renewing, self.begin_anew))
            if isinstance(clock, SteppedClock):
                tasks.create_task(clock.run())

    async def _look_over(self, relay: Relay) -> None:
        """Check the ledger against the deliveries after the start, so that the first reader need not wait."""
        await relay.caught_up.wait()
        with suppress(SQLAlchemyError):  # a full disk, a held file: the next reading checks again
            await self.desk.unaltered.look()

    async def _begin_anew_without_ledger(self) -> None:
        """Say nothing more once the ledger is lost: what is in memory may be behind it, so all is read again."""
        await self.seat.ledger.lost.wait()
        telemetry.handled("waiting", code="ledger_away")
        self.begin_anew()

    @property
    def begins_anew(self) -> bool:
        """Return whether the process ended only to connect again."""
        return not self.failed and (self.lost_ledger or (self.anew and self.holding.put_out is None))

    def begin_anew(self) -> None:
        """End this process so that it connects again."""
        self.anew = True
        self.stop()

    def _stop(self) -> None:
        self.stop()

    def ended(self, task: "asyncio.Task[None]") -> None:
        """End the process when a *task* that must not end has failed."""
        error = None if task.cancelled() else task.exception()
        if error is not None and self.seat.ledger.is_cause_of(error):
            self.is_refused = True
            self.begin_anew()
        elif error is not None:
            causes = error.exceptions if isinstance(error, BaseExceptionGroup) else (error,)
            self.failed = True
            self.stop()
            telemetry.handled("stopped", error=type(causes[0]).__name__)

    async def _catch_up(self, relay: Relay) -> None:
        """Wait until the inbox is read to its end; then start signing, and release cases that waited for this release."""
        await self.holding.claimed()
        inbox = self._inbox
        consumer = inbox.consumer if inbox else None
        if inbox is None or consumer is None:
            return
        ends = await clients.ends(consumer, consumer.assignment())
        # aiokafka tells a position only when asked.
        while self.desk.working or any([await consumer.position(each) < end for each, end in ends.items()]):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK)
        private.wait_for_silent(consumer, clients.AT_REST_MS)
        if self.seat.ledger.beginnings:
            # Letters erased before the loss of the ledger must not open again when waiting letters are let through.
            with suppress(
                SQLAlchemyError, sqlite3.Error, OSError
            ):  # tried again in a moment; until then the letters stay closed
                await rounds.erase_due(self.desk)
                await rounds.delete_stopped(self.desk)
        if self.holding.must_catch_up:
            await relay.until_registrar_is_past(self.holding)
        await self.holding.caught_up()
        relay.caught_up.set()
        self.seat.ledger.changed.set()
        await release_by_itself(self.desk, inbox)
        self._went_on = True
        await self._open_what_waited(inbox)

    async def _open_what_waited(self, inbox: Inbox) -> None:
        """Let through each case whose letter waited, once its partition is read to where it ended at the letter's arrival.

        A partition that stands still, perhaps for days, holds up its own cases alone.
        """
        looks = 0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(doubled(_LOOK, looks, _LONGEST_LOOK) if self.desk.ahead else None):
                    await self.desk.waits.wait()
                    looks = 0
            self.desk.waits.clear()
            looks += 1
            for subject, (partition, end) in tuple(self.desk.ahead.items()):
                if await self._position(partition) < end or self.desk.is_handling(partition):
                    continue
                looks = 0
                await release_by_itself(self.desk, inbox, (subject,))
                if self.desk.ahead.get(subject) == (partition, end):
                    del self.desk.ahead[subject]

    async def _try_stuck(self) -> None:
        """Let through each case that met a fault of this machine, once the fault is mended; the other cases went on meanwhile."""
        if self._inbox is not None and self.desk.stuck:
            await release_by_itself(self.desk, self._inbox, sorted(self.desk.stuck))

    async def _position(self, partition: int) -> int:
        consumer = self._inbox.consumer if self._inbox else None
        where = TopicPartition(inbox_of(self.seat.me), partition)
        if consumer is None or where not in consumer.assignment():
            return -1
        return int(await consumer.position(where))

    def _end_of(self, partition: int) -> int | None:
        consumer = self._inbox.consumer if self._inbox else None
        where = TopicPartition(inbox_of(self.seat.me), partition)
        return consumer.last_stable_offset(where) if consumer and where in consumer.assignment() else None

    def _inbox_is_read(self) -> bool:
        return self._relay is not None and self._relay.caught_up.is_set() and self.seat.trouble is None

    async def health(self) -> dict[str, Any]:
        """Return the health known only to the process: clock, lag, progress, and co-signing of checkpoints."""
        clock, (lag, silent) = self.seat.clock, await self._reading()
        started = self._inbox_is_read() and self._went_on
        moving = lag == 0 or time.monotonic() - self.desk.progress < STUCK_SECONDS
        return {
            "ready": started and lag is not None and moving and not self.desk.ahead and self.seat.held_up is None,
            "release": RELEASE,
            "state": self.seat.directory.state(self.seat.me, self.seat.now()),
            "held_up": self.seat.held_up,
            "directory_stale": self._reader.stale,
            "tick": clock.tick if isinstance(clock, SteppedClock) else 0,
            "lag": lag,
            "silent": None if silent is None else round(silent, 1),
            "cosigns": self.witness.cosigns,
            "keys_sealed": self._keys_sealed,
            "clock_ahead": self._clock.ahead,
        }

    def vitals(self) -> dict[str, float]:
        """Return the numbers of this machine for the metrics."""
        return vitals(self._folder, self._home, self.seat.me)

    async def _reading(self) -> tuple[int | None, float | None]:
        """Return the number of unread inbox records, and for how many seconds the broker has not answered this desk.

        The number is None while unknown, and if the broker has not answered for a minute; the seconds before its first answer.
        """
        silent, lag = self.holding.silence, 0
        consumer = self._inbox.consumer if self._inbox else None
        if consumer is None or not consumer.assignment():
            return None, silent
        for partition in consumer.assignment():
            end, position = consumer.last_stable_offset(partition), None
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    position = await consumer.position(partition)
            if position is None:
                return None, silent
            behind = max(0, (end or 0) - position)
            # A desk that still has records to handle asks for no others. After the inbox was assigned anew, the partition alone
            # does not tell a silent broker before its first answer.
            if not behind and (unanswered := clients.silence(consumer, partition)) is not None:
                silent = max(silent or 0.0, unanswered)
            lag += behind
        return (None if (silent or 0.0) > clients.UNHEARD_SECONDS else lag), silent

    async def release(self, subject: str) -> int:
        """Let the parked records of a case through; return how many are left."""
        if not self._inbox_is_read():
            raise DeskError("inbox_unread")
        return await release(self.desk, self._inbox, subject) if self._inbox else 0
