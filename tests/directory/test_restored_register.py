"""A register of certificates that is older than the directory: a restored folder gives no right back that was taken."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from directory.given import HOUR, Office
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.pki import certificate
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.reach import Tls
from nrmbus.directory.admission import withdraw
from nrmbus.directory.heads import utc_time

US = "ngo-a"
NOW = utc_time()
BEFORE = NOW - 40 * HOUR


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> BusFolder:
    folder = BusFolder(tmp_path / "bus")
    folder.create()
    return folder


@pytest.fixture(name="office")
def _office(folder: BusFolder) -> Office:
    return Office(folder.path, folder.settings.bus)


def certified(folder: BusFolder, name: str = "before", life: timedelta = certificate.LIFE) -> None:
    """Issue a certificate to the agency."""
    Authority(folder).issue(US, certificate.request(Tls(folder.path / name)), life=life)


def suspended(office: Office) -> None:
    """Suspend the agency."""
    office.joins(US, BEFORE)
    office.state(US, "suspended", NOW)


def retired(office: Office) -> None:
    """Have the agency leave."""
    office.leaves(office.joins(US, BEFORE), NOW)


@pytest.mark.parametrize("took", [suspended, retired])
def test_an_agency_without_rights_has_none_after_a_restore(
    folder: BusFolder, office: Office, took: Callable[[Office], None]
) -> None:
    """P2: given a register of before, when the bus starts, then it denies everything to an agency that is suspended or has left."""
    certified(folder)
    took(office)

    withdraw(folder, office.directory)

    authority = Authority(folder)
    assert authority.suspended == {US}
    assert bool(authority.standing(certificate.now())[US]) == (took is suspended)


def test_a_stolen_certificate_ends_again_after_a_restore(folder: BusFolder, office: Office) -> None:
    """P2: given a register of before a loss, when the bus starts, then certificates of before the loss end, and those since do not."""
    old = office.joins(US, BEFORE)
    certified(folder, life=certificate.LIFE - 30 * HOUR)  # as one that was issued 30 hours ago
    new = office.identity(US, 2)
    office.enter(office.admitted(office.asked(new, "lost", before=old, made=NOW - HOUR), NOW - HOUR))
    certified(folder, "since")

    for _ in range(2):
        withdraw(folder, office.directory)

    assert Authority(folder).standing(certificate.now()) == {US: (f"{US}.2",)}


def test_a_loss_that_waits_ends_the_certificates_at_its_time(folder: BusFolder, office: Office) -> None:
    """Given a register of before a loss that the old key did not sign, when the bus starts, then they end when the new keys hold.

    After an objection of the old key in time they are left.
    """
    old, new = office.joins(US, BEFORE), office.identity(US, 2)
    certified(folder)
    waiting = office.enter(office.admitted(office.asked(new, "lost", made=NOW), NOW))
    register = folder.keys / "authority" / "issued.json"
    backup = register.read_bytes()

    withdraw(folder, office.directory)

    def standing() -> list[tuple[str, ...]]:
        return [Authority(folder).standing(at)[US] for at in (NOW, waiting.valid_from + HOUR)]

    assert standing() == [(f"{US}.1",), ()]

    register.write_bytes(backup)
    ours = office.identity(US, 3)
    asked = office.asked(ours, "rotated", before=old, made=NOW + HOUR, until=NOW + 2 * HOUR)
    office.enter(office.admitted(asked, NOW + HOUR))
    withdraw(folder, office.directory)
    assert standing() == [(f"{US}.1",), (f"{US}.1",)]
