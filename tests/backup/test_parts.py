"""One part of a bus comes back beside the rest: only what that part has is compared with what is here."""

import errno
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from sqlalchemy import insert
from typer.testing import CliRunner

from backup.given import MADE, backup, spoken
from nrmbus.backup import folders, restore
from nrmbus.backup.errors import BackupError
from nrmbus.backup.store import Manifest, Store, said
from nrmbus.bus.errors import NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import write_json
from nrmbus.cli.app import app
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import Beginning, Ledger, Position
from nrmbus.wire.keys import keyfile

DIGEST = "ab" * 32
LOG = "auditor/logs"
OF_PEOPLE = ("auditor/off-the-record.jsonl", "auditor/users.json")
BESIDE = ("auditor/cosigned.db", "auditor/starts/p0.json")
Logged = tuple[BusFolder, Callable[..., restore.Restored]]


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
    folder.keys.mkdir()
    (folder.keys / "operator.pub").write_text(bus.operator.public.hex())
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


@pytest.mark.parametrize("name", ["sealing.seed", "key.pem"])
def test_p6_a_restore_that_was_killed_leaves_no_key_that_outlives_its_end(tmp_path: Path, name: str) -> None:
    """Given a restore that was killed while a private key came back, when the key is destroyed later, then no file has it any more."""
    store, key = Store.at(tmp_path / "backup"), tmp_path / "keys" / name
    seed = b"\2" * keyfile.SEED_BYTES
    keyfile.write(key, seed)
    with store.held():
        stored = store.put_file(key)
    if (child := os.fork()) == 0:
        Path.replace = Mock(side_effect=lambda *_: os._exit(9))  # type: ignore[method-assign]
        folders.put_back(store, [(name, stored)], key.parent)
    os.waitpid(child, 0)

    assert seed in [each.read_bytes() for each in key.parent.iterdir() if each != key]
    keyfile.destroy(key)
    assert not [*key.parent.iterdir()]


def test_a_restore_that_was_cut_off_leaves_no_half_a_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a power cut while the data of a broker are removed, then the data in their place are whole: those of before, or the restored ones."""
    store, folder = Store.at(tmp_path / "backup"), BusFolder(tmp_path / "bus")
    folder.create(play=True, tls=False)
    manifest = Manifest(bus=folder.settings.bus, generation=1, made=MADE, by="x", private_keys="sealed", files={})
    before, restored = {"log": b"before", "meta": b"before"}, {"log": b"restored", "meta": b"restored"}

    def filled(target: BusFolder, data: dict[str, bytes]) -> None:
        target.kafka.mkdir()
        for name, content in data.items():
            (target.kafka / name).write_bytes(content)

    def cut(path: Path, **_: object) -> None:
        for each in path.rglob("meta"):
            each.unlink()
            raise KeyboardInterrupt

    filled(folder, before)
    monkeypatch.setattr(restore, "_with_broker", lambda stage, *_: filled(stage, restored))
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", cut)
        with pytest.raises(KeyboardInterrupt):
            restore.one_part(store, manifest, folder, "broker", lambda _: None, lambda *_: None, over_newer=True)

    assert {each.name: each.read_bytes() for each in folder.kafka.iterdir()} in (before, restored)
    restore.one_part(store, manifest, folder, "broker", lambda _: None, lambda *_: None, over_newer=True)
    assert {each.name: each.read_bytes() for each in folder.kafka.iterdir()} == restored
    assert not (folder.path / restore.STAGE).exists()


@pytest.fixture
def logged(tmp_path: Path) -> Logged:
    """A bus whose log has a tile that the backup lacks, and the restore of its log, or that of an agency's trees."""
    (tmp_path / "backup").mkdir()
    store, folder = Store.at(tmp_path / "backup"), BusFolder(tmp_path / "bus")
    folder.create(play=True, tls=False)
    stored = {f"{LOG}/0/head": store.put([b"head-1"]), "agencies/ngo-a/tree/heads.db": store.put([b"trees"])}
    stored |= {each: store.put([b"of the backup"]) for each in (*OF_PEOPLE, *BESIDE, "auditor/directory")}
    bus = folder.settings.bus
    manifest = Manifest(bus=bus, generation=1, made=MADE, by="x", private_keys="sealed", files=stored)
    (folder.path / LOG / "0").mkdir(parents=True)
    (folder.path / LOG / "0" / "head").write_bytes(b"head-9")
    (folder.path / LOG / "0" / "tile").write_bytes(b"tile-9")

    def restored(agency: str | None = None, **more: bool) -> restore.Restored:
        return restore.one_part(store, manifest, folder, "log", lambda _: None, lambda *_: None, agency=agency, **more)

    return folder, restored


def log_of(folder: BusFolder) -> dict[str, bytes]:
    """Return the files of the log, by name; nothing stays beside it."""
    assert not (folder.path / restore.STAGE).exists()
    return {each.name: each.read_bytes() for each in (folder.path / LOG / "0").iterdir()}


def test_a_full_disk_leaves_the_log_that_is_here(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given no room for the log of a backup, then the one that is here stays; with room it is replaced as a whole."""
    folder, restored = logged
    with monkeypatch.context() as full:
        full.setattr(folders, "write_private", Mock(side_effect=OSError(errno.ENOSPC, "no room")))
        with pytest.raises(BackupError, match="disk_full"):
            restored()
    before = log_of(folder)
    restored()

    assert before == {"head": b"head-9", "tile": b"tile-9"}
    assert log_of(folder) == {"head": b"head-1"}


def test_trees_of_one_agency_come_back_without_touching_the_log(logged: Logged) -> None:
    """Given a restore of what one agency keeps of the log, then the auditor's own log stays."""
    folder, restored = logged

    assert restored("ngo-a").written == ["agencies/ngo-a/tree/heads.db"]
    assert log_of(folder) == {"head": b"head-9", "tile": b"tile-9"}


@pytest.mark.parametrize("over_newer", [False, True])
def test_p4_readings_off_the_record_and_users_stay(logged: Logged, over_newer: bool) -> None:  # noqa: FBT001 - a row of a table
    """Given a user removed and a reading noted since the backup, when the log is restored, then both files stay as they are, and are named."""
    folder, restored = logged
    for each in OF_PEOPLE:
        (folder.path / each).write_bytes(b"of today")

    found = restored(over_newer=over_newer)
    assert [(folder.path / each).read_bytes() for each in OF_PEOPLE] == [b"of today"] * 2
    assert found.written == sorted(["agencies/ngo-a/tree/heads.db", *BESIDE, f"{LOG}/0/head"])
    assert found.left == [*OF_PEOPLE]


def test_lost_readings_and_users_come_back_with_the_log(logged: Logged) -> None:
    """Given an auditor's folder without these files, when the log is restored, then they are those of the backup."""
    folder, restored = logged
    restored()

    assert [(folder.path / each).read_bytes() for each in OF_PEOPLE] == [b"of the backup"] * 2
    assert not (folder.path / "auditor" / "directory").exists()


@pytest.mark.parametrize("lost", ["bus.json", "agencies/ngo-a/import.json", "profiles/az@2027-01-01.yaml"])
def test_a_setting_that_was_moved_away_comes_back(tmp_path: Path, lost: str) -> None:
    """Given a damaged file of the settings, an agency's key of imports or a profile of the country's own, when it is moved away, then the settings restore it: another key of imports would import every case again."""
    (tmp_path / "backup").mkdir()
    store, folder = Store.at(tmp_path / "backup"), BusFolder(tmp_path / "bus")
    folder.create(play=True, tls=False)
    whole, bus = (folder.path / "bus.json").read_bytes(), folder.settings.bus
    manifest = Manifest(
        bus=bus, generation=1, made=MADE, by="x", private_keys="sealed", files={lost: store.put([whole])}
    )  # fmt: skip
    damaged = folder.path / lost
    damaged.parent.mkdir(parents=True, exist_ok=True)
    damaged.write_bytes(b"{")
    if lost == "bus.json":
        with pytest.raises(NoBus, match="move it away, then restore it with nrmbus restore DIR --part settings"):
            assert folder.settings.bus
    damaged.rename(tmp_path / "damaged")

    assert restore.one_part(store, manifest, folder, "settings", lambda _: None, lambda *_: None).written == [lost]
    assert damaged.read_bytes() == whole


async def ledger_at(path: Path, inbox: int, *, lost: str | None = None, state: str = "closed", rows: int = 0) -> Path:
    """Write a ledger that has read *inbox* deliveries, and whose outbox has so many *rows*; begun at *lost* after a loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    ledger = await Ledger.open(path, bus="bus", agency="ngo-a")
    async with ledger.write() as tx:
        ledger.advance(0, Position(inbox, DIGEST, inbox))
        if lost:
            ledger.begin(tx, 0, Beginning(until=inbox, inbox_number=1, noticed=lost, lost=True))
        for number in range(rows):
            row = {"turn": number, "subject": "ab", "id": f"{number}", "type": "t", "origin": "door"}
            tx.execute(insert(tables.outbox).values(**row, state=state, asked="", clear=b"{}", made=MADE))
    await ledger.close()
    return path


@pytest.mark.parametrize(
    ("here", "again"),
    [
        ({"inbox": 61, "lost": MADE, "rows": 1}, None),
        ({"inbox": 61, "lost": MADE, "rows": 1, "state": "waiting"}, "unanswered: 1 here, 0 in the backup"),
        ({"inbox": 61, "lost": MADE, "rows": 3}, "outbox: 3 here, 2 in the backup"),
        ({"inbox": 61, "rows": 2}, "inbox 0: 61 here, 50 in the backup"),
    ],
)
async def test_p1_a_backup_takes_the_place_of_the_ledger_that_began_after_the_loss(
    tmp_path: Path, here: dict[str, Any], again: str | None
) -> None:
    """Given a desk that said `ledger_lost` and read its inbox further than the backup, when the ledger is restored, then it comes back, unless the new one alone has an event.

    A ledger that was never lost is kept as soon as it has read further.
    """
    (tmp_path / "backup").mkdir()
    store, folder = Store.at(tmp_path / "backup"), BusFolder(tmp_path / "bus")
    folder.create(play=True, tls=False)
    path, name = folder.agency("ngo-a").ledger, "agencies/ngo-a/ledger.sqlite"
    stored = {name: store.put_file(await ledger_at(path, 50, rows=2))}
    manifest = Manifest(bus=folder.settings.bus, generation=1, made=MADE, by="x", private_keys="sealed", files=stored)
    await ledger_at(path, **here)

    def restored() -> restore.Restored:
        return restore.one_part(store, manifest, folder, "ledger", lambda _: None, lambda *_: None, agency="ngo-a")

    if again is None:
        assert restored().written == [name]
        assert (folders.rows(path) or {})["outbox"] == 2
    else:
        with pytest.raises(BackupError, match="newer_here") as refused:
            restored()
        assert again in refused.value.where


async def test_a_backup_of_the_new_ledger_is_compared_as_any_other(tmp_path: Path) -> None:
    """Given a ledger that began after a loss and was backed up since, then a later delivery keeps the ledger that is here."""
    (tmp_path / "backup").mkdir()
    store, folder = Store.at(tmp_path / "backup"), BusFolder(tmp_path / "bus")
    folder.create(play=True, tls=False)
    path, name = folder.agency("ngo-a").ledger, "agencies/ngo-a/ledger.sqlite"
    stored = {name: store.put_file(await ledger_at(path, 50, lost=MADE))}
    manifest = Manifest(bus=folder.settings.bus, generation=1, made=MADE, by="x", private_keys="sealed", files=stored)
    await ledger_at(path, 51, lost=MADE)

    with pytest.raises(BackupError, match="inbox 0: 51 here, 50 in the backup"):
        restore.one_part(store, manifest, folder, "ledger", lambda _: None, lambda *_: None)


async def test_a_ledger_on_a_server_is_not_restored_into_a_file_that_its_desk_never_reads(tmp_path: Path) -> None:
    """Given a backup from before `ledger copy`, then its file comes back for no agency whose ledger is on a server, and the answer says where to restore; a service's does."""
    (tmp_path / "backup").mkdir()
    store, folder = Store.at(tmp_path / "backup"), BusFolder(tmp_path / "bus")
    folder.create(play=True, tls=False)
    home, name, service = folder.agency("ngo-a"), "agencies/ngo-a/ledger.sqlite", "timekeeper/ledger.sqlite"
    stored = {each: store.put_file(await ledger_at(tmp_path / "before", 50)) for each in (name, service)}
    manifest = Manifest(bus=folder.settings.bus, generation=1, made=MADE, by="x", private_keys="sealed", files=stored)
    write_json(home.agency_json, {"ledger": "postgresql://db.example.org/ledger"})

    with pytest.raises(BackupError, match="the server's own backup") as refused:
        restore.one_part(store, manifest, folder, "ledger", lambda _: None, lambda *_: None, agency="ngo-a")
    whole = restore.one_part(store, manifest, folder, "ledger", lambda _: None, lambda *_: None)

    assert (refused.value.code, refused.value.where) == ("ledger_on_server", "ngo-a")
    assert (whole.written, home.ledger.exists()) == ([service], False)


def heads(path: Path, size: int) -> Path:
    """Write a table of signed trees, of which the last one has *size* entries."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as table, table:
        table.execute("create table if not exists signed (origin text primary key, note blob)")
        table.execute("replace into signed values ('bus/0', ?)", (b"bus/0\n%d\nroot\n" % size,))
    return path


@pytest.mark.parametrize("lost", OF_PEOPLE)
def test_p5_lost_users_or_readings_come_back_under_a_newer_log(tmp_path: Path, lost: str) -> None:
    """Given a log that is newer than the backup, when users are restored, then the missing file comes back, and the log and the other file stay."""
    (tmp_path / "backup").mkdir()
    store, folder = Store.at(tmp_path / "backup"), BusFolder(tmp_path / "bus")
    folder.create(play=True, tls=False)
    table = heads(folder.path / LOG / "heads.db", 100)
    stored = {f"{LOG}/heads.db": store.put_file(table)} | {each: store.put([b"of the backup"]) for each in OF_PEOPLE}
    manifest = Manifest(
        bus=folder.settings.bus, generation=1, made=MADE, by="x", private_keys="sealed", files=stored
    )  # fmt: skip
    heads(table, 101)
    newer = table.read_bytes()
    (kept,) = {*OF_PEOPLE} - {lost}
    (folder.path / kept).write_bytes(b"of today")

    found = restore.one_part(store, manifest, folder, "users", lambda _: None, lambda *_: None)
    assert found == restore.Restored([lost], [kept])
    assert (folder.path / lost).read_bytes() == b"of the backup"
    assert (folder.path / kept).read_bytes() == b"of today"
    assert table.read_bytes() == newer
    with pytest.raises(BackupError, match="newer_here"):
        restore.one_part(store, manifest, folder, "log", lambda _: None, lambda *_: None)
