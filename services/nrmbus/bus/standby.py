"""Standby of a service: of all its processes, on whatever machines, one works and the others stand by. Kafka decides which.

The processes are members of a consumer group, and work is partition 0 of ``nrm.cases``, which nobody reads here. A member
that is silent for its session loses the turn to another, and ends as soon as it notices. Until then both may believe to have
the turn, so a service that must never speak twice also writes under a transactional id, which fences the process before.
A member lives in a thread of its own: its heartbeats do not wait for the service's work.
"""

import asyncio
import fcntl
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, Final, NoReturn

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.errors import InvalidSessionTimeoutError, KafkaConnectionError

from nrmbus.bus.aiokafka_patches import private
from nrmbus.bus.errors import BusError, KafkaFailed
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.bus.periodic import pause_after
from nrmbus.bus.private_files import lock_file
from nrmbus.bus.replicas import parted, place_of, turn_of
from nrmbus.bus.waiting_marker import WaitingMarker
from nrmbus.telemetry import log
from nrmbus.wire.names import CASES

EXIT_CODE: Final = 70
WORK: Final = TopicPartition(CASES, 0)
_KILL_SECONDS: Final = 5.0


class OneWorks(RangePartitionAssignor):  # type: ignore[misc]  # aiokafka has no types
    """Assignor that leaves the work with the member that got it last, and else gives it to the first by name."""

    name = "nrm-turn"
    since: ClassVar[int] = 0
    """Generation of the group in which this process got the work, 0 if it did not."""

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """Return what this member tells the others: since when it works."""
        return ConsumerProtocolMemberMetadata(cls.version, list(topics), str(cls.since).encode())

    @classmethod
    def assign(
        cls, cluster: Any, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Give the work to one member, and nothing to the others."""
        del cluster
        works = min(members, key=lambda each: (-int(members[each].user_data or 0), each))
        return {
            each: ConsumerProtocolMemberAssignment(cls.version, [(CASES, [0])] if each == works else [], b"")
            for each in members
        }


class _Member(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    def __init__(self, folder: BusFolder, service: str, place: str, marker: WaitingMarker) -> None:
        self._where, self._service, self._place = folder.reach(folder.service(service)), service, place
        self._marker = marker
        self.answered = threading.Event()
        """Set when the turn has come, or cannot."""
        self.error: Exception | None = None
        self._consumer: AIOKafkaConsumer | None = None

    def run(self) -> None:
        """Be a member until the process ends."""
        try:
            asyncio.run(self._run())
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for this thread for ever
            self.error = error
        if self.answered.is_set():
            self._leave("turn_unknown")
        self.answered.set()

    async def _run(self) -> None:
        patient, unanswered = False, 0
        while True:
            try:
                await self._be_member(patient=patient)
            except InvalidSessionTimeoutError:
                if patient:
                    raise
                patient = True
            except KafkaConnectionError:
                if self.answered.is_set():
                    raise
                # It is on another machine and away for hours, or slow: on a busy machine each new start makes it slower.
                unanswered = min(unanswered + 1, 3)  # who stands by is to be back soon after the broker
                await asyncio.sleep(pause_after(unanswered))

    async def _be_member(self, *, patient: bool) -> None:
        self._consumer = consumer = clients.group_consumer(
            self._where, group=f"{self._service}.turn", instance=f"{self._service}-{self._place}", kind="turn",
            patient=patient, assignor=OneWorks,
        )  # fmt: skip
        await consumer.start()
        private.on_heartbeat(consumer, time.monotonic, self._heard)
        consumer.subscribe([CASES], listener=self)
        try:
            await private.coordination_ended(consumer)
        finally:
            await consumer.stop()

    def _heard(self, _asked: float) -> None:
        self._marker.heard()

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Do nothing: whether the turn is lost is known when the work is given out again."""

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Work, stand by, or end, as the work was given out."""
        assert self._consumer is not None  # noqa: S101 - it calls us
        if WORK not in assigned:
            if self.answered.is_set():
                self._leave("turn_lost")
            log.report("stands_by")
            return
        self._consumer.pause(WORK)
        if not self.answered.is_set():
            OneWorks.since = private.generation(self._consumer)
            log.report("works")
            self.answered.set()

    def _leave(self, reason: str) -> NoReturn:
        log.report("left", error=reason)
        os._exit(EXIT_CODE)


@contextmanager
def working(folder: BusFolder, name: str) -> Iterator[None]:
    """Stand by until it is the turn of the process *name* (`replica`) here, and have it until the block ends.

    A process of this folder that had the turn and still lives, frozen, is killed. When the turn is lost, the process ends.

    Raises:
        KafkaFailed: Kafka does not answer.
        BusError: the certificate or the key of this machine cannot be used.
    """
    service, number = parted(name)
    marker = folder.standby_marker(turn_of(name))
    member = _Member(folder, service, place_of(number, folder.host), marker)
    marker.write(f"Another process of the {service} works, and this one stands by.")
    try:
        threading.Thread(target=member.run, name="turn", daemon=True).start()
        member.answered.wait()
    finally:
        marker.remove()
    if isinstance(member.error, BusError):
        raise member.error
    if member.error is not None:
        raise KafkaFailed(f"Kafka does not say whose turn it is ({type(member.error).__name__}): see nrmbus check.")
    with _alone(folder, service):
        yield


@contextmanager
def _alone(folder: BusFolder, service: str) -> Iterator[None]:
    """Hold the lock of the work of *service*; kill the process that has lost the turn and still holds it."""
    with lock_file(folder.run / f"{service}.work") as descriptor:
        until = time.monotonic() + _KILL_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise
            with suppress(ValueError, ProcessLookupError):  # its pid is not written yet, or it ends just now
                os.kill(int(os.pread(descriptor, 16, 0)), signal.SIGKILL)
            log.report("killed_before", service=service)
            time.sleep(0.02)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
