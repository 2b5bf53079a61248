"""Table of the last checkpoint that each log signed, so that no log ever signs two trees that contradict each other.

A lock on a file holds only while a process lives, and remembers nothing. An SQLite row that is read, compared and
replaced in one transaction does both: a second instance, a restart and a restored folder find the last signed
checkpoint (as in Sunlight). So the file belongs beside the log's key, not in the log's folder, and in no backup of it.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from nrmbus.wire import disk


class Turn:
    """Permission to sign now: ``last`` is the note that was signed last, None at first."""

    def __init__(self, last: bytes | None) -> None:
        """Begin with the *last* signed note."""
        self.last = last
        self.signed: bytes | None = None


class SignedHeads:
    """Store of the last checkpoint that each log signed."""

    def __init__(self, path: Path) -> None:
        """Open the file *path*, or make it."""
        self._path = path
        with closing(self._connect()) as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS signed (origin TEXT PRIMARY KEY, note BLOB NOT NULL) STRICT, WITHOUT ROWID"
            )

    def last(self, origin: str) -> bytes | None:
        """Return the note that *origin* signed last, or None before the first."""
        with closing(self._connect()) as connection:
            return _last(connection, origin)

    @contextmanager
    def turn(self, origin: str) -> Iterator[Turn]:
        """Keep every other process from signing for *origin*, until the end of the block.

        The note in ``signed`` is durable when the block has ended, and must not be shown to anybody before. After an
        exception nothing has changed. Waits up to a minute for the turn of another process, then raises
        sqlite3.OperationalError.
        """
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            turn = Turn(_last(connection, origin))
            yield turn
            if turn.signed is not None:
                connection.execute("REPLACE INTO signed (origin, note) VALUES (?, ?)", (origin, turn.signed))
            connection.execute("COMMIT")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=60, isolation_level=None)
        connection.execute("PRAGMA synchronous = EXTRA")  # a commit outlives a failure of power, its folder entry too
        connection.execute(f"PRAGMA {disk.SQLITE}")
        return connection


def _last(connection: sqlite3.Connection, origin: str) -> bytes | None:
    row = connection.execute("SELECT note FROM signed WHERE origin = ?", (origin,)).fetchone()
    return None if row is None else bytes(row[0])
