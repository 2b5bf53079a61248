"""An auditor without Kafka, who publishes checkpoints of real logs, and a desk that witnesses them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from agencies import BUS, NOW, log_keys
from auditor.given import FIRST, altered
from desk.given import Given, desk_of
from nrmbus.auditor.log.log import Log
from nrmbus.auditor.log.signed_heads import SignedHeads
from nrmbus.desk.witness import cosignatures
from nrmbus.desk.witness.follower import Witness
from nrmbus.directory import LogIdentity
from nrmbus.wire.log.checkpoint import AddCheckpoint, Checkpoint, origin_of
from nrmbus.wire.log.note import Note
from nrmbus.wire.names import CHECKPOINTS
from nrmbus.wire.registration import NOTHING_BEFORE, Registration

OWN = "nrm.witness.shelter"
LOG = origin_of(BUS, 0)


@cache
def history(numbers: int, *, bus: str = BUS, partition: int = 0, forked_at: int = 0) -> list[Registration]:
    """Return the first registrations of a partition; from *forked_at* on they differ from the true history."""
    made: list[Registration] = []
    previous = NOTHING_BEFORE
    for number in range(1, numbers + 1):
        envelope = ("e" if 0 < forked_at <= number else "b") * 64
        fields = {"bus": bus, "partition": partition, "number": number, "previous": previous, "envelope": envelope}
        made.append(altered(FIRST, **fields))
        previous = made[-1].digest
    return made


class FakeAuditor:
    """Keeps one log, true or forked, and publishes its signed trees."""

    def __init__(
        self, home: Path, *, bus: str = BUS, partition: int = 0, forked_at: int = 0, identity: LogIdentity | None = None
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._history: dict[str, Any] = {"bus": bus, "partition": partition, "forked_at": forked_at}
        self.log = Log(home / "log", SignedHeads(home / "heads.db"), bus, partition)
        self._keys = (identity or log_keys()).signers(self.log.origin)
        self.published = 0
        self._time = int(NOW.timestamp())

    def grows(self, size: int, *, old: int | None = None) -> bytes:
        """Register up to *size* and sign; return the record to publish, from the previously published size or from *old*."""
        for registration in history(size, **self._history)[self.log.size :]:
            self.log.append(registration)
        self._time += 3600
        note = self.log.sign(*self._keys, self._time)
        start, self.published = self.published if old is None else old, size
        return AddCheckpoint(start, tuple(self.log.consistency_proof(start, size)), note).bytes()


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the desk may catch it."""


@dataclass
class Witnessing:
    """A desk, its witness, and the two topics between it and the auditor."""

    given: Given
    witness: Witness
    topic: list[bytes]
    own: list[bytes]
    inbox_is_read: bool = True
    sending: list[bytes] = field(default_factory=list)

    async def recall(self) -> None:
        """Read the desk's own topic to its end."""
        start = self.witness.next_offset(OWN)
        await self.witness.recall(list(enumerate(self.own))[start:])

    async def read(self) -> None:
        """Read `nrm.checkpoints` to its end."""
        for offset, raw in list(enumerate(self.topic))[self.witness.next_offset(CHECKPOINTS) :]:
            assert await self.witness.take(offset, raw)

    async def look(self, *records: bytes) -> None:
        """Publish *records*, and let the witness read, sign and send."""
        self.topic.extend(records)
        await self.read()
        await self.witness.sign()
        await self.witness.send(self.publish)

    async def publish(self, note: bytes) -> None:
        """Publish a note as the broker does; fail if the note is not stored already."""
        rows = await self.given.rows("witnessed")
        assert note in [row.cosignature for row in rows], "sent before it was stored"
        self.own.append(note)

    def signed(self) -> list[tuple[str, int]]:
        """Return logs and sizes in the desk's own topic, each co-signed by the key in the directory."""
        found = []
        for each in self.own:
            note = Note.parse(each)
            ((_, time),) = note.verified(self.given.town.directory.witnesses("shelter"))
            assert time >= NOW.timestamp()
            checkpoint = Checkpoint.parse(note.text)
            found.append((checkpoint.origin, checkpoint.size))
        return found

    def sizes(self) -> list[int]:
        """Return the co-signed sizes of all logs, in order."""
        return [size for _, size in self.signed()]

    async def alarms(self) -> list[tuple[str | None, str]]:
        """Return log and code of each open alarm."""
        with self.given.desk.seat.ledger.read() as tx:
            return [(row.origin, row.code) for row in cosignatures.open_alarms(tx)]

    async def person_acts(self) -> None:
        """Mark every task as done, as somebody at the desk does."""
        for task in (await self.given.door.get("/v1/tasks")).json()["tasks"]:
            assert (await self.given.door.post(f"/v1/tasks/{task['task']}/done")).status_code == 200


@asynccontextmanager
async def witnessing(
    home: Path, topic: list[bytes], own: list[bytes], *, recall: bool = True
) -> AsyncIterator[Witnessing]:
    """Yield the shelter's desk with its ledger at *home* and the topics as they are; opened again, the desk continues."""
    async with desk_of("shelter", home) as given:
        found = Witnessing(given, None, topic, own)  # type: ignore[arg-type]  # made in the next line
        found.witness = Witness(given.desk.seat, lambda: found.inbox_is_read)
        if recall:
            await found.recall()
        yield found


async def forked(tmp_path: Path, here: Witnessing) -> FakeAuditor:
    """Return a log that differs from the fourth registration on, after the true one was signed up to the seventh."""
    auditor = FakeAuditor(tmp_path / "auditor")
    await here.look(auditor.grows(3), auditor.grows(7))
    fork = FakeAuditor(tmp_path / "fork", forked_at=4)
    fork.grows(3)
    fork.published = 7
    return fork
