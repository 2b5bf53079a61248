"""Admitters without access to the broker (machine only joined, or agency suspended) sign by a file of the entries."""

from pathlib import Path
from typing import Any

import pytest

from agencies import BUS, NOW
from directory.given import Office
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.private_files import write_json
from nrmbus.cli.membership import admitter, agency
from nrmbus.directory import DirectoryError
from nrmbus.directory.admitters import Listing
from nrmbus.directory.commands import write_file
from nrmbus.directory.operator import Admitter
from nrmbus.directory.requests import Request
from nrmbus.wire.keys.keys import SigningKey

A, B = "admitter-a", "admitter-b"


@pytest.fixture(name="office")
def _office(tmp_path: Path) -> Office:
    office = Office(tmp_path / "office")
    office.joins("ngo-a")
    return office


@pytest.fixture(name="places")
def _places(office: Office, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """Of each admitter: their own folder, as `nrmbus join` makes it, their key, and the entries as a file."""
    found = {}
    for name in (A, B):
        folder = BusFolder(tmp_path / name)
        made = {"bus": BUS, "created": "2026-03-02T05:00:00Z", "bootstrap": "kafka.invalid:9093", "tls": True}
        write_json(folder.path / "bus.json", made)
        folder.keys.mkdir(parents=True)
        (folder.keys / "operator.pub").write_bytes((office.home / "keys" / "operator.pub").read_bytes())
        (folder.path / "admitters").mkdir()
        (office.home / "admitters" / name).rename(folder.path / "admitters" / name)
        found[name] = {"data": folder.path, "keys_unprotected": True, "directory": tmp_path / "entries"}
    write_file(office.directory, tmp_path / "entries")
    return found


def test_two_admit_an_agency_each_where_nobody_is_let_in(
    office: Office, places: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """The request that they signed is entered at the operator's like any other."""
    file = tmp_path / "file"
    Request(entry=office.asked(office.identity("ngo-b"))).write(file)
    with pytest.raises(BusError, match="certificate_missing"):
        agency.admit(file, A, **places[A] | {"directory": None})
    for name in (A, B):
        agency.admit(file, name, **places[name])

    assert office.enter(Request.read(file).entry).agency == "ngo-b"


def test_the_admitters_of_a_suspended_agency_resume_it(
    office: Office, places: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """The admitters of the suspended agency sign themselves, with nobody in their place."""
    file = tmp_path / "file"
    agency.suspend("ngo-a", name=A, out=file, **places[A])
    agency.admit(file, B, **places[B])
    suspended = office.enter(Request.read(file).entry)
    assert office.directory.state("ngo-a", suspended.valid_from) == "suspended"

    write_file(office.directory, places[A]["directory"])
    agency.resume("ngo-a", name=A, out=file, **places[A])
    agency.admit(file, B, **places[B])
    assert office.directory.state("ngo-a", office.enter(Request.read(file).entry).valid_from) == "admitted"


def test_the_list_of_admitters_changes_by_file_too(
    office: Office, places: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """One admitter proposes the change, and a second one signs it."""
    leyla, file = Admitter("leyla", SigningKey.generate()), tmp_path / "file"
    admitter.add("leyla", key=leyla.public.key, out=file, **places[A])
    admitter.sign(file, **places[B])

    office.directory.add(office.operator.number(Listing.read(file).listed, office.directory))
    assert "leyla" in office.directory.roll.admitter_kids.values()


def test_a_file_that_is_old_gains_nobody_anything(
    office: Office, places: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """An agency that has left since is not heard again by a signature over what was before."""
    file = tmp_path / "file"
    office.state("ngo-a", "suspended", NOW)
    write_file(office.directory, places[A]["directory"])
    office.leaves(office.identity("ngo-a"), NOW)
    agency.resume("ngo-a", name=A, out=file, **places[A])
    agency.admit(file, B, **places[B])

    with pytest.raises(DirectoryError, match="agency_retired"):
        office.enter(Request.read(file).entry)


def test_a_file_with_an_entry_that_the_operator_did_not_sign_is_refused(
    places: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """A person who carries the file cannot add an entry."""
    known = places[A]["directory"]
    known.write_bytes(known.read_bytes().replace(b'"', b"'", 1))
    with pytest.raises(BusError, match="operator_signature_invalid"):
        agency.suspend("ngo-a", name=A, out=tmp_path / "file", **places[A])
