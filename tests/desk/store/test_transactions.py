"""Transactions of a ledger: nothing counts before it is on disk, and the event loop never waits for the disk."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from agencies import BUS
from desk.kept import place_at
from nrmbus.desk.store import postgres, sqlite, tables
from nrmbus.desk.store.ledger import Ledger, Position, open_task
from patience import eventually

pytestmark = pytest.mark.usefixtures("kept")

DUE = Position(inbox_number=1, digest="1" * 64, next_offset=1)
ORPHAN = {
    "sqlite": (
        "PRAGMA defer_foreign_keys=ON",
        """INSERT INTO events(subject, source, id, type, technical, time, registered, partition, inbox_number, number,
        recipients, headers, value, parts) VALUES ('', '', '', '', 0, '', '', 7, 7, 7, '[]', x'', x'', '[]')""",
    ),
    "postgresql": (
        "CREATE TEMPORARY TABLE parent (id integer PRIMARY KEY)",
        "CREATE TEMPORARY TABLE child (id integer REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
        "INSERT INTO child VALUES (7)",
    ),
}
"""Row without the one that it refers to, with deferred foreign keys: the database refuses this at the commit alone."""


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[Ledger]:
    """Yield a ledger at *home*."""
    ledger = await Ledger.open(await place_at(home / "ledger.sqlite"), bus=BUS, agency="vac")
    try:
        yield ledger
    finally:
        await ledger.close()


def orphan(tx: Connection) -> None:
    """Write what the database refuses at the commit alone."""
    for statement in ORPHAN[tx.dialect.name]:
        tx.exec_driver_sql(statement)


async def orphaned(ledger: Ledger, told: list[str]) -> None:
    """Write what the disk refuses at the commit; a commit would be in *told*."""
    async with ledger.write() as tx:
        orphan(tx)
        ledger.advance(0, DUE)
        ledger.then(lambda: told.append("remembered"))


async def mistaken(ledger: Ledger) -> None:
    """Write, and raise before the commit."""
    async with ledger.write():
        ledger.advance(0, DUE)
        raise ZeroDivisionError


async def advanced(ledger: Ledger, position: Position = DUE) -> None:
    """Commit that partition 0 was read to *position*."""
    async with ledger.write():
        ledger.advance(0, position)


def on_disk(ledger: Ledger) -> list[Any]:
    """Return the positions that another connection finds in the ledger."""
    with ledger.read() as tx:
        return [tuple(row) for row in tx.exec_driver_sql("SELECT inbox_number FROM positions").all()]


@dataclass(frozen=True)
class Disk:
    """Disk on which some work waits until the test lets the work go on."""

    asked: threading.Event
    may_go_on: threading.Event


@contextmanager
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """Yield a disk or server on which a commit waits, at the latest until the block ends."""
    disk, whole, on_server = Disk(threading.Event(), threading.Event()), sqlite._commit, postgres.Postgres._commit

    def slow(of: Any) -> None:
        disk.asked.set()
        disk.may_go_on.wait()
        whole(of)

    async def slow_on_server(self: Any, of: Any) -> None:
        disk.asked.set()
        await eventually("the server may go on", disk.may_go_on.is_set)
        await on_server(self, of)

    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "_commit", slow)
        patch.setattr(postgres.Postgres, "_commit", slow_on_server)
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
            ledger.advance(0, DUE)
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
