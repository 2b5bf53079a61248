"""Files of a bus, or of one agency's folder, into a backup and back: keys as they are sealed, ledgers as SQLite copies them."""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from nrmbus.backup.errors import BackupError
from nrmbus.backup.store import Manifest, Store, Stored
from nrmbus.bus.agency_folder import BACKED_UP, AgencyFolder
from nrmbus.bus.errors import NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import make_private, write_private
from nrmbus.directory.reader import MARK
from nrmbus.wire import disk
from nrmbus.wire.keys import keyfile

LEDGER: Final = "ledger.sqlite"
_DATABASES: Final = (b"SQLite format 3\x00",)
_NOT_KEPT: Final = ("kafka", "kafka.partial", "run", "logs")
"""Folders below the bus's that no backup has: the broker's data are kept as records, the rest is about running processes."""
_MADE_AGAIN: Final = ("door.json", "lock", "spans", BACKED_UP)
_INTAKE: Final = "intake.sqlite"
"""File of anonymous messages: whoever deletes them there is told that they are gone, so no backup has them."""
_LEFT: Final = ("-wal", "-shm", "-journal", ".lock")
"""Ends of the names of files that are made again, or belong to a database."""
_SECRETS: Final = (".seed", "key.pem")
_SHARED: Final = ("bus.json", "addresses.json", "keys/operator.pub")
"""Files that the backup of an agency has beside its own folder and the profiles."""
_TRIES: Final = 20
_OF_PEOPLE: Final = ("users.json", "off-the-record.jsonl")
"""The auditor's users, and readings that are recorded nowhere else yet."""
_PARTS: Final[dict[str, Callable[[tuple[str, ...]], bool]]] = {
    "settings": lambda parts: len(parts) == 1 or parts[-1] in {"agency.json", "import.json"} or parts[0] == "profiles",
    "keys": lambda parts: (
        bool({"keys", "tls", "door"} & {*_named_here(parts)}) and parts[-1] not in {"heads.db", "directory"}
    ),
    "ledger": lambda parts: parts[-1] == LEDGER,
    "log": lambda parts: (
        (parts[0] == "auditor" and bool({"logs", "starts", "cosigned.db", *_OF_PEOPLE} & {*parts[1:2]}))
        or parts[-1] == "heads.db"
    ),
    "users": lambda parts: parts[0] == "auditor" and parts[1:] in {(each,) for each in _OF_PEOPLE},
}
"""Parts of a folder that can be restored alone, by the path of a file."""
BROKER: Final = "broker"
"""The part that is all topics of the broker."""
DIRECTORY: Final = "directory"
"""The part that is the topic of the directory alone."""
FOLDER: Final = "folder"
"""The part that is everything but the broker's topics, for a machine that was lost while its cluster was not."""
PARTS: Final = (*_PARTS, DIRECTORY, BROKER, FOLDER)


def of_part(part: str, path: str) -> bool:
    """Return whether the file at *path* below the folder belongs to *part*."""
    return _PARTS[part](tuple(path.split("/")))


def stays(part: str, path: str, *, over_newer: bool) -> bool:
    """Return whether a restore of *part* leaves the file at *path* as it is, if it is here.

    Nothing in such a file says which version is newer. Users and readings off the record stay with *over_newer* too, which
    gives up a newer log: an older file would let a removed user sign in again, or lose readings.
    """
    return path.endswith(_OF_PEOPLE) if part in ("log", "users") else part in ("keys", "settings") and not over_newer


def paths(root: Path, below: str = "") -> list[str]:
    """Return the paths, below *root*, of all files that a backup has; *below* is a folder of it, for an agency alone."""
    found = []
    for path in (root / below).rglob("*"):
        parts = path.relative_to(root).parts
        if parts[0] in _NOT_KEPT or any(_is_made_again(each) for each in _named_here(parts)):
            continue
        if path.is_file() and not path.is_symlink():
            found.append("/".join(parts))
    return sorted(found)


def _named_here(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the *parts* of a path whose names nrmbus chose: an agency's id may be like any of them, such as ``tmp-shelter``."""
    return parts[2:] if parts[0] == "agencies" and len(parts) > 2 else parts


def _is_made_again(name: str) -> bool:
    # Hidden files are halves of files that are being written.
    return (
        name in (*_MADE_AGAIN, _INTAKE)
        or name.startswith((".", "scratch-", "snapshots", "damaged-", "tmp"))
        or name.endswith(_LEFT)
    )


def agency_paths(folder: BusFolder, below: str) -> list[str]:
    """Return the paths of the folder *below*, which is an agency's own, and of what it needs to find the bus."""
    profiles = [f"profiles/{name}.yaml" for name in folder.own_profiles()]
    return [each for each in (*_SHARED, *profiles) if (folder.path / each).exists()] + paths(folder.path, below)


def is_of_agency(path: str, below: str) -> bool:
    """Return whether the backup of an agency may have the file at *path*: *below* is the agency's own folder."""
    return path in _SHARED or path.startswith((f"{below}/", "profiles/"))


def keep(
    root: Path,
    found: Callable[[], Iterable[str]],
    store: Store,
    before: Manifest | None,
    progress: Callable[[int, int], None],
) -> dict[str, Stored]:
    """Store the files below *root* whose paths *found* returns; if a file goes away meanwhile, or a key changes, look once more.

    Tiles of the auditor's log that are full never change, so those of *before* are not read again.
    """
    for _ in range(_TRIES):
        files: dict[str, Stored] = {}
        heads = _heads(root)
        with suppress(FileNotFoundError):  # the auditor also removes a folder of tiles while its files are listed
            due = list(found())
            for number, path in enumerate(due):
                known = before.files.get(path) if before else None
                files[path] = (
                    known if known and _is_full_tile(path) and store.has(known) else _stored(root / path, store)
                )
                progress(number + 1, len(due))
            keys = {path: stored for path, stored in files.items() if of_part("keys", path)}
            if _heads(root) == heads and _keys(root, found(), store) == keys:
                return files
    raise BackupError("not_written", "files of the bus change too fast")


def _heads(root: Path) -> dict[Path, bytes]:
    """Return the heads of the auditor's logs: while one changes, its tiles are written and removed."""
    return {path: path.read_bytes() for path in root.glob("auditor/logs/*/head")}


def _keys(root: Path, due: Iterable[str], store: Store) -> dict[str, Stored]:
    """Store the keys and certificates among *due* as they are now; return them by path. A replaced key moves to another path."""
    return {path: _stored(root / path, store) for path in due if of_part("keys", path)}


def _is_full_tile(path: str) -> bool:
    return path.startswith("auditor/logs/") and "/tile/" in path and ".p/" not in path


def _stored(path: Path, store: Store) -> Stored:
    with path.open("rb") as file:
        is_database = file.read(16) in _DATABASES
    if not is_database:
        return store.put_file(path)
    with tempfile.TemporaryDirectory(dir=store.path, prefix="partial-") as home:
        copy = Path(home) / "copy"
        _copied(path, copy)
        return store.put_file(copy)


def _copied(path: Path, copy: Path) -> None:
    """Copy the database at *path* as of one moment, while others write to it."""
    with closing(_database(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode=DELETE")


def _database(path: Path) -> sqlite3.Connection:
    # Not read-only, which SQLite refuses for a ledger that no process has open.
    database = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)
    database.execute(f"PRAGMA {disk.SQLITE}")
    return database


def unprotected(root: Path, files: Iterable[str]) -> list[str]:
    """Return the paths of the private keys among *files* that are not sealed."""
    secret = [each for each in files if each.endswith(_SECRETS)]
    return [each for each in secret if not keyfile.is_sealed(root / each)]


def on_servers(root: Path, files: Iterable[str]) -> list[str]:
    """Return the agencies whose ledger is on a server, which no backup of a folder has."""
    found = []
    for path in files:
        if path.endswith("/agency.json"):
            home = AgencyFolder((root / path).parent)
            with suppress(NoBus):
                if home.settings.ledger:
                    found.append(home.id)
    return found


def put_back(store: Store, files: Iterable[tuple[str, Stored]], root: Path) -> None:
    """Write *files* of the backup below *root*, each complete or not at all."""
    for path, stored in files:
        if path.startswith("/") or ".." in path.split("/"):
            raise BackupError("manifest_unreadable", path)
        target = root / path
        make_private(target.parent)
        if path.endswith(_SECRETS):
            # In one step: if it is cut, the key lies under a name that `keyfile.left_over` finds, and destroys with the key.
            write_private(target, store.read(stored, path))
            continue
        whole = target.with_name(f".{target.name}.restored")
        write_private(whole, store.read(stored, path))
        # Before the new ledger is there: a cut in between would leave it with the write-ahead file of the one before.
        for end in _LEFT:
            target.with_name(target.name + end).unlink(missing_ok=True)
        whole.replace(target)


COUNTED: Final = (LEDGER, "heads.db")
"""Databases of which `rows` says how far they go."""


def rows(path: Path) -> dict[str, int] | None:
    """Return how far a ledger goes, or a table of signed trees; None if it cannot be read.

    Of a ledger: its deliveries by partition, and its rows of the outbox and of readings. Of trees: the size by log.
    """
    found: dict[str, int] = {}
    with suppress(sqlite3.Error, ValueError, IndexError), closing(_database(path)) as database:
        if _has(database, "signed"):
            for origin, note in database.execute("SELECT origin, note FROM signed"):
                found[origin] = int(bytes(note).split(b"\n")[1])
            return found
        for number, last in database.execute("SELECT partition, inbox_number FROM positions"):
            found[f"inbox {number}"] = last
        for table, column in (("outbox", "seq"), ("reads", "id")):
            (last,) = database.execute(f"SELECT coalesce(max({column}), 0) FROM {table}").fetchone()  # noqa: S608 - names of ours
            found[table] = last
        return found
    return None


def began_after_loss(path: Path) -> set[str]:
    """Return the times at which the ledger at *path* began because an earlier ledger was lost; empty if none was."""
    with suppress(sqlite3.Error), closing(_database(path)) as database:
        if _has(database, "beginnings"):
            return {noticed for (noticed,) in database.execute("SELECT noticed FROM beginnings WHERE lost = 1")}
    return set()


NOTHING: Final = 0
"""Worth of a file that is missing, or of a ledger that cannot be read."""
_DOUBTED: Final = 1
WHOLE: Final = 2


def worth(path: Path) -> int:
    """Return `WHOLE` for a ledger with nothing against it, less for one that an earlier ledger should replace, or `NOTHING`.

    Less is a ledger in which neither the bus nor a person has done anything yet, one that began after a loss, and one that
    its desk found altered; the latter two until a person has marked the desk's task as done.
    """
    with suppress(sqlite3.Error), closing(_database(path)) as database:
        (is_doubted,) = database.execute(_IS_DOUBTED).fetchone()
        return _DOUBTED if is_doubted else WHOLE
    return NOTHING


_IS_DOUBTED: Final = """
    SELECT NOT EXISTS (SELECT 1 FROM positions) AND NOT EXISTS (SELECT 1 FROM outbox) AND NOT EXISTS (SELECT 1 FROM reads)
            AND NOT EXISTS (SELECT 1 FROM members) AND NOT EXISTS (SELECT 1 FROM tokens)
        OR EXISTS (SELECT 1 FROM beginnings WHERE lost = 1)
            AND NOT EXISTS (SELECT 1 FROM tasks WHERE kind = 'ledger_lost' AND done IS NOT NULL)
        OR EXISTS (SELECT 1 FROM tasks WHERE kind = 'ledger_altered' AND done IS NULL)
"""


def unanswered(path: Path) -> int:
    """Return how many events in the ledger at *path* the registrar has not answered, or the desk has to send again."""
    with closing(_database(path)) as database:
        statement = "SELECT count(*) FROM outbox WHERE state IN ('waiting', 'signed') OR again = 1"
        (count,) = database.execute(statement).fetchone()
        return int(count)


def _has(database: sqlite3.Connection, table: str) -> bool:
    return database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is not None


def is_mark(path: str) -> bool:
    """Return whether the file at *path* says how far the history, or the directory, went."""
    return path.startswith("registrar/history/") or is_mark_of_directory(path)


def is_mark_of_directory(path: str) -> bool:
    """Return whether the file at *path* says how far the directory went."""
    return path.endswith(f"/{MARK}")


def free(path: Path) -> int:
    """Return the free bytes of the disk that has, or will have, *path*."""
    there = next(each for each in (path, *path.parents) if each.exists())
    return shutil.disk_usage(there).free
