"""Place of a ledger: a file, or the address of a PostgreSQL database."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, RootTransaction
from sqlalchemy import Engine as SqlEngine

from nrmbus.bus.agency_folder import AgencyFolder
from nrmbus.desk.errors import DeskError
from nrmbus.desk.store import sqlite
from nrmbus.desk.store.address import Address
from nrmbus.desk.store.sqlite import Sqlite
from nrmbus.desk.store.suspending import suspending_loop

_T = TypeVar("_T")

Place = Path | Address


class Engine(Protocol):
    """Database of one ledger: one connection that writes, and some that read."""

    lost: asyncio.Event

    async def open(self, agency: str, patience: float, *, puts_out: bool) -> None:
        """Connect as *agency*'s desk, once no other has been it for *patience* seconds; make or upgrade the tables."""

    async def close(self) -> None:
        """Close every connection."""

    async def begin(self) -> RootTransaction:
        """Begin a writing transaction; nobody else's may be open."""

    async def commit(self, transaction: RootTransaction) -> bool:
        """Commit; return whether this task was cancelled meanwhile."""

    async def rollback(self, transaction: RootTransaction) -> None:
        """Undo everything."""

    def is_cause_of(self, error: BaseException) -> bool:
        """Return whether opening the ledger again may help against *error*."""

    def read(self) -> AbstractContextManager[Connection]:
        """Open one snapshot."""

    async def off_the_disk(self) -> bool:
        """Remove deleted rows from the database's files; return False if that has to be tried again."""


def place_of(home: AgencyFolder) -> Place:
    """Return the place of the agency's ledger: ``ledger`` in ``agency.json``, or else a file beside it.

    Raises:
        NoBus: ``agency.json`` cannot be read.
        DeskError: ``ledger_unfit`` if ``ledger`` is no address of a PostgreSQL database, or has a password or a relative path in it.
    """
    found = home.settings.ledger
    return home.ledger if found is None else Address.parse(found)


def engine_of(place: Place, *, copies: bool = False) -> Engine:
    """Return the engine for *place*, not connected yet; with *copies* a server may take long for a statement.

    Raises DeskError ``ledger_driver_missing``.
    """
    return Sqlite(place) if isinstance(place, Path) else _server().Postgres(place, copies=copies)


def _server() -> ModuleType:
    try:
        return import_module("nrmbus.desk.store.postgres")  # an extra: most desks have a file
    except ImportError:
        raise DeskError("ledger_driver_missing") from None


def exists(place: Place) -> bool:
    """Return whether there is a file at *place*; a server's tables may be there or not."""
    return not isinstance(place, Path) or place.exists()


def on_tables(place: Place, work: Callable[[Connection], _T]) -> _T:
    """Do *work* with a connection to the tables at *place*, without being the ledger's desk."""
    return _on_tables(place, work) if isinstance(place, Path) else run(with_tables(place, work), place)


async def with_tables(place: Place, work: Callable[[Connection], _T]) -> _T:
    """Do the same in an event loop that `run` has made."""
    return _on_tables(place, work)


async def alone_with_tables(place: Place, agency: str, work: Callable[[Connection], _T]) -> _T:
    """Do *work* as `with_tables`, while no desk of *agency* can open the ledger on a server.

    Raises:
        DeskError: ``ledger_held`` if a desk has the ledger open, ``ledger_away`` if the server does not answer.
    """
    engine = engine_of(place)
    try:
        await engine.open(agency, 0.0, puts_out=False)
        return _on_tables(place, work)
    finally:
        await engine.close()


def _on_tables(place: Place, work: Callable[[Connection], _T]) -> _T:
    engine: SqlEngine = sqlite.making(place) if isinstance(place, Path) else _server().making(place)
    try:
        with engine.connect() as connection:
            return work(connection)
    finally:
        engine.dispose()


def run(main: Coroutine[Any, Any, _T], place: Place) -> _T:
    """Run *main*, which opens the ledger at *place*, in an event loop of its own.

    Raises:
        KeyboardInterrupt: a person has pressed Ctrl-C, and *main* has ended since, whatever it raised meanwhile.
    """
    with asyncio.Runner(loop_factory=None if isinstance(place, Path) else suspending_loop) as runner:
        return runner.run(_unless_told(main))


async def _unless_told(main: Coroutine[Any, Any, _T]) -> _T:
    """Wait for *main*; an error after Ctrl-C, like a time-out in the same moment, is not taken for a reason of its own to end."""
    task = asyncio.current_task()
    try:
        return await main
    except Exception:
        if task is not None and task.cancelling():
            raise asyncio.CancelledError from None
        raise
