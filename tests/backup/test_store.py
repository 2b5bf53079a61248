"""A backup is there whole or not at all, writes only what is new, and goes when its time is over."""

import errno
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nrmbus.backup import folders
from nrmbus.backup.errors import BackupError
from nrmbus.backup.store import KEPT_DAYS, Manifest, Store, Stored, said
from nrmbus.wire.keys.keys import SigningKey

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def published(store: Store, generation: int, *contents: bytes, made: datetime = NOW) -> Manifest:
    """Publish a generation with a file for each of *contents*."""
    files = {f"file-{number}": store.put([content]) for number, content in enumerate(contents)}
    manifest = Manifest(
        bus="play-0123456789abcdef", generation=generation, made=made.strftime("%Y-%m-%dT%H:%M:%SZ"), by="nrmbus",
        private_keys="sealed", files=files,
    )  # fmt: skip
    store.publish(manifest, None)
    os.utime(store.path / "manifests" / f"{generation:08}", (made.timestamp(), made.timestamp()))
    return manifest


def contents(store: Store) -> set[bytes]:
    """What lies among the files of *store*."""
    return {path.read_bytes() for path in store.path.glob("objects/*/*")}


def test_writes_a_file_once(tmp_path: Path) -> None:
    """The second backup writes only the file that changed; both can be read."""
    store = Store.at(tmp_path)
    with store.held():
        first = published(store, 1, b"same", b"before")
        before = store.written
        published(store, 2, b"same", b"after")

    assert store.written - before == len(b"after")
    assert store.read(first.files["file-1"]) == b"before"
    assert store.manifest().generation == 2


def test_is_for_its_owner_only(tmp_path: Path) -> None:
    """Every file has mode 0600 and every folder 0700, whatever the umask is."""
    before = os.umask(0)
    try:
        store = Store.at(tmp_path / "backup")
        with store.held():
            published(store, 1, b"one")
    finally:
        os.umask(before)

    modes = {(path.is_dir(), path.stat().st_mode & 0o777) for path in [store.path, *store.path.rglob("*")]}
    assert modes == {(True, 0o700), (False, 0o600)}


def test_a_backup_that_was_cut_off_does_not_count(tmp_path: Path) -> None:
    """Killed in the middle, a backup leaves no manifest; the one before stays, and the next one tidies up."""
    store = Store.at(tmp_path)
    with store.held():
        published(store, 1, b"whole")

        def killed() -> Iterator[bytes]:
            yield b"half"
            os._exit(9)

        if (child := os.fork()) == 0:
            store.put(killed())
        os.waitpid(child, 0)

    assert store.manifest().generation == 1
    assert store.unfinished()
    with store.held():
        assert not store.unfinished()


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, "disk_full"), (errno.EACCES, "not_written")])
def test_a_full_disk_publishes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str) -> None:
    """The error names the cause; the backup before stays, and no half file is left."""
    store = Store.at(tmp_path)

    def fails(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    with store.held():
        published(store, 1, b"whole")
        monkeypatch.setattr(os, "fsync", fails)
        with pytest.raises(BackupError) as caught, said():
            published(store, 2, b"more")

    assert caught.value.code == code
    assert (store.generations(), contents(store), store.unfinished()) == ([1], {b"whole"}, [])


def test_a_full_disk_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a backup that stops half-way at a full disk, then the files that it had stored make room again, and the next one is complete."""
    store = Store.at(tmp_path)
    with store.held():
        published(store, 1, b"whole")
    put, room = Store.put, [b"room"]

    def until_full(self: Store, chunks: Iterable[bytes]) -> Stored:
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room.pop()
        return put(self, chunks)

    monkeypatch.setattr(Store, "put", until_full)
    with pytest.raises(BackupError) as caught, store.held(), said():
        published(store, 2, b"stored", b"too much")
    assert (caught.value.code, store.generations(), contents(store)) == ("disk_full", [1], {b"whole"})

    room += [b"room"] * 2
    with Store.at(tmp_path).held():
        published(Store.at(tmp_path), 2, b"stored", b"too much")
    assert contents(store) == {b"whole", b"stored", b"too much"}


def test_a_file_that_does_not_read_back_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that says it has written, and gives something else back, is found before anything is published."""
    store = Store.at(tmp_path)
    synced = os.fsync

    def spoils(descriptor: int) -> None:
        synced(descriptor)
        if path := next(tmp_path.glob("partial-*"), None):
            path.write_bytes(b"spoilt")

    monkeypatch.setattr(os, "fsync", spoils)
    with pytest.raises(BackupError) as caught, store.held():
        published(store, 1, b"sounds")
    assert (caught.value.code, store.generations()) == ("file_altered", [])


def test_nothing_is_published_without_all_its_files(tmp_path: Path) -> None:
    """A manifest that names a file which is not here is never published."""
    store = Store.at(tmp_path)
    manifest = Manifest(
        bus="play-0123456789abcdef", generation=1, made="2026-11-27T12:00:00Z", by="nrmbus", private_keys="sealed",
        files={"file": Stored(sha256="0" * 64, length=1)},
    )  # fmt: skip
    with pytest.raises(BackupError) as caught, store.held():
        store.publish(manifest, None)
    assert (caught.value.code, store.generations()) == ("file_missing", [])


def test_one_process_writes_at_a_time(tmp_path: Path) -> None:
    """A second backup into the same folder is told that one is being written."""
    with Store.at(tmp_path).held(), pytest.raises(BackupError) as caught, Store.at(tmp_path).held():
        pass
    assert caught.value.code == "busy"


def test_older_backups_go_by_number_and_by_age(tmp_path: Path) -> None:
    """There stay the newest N and the last one of each earlier day; none beyond thirty days but the newest; files go with the last that has them."""
    store = Store.at(tmp_path)
    with store.held():
        yesterday, old = NOW - timedelta(days=1), NOW - KEPT_DAYS - timedelta(hours=1)
        for number, made in enumerate((old, yesterday, yesterday, NOW, NOW, NOW), 1):
            published(store, number, b"shared", b"%d" % number, made=made)

        assert (store.prune(2, NOW), store.generations()) == (3, [3, 5, 6])
        assert contents(store) == {b"shared", b"3", b"5", b"6"}
        assert (store.prune(9, NOW + 2 * KEPT_DAYS), store.generations()) == (2, [6])


def test_an_unreadable_backup_keeps_the_files_of_all_no_longer_than_any_other(tmp_path: Path) -> None:
    """The horizon of an erasure rests on the end of every backup, that of a damaged one too."""
    store = Store.at(tmp_path)
    with store.held():
        published(store, 1, b"first", made=NOW)
        published(store, 2, b"second", made=NOW)
        damaged = store.path / "manifests" / "00000002"
        damaged.write_bytes(b"damaged")
        os.utime(damaged, (NOW.timestamp(), NOW.timestamp()))
        later = NOW + KEPT_DAYS + timedelta(hours=1)
        published(store, 3, b"third", made=later)

        assert (store.prune(9, later), store.generations()) == (2, [3])
        assert contents(store) == {b"third"}


@pytest.mark.parametrize("key", [SigningKey.generate(), None], ids=["signed", "unsigned"])
@pytest.mark.parametrize(
    "made",
    [
        "2026-11-27T12:00:0zZ", "2026-11-27T12:00:00", "2026-01-27T12:00:00Z",
        "2026-12-27T12:00:00Z", "2426-11-27T12:00:00Z",
    ],
    ids=["no time", "no zone", "earlier", "a month later", "centuries later"],
)  # fmt: skip
def test_p6_a_backup_with_a_damaged_time_ends_as_any_other(tmp_path: Path, made: str, key: SigningKey | None) -> None:
    """Given a manifest in which damage has changed the time, when generations are removed, then this one is as old as its file."""
    store = Store.at(tmp_path)
    with store.held():
        manifest = published(store, 1, b"first")
        store.publish(manifest.model_copy(update={"signer": key.public.hex() if key else ""}), key)
        path = store.path / "manifests" / "00000001"
        path.write_bytes(path.read_bytes().replace(manifest.made.encode(), made.encode()))
        os.utime(path, (NOW.timestamp(), NOW.timestamp()))
        published(store, 2, b"second")

        assert (store.prune(9, NOW + KEPT_DAYS), store.generations()) == (0, [1, 2])
        assert contents(store) == {b"first", b"second"}
        assert (store.prune(9, NOW + KEPT_DAYS + timedelta(seconds=1)), store.generations()) == (1, [2])


@pytest.mark.parametrize("wrong", [timedelta(days=10), timedelta(days=3650)])
def test_p6_a_backup_of_a_clock_that_was_ahead_ends_with_the_next_one(tmp_path: Path, wrong: timedelta) -> None:
    """Given a signed backup that was made by a clock ahead, between others, when generations are removed, then it is as old as the one after it."""
    store, key, day = Store.at(tmp_path), SigningKey.generate(), timedelta(days=1)
    with store.held():
        for number, made in enumerate((NOW, NOW + wrong, NOW + 2 * day, NOW + 3 * day, NOW + 4 * day), 1):
            manifest = published(store, number, b"%d" % number, made=made)
            store.publish(manifest.model_copy(update={"signer": key.public.hex()}), key)
        end = NOW + 2 * day + KEPT_DAYS

        assert (store.prune(9, end), store.generations()) == (1, [2, 3, 4, 5])
        assert (store.prune(9, end + timedelta(seconds=1)), store.generations()) == (2, [4, 5])


def test_a_backup_of_a_clock_that_was_behind_takes_no_other_with_it(tmp_path: Path) -> None:
    """Given a backup that was made while the clock stood at years ago, when generations are removed, by that clock or by the right one, then every earlier one stays for its own time."""
    store, day, behind = Store.at(tmp_path), timedelta(days=1), NOW - timedelta(days=9000)
    with store.held():
        for number, made in enumerate((NOW, NOW + day, behind), 1):
            published(store, number, b"%d" % number, made=made)
        assert (store.prune(1, behind), store.generations()) == (0, [1, 2, 3])
        published(store, 4, b"4", made=NOW + 3 * day)

        assert (store.prune(9, NOW + KEPT_DAYS), store.generations()) == (1, [1, 2, 4])


def test_a_signed_backup_ends_by_its_own_time(tmp_path: Path) -> None:
    """Given a folder whose copy gave every file a newer time, then a signed generation still ends 30 days after it was made."""
    store, key = Store.at(tmp_path), SigningKey.generate()
    with store.held():
        store.publish(published(store, 1, b"first").model_copy(update={"signer": key.public.hex()}), key)
        later = NOW + KEPT_DAYS + timedelta(seconds=1)
        os.utime(store.path / "manifests" / "00000001", (later.timestamp(), later.timestamp()))
        published(store, 2, b"second", made=later)

        assert (store.prune(9, later), store.generations()) == (1, [2])


def test_an_error_of_reading_removes_no_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given older manifests that the disk does not give for a moment, when generations are removed, then all stay, and the next time they go as ever."""
    store, read_bytes = Store.at(tmp_path), Path.read_bytes

    def failing(path: Path) -> bytes:
        if path.parent.name == "manifests" and path.name != "00000004":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read_bytes(path)

    with store.held():
        for generation in range(1, 5):
            made = NOW - timedelta(days=4 - generation)
            published(store, generation, b"%d" % generation, made=made)
        with monkeypatch.context() as disk:
            disk.setattr(Path, "read_bytes", failing)
            with pytest.raises(BackupError, match="file_unreadable"):
                store.prune(1, NOW)
        assert store.generations() == [1, 2, 3, 4]

        assert store.prune(1, NOW + 2 * KEPT_DAYS) == 3
    assert contents(store) == {b"4"}


def test_no_file_goes_while_a_manifest_cannot_be_read(tmp_path: Path) -> None:
    """Nobody knows what a damaged manifest needs, so no file is removed."""
    store = Store.at(tmp_path)
    with store.held():
        published(store, 1, b"first")
        published(store, 2, b"second")
        (store.path / "manifests" / "00000002").write_bytes(b"damaged")
        published(store, 3, b"third")
        store.prune(2, NOW)

    assert contents(store) == {b"first", b"second", b"third"}


def test_a_damaged_file_is_written_again(tmp_path: Path) -> None:
    """Given files that were altered or cut on the disk, then they are moved aside, the sound one stays, and the next backup writes them again."""
    store = Store.at(tmp_path)
    with store.held():
        manifest = published(store, 1, b"altered", b"cut", b"sound")
    altered, cut, _ = (store.check(each) for each in manifest.files.values())
    altered.write_bytes(b"ALTERED")
    cut.write_bytes(b"c")

    Store.at(tmp_path).set_aside()
    assert {path.read_bytes() for path in tmp_path.glob("damaged/*")} == {b"ALTERED", b"c"}
    assert contents(store) == {b"sound"}

    again = Store.at(tmp_path)
    with again.held():
        (tmp_path / "original").write_bytes(b"altered")
        again.put_file(tmp_path / "original")
        published(again, 2, b"altered", b"cut", b"sound")
    assert [again.read(each) for each in manifest.files.values()] == [b"altered", b"cut", b"sound"]
    with again.held():
        published(again, 3, b"sound")
        again.prune(1, NOW)
    assert not [*tmp_path.glob("damaged/*")], "no backup has them any more"


def test_a_damaged_file_that_cannot_be_moved_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a folder that cannot be written, then nothing is moved, and that is no error: the fault itself is what counts."""
    store = Store.at(tmp_path)
    with store.held():
        manifest = published(store, 1, b"altered")
    store.check(manifest.files["file-0"]).write_bytes(b"ALTERED")

    def read_only(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "replace", read_only)
    store.set_aside()
    assert contents(store) == {b"ALTERED"}


def test_files_are_listed_once_more_if_a_folder_goes_away_meanwhile(tmp_path: Path) -> None:
    """Given a folder of tiles that the auditor removes while the files are listed, then they are listed again, and the backup goes on."""
    home, store = tmp_path / "bus", Store.at(tmp_path / "backup")
    home.mkdir()
    (home / "bus.json").write_bytes(b"{}")
    went = [FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "000.p")]

    def found() -> list[str]:
        if went:
            raise went.pop()
        return folders.paths(home)

    with store.held():
        assert [*folders.keep(home, found, store, None, lambda *_: None)] == ["bus.json"]
