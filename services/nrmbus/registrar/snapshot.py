"""Snapshot of one partition's state, so that a start folds only the registrations after it (decision 0036).

Two files in the registrar's folder: the state, and a head that names the state's digest and the registration that it ends
with. The registrar signs the head. A snapshot that does not fit in every point is thrown away, and the history is folded
from the beginning.
"""

import asyncio
import os
import secrets
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from aiokafka import ConsumerRecord, TopicPartition

from nrmbus.bus.kafka import clients
from nrmbus.bus.private_files import PRIVATE_FILE, make_private, write_private
from nrmbus.registrar.history_state import Memory
from nrmbus.registrar.spill_file import NoRoomError
from nrmbus.telemetry import log
from nrmbus.wire import history, statement
from nrmbus.wire.disk import flush
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys.keys import SigningKey, VerifyKey
from nrmbus.wire.names import CASES
from nrmbus.wire.record import Record

SNAPSHOT_LIMIT: Final = 4096
"""Largest size of a head, in bytes."""
SOURCE: Final = Path(__file__).parents[1]
ROOMS: Final = ("events", "registrar", "rules", "wire")
"""The rooms whose code makes and reads the state."""

RefusalCode = Literal[
    "unreadable", "signature_invalid", "other_bus", "other_partition", "other_rules", "other_code", "state_missing",
    "state_altered", "history_cut", "history_shorter", "history_differs",
]  # fmt: skip
"""Every reason why a snapshot is thrown away.

``unreadable``: the head has not the form of one. ``signature_invalid``: no key of the registrar signed it. ``other_bus``,
``other_partition``, ``other_rules``: it is of another. ``other_code``: another release, or another Python, made the state.
``state_missing``, ``state_altered``: the file with the state is gone, or is another. ``history_cut``: the topic begins later
than at its first record. ``history_shorter``: the topic ends before the snapshot does. ``history_differs``: another record
stands where the last registration of the snapshot should be.
"""


class SnapshotRefused(Exception):
    """Raised when a snapshot does not fit; ``code`` is of the closed list `RefusalCode`."""

    def __init__(self, code: RefusalCode) -> None:
        """Name the *code*."""
        self.code: RefusalCode = code
        super().__init__(code)


class Reader(Protocol):
    """The part of a Kafka consumer that looks for one record."""

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the first offset of each partition."""

    async def position(self, partition: TopicPartition) -> int:
        """Return the offset of the record that is read next."""

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Go on at *offset*."""

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Return the next records."""


@cache
def code_digest() -> str:
    """Return SHA-256 of the Python version and of all code in `ROOMS`, by which a state is made and read."""
    digest = sha256(sys.version.encode())
    for path in sorted(each for room in ROOMS for each in (SOURCE / room).rglob("*.py")):
        digest.update(f"\0{path.relative_to(SOURCE)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Head:
    """The signed part of a snapshot: what the state is a fold of, and its digest."""

    bus: str
    partition: int
    rules: str
    """Digest of the profiles that this release has, and of the name of the first."""
    code: str
    """`code_digest` of the process that made the state."""
    number: int
    """Number of the last registration in the state."""
    digest: str
    """Digest of that registration."""
    offset: int
    """Place of that registration in ``nrm.cases``."""
    state: str
    """SHA-256 of the file with the state."""

    def signed(self, key: SigningKey) -> bytes:
        """Return the head in its signed form."""
        return statement.sign("snapshot", asdict(self), key)

    @classmethod
    def of(cls, body: dict[str, Any]) -> "Head":
        """Take a *body* as `dataclasses.asdict` writes it; raises SnapshotRefused, ``unreadable``, for another form."""
        fields = cls.__annotations__
        if body.keys() != fields.keys() or any(type(body[name]) is not kind for name, kind in fields.items()):
            raise SnapshotRefused("unreadable")
        return cls(**body)

    @classmethod
    def verified(cls, raw: bytes, key_of: Callable[[str], VerifyKey]) -> "Head":
        """Read what `signed` wrote; raises SnapshotRefused, ``unreadable`` or ``signature_invalid``."""
        code: RefusalCode = "unreadable"
        try:
            body, _ = statement.verify("snapshot", raw, key_of)
            return cls.of(body)
        except WireError as error:
            if error.code in ("signature_invalid", "key_not_current", "weak_key"):
                code = "signature_invalid"
        raise SnapshotRefused(code)


@dataclass(frozen=True, slots=True)
class Snapshots:
    """The snapshots of one partition in *folder*, of which only the last one is kept."""

    folder: Path
    bus: str
    partition: int
    rules: str
    """Digest of the profiles that this release has, and of the name of the bus's first."""

    @property
    def head_path(self) -> Path:
        """The signed head."""
        return self.folder / str(self.partition)

    def state_path(self, head: Head) -> Path:
        """Return the file with the state that *head* names."""
        return self.folder / f"{self.partition}.{head.state}"

    # -- reading -----------------------------------------------------------------------------------------------------

    def read(self, key_of: Callable[[str], VerifyKey]) -> Head | None:
        """Return the head, signed by the registrar, of this bus, partition, profile and code; None if there is no snapshot.

        Raises:
            SnapshotRefused: it is another's.
        """
        try:
            with self.head_path.open("rb") as file:
                raw = file.read(SNAPSHOT_LIMIT + 1)
        except FileNotFoundError:
            return None
        except OSError:
            raise SnapshotRefused("unreadable") from None
        if len(raw) > SNAPSHOT_LIMIT:
            raise SnapshotRefused("unreadable")
        head = Head.verified(raw, key_of)
        compared: tuple[tuple[RefusalCode, str | int, str | int], ...] = (
            ("other_bus", head.bus, self.bus),
            ("other_partition", head.partition, self.partition),
            ("other_rules", head.rules, self.rules),
            ("other_code", head.code, code_digest()),
        )
        for code, found, due in compared:
            if found != due:
                raise SnapshotRefused(code)
        return head

    def load(self, memory: Memory, head: Head) -> None:
        """Have the empty *memory* take the state that *head* names; refused, it stays empty.

        Raises:
            SnapshotRefused: ``state_missing`` or ``state_altered``.
        """
        try:
            with self.state_path(head).open("rb") as file:
                right = memory.load(file, head.state)
        except OSError:
            raise SnapshotRefused("state_missing") from None
        if not right:
            raise SnapshotRefused("state_altered")

    async def restore(
        self, memory: Memory, reader: Reader, end: int, key_of: Callable[[str], VerifyKey], *, owns: bool = True
    ) -> Head | None:
        """Have the empty *memory* take the last snapshot, if the history that *reader* reads up to *end* goes on from it.

        Return its head; None if there is no snapshot, or if it does not fit, which the log says with the code. The process
        that *owns* the partition throws such a snapshot away; for another, it may be one that is just being replaced.
        """
        try:
            head = self.read(key_of)
            if head is not None:
                await self.check_place(head.offset, head.number, head.digest, reader, end)
                await self._loaded(memory, head)
        except SnapshotRefused as refused:
            log.report("snapshot_refused", code=refused.code, partition=self.partition)
            if owns:
                self.discard()
            return None
        except Exception as error:
            if owns and not isinstance(error, NoRoomError):
                self.discard()  # the next start must not fail in the same place
            raise
        return head

    async def _loaded(self, memory: Memory, head: Head) -> None:
        """Load in a thread, and wait for its end if cancelled: the next shard has the same spill file."""
        loading = asyncio.create_task(asyncio.to_thread(self.load, memory, head))
        try:
            await asyncio.shield(loading)
        except asyncio.CancelledError:
            while not loading.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([loading])
            raise

    async def check_place(self, offset: int, number: int, digest: str, reader: Reader, end: int) -> None:
        """Check that the history which *reader* reads up to *end* has at *offset* the registration *number* with *digest*.

        By the chain of digests, everything before it is the same too.

        Raises:
            SnapshotRefused: ``history_cut``, ``history_shorter`` or ``history_differs``.
        """
        cases = TopicPartition(CASES, self.partition)
        if (await clients.begins(reader, [cases]))[cases] > 0:
            raise SnapshotRefused("history_cut")
        if offset >= end:
            raise SnapshotRefused("history_shorter")
        reader.seek(cases, offset)
        found: list[ConsumerRecord] = []
        while not found and await reader.position(cases) < end:
            found = (await reader.getmany(cases, timeout_ms=200, max_records=1)).get(cases, [])
        if not found or found[0].offset != offset or _said(found[0]) != (number, digest):
            raise SnapshotRefused("history_differs")

    # -- writing -----------------------------------------------------------------------------------------------------

    def save(self, memory: Memory, offset: int) -> Head:
        """Write the state of *memory*, whose last registration stands at *offset*; return the head, which `keep` has to sign.

        A process that is killed meanwhile leaves the snapshot before.
        """
        partial = make_private(self.folder) / f".{self.partition}.{os.getpid()}.{secrets.token_hex(4)}"
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                state = memory.save(file)
                file.flush()
                flush(file.fileno())
            head = Head(
                self.bus, self.partition, self.rules, code_digest(), memory.number, memory.previous, offset, state
            )  # fmt: skip
            partial.replace(self.state_path(head))
        finally:
            partial.unlink(missing_ok=True)  # the broker may need the room
        return head

    def keep(self, head: Head, key: SigningKey) -> None:
        """Sign *head*, and have it take the place of the snapshot before."""
        write_private(self.head_path, head.signed(key))
        self._tidy(self.state_path(head))

    def tidy(self, key_of: Callable[[str], VerifyKey]) -> None:
        """Remove all but the snapshot in use."""
        with suppress(SnapshotRefused):
            head = self.read(key_of)
            self._tidy(self.state_path(head) if head else None)

    def discard(self) -> None:
        """Throw the snapshot away, with everything that a killed process left."""
        self.head_path.unlink(missing_ok=True)
        self._tidy(None)

    def _tidy(self, kept: Path | None) -> None:
        for pattern in (f"{self.partition}.*", f".{self.partition}.*"):
            for path in self.folder.glob(pattern):
                if path != kept:
                    path.unlink(missing_ok=True)


def _said(record: ConsumerRecord) -> tuple[int, str] | None:
    """Return number and digest of the registration in *record*; None if it is none."""
    with suppress(history.HistoryFault):
        found = history.read(Record(record.key, record.value, tuple(record.headers)), history.plain)
        return found.registration.number, found.digest
    return None
