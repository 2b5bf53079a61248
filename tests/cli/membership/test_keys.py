"""``nrmbus keys``: sealing takes no key away, whatever runs or ends meanwhile."""

import errno
import os
from pathlib import Path
from unittest.mock import Mock

import pytest
from typer.testing import CliRunner

from nrmbus.bus.errors import BusError, FolderHeld
from nrmbus.bus.folder import BusFolder
from nrmbus.cli.membership import keys
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
