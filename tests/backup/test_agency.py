"""An agency backs up its own folder without the bus, and restores it on another machine, or a part of it."""

import json
import resource
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine
from typer.testing import CliRunner

from backup.given import SECRET, replaced_while_open, sealed_folder
from nrmbus.backup import make
from nrmbus.backup.errors import BackupError
from nrmbus.backup.folders import keep, of_part, paths, put_back
from nrmbus.backup.store import Store
from nrmbus.bus.agency_folder import BACKED_UP, AgencyFolder
from nrmbus.bus.errors import FolderHeld, NoBus
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import write_json
from nrmbus.cli.app import app
from nrmbus.cli.operate import folder_faults
from nrmbus.desk.store import schema
from nrmbus.directory import Identity, Operator
from nrmbus.environment import KEY_FILE
from nrmbus.intake.store import IntakeStore
from nrmbus.wire.keys import keyfile
from nrmbus.wire.keys.keys import SigningKey

READ = "INSERT INTO reads (at, who, subject, source, event, part, purpose) VALUES ('', 'S-1', '', '', '', '', '')"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BusFolder]:
    """Yield a folder with an agency's desk, whose bus is on another machine; its keys are sealed under a key file elsewhere."""
    with sealed_folder(tmp_path, monkeypatch) as folder:
        agency = folder.agency("ngo-b")
        Identity.at(agency.path, agency.id)
        write_json(agency.agency_json, {"agency": agency.id, "role": "ngo_legal"})
        with create_engine(f"sqlite:///{agency.ledger}", poolclass=NullPool).connect() as connection:
            schema.bring_up(connection)
        read(agency)
        yield folder


def read(agency: AgencyFolder) -> None:
    """Have somebody open a letter: the ledger has one row more."""
    with closing(sqlite3.connect(agency.ledger)) as ledger, ledger:
        ledger.execute(READ)


def typed(*command: object, status: int = 0) -> dict[str, object]:
    """Run a command of `nrmbus` that ends with *status*; return what it prints as JSON."""
    result = CliRunner().invoke(app, [*map(str, command), "--json"])
    assert result.exit_code == status, (result.output, result.exc_info)

    body: dict[str, object] = json.loads(result.stdout.splitlines()[-1])
    return body


def content(folder: BusFolder) -> dict[str, bytes]:
    """Every file below *folder* by its path; databases count by their tables."""
    return {
        path.relative_to(folder.path).as_posix(): b"ledger" if path.name == "ledger.sqlite" else path.read_bytes()
        for path in folder.path.rglob("*")
        if path.is_file() and not path.name.startswith(("ledger.sqlite-", BACKED_UP)) and "run" not in path.parts
    }


@pytest.mark.thorough
def test_a_whole_folder_comes_back_on_another_machine(folder: BusFolder, tmp_path: Path) -> None:
    """Keys come back sealed as they were, signed by the agency's key; the passphrase is nowhere in the backup."""
    store, elsewhere = tmp_path / "backup", BusFolder(tmp_path / "elsewhere")
    made = typed("backup", store, "--agency", "ngo-b", "--data", folder.path)
    assert (made["private_keys"], made["signed_by"]) == (
        "sealed",
        Identity.at(folder.agency("ngo-b").path, "ngo-b").signing.kid,
    )
    assert typed("backup", store, "--verify", "--data", elsewhere.path)["kind"] == "agency"
    typed("restore", store, "--data", elsewhere.path)

    assert content(elsewhere) == content(folder)
    assert not [path for path in store.rglob("*") if path.is_file() and SECRET in path.read_bytes()]
    with closing(sqlite3.connect(elsewhere.agency("ngo-b").ledger)) as ledger:
        assert ledger.execute("SELECT count(*) FROM reads").fetchone() == (1,)


@pytest.mark.thorough
def test_what_comes_next_is_said_of_what_was_restored(folder: BusFolder, tmp_path: Path) -> None:
    """A whole folder may still run elsewhere, a part of this one does not; and a desk takes no address for other machines."""
    store, elsewhere = str(tmp_path / "backup"), str(tmp_path / "elsewhere")
    typed("backup", store, "--agency", "ngo-b", "--data", folder.path)
    runs = f"nrmbus run ngo-b --data '{elsewhere}'.\n"

    whole = CliRunner().invoke(app, ["restore", store, "--data", elsewhere]).stdout
    assert whole.endswith(f"Next, once it no longer runs on the old machine: {runs}")
    part = CliRunner().invoke(app, ["restore", store, "--part", "settings", "--data", elsewhere]).stdout
    here = "Left as they are, since they are here: agencies/ngo-b/agency.json, bus.json."
    assert f"is restored: nothing was missing.\n{here}" in part
    assert part.endswith(f"\nNext: {runs}")


@pytest.mark.thorough
def test_an_auditor_on_her_own_machine_backs_up_her_folder(folder: BusFolder, tmp_path: Path) -> None:
    """Her keys, signed heads and log are in no backup of the operator's machine."""
    Identity.at(folder.service("auditor"), "auditor")
    typed("backup", tmp_path / "backup", "--agency", "auditor", "--data", folder.path)
    typed("restore", tmp_path / "backup", "--data", tmp_path / "elsewhere")

    assert {"auditor/keys/signing.seed", "bus.json"} <= content(BusFolder(tmp_path / "elsewhere")).keys()


def test_a_key_that_is_replaced_meanwhile_is_in_the_backup(folder: BusFolder, tmp_path: Path) -> None:
    """Given a desk that makes an interim key while its files are copied, then a desk that is restored still opens letters to the key before."""
    home, store, restored = folder.agency("ngo-b").path, Store.at(tmp_path / "backup"), tmp_path / "restored"
    before, due = Identity.at(home, "ngo-b"), list[Identity]()

    def progress(*_: int) -> None:
        if not due:
            due.append(before.succeeded(home, datetime(2026, 11, 30, tzinfo=UTC)))

    with store.held():
        files = keep(folder.path, lambda: paths(folder.path), store, None, progress)
    put_back(store, files.items(), restored)

    found = Identity.at(restored / "agencies" / "ngo-b", "ngo-b")
    assert found.sealing.kid == due[0].sealing.kid
    assert before.sealing.kid in found.opening


def test_without_the_key_file_it_is_backed_up_unsigned(
    folder: BusFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A timer needs no passphrase to copy what is sealed."""
    monkeypatch.delenv(KEY_FILE.name)
    keyfile.hold(None)

    assert typed("backup", tmp_path / "backup", "--agency", "ngo-b", "--data", folder.path)["signed_by"] == ""


@pytest.mark.thorough
def test_a_ledger_that_is_newer_stays_unless_somebody_says_so(folder: BusFolder, tmp_path: Path) -> None:
    """A lost ledger comes back; one that has a reading more than the backup, or that cannot be read, is not written over."""
    store, agency = tmp_path / "backup", folder.agency("ngo-b")
    typed("backup", store, "--agency", "ngo-b", "--data", folder.path)
    part = ("restore", store, "--part", "ledger", "--data", folder.path)
    agency.ledger.unlink()
    assert typed(*part)["restored"] == ["agencies/ngo-b/ledger.sqlite"]
    typed(*part)
    read(agency)

    refused = typed(*part, status=1)
    assert (refused["code"], refused["where"]) == (
        "newer_here",
        "agencies/ngo-b/ledger.sqlite, reads: 2 here, 1 in the backup",
    )
    agency.ledger.write_bytes(b"damaged")
    assert typed(*part, status=1)["code"] == "newer_here"
    typed(*part, "--over-newer")
    assert typed(*part)["restored"] == ["agencies/ngo-b/ledger.sqlite"]


@pytest.mark.thorough
def test_an_agency_that_is_not_here_is_not_backed_up(folder: BusFolder, tmp_path: Path) -> None:
    """Given a slip in the id, then the message names the agencies that are here, and no empty backup is written."""
    slip = CliRunner().invoke(app, ["backup", str(tmp_path / "b"), "--agency", "ngo-z", "--data", str(folder.path)])
    assert isinstance(slip.exception, NoBus)
    assert "no folder of ngo-z; it has those of these agencies: ngo-b" in str(slip.exception)
    assert not Store.at(tmp_path / "b").generations()


@pytest.mark.thorough
def test_keys_that_are_here_stay(folder: BusFolder, tmp_path: Path) -> None:
    """Only a key that is missing comes back: one that was changed since the backup is never replaced by the old one.

    A person compares the signer first, since no signing key is left to check the signature with.
    """
    store, keys = tmp_path / "backup", folder.agency("ngo-b").keys
    signer = typed("backup", store, "--agency", "ngo-b", "--data", folder.path)["signed_by"]
    (keys / "signing.seed").unlink()
    (keys / "sealing.seed").write_bytes(b"another key")

    part = ("restore", store, "--part", "keys", "--data", folder.path)
    assert typed(*part, status=1)["code"] == "signer_unknown"
    restored = typed(*part, "--signer", signer)["restored"]
    assert restored == ["agencies/ngo-b/keys/signing.seed"]
    assert (keys / "sealing.seed").read_bytes() == b"another key"


@pytest.mark.thorough
def test_p1_a_backup_makes_no_key_in_place_of_a_lost_one(folder: BusFolder, tmp_path: Path) -> None:
    """Given a desk that runs while a file of its keys is lost, when the timer makes a backup, then no other key is made, one that cannot be signed is refused, and the lost key is restored."""
    store, keys = tmp_path / "backup", folder.agency("ngo-b").keys
    backup = ("backup", store, "--agency", "ngo-b", "--data", folder.path)
    part = ("restore", store, "--part", "keys", "--data", folder.path)
    signer, before = typed(*backup)["signed_by"], Identity.kids_in(keys)
    (keys / "signing.seed").unlink()

    refused = typed(*backup, status=1)
    assert (refused["code"], refused["where"]) == ("key_missing", "agencies/ngo-b/keys/signing.seed")
    assert (Store.at(store).generations(), (keys / "signing.seed").exists()) == ([1], False)
    assert typed(*part, "--signer", signer)["restored"] == ["agencies/ngo-b/keys/signing.seed"]
    assert Identity.kids_in(keys) == before
    assert typed(*backup)["signed_by"] == signer


@pytest.mark.parametrize("name", ["head.seed", "operator.seed"])
async def test_p1_a_backup_makes_no_key_of_the_operator(folder: BusFolder, tmp_path: Path, name: str) -> None:
    """Given an operator who lost a key while the bus runs, when the timer makes a backup, then it is refused, and no other key is in its place."""
    Operator(folder.path)
    for each in (name, "operator.pub"):
        (folder.keys / each).unlink()

    with pytest.raises(BackupError, match=rf"key_missing \(keys/{name}\)"):
        await make.of_bus(folder, Store.at(tmp_path / "backup"), keep=1, progress=lambda *_: None)
    assert not (folder.keys / name).exists()
    assert not Store.at(tmp_path / "backup").generations()


@pytest.mark.thorough
def test_nothing_is_restored_where_it_does_not_belong(folder: BusFolder, tmp_path: Path) -> None:
    """Refused, each by its code: a folder that is not empty, one that runs, another bus, a part that an agency has not."""
    store = tmp_path / "backup"
    typed("backup", store, "--agency", "ngo-b", "--data", folder.path)
    part = ("restore", store, "--part", "ledger", "--data", folder.path)

    assert typed("restore", store, "--data", folder.path, status=1)["code"] == "folder_not_empty"
    assert typed(*part, "--part", "broker", status=1)["code"] == "part_absent"
    assert typed(*part, "--agency", "ngo-z", status=1)["code"] == "part_absent"
    slip = CliRunner().invoke(app, [*map(str, part), "--part", "ledgers"])
    said = " ".join(slip.output.replace("│", " ").split())
    assert (slip.exit_code, "There is no part ledgers: settings, keys, ledger, log" in said) == (2, True), said
    with folder.alone("ngo-b"):
        assert typed(*part, status=1)["code"] == "bus_running"
    (folder.path / "bus.json").unlink()
    folder.create()
    assert typed(*part, status=1)["code"] == "other_bus"


@pytest.mark.thorough
def test_no_desk_starts_while_its_ledger_is_restored(
    folder: BusFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a service manager that starts the desk again during a restore, then the desk waits: it would write to the ledger that is replaced."""
    store, read_file, desk = tmp_path / "backup", Store.read, BusFolder(folder.path)
    typed("backup", store, "--agency", "ngo-b", "--data", folder.path)
    folder.agency("ngo-b").ledger.unlink()
    refused = list[FolderHeld]()

    def started(*file: Any) -> bytes:
        with pytest.raises(FolderHeld) as caught, desk.alone("ngo-b"):
            pass
        refused.append(caught.value)
        return read_file(*file)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "read", started)
        typed("restore", store, "--part", "ledger", "--data", folder.path)

    assert refused
    with desk.alone("ngo-b"):
        pass


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--agency", "ngo-b"), "--agency"),
        (("--agency", "ngo-b", "--part", "folder"), "--agency"),
        (("--agency", "ngo-b", "--part", "directory"), "--agency"),
        (("--agency", "ngo-b", "--part", "broker"), "--agency"),
        (("--over-newer",), "--over-newer"),
        (("--over-newer", "--part", "folder"), "--over-newer"),
        (("--bootstrap", "kafka.example.org:9092", "--part", "ledger"), "--bootstrap"),
    ],
)
def test_an_option_without_effect_is_refused(
    folder: BusFolder, tmp_path: Path, options: tuple[str, ...], named: str
) -> None:
    """Given a restore with an option that would do nothing, then nothing is restored: the operator meant less than everything."""
    store, elsewhere = tmp_path / "backup", tmp_path / "elsewhere"
    typed("backup", store, "--agency", "ngo-b", "--data", folder.path)

    refused = CliRunner().invoke(app, ["restore", str(store), "--data", str(elsewhere), *options])
    assert (refused.exit_code, f"Invalid value for {named}" in refused.output) == (2, True), refused.output
    assert not elsewhere.exists()


@pytest.mark.thorough
def test_a_restore_that_was_cut_off_begins_again(folder: BusFolder, tmp_path: Path) -> None:
    """Half a restored folder is no bus: the next restore removes it and writes everything."""
    store, elsewhere = tmp_path / "backup", BusFolder(tmp_path / "elsewhere")
    typed("backup", store, "--agency", "ngo-b", "--data", folder.path)
    typed("restore", store, "--data", elsewhere.path)
    whole = content(elsewhere)
    (elsewhere.path / ".restoring" / "agencies").mkdir(parents=True)
    (elsewhere.path / "bus.json").rename(elsewhere.path / ".restoring" / "bus.json")
    shutil.rmtree(elsewhere.agency("ngo-b").keys)

    assert not elsewhere.exists
    typed("restore", store, "--data", elsewhere.path)
    assert content(elsewhere) == whole


@pytest.mark.thorough
def test_nothing_else_begins_where_a_folder_is_restored(
    folder: BusFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a restore that runs, when a second one or a bus begins in the same folder, then it is refused, and the first is whole."""
    store, elsewhere, read_file = tmp_path / "backup", BusFolder(tmp_path / "elsewhere"), Store.read
    typed("backup", store, "--agency", "ngo-b", "--data", folder.path)
    refused, due = list[object](), [True]

    def begun(*file: Any) -> bytes:
        if due:
            due.pop()
            refused.append(typed("restore", store, "--data", elsewhere.path, status=1)["code"])
            with pytest.raises(FolderHeld), BusFolder(elsewhere.path).held():
                pass
        return read_file(*file)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "read", begun)
        typed("restore", store, "--data", elsewhere.path)

    assert refused == ["bus_running"]
    assert content(elsewhere) == content(folder)


@pytest.mark.thorough
def test_a_folder_with_other_files_is_not_written(folder: BusFolder, tmp_path: Path) -> None:
    """Given a folder with somebody's file, when a whole folder is restored there, then it is refused and not even a lock is left."""
    store, elsewhere = tmp_path / "backup", tmp_path / "elsewhere"
    typed("backup", store, "--agency", "ngo-b", "--data", folder.path)
    elsewhere.mkdir()
    (elsewhere / "notes.txt").touch()

    assert typed("restore", store, "--data", elsewhere, status=1)["code"] == "folder_not_empty"
    assert [each.name for each in elsewhere.iterdir()] == ["notes.txt"]


@contextmanager
def no_file_longer_than(length: int) -> Iterator[None]:
    """Have the system refuse every file that would get longer, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.thorough
def test_a_disk_that_fills_leaves_what_was_complete(folder: BusFolder, tmp_path: Path) -> None:
    """Neither half a backup nor half a restored folder counts; with room, both work again."""
    store, elsewhere = tmp_path / "backup", BusFolder(tmp_path / "elsewhere")
    backup = ("backup", store, "--agency", "ngo-b", "--data", folder.path)
    restore = ("restore", store, "--data", elsewhere.path)
    typed(*backup)
    read(folder.agency("ngo-b"))

    with no_file_longer_than(16_384):
        assert typed(*backup, status=1)["code"] == "disk_full"
        assert typed(*restore, status=1)["code"] == "disk_full"
    assert (Store.at(store).generations(), elsewhere.exists) == ([1], False)
    assert typed(*backup)["generation"] == 2
    typed(*restore)
    assert content(elsewhere) == content(folder)


@pytest.mark.thorough
def test_a_ledger_on_a_server_is_said_to_be_missing(folder: BusFolder, tmp_path: Path) -> None:
    """Nobody believes that a backup has the ledger which it has not."""
    settings = json.loads(folder.agency("ngo-b").agency_json.read_bytes())
    write_json(folder.agency("ngo-b").agency_json, settings | {"ledger": "postgresql://db.example.org/ledger"})

    made = typed("backup", tmp_path / "backup", "--agency", "ngo-b", "--data", folder.path)
    assert made["on_servers"] == ["ngo-b"]


@pytest.mark.thorough
def test_a_backup_that_nobody_makes_any_more_is_missed(folder: BusFolder, tmp_path: Path) -> None:
    """`nrmbus doctor` says since when a timer has made no backup; a folder that never had one is not spoken of."""
    now = datetime.now(UTC)
    assert "backup_old" not in {each.code for each in folder_faults.findings(folder, now + timedelta(days=2))}
    typed("backup", tmp_path / "backup", "--agency", "ngo-b", "--data", folder.path)

    assert "backup_old" not in {each.code for each in folder_faults.findings(folder, now)}
    (missed,) = [each for each in folder_faults.findings(folder, now + timedelta(days=2)) if each.code == "backup_old"]
    assert "--agency ngo-b" in missed.mend


@pytest.mark.thorough
def test_a_backup_is_complete_although_an_older_one_cannot_be_removed(
    folder: BusFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a folder in which nothing can be removed, then the exit status tells it, since an erasure counts on the removal; the backup itself is there."""

    def refused(*_: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Store, "prune", refused)
    made = typed("backup", tmp_path / "backup", "--agency", "ngo-b", "--data", folder.path, status=1)

    assert (made["code"], made["where"]) == ("not_removed", "generation 1")
    assert typed("backup", tmp_path / "backup", "--verify", "--data", folder.path)["generation"] == 1


@pytest.mark.thorough
def test_a_backup_is_complete_although_older_ones_cannot_be_read(
    folder: BusFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a disk that fails once this backup is published, then the answer says that it is complete."""
    publish = Store.publish

    def failing(*_: object) -> list[int]:
        raise BackupError("file_unreadable", "manifests")

    def published(store: Store, *more: Any) -> None:
        publish(store, *more)
        disk.setattr(Store, "generations", failing)

    with monkeypatch.context() as disk:
        disk.setattr(Store, "publish", published)
        made = typed("backup", tmp_path / "backup", "--agency", "ngo-b", "--data", folder.path, status=1)

    assert (made["code"], made["where"]) == ("not_removed", "generation 1")
    assert typed("backup", tmp_path / "backup", "--verify", "--data", folder.path)["generation"] == 1


@pytest.mark.thorough
def test_a_backup_does_not_go_on_past_a_manifest_that_the_disk_does_not_give(
    folder: BusFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an error of reading, then the backup ends, since this folder may be another bus's; the next one goes on."""
    backup = ("backup", tmp_path / "backup", "--agency", "ngo-b", "--data", folder.path)
    typed(*backup)

    def failing(_: Store, generation: int) -> tuple[bytes, bytes]:
        raise BackupError("file_unreadable", f"generation {generation}")

    with monkeypatch.context() as disk:
        disk.setattr(Store, "_lines", failing)
        assert typed(*backup, status=1)["code"] == "file_unreadable"
    assert typed(*backup)["generation"] == 2


@pytest.mark.thorough
def test_a_damaged_file_is_found_and_the_next_backup_is_whole(folder: BusFolder, tmp_path: Path) -> None:
    """Given a file that was altered in the backup, then --verify names it, a restore changes nothing there, and the next backup has it again."""
    store = tmp_path / "backup"
    typed("backup", store, "--agency", "ngo-b", "--data", folder.path)
    verify = ("backup", store, "--verify", "--data", folder.path)
    damaged = Store.at(store).check(Store.at(store).manifest().files["agencies/ngo-b/agency.json"])
    damaged.write_bytes(damaged.read_bytes().upper())

    assert typed("restore", store, "--data", tmp_path / "elsewhere", status=1)["code"] == "file_altered"
    assert typed(*verify, status=1)["code"] == "file_altered"
    typed("backup", store, "--agency", "ngo-b", "--data", folder.path)
    assert typed(*verify)["generation"] == 2


@pytest.mark.thorough
@pytest.mark.parametrize("key", [None, SigningKey(bytes(range(32)))], ids=["unsigned", "another's key"])
def test_a_signed_backup_takes_nothing_over_from_what_another_key_signed(
    folder: BusFolder, tmp_path: Path, key: SigningKey | None
) -> None:
    """Given a newer backup by somebody who can only write to the folder, when the auditor backs up, then her signature is over the tiles of her own log."""
    store, tile = Store.at(tmp_path / "backup"), "auditor/logs/0/tile/0/000"
    Identity.at(folder.service("auditor"), "auditor")
    (folder.path / tile).parent.mkdir(parents=True)
    (folder.path / tile).write_bytes(b"of the auditor")
    typed("backup", store.path, "--agency", "auditor", "--data", folder.path)
    made = store.manifest()
    with store.held():
        forged = {"files": {**made.files, tile: store.put([b"of a stranger"])}, "generation": 2}
        store.publish(made.model_copy(update={**forged, "signer": key.public.hex() if key else ""}), key)

    typed("backup", store.path, "--agency", "auditor", "--data", folder.path)
    assert store.manifest().generation == 3
    assert store.manifest().files[tile] == made.files[tile]


@pytest.mark.thorough
def test_a_signed_backup_takes_nothing_over_from_a_manifest_that_is_replaced_while_it_is_read(
    folder: BusFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a forged manifest, when somebody puts the signed one back as soon as the auditor's next backup opens it, then her signature is over the tiles of her own log."""
    store, tile = Store.at(tmp_path / "backup"), "auditor/logs/0/tile/0/000"
    Identity.at(folder.service("auditor"), "auditor")
    (folder.path / tile).parent.mkdir(parents=True)
    (folder.path / tile).write_bytes(b"of the auditor")
    typed("backup", store.path, "--agency", "auditor", "--data", folder.path)
    made, path = store.manifest(), store.path / "manifests" / "00000001"
    signed = path.read_bytes()
    with store.held():
        files = {**made.files, tile: store.put([b"of a stranger!"])}
    forged = made.model_copy(update={"files": files}).model_dump_json().encode()
    path.write_bytes(forged + b"\n" + signed.partition(b"\n")[2])
    replaced_while_open(monkeypatch, path, signed)

    typed("backup", store.path, "--agency", "auditor", "--data", folder.path)
    assert path.read_bytes() == signed
    assert (store.manifest().generation, store.manifest().files[tile]) == (2, made.files[tile])


@pytest.mark.thorough
def test_two_kinds_are_not_mixed_in_one_folder(folder: BusFolder, tmp_path: Path) -> None:
    """The backups of two agencies, or of a bus and an agency, are kept apart."""
    store = tmp_path / "backup"
    typed("backup", store, "--agency", "ngo-b", "--data", folder.path)
    Identity.at(folder.agency("ngo-c").path, "ngo-c")

    assert typed("backup", store, "--agency", "ngo-c", "--data", folder.path, status=1)["code"] == "other_kind"
    assert Store.at(store).generations() == [1]


def test_no_backup_has_the_anonymous_messages(folder: BusFolder) -> None:
    """A person who deletes them is told that they are gone, so no copy stays for thirty days."""
    agency = folder.agency("ngo-b")
    IntakeStore(agency.path).close()

    found = paths(agency.path)

    assert "ledger.sqlite" in found
    assert [each for each in found if "intake" in each or each.startswith("public/")] == []


@pytest.mark.parametrize(
    "agency", ["tmp-shelter", "baku-journal", "legal-shm", "lock", "spans", "snapshots", "keys", "tls", "door"]
)
def test_an_agency_may_have_any_id(tmp_path: Path, agency: str) -> None:
    """Given an id that is like the name of a temporary file or of a folder of keys, then each file of the agency is kept, as what it is."""
    home = f"agencies/{agency}"
    for each in ("agency.json", "keys/signing.seed", "ledger.sqlite", "ledger.sqlite-wal", "spans/1", "lock"):
        path = tmp_path / home / each
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"of the agency")

    assert paths(tmp_path) == [f"{home}/{each}" for each in ("agency.json", "keys/signing.seed", "ledger.sqlite")]
    assert [each for each in paths(tmp_path, home) if of_part("keys", each)] == [f"{home}/keys/signing.seed"]
