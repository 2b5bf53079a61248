"""A directory that was restored from an old state: what was lost or suspended since would be good again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agencies import NOW
from directory.given import HOUR, Office
from nrmbus.bus.errors import MarkDamaged
from nrmbus.bus.high_water import HighWater
from nrmbus.directory import Directory, DirectoryError
from nrmbus.directory.reader import MARK, check_mark
from nrmbus.wire.keys.keys import VerifyKey

WALL = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)


@pytest.fixture(name="office")
def _office(tmp_path: Path) -> Office:
    office = Office(tmp_path / "operator")
    office.joins()
    return office


def again(office: Office, records: tuple[bytes, ...]) -> Directory:
    """Return the directory of a process that starts now and reads *records*."""
    directory = Directory(office.directory.bus, VerifyKey(office.operator.public))
    for raw in records:
        directory.add(raw)
    return directory


def seen(home: Path, directory: Directory) -> None:
    """Read the directory once in *home*, as a desk does when it starts."""
    high_water = HighWater(home / MARK)
    check_mark(directory, high_water.read(), high_water)


@pytest.mark.parametrize("what", ["cut before it", "another in its place"])
def test_a_reader_of_an_entry_takes_no_directory_without_it(what: str, office: Office, tmp_path: Path) -> None:
    """An agency is suspended; then the broker's folder is restored, and the operator signs heads over what is there."""
    before = office.directory.signed
    office.state("ngo-a", "suspended", NOW + HOUR)
    seen(tmp_path, office.directory)
    old = again(office, before)
    if what == "another in its place":
        office.directory = old
        office.joins("ngo-z", NOW + 2 * HOUR)
    old.add(office.operator.head(old, WALL))
    assert old.state("ngo-a", NOW + 2 * HOUR) == "admitted", "whoever starts after that believes it"

    with pytest.raises(DirectoryError) as refused:
        seen(tmp_path, old)
    assert refused.value.code == "went_back"
    (tmp_path / MARK).unlink()  # a person has made sure that the topic is right
    seen(tmp_path, old)


def test_the_same_and_what_goes_on_from_it_are_taken(office: Office, tmp_path: Path) -> None:
    """Each start takes a directory that continues from the mark, however much was entered meanwhile."""
    seen(tmp_path, office.directory)
    seen(tmp_path, office.directory)
    office.state("ngo-a", "suspended", NOW + HOUR)
    seen(tmp_path, office.directory)
    assert (tmp_path / MARK).read_text() == f"{office.directory.number} {office.directory.digest}\n"
    assert (tmp_path / MARK).stat().st_mode & 0o077 == 0


def test_nobody_starts_beside_a_damaged_mark(office: Office, tmp_path: Path) -> None:
    """Without the mark nobody can tell whether the directory went back: a person looks, and removes the file."""
    seen(tmp_path, office.directory)
    (tmp_path / MARK).write_text("half a no")

    with pytest.raises(MarkDamaged, match="remove the file, and start again"):
        seen(tmp_path, office.directory)


def test_somebody_else_may_see_more_while_one_reads(office: Office, tmp_path: Path) -> None:
    """The topic is compared with the mark from before the reading; a reader that saw less does not lower the mark."""
    slow = HighWater(tmp_path / MARK)
    before = slow.read()
    old = again(office, office.directory.signed)
    office.state("ngo-a", "suspended", NOW + HOUR)
    seen(tmp_path, office.directory)
    check_mark(old, before, slow)
    assert (tmp_path / MARK).read_text().split()[0] == str(office.directory.number)


class TestWhoeverGoesOnReading:
    """A desk that ran before the broker was restored reads the topic again from its beginning."""

    def test_sees_the_next_head(self, office: Office) -> None:
        """The head covers fewer entries than an earlier one."""
        early = office.operator.head(office.directory, WALL - HOUR)
        old = again(office, office.directory.signed)
        office.state("ngo-a", "suspended", NOW + HOUR)
        office.directory.add(early)
        office.directory.add(office.operator.head(office.directory, WALL))
        office.directory.add(early)  # a head that is read again is old, and no new statement

        with pytest.raises(DirectoryError) as refused:
            office.directory.add(office.operator.head(old, WALL + timedelta(minutes=1)))
        assert refused.value.code == "went_back"

    def test_sees_a_head_of_other_entries_than_it_has(self, office: Office) -> None:
        """The reader notices this even if it has more entries by now."""
        fork = again(office, office.directory.signed[:1])
        office.directory, real = fork, office.directory
        office.joins("ngo-z")
        head = office.operator.head(fork, WALL)
        assert fork.number == real.number

        office.directory = real
        office.state("ngo-a", "suspended", NOW + HOUR)
        with pytest.raises(DirectoryError) as refused:
            real.add(head)
        assert refused.value.code == "head_differs"
