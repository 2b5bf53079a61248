"""The desk's ledger: SQLite in WAL, every commit on disk before it counts, one writer at a time.

Writers open `Ledger.write`, a transaction that begins immediately and commits or leaves no trace. Readers open
`Ledger.read`, one snapshot however long the block takes. The positions of the inbox's partitions, which a desk needs
before reading a record, are also kept in memory and follow each commit.
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
"""Digest that the first delivery of a chain gives for its predecessor."""


@dataclass(frozen=True, slots=True)
class Position:
    """Position up to which one partition of the inbox was read."""

    inbox_number: int = 0
    digest: str = NOTHING_BEFORE
    next_offset: int = 0


@dataclass(frozen=True, slots=True)
class Beginning:
    """Start of a ledger's knowledge of one partition of an inbox that was not empty when the ledger was made."""

    until: int
    """End of the inbox at that time."""
    inbox_number: int | None = None
    """Number of the first known delivery; None until a delivery came."""
    previous: str = NOTHING_BEFORE
    since: str | None = None
    """Time when the first delivery was registered."""
    noticed: str = ""
    lost: bool = False
    """True if the agency had an earlier ledger."""

    @property
    def missing(self) -> int | None:
        """Return the number of deliveries before the first known one; None if unknown."""
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
        """Random name of this ledger: each ledger numbers its rows independently."""
        # Deleted cells are overwritten with zeros: an erased key must not be found in a free page.
        self._writer = _engine(path, "BEGIN IMMEDIATE", "secure_delete=ON", size=1)
        self._readers = _engine(path, "BEGIN", "query_only=ON", size=2)
        self._turn = asyncio.Lock()
        self._positions: dict[int, Position] = {}
        self._due: dict[int, Position] = {}
        self._beginnings: dict[int, Beginning] = {}
        self._then: list[Callable[[], None]] = []
        self.changed = asyncio.Event()
        """Set at every commit; cleared by the relay before each look."""
        self.commits = asyncio.Condition()
        """Notified at every commit, for tasks that wait for an answer."""
        self.holds_deleted = False
        """True while the write-ahead file still has deleted pages, because another program reads the ledger."""
        self.count = 0
        """Number of commits, so that no commit is missed between looking and waiting."""

    @classmethod
    async def open(cls, path: Path, *, bus: str, agency: str) -> Self:
        """Open the ledger at *path*; make or upgrade its tables first.

        Raises:
            DeskError: ``ledger_foreign`` if the ledger belongs to another bus or agency, ``ledger_unknown`` if an
                unknown release made it.
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
        """Return whether a commit happened since `count` was *count*."""
        return self.count != count

    @property
    def positions(self) -> Mapping[int, Position]:
        """Return the committed position of each partition of the inbox."""
        return MappingProxyType(self._positions)

    @property
    def beginnings(self) -> Mapping[int, Beginning]:
        """Return the beginning of each partition; empty if the ledger is as old as the inbox."""
        return MappingProxyType(self._beginnings)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Open the only writing transaction: commits when the block ends, rolls back if the block raises."""
        async with self._turn:
            self._due, self._then = {}, []
            async with self._writer.begin() as tx:
                yield tx
            # Before the next writer's turn: memory must never be behind the disk.
            self._positions |= self._due
            self.count += 1
            for then in self._then:
                then()
        self.changed.set()
        async with self.commits:
            self.commits.notify_all()

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open one snapshot: all reads in the block are consistent."""
        return self._readers.begin()

    def then(self, remember: Callable[[], None]) -> None:
        """Call *remember* after the open writing transaction is committed, and never if it fails."""
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
        """Return the number of the next signed event of a case, from 1."""
        found = await tx.scalar(select(tables.sequences.c.next).where(tables.sequences.c.subject == subject))
        return found or 1

    async def set_sequence(self, tx: AsyncConnection, subject: str, following: int) -> None:
        """Set within *tx* the number of the next signed event of a case."""
        statement = upsert(tables.sequences).values(subject=subject, next=following)
        await tx.execute(statement.on_conflict_do_update(index_elements=["subject"], set_={"next": following}))


async def open_task(
    tx: AsyncConnection, *, opened: str, subject: str, event_id: str | None, kind: str, about: str
) -> None:
    """Open a task for a person; the same task of the same event only once."""
    row = {"opened": opened, "subject": subject, "event": event_id, "kind": kind, "about": about}
    await tx.execute(upsert(tables.tasks).values(**row).on_conflict_do_nothing())


async def finish_task(tx: AsyncConnection, task: int, at: str) -> bool:
    """Mark a task as done; return False if there is no such open task."""
    statement = update(tables.tasks).where(tables.tasks.c.id == task, tables.tasks.c.done.is_(None)).values(done=at)
    return bool((await tx.execute(statement)).rowcount)
