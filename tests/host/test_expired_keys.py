"""Replaced sealing keys of services that have no desk: destroyed when their time is over, and found where they are not."""

import asyncio
import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from brokers import Broker
from nrmbus.bus.folder import BusFolder
from nrmbus.cli.operate import topic_faults
from nrmbus.cli.operate.topic_faults import TopicRead, of_left_keys
from nrmbus.directory import Directory, Identity, Operator, epochs
from nrmbus.directory.admission import admit
from nrmbus.host import expired_keys
from nrmbus.host.supervisor import BROKER_SECONDS
from nrmbus.wire.keys import keyfile
from nrmbus.wire.keys.keys import VerifyKey

JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
APRIL = JANUARY + timedelta(days=80)


class Replaced:
    """A bus in which the registrar has had another sealing key since `APRIL`; no broker."""

    def __init__(self, home: Path, *, play: bool = False) -> None:
        self.folder = BusFolder(home)
        self.folder.create(play=play)
        operator = Operator(self.folder.path)
        self.directory = Directory(self.folder.settings.bus, VerifyKey(operator.public))
        self.home = self.folder.service("registrar")
        first = Identity.at(self.home, "registrar")
        self.directory.add(operator.entry(self.directory, first, "registrar", JANUARY))
        second = first.succeeded(self.home)
        self.directory.add(operator.entry(self.directory, second, "registrar", APRIL))
        self.old, self.new = first.sealing.kid, second.sealing.kid

    @property
    def there(self) -> set[str]:
        """Return the kids of the sealing keys whose private halves exist."""
        return set(Identity.at(self.home, "registrar").opening)

    def over(self) -> datetime:
        """Return the time from which the old key must be gone."""
        ends = {each.kid: each.destroyed_from for each in epochs.epochs_of(self.directory, "registrar")}[self.old]
        assert ends is not None
        return ends


def test_a_replaced_key_is_destroyed_when_its_time_is_over_and_no_other(tmp_path: Path) -> None:
    """The key is overwritten and removed 30 days after its replacement; a second look has nothing to do."""
    bus = Replaced(tmp_path)
    over = bus.over()
    assert APRIL + timedelta(days=30) <= over <= APRIL + timedelta(days=40)
    assert expired_keys.destroy(bus.folder, bus.directory, over - timedelta(seconds=1)) == ((), None)
    assert bus.there == {bus.old, bus.new}
    assert expired_keys.destroy(bus.folder, bus.directory, over) == ((bus.old,), None)
    assert bus.there == {bus.new}
    assert bus.old in Identity.at(bus.home, "registrar").kids  # the key is known as made here
    assert expired_keys.destroy(bus.folder, bus.directory, over) == ((), None)


def test_cut_between_two_steps_the_next_look_finishes(tmp_path: Path) -> None:
    """The next look destroys a key that was only renamed for destruction."""
    bus = Replaced(tmp_path)
    (left,) = (bus.home / "keys" / "past").glob("*.seed")
    left.rename(left.with_suffix(".gone"))
    expired_keys.destroy(bus.folder, bus.directory, bus.over())
    assert [*(bus.home / "keys" / "past").iterdir()] == []


def test_no_service_waits_for_a_key_of_another_that_cannot_be_destroyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a cut destruction of the auditor's key on a bad sector, then the registrar's key is destroyed, and both are told."""
    bus, said, overwrite = Replaced(tmp_path), list[str](), keyfile._overwrite
    auditor = bus.folder.service("auditor")
    Identity.at(auditor, "auditor").succeeded(auditor)
    (left,) = (auditor / "keys" / "past").glob("*.seed")
    stuck = left.rename(left.with_suffix(".gone"))

    def failing(path: Path) -> None:
        if path == stuck:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        overwrite(path)

    async def known(_folder: BusFolder) -> tuple[Directory, datetime]:
        return bus.directory, bus.over()

    monkeypatch.setattr(keyfile, "_overwrite", failing)
    monkeypatch.setattr(expired_keys, "_read", known)
    expired_keys.look(bus.folder, said.append, BROKER_SECONDS)

    assert bus.there == {bus.new}
    assert stuck.exists()
    assert said == [
        "1 sealing keys of services were replaced long ago, and are destroyed.",
        "Replaced keys of services could not be looked through (OSError); it is tried again tomorrow.",
    ]


def test_a_key_that_the_directory_does_not_name_stays(tmp_path: Path) -> None:
    """The key in use, and a key that nobody admitted, are left alone."""
    bus = Replaced(tmp_path)
    third = Identity.at(bus.home, "registrar").succeeded(bus.home).sealing.kid
    expired_keys.destroy(bus.folder, bus.directory, bus.over())
    assert bus.there == {bus.new, third}


def test_the_doctor_says_what_is_left_and_who_destroys_it(tmp_path: Path) -> None:
    """The start of the bus destroys a service's key, and an agency's desk its own."""
    found = list(of_left_keys(BusFolder(tmp_path), TopicRead(left=(("registrar", 1), ("ngo-a", 2)))))
    assert [each.code for each in found] == ["key_left"] * 2
    assert [each.mend.partition(" destroys")[0] for each in found] == ["nrmbus up", "nrmbus run ngo-a: a desk"]
    assert all(each.serious for each in found)


def test_a_broker_that_goes_away_meanwhile_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a directory that is never read to its end, then the look ends with a sentence, and destroys nothing."""
    bus, said = Replaced(tmp_path), list[str]()

    async def never(_folder: BusFolder) -> Directory:
        await asyncio.Event().wait()
        return bus.directory

    monkeypatch.setattr(expired_keys, "read_directory", never)
    expired_keys.look(bus.folder, said.append, 0.01)

    assert said == ["Replaced keys of services could not be looked through (TimeoutError); it is tried again tomorrow."]
    assert bus.there == {bus.old, bus.new}


@pytest.mark.broker
async def test_on_a_bus_that_runs_they_are_found_and_destroyed(broker: Broker) -> None:
    """By the directory as it stands in the topic: the doctor finds them a day late, the look of each day leaves none.

    The timekeeper's key is its desk's to destroy; the doctor keeps reporting the key while that desk is off.
    """
    folder = broker.fresh_bus(play=False)
    now = datetime.now(UTC).replace(microsecond=0)
    await admit(folder, {}, now - timedelta(days=120))
    await admit(folder, {}, now - timedelta(days=43))
    before = dict((await topic_faults.read_topic(folder, folder.as_operator)).left)
    assert before == {"auditor": 1, "registrar": 1, "timekeeper": 1}

    said = list[str]()
    await asyncio.to_thread(expired_keys.look, folder, said.append, BROKER_SECONDS)
    assert said == ["2 sealing keys of services were replaced long ago, and are destroyed."]
    assert dict((await topic_faults.read_topic(folder, folder.as_operator)).left) == {"timekeeper": 1}
