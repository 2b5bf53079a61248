"""``nrmbus keys``: sealing takes no key away, whatever runs or ends meanwhile."""

import errno
import os
import subprocess
import sys
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import NamedTuple
from unittest.mock import Mock

import pytest
from typer.testing import CliRunner

from nrmbus.bus.errors import BusError, FolderHeld, KeysSealed
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.pki.door_authority import DoorAuthority
from nrmbus.cli.membership import keys
from nrmbus.cli.operate import folder_faults
from nrmbus.directory.operator import Admitter, Identity, Operator
from nrmbus.wire.keys import keyfile

SEED = b"\1" * keyfile.SEED_BYTES


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BusFolder:
    """Given a bus that has a raw private key, and a key file elsewhere that the settings name."""
    folder, key_file = BusFolder(tmp_path / "bus"), tmp_path / "stick" / "nrmbus.key"
    folder.create(bootstrap="127.0.0.1:9", tls=False)
    keyfile.write(folder.agency("ngo-a").keys / "signing.seed", SEED)
    key_file.parent.mkdir()
    typed("new", key_file)
    monkeypatch.setenv(keyfile.SETTING, str(key_file))
    monkeypatch.setattr(keyfile._Held, "passphrase", None)
    return folder


def typed(*words: object) -> str:
    """Give the command; return what it prints. Raises what it raises."""
    return CliRunner().invoke(keys.app, [*map(str, words)], catch_exceptions=False).output


def test_no_desk_starts_while_its_keys_are_sealed(raw: BusFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a service manager that starts a desk while the passphrase is typed, then the desk waits until its keys are sealed."""
    asked, desk, refused = keyfile.asked, BusFolder(raw.path), list[FolderHeld]()

    def started() -> keyfile.Passphrase | None:
        with pytest.raises(FolderHeld) as caught, desk.alone("ngo-a"):
            pass
        refused.append(caught.value)
        return asked()

    monkeypatch.setattr(keyfile, "asked", started)
    assert "1 of 1 private keys were sealed" in typed("protect", "--data", raw.path)
    assert refused


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[os.stat_result]:
    """The files and folders that were synced to disk, in this order, each as it was then."""
    found, sync = list[os.stat_result](), os.fsync

    def noted(descriptor: int) -> None:
        found.append(os.fstat(descriptor))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    return found


def test_a_new_key_file_survives_a_power_cut(tmp_path: Path, synced: list[os.stat_result]) -> None:
    """Given a new key file, then its content and its name are on disk before the command says that it is made."""
    typed("new", tmp_path / "nrmbus.key")

    content, names = synced
    assert os.path.samestat(content, (tmp_path / "nrmbus.key").stat())
    assert content.st_size == (tmp_path / "nrmbus.key").stat().st_size
    assert os.path.samestat(names, tmp_path.stat())


def test_no_half_key_file_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a full stick, when a key file is made, then the sentence says so and no file is left that would seal with too little."""
    monkeypatch.setattr(os, "fsync", Mock(side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))

    with pytest.raises(BusError, match="cannot be written"):
        typed("new", tmp_path / "nrmbus.key")
    assert not [*tmp_path.iterdir()]


def test_the_key_file_is_on_disk_before_a_raw_key_is_overwritten(raw: BusFolder, synced: list[os.stat_result]) -> None:
    """Given a key file that was only copied to a stick, when keys are sealed, then it is synced first: else a power cut loses every key."""
    named, sealed = raw.path.parent / "stick" / "nrmbus.key", raw.agency("ngo-a").keys / "signing.seed"
    typed("protect", "--data", raw.path)

    assert keyfile.is_sealed(sealed)
    assert os.path.samestat(synced[0], named.stat())


class Sealed(NamedTuple):
    """Bus whose private keys are sealed, and the two key files of a change."""

    folder: BusFolder
    present: Path
    new: Path

    def change(self, *words: object) -> str:
        """Give `nrmbus keys change` in a process of its own, as far as what it holds goes."""
        keyfile.hold(None)
        return typed("change", "--to", self.new, "--data", self.folder.path, *words)

    def content(self) -> dict[Path, bytes]:
        """Return the content of each private key's file, without what a killed process left half written."""
        return {path: path.read_bytes() for path in keys.private_keys(self.folder) if not keyfile.is_partial(path)}


@pytest.fixture
def sealed(raw: BusFolder, monkeypatch: pytest.MonkeyPatch) -> Sealed:
    """Given a bus with two private keys, sealed at little cost, and another key file beside the one that its settings name."""
    monkeypatch.setattr(keyfile, "COST", (2**14, 1, 1))
    keyfile.write(raw.agency("ngo-a").keys / "next" / "sealing.seed", bytes(reversed(range(32))))
    typed("protect", "--data", raw.path)
    present = raw.path.parent / "stick" / "nrmbus.key"
    typed("new", present.with_name("new.key"))
    return Sealed(raw, present, present.with_name("new.key"))


def opened(by: Path, content: dict[Path, bytes]) -> dict[Path, bytes]:
    """Return the seeds of the private keys that the key file *by* opens."""
    passphrase, found = keyfile.Passphrase.of_file(by), dict[Path, bytes]()
    for path, each in content.items():
        try:
            found[path] = passphrase.open(each)
        except keyfile.KeyFileError as error:
            assert error.code == "key_passphrase_wrong"  # noqa: PT017 - the other answer is right here
    return found


@pytest.fixture
def full_after_one(sealed: Sealed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a disk that is full when the second key is written, and has room again after that."""
    del sealed
    write, numbers = keyfile.write, count(1)

    def written(path: Path, seed: bytes) -> None:
        if next(numbers) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, seed)

    monkeypatch.setattr(keyfile, "write", written)


class TestChange:
    """`nrmbus keys change`: after a passphrase was seen, no key stays sealed under it, and none is lost on the way."""

    def test_the_old_key_file_opens_no_key_afterwards(self, sealed: Sealed) -> None:
        """Given keys of every kind, with those that wait, when the key file is changed, then each is the same key and only the new file opens it."""
        keyfile.hold(keyfile.Passphrase.of_file(sealed.present))
        home = sealed.folder.agency("ngo-a").path
        Identity.at(home, "ngo-a")
        Identity.next_at(home, "ngo-a")
        DoorAuthority(home / "door", "ngo-a")
        Operator(sealed.folder.path)
        Admitter.at(sealed.folder.path, "admitter-a")
        assert Authority(sealed.folder).equip("ngo-a", home)
        before = sealed.content()
        seeds = opened(sealed.present, before)

        shown = sealed.change()

        assert f"{len(before)} of {len(before)} private keys were sealed" in shown
        assert len(before) > 10
        assert opened(sealed.new, sealed.content()) == seeds
        assert not opened(sealed.present, sealed.content())
        left = [path.read_bytes() for path in sealed.folder.path.rglob("*") if path.is_file()]
        assert not set(left) & set(before.values())

    def test_a_start_needs_the_new_key_file(self, sealed: Sealed, monkeypatch: pytest.MonkeyPatch) -> None:
        """Given a changed key file, then a start with the old one is refused, and one with the new one is not."""
        sealed.change()
        keyfile.hold(None)

        with pytest.raises(KeysSealed, match="does not open"):
            keys.unlock(sealed.folder)
        monkeypatch.setenv(keyfile.SETTING, str(sealed.new))
        keys.unlock(sealed.folder)
        assert keyfile.read(sealed.folder.agency("ngo-a").keys / "signing.seed") == SEED

    def test_it_says_what_still_opens_with_the_old_one(self, sealed: Sealed) -> None:
        """Given a change, then the person reads that earlier backups open with the old key file, and that the keys are the same."""
        shown = sealed.change()

        assert "Backups made before still open with the old one: make a backup now" in shown
        assert "The keys are the same" in shown

    def test_a_new_key_file_is_on_disk_before_a_key_needs_it(
        self, sealed: Sealed, synced: list[os.stat_result]
    ) -> None:
        """Given a new key file that was only copied to a stick, when keys are changed, then it is synced first: else a power cut loses every key."""
        sealed.change()

        assert os.path.samestat(synced[0], sealed.new.stat())

    def test_every_new_file_is_on_disk_before_an_old_one_is_overwritten(
        self, sealed: Sealed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Given a change, when the first old file is overwritten, then the new key file opens every key already."""
        overwrite, found = keyfile._overwrite, list[int]()

        def noted(path: Path) -> None:
            found.append(len(opened(sealed.new, sealed.content())))
            overwrite(path)

        monkeypatch.setattr(keyfile, "_overwrite", noted)
        sealed.change()

        assert found == [2, 2]

    def test_a_typed_passphrase_is_typed_twice(self, sealed: Sealed, monkeypatch: pytest.MonkeyPatch) -> None:
        """Given no file for the new passphrase, then a person types it twice at a terminal, and a slip changes nothing."""
        before, answers = sealed.content(), iter(["a new passphrase", "a new pasphrase", *["a new passphrase"] * 2])
        with pytest.raises(KeysSealed, match="--to FILE"):
            typed("change", "--data", sealed.folder.path)
        monkeypatch.setattr("getpass.getpass", lambda _: next(answers))
        monkeypatch.setattr(keys, "sys", Mock(stdin=Mock(isatty=lambda: True)))

        with pytest.raises(KeysSealed, match="differ"):
            typed("change", "--data", sealed.folder.path)
        assert sealed.content() == before
        typed("change", "--data", sealed.folder.path)
        assert keyfile.Passphrase(b"a new passphrase").open(next(iter(sealed.content().values())))

    @pytest.mark.parametrize(
        ("case", "says"),
        [
            ("the same content", "is the present one"),
            ("inside the folder", "move the key file elsewhere"),
            ("open to others", "The file that --to names can be read by others"),
            ("missing", "The file that --to names cannot be read"),
            ("another present one", "does not open"),
            ("a raw key", "1 of 3 private keys lie unprotected: nrmbus keys protect"),
        ],
    )
    def test_a_slip_changes_no_key(self, sealed: Sealed, monkeypatch: pytest.MonkeyPatch, case: str, says: str) -> None:
        """Given a key file or a folder with which keys would be lost or unsafe, then one sentence says so and each key is as before."""
        to = sealed.new
        match case:
            case "the same content":
                to.write_bytes(sealed.present.read_bytes() + b"\n")
            case "inside the folder":
                to = to.rename(sealed.folder.path / "new.key")
            case "open to others":
                to.chmod(0o644)
            case "missing":
                to.unlink()
            case "another present one":
                typed("new", sealed.present.with_name("third.key"))
                monkeypatch.setenv(keyfile.SETTING, str(sealed.present.with_name("third.key")))
            case _:
                keyfile.hold(None)
                keyfile.write(sealed.folder.agency("ngo-b").keys / "signing.seed", SEED)
        before = sealed.content()

        with pytest.raises(KeysSealed, match=says):
            sealed._replace(new=to).change()
        assert sealed.content() == before

    def test_no_key_is_changed_while_a_service_runs(self, sealed: Sealed) -> None:
        """Given a running desk, which writes its next keys under the old passphrase, then the change is refused."""
        before = sealed.content()

        with sealed.folder.alone("ngo-a"), pytest.raises(FolderHeld, match="ngo-a"):
            sealed.change()
        assert sealed.content() == before

    def test_a_full_disk_loses_no_key(self, sealed: Sealed, full_after_one: None) -> None:
        """Given a disk without room for the second key, then one sentence says so, and the same command ends the change later."""
        del full_after_one
        seeds = opened(sealed.present, sealed.content())
        with pytest.raises(BusError, match=r"No space left on device.*give the same command again"):
            sealed.change()
        assert len(opened(sealed.new, sealed.content())) == 1

        sealed.change()
        assert opened(sealed.new, sealed.content()) == seeds

    def test_a_half_change_takes_no_third_key_file(self, sealed: Sealed, full_after_one: None) -> None:
        """Given a change that was cut after one of two keys, when a third key file is named, then no key changes and the sentence says which to give."""
        del full_after_one
        with pytest.raises(BusError):
            sealed.change()
        before, third = sealed.content(), sealed.new.with_name("third.key")
        typed("new", third)

        with pytest.raises(KeysSealed, match="with the two of that change"):
            sealed._replace(new=third).change()
        assert sealed.content() == before
        assert {each.code for each in folder_faults.findings(sealed.folder, datetime.now(UTC))} == {"keys_half_changed"}

    @pytest.mark.thorough
    def test_a_kill_at_any_moment_loses_no_key(self, sealed: Sealed, monkeypatch: pytest.MonkeyPatch) -> None:
        """Given a change killed before any act on the disk, then each key opens with one of the two files, and no start takes a mixture.

        The same command finishes it, and with the two exchanged it goes back; no file but the keys is left.
        """
        seeds, cuts = opened(sealed.present, sealed.content()), killed(sealed)
        assert len(cuts) > 15
        for cut in cuts:
            back = BusFolder(cut.path.with_name(f"back-{cut.path.name}"))
            copied(cut.path, back.path)
            for folder, old, new in ((cut, sealed.present, sealed.new), (back, sealed.new, sealed.present)):
                found = Sealed(folder, old, new)
                halves = opened(old, found.content()), opened(new, found.content())
                mine = {folder.path / path.relative_to(sealed.folder.path): seed for path, seed in seeds.items()}
                assert halves[0] | halves[1] == mine
                monkeypatch.setenv(keyfile.SETTING, str(old))
                keyfile.hold(None)
                if all(halves):
                    with pytest.raises(KeysSealed, match=r"was cut here.*nrmbus keys change"):
                        keys.unlock(folder)

                found.change()

                assert opened(new, found.content()) == mine
                assert {path for path in folder.agency("ngo-a").keys.rglob("*") if path.is_file()} == {*mine}
                monkeypatch.setenv(keyfile.SETTING, str(new))
                keyfile.hold(None)
                keys.unlock(folder)


def killed(of: Sealed) -> list[BusFolder]:
    """Change the key file of copies of the folder in processes that are killed, each one act on the disk later; return the copies."""
    words = ["change", "--to", str(of.new), "--data"]
    subprocess.run([sys.executable, "-c", _KILLED, str(of.folder.path), *words], stdin=subprocess.DEVNULL, check=True)
    return [BusFolder(path) for path in sorted(of.folder.path.parent.glob("cut-*"))]


def copied(folder: Path, to: Path) -> None:
    """Copy *folder* with its files that have two names."""
    subprocess.run(["cp", "-a", folder, to], check=True)


_KILLED = """
import os, shutil, signal, sys
from itertools import count
from nrmbus.cli.membership import keys
from nrmbus.wire.keys import keyfile

folder, left = sys.argv[1], [0]
keyfile.COST = (2**14, 1, 1)

def counted(act):
    def acting(*args, **more):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return act(*args, **more)
    return acting

for turn in count(1):
    cut = f"{os.path.dirname(folder)}/cut-{turn}"
    shutil.copytree(folder, cut)
    child = os.fork()
    if not child:
        for name in ("fsync", "link", "replace", "unlink"):
            setattr(os, name, counted(getattr(os, name)))
        left[0] = turn
        keys.app([*sys.argv[2:], cut])
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != -signal.SIGKILL:
        sys.exit(status)
"""
