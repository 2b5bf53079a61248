"""What a log has signed last: one SQLite table, so that no two trees of one log are ever signed that contradict.

A lock on a file holds only while a process lives, and remembers nothing. A row that is read, compared and replaced in
one transaction does both: a second instance, a restart and a restored folder meet what was signed before (as
Sunlight does). So the file belongs beside the log's key, not into the log's folder, and into no backup of it.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


class Turn:
    """The one who may sign now: ``last`` is the note that was signed last, none at first."""

    def __init__(self, last: bytes | None) -> None:
        """Begin with what was signed *last*."""
        self.last = last
        self.signed: bytes | None = None


class SignedHeads:
    """The last checkpoint that each log has signed."""

    def __init__(self, path: Path) -> None:
        """Keep them in the file *path*, made if it is not there."""
        self._path = path
        with closing(self._connect()) as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS signed (origin TEXT PRIMARY KEY, note BLOB NOT NULL) STRICT, WITHOUT ROWID"
            )

    def last(self, origin: str) -> bytes | None:
        """The note that *origin* has signed last."""
        with closing(self._connect()) as connection:
            return _last(connection, origin)

    @contextmanager
    def turn(self, origin: str) -> Iterator[Turn]:
        """Be the only one who may sign for *origin*, until the end of the block.

        What was put into ``signed`` by then is there for good before the block is left, and must not be shown to
        anybody earlier. After an exception nothing has changed. Waits up to a minute for another process's turn;
        raises sqlite3.OperationalError after that.
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
        return connection


def _last(connection: sqlite3.Connection, origin: str) -> bytes | None:
    row = connection.execute("SELECT note FROM signed WHERE origin = ?", (origin,)).fetchone()
    return None if row is None else bytes(row[0])
