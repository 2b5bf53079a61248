"""``nrmbus agency lost``: other keys, when the ones before may be in strange hands."""

import asyncio
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.reach import Reach, Tls
from nrmbus.bus.wall_clock import wall_now
from nrmbus.cli.membership import agency
from nrmbus.cli.membership.keys import private_keys
from nrmbus.directory import DirectoryError, fold, joining, renewal
from nrmbus.directory.admission import home_of
from nrmbus.directory.commands import ask_for_new_keys, read_file, sign, write_file
from nrmbus.directory.entry import Kind
from nrmbus.directory.operator import Admitter, Identity, Operator
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


def test_lost_says_that_it_names_the_keys_of_a_new_machine_again(
    quiet: BusFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a machine without the agency's keys and a request that was never answered, when others are requested, then the command says that it names those again, and which to move away."""
    home = home_of(quiet, "ngo-a")
    shutil.rmtree(home)

    def lost(name: str) -> tuple[Request, bool]:
        file = tmp_path / name
        agency.lost("ngo-a", file, directory=quiet.path / "entries", data=quiet.path, keys_unprotected=True)
        return Request.read(file), f"move {home / 'keys'} to another place" in capsys.readouterr().out

    first, said_first = lost("first")
    again, said_again = lost("again")
    assert (again.entry.signing, again.entry.sealing) == (first.entry.signing, first.entry.sealing)
    assert (said_first, said_again) == (False, True)

    (home / "keys").rename(tmp_path / "moved")
    other, _ = lost("other")
    for purpose in ("signing", "sealing", "witness"):
        assert getattr(other.entry, purpose) != getattr(first.entry, purpose), purpose


def asked(bus: BusFolder, kind: Kind = "lost") -> Request:
    """Return ngo-a's request for other keys, as its command makes it."""
    known = read_file(bus, bus.path / "entries")
    return asyncio.run(ask_for_new_keys(bus, "ngo-a", kind, timedelta(hours=72), known=known))


def entered(bus: BusFolder, request: Request) -> None:
    """Have two admitters sign *request*, and the operator enter it."""
    directory = read_file(bus, bus.path / "entries")
    for each in Admitter.here(bus.path):
        request = sign(directory, request, each, wall_now())
    directory.add(Operator(bus.path).number(request.entry, directory))
    write_file(directory, bus.path / "entries")


def confirmed(bus: BusFolder) -> None:
    """Have ngo-a confirm its newest sealing key, and the operator enter that."""
    directory, home = read_file(bus, bus.path / "entries"), home_of(bus, "ngo-a")
    newest, own = directory.roll.agencies["ngo-a"].periods[-1].entry, Identity.at(home, "ngo-a")
    secret = joining.opened(newest, own.opening.values())
    entry = joining.repeated(directory, "ngo-a", "confirmed", made=wall_now(), opened=secret)
    key = Identity.next_at(home, "ngo-a").signing
    directory.add(Operator(bus.path).number(joining.asked_by(entry, [key]), directory))
    write_file(directory, bus.path / "entries")


def names_other_keys(bus: BusFolder, request: Request) -> bool:
    """Return whether *request* names no key that the directory has, and two admitters would sign it."""
    before = read_file(bus, bus.path / "entries")
    entered(bus, request)
    after = read_file(bus, bus.path / "entries")
    named = {kid for _, kid in after.kids(after.entries["ngo-a"]).named()}
    return named.isdisjoint(before.roll.used)


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have keys that nobody vouched for hold at once."""
    for where, name in ((fold, "WITHOUT_OLD_KEY"), (joining, "WITHOUT_OLD_KEY"), (joining, "TO_AGREE")):
        monkeypatch.setattr(where, name, timedelta())


@pytest.mark.parametrize("kind", ["lost", "rotated"])
@pytest.mark.parametrize("is_confirmed", [False, True])
def test_keys_that_hold_and_were_not_taken_into_use_vouch_for_others(
    quiet: BusFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: Kind, *, is_confirmed: bool
) -> None:
    """P2: given keys that were entered while the desk was off, when they are lost before they were taken into use, then the request names others, and those hold at once.

    A thief has the keys in use and the waiting ones; neither is named as new, and every earlier letter still opens.
    """
    home = home_of(quiet, "ngo-a")
    before = Identity.at(home, "ngo-a")
    entered(quiet, asked(quiet, kind))
    stolen = Identity.at(home, "ngo-a")
    if is_confirmed:
        confirmed(quiet)

    file = tmp_path / "request"
    agency.lost("ngo-a", file, directory=quiet.path / "entries", data=quiet.path, keys_unprotected=True)

    said = capsys.readouterr().out
    assert "valid as soon as two admitters have signed" in said
    assert "move " not in said
    assert names_other_keys(quiet, Request.read(file))
    assert Identity.at(home, "ngo-a").opening.keys() > stolen.opening.keys() > {before.sealing.kid}
    own = Identity.at(home, "ngo-a")
    held = read_file(quiet, quiet.path / "entries").signing_kid("ngo-a", wall_now())
    assert held in own.kids - stolen.kids


@pytest.mark.parametrize("has_waiting", [False, True])
def test_a_folder_of_before_the_present_keys_names_others(
    quiet: BusFolder, tmp_path: Path, *, has_waiting: bool
) -> None:
    """P2: given a stolen machine and a restored folder of before the present keys, when others are requested, then the request names no key that the directory has.

    Keys that waited in the folder and were replaced since are not named either; letters that were sealed to them still open.
    """
    home, backup = home_of(quiet, "ngo-a"), tmp_path / "backup"
    if has_waiting:
        entered(quiet, asked(quiet))
    shutil.copytree(home, backup)
    entered(quiet, asked(quiet))
    if has_waiting:
        assert {each.stem for each in (backup / "keys" / "next").glob("*.seed")} == {"signing", "sealing", "witness"}
    shutil.rmtree(home)
    backup.rename(home)
    restored = Identity.at(home, "ngo-a")

    request = asked(quiet)

    assert names_other_keys(quiet, request)
    assert Identity.at(home, "ngo-a").opening.keys() > restored.opening.keys()


@pytest.mark.parametrize("is_whole", [False, True])
def test_keys_that_hold_later_are_waited_for(quiet: BusFolder, *, is_whole: bool) -> None:
    """P2: given new keys that the directory has for a later time, when others are requested, then nothing is asked for or destroyed, and the command says to wait.

    The folder's signing key alone was gone, or all its keys: the waiting keys are beside the ones in use, or in their place.
    """
    home = home_of(quiet, "ngo-a")
    for each in (home / "keys").glob("*.seed" if is_whole else "signing.seed"):
        each.unlink()
    entered(quiet, asked(quiet))
    kept = {each: each.read_bytes() for each in (home / "keys").rglob("*.seed")}

    with pytest.raises(DirectoryError, match=r"keys_pending: .* run nrmbus agency lost again"):
        asked(quiet)

    assert {each: each.read_bytes() for each in (home / "keys").rglob("*.seed")} == kept


@pytest.mark.usefixtures("_at_once")
def test_keys_that_were_waited_for_sign_the_request_for_a_certificate(
    quiet: BusFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """P2: given a folder whose present key was gone, and new keys that hold by now, when its certificates have ended, then the operator believes the request for another.

    The command cannot read the directory without a certificate: it says that it needs the file.
    """
    monkeypatch.chdir(tmp_path)
    (home_of(quiet, "ngo-a") / "keys" / "signing.seed").unlink()
    entered(quiet, asked(quiet))
    directory, file = read_file(quiet, quiet.path / "entries"), Path("ngo-a.renewal.json")
    here: dict[str, Any] = {"data": quiet.path, "keys_unprotected": True}

    agency.renew("ngo-a", **here)
    assert "--directory FILE" in capsys.readouterr().out
    with pytest.raises(DirectoryError, match="request_invalid"):
        renewal.asked_by(directory, renewal.Renewal.read(file))
    agency.renew("ngo-a", directory=quiet.path / "entries", **here)

    assert "--directory FILE" not in capsys.readouterr().out
    assert renewal.asked_by(directory, renewal.Renewal.read(file)).agency == "ngo-a"
    assert names_other_keys(quiet, asked(quiet))


def test_an_admitter_refuses_lost_keys_that_the_directory_has_had(quiet: BusFolder) -> None:
    """Given a request for lost keys that names a key of before, when an admitter is to sign it, then it is refused, and an entry that says so is believed as before.

    An agency of an earlier release makes such requests, and histories of before this rule have such entries.
    """
    home, directory = home_of(quiet, "ngo-a"), read_file(quiet, quiet.path / "entries")
    old, coming = Identity.at(home, "ngo-a"), Identity.next_at(home, "ngo-a")
    wanted = joining.Wanted("ngo-a", "ngo_outreach", coming.signing.public, old.sealing.public, coming.witness.public)
    entry = joining.proposed(directory, wanted, "lost", made=wall_now())
    entry = joining.asked_by(entry, [coming.signing, coming.witness, old.signing])

    with pytest.raises(DirectoryError, match="key_replaced"):
        sign(directory, Request(entry=entry), Admitter.here(quiet.path)[0], wall_now())

    entry = joining.challenged(joining.holding_from(directory, entry, wall_now()))
    for each in Admitter.here(quiet.path):
        entry = joining.admitted_by(entry, each.key)
    directory.add(Operator(quiet.path).number(entry, directory))
    assert directory.signing_kid("ngo-a", wall_now()) == coming.signing.kid


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
