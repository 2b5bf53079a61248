"""Lease of a desk: the name of the one process that may run the desk, even if the desk's folder lies on several hosts.

The lease is the metadata of the desk's committed offsets. It lies on the bus, so a copy of a folder does not include it.
The holder is alive while the group of the inbox has a member; the broker ends a member after `SILENT` seconds without a
heartbeat. The highest generation holds the desk, and every other process stops.

The rule: `is_free` tells if a process may begin, `Held.claim` begins, and `Held.check` tells if a process has to stop.
"""

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal, NamedTuple, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from nrmbus.bus import machine
from nrmbus.bus.aiokafka_patches import private
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients, groups
from nrmbus.bus.private_files import lock_file
from nrmbus.bus.wall_clock import written_now
from nrmbus.wire.names import inbox_of

HELD: Final = 72
"""Exit status of a desk that another process runs: it did not begin, or was put out. Nothing is gained by another start."""

SILENT: Final = clients.settings("desk")["session_timeout_ms"] / 1000
"""Seconds without a heartbeat after which the broker takes the holder for gone."""

LOOK_SECONDS: Final = 0.5
_MARGIN: Final = 2.0
_PATIENCE: Final = 5.0
_END_SECONDS: Final = 1.0

How = Literal["wait", "standby", "take_over"]
"""How a desk begins while another process may run it: wait until it is clear whether the other lives; wait for as long
as the other lives; put the other out."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Lease as its holder wrote it to the bus."""

    bus: str
    generation: int
    place: str
    """Digest of the host's boot and of the desk's lock file: two processes of one place cannot run at the same time."""
    host: str
    """Mark of the holder's machine (`machine.mark`), never its name; a name only from an earlier release."""
    pid: int
    since: str
    ended: bool = False
    """True if the holder ended in order."""
    stuck: bool = False
    """True while the holder cannot write its ledger, so that it can take nothing that is delivered."""

    def written(self) -> str:
        """Return the lease as the metadata of an offset; an earlier release does not know `stuck`."""
        known = {name: each for name, each in asdict(self).items() if name != "stuck" or each}
        return json.dumps(known, separators=(",", ":"))

    @classmethod
    def read(cls, metadata: str, bus: str) -> Self | None:
        """Return the lease in *metadata*; None if there is none of this *bus*."""
        with suppress(ValueError, TypeError, RecursionError):  # another agency may write anything there
            found = cls(**json.loads(metadata))
            return found if found.bus == bus and isinstance(found.generation, int) else None
        return None

    @property
    def holder(self) -> str:
        """Return in words who holds it, where and since when."""
        return f"{machine.where(self.host)}, process {self.pid}, since {self.since}"


class Standing(NamedTuple):
    """State of a desk on the bus: its newest lease, whether a member of its group lives, and its acknowledged offsets."""

    lease: Lease | None
    lives: bool
    offsets: Mapping[int, int]


class LeaseHeld(Exception):
    """Another process runs the desk, by this *lease*."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        super().__init__(lease.holder)


def is_free(standing: Standing, place: str) -> bool:
    """Return whether a process at *place* may begin.

    A holder at the same place is gone, since this process has the lock. A group without members was silent for `SILENT`
    seconds. A member without a lease is a desk of an earlier release.
    """
    lease = standing.lease
    return lease is None or lease.place == place or lease.ended or not standing.lives


def place_of(lock: Path) -> str:
    """Return the place of a process that holds the file *lock*: equal exactly where that lock keeps the other process out."""
    with lock_file(lock) as descriptor:
        file = os.fstat(descriptor)
    return sha256(f"{machine.boot()} {file.st_dev} {file.st_ino}".encode()).hexdigest()[:32]


class Begins(NamedTuple):
    """Process whose turn it is to run a desk, and the desk's standing before."""

    me: "Me"
    standing: Standing
    quiet: float = 0.0
    """Seconds from the claim on in which the process before may still believe that it holds the desk."""


async def turn(
    folder: BusFolder, agency: str, home: Path, how: How = "wait", notify: Callable[[str], None] = lambda _: None
) -> Begins:
    """Return once this process may run the desk of *agency*; *notify* is told for whom it waits.

    Raises:
        LeaseHeld: the other process lives on, and *how* is ``wait``.
        KafkaError: no broker answers.
    """
    settings, place = folder.settings, place_of(folder.run / f"{agency}.lock")
    inbox = tuple(TopicPartition(inbox_of(agency), each) for each in range(settings.partitions))
    me, begun, marker = Me(settings.bus, agency, place, inbox), time.monotonic(), folder.standby_marker(agency)
    marker.remove()  # of a process that was killed while it waited
    try:
        async with groups.asking(folder.reach(home)) as ask:
            while True:
                standing = _standing(await ask(me.group, me.inbox), me)
                marker.heard()
                if standing.lease is None or is_free(standing, me.place):
                    return Begins(me, standing)
                if how == "take_over":
                    return Begins(me, standing, SILENT)
                if how == "wait" and time.monotonic() - begun > SILENT + _MARGIN:
                    raise LeaseHeld(standing.lease)
                if marker.read() is None:
                    sentence = waits(me.agency, standing.lease, how)
                    marker.write(sentence)
                    notify(sentence)
                await asyncio.sleep(LOOK_SECONDS)
    finally:
        marker.remove()


def _standing(group: groups.Group, me: "Me") -> Standing:
    lease = newest((each.metadata for each in group.committed.values()), me.bus)
    return Standing(lease, group.has_members, {each.partition: at.offset for each, at in group.committed.items()})


def newest(metadata: Iterable[str], bus: str) -> Lease | None:
    """Return the lease of the highest generation in *metadata*, of this *bus*; None if there is none."""
    found = [lease for each in metadata if (lease := Lease.read(each, bus)) is not None]
    return max(found, key=lambda lease: lease.generation, default=None)


def _now() -> float:
    """Return the seconds of a clock that runs on while the host is suspended."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def waits(agency: str, lease: Lease, how: How) -> str:
    """Return the sentence for a person while a process waits for the holder of *lease*."""
    runs = f"The desk of {agency} runs already: {lease.holder}."
    if how == "standby":
        return f"{runs} This one stands by, and begins when the other has ended or was silent for {SILENT:.0f} seconds."
    return f"{runs} This one begins if the other is silent for {SILENT:.0f} seconds, and else ends."


def refused(agency: str, lease: Lease) -> str:
    """Return the sentence for a person whose desk did not begin."""
    return (
        f"The desk of {agency} was not started, since it runs already: {lease.holder}. Nothing was sent from here. "
        f"End the other one first; if it cannot be reached, nrmbus run {agency} --take-over puts it out."
    )


def put_out(agency: str, lease: Lease) -> str:
    """Return the sentence for a person whose desk was put out by the holder of *lease*."""
    return (
        f"The desk of {agency} has stopped here, since another process took it over: {lease.holder}. Nothing more is "
        "sent from here. Let the desk run in one place only; what this one had not sent is in its ledger."
    )


class Me(NamedTuple):
    """A process that wants to run a desk."""

    bus: str
    agency: str
    place: str
    inbox: tuple[TopicPartition, ...]

    @property
    def group(self) -> str:
        """Return the group of the inbox's readers."""
        return f"{self.agency}.desk"

    def lease(self, generation: int) -> Lease:
        """Return this process's lease."""
        return Lease(self.bus, generation, self.place, machine.mark(), os.getpid(), written_now())


class Held:
    """Lease of this process, from the claim on; `is_sure` says whether nobody else can have it."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.claimed = asyncio.Event()
        """Set once the lease is on the bus."""
        self._proved = -SILENT

    @property
    def is_sure(self) -> bool:
        """Return whether the broker confirmed the membership so lately that nobody can have been let in since."""
        return self.claimed.is_set() and _now() - self._proved < SILENT

    @property
    def silence(self) -> float | None:
        """Return for how many seconds the broker has confirmed nothing; None until the lease was on the bus."""
        return _now() - self._proved if self.claimed.is_set() else None

    def follow(self, consumer: AIOKafkaConsumer) -> None:
        """Take each confirmed heartbeat of *consumer* as proof."""
        private.on_heartbeat(consumer, _now, self._prove)

    def _prove(self, asked: float) -> None:
        self._proved = max(self._proved, asked)

    async def claim(self, consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]) -> None:
        """Write the lease to the bus as the member that *consumer* is, with the *offsets* that the ledger has reached.

        Raises:
            LeaseHeld: somebody else has the same or a higher generation.
            KafkaError: the broker does not answer, or the membership is lost again.
        """
        asked = _now()
        await self.check(consumer, offsets)
        await consumer.commit({each: OffsetAndMetadata(at, self.lease.written()) for each, at in offsets.items()})
        self._prove(asked)
        self.claimed.set()

    async def check(self, consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]) -> None:
        """Raise `LeaseHeld` if somebody else has claimed the desk since; KafkaError if the broker does not answer."""
        async with asyncio.timeout(_PATIENCE):
            found = await private.committed(consumer, offsets)
        lease = newest((each.metadata for each in found.values()), self.lease.bus)
        if lease is not None and lease.generation >= self.lease.generation and not self._is_mine(lease):
            raise LeaseHeld(lease)

    def _is_mine(self, lease: Lease) -> bool:
        return (lease.place, lease.pid, lease.since) == (self.lease.place, self.lease.pid, self.lease.since)

    def ends(self) -> str:
        """Claim nothing more; return the metadata that says so."""
        self.lease, self._proved = replace(self.lease, ended=True), -SILENT
        return self.lease.written()

    def says(self, *, stuck: bool) -> str:
        """Note whether the holder can write its ledger; return the metadata that says so."""
        self.lease = replace(self.lease, stuck=stuck)
        return self.lease.written()

    async def tell(self, consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]) -> None:
        """Write to the bus what `says` says.

        Raises:
            KafkaError: the broker does not answer, or the membership is lost.
            TimeoutError: the broker does not answer in time.
        """
        async with asyncio.timeout(_PATIENCE):
            await consumer.commit({each: OffsetAndMetadata(at, self.lease.written()) for each, at in offsets.items()})

    async def end(self, consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]) -> None:
        """Write to the bus what `ends` says. Returns soon, whatever is away."""
        if not self.claimed.is_set():
            return
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                await consumer.commit(
                    {each: OffsetAndMetadata(at, self.lease.written()) for each, at in offsets.items()}
                )
