"""Holding of a desk by this process: the claim at the start, the proof while it runs, and the end."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from sqlalchemy.exc import SQLAlchemyError

from nrmbus import telemetry
from nrmbus.bus.kafka.lease import Begins, Held, Lease, LeaseHeld
from nrmbus.bus.wall_clock import written_now
from nrmbus.desk.desk import Desk
from nrmbus.desk.state import beginnings, older_copy
from nrmbus.desk.store.ledger import Position
from nrmbus.telemetry import log

_AGAIN_SECONDS: Final = 0.2
PROBE_SECONDS: Final = 30.0
"""Seconds between two writes that only show that the ledger can be written."""


class Holding:
    """Lease of *desk* in this process, which *begins* as its holder; *stop* ends the process."""

    def __init__(self, desk: Desk, begins: Begins, stop: Callable[[], None]) -> None:
        self._desk, self._begins, self._stop = desk, begins, stop
        self._held = Held(begins.me.lease(0))
        self._since: dict[str, int] = {}
        self.put_out: Lease | None = None
        """Lease of the process that has taken the desk over; None while this process has it."""
        self.must_catch_up = False
        """True until the desk has caught up, if another process ran the desk last. Until then the desk sends nothing."""

    async def begin(self) -> None:
        """Number this start, and note in the ledger if it is an older copy. Call before the inbox is read."""
        me, standing, _ = self._begins
        ledger, lease = self._desk.seat.ledger, standing.lease
        self._since = older_copy.read_to(ledger)
        self._held = Held(me.lease(await older_copy.look(self._desk.seat, standing)))
        self.must_catch_up = older_copy.is_behind(ledger) or (lease is not None and lease.place != me.place)
        self._desk.lease = self._held.lease.written()

    @property
    def is_sure(self) -> bool:
        """Return whether nobody else can hold the desk now."""
        return self._held.is_sure and self.put_out is None

    @property
    def silence(self) -> float | None:
        """Return for how many seconds the broker has not confirmed that this process is a member of the inbox's group; None while it is none."""
        return self._held.silence

    def may_send(self) -> bool:
        """Return whether this process may send what the ledger has for the bus."""
        return self.is_sure and not self.must_catch_up

    async def run(self, consumer: AIOKafkaConsumer) -> None:
        """Write the lease to the bus each time that *consumer* has joined the group of the inbox."""
        self._held.follow(consumer)

        async def before_joining_again() -> None:
            try:
                with suppress(KafkaError, TimeoutError):  # the claim that follows checks again
                    await self._held.check(consumer, self._offsets())
            except LeaseHeld as held:
                self._is_put_out(held.lease)
                raise asyncio.CancelledError from None  # it ends the membership: to join would put the other one out

        self._desk.before_joining_again = before_joining_again
        while True:
            await self._desk.joined.wait()
            self._desk.joined.clear()
            try:
                async with asyncio.timeout(_AGAIN_SECONDS * 50):
                    await self._held.claim(consumer, self._offsets())
            except LeaseHeld as held:
                self._is_put_out(held.lease)
            except (KafkaError, TimeoutError):
                self._desk.joined.set()
                await asyncio.sleep(_AGAIN_SECONDS)

    async def watch_ledger(self, consumer: AIOKafkaConsumer) -> None:
        """Write to the ledger now and then, and say on the bus when it cannot be written, or can be again.

        An idle desk with a full disk would look well until somebody turned to it.
        """
        await self._held.claimed.wait()
        said: bool | None = False
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            stuck = not await self._is_written()
            if stuck is said:
                continue
            # Set before the commit: an acknowledgement that is sent while the broker answers must not take it back.
            self._desk.lease, said = self._held.says(stuck=stuck), None
            with suppress(KafkaError, TimeoutError):  # tried again with the next look
                await self._held.tell(consumer, self._offsets())
                said = stuck

    async def _is_written(self) -> bool:
        ledger = self._desk.seat.ledger
        try:
            async with ledger.write() as tx:
                ledger.note(tx, "written", written_now())
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            telemetry.handled("not_available", error=type(error).__name__)
            return False
        return True

    async def claimed(self) -> None:
        """Wait until the lease is on the bus, and nobody else can believe to hold the desk."""
        await self._held.claimed.wait()
        await asyncio.sleep(self._begins.quiet)

    def _is_put_out(self, lease: Lease) -> None:
        self.put_out = lease
        log.report("put_out", number=lease.generation, pid=lease.pid)
        self._stop()

    async def caught_up(self) -> None:
        """Note that this desk has caught up, open the task about a lost ledger, and let the desk send."""
        while True:
            try:
                await beginnings.tell(self._desk.seat)
                await older_copy.tell(self._desk.seat, self._since)
                break
            except SQLAlchemyError as error:  # a full disk, a held file: tried again
                telemetry.handled("not_available", error=type(error).__name__)
                await asyncio.sleep(_AGAIN_SECONDS * 5)
        self.must_catch_up = False

    async def end(self, consumer: AIOKafkaConsumer) -> None:
        """Write to the bus that this process ends, so that the next holder need not wait."""
        if self.put_out is None:
            self._desk.lease = self._held.ends()
            await self._held.end(consumer, self._offsets())

    def _offsets(self) -> dict[TopicPartition, int]:
        """Return where the ledger goes on in each partition of the inbox."""
        known = self._desk.seat.ledger.positions
        return {each: known.get(each.partition, Position()).next_offset for each in self._begins.me.inbox}
