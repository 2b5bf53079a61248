"""Folder of a backup: files named by their SHA-256, and one manifest for each complete backup (generation).

    objects/ab/abcd…        a file of the bus, or a segment of records
    damaged/abcd…           a file that no longer is what its name says, until no backup has it any more
    manifests/00000007      two lines: the manifest, canonical JSON; and a signed statement of its digest, or nothing

A file is written under another name, synced, read back, and renamed; a manifest is renamed into its place after all its
files are there. So a generation is complete or absent, wherever its writing is cut off, and a file that stays the same is
written once. Names say nothing of whom a file is about.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, ValidationError, field_validator

from nrmbus.backup.errors import BackupError
from nrmbus.bus.private_files import PRIVATE_FILE, lock_file, make_private
from nrmbus.events.model import Frozen
from nrmbus.wire import json, statement
from nrmbus.wire.disk import flush, sync
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys.keys import SigningKey, VerifyKey

FORMAT: Final = 1
KEEP: Final = 30
"""Newest generations that are kept, unless another number is asked for."""
KEPT_DAYS: Final = timedelta(days=30)
"""The age from which a generation is removed, unless it is the newest: the time for which a key opens letters after its use
has ended. So no backup opens a letter after the horizon that an erasure names (``desk/README.md``, Erasure)."""
DAMAGED: Final = frozenset({"manifest_unreadable", "format_unknown"})
"""Codes of a manifest whose content cannot be used. After an error of reading, the manifest may be sound."""
_AHEAD: Final = timedelta(days=1)
"""Time after *now* from which a generation's time is certainly wrong."""
_CHUNK: Final = 1 << 20
_LIMIT: Final = 1 << 28
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FULL_OF_SQLITE: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})


class Stored(Frozen):
    """File of a backup: its SHA-256, which is its name, and its length in bytes."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    length: int = Field(ge=0)


class Segment(Stored):
    """File with *count* records of one partition, from the offset *first* to *last*."""

    first: int
    last: int
    count: int


class Partition(Frozen):
    """Records of one partition of a topic: from the offset *begin* to *end*, without *end*."""

    begin: int
    end: int
    segments: tuple[Segment, ...] = ()
    number: int = 0
    """Of ``nrm.cases`` the last registration's number, of an inbox the last delivery's; 0 of other topics."""
    digest: str = ""
    """Of ``nrm.cases`` the digest of that registration."""


class Committed(Frozen):
    """How far a group has read a partition, with its note."""

    offset: int
    note: str = ""


class Manifest(Frozen):
    """List of everything that one backup has."""

    format: int = FORMAT
    kind: Literal["bus", "agency"] = "bus"
    """``bus``, or ``agency`` for the folder of one agency."""
    bus: str
    agency: str = ""
    generation: int
    made: str
    """The wall's time."""
    by: str
    """The release that wrote it."""
    private_keys: str
    """``sealed``, or ``unprotected`` if any private key lies open in the backup."""
    signer: str = Field(default="", pattern=r"^(?:[0-9a-f]{64})?$")
    """Public key of the one who signed this, in hex; empty if nobody did."""
    files: dict[str, Stored]
    """By the path below the folder of the bus."""
    records: dict[str, dict[str, Partition]] = Field(default_factory=dict)
    """By topic and partition."""
    groups: dict[str, dict[str, dict[str, Committed]]] = Field(default_factory=dict)
    """By group, topic and partition."""

    @field_validator("made")
    @classmethod
    def _is_time(cls, made: str) -> str:
        if datetime.fromisoformat(made).tzinfo is None:
            raise ValueError("no zone")
        return made

    def stored(self) -> Iterator[tuple[str, Stored]]:
        """Yield every file of this backup, with what it holds."""
        yield from self.files.items()
        yield from self.segments()

    def segments(self) -> Iterator[tuple[str, Segment]]:
        """Yield every file of records, with its topic and partition."""
        for topic, partitions in self.records.items():
            for number, each in partitions.items():
                yield from ((f"{topic}/{number}", segment) for segment in each.segments)


def writer() -> str:
    """Return the release that writes: its name and version."""
    return f"nrmbus {metadata.version('nrmbus')}"


@contextmanager
def said() -> Iterator[None]:
    """Turn an error of the disk in the block, or SQLite's word for it, into a BackupError."""
    try:
        yield
    except OSError as error:
        is_full, why = error.errno in _FULL, os.strerror(error.errno or errno.EIO)
    except sqlite3.Error as error:
        # An error of writing is what a limit, or a disk that is full for this account, looks like to SQLite.
        is_full, why = error.sqlite_errorcode & 0xFF in _FULL_OF_SQLITE, error.sqlite_errorname
    else:
        return
    raise BackupError("disk_full" if is_full else "not_written", why)


@dataclass(slots=True)
class Store:
    """Folder of a backup."""

    path: Path
    written: int = 0
    """Bytes of new files, since this object was made."""
    _whole: set[str] = field(default_factory=set)

    @classmethod
    def at(cls, path: Path) -> Self:
        """Return the folder *path*; nothing is touched."""
        return cls(path.expanduser().absolute())

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the one process that writes here, until the end of the block; leftovers of a killed process are removed first.

        If the disk is full, what the block has stored is removed too: no backup has it, and an attempt every few minutes
        would take all space that somebody makes.

        Raises:
            BackupError: ``busy``, ``not_written`` or ``disk_full``.
        """
        with said(), lock_file(self.path / "lock") as descriptor:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BackupError("busy") from None
            for left in self.unfinished():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            try:
                yield
            except BackupError as error:
                if error.code == "disk_full":
                    self._tidy()
                raise

    def unfinished(self) -> list[Path]:
        """Return the files of a backup that was cut off, or is being written."""
        return sorted(self.path.glob("partial-*"))

    # -- files -------------------------------------------------------------------------------------------------------

    def put(self, chunks: Iterable[bytes]) -> Stored:
        """Store a file with the content of *chunks*: durable, and read back, when this returns."""
        partial = self.path / f"partial-{os.getpid()}"
        digest, length = hashlib.sha256(), 0
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE_FILE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for chunk in chunks:
                    file.write(chunk)
                    digest.update(chunk)
                    length += len(chunk)
                file.flush()
                flush(file.fileno())
            stored = Stored(sha256=digest.hexdigest(), length=length)
            if not self.has(stored):
                _check(partial, stored, "", afresh=True)
                _move(partial, self._object(stored))
                self.written += length
        finally:
            partial.unlink(missing_ok=True)
        self._whole.add(stored.sha256)
        return stored

    def put_file(self, path: Path) -> Stored:
        """Store the file at *path*, which is read once if it is here already."""
        found = Stored(sha256=_digest(path), length=path.stat().st_size)
        return found if self.has(found) else self.put(_chunks(path))

    def has(self, stored: Stored) -> bool:
        """Return whether the file is here, with its length; `read` and `check` compare the content."""
        if stored.sha256 in self._whole:
            return True
        with suppress(FileNotFoundError):
            return self._object(stored).stat().st_size == stored.length
        return False

    def check(self, stored: Stored, where: str = "") -> Path:
        """Compare a file with its length and digest; return its path.

        Raises:
            BackupError: ``file_missing``, ``file_cut``, ``file_altered`` or ``file_unreadable``.
        """
        path = self._object(stored)
        _check(path, stored, where)
        return path

    def read(self, stored: Stored, where: str = "") -> bytes:
        """Return the content of a file; raises as `check`."""
        with _readable(where), self._object(stored).open("rb") as file:
            # A manifest that nobody has signed yet may name any length, and reading asks for as much memory.
            if os.fstat(file.fileno()).st_size != stored.length:
                raise BackupError("file_cut", where)
            raw = file.read(stored.length + 1)
        # The bytes that are returned are compared, since the file may be replaced between two readings.
        if len(raw) != stored.length:
            raise BackupError("file_cut", where)
        if hashlib.sha256(raw).hexdigest() != stored.sha256:
            raise BackupError("file_altered", where)
        return raw

    def set_aside(self) -> None:
        """Move each file that no longer is what its name says to ``damaged/``, so that the next backup writes it again.

        A file stays where it is if it cannot be moved, as in a read-only folder. None is deleted: a person may mend it by hand.
        """
        for path in self.path.glob("objects/*/*"):
            with suppress(OSError):
                if _digest(path) != path.name:
                    _move(path, self.path / "damaged" / path.name)

    def _object(self, stored: Stored) -> Path:
        return self.path / "objects" / stored.sha256[:2] / stored.sha256

    # -- generations -------------------------------------------------------------------------------------------------

    def generations(self) -> list[int]:
        """Return the numbers of all complete backups here, the oldest first; raises BackupError ``file_unreadable``."""
        with _readable("manifests"), suppress(FileNotFoundError):
            return sorted(int(each.name) for each in os.scandir(self.path / "manifests") if each.name.isdecimal())
        return []

    def publish(self, manifest: Manifest, key: SigningKey | None) -> None:
        """Make *manifest* the newest backup: all its files must be here. Signed with *key*, its ``signer``, if there is one.

        Raises:
            BackupError: ``file_missing`` or ``file_cut``: nothing is published.
        """
        for where, stored in manifest.stored():
            if not self.has(stored):
                raise BackupError("file_missing", where)
        body = json.dumps(manifest.model_dump(mode="json"))
        signature = b""
        if key is not None:
            about = {"bus": manifest.bus, "generation": manifest.generation, "sha256": json.digest(body)}
            signature = statement.sign("backup", about, key)
        partial = self.path / f"partial-{os.getpid()}"
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE_FILE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(body + b"\n" + signature + b"\n")
            file.flush()
            flush(file.fileno())
        _move(partial, self._manifest(manifest.generation))

    def manifest(self, generation: int | None = None) -> Manifest:
        """Return the manifest of *generation* (default: the newest); who signed it is for `signer` to say.

        Raises:
            BackupError: ``no_backup``, ``manifest_unreadable``, ``file_unreadable`` or ``format_unknown``.
        """
        there = self.generations()
        number = generation if generation is not None else (there[-1] if there else 0)
        if number not in there:
            raise BackupError("no_backup", f"generation {number}" if number else "")
        found, raw = None, self._lines(number)[0]
        with suppress(WireError, ValidationError):
            if json.loads(raw, limit=_LIMIT).get("format") != FORMAT:
                raise BackupError("format_unknown", f"generation {number}")
            found = Manifest.model_validate_json(raw)
        if found is None or found.generation != number:
            raise BackupError("manifest_unreadable", f"generation {number}")
        return found

    def signer(self, manifest: Manifest, key: VerifyKey | None) -> str:
        """Return the kid of *key*, which signed *manifest*; without a key, of the one that the manifest names, or ``""``.

        Raises:
            BackupError: ``signature_invalid``.
        """
        body, signature = self._lines(manifest.generation)
        due = {"bus": manifest.bus, "generation": manifest.generation, "sha256": json.digest(body)}
        with suppress(WireError, ValidationError):
            if key is None and not manifest.signer and not signature:
                return ""
            key = key or VerifyKey(bytes.fromhex(manifest.signer))
            # The file may have been replaced since `manifest` read it: the signature counts only for what was read then.
            if (
                Manifest.model_validate_json(body) == manifest
                and manifest.signer == key.public.hex()
                and statement.verify("backup", signature, {key.kid: key}.__getitem__)[0] == due
            ):
                return key.kid
        raise BackupError("signature_invalid", f"generation {manifest.generation}")

    def _lines(self, generation: int) -> tuple[bytes, bytes]:
        with _readable(f"generation {generation}"):
            body, _, signature = self._manifest(generation).read_bytes().partition(b"\n")
        return body, signature.rstrip(b"\n")

    def prune(self, keep: int, now: datetime, also: Collection[int] = ()) -> int:
        """Remove generations; return how many.

        There stay the newest *keep*, the last one of each earlier day, and *also*; none that is older than `KEPT_DAYS` but the
        newest. Files that no generation has any more are removed too. A generation with a damaged manifest is as old as its
        file: it keeps all others' files until it is removed. One that differs from its signature, or that nobody signed, is as
        old as its file, too: damage may have changed its time. One that was made by a clock that was ahead is as old as the
        next one.

        Raises:
            BackupError: ``file_unreadable`` or ``file_missing``; nothing was removed if a manifest could not be read.
        """
        there = self.generations()
        made: dict[int, datetime] = {}
        damaged: dict[int, datetime] = {}
        for number in there:
            written = datetime.fromtimestamp(self._manifest(number).stat().st_mtime, UTC)
            try:
                manifest = self.manifest(number)
                is_signed = bool(self.signer(manifest, None))
                made[number] = datetime.fromisoformat(manifest.made) if is_signed else written
            except BackupError as error:
                # A good backup may be behind an error of reading, which may pass.
                if error.code not in DAMAGED | {"signature_invalid"}:
                    raise
                damaged[number] = written
        last_of_day = {each.date(): number for number, each in sorted(made.items())}
        young = {number for number, each in _at_the_latest(made | damaged, now).items() if now - each <= KEPT_DAYS}
        stay = {there[-1]} | ({*there[-keep:], *last_of_day.values(), *also} & young) if there else set()
        for number in set(there) - stay:
            self._manifest(number).unlink()
        self._tidy()
        return len(there) - len(stay)

    def _tidy(self) -> None:
        """Remove the files that no generation has."""
        self._whole.clear()
        needed, unreadable = set[str](), False
        for number in self.generations():
            try:
                needed |= {stored.sha256 for _, stored in self.manifest(number).stored()}
            except BackupError:
                unreadable = True  # what it needs nobody knows: nothing goes
        if not unreadable:
            for pattern in ("objects/*/*", "damaged/*"):
                for path in self.path.glob(pattern):
                    if path.name not in needed:
                        path.unlink()

    def _manifest(self, generation: int) -> Path:
        return self.path / "manifests" / f"{generation:08}"


def _at_the_latest(made: Mapping[int, datetime], now: datetime) -> Mapping[int, datetime]:
    """Return for each generation the time before which it was made: its own, or that of the next one if its own was ahead.

    Numbers only grow, so the times are right in the longest run of generations whose times do not fall. A clock that was
    wrong for some of them, ahead or behind, thus changes the end of no other generation.
    """
    runs: dict[int, tuple[int, ...]] = {}
    for number, each in sorted(made.items()):
        if each <= now + _AHEAD:
            before = max((run for last, run in runs.items() if made[last] <= each), key=len, default=())
            runs[number] = (*before, number)
    right = max(reversed(runs.values()), key=len, default=())
    following = {number: next((each for each in right if each > number), number) for number in made}
    return {number: min(each, made[following[number]]) for number, each in made.items()}


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    for chunk in _chunks(path):
        digest.update(chunk)
    return digest.hexdigest()


def _check(path: Path, stored: Stored, where: str, *, afresh: bool = False) -> None:
    """Compare the file at *path* with what was *stored*; *afresh* has it read from the disk and not from memory."""
    with _readable(where):
        length = path.stat().st_size
        if length != stored.length:
            raise BackupError("file_cut", where)
        if afresh and hasattr(os, "posix_fadvise"):
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if _digest(path) != stored.sha256:
            raise BackupError("file_altered", where)


@contextmanager
def _readable(where: str) -> Iterator[None]:
    """Turn an error of reading a file of the backup in the block into a BackupError."""
    try:
        yield
    except FileNotFoundError:
        raise BackupError("file_missing", where) from None
    except OSError:
        raise BackupError("file_unreadable", where) from None


def _move(partial: Path, target: Path) -> None:
    """Give a synced file its name, so that the name is durable too."""
    make_private(target.parent)
    partial.replace(target)
    for folder in (target.parent, target.parent.parent):
        sync(folder)
