"""Stores of a cursor: where a program keeps the place up to which it has dealt with its inbox."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final, Protocol

from nrmbus.client.received import BEGINNING, Cursor

_PRIVATE: Final = 0o600


class CursorStore(Protocol):
    """Store of one cursor. Its methods are called one at a time, in a thread of their own."""

    def load(self) -> Cursor:
        """Return the stored cursor, or `BEGINNING` if there is none."""

    def store(self, cursor: Cursor) -> None:
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
            os.fsync(file.fileno())
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
        database.execute("CREATE TABLE IF NOT EXISTS nrmbus_cursors (name TEXT PRIMARY KEY, place TEXT NOT NULL)")
        return database
