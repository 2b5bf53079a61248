"""A log's folder that somebody altered: tiles, entry bundles, head, and what was signed, restored or replaced."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing

from auditor.alteration import Place, Row
from auditor.given import FIRST, KEY, LASTING, ORIGIN, TIME, altered, history
from auditor.log.folders import SIGNED, SIZE, Folder, Folders, checks, code_of, reads, signs, starts
from nrmbus.auditor.log.signed_heads import SignedHeads
from nrmbus.auditor.log.tiles import bundle, unbundle
from nrmbus.wire.log import merkle
from nrmbus.wire.log.checkpoint import Checkpoint, origin_of
from nrmbus.wire.log.note import Note

Change = Callable[[Folder, Folders], object]
Ask = Callable[[Folder, Folders], str]
FULL, OTHER, PARTIAL, UPPER = "tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2"
ENTRIES, LAST_ENTRIES = "tile/entries/000", "tile/entries/002.p/88"


def flipped(path: str, at: int = 40) -> Change:
    """Alter one bit of a file."""
    return lambda folder, _: folder.change(path, lambda raw: raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])


def rewritten(path: str, how: Callable[[bytes], bytes]) -> Change:
    """Write a file again."""
    return lambda folder, _: folder.change(path, how)


def removed(*paths: str) -> Change:
    """Take files out."""

    def change(folder: Folder, _: Folders) -> None:
        for path in paths:
            (folder.log / path).unlink()

    return change


def swapped(first: str, second: str) -> Change:
    """Exchange two files."""

    def change(folder: Folder, _: Folders) -> None:
        one, other = (folder.log / first).read_bytes(), (folder.log / second).read_bytes()
        (folder.log / first).write_bytes(other)
        (folder.log / second).write_bytes(one)

    return change


def entries(how: Callable[[list[bytes]], object]) -> Callable[[bytes], bytes]:
    """Change the list of entries of a bundle."""

    def change(raw: bytes) -> bytes:
        found = unbundle(raw)
        how(found)
        return bundle(found)

    return change


def headed(size: int = SIZE, origin: str = ORIGIN, root: bytes = b"") -> Change:
    """Say another head."""

    def change(folder: Folder, _: Folders) -> None:
        was = Checkpoint.parse((folder.log / "head").read_bytes())
        (folder.log / "head").write_bytes(Checkpoint(origin, size, root or was.root).text)

    return change


def restored(*names: str, of: Callable[[Folders], Folder] = lambda folders: folders.older) -> Change:
    """Put the log (``log``), what was signed (``heads.db``) or both back from another copy."""

    def change(folder: Folder, folders: Folders) -> None:
        for name in names:
            target, source = folder.home / name, of(folders).home / name
            if source.is_dir():
                shutil.rmtree(target)
                shutil.copytree(source, target)
            else:
                shutil.copy(source, target)

    return change


def fork(folders: Folders) -> Folder:
    """The other history."""
    return folders.fork


def saying(note: bytes) -> Change:
    """Have another note in the table of what was signed."""

    def change(folder: Folder, _: Folders) -> None:
        with closing(sqlite3.connect(folder.heads)) as table, table:
            table.execute("UPDATE signed SET note = ?", (note,))

    return change


def replaced_tail(folder: Folder, _: Folders) -> None:
    """Take registrations back, as if the log had never been as large as it was signed: every file is as it would be."""
    size = SIGNED - 20
    shutil.rmtree(folder.log)
    (folder.home / "anew").mkdir()
    with closing(Folder(folder.home / "anew").opened()) as log:
        for each in history(size):
            log.append(each)
        log.commit()
    shutil.move(folder.home / "anew" / "log", folder.log)


def remembers(folder: Folder, folders: Folders) -> str:
    """Return the code when the table of signed checkpoints meets a published one."""
    return code_of(lambda: folders.shown().remember(SignedHeads(folder.heads)))


def remembers_and(then: Ask) -> Ask:
    """Return the code after the table has met a published checkpoint."""

    def said(folder: Folder, folders: Folders) -> str:
        folders.shown().remember(SignedHeads(folder.heads))
        return then(folder, folders)

    return said


def while_open(folder: Folder, *_: object) -> str:
    """Return the code for a second process."""
    with closing(folder.opened()):
        return starts(folder)


def takes_too_large(folder: Folder, *_: object) -> str:
    """Return the code for a registration that no entry can hold."""
    with closing(folder.opened()) as log:
        long = {
            "verdict": "refused",
            "code": "unknown_version",
            "rule": "W1",
            "article": "-",
            "accepts": (9999,) * 14_000,
        }
        last = history(SIZE)[-1]
        return code_of(lambda: log.append(altered(FIRST, number=SIZE + 1, previous=last.digest, **long)))


def forked_note(origin: str = ORIGIN) -> bytes:
    """A checkpoint that the log's keys can be made to sign."""
    text = Checkpoint(origin, SIGNED, bytes(32)).text
    return Note(text, (KEY.sign(text), LASTING.cosign(text, TIME))).bytes()


def nothing(_: Folder, __: Folders) -> None:
    """Alter nothing."""


ALTERED: list[tuple[str, Change, Ask, str]] = [
    # hash tiles
    ("a hash edited in a full tile", flipped(FULL), checks, "state_damaged"),
    ("the last hash edited in a full tile", flipped(OTHER, 8191), checks, "state_damaged"),
    ("a hash edited at the edge", flipped(PARTIAL), starts, "state_damaged"),
    ("a hash edited in an upper tile", flipped(UPPER), starts, "state_damaged"),
    ("two tiles swapped", swapped(FULL, OTHER), checks, "state_damaged"),
    ("two hashes in another order", rewritten(FULL, lambda raw: raw[32:64] + raw[:32] + raw[64:]), checks, "state_damaged"),
    ("one hash twice", rewritten(FULL, lambda raw: raw[:32] + raw[:32] + raw[64:]), checks, "state_damaged"),
    ("a tile cut", rewritten(FULL, lambda raw: raw[:-32]), starts, "state_damaged"),
    ("a tile too long", rewritten(FULL, lambda raw: raw + raw[:32]), starts, "state_damaged"),
    ("a tile taken out", removed(OTHER), starts, "state_damaged"),
    ("a tile of a fork", lambda folder, folders: shutil.copy(folders.fork.log / OTHER, folder.log / OTHER), checks, "state_damaged"),
    # entry bundles
    ("a registration edited", rewritten(ENTRIES, lambda raw: raw.replace(b'"number":7,', b'"number":8,')), checks, "state_damaged"),
    ("a registration edited, and read", rewritten(ENTRIES, lambda raw: raw.replace(b'"number":7,', b'"number":8,')), reads, "state_damaged"),
    ("a registration edited at the edge", rewritten(LAST_ENTRIES, lambda raw: raw.replace(b'"number":550,', b'"number":551,')), starts, "state_damaged"),
    ("a registration taken out", rewritten(ENTRIES, entries(lambda each: each.pop(9))), checks, "state_damaged"),
    ("a registration put in", rewritten(ENTRIES, entries(lambda each: each.insert(9, each[8]))), checks, "state_damaged"),
    ("two registrations swapped", rewritten(ENTRIES, entries(lambda each: each.insert(9, each.pop(8)))), checks, "state_damaged"),
    ("one registration twice", rewritten(ENTRIES, entries(lambda each: each.__setitem__(9, each[8]))), checks, "state_damaged"),
    ("a bundle cut within a registration", rewritten(ENTRIES, lambda raw: raw[:-9]), checks, "state_damaged"),
    ("the last registration cut", rewritten(LAST_ENTRIES, entries(lambda each: each.pop())), starts, "state_damaged"),
    ("a bundle taken out", removed(LAST_ENTRIES), starts, "state_damaged"),
    ("two bundles swapped", swapped(ENTRIES, "tile/entries/001"), checks, "state_damaged"),
    # the head
    ("another root", headed(root=bytes(32)), starts, "state_damaged"),
    ("a smaller tree", headed(size=SIZE - 1), starts, "state_damaged"),
    ("a larger tree", headed(size=SIZE + 1), starts, "state_damaged"),
    ("no tree", headed(size=0, root=merkle.EMPTY), signs, "tail_cut"),
    ("the head of another bus", headed(origin=origin_of("fedcba9876543210", 2)), starts, "foreign"),
    ("the head of a play", headed(origin=origin_of("play-0011223344556677", 2)), starts, "foreign"),
    ("the head of another partition", headed(origin=origin_of("0011223344556677", 1)), starts, "foreign"),
    ("a head with one line more", rewritten("head", lambda raw: raw + b"fork\n"), starts, "state_damaged"),
    ("no head", removed("head"), starts, "state_damaged"),
    # the whole folder, and what was signed
    ("a log from an older copy", restored("log"), signs, "tail_cut"),
    ("the log of a fork", restored("log", of=fork), starts, "split_view"),
    ("a tail taken back", replaced_tail, signs, "tail_cut"),
    ("a tail taken back, and checked", replaced_tail, checks, "tail_cut"),
    ("log and table from an older copy, and signs", restored("log", "heads.db"), remembers_and(signs), "tail_cut"),
    ("the table from an older copy, the log of a fork", lambda folder, folders: [restored("heads.db")(folder, folders), restored("log", of=fork)(folder, folders)], remembers_and(starts), "split_view"),
    ("the table of a fork", restored("heads.db", of=fork), starts, "split_view"),
    ("table and log of a fork", restored("heads.db", "log", of=fork), remembers, "split_view"),
    ("a forged note in the table", saying(forked_note()), starts, "split_view"),
    ("the note of another log in the table", saying(forked_note(origin_of("0011223344556677", 1))), starts, "state_damaged"),
    ("no note in the table", saying(b"junk"), starts, "state_damaged"),
    ("a second one on the same folder", nothing, while_open, "folder_busy"),
    ("a registration that no entry can hold", nothing, takes_too_large, "leaf_too_large"),
]  # fmt: skip


def _row(name: str, change: Change, ask: Ask, code: str) -> Row:
    def said(place: Place) -> str:
        folder = place.folders.copy(place.fresh())
        change(folder, place.folders)
        return ask(folder, place.folders)

    return Row(name, "tile", "log", code, said)


TILES = [_row(*each) for each in ALTERED]
