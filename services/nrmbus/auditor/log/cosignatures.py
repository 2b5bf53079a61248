"""What witnesses co-signed: every checkpoint that was published, with the signatures that came for it.

One SQLite file beside the logs; the topics of checkpoints and of witnesses would give it again. How far each was read
is noted after what it said: read again after a cut, it says the same.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from nrmbus.wire.errors import ProofError
from nrmbus.wire.log.checkpoint import Checkpoint
from nrmbus.wire.log.cosignature import CosignatureVerifier
from nrmbus.wire.log.note import Note, key_id_of

LATEST = 48
"""How many checkpoints are looked through for a witness that is behind: two days of them."""

_TABLES = """
CREATE TABLE IF NOT EXISTS checkpoint (
    origin TEXT, size INTEGER, note BLOB NOT NULL, witnesses INTEGER NOT NULL, PRIMARY KEY (origin, size)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS read (topic TEXT PRIMARY KEY, offset INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""


class Cosigned:
    """The published checkpoints of all logs of a bus, and who co-signed them."""

    def __init__(self, path: Path) -> None:
        """Keep them in the file *path*, made if it is not there."""
        self._path = path
        with self._open() as connection:
            connection.executescript(_TABLES)

    def publish(self, checkpoint: Checkpoint, note: bytes) -> None:
        """Note that *checkpoint* was published as *note*; one that is here already stays."""
        row = (checkpoint.origin, checkpoint.size, note)
        with self._open() as connection:
            connection.execute("INSERT OR IGNORE INTO checkpoint VALUES (?, ?, ?, 0)", row)

    def add(self, value: bytes | None, witnesses: Iterable[CosignatureVerifier]) -> Checkpoint:
        """Put to its checkpoint what *value* says, a note that at least one of *witnesses* (of one agency) co-signed.

        Only their signatures are taken, and each of them in the place of an earlier one.

        Raises:
            ProofError: as `Note.parse`, `Note.verified` and `Checkpoint.parse`; ``origin_differs`` where no such
                checkpoint was published, ``root_differs`` where another one was.
        """
        note = Note.parse(value or b"")
        checkpoint = Checkpoint.parse(note.text)
        signed = {(verifier.name, key_id_of(verifier)) for verifier, time in note.verified(witnesses) if time}
        if not signed:  # without a time it does not say that its maker saw no larger tree
            raise ProofError("note_unsigned")
        with self._open() as connection:
            row = _row(connection, checkpoint)
            if row is None:
                raise ProofError("origin_differs")
            known = Note.parse(row)
            if known.text != note.text:
                raise ProofError("root_differs")
            merged = known.signed(*[each for each in note.signatures if (each.name, each.key_id) in signed])
            names = {each.name for each in merged.signatures} - {checkpoint.origin}
            connection.execute(
                "UPDATE checkpoint SET note = ?, witnesses = ? WHERE origin = ? AND size = ?",
                (merged.bytes(), len(names), checkpoint.origin, checkpoint.size),
            )
        return checkpoint

    def newest(self, origin: str, witnesses: int = 0) -> tuple[int, bytes, int] | None:
        """Size, note and number of witnesses of the largest checkpoint that at least so many *witnesses* co-signed."""
        wanted = "SELECT size, note, witnesses FROM checkpoint WHERE origin = ? AND witnesses >= ? ORDER BY size DESC"
        with self._open() as connection:
            row = connection.execute(wanted + " LIMIT 1", (origin, witnesses)).fetchone()
        return None if row is None else (int(row[0]), bytes(row[1]), int(row[2]))

    def latest(self, origin: str) -> list[bytes]:
        """The notes of the largest checkpoints of a log, with all that witnesses added; the largest first."""
        wanted = "SELECT note FROM checkpoint WHERE origin = ? ORDER BY size DESC LIMIT ?"
        with self._open() as connection:
            return [bytes(row[0]) for row in connection.execute(wanted, (origin, LATEST))]

    def offset(self, topic: str) -> int:
        """Where to go on reading *topic*."""
        with self._open() as connection:
            row = connection.execute("SELECT offset FROM read WHERE topic = ?", (topic,)).fetchone()
        return 0 if row is None else int(row[0])

    def read_to(self, topic: str, offset: int) -> None:
        """Note that *topic* was read up to *offset*."""
        with self._open() as connection:
            connection.execute("REPLACE INTO read VALUES (?, ?)", (topic, offset))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=60)) as connection, connection:
            yield connection


def _row(connection: sqlite3.Connection, checkpoint: Checkpoint) -> bytes | None:
    wanted = "SELECT note FROM checkpoint WHERE origin = ? AND size = ?"
    row = connection.execute(wanted, (checkpoint.origin, checkpoint.size)).fetchone()
    return None if row is None else bytes(row[0])
