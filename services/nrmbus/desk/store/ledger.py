"""The desk's ledger: SQLite in WAL, every commit on disk before it counts, one writer at a time.

Who writes opens `Ledger.write`, a transaction that begins immediately and commits or leaves no trace; who reads opens
`Ledger.read`, one snapshot however long it takes. What a desk has to know before it reads a record (how far each
partition of its inbox was read) is kept in memory as well, and follows each commit.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

from sqlalchemy import event, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from nrmbus.desk.errors import DeskError
from nrmbus.desk.store import schema, tables

FILE: Final = "ledger.sqlite"
_BUSY_SECONDS: Final = 5
NOTHING_BEFORE: Final = "0" * 64
"""What the first delivery of a chain names as the one before it."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far one partition of the inbox was read."""

    inbox_number: int = 0
    digest: str = NOTHING_BEFORE
    next_offset: int = 0


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a ledger begins to know one partition of an inbox in which something lay when the ledger was made."""

    until: int
    """Where the inbox ended then."""
    inbox_number: int | None = None
    """The first delivery that the ledger knows; None until one came."""
    previous: str = NOTHING_BEFORE
    since: str | None = None
    """When the first delivery was registered."""
    noticed: str = ""
    lost: bool = False
    """Whether the agency had a ledger before, which is gone."""

    @property
    def missing(self) -> int | None:
        """How many deliveries came before the first one that the ledger knows; None where nobody can say."""
        return None if self.inbox_number is None else self.inbox_number - 1


def _engine(path: Path, begin: str, *pragmas: str, size: int) -> AsyncEngine:
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{path}", pool_size=size, max_overflow=0, connect_args={"timeout": _BUSY_SECONDS}
    )

    # The driver's own transactions begin too late (at the first write) and end at surprising places.
    @event.listens_for(engine.sync_engine, "connect")
    def _settings(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", *pragmas):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    event.listen(engine.sync_engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


class Ledger:
    """One agency's ledger on one bus."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = ""
        """Random name of this ledger: rows of another ledger have other numbers."""
        # What is deleted is overwritten with zeros: an erased key must not be found in a free page.
        self._writer = _engine(path, "BEGIN IMMEDIATE", "secure_delete=ON", size=1)
        self._readers = _engine(path, "BEGIN", "query_only=ON", size=2)
        self._turn = asyncio.Lock()
        self._positions: dict[int, Position] = {}
        self._due: dict[int, Position] = {}
        self._beginnings: dict[int, Beginning] = {}
        self._then: list[Callable[[], None]] = []
        self.changed = asyncio.Event()
        """Set at every commit; the relay clears it before it looks."""
        self.commits = asyncio.Condition()
        """Notified at every commit: for whoever waits for an answer."""
        self.holds_deleted = False
        """Whether the write-ahead file still has pages of what was destroyed, since another program reads the ledger."""
        self.count = 0
        """Commits so far, so that none is missed between looking and waiting."""

    @classmethod
    async def open(cls, path: Path, *, bus: str, agency: str) -> Self:
        """Open the ledger at *path*; make or upgrade its tables first.

        Raises:
            DeskError: ``ledger_foreign`` if it belongs to another bus or agency, ``ledger_unknown`` if a release that
                this one does not know made it.
        """
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        schema.bring_up(path)
        ledger = cls(path)
        try:
            await ledger._own(bus, agency)
        except BaseException:
            await ledger.close()
            raise
        return ledger

    async def _own(self, bus: str, agency: str) -> None:
        whose = {"bus": bus, "agency": agency}
        async with self.write() as tx:
            found = {row.name: row.value for row in await tx.execute(select(tables.meta))}
            if not found:
                found = {**whose, "ledger": secrets.token_hex(8)}
                await tx.execute(insert(tables.meta), [{"name": name, "value": value} for name, value in found.items()])
            elif {name: found.get(name) for name in whose} != whose:
                raise DeskError("ledger_foreign")
            self.id = found["ledger"]
            for row in await tx.execute(select(tables.positions)):
                self._positions[row.partition] = Position(row.inbox_number, row.digest, row.next_offset)
            for row in await tx.execute(select(tables.beginnings)):
                first = (row.inbox_number, row.previous, row.since)
                self._beginnings[row.partition] = Beginning(row.until, *first, row.noticed, bool(row.lost))

    async def close(self) -> None:
        """Close every connection."""
        await self._writer.dispose()
        await self._readers.dispose()

    def passed(self, count: int) -> bool:
        """Whether something was committed since `count` was *count*."""
        return self.count != count

    @property
    def positions(self) -> Mapping[int, Position]:
        """How far each partition of the inbox was read and committed."""
        return MappingProxyType(self._positions)

    @property
    def beginnings(self) -> Mapping[int, Beginning]:
        """Where this ledger begins to know its inbox, by partition; empty where it was made with the inbox."""
        return MappingProxyType(self._beginnings)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """The one writing transaction: commits when the block ends, leaves no trace when it raises."""
        async with self._turn:
            self._due, self._then = {}, []
            async with self._writer.begin() as tx:
                yield tx
            # Before the next writer's turn: what is kept in memory must never be behind what he reads on disk.
            self._positions |= self._due
            self.count += 1
            for then in self._then:
                then()
        self.changed.set()
        async with self.commits:
            self.commits.notify_all()

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """One snapshot: what is read in the block fits together."""
        return self._readers.begin()

    def then(self, remember: Callable[[], None]) -> None:
        """Call *remember* once the open writing transaction is committed, and not at all if it is not."""
        self._then.append(remember)

    async def advance(self, tx: AsyncConnection, partition: int, position: Position) -> None:
        """Remember within *tx* how far *partition* was read."""
        row = {"inbox_number": position.inbox_number, "digest": position.digest, "next_offset": position.next_offset}
        statement = upsert(tables.positions).values(partition=partition, **row)
        await tx.execute(statement.on_conflict_do_update(index_elements=["partition"], set_=row))
        self._due[partition] = position

    async def begin(self, tx: AsyncConnection, partition: int, beginning: Beginning) -> None:
        """Remember within *tx* where this ledger begins to know *partition*."""
        row = {
            "inbox_number": beginning.inbox_number, "previous": beginning.previous, "since": beginning.since,
            "until": beginning.until, "noticed": beginning.noticed, "lost": int(beginning.lost),
        }  # fmt: skip
        statement = upsert(tables.beginnings).values(partition=partition, **row)
        await tx.execute(statement.on_conflict_do_update(index_elements=["partition"], set_=row))
        self.then(lambda: self._beginnings.update({partition: beginning}))

    async def next_sequence(self, tx: AsyncConnection, subject: str) -> int:
        """The number that the next signed event of a case gets; from 1."""
        found = await tx.scalar(select(tables.sequences.c.next).where(tables.sequences.c.subject == subject))
        return found or 1

    async def set_sequence(self, tx: AsyncConnection, subject: str, following: int) -> None:
        """Say within *tx* which number the next signed event of a case gets."""
        statement = upsert(tables.sequences).values(subject=subject, next=following)
        await tx.execute(statement.on_conflict_do_update(index_elements=["subject"], set_={"next": following}))


async def open_task(
    tx: AsyncConnection, *, opened: str, subject: str, event_id: str | None, kind: str, about: str
) -> None:
    """Open a task for a person; the same task of the same event only once."""
    row = {"opened": opened, "subject": subject, "event": event_id, "kind": kind, "about": about}
    await tx.execute(upsert(tables.tasks).values(**row).on_conflict_do_nothing())


async def finish_task(tx: AsyncConnection, task: int, at: str) -> bool:
    """Mark a task as done; false when there is none that is open."""
    statement = update(tables.tasks).where(tables.tasks.c.id == task, tables.tasks.c.done.is_(None)).values(done=at)
    return bool((await tx.execute(statement)).rowcount)
