"""One part of a bus comes back beside the rest: only what that part has is compared with what is here."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from backup.given import backup, spoken
from nrmbus.backup import folders, restore
from nrmbus.backup.errors import BackupError
from nrmbus.backup.store import Store, said
from nrmbus.bus.folder import BusFolder
from nrmbus.cli.app import app

DIGEST = "ab" * 32


@pytest.fixture
def lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Restores the directory to a bus that registered on after the backup; its broker takes what it is given.

    *read* is how many entries of the directory the registrar had read before the topic was lost.
    """
    store, folder = backup(tmp_path / "backup"), BusFolder(tmp_path / "bus")
    bus = spoken()[0]
    folder.create(play=True, bootstrap="127.0.0.1:9", tls=False)
    settings = json.loads((folder.path / "bus.json").read_bytes())
    (folder.path / "bus.json").write_text(json.dumps({**settings, "bus": bus.bus}))
    history = folder.service("registrar") / "history" / "0"
    history.parent.mkdir(parents=True)
    history.write_text(f"1000000 {DIGEST}\n")
    monkeypatch.setattr(restore, "_with_broker", lambda *_: None)

    def restored(read: int, *more: str) -> dict[str, Any]:
        (folder.service("registrar") / "directory").write_text(f"{read} {DIGEST}\n")
        words = ["restore", str(store.path), "--part", "directory", "--data", str(folder.path), "--json", *more]
        found: dict[str, Any] = json.loads(CliRunner().invoke(app, words).stdout.splitlines()[-1])
        return found

    return restored


def test_a_lost_directory_comes_back_under_newer_registrations(lost: Callable[..., dict[str, Any]]) -> None:
    """Given registrations after the backup and no newer entry of the directory, then nothing newer is lost, and nobody has to say so."""
    assert lost(spoken()[0].directory.number)["restored"] == ["nrm.directory"]


def test_a_directory_that_is_newer_stays_unless_somebody_says_so(lost: Callable[..., dict[str, Any]]) -> None:
    """Given a registrar that has read an entry more than the backup has, then a suspension may be in it."""
    known = spoken()[0].directory.number

    refused = lost(known + 1)
    assert (refused["code"], refused["where"]) == (
        "newer_here",
        f"directory: registrar has read {known + 1} entries, {known} are in the backup",
    )
    assert lost(known + 1, "--over-newer")["restored"] == ["nrm.directory"]


def test_a_restored_ledger_never_meets_the_write_ahead_file_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a restore that is cut off, or finds the disk full, then the ledger before is still there: its write-ahead file goes first."""
    store, target = Store.at(tmp_path / "backup"), tmp_path / "bus"
    with store.held():
        stored = store.put([b"restored"])
    target.mkdir()
    ledger, ahead = target / "ledger.sqlite", target / "ledger.sqlite-wal"
    ledger.write_bytes(b"before")
    ahead.write_bytes(b"of before")
    unlink = Path.unlink

    def cut(path: Path, *, missing_ok: bool = False) -> None:
        if path == ahead:
            raise KeyboardInterrupt
        unlink(path, missing_ok=missing_ok)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", cut)
        with pytest.raises(KeyboardInterrupt):
            folders.put_back(store, [(ledger.name, stored)], target)
    with monkeypatch.context() as patch:
        patch.setattr(folders, "write_private", full)
        with pytest.raises(BackupError, match="disk_full"), said():
            folders.put_back(store, [(ledger.name, stored)], target)
    assert (ledger.read_bytes(), ahead.read_bytes()) == (b"before", b"of before")

    folders.put_back(store, [(ledger.name, stored)], target)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {"ledger.sqlite": b"restored"}
