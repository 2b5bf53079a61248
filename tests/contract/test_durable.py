"""Durability on macOS: one function flushes every file past the drive's cache, and one pragma every database."""

import re
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from contract.tree import ROOT
from nrmbus.auditor.log.cosignatures import Cosigned
from nrmbus.auditor.log.signed_heads import SignedHeads
from nrmbus.backup import folders
from nrmbus.client import Cursor, CursorTable
from nrmbus.desk.store.sqlite import Sqlite
from nrmbus.intake.store import IntakeStore

SERVICES = ROOT / "services" / "nrmbus"
FLUSHES = re.compile(r"os\.f(data)?sync\b|F_FULLFSYNC")


def test_files_are_flushed_in_one_place() -> None:
    """A call of fsync elsewhere would stop at the drive's cache on macOS, and a power cut would take what it had kept."""
    callers = {
        path.relative_to(SERVICES).as_posix()
        for path in SERVICES.rglob("*.py")
        if FLUSHES.search(path.read_text(encoding="utf-8"))
    }

    assert callers == {"wire/disk.py"}


async def _ledger(home: Path) -> None:
    ledger = Sqlite(home / "ledger.sqlite")
    await ledger.open("shelter", 0, puts_out=False)
    await ledger.commit(await ledger.begin())
    with ledger.read():
        pass
    await ledger.off_the_disk()
    await ledger.close()


async def _intake(home: Path) -> None:
    store = IntakeStore(home)
    store.keep(30)
    assert store.facts == ""
    IntakeStore.unread(home)


async def _heads(home: Path) -> None:
    with SignedHeads(home / "heads.db").turn("log") as turn:
        turn.signed = b"note"


async def _cosigned(home: Path) -> None:
    Cosigned(home / "cosigned.db").read_to("topic", 1)


async def _cursor(home: Path) -> None:
    CursorTable(home / "db").store(Cursor(7, "a" * 16))


async def _backup(home: Path) -> None:
    folders._database(home / "ledger.sqlite").close()


@pytest.mark.parametrize("use", [_ledger, _intake, _heads, _cosigned, _cursor, _backup])
async def test_every_connection_flushes_what_it_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: Callable[[Path], Awaitable[None]]
) -> None:
    """Each file of SQLite that keeps something is opened so that a commit leaves the drive's cache.

    The last connection to close empties the write-ahead file, so a reader's counts too. SQLite tells on Linux what it was
    asked for, and obeys on macOS alone.
    """
    (tmp_path / "ledger.sqlite").touch()
    opened, asked = list[sqlite3.Connection](), list[int]()

    class Watched(sqlite3.Connection):
        def close(self) -> None:
            asked.append(self.execute("PRAGMA fullfsync").fetchone()[0])
            super().close()

    def connect(*args: Any, **how: Any) -> Watched:
        made: Watched = real(*args, factory=Watched, **how)
        opened.append(made)
        return made

    real: Any = sqlite3.connect
    for module in (sqlite3, sqlite3.dbapi2):
        monkeypatch.setattr(module, "connect", connect)
    await use(tmp_path)
    for each in opened:
        with suppress(sqlite3.ProgrammingError):  # closed already
            each.close()

    assert asked
    assert asked == [1] * len(opened)
