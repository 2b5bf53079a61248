"""A backup verifies without the bus, and each thing that can be wrong with it has a code of its own."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from backup.given import SIGNED_AT, backup, replaced_while_open, spoken
from nrmbus.backup.errors import BackupError
from nrmbus.backup.folders import put_back
from nrmbus.backup.store import Store
from nrmbus.backup.verify import Trust, Verified, verified
from nrmbus.cli.app import app
from nrmbus.wire.keys.keys import SigningKey


def looked(store: Store, **of: object) -> Verified:
    """Verify the newest backup in *store*."""
    return verified(store, None, lambda *_: None, **of)[1]  # type: ignore[arg-type]


def test_verifies_every_registration_and_the_published_root(tmp_path: Path) -> None:
    """What was verified says up to which number, what was published of it, and who signed the manifest."""
    found = looked(backup(tmp_path))

    assert (found.numbers, found.checkpoints, found.cosigned) == ({"0": 3}, {"0": 3}, {})
    assert found.signed_by == spoken()[0].operator.signing.kid


@pytest.mark.parametrize(("time", "cosigned"), [(SIGNED_AT, {"0": 3}), (0, {})], ids=["timed", "without a time"])
def test_only_a_timed_co_signature_counts(tmp_path: Path, time: int, cosigned: dict[str, int]) -> None:
    """Given a tree that every witness co-signed, then it counts as co-signed if they said when."""
    assert looked(backup(tmp_path, witnessed_at=time)).cosigned == cosigned


def objects(store: Store, name: str) -> Path:
    """The file in *store* of a path, or of a topic and partition."""
    stored = dict(store.manifest().stored())[name]
    return store.path / "objects" / stored.sha256[:2] / stored.sha256


def _flipped(store: Store) -> None:
    path = objects(store, "nrm.cases/0")
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def _cut(store: Store) -> None:
    path = objects(store, "nrm.cases/0")
    path.write_bytes(path.read_bytes()[:-1])


def _removed(store: Store) -> None:
    objects(store, "nrm.inbox.ngo-a/0").unlink()


def _manifest_of(store: Store) -> Path:
    return store.path / "manifests" / "00000001"


def _manifest_cut(store: Store) -> None:
    _manifest_of(store).write_bytes(_manifest_of(store).read_bytes()[:100])


def _manifest_rewritten(store: Store) -> None:
    path = _manifest_of(store)
    path.write_bytes(path.read_bytes().replace(b'"made":"2026', b'"made":"2025'))


def _length_without_bound(store: Store) -> None:
    length = dict(store.manifest().stored())["keys/operator.pub"].length
    raw = _manifest_of(store).read_bytes()
    before, name, after = raw.partition(b'"keys/operator.pub":{"length":%d' % length)
    assert name, "the manifest names the key with its length"
    _manifest_of(store).write_bytes(before + b'"keys/operator.pub":{"length":9007199254740991' + after)


def _signature_removed(store: Store) -> None:
    path = _manifest_of(store)
    path.write_bytes(path.read_bytes().splitlines()[0] + b"\n\n")


def _of_a_later_release(store: Store) -> None:
    path = _manifest_of(store)
    path.write_bytes(path.read_bytes().replace(b'"format":1', b'"format":2'))


def _without_manifest(store: Store) -> None:
    _manifest_of(store).unlink()


@pytest.mark.parametrize(
    ("harm", "code"),
    [
        (_flipped, "file_altered"),
        (_cut, "file_cut"),
        (_removed, "file_missing"),
        (_manifest_cut, "manifest_unreadable"),
        (_length_without_bound, "file_cut"),
        (_manifest_rewritten, "signature_invalid"),
        (_signature_removed, "signature_invalid"),
        (_of_a_later_release, "format_unknown"),
        (_without_manifest, "no_backup"),
    ],
)
def test_each_harm_to_the_files_has_its_code(tmp_path: Path, harm: Callable[[Store], None], code: str) -> None:
    """A byte that changes, a file that is cut or gone, a length beyond all memory, and a manifest that nobody signed are found, each by its code."""
    store = backup(tmp_path)
    harm(store)

    with pytest.raises(BackupError) as caught:
        looked(store)
    assert caught.value.code == code


def test_a_file_that_is_replaced_while_it_is_compared_is_not_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a verified file, when somebody renames another one over it while its restore reads it, then the restored bytes are those that were compared; the next restore finds the other file."""
    store = Store.at(tmp_path / "backup")
    store.path.mkdir()
    with store.held():
        stored = store.put([b"good"])
    path = store.check(stored)
    replaced_while_open(monkeypatch, path, b"evil")

    put_back(store, [("bus.json", stored)], tmp_path / "new")
    assert (tmp_path / "new" / "bus.json").read_bytes() == b"good"
    assert path.read_bytes() == b"evil"
    with pytest.raises(BackupError) as caught:
        store.read(stored)
    assert caught.value.code == "file_altered"


@pytest.mark.parametrize("failing", ["objects/", "manifests/"])
def test_a_disk_that_fails_while_reading_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """Given a sector that the disk cannot read, when the backup is verified or restored, then the fault has a code and no traceback."""
    store, opened = backup(tmp_path), Path.open

    def broken(path: Path, *how: Any, **more: Any) -> Any:
        if failing in str(path):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return opened(path, *how, **more)

    monkeypatch.setattr(Path, "open", broken)
    for words in (["backup", str(tmp_path), "--verify"], ["restore", str(tmp_path)]):
        result = CliRunner().invoke(app, [*words, "--data", str(tmp_path / "bus"), "--json"])
        assert (result.exit_code, json.loads(result.stdout)["code"]) == (1, "file_unreadable")
    assert store.generations() == [1]


@pytest.mark.parametrize(
    ("without", "code"),
    [
        (("nrm.cases", 1), "history_refused"),
        (("nrm.cases", 2), "history_refused"),
        (("nrm.inbox.ngo-a", 0), None),
        (("nrm.inbox.ngo-a", 1), "inbox_broken"),
        (("nrm.inbox.ngo-a", 2), "inbox_broken"),
        (("nrm.directory", 1), "directory_refused"),
    ],
)
def test_a_record_that_is_missing_is_found_although_the_operator_signed(
    tmp_path: Path, without: tuple[str, int], code: str | None
) -> None:
    """Only the oldest records of an inbox may be missing, since Kafka keeps an inbox for thirty days."""
    store = backup(tmp_path, without=[without])
    if code is None:
        looked(store)
        return

    with pytest.raises(BackupError) as caught:
        looked(store)
    assert caught.value.code == code


def test_an_event_with_other_words_than_its_sender_signed_is_found(tmp_path: Path) -> None:
    """The registration commits to the event: whoever writes backups can change no word of it."""
    with pytest.raises(BackupError) as caught:
        looked(backup(tmp_path, reworded=0))
    assert (caught.value.code, caught.value.where) == ("history_refused", "partition 0, number 1: envelope_altered")


def test_a_history_without_the_published_root_is_found(tmp_path: Path) -> None:
    """The auditor has published another tree than the history in the backup gives."""
    with pytest.raises(BackupError) as caught:
        looked(backup(tmp_path, roots=[bytes(32)]))
    assert caught.value.code == "root_differs"


@pytest.mark.parametrize("first", [None, bytes(32)], ids=["sound first", "sound last"])
def test_two_published_trees_of_one_size_are_found(tmp_path: Path, first: bytes | None) -> None:
    """The auditor signed two histories, whichever it published last."""
    roots = (first, None if first else bytes(32))
    with pytest.raises(BackupError) as caught:
        looked(backup(tmp_path, roots=roots))
    assert (caught.value.code, caught.value.where) == ("root_differs", "partition 0, number 3")


def test_another_operator_than_the_one_here_is_not_believed(tmp_path: Path) -> None:
    """Where the bus is at hand, its own operator must have signed."""
    with pytest.raises(BackupError) as caught:
        looked(backup(tmp_path), trust=Trust(lambda _: SigningKey(bytes(32)).verify_key))
    assert caught.value.code == "signature_invalid"


def test_names_and_manifest_say_nothing_of_a_case(tmp_path: Path) -> None:
    """No file name and no line of the manifest has a reference of a case, an event, or a person's number."""
    store = backup(tmp_path)
    cases = [record for records in spoken()[1]["nrm.cases"] for record in records]
    known = {each.key.decode() for each in cases if each.key} | {
        dict(each.headers)["ce_id"].decode() for each in cases if each.value
    }
    shown = json.dumps([str(path) for path in tmp_path.rglob("*")]) + _manifest_of(store).read_text()

    assert known
    assert not [each for each in known if each in shown]
