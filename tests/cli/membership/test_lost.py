"""``nrmbus agency lost``: other keys, when the ones before may be in strange hands."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.reach import Reach, Tls
from nrmbus.cli.membership import agency
from nrmbus.cli.membership.keys import private_keys
from nrmbus.directory.admission import home_of
from nrmbus.directory.commands import read_file
from nrmbus.directory.operator import Identity
from nrmbus.directory.requests import Request
from nrmbus.wire import base64
from nrmbus.wire.names import REGISTRAR


@pytest.mark.parametrize("who", [REGISTRAR, "ngo-a"])
@pytest.mark.parametrize("has_old_key", [True, False])
def test_lost_says_when_the_new_keys_are_valid(
    quiet: BusFolder, tmp_path: Path, who: str, *, has_old_key: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given keys in wrong hands, when others are requested, then they wait four days only if the old key did not sign.

    A service of the bus has no witness key, and so a signature less than an agency.
    """
    if not has_old_key:
        (home_of(quiet, who) / "keys" / "signing.seed").unlink()

    file = tmp_path / "request"
    agency.lost(who, file, directory=quiet.path / "entries", data=quiet.path, keys_unprotected=True)

    said = capsys.readouterr().out
    assert ("valid as soon as two admitters have signed" in said) == has_old_key
    assert ("valid four days after" in said) != has_old_key


def test_keys_asked_for_as_lost_leave_the_connection_until_they_are_certified(
    quiet: BusFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an agency whose request for other keys is refused or on its way, then its certificate goes on being usable.

    Once the certificate over the new key is stored, that key is in use, and the earlier one is gone.
    """
    monkeypatch.chdir(quiet.path.parent)
    tls, authority = Tls(home_of(quiet, "ngo-a")), Authority(quiet)
    authority.equip("ngo-a", tls.home)
    stolen = tls.key.read_bytes()
    Path("ngo-a.request.json").write_text("mine")
    given: dict[str, Any] = {"directory": quiet.path / "entries", "data": quiet.path, "keys_unprotected": True}

    with pytest.raises(BusError, match="is there already"):
        agency.lost("ngo-a", None, **given)
    Reach("kafka.example.org:9092", tls).context()
    agency.lost("ngo-a", Path("other"), **given)
    Reach("kafka.example.org:9092", tls).context()
    assert {tls.key, tls.next_key} <= {*private_keys(quiet)}

    csr = (Request.read(Path("other")).csr or "").encode()
    certificate.keep(tls, authority.issue("ngo-a", csr), authority.brokers_ca)
    Reach("kafka.example.org:9092", tls).context()
    assert tls.key.read_bytes() != stolen
    assert not tls.next_key.exists()


def test_lost_asks_for_another_tls_key_where_the_waiting_one_is_damaged(quiet: BusFolder, tmp_path: Path) -> None:
    """Given a waiting TLS key whose file is damaged, when other keys are requested, then the certificate is requested over another new key."""
    tls, authority = Tls(home_of(quiet, "ngo-a")), Authority(quiet)
    authority.equip("ngo-a", tls.home)
    certificate.request(tls, anew=True)
    tls.next_key.write_bytes(b"")

    file = tmp_path / "request"
    agency.lost("ngo-a", file, directory=quiet.path / "entries", data=quiet.path, keys_unprotected=True)

    issued = authority.issue("ngo-a", (Request.read(file).csr or "").encode())
    certificate.keep(tls, issued, authority.brokers_ca)
    assert not tls.next_key.exists()
    Reach("kafka.example.org:9092", tls).context()


def test_lost_says_that_it_names_waiting_keys_again(
    quiet: BusFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given keys of an earlier request that a thief may have, when others are requested, then the command says which to move away for new ones.

    The moved keys go with the answer to the earlier request.
    """
    home, authority = home_of(quiet, "ngo-a"), Authority(quiet)
    tls = Tls(home)
    authority.equip("ngo-a", home)
    folders = (home / "keys" / "next", home / "tls" / "next")

    def lost(name: str) -> tuple[Request, bool]:
        file = tmp_path / name
        agency.lost("ngo-a", file, directory=quiet.path / "entries", data=quiet.path, keys_unprotected=True)
        return Request.read(file), f"move {folders[0]} and {folders[1]} " in capsys.readouterr().out

    first, said_first = lost("first")
    again, said_again = lost("again")
    assert (again.entry.signing, again.entry.sealing) == (first.entry.signing, first.entry.sealing)
    assert (said_first, said_again) == (False, True)

    for number, each in enumerate(folders):
        each.rename(tmp_path / f"moved{number}")
    other, said_other = lost("other")
    assert not said_other
    for purpose in ("signing", "sealing", "witness", "csr"):
        assert getattr(other.entry, purpose) != getattr(first.entry, purpose), purpose

    for number, each in enumerate(folders):
        shutil.rmtree(each)
        (tmp_path / f"moved{number}").rename(each)
    certificate.keep(tls, authority.issue("ngo-a", (first.csr or "").encode()), authority.brokers_ca)
    Reach("kafka.example.org:9092", tls).context()
    assert base64.encode(Identity.next_at(home, "ngo-a").signing.public) == first.entry.signing


def test_waiting_keys_that_the_directory_has_are_not_to_be_moved(
    quiet: BusFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given waiting keys that the directory names already, when others are requested, then nobody is told to move those away, since letters are sealed to them."""
    home = home_of(quiet, "ngo-a")
    known = read_file(quiet, quiet.path / "entries")
    keys = home / "keys"
    (keys / "next").mkdir()
    for each in [*keys.glob("*.seed")]:
        each.rename(keys / "next" / each.name)
    assert base64.encode(Identity.next_at(home, "ngo-a").signing.public) == known.entries["ngo-a"].signing

    agency.lost("ngo-a", tmp_path / "request", directory=quiet.path / "entries", data=quiet.path, keys_unprotected=True)

    assert "move " not in capsys.readouterr().out
