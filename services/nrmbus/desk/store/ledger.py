"""The desk's ledger: SQLite in WAL, every commit on disk before it counts, one writer at a time.

Writers open `Ledger.write`, a transaction that begins immediately and commits or leaves no trace. Readers open
`Ledger.read`, one snapshot however long the block takes. The positions of the inbox's partitions, which a desk needs
before reading a record, are also kept in memory and follow each commit.

Statements run in the event loop's thread, since each takes microseconds (decision 0031). Waiting for the disk, or for
another program that holds the file, happens in a thread of the ledger's own.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self, TypeVar

from sqlalchemy import (
    Connection,
    Engine,
    RootTransaction,
    Table,
    bindparam,
    create_engine,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import Insert
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from nrmbus.desk.errors import DeskError
from nrmbus.desk.store import schema, tables

_T = TypeVar("_T")

FILE: Final = "ledger.sqlite"
_BUSY_SECONDS: Final = 5
_SETTINGS: Final = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-512")
"""Settings of every connection. It caches 512 KiB of pages: SQLite's default is four times as much for each of three
connections, and the system caches the file anyway."""
NOTHING_BEFORE: Final = "0" * 64
"""Digest that the first delivery of a chain gives for its predecessor."""


def replaced(table: Table, *columns: str) -> Insert:
    """Return the statement that inserts a row into *table*, or replaces its *columns* if the row is there.

    A statement is made once and kept as a constant: making one costs ten times as much as running it (decision 0031).
    """
    new = upsert(table)
    return new.on_conflict_do_update(
        index_elements=list(table.primary_key.columns), set_={name: new.excluded[name] for name in columns}
    )


_ADVANCE: Final = replaced(tables.positions, "inbox_number", "digest", "next_offset")
_SEQUENCE: Final = select(tables.sequences.c.next).where(tables.sequences.c.subject == bindparam("subject"))
_SET_SEQUENCE: Final = replaced(tables.sequences, "next")
_NEW_SEQUENCE: Final = upsert(tables.sequences)
_PASS_SEQUENCE: Final = _NEW_SEQUENCE.on_conflict_do_update(
    index_elements=["subject"], set_={"next": func.max(tables.sequences.c.next, _NEW_SEQUENCE.excluded.next)}
)
_NOTE: Final = replaced(tables.meta, "value")
_OPEN_TASK: Final = upsert(tables.tasks).on_conflict_do_nothing()


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


def _engine(path: Path, begin: str, *pragmas: str) -> Engine:
    engine = create_engine(f"sqlite:///{path}", connect_args={"check_same_thread": False})

    # The driver's own transactions begin too late (at the first write) and end at surprising places.
    @event.listens_for(engine, "connect")
    def _settings(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (*_SETTINGS, *pragmas):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _busy_timeout(seconds: int) -> str:
    return f"busy_timeout={seconds * 1000}"


def _commit(transaction: RootTransaction) -> None:
    try:
        transaction.commit()
    except BaseException:
        transaction.rollback()
        raise


def _begin_patiently(connection: Connection) -> RootTransaction:
    driver: Any = connection.connection.driver_connection
    driver.execute(f"PRAGMA {_busy_timeout(_BUSY_SECONDS)}")
    try:
        return connection.begin()
    finally:
        driver.execute(f"PRAGMA {_busy_timeout(0)}")


@dataclass(slots=True)
class _Waiting:
    """Work that waits for a shared transaction, and the caller that waits for its answer."""

    work: Callable[[Connection], Any]
    answer: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None

    def succeed(self) -> None:
        """Give the caller the result, or the error of its own work."""
        if self.error is not None:
            self.fail(self.error)
        elif not self.answer.done():
            self.answer.set_result(self.result)

    def fail(self, error: BaseException) -> None:
        """Raise *error* for the caller, if the caller still waits."""
        if not self.answer.done():
            self.answer.set_exception(error if isinstance(error, Exception) else DeskError("not_available"))


class Ledger:
    """One agency's ledger on one bus."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = ""
        """Random name of this ledger: each ledger numbers its rows independently."""
        self._notes: dict[str, str] = {}
        # Deleted cells are overwritten with zeros: an erased key must not be found in a free page.
        self._writing = _engine(path, "BEGIN IMMEDIATE", "secure_delete=ON", _busy_timeout(0))
        self._reading = _engine(path, "BEGIN", "query_only=ON", _busy_timeout(_BUSY_SECONDS))
        self._writer = self._writing.connect()
        self._readers: list[Connection] = []
        """Connections of readers that nobody uses now."""
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        """Thread that waits for the disk; uses the writer's connection only while the event loop waits for it."""
        self._turn = asyncio.Lock()
        self._waiting: list[_Waiting] = []
        """Work for the next shared transaction."""
        self._sharing: asyncio.Task[None] | None = None
        self._positions: dict[int, Position] = {}
        self._due: dict[int, Position] = {}
        self._beginnings: dict[int, Beginning] = {}
        self._then: list[Callable[[], None]] = []
        self._otherwise: list[Callable[[], None]] = []
        self._wakes = True
        self.changed = asyncio.Event()
        """Set at every commit that may make something due; cleared by the relay before each look."""
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
            found = {row.name: row.value for row in tx.execute(select(tables.meta))}
            if not found:
                found = {**whose, "ledger": secrets.token_hex(8)}
                tx.execute(insert(tables.meta), [{"name": name, "value": value} for name, value in found.items()])
            elif {name: found.get(name) for name in whose} != whose:
                raise DeskError("ledger_foreign")
            self.id, self._notes = found["ledger"], found
            for row in tx.execute(select(tables.positions)):
                self._positions[row.partition] = Position(row.inbox_number, row.digest, row.next_offset)
            for row in tx.execute(select(tables.beginnings)):
                first = (row.inbox_number, row.previous, row.since)
                self._beginnings[row.partition] = Beginning(row.until, *first, row.noticed, bool(row.lost))

    async def close(self) -> None:
        """Close every connection."""
        async with self._turn:  # the thread may still be committing
            for connection in (self._writer, *self._readers):
                connection.close()
            self._readers.clear()
            self._writing.dispose()
            self._reading.dispose()
            self._disk.shutdown()

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

    @property
    def notes(self) -> Mapping[str, str]:
        """Return what the ledger says about itself, by name."""
        return MappingProxyType(self._notes)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Connection]:
        """Open the only writing transaction: commits when the block ends, rolls back if the block raises."""
        async with self._turn:
            self._due, self._then, self._otherwise, self._wakes = {}, [], [], True
            transaction = await self._begin()
            try:
                try:
                    yield self._writer
                except BaseException:
                    transaction.rollback()
                    raise
                is_cancelled = await self._wait_for(lambda: _commit(transaction))
            except BaseException:
                self._undo({}, 0, 0)
                raise
            # Before the next writer's turn: memory must never be behind the disk.
            self._positions |= self._due
            self.count += 1
            for then in self._then:
                then()
            if self._wakes:
                self.changed.set()
        async with self.commits:
            self.commits.notify_all()
        if is_cancelled:
            raise asyncio.CancelledError

    @asynccontextmanager
    async def without_writers(self) -> AsyncIterator[None]:
        """Let no transaction write while the block runs, so that what the block reads is also what memory says."""
        async with self._turn:
            yield

    async def together(self, work: Callable[[Connection], _T]) -> _T:
        """Do *work* in a writing transaction that it shares with the others who wait; return when the disk has it.

        If *work* raises, it alone is undone. If the commit fails, it fails for all. *work* reads the ledger and no memory
        that follows commits, since others may have written before it in the same transaction.
        """
        answer: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(work, answer))
        if self._sharing is None or self._sharing.done():
            self._sharing = asyncio.create_task(self._share())
        return await answer

    async def _share(self) -> None:
        while self._waiting:
            taken: list[_Waiting] = []
            try:
                async with self.write() as tx:
                    taken, self._waiting = self._waiting, []
                    for each in taken:
                        if not each.answer.done():  # its caller may have given up
                            self._do(tx, each, is_alone=len(taken) == 1)
            except BaseException as error:
                refused, self._waiting = (taken, self._waiting) if taken else (self._waiting, [])
                for each in refused:
                    each.fail(error)
                if not isinstance(error, Exception):
                    raise
            else:
                for each in taken:
                    each.succeed()

    def _do(self, tx: Connection, each: "_Waiting", *, is_alone: bool) -> None:
        if is_alone:  # the whole transaction is undone, and that is all there is
            each.result = each.work(tx)
            return
        before = dict(self._due), len(self._then), len(self._otherwise)
        tried = tx.begin_nested()
        try:
            each.result = each.work(tx)
            tried.commit()
        except BaseException as error:
            tried.rollback()
            self._undo(*before)
            if not isinstance(error, Exception) or isinstance(error, SQLAlchemyError):
                raise
            each.error = error

    def _undo(self, due: dict[int, Position], then: int, otherwise: int) -> None:
        """Bring memory back to where it was with *due*, and so many promises for after the commit, or for its failure."""
        self._due = due
        del self._then[then:]
        while len(self._otherwise) > otherwise:
            self._otherwise.pop()()

    async def _begin(self) -> RootTransaction:
        try:
            return self._writer.begin()
        except OperationalError:  # another program writes: wait for it, but not in the event loop's thread
            begun: list[RootTransaction] = []
            if await self._wait_for(lambda: begun.append(_begin_patiently(self._writer))):
                begun[0].rollback()
                raise asyncio.CancelledError from None
            return begun[0]

    async def _wait_for(self, work: Callable[[], None]) -> bool:
        """Do *work* in the ledger's thread; return whether this task was cancelled meanwhile.

        The wait goes on when the task is cancelled: until *work* is done, nobody else may use the connection.
        """
        working, is_cancelled = asyncio.get_running_loop().run_in_executor(self._disk, work), False
        while not working.done():
            try:
                await asyncio.wait([working])
            except asyncio.CancelledError:
                is_cancelled = True
        working.result()
        return is_cancelled

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open one snapshot: all reads in the block are consistent."""
        connection = self._readers.pop() if self._readers else self._reading.connect()
        try:
            with connection.begin():
                yield connection
        finally:
            self._readers.append(connection)

    def make_nothing_due(self) -> None:
        """Note that the open writing transaction gives the relay nothing new to do."""
        self._wakes = False

    def then(self, remember: Callable[[], None]) -> None:
        """Call *remember* after the open writing transaction is committed, and never if it fails."""
        self._then.append(remember)

    def otherwise(self, restore: Callable[[], None]) -> None:
        """Call *restore* if the open writing transaction is undone: takes back memory that runs ahead within it.

        Only memory that nobody reads outside a writing transaction may run ahead.
        """
        self._otherwise.append(restore)

    def position(self, partition: int) -> Position:
        """Return the position of *partition* as the open writing transaction leaves it."""
        return self._due.get(partition) or self._positions.get(partition, Position())

    def advance(self, tx: Connection, partition: int, position: Position) -> None:
        """Remember within *tx* how far *partition* was read."""
        row = {"inbox_number": position.inbox_number, "digest": position.digest, "next_offset": position.next_offset}
        tx.execute(_ADVANCE, {"partition": partition, **row})
        self._due[partition] = position

    def begin(self, tx: Connection, partition: int, beginning: Beginning) -> None:
        """Remember within *tx* where this ledger begins to know *partition*."""
        row = {
            "inbox_number": beginning.inbox_number, "previous": beginning.previous, "since": beginning.since,
            "until": beginning.until, "noticed": beginning.noticed, "lost": int(beginning.lost),
        }  # fmt: skip
        statement = upsert(tables.beginnings).values(partition=partition, **row)
        tx.execute(statement.on_conflict_do_update(index_elements=["partition"], set_=row))
        self.then(lambda: self._beginnings.update({partition: beginning}))

    def note(self, tx: Connection, name: str, value: str) -> None:
        """Note within *tx* something about this ledger itself."""
        tx.execute(_NOTE, {"name": name, "value": value})
        self.then(lambda: self._notes.update({name: value}))

    def name_anew(self, tx: Connection) -> None:
        """Give this ledger another random name within *tx*: its rows are numbered otherwise than before."""
        name = secrets.token_hex(8)
        self.note(tx, "ledger", name)
        self.then(lambda: setattr(self, "id", name))

    def next_sequence(self, tx: Connection, subject: str) -> int:
        """Return the number of the next signed event of a case, from 1."""
        return tx.scalar(_SEQUENCE, {"subject": subject}) or 1

    def pass_sequence(self, tx: Connection, subject: str, sequence: int) -> None:
        """Note within *tx* that *sequence* of a case is used; a later number stays."""
        tx.execute(_PASS_SEQUENCE, {"subject": subject, "next": sequence + 1})

    def set_sequence(self, tx: Connection, subject: str, following: int) -> None:
        """Set within *tx* the number of the next signed event of a case."""
        tx.execute(_SET_SEQUENCE, {"subject": subject, "next": following})


def open_task(tx: Connection, *, opened: str, subject: str, event_id: str | None, kind: str, about: str) -> None:
    """Open a task for a person; the same task of the same event only once."""
    row = {"opened": opened, "subject": subject, "event": event_id, "kind": kind, "about": about}
    tx.execute(_OPEN_TASK, row)


def finish_task(tx: Connection, task: int, at: str) -> bool:
    """Mark a task as done; return False if there is no such open task."""
    statement = update(tables.tasks).where(tables.tasks.c.id == task, tables.tasks.c.done.is_(None)).values(done=at)
    return bool(tx.execute(statement).rowcount)
