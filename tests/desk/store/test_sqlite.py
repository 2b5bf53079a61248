"""A ledger in a file: SQLite's own promises, and other programs that use the file."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert
from sqlalchemy.exc import IntegrityError, OperationalError

from agencies import BUS, town
from desk.given import FakeRegistrar, desk_of
from desk.store.given import bed_request, outcome
from nrmbus.desk.store import sqlite, tables
from nrmbus.desk.store.ledger import Ledger, Position
from patience import eventually

DUE = Position(inbox_number=1, digest="1" * 64, next_offset=1)


async def test_the_ledger_is_for_its_owner_and_safe_against_a_power_cut(tmp_path: Path) -> None:
    """The file is private, and every commit is on disk before it counts."""
    async with desk_of("shelter", tmp_path) as given, given.desk.seat.ledger.write() as tx:
        settings = {
            name: tx.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }

        assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
        assert (tmp_path / "ledger.sqlite").stat().st_mode & 0o077 == 0


async def test_an_error_of_the_ledger_repeats_no_row(tmp_path: Path) -> None:
    """P9: Given a statement that fails, then the error, which may end in a log, shows nothing of what was to be written."""
    row = insert(tables.meta).values(name="CANARY", value="CANARY")
    async with desk_of("shelter", tmp_path) as given, given.desk.seat.ledger.write() as tx:
        tx.execute(row)
        with pytest.raises(IntegrityError) as failed:
            tx.execute(row)

    assert "meta" in str(failed.value)
    assert "CANARY" not in f"{failed.value} {failed.value!r}"


async def test_no_connection_caches_much_of_the_ledger(tmp_path: Path) -> None:
    """A desk's memory does not grow with its ledger: writer and readers keep half a MiB of pages each."""
    async with desk_of("shelter", tmp_path) as given, given.desk.seat.ledger.write() as writer:
        with given.desk.seat.ledger.read() as reader:
            found = [each.exec_driver_sql("PRAGMA cache_size").scalar() for each in (writer, reader)]

        assert found == [-512, -512]


async def test_a_ledger_restored_from_a_backup_reads_again_what_it_lost(tmp_path: Path) -> None:
    """The position in the ledger counts, not Kafka's: after a restore the inbox is read from where the backup stood."""
    registrar = FakeRegistrar(town())
    records = [
        registrar.register(bed_request(registrar, case=f"{number:02x}" * 16), to="shelter") for number in range(3)
    ]
    async with desk_of("shelter", tmp_path / "now") as given:
        await given.hear(records[0])
        async with given.desk.seat.ledger.write() as tx:
            backup(tx, tmp_path / "backup")
        for record in records[1:]:
            await given.hear(record)
        whole = await outcome(given)
    async with desk_of("shelter", tmp_path / "backup") as given:
        (position,) = given.desk.seat.ledger.positions.values()
        assert (position.inbox_number, position.next_offset) == (1, records[1].offset)
        for record in records[1:]:
            await given.hear(record)

        assert await outcome(given) == whole


def backup(tx: Connection, home: Path) -> None:
    """Copy the ledger as it is now."""
    home.mkdir()
    source: Any = tx.connection.driver_connection
    source.commit()
    target = sqlite3.connect(home / "ledger.sqlite")
    source.backup(target)
    target.close()
    source.execute("BEGIN IMMEDIATE")


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[Ledger]:
    """Yield a ledger in a file at *home*."""
    ledger = await Ledger.open(home / "ledger.sqlite", bus=BUS, agency="vac")
    try:
        yield ledger
    finally:
        await ledger.close()


async def advanced(ledger: Ledger) -> None:
    """Commit that partition 0 was read to `DUE`."""
    async with ledger.write():
        ledger.advance(0, DUE)


def on_disk(ledger: Ledger) -> list[Any]:
    """Return the positions in the ledger."""
    with ledger.read() as tx:
        return [tuple(row) for row in tx.exec_driver_sql("SELECT inbox_number FROM positions").all()]


@dataclass(frozen=True)
class Lock:
    """Lock of a file that another program gives back; the writer takes it when the test lets the writer go on."""

    asked: threading.Event
    may_go_on: threading.Event


@contextmanager
def slow_lock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lock]:
    """Yield a lock on which a writer waits, at the latest until the block ends."""
    lock, whole = Lock(threading.Event(), threading.Event()), sqlite._begin_patiently

    def slow(of: Any) -> Any:
        lock.asked.set()
        lock.may_go_on.wait()
        return whole(of)

    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "_begin_patiently", slow)
        try:
            yield lock
        finally:
            lock.may_go_on.set()


@contextmanager
def another_program(ledger: Ledger) -> Iterator[sqlite3.Connection]:
    """Yield the connection of another program that writes."""
    with closing(sqlite3.connect(str(ledger.place), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


async def test_another_program_that_writes_holds_up_the_writer_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer waits for the other program in a thread, and the desk goes on reading meanwhile."""
    async with opened(tmp_path) as ledger:
        with slow_lock(monkeypatch) as lock:
            with another_program(ledger) as other:
                writing = asyncio.create_task(advanced(ledger))
                await eventually("the writer waits for the lock", lock.asked.is_set)
                with ledger.read() as tx:
                    assert tx.exec_driver_sql("SELECT count(*) FROM meta").scalar()
                lock.may_go_on.set()
                other.execute("COMMIT")
            await writing

            assert on_disk(ledger) == [(1,)]


async def test_a_writer_waits_for_another_program_no_longer_than_its_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that another program never gives up is an error, after which the ledger works again."""
    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0)
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
        with slow_lock(monkeypatch) as lock:
            with another_program(ledger) as other:
                writing = asyncio.create_task(advanced(ledger))
                await eventually("the writer waits for the lock", lock.asked.is_set)
                writing.cancel()
                other.execute("COMMIT")
                lock.may_go_on.set()
                with pytest.raises(asyncio.CancelledError):
                    await writing
                other.execute("BEGIN IMMEDIATE")
                other.execute("ROLLBACK")

            assert on_disk(ledger) == []
            await advanced(ledger)
