"""``nrmbus keys``: sealing takes no key away, whatever runs or ends meanwhile."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from nrmbus.bus.errors import FolderHeld
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
