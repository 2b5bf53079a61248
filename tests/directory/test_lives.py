"""How long a sealing key is current: 90 days from when it holds, on every bus that is not for playing."""

from datetime import timedelta
from pathlib import Path

import pytest

from agencies import BUS, NOW
from directory.given import HOUR, Office, refused
from nrmbus.bus.folder import BusFolder
from nrmbus.directory import Identity, admitters
from nrmbus.directory.admission import Newcomer, next_entry
from nrmbus.directory.fold import LIFE
from nrmbus.directory.operator import Admitter
from nrmbus.wire.names import REGISTRAR

DAY = 24 * HOUR
SECOND = timedelta(seconds=1)
REAL = "0123456789abcdef"


@pytest.fixture(name="office")
def _office(tmp_path: Path) -> Office:
    return Office(tmp_path, REAL)


def current(office: Office, after: timedelta) -> str | None:
    """The kid of the key that is current for the agency so long after it was admitted."""
    found = office.directory.seal_to("ngo-a", NOW + after)
    return found.kid if found else None


def rotated(office: Office, old: Identity, after: timedelta, overlap: timedelta, turn: int = 2) -> Identity:
    """The agency's next keys, confirmed at once."""
    new, at = office.identity("ngo-a", turn), NOW + after
    office.enter(office.admitted(office.asked(new, "rotated", before=old, made=at, until=at + overlap), at))
    office.confirms(new, at)
    return new


def test_after_90_days_nothing_is_sealed_to_a_key_that_nobody_replaced(office: Office) -> None:
    """A letter to the expired key is refused; the agency stays admitted, and may publish events without a letter."""
    key = office.joins("ngo-a").sealing.kid
    assert [current(office, LIFE - SECOND), current(office, LIFE)] == [key, None]
    assert [office.directory.opens("ngo-a", key, NOW + after) for after in (LIFE - SECOND, LIFE)] == [True, False]
    assert office.directory.state("ngo-a", NOW + LIFE) == "admitted"
    assert office.directory.sealing_ends("ngo-a", NOW + 999 * DAY) == NOW + LIFE


def test_on_a_bus_for_playing_it_stays_current(tmp_path: Path) -> None:
    """Months pass there in seconds, and nobody admits in between."""
    office = Office(tmp_path, BUS)
    key = office.joins("ngo-a").sealing.kid
    assert current(office, 9999 * DAY) == key
    assert office.directory.sealing_ends("ngo-a", NOW) is None


def test_the_next_one_has_90_days_of_its_own(office: Office) -> None:
    """The next key's 90 days begin when it holds."""
    new = rotated(office, office.joins("ngo-a"), 80 * DAY, 3 * DAY)
    assert [current(office, after) for after in (90 * DAY, 170 * DAY - SECOND, 170 * DAY)] == [
        new.sealing.kid, new.sealing.kid, None,
    ]  # fmt: skip


def test_it_comes_back_to_life_with_another_key_only(office: Office) -> None:
    """An agency that let its key expire is reached again once its next key is confirmed."""
    old = office.joins("ngo-a")
    assert current(office, 120 * DAY) is None
    new = rotated(office, old, 130 * DAY, 3 * DAY)
    assert [current(office, after) for after in (129 * DAY, 130 * DAY)] == [None, new.sealing.kid]
    assert not office.directory.opens("ngo-a", old.sealing.kid, NOW + 131 * DAY)


def test_an_overlap_makes_no_key_live_longer(office: Office) -> None:
    """Letters under way are taken until the old key's 90 days are over, whatever overlap was asked for."""
    old = office.joins("ngo-a")
    rotated(office, old, 80 * DAY, 30 * DAY)
    opens = [office.directory.opens("ngo-a", old.sealing.kid, NOW + after) for after in (LIFE - SECOND, LIFE)]
    assert opens == [True, False]


def test_confirming_it_late_makes_it_live_no_longer(office: Office) -> None:
    """The key was in use from when it held, for its agency's own data."""
    new = office.identity("ngo-a")
    office.enter(office.admitted(office.asked(new)))
    office.confirms(new, NOW + 60 * DAY)
    assert [current(office, 60 * DAY), current(office, LIFE)] == [new.sealing.kid, None]


def test_a_key_that_was_replaced_is_not_taken_back(office: Office) -> None:
    """Its private key is destroyed on a day that certificates of erasure have named."""
    old = office.joins("ngo-a")
    new = rotated(office, old, 10 * DAY, 3 * DAY)
    at = NOW + 20 * DAY
    entry = office.asked(old, "rotated", before=new, made=at, until=at + DAY)
    raw = office.operator.number(office.admitted(entry, at), office.directory)
    assert refused(office, raw) == "key_replaced"


def test_the_key_before_may_replace_an_unconfirmed_key(office: Office) -> None:
    """Nothing was sealed to it, and the old one was current all the while."""
    old, pending = office.joins("ngo-a"), office.identity("ngo-a", 2)
    at = NOW + 10 * DAY
    office.enter(office.admitted(office.asked(pending, "lost", made=at), at))
    office.enter(office.admitted(office.asked(old, "rotated", before=old, made=at + HOUR, until=at + DAY), at + HOUR))
    assert [current(office, after) for after in (40 * DAY, LIFE - SECOND, LIFE)] == [old.sealing.kid] * 2 + [None]


def test_a_bus_whose_admitters_are_elsewhere_starts_when_a_services_key_ends(tmp_path: Path) -> None:
    """Given two admitters elsewhere and unlisted ones here, when a service's key ends, then each start succeeds and says what to do.

    No start makes a key that nobody admits. A folder in which an earlier start did so starts too, with the listed entry.
    """
    folder = BusFolder(tmp_path / "bus")
    folder.create()
    office, said = Office(folder.path, REAL), list[str]()
    home = folder.service(REGISTRAR)

    def start(at: timedelta) -> bytes | None:
        service = Newcomer(REGISTRAR)
        return next_entry(folder, office.operator, office.directory, REGISTRAR, service, NOW + at, said.append)

    office.directory.add(start(timedelta()))
    two = [Admitter.at(tmp_path / "people", name) for name in ("leyla", "murad")]
    change = admitters.propose(
        office.directory,
        added={each.name: each.public.key for each in two},
        removed=tuple(each.name for each in office.admitters),
    )
    for each in office.admitters:
        change = admitters.sign(office.directory, change, each)
    office.directory.add(office.operator.number(change.listed, office.directory))
    listed = Identity.at(home, REGISTRAR)

    assert start(70 * DAY) is None
    assert said == []
    assert [start(at) for at in (77 * DAY, LIFE + DAY)] == [None, None]
    assert len(said) == 2
    assert "nrmbus agency rotate registrar" in said[0]
    assert Identity.at(home, REGISTRAR).sealing.kid == listed.sealing.kid

    listed.succeeded(home)
    assert start(77 * DAY) is None
    assert len(said) == 3
