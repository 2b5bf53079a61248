"""The intake file: one SQLite file in the agency's folder, which the public page and the desk both open.

The public page puts sealed messages into it, and the desk puts the hotline's sealing key, answers and closings, and the
facts of the profile in force that the page states. Every
write is one transaction that is on disk when the function returns, so a kill of either process loses nothing that was
confirmed. Deleted content is overwritten. The file cannot grow beyond its bound; answers have room of their own.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, Self

from nrmbus.bus.private_files import PRIVATE_FILE, make_private
from nrmbus.intake.codes import SALT_BYTES, Holder
from nrmbus.wire import disk, times
from nrmbus.wire.ids import EVENT_ID
from nrmbus.wire.keys.keys import SealTo

FOLDER: Final = "public"
FILE: Final = "intake.sqlite"
PROFILE: Final = "profile"
"""Name of the profile in force among its facts, for which the public page has no sentence: the country follows from it."""
MOST_BYTES: Final = 64 * 1024 * 1024
"""Size of the file beyond which it takes no more messages: some 6,000 of ordinary length."""
FOR_ANSWERS: Final = 8 * 1024 * 1024
"""Bytes beyond it that only the desk may fill."""
MOST_MESSAGES: Final = 40
"""Messages of one code, answers included: one code alone does not fill the file."""

MOST_AT_ONCE: Final = timedelta(days=1)
"""Time by which messages age between two uses of the file at most, however far the wall clock went on meanwhile."""

MOST_DAYS: Final = 3650
"""Most days that a page can promise. Another value among a thread's days keeps no other thread from its end."""

_PAGE: Final = 4096
_WAIT: Final = 10.0
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS about (salt BLOB NOT NULL, public BLOB, seen TEXT, keep_days INTEGER);
CREATE TABLE IF NOT EXISTS threads (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    ref TEXT NOT NULL UNIQUE,
    public BLOB NOT NULL,
    opened TEXT NOT NULL,
    touched TEXT NOT NULL,
    danger INTEGER NOT NULL,
    closed TEXT,
    keep_days INTEGER
);
CREATE TABLE IF NOT EXISTS messages (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    thread INTEGER NOT NULL REFERENCES threads (number) ON DELETE CASCADE,
    at TEXT NOT NULL,
    who TEXT,
    kid TEXT NOT NULL,
    letter BLOB NOT NULL,
    read TEXT
);
CREATE TABLE IF NOT EXISTS profile (facts TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS clock (at TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS messages_of_thread ON messages (thread);
"""

_UNREAD: Final = (
    "SELECT m.id FROM messages m JOIN threads t ON t.number = m.thread"
    " WHERE m.who IS NULL AND m.read IS NULL AND t.closed IS NULL ORDER BY m.row"
)
_WAITING: Final = (
    "SELECT t.danger FROM threads t WHERE t.closed IS NULL"
    " AND (SELECT m.who FROM messages m WHERE m.thread = t.number ORDER BY m.row DESC LIMIT 1) IS NULL"
)
_GLANCE: Final = 0.2
"""Seconds that a page or a notice waits for the file."""

State = Literal["new", "waiting", "answered", "closed"]


class StoreFull(Exception):
    """Raised when the file has reached its bound, or the disk is full: nothing was stored."""


class NoKey(Exception):
    """Raised when no sealing key of the hotline is known yet: nothing can be sealed, and nothing was stored."""


class TooMany(Exception):
    """Raised when one code has as many messages as may wait."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message in the file; ``who`` is the staff number of the worker who answered, None for the person's own."""

    row: int
    id: str
    at: datetime
    who: str | None
    letter: bytes
    read: datetime | None
    """When the hotline first opened it."""


@dataclass(frozen=True, slots=True)
class Thread:
    """All messages of one code."""

    number: int
    ref: str
    public: bytes
    opened: datetime
    touched: datetime
    danger: bool
    closed: datetime | None
    keep_days: int | None = None
    """Days without anybody after which it is deleted, as its holder was told at her last visit."""
    messages: tuple[Message, ...] = ()

    @property
    def ends(self) -> datetime | None:
        """Return when it is deleted if nobody comes; None if the public page has set no days yet."""
        try:
            return None if self.keep_days is None else self.touched + timedelta(days=self.keep_days)
        except OverflowError:
            return None

    @property
    def state(self) -> State:
        """Return where it stands: new until the hotline has opened a message, then whose turn it is."""
        if self.closed is not None:
            return "closed"
        if all(each.who is None and each.read is None for each in self.messages):
            return "new"
        return "waiting" if self.messages[-1].who is None else "answered"

    @property
    def waits_since(self) -> datetime:
        """Return the time of the first message that was not answered yet, else of the last answer."""
        since = self.messages[-1].at
        for each in reversed(self.messages):
            if each.who is not None:
                break
            since = each.at
        return since


Seal = Callable[[SealTo], bytes]
"""Seals a message to the hotline's present key; called inside the transaction that stores it."""
Look = Callable[[], None]
"""Raises if the worker may no longer do this; called inside the transaction, which may have waited for another writer."""


class IntakeStore:
    """The opened file. Its functions may be called from any thread.

    It is read by a connection of its own, which waits for no writer: who only opens the public page waits for nobody's message.
    """

    def __init__(self, home: Path, *, most_bytes: int = MOST_BYTES) -> None:
        """Open, or make, the file in the agency's folder *home*; beyond *most_bytes* it takes nothing."""
        path = make_private(home / FOLDER) / FILE
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE))
        self._lock = threading.Lock()
        self._db = _connected(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON", "foreign_keys = ON"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")
        # only now: a full file of an earlier release has no room for a table that it lacks
        self._db.execute(f"PRAGMA max_page_count = {most_bytes // _PAGE}")
        self._turn = threading.Lock()
        self._reader = _connected(path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
        self._reader.execute("PRAGMA query_only = ON")
        with self._writing() as tx:
            if tx.execute("SELECT 1 FROM about").fetchone() is None:
                tx.execute("INSERT INTO about (salt) VALUES (?)", (os.urandom(SALT_BYTES),))
            # in the file of an earlier release the desk's last look is the newest time
            tx.execute("INSERT INTO clock (at) SELECT seen FROM about WHERE seen IS NOT NULL"
                       " AND NOT EXISTS (SELECT 1 FROM clock)")  # fmt: skip
            if not any(name == "keep_days" for _, name, *_ in tx.execute("PRAGMA table_info(threads)").fetchall()):
                # in the file of an earlier release, the days of its threads; a default changes no row of a full file
                (days,) = tx.execute("SELECT keep_days FROM about").fetchone()
                default = "NULL" if days is None else str(int(days))
                tx.execute(f"ALTER TABLE threads ADD COLUMN keep_days INTEGER DEFAULT {default}")
        self.salt: Final = bytes(self._db.execute("SELECT salt FROM about").fetchone()[0])

    @classmethod
    def of_desk(cls, home: Path) -> Self:
        """Open the file for the desk, with the room for answers."""
        return cls(home, most_bytes=MOST_BYTES + FOR_ANSWERS)

    @staticmethod
    def is_at(home: Path) -> bool:
        """Return whether the agency with this folder has an intake."""
        return (home / FOLDER / FILE).exists()

    @staticmethod
    def unread(home: Path) -> list[str] | None:
        """Return the ids of the messages that nobody at the hotline has opened; None if the file cannot be read now."""
        rows = _glance(home, _UNREAD)
        return None if rows is None else [id for (id,) in rows if isinstance(id, str) and EVENT_ID.fullmatch(id)]

    @staticmethod
    def waiting(home: Path) -> tuple[int, bool]:
        """Return how many threads wait for the hotline, and whether danger is told in one of them; as far as can be read now."""
        rows = _glance(home, _WAITING) or []
        return len(rows), any(danger for (danger,) in rows)

    def close(self) -> None:
        """Close the file."""
        with self._turn:
            self._reader.close()
        with self._lock:
            self._db.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Run the block as one transaction, on disk at its end. Raises StoreFull."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                    raise StoreFull from None
                raise

    def _all(self, statement: str, *values: Any) -> list[Any]:
        with self._turn:
            return self._reader.execute(statement, values).fetchall()

    # -- the public page ---------------------------------------------------------------------------------------------

    def take(self, holder: Holder, id: str, seal: Seal, *, now: datetime, danger: bool = False) -> None:
        """Store a message of *holder*: her first one, or another. Stored twice under the same *id*, it is there once.

        Raises:
            NoKey: there is no key to seal it to.
            StoreFull: there is no room.
            TooMany: she has too many messages here.
        """
        with self._writing() as tx:
            at = _in_step(tx, now)
            public, days = tx.execute("SELECT public, keep_days FROM about").fetchone()
            if public is None:
                raise NoKey
            tx.execute(
                "INSERT INTO threads (ref, public, opened, touched, danger, keep_days) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (ref) DO UPDATE SET touched = excluded.touched, closed = NULL,"
                " danger = max(danger, excluded.danger), keep_days = excluded.keep_days",
                (holder.ref, holder.key.public, at, at, danger, days),
            )
            (number,) = tx.execute("SELECT number FROM threads WHERE ref = ?", (holder.ref,)).fetchone()
            (count,) = tx.execute("SELECT count(*) FROM messages WHERE thread = ?", (number,)).fetchone()
            if count >= MOST_MESSAGES and not tx.execute("SELECT 1 FROM messages WHERE id = ?", (id,)).fetchone():
                raise TooMany
            to = SealTo(public)
            tx.execute(
                "INSERT INTO messages (id, thread, at, kid, letter) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                (id, number, at, to.kid, seal(to)),
            )

    def found(self, ref: str, *, now: datetime) -> Thread | None:
        """Return the messages of a code's reference, and note that its holder was here; None if there are none."""
        with suppress(StoreFull), self._writing() as tx:  # an answer can be read when the disk is full, too
            tx.execute("UPDATE threads SET touched = ?, keep_days = (SELECT keep_days FROM about) WHERE ref = ?",
                       (_in_step(tx, now), ref))  # fmt: skip
        rows = self._all("SELECT number FROM threads WHERE ref = ?", ref)
        return self.thread(rows[0][0]) if rows else None

    def remove(self, ref: str) -> None:
        """Delete all messages of a code's reference, and overwrite them."""
        with self._writing() as tx:
            tx.execute("DELETE FROM threads WHERE ref = ?", (ref,))
        self._off_the_disk(_WAIT)

    @property
    def seen(self) -> datetime | None:
        """Return when the hotline's desk was last here; None if it never was."""
        ((seen,),) = self._all("SELECT seen FROM about")
        return times.read(seen) if seen else None

    @property
    def key_kid(self) -> str | None:
        """Return the kid of the key that messages are sealed to now, or None."""
        ((public,),) = self._all("SELECT public FROM about")
        return SealTo(public).kid if public else None

    @property
    def facts(self) -> str:
        """Return the facts of the profile in force, as the desk wrote them; empty if it has not yet."""
        rows = self._all("SELECT facts FROM profile")
        return str(rows[0][0]) if rows else ""

    # -- the desk ----------------------------------------------------------------------------------------------------

    def tell(self, key: SealTo, now: datetime) -> None:
        """Name the key that messages are sealed to from now on, and that the desk was here."""
        with self._writing() as tx:
            tx.execute("UPDATE about SET public = ?, seen = ?", (key.public, times.write(now)))

    def state(self, facts: str) -> None:
        """Let the public page state the *facts* of the profile in force from now on, in JSON."""
        with self._writing() as tx:
            tx.execute("DELETE FROM profile")
            tx.execute("INSERT INTO profile (facts) VALUES (?)", (facts,))

    def threads(self) -> list[Thread]:
        """Return all that came in, those that wait longest first, then answered ones, then closed ones; letters left out."""
        found: dict[int, list[Message]] = {}
        for row in self._all("SELECT thread, row, id, at, who, x'', read FROM messages ORDER BY row"):
            found.setdefault(row[0], []).append(_message(row[1:]))
        rows = self._all("SELECT number, ref, public, opened, touched, danger, closed, keep_days FROM threads")
        order = {"new": 0, "waiting": 0, "answered": 1, "closed": 2}
        every = [_thread(row, found.get(row[0], [])) for row in rows]
        return sorted(every, key=lambda each: (order[each.state], not each.danger, each.waits_since, each.number))

    def thread(self, number: int) -> Thread | None:
        """Return one thread with its letters; None if it does not exist any more."""
        rows = self._all(
            "SELECT number, ref, public, opened, touched, danger, closed, keep_days FROM threads WHERE number = ?",
            number,
        )
        letters = self._all("SELECT row, id, at, who, letter, read FROM messages WHERE thread = ? ORDER BY row", number)
        return _thread(rows[0], [_message(each) for each in letters]) if rows else None

    def mark_read(self, number: int, now: datetime, *, last: int) -> None:
        """Note that the hotline was there and has opened the messages of a thread, up to the row *last*."""
        with self._writing() as tx:
            at = _in_step(tx, now)
            tx.execute("UPDATE threads SET touched = ? WHERE number = ?", (at, number))
            tx.execute("UPDATE messages SET read = ? WHERE thread = ? AND who IS NULL AND read IS NULL AND row <= ?",
                       (at, number, last))  # fmt: skip

    def answer(
        self, number: int, id: str, who: str, letter: bytes, kid: str, *, last: int, now: datetime, look: Look = lambda: None
    ) -> bool:  # fmt: skip
        """Store an answer if *last* is still the newest row of the thread; return whether it was stored.

        Stored twice under the same *id*, it is there once. A worker who answers a thread that another has answered
        meanwhile, or to which the person has written more, is told instead.
        """
        with self._writing() as tx:
            look()
            if tx.execute("SELECT 1 FROM messages WHERE id = ?", (id,)).fetchone():
                return True
            (newest,) = tx.execute("SELECT max(row) FROM messages WHERE thread = ?", (number,)).fetchone()
            if newest != last:
                return False
            at = _in_step(tx, now)
            values = (id, number, at, who, kid, letter, at)
            tx.execute(
                "INSERT INTO messages (id, thread, at, who, kid, letter, read) VALUES (?, ?, ?, ?, ?, ?, ?)", values
            )
            tx.execute("UPDATE threads SET touched = ?, closed = NULL WHERE number = ?", (at, number))
        return True

    def finish(self, number: int, now: datetime, *, last: int, delete: bool = False, look: Look = lambda: None) -> bool:
        """Close a thread, so that its holder can still read it until it is deleted; or *delete* it now.

        Return False, and leave it as it is, if *last* is not the newest row any more: somebody has written since.
        """
        with self._writing() as tx:
            look()
            (newest,) = tx.execute("SELECT max(row) FROM messages WHERE thread = ?", (number,)).fetchone()
            if newest not in (None, last):
                return False
            if delete:
                tx.execute("DELETE FROM threads WHERE number = ?", (number,))
            else:
                at = _in_step(tx, now)
                values = (at, at, number)
                tx.execute("UPDATE threads SET closed = ?, touched = ? WHERE number = ? AND closed IS NULL", values)
        if delete:
            self._off_the_disk(_WAIT)
        return True

    def behind(self, kid: str) -> Iterator[tuple[str, str, bytes]]:
        """Yield id, reference and letter of each message that is sealed to another key than *kid*.

        They are cast: a value of another type is no letter then, and ends nothing.
        """
        yield from self._all(
            "SELECT CAST(m.id AS TEXT), CAST(t.ref AS TEXT), CAST(m.letter AS BLOB) FROM messages m"
            " JOIN threads t ON t.number = m.thread WHERE m.kid <> ?",
            kid,
        )

    def replace(self, id: str, letter: bytes, kid: str) -> None:
        """Put the same message, wrapped for the key *kid*, in the place of the earlier one, which is overwritten."""
        with self._writing() as tx:
            tx.execute("UPDATE messages SET letter = ?, kid = ? WHERE id = ?", (letter, kid, id))

    # -- both --------------------------------------------------------------------------------------------------------

    def keep(self, days: int) -> None:
        """Let the public page promise *days* days from now on. A thread keeps its own until its holder comes and is told these."""
        with self._writing() as tx:
            # an earlier release of the page left out the days of a thread, which were those in force
            tx.execute("UPDATE threads SET keep_days = (SELECT max(?, coalesce(keep_days, 0)) FROM about)"
                       " WHERE keep_days IS NULL", (days,))  # fmt: skip
            tx.execute("UPDATE about SET keep_days = ?", (days,))

    def expire(self, now: datetime) -> int:
        """Delete each thread where nobody has been for its `keep_days`; return how many.

        A pause between two uses of the file counts as `MOST_AT_ONCE` at most, or as a tenth of the days if that is less: a
        wrong clock deletes nothing that was not nearly due, and a machine that was off for longer deletes that much later.
        What was deleted while somebody read leaves the disk now, whoever deleted it, or at a later call.
        """
        gone = 0
        with self._writing() as tx:
            _in_step(tx, now)
            days_of = "SELECT DISTINCT keep_days FROM threads WHERE keep_days BETWEEN 1 AND ?"
            promised = tx.execute(days_of, (MOST_DAYS,)).fetchall()
            for (days,) in promised:
                before = _written(now - timedelta(days=days))
                gone += tx.execute("DELETE FROM threads WHERE keep_days = ? AND touched < ?", (days, before)).rowcount
        self._off_the_disk(0)
        return gone

    def _off_the_disk(self, wait: float) -> None:
        """Empty the write-ahead file too, in which deleted content is still to be found, unless somebody reads there for *wait* seconds."""
        with self._lock:
            self._db.execute(f"PRAGMA busy_timeout = {round(wait * 1000)}")
            try:
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:  # later writers wait for one another, also after a disk that failed
                self._db.execute(f"PRAGMA busy_timeout = {round(_WAIT * 1000)}")


def _connected(path: Path | str, **how: Any) -> sqlite3.Connection:
    """Return a connection to the file at *path*, which reads a text that is not UTF-8 as one that no release writes.

    With Python's default such a text raises an error that ends the reading of all other rows, and that shows the value.
    """
    db: sqlite3.Connection = sqlite3.connect(path, **how)
    db.execute(f"PRAGMA {disk.SQLITE}")
    db.text_factory = partial(str, encoding="utf-8", errors="replace")
    return db


def _glance(home: Path, statement: str) -> list[Any] | None:
    """Return the rows of *statement*, no rows if there is no file; None if it cannot be read at once."""
    path = home / FOLDER / FILE
    if not path.exists():
        return []
    try:
        with closing(_connected(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=_GLANCE)) as db:
            return db.execute(statement).fetchall()
    except sqlite3.Error:
        return None


def _written(now: datetime) -> str:
    """Return *now* to the minute: the file says no more than people need."""
    return times.write(now.replace(second=0, microsecond=0))


def _in_step(tx: sqlite3.Connection, now: datetime) -> str:
    """Return *now* as the file has it, after moving the time of each thread's last visit along with a clock that jumped.

    Each write of such a time begins here. Otherwise a visit noted just after a clock was set right would be moved with it.
    """
    at = _written(now)
    last = tx.execute("SELECT at FROM clock").fetchone()
    before = None if last is None else times.read(str(last[0]))
    if before is None:  # a new file; or no time, by which nothing would ever be too old
        tx.execute("DELETE FROM clock")
        tx.execute("INSERT INTO clock (at) VALUES (?)", (at,))
    elif last[0] != at:
        passed = _read(at) - before
        rows = "SELECT number, touched, keep_days FROM threads WHERE keep_days IS NULL OR keep_days BETWEEN 1 AND ?"
        for number, touched, days in tx.execute(rows, (MOST_DAYS,)).fetchall():
            most = MOST_AT_ONCE if days is None else min(MOST_AT_ONCE, timedelta(days=days) / 10)
            if abs(passed) > most and (since := times.read(str(touched))) is not None:
                moved = passed - most if passed > most else passed
                with suppress(OverflowError):  # nobody was here in the year 9999
                    values = (_written(since + moved), number)
                    tx.execute("UPDATE threads SET touched = ? WHERE number = ?", values)
        tx.execute("UPDATE clock SET at = ?", (at,))
    return at


def _read(text: str) -> datetime:
    found = times.read(text)
    if found is None:
        raise ValueError("no time of this file")
    return found


def _message(row: Any) -> Message:
    number, id, at, who, letter, read = row
    if not isinstance(id, str) or not isinstance(letter, bytes):
        raise TypeError("no message of this file")
    return Message(number, id, _read(at), who, letter, _read(read) if read else None)


def _thread(row: Any, messages: list[Message]) -> Thread:
    number, ref, public, opened, touched, danger, closed, days = row
    ended = _read(closed) if closed else None
    if not isinstance(ref, str) or not isinstance(public, bytes):
        raise TypeError("no thread of this file")
    kept = days if isinstance(days, int) else None
    return Thread(number, ref, public, _read(opened), _read(touched), bool(danger), ended, kept, tuple(messages))
