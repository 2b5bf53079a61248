"""Spill file of one partition's registrar: state outside memory, in an unnamed file that ends with the process.

On macOS the file keeps its name until it is closed; the next start removes the file of a killed process.

Every submission, even a refused one, makes the registrar remember something for ever. So memory holds
the cases that were spoken of last, and the disk the rest: as much as ``nrm.cases`` itself takes there, about.
"""

import errno
import os
import pickle
import sqlite3
import sys
import weakref
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, Final

from nrmbus.registrar.case import Case, Known
from nrmbus.registrar.records import Statement
from nrmbus.wire import statement

AT_HAND: Final = 4096
"""Cases in memory: a country has some hundred open ones, and on a larger bus idle cases are spilled."""
_AT_ONCE: Final = 100
_CACHE_KIB: Final = 16 * 1024
_CHUNK: Final = 4 * 1024 * 1024
_NO_ROOM: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE})
"""Errors of SQLite where a write finds no room; of a quota it says only that the write failed."""
_TABLES: Final = """
create table answered (
    submission blob primary key, envelope text not null, refused integer not null,
    registration blob not null, receipt blob not null
);
create table aside (subject text primary key, content blob not null);
create table saved (state blob not null);
"""
Submission = tuple[str, str, str]
"""Source, subject and id of a submission."""


class NoRoomError(Exception):
    """Raised when the disk is full: the registrar must not decide without its state."""

    def __init__(self) -> None:
        super().__init__("the disk of the registrar's folder is full; make room there, then start again")


class Scratch:
    """Cases and answers. Without a *path* all of it is in memory, as tests want it."""

    def __init__(self, path: Path | None = None, *, at_hand: int = AT_HAND) -> None:
        """Nobody else opens *path*: what lay there goes, and what is written there has no name from the start.

        On macOS the file loses its name at the end only: the system's SQLite ends a connection whose file is unlinked.
        """
        self._at_hand, self._path = at_hand, path
        self._named = path if sys.platform == "darwin" else None
        self._cases: dict[str, Case] = {}
        """The last spoken of is last."""
        self._answered: dict[Submission, Known] = {}
        """Rows that are not written yet: many rows at once take a third of the time."""
        self._opened: list[sqlite3.Connection | FileIO] = []
        weakref.finalize(self, _close, self._opened, self._named)
        self._open(":memory:" if path is None else self._emptied(path))

    def _emptied(self, path: Path) -> Path:
        """Close what is open, and make an empty file at *path*, which stays open to be read after it has lost its name."""
        _close(self._opened, self._named)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._bytes = os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600), "r+b", 0)
        self._opened.append(self._bytes)
        return path

    def _open(self, path: Path | str, *, saved: bool = False) -> None:
        # Collected wherever Python collects: it may be closed by another thread.
        self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._opened.append(self._file)
        # No journal, no waiting for the disk, and one transaction that is never committed: nobody will read it after us.
        for each in (
            "journal_mode = off",
            "synchronous = off",
            "locking_mode = exclusive",
            f"cache_size = -{_CACHE_KIB}",
        ):
            self._file.execute(f"pragma {each}")
        if not saved:
            self._file.executescript(_TABLES)
        if isinstance(path, Path) and self._named is None:
            path.unlink()
        self._file.execute("begin exclusive")
        self._any_aside = saved

    # -- copies ------------------------------------------------------------------------------------------------------

    def save(self, state: bytes, target: BinaryIO) -> str:
        """Write everything to *target*, with the *state* of which this is a part; return the SHA-256 of what was written.

        Everything is signed, as for `settle`. Raises RuntimeError without a path.
        """
        if self._path is None:
            message = "what is in memory alone has no file to copy"
            raise RuntimeError(message)
        self._spill(keep=0)
        self._write_answers()
        self._do("insert into saved values (?)", (state,))
        self._file.execute("commit")
        self._bytes.seek(0)
        written = _copied(self._bytes, target)
        self._file.execute("begin exclusive")
        self._do("delete from saved", ())
        return written

    def load(self, source: BinaryIO, digest: str) -> bytes | None:
        """Begin again with the copy in *source*, and return the state that it was saved with.

        Return None, and begin again with nothing, if *source* has another SHA-256 than *digest*. What is opened is what was
        hashed: a file of this process alone. Raises RuntimeError without a path, and NoRoomError if the disk is full.
        """
        if self._path is None:
            message = "what is in memory alone has no file to copy to"
            raise RuntimeError(message)
        self._cases, self._answered = {}, {}
        path = self._emptied(self._path)
        right = is_full = False
        try:
            with os.fdopen(os.dup(self._bytes.fileno()), "wb") as target:
                right = _copied(source, target) == digest
        except OSError as error:
            right, is_full = False, error.errno in (errno.ENOSPC, errno.EDQUOT)
        self._open(path if right else self._emptied(path), saved=right)
        if is_full:
            raise NoRoomError
        if not right:
            return None
        ((state,),) = self._do("select state from saved", ())
        self._do("delete from saved", ())
        return bytes(state)

    # -- cases -------------------------------------------------------------------------------------------------------

    def case(self, subject: str) -> Case | None:
        """Return the case *subject*, in memory up to the next `settle` at least."""
        case = self._cases.pop(subject, None) or self._taken_back(subject)
        if case is not None:
            self._cases[subject] = case
        return case

    def keep(self, subject: str, case: Case) -> Case:
        """Keep *case* in memory as the most recently used."""
        self._cases[subject] = case
        return case

    def _taken_back(self, subject: str) -> Case | None:
        if not self._any_aside:
            return None
        found = self._do("select content from aside where subject = ?", (subject,))
        if not found:
            return None
        # Nobody but this process has ever been able to open the file; a snapshot that it began with was signed.
        return self.keep(subject, pickle.loads(found[0][0]))  # noqa: S301

    def subjects(self) -> tuple[str, ...]:
        """Return every case, in memory or spilled. A case that was read back is in both."""
        return tuple({**self._cases, **dict(self._do("select subject, null from aside", ()))})

    # -- answers -----------------------------------------------------------------------------------------------------

    def answered(self, submission: Submission) -> Known | None:
        """How the submission was answered, the first time."""
        query = "select envelope, refused, registration, receipt from answered where submission = ?"
        found = self._do(query, (_digest(submission),))
        if not found:
            return self._answered.get(submission)
        envelope, refused, registration, receipt = found[0]
        return Known(
            envelope,
            Statement("registration", statement.body_of("registration", registration), _signed=registration),
            Statement("delivery", statement.body_of("delivery", receipt), _signed=receipt),
            bool(refused),
        )

    def answer(self, submission: Submission, known: Known) -> None:
        """Note how the submission is answered; what was noted first stays."""
        self._answered.setdefault(submission, known)

    def settle(self) -> None:
        """Spill what exceeds the memory, at the end of a transaction: every statement in cases and answers is signed."""
        self._spill(keep=self._at_hand)
        if len(self._answered) >= _AT_ONCE:
            self._write_answers()

    def _spill(self, keep: int) -> None:
        rows = []
        while len(self._cases) > keep:
            oldest = next(iter(self._cases))
            rows.append((oldest, pickle.dumps(self._cases.pop(oldest), pickle.HIGHEST_PROTOCOL)))
        if rows:
            # The row of a case that was read back stayed where it was, and is written over: cheaper than another one.
            self._do_all("insert into aside values (?, ?) on conflict do update set content = excluded.content", rows)
            self._any_aside = True

    def _write_answers(self) -> None:
        rows = [_row(*each) for each in self._answered.items()]
        self._answered.clear()
        self._do_all("insert or ignore into answered values (?, ?, ?, ?, ?)", rows)

    def _do(self, query: str, values: Sequence[Any]) -> list[Any]:
        try:
            return self._file.execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            raise _told(error) from None

    def _do_all(self, query: str, rows: Sequence[Sequence[Any]]) -> None:
        try:
            self._file.executemany(query, rows)
        except sqlite3.OperationalError as error:
            raise _told(error) from None


def _row(submission: Submission, known: Known) -> tuple[bytes, str, bool, bytes, bytes]:
    """Return the row of an answer, with both proofs: nobody could make them again from the bodies alone."""
    return _digest(submission), known.envelope, known.refused, known.registration.signed, known.receipt.signed


def _told(error: sqlite3.OperationalError) -> Exception:
    """Return what to raise for *error*: only a disk without room asks a person to make room."""
    return NoRoomError() if getattr(error, "sqlite_errorcode", None) in _NO_ROOM else error


def _close(opened: list[sqlite3.Connection | FileIO], named: Path | None) -> None:
    """Close SQLite's connection, then the file, and remove the file's name *named* unless a later file has it."""
    while opened:
        each = opened.pop()
        if named is not None and isinstance(each, FileIO):
            with suppress(OSError):  # the name is gone, or a person removed the folder
                if os.path.samestat(os.fstat(each.fileno()), named.stat()):
                    named.unlink()
        each.close()


def _copied(source: BinaryIO, target: BinaryIO) -> str:
    """Copy *source* to *target*; return the SHA-256 of the bytes."""
    digest = sha256()
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        target.write(chunk)
    return digest.hexdigest()


def _digest(submission: Submission) -> bytes:
    """No id holds a space."""
    return sha256(" ".join(submission).encode()).digest()
