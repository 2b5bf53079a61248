"""Transactions of a ledger: nothing counts before it is on disk, and the event loop never waits for the disk."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError, OperationalError

from agencies import BUS
from nrmbus.desk.store import ledger as ledger_module
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import Ledger, Position, open_task
from patience import eventually

DUE = Position(inbox_number=1, digest="1" * 64, next_offset=1)
ORPHAN = (
    "INSERT INTO events(subject, source, id, type, technical, time, registered, partition, inbox_number, number,"
    " recipients, headers, value, parts) VALUES ('', '', '', '', 0, '', '', 7, 7, 7, '[]', x'', x'', '[]')"
)
"""Event without its delivery: with deferred foreign keys the ledger refuses this at the commit alone."""


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[Ledger]:
    """Yield a ledger at *home*."""
    ledger = await Ledger.open(home / "ledger.sqlite", bus=BUS, agency="vac")
    try:
        yield ledger
    finally:
        await ledger.close()


async def orphaned(ledger: Ledger, told: list[str]) -> None:
    """Write what the disk refuses at the commit; a commit would be in *told*."""
    async with ledger.write() as tx:
        tx.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        tx.exec_driver_sql(ORPHAN)
        ledger.advance(tx, 0, DUE)
        ledger.then(lambda: told.append("remembered"))


async def mistaken(ledger: Ledger) -> None:
    """Write, and raise before the commit."""
    async with ledger.write() as tx:
        ledger.advance(tx, 0, DUE)
        raise ZeroDivisionError


async def advanced(ledger: Ledger, position: Position = DUE) -> None:
    """Commit that partition 0 was read to *position*."""
    async with ledger.write() as tx:
        ledger.advance(tx, 0, position)


def on_disk(ledger: Ledger) -> list[Any]:
    """Return the positions that another program finds in the ledger's file."""
    with closing(sqlite3.connect(ledger.path)) as connection:
        return connection.execute("SELECT inbox_number FROM positions").fetchall()


@dataclass(frozen=True)
class Disk:
    """Disk on which some work waits until the test lets the work go on."""

    asked: threading.Event
    may_go_on: threading.Event


@contextmanager
def slow_disk(monkeypatch: pytest.MonkeyPatch, work: str = "_commit") -> Iterator[Disk]:
    """Yield a disk on which *work* waits, at the latest until the block ends."""
    disk, whole = Disk(threading.Event(), threading.Event()), getattr(ledger_module, work)

    def slow(of: Any) -> Any:
        disk.asked.set()
        disk.may_go_on.wait()
        return whole(of)

    with monkeypatch.context() as patch:
        patch.setattr(ledger_module, work, slow)
        try:
            yield disk
        finally:
            disk.may_go_on.set()


async def test_a_commit_that_fails_leaves_memory_as_the_disk_is(tmp_path: Path) -> None:
    """If the disk refuses a commit, the position, what was to be remembered and the count of commits stay as before."""
    async with opened(tmp_path) as ledger:
        count, told = ledger.count, list[str]()
        with pytest.raises(IntegrityError):
            await orphaned(ledger, told)

        assert (dict(ledger.positions), told, ledger.count, on_disk(ledger)) == ({}, [], count, [])
        await advanced(ledger)
        assert dict(ledger.positions) == {0: DUE}, "the next writer is not held up"


async def test_a_block_that_raises_leaves_no_trace(tmp_path: Path) -> None:
    """Whatever a transaction wrote before an error is undone, in memory too."""
    async with opened(tmp_path) as ledger:
        with pytest.raises(ZeroDivisionError):
            await mistaken(ledger)

        assert (dict(ledger.positions), on_disk(ledger)) == ({}, [])


async def test_the_event_loop_goes_on_while_the_disk_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow disk holds up the writer alone: readers get the state before the commit, and nothing is remembered early."""
    async with opened(tmp_path) as ledger:
        with slow_disk(monkeypatch) as disk:
            writing = asyncio.create_task(advanced(ledger))
            await eventually("the commit is under way", disk.asked.is_set)

            with ledger.read() as tx:
                assert tx.exec_driver_sql("SELECT count(*) FROM positions").scalar() == 0
            assert not ledger.positions
            disk.may_go_on.set()
            await writing
            assert dict(ledger.positions) == {0: DUE}


async def test_a_writer_that_is_cancelled_during_its_commit_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit cannot be taken back, so memory follows the disk, and only then the next writer begins."""
    async with opened(tmp_path) as ledger:
        with slow_disk(monkeypatch) as disk:
            writing = asyncio.create_task(advanced(ledger))
            await eventually("the commit is under way", disk.asked.is_set)
            writing.cancel()
            following = asyncio.create_task(advanced(ledger, Position(2, "2" * 64, 2)))
            disk.may_go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await writing
            await following

            assert ledger.positions[0].inbox_number == 2
            assert on_disk(ledger) == [(2,)]


@contextmanager
def another_program(ledger: Ledger) -> Iterator[sqlite3.Connection]:
    """Yield the connection of another program that writes."""
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


async def test_another_program_that_writes_holds_up_the_writer_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer waits for the other program in a thread, and the desk goes on reading meanwhile."""
    async with opened(tmp_path) as ledger:
        with slow_disk(monkeypatch, "_begin_patiently") as disk:
            with another_program(ledger) as other:
                writing = asyncio.create_task(advanced(ledger))
                await eventually("the writer waits for the lock", disk.asked.is_set)
                with ledger.read() as tx:
                    assert tx.exec_driver_sql("SELECT count(*) FROM meta").scalar()
                disk.may_go_on.set()
                other.execute("COMMIT")
            await writing

            assert on_disk(ledger) == [(1,)]


async def test_a_writer_waits_for_another_program_no_longer_than_its_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that another program never gives up is an error, after which the ledger works again."""
    monkeypatch.setattr(ledger_module, "_BUSY_SECONDS", 0)
    async with opened(tmp_path) as ledger:
        with another_program(ledger), pytest.raises(OperationalError, match="locked"):
            await advanced(ledger)

        await advanced(ledger)
        assert on_disk(ledger) == [(1,)]


async def test_a_writer_that_is_cancelled_while_another_program_writes_leaves_the_file_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cancelled writer gets the lock after all, and gives the lock back at once."""
    async with opened(tmp_path) as ledger:
        with slow_disk(monkeypatch, "_begin_patiently") as disk:
            with another_program(ledger) as other:
                writing = asyncio.create_task(advanced(ledger))
                await eventually("the writer waits for the lock", disk.asked.is_set)
                writing.cancel()
                other.execute("COMMIT")
                disk.may_go_on.set()
                with pytest.raises(asyncio.CancelledError):
                    await writing
                other.execute("BEGIN IMMEDIATE")
                other.execute("ROLLBACK")

            assert on_disk(ledger) == []
            await advanced(ledger)


def task(ledger: Ledger, name: str, told: list[str]) -> Callable[[Connection], str]:
    """Return work that opens a task called *name*, and is remembered in *told* after the commit."""

    def work(tx: Connection) -> str:
        open_task(tx, opened="", subject="", event_id=None, kind=name, about="{}")
        ledger.then(lambda: told.append(name))
        return name

    return work


def tasks_of(ledger: Ledger) -> list[Any]:
    """Return the kinds of all tasks."""
    with ledger.read() as tx:
        return [row.kind for row in tx.execute(select(tables.tasks).order_by(tables.tasks.c.id))]


async def test_work_that_waits_together_is_committed_together(tmp_path: Path) -> None:
    """Ten writers that wait for the disk need one commit, in the order in which they came."""
    async with opened(tmp_path) as ledger:
        names, told = [f"task-{number}" for number in range(10)], list[str]()
        before = ledger.count

        assert await asyncio.gather(*(ledger.together(task(ledger, name, told)) for name in names)) == names
        assert (tasks_of(ledger), told, ledger.count) == (names, names, before + 1)


async def test_work_that_comes_during_a_commit_is_in_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is answered before its own commit is on disk."""
    async with opened(tmp_path) as ledger:
        with slow_disk(monkeypatch) as disk:
            first = asyncio.create_task(ledger.together(task(ledger, "first", [])))
            await eventually("the first commit is under way", disk.asked.is_set)
            later = [asyncio.create_task(ledger.together(task(ledger, f"later-{each}", []))) for each in range(3)]
            await asyncio.sleep(0)
            assert (tasks_of(ledger), [each.done() for each in (first, *later)]) == ([], [False] * 4)
            disk.may_go_on.set()
            await asyncio.gather(first, *later)

            assert tasks_of(ledger) == ["first", "later-0", "later-1", "later-2"]


async def test_work_that_raises_is_undone_alone(tmp_path: Path) -> None:
    """A mistake in one request fails this request, and takes nothing from the others in the same commit."""
    async with opened(tmp_path) as ledger:
        told: list[str] = []
        good = task(ledger, "good", told)

        def bad(tx: Connection) -> None:
            task(ledger, "bad", told)(tx)
            ledger.advance(tx, 0, DUE)
            raise ZeroDivisionError

        found = await asyncio.gather(*map(ledger.together, (good, bad, good)), return_exceptions=True)

        assert [str(each) if isinstance(each, str) else type(each) for each in found] == [
            "good",
            ZeroDivisionError,
            "good",
        ]
        assert (tasks_of(ledger), told, dict(ledger.positions)) == (["good", "good"], ["good", "good"], {})


async def test_a_shared_commit_that_fails_fails_for_everyone(tmp_path: Path) -> None:
    """If the disk refuses the commit, nobody is told that it was done, and memory stays as the disk is."""
    async with opened(tmp_path) as ledger:
        told: list[str] = []

        def orphan(tx: Connection) -> None:
            tx.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
            tx.exec_driver_sql(ORPHAN)

        both = (task(ledger, "good", told), orphan)
        found = await asyncio.gather(*map(ledger.together, both), return_exceptions=True)

        assert [type(each) for each in found] == [IntegrityError] * 2
        assert (tasks_of(ledger), told) == ([], [])
        await ledger.together(task(ledger, "after", told))
        assert (tasks_of(ledger), told) == (["after"], ["after"])


async def test_a_caller_that_gave_up_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The work of a request whose client has gone is not done, unless its commit is under way already."""
    async with opened(tmp_path) as ledger:
        with slow_disk(monkeypatch) as disk:
            asking = [asyncio.create_task(ledger.together(task(ledger, each, []))) for each in ("under way",)]
            await eventually("a commit is under way", disk.asked.is_set)
            asking += [asyncio.create_task(ledger.together(task(ledger, each, []))) for each in ("gone", "stays")]
            await asyncio.sleep(0)
            asking[0].cancel()
            asking[1].cancel()
            disk.may_go_on.set()
            await asking[2]

            assert tasks_of(ledger) == ["under way", "stays"]
