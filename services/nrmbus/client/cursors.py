"""Stores of a cursor: where a program keeps the place up to which it has dealt with its inbox."""

import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

from nrmbus.client.door import Door, Json
from nrmbus.client.errors import RequestRefused, understood
from nrmbus.client.received import BEGINNING, Cursor
from nrmbus.wire import disk

Ask: TypeAlias = Callable[[Callable[[], Awaitable[Json]]], Awaitable[Json]]
"""Way to ask a desk, which tries again while the desk is away."""

_PRIVATE: Final = 0o600


class CursorStore(Protocol):
    """Store of one cursor. Its methods are called one at a time; plain ones in a thread of their own."""

    def load(self) -> Cursor | Awaitable[Cursor]:
        """Return the stored cursor, or `BEGINNING` if there is none."""

    def store(self, cursor: Cursor) -> Awaitable[None] | None:
        """Store *cursor* durably: everything up to it is dealt with."""


class CursorFile:
    """Cursor in a file of its own."""

    def __init__(self, path: Path | str) -> None:
        """Keep the cursor in the file *path*; its folder must exist."""
        self._path = Path(path)

    def load(self) -> Cursor:
        """Return the stored cursor.

        Raises:
            ValueError: the file has something else in it.
        """
        try:
            return Cursor.parse(self._path.read_text(encoding="ascii").strip())
        except FileNotFoundError:
            return BEGINNING

    def store(self, cursor: Cursor) -> None:
        """Replace the file at once, so that a power cut leaves the old cursor or the new one."""
        partial = self._path.with_name(f"{self._path.name}.partial")
        with os.fdopen(
            os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE), "w", encoding="ascii"
        ) as file:
            file.write(f"{cursor}\n")
            file.flush()
            disk.flush(file.fileno())
        partial.replace(self._path)


class CursorTable:
    """Cursor in a table ``nrmbus_cursors`` of a SQLite database, beside the program's own."""

    def __init__(self, database: Path | str, name: str = "inbox") -> None:
        """Keep the cursor called *name* in the file *database*."""
        self._database, self._name = database, name

    def load(self) -> Cursor:
        """Return the stored cursor."""
        with closing(self._connected()) as database:
            row = database.execute("SELECT place FROM nrmbus_cursors WHERE name = ?", (self._name,)).fetchone()
        return Cursor.parse(row[0]) if row else BEGINNING

    def store(self, cursor: Cursor) -> None:
        """Commit the cursor."""
        with closing(self._connected()) as database, database:
            database.execute("REPLACE INTO nrmbus_cursors (name, place) VALUES (?, ?)", (self._name, str(cursor)))

    def _connected(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._database)
        database.execute(f"PRAGMA {disk.SQLITE}")
        database.execute("CREATE TABLE IF NOT EXISTS nrmbus_cursors (name TEXT PRIMARY KEY, place TEXT NOT NULL)")
        return database


class CursorAtDesk:
    """Cursor that the desk keeps, under a name of the program's token; it ends with the ledger whose rows it counts."""

    def __init__(self, door: Door, name: str, ask: Ask) -> None:
        """Keep the cursor called *name* at the desk of *door*; *ask* tries again while the desk is away."""
        self._door, self._path, self._ask, self._takes_ledger = door, f"/v1/cursors/{name}", ask, True

    async def load(self) -> Cursor:
        """Return the stored cursor."""
        try:
            found: Any = await self._ask(lambda: self._door.get(self._path))
        except RequestRefused as error:
            if error.code != "not_found":
                raise
            return BEGINNING
        return understood(lambda: Cursor(int(found["after"]), found.get("ledger")))  # an earlier release names none

    async def store(self, cursor: Cursor) -> None:
        """Have the desk record the cursor, unless its ledger was replaced meanwhile: every event comes again then."""
        try:
            await self._keep(cursor)
        except RequestRefused as error:
            if error.code != "inbox_restarted":
                raise

    async def _keep(self, cursor: Cursor) -> None:
        """Have the desk record the cursor for the ledger that numbers its row; a desk of an earlier release takes the row alone."""
        ledger = {"ledger": cursor.ledger} if cursor.ledger and self._takes_ledger else {}
        try:
            await self._ask(lambda: self._door.put(self._path, after=str(cursor.row), **ledger))
        except RequestRefused as error:
            if error.code != "unknown_field" or not ledger:
                raise
            self._takes_ledger = False
            await self._keep(cursor)
