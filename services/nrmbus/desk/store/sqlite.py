"""A ledger in an SQLite file: WAL, every commit on disk before it counts.

Statements run in the event loop's thread, since each takes microseconds (decision 0031). Waiting for the disk, or for
another program that holds the file, happens in a thread of the ledger's own.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, RootTransaction, create_engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from nrmbus.desk.store import schema
from nrmbus.desk.store.suspending import committed
from nrmbus.wire import disk

_BUSY_SECONDS: Final = 5
_WRITE: Final = "BEGIN IMMEDIATE"
_READ: Final = "BEGIN"
_SETTINGS: Final = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-512")
"""Settings of every connection. It caches 512 KiB of pages: SQLite's default is four times as much for each of three
connections, and the system caches the file anyway."""


def making(path: Path) -> Engine:
    """Return an engine that makes tables at *path*, all or nothing."""
    engine = _engine(path, "journal_mode=WAL", poolclass=NullPool)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(_WRITE))
    return engine


def _engine(path: Path, *pragmas: str, **more: Any) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}", connect_args={"check_same_thread": False}, hide_parameters=True, **more
    )  # an error's text, which may end in a log, would repeat whole rows

    # The driver's own transactions begin too late (at the first write) and end at surprising places.
    @event.listens_for(engine, "connect")
    def _settings(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (*pragmas, disk.SQLITE):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine


def _begun(connection: Connection, begin: str) -> RootTransaction:
    """Begin a transaction by the statement *begin*: a listener for it would cost each statement a fifth of its time."""
    transaction = connection.begin()
    try:
        connection.exec_driver_sql(begin)
    except BaseException:
        transaction.rollback()
        raise
    return transaction


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
        return _begun(connection, _WRITE)
    finally:
        driver.execute(f"PRAGMA {_busy_timeout(0)}")


class Sqlite:
    """The file at *path*: one connection that writes, and as many that read as are needed at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.lost = asyncio.Event()
        """Never set: a file needs no connection."""
        # Deleted cells are overwritten with zeros: an erased key must not be found in a free page.
        self._writing = _engine(path, *_SETTINGS, "secure_delete=ON", _busy_timeout(0))
        self._reading = _engine(path, *_SETTINGS, "query_only=ON", _busy_timeout(_BUSY_SECONDS))
        self._writer: Connection | None = None
        self._readers: list[Connection] = []
        """Connections of readers that nobody uses now."""
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        """Thread that waits for the disk; uses the writer's connection only while the event loop waits for it."""

    async def open(self, agency: str, patience: float, *, puts_out: bool) -> None:
        """Make or upgrade the tables. Whose file it is, its rows say; one process has it by a lock of the bus's folder."""
        del agency, patience, puts_out
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path.touch(mode=0o600)
        engine = making(self._path)
        with engine.connect() as connection:
            schema.bring_up(connection)
        engine.dispose()
        self._writer = self._writing.connect()

    async def close(self) -> None:
        """Close every connection."""
        for connection in (self._writer, *self._readers):
            if connection is not None:
                connection.close()
        self._readers.clear()
        self._writing.dispose()
        self._reading.dispose()
        self._disk.shutdown()

    async def begin(self) -> RootTransaction:
        """Begin a writing transaction, after other programs have finished theirs."""
        writer = self._writer
        if writer is None:
            raise RuntimeError("a ledger is opened before it is written")
        try:
            return _begun(writer, _WRITE)
        except OperationalError:  # another program writes: wait for it, but not in the event loop's thread
            begun: list[RootTransaction] = []
            if await self._wait_for(lambda: begun.append(_begin_patiently(writer))):
                begun[0].rollback()
                raise asyncio.CancelledError from None
            return begun[0]

    async def commit(self, transaction: RootTransaction) -> bool:
        """Commit; return whether this task was cancelled meanwhile. If the commit fails, everything is undone."""
        return await self._wait_for(lambda: _commit(transaction))

    async def rollback(self, transaction: RootTransaction) -> None:
        """Undo everything."""
        transaction.rollback()

    def is_cause_of(self, error: BaseException) -> bool:
        """Return False: opening a file again mends nothing that the supervisor's start does not mend."""
        del error
        return False

    async def _wait_for(self, work: Callable[[], None]) -> bool:
        """Do *work* in the ledger's thread; return whether this task was cancelled meanwhile.

        The wait goes on when the task is cancelled: until *work* is done, nobody else may use the connection.
        """
        return await committed(asyncio.get_running_loop().run_in_executor(self._disk, work))

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open one snapshot."""
        connection = self._readers.pop() if self._readers else self._reading.connect()
        try:
            with _begun(connection, _READ):
                yield connection
        finally:
            self._readers.append(connection)

    async def off_the_disk(self) -> bool:
        """Empty the write-ahead file, which still holds old pages; in the file itself deleted rows are zeros.

        Return False while another program reads the ledger, for example a backup: then the file cannot be emptied.
        """
        return await asyncio.to_thread(_checkpoint, self._path)


def _checkpoint(path: Path) -> bool:
    # Writers are blocked while the checkpoint waits for readers, so it waits less than a writer would.
    with closing(sqlite3.connect(path, timeout=1, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA {disk.SQLITE}")
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy
