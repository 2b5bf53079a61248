"""Store of published checkpoints with their co-signatures.

One SQLite file beside the logs; it can be made again from the topics of checkpoints and of witnesses. The offset of a
topic is stored after the records before it, so that records are read again after a crash; that changes nothing.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from operator import itemgetter
from pathlib import Path
from typing import Final

from nrmbus.wire import disk
from nrmbus.wire.errors import ProofError
from nrmbus.wire.log.checkpoint import Checkpoint
from nrmbus.wire.log.cosignature import CosignatureVerifier
from nrmbus.wire.log.note import Note, key_id_of
from nrmbus.wire.names import CHECKPOINTS

LATEST = 48
"""How many checkpoints are searched for the last co-signature of a witness that is behind: those of two days."""

_TABLES = """
CREATE TABLE IF NOT EXISTS checkpoint (
    origin TEXT, size INTEGER, note BLOB NOT NULL, witnesses INTEGER NOT NULL, PRIMARY KEY (origin, size)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shown (
    origin TEXT PRIMARY KEY, size INTEGER NOT NULL, note BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS read (topic TEXT PRIMARY KEY, offset INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""

_LARGER: Final = """
INSERT INTO shown VALUES (?, ?, ?) ON CONFLICT (origin)
DO UPDATE SET size = excluded.size, note = excluded.note WHERE excluded.size > size
"""

FILE: Final = "cosigned.db"


class NoteFullError(Exception):
    """Raised when a checkpoint has no room for one more co-signature, which is good: its witness saw the same history."""


class Cosigned:
    """Published checkpoints of all logs of a bus with their co-signatures."""

    def __init__(self, path: Path) -> None:
        """Open the file *path*, or make it."""
        self._path = path
        with self._open() as connection:
            connection.executescript(_TABLES)

    def publish(self, shown: Iterable[tuple[Checkpoint, bytes]], offset: int) -> None:
        """Store the checkpoints *shown* in ``nrm.checkpoints``, each with its note, which end before *offset* there.

        A stored checkpoint is never replaced.
        """
        rows = [(checkpoint.origin, checkpoint.size, note) for checkpoint, note in shown]
        with self._open() as connection:
            connection.executemany("INSERT OR IGNORE INTO checkpoint VALUES (?, ?, ?, 0)", rows)
            connection.executemany(_LARGER, rows)
            connection.execute("REPLACE INTO read VALUES (?, ?)", (CHECKPOINTS, offset))

    def shown(self) -> list[bytes]:
        """Return the note of the largest checkpoint of each log, as it is in ``nrm.checkpoints``, without co-signatures."""
        with self._open() as connection:
            return [bytes(row[0]) for row in connection.execute("SELECT note FROM shown")]

    def read_again(self) -> None:
        """Forget how far ``nrm.checkpoints`` was read, and which checkpoints are the largest there."""
        with self._open() as connection:
            connection.execute("DELETE FROM shown")
            connection.execute("DELETE FROM read WHERE topic = ?", (CHECKPOINTS,))

    def add(self, value: bytes | None, witnesses: Iterable[CosignatureVerifier]) -> Checkpoint:
        """Add the co-signatures of *witnesses* (of one agency) in the note *value* to its checkpoint, and return the checkpoint.

        Signatures of others, and those without a time, are left out. A new signature of a witness replaces its earlier one;
        of two in one note, that with the larger time counts.

        Raises:
            ProofError: as `Note.parse`, `Note.verified` and `Checkpoint.parse`; ``note_unsigned`` without a timed
                signature of *witnesses*, ``origin_differs`` if no checkpoint of this size was published,
                ``root_differs`` if another one was.
            NoteFullError: the checkpoint has as many signatures as a note may have; nothing was added.
        """
        note = Note.parse(value or b"")
        checkpoint = Checkpoint.parse(note.text)
        known = {(each.name, key_id_of(each)): each for each in witnesses}
        times = [time for _, time in note.verified(known.values())]
        ours = [each for each in note.signatures if (each.name, each.key_id) in known]
        signed = [each for time, each in sorted(zip(times, ours, strict=True), key=itemgetter(0)) if time]
        if not signed:  # only a timed signature says that the witness saw no larger tree
            raise ProofError("note_unsigned")
        with self._open() as connection:
            row = _row(connection, checkpoint)
            if row is None:
                raise ProofError("origin_differs")
            before = Note.parse(row)
            if before.text != note.text:
                raise ProofError("root_differs")
            merged, raw = before.signed(*signed), None
            with suppress(ProofError):
                raw = merged.bytes()
            if raw is None:
                raise NoteFullError
            names = {each.name for each in merged.signatures} - {checkpoint.origin}
            connection.execute(
                "UPDATE checkpoint SET note = ?, witnesses = ? WHERE origin = ? AND size = ?",
                (raw, len(names), checkpoint.origin, checkpoint.size),
            )
        return checkpoint

    def newest(self, origin: str, witnesses: int = 0) -> tuple[int, bytes, int] | None:
        """Return size, note and number of witnesses of the largest checkpoint with at least *witnesses* of them, or None."""
        wanted = "SELECT size, note, witnesses FROM checkpoint WHERE origin = ? AND witnesses >= ? ORDER BY size DESC"
        with self._open() as connection:
            row = connection.execute(wanted + " LIMIT 1", (origin, witnesses)).fetchone()
        return None if row is None else (int(row[0]), bytes(row[1]), int(row[2]))

    def note(self, origin: str, size: int) -> bytes | None:
        """Return the note of the published checkpoint of *size* with its co-signatures, or None."""
        with self._open() as connection:
            row = connection.execute(
                "SELECT note FROM checkpoint WHERE origin = ? AND size = ?", (origin, size)
            ).fetchone()
        return None if row is None else bytes(row[0])

    def latest(self, origin: str) -> list[bytes]:
        """Return the notes of the `LATEST` largest checkpoints of a log with their co-signatures, the largest first."""
        wanted = "SELECT note FROM checkpoint WHERE origin = ? ORDER BY size DESC LIMIT ?"
        with self._open() as connection:
            return [bytes(row[0]) for row in connection.execute(wanted, (origin, LATEST))]

    def offset(self, topic: str) -> int:
        """Return the offset from which *topic* is read next."""
        with self._open() as connection:
            row = connection.execute("SELECT offset FROM read WHERE topic = ?", (topic,)).fetchone()
        return 0 if row is None else int(row[0])

    def read_to(self, topic: str, offset: int) -> None:
        """Store that *topic* was read up to *offset*."""
        with self._open() as connection:
            connection.execute("REPLACE INTO read VALUES (?, ?)", (topic, offset))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=60)) as connection, connection:
            connection.execute(f"PRAGMA {disk.SQLITE}")
            yield connection


def _row(connection: sqlite3.Connection, checkpoint: Checkpoint) -> bytes | None:
    wanted = "SELECT note FROM checkpoint WHERE origin = ? AND size = ?"
    row = connection.execute(wanted, (checkpoint.origin, checkpoint.size)).fetchone()
    return None if row is None else bytes(row[0])
