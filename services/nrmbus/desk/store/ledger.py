"""The desk's ledger: every commit on disk before it counts, one writer at a time; in SQLite or PostgreSQL.

Writers open `Ledger.write`, a transaction that commits or leaves no trace. Readers open `Ledger.read`, one snapshot
however long the block takes. The positions of the inbox's partitions, which a desk needs before reading a record, are
also kept in memory and follow each commit.

Statements are plain calls, without `await` (decision 0031). On SQLite a statement runs in the event loop's thread; on
PostgreSQL the calling task waits for the server while other tasks run (decision 0046).
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final, Self, TypeVar

from sqlalchemy import Connection, Table, bindparam, case, insert, select, update
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import SQLAlchemyError

from nrmbus.desk.errors import DeskError
from nrmbus.desk.store import tables
from nrmbus.desk.store.place import Place, engine_of

_T = TypeVar("_T")

HELD_SECONDS: Final = 10.0
"""Patience with another desk's lock: as long as a server may take to notice that the other machine is gone."""
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
_NOW, _THEN = tables.sequences.c.next, _NEW_SEQUENCE.excluded.next
_PASS_SEQUENCE: Final = _NEW_SEQUENCE.on_conflict_do_update(
    index_elements=["subject"], set_={"next": case((_NOW > _THEN, _NOW), else_=_THEN)}
)
_NOTE: Final = replaced(tables.meta, "value")
_TRY, _KEEP, _GIVE_UP = "SAVEPOINT tried", "RELEASE SAVEPOINT tried", "ROLLBACK TO SAVEPOINT tried"
"""As text: SQLAlchemy compiles a savepoint of its own each time, which takes as long as storing a row."""
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

    def __init__(self, place: Place, *, copies: bool = False) -> None:
        self.place = place
        self.id = ""
        """Random name of this ledger: each ledger numbers its rows independently."""
        self._notes: dict[str, str] = {}
        self._engine = engine_of(place, copies=copies)
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
        """True while the database's files still have deleted rows, because another program reads the ledger."""
        self.count = 0
        """Number of commits, so that no commit is missed between looking and waiting."""

    @classmethod
    async def open(
        cls, place: Place, *, bus: str, agency: str, patience: float = HELD_SECONDS, puts_out: bool = False,
        copies: bool = False,
    ) -> Self:  # fmt: skip
        """Open the ledger at *place*; make or upgrade its tables first.

        Wait *patience* seconds for the end of another desk that has the ledger open; *puts_out* ends its connection.
        With *copies* a server may take long for a statement.

        Raises:
            DeskError: ``ledger_foreign`` if the ledger belongs to another bus or agency, ``ledger_unknown`` if an
                unknown release made it, ``ledger_held`` if another desk has it open, ``ledger_away`` if its server does
                not answer.
        """
        ledger = cls(place, copies=copies)
        try:
            await ledger._engine.open(agency, patience, puts_out=puts_out)
            await ledger._own(bus, agency)
        except BaseException:
            await ledger.close()
            raise
        return ledger

    @property
    def lost(self) -> asyncio.Event:
        """Event that is set when the connection that writes is gone: nothing is written until the ledger is opened again."""
        return self._engine.lost

    def is_cause_of(self, error: BaseException) -> bool:
        """Return whether opening the ledger again may help against *error*, or all that an exception group holds."""
        within = error.exceptions if isinstance(error, BaseExceptionGroup) else (error,)
        return any(self.is_cause_of(each) if each is not error else self._engine.is_cause_of(each) for each in within)

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
        async with self._turn:  # a commit may still be under way
            await self._engine.close()

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
            transaction = await self._engine.begin()
            try:
                try:
                    yield transaction.connection
                    self._write_positions(transaction.connection)
                except BaseException:
                    await self._engine.rollback(transaction)
                    raise
                is_cancelled = await self._engine.commit(transaction)
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
        tx.exec_driver_sql(_TRY)
        try:
            each.result = each.work(tx)
            tx.exec_driver_sql(_KEEP)
        except SQLAlchemyError:
            raise  # the whole transaction is undone
        except Exception as error:  # noqa: BLE001 - its caller gets the error
            tx.exec_driver_sql(_GIVE_UP)
            self._undo(*before)
            each.error = error

    def _undo(self, due: dict[int, Position], then: int, otherwise: int) -> None:
        """Bring memory back to where it was with *due*, and so many promises for after the commit, or for its failure."""
        self._due = due
        del self._then[then:]
        while len(self._otherwise) > otherwise:
            self._otherwise.pop()()

    def read(self) -> AbstractContextManager[Connection]:
        """Open one snapshot: all reads in the block are consistent."""
        return self._engine.read()

    async def off_the_disk(self) -> None:
        """Remove deleted rows from the files of the database, as far as it can; `holds_deleted` says if that failed."""
        self.holds_deleted = True
        async with self._turn:
            self.holds_deleted = not await self._engine.off_the_disk()

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

    def advance(self, partition: int, position: Position) -> None:
        """Note that the open writing transaction has read *partition* so far; its last statement stores that."""
        self._due[partition] = position

    def _write_positions(self, tx: Connection) -> None:
        # Once for each partition: the records of a shared transaction each advance it.
        if self._due:
            tx.execute(_ADVANCE, [{"partition": partition, **asdict(at)} for partition, at in self._due.items()])

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


def finish_task_of(tx: Connection, event_id: str, kind: str, at: str) -> None:
    """Mark the task of *kind* about an event as done; nothing if there is no such open task."""
    of_event = (tables.tasks.c.event == event_id, tables.tasks.c.kind == kind)
    tx.execute(update(tables.tasks).where(*of_event, tables.tasks.c.done.is_(None)).values(done=at))
