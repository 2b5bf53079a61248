"""Who may run a desk: the rule, and the claim on the bus."""

import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import groups, lease
from nrmbus.bus.kafka.lease import Held, Lease, LeaseHeld, Standing

BUS = "0123456789abcdef"
INBOX = TopicPartition("nrm.inbox.shelter", 0)
OTHER = Lease(BUS, 3, "b" * 32, "host-b", 7, "2026-03-02T09:00:00Z")
HERE = replace(OTHER, place="a" * 32, host="host-a", pid=8)


@pytest.mark.parametrize(
    ("newest", "lives", "is_free"),
    [
        (None, True, True),
        (OTHER, True, False),
        (OTHER, False, True),
        (replace(OTHER, ended=True), True, True),
        (HERE, True, True),
    ],
    ids=[
        "a desk of an earlier release",
        "another lives",
        "another was silent",
        "another ended",
        "killed at this place",
    ],
)
def test_a_desk_begins_unless_another_place_lives(newest: Lease | None, *, lives: bool, is_free: bool) -> None:
    """At the same place the lock says that the holder is gone; elsewhere its membership does, or its last word."""
    assert lease.is_free(Standing(newest, lives, {}), HERE.place) is is_free


@pytest.mark.parametrize(
    "metadata", ["", "17", "null", "[]", "{", '{"bus": 1}', replace(OTHER, bus="f" * 16).written()]
)
def test_what_is_no_lease_of_this_bus_is_none(metadata: str) -> None:
    """A topic may have been made again under the same name, and an earlier release wrote nothing."""
    assert Lease.read(OTHER.written(), BUS) == OTHER
    assert Lease.read(metadata, BUS) is None


def test_places_are_equal_exactly_where_the_lock_is_the_same(tmp_path: Path) -> None:
    """A copied folder has another lock file, whatever is in it."""
    here, copy = tmp_path / "run" / "desk.lock", tmp_path / "copy" / "desk.lock"

    assert lease.place_of(here) == lease.place_of(here)
    assert lease.place_of(here) != lease.place_of(copy)


def test_p9_the_lease_names_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """P9: Given a machine that macOS named after the person who set it up, then neither the bus nor a log has her name."""
    monkeypatch.setattr(socket, "gethostname", lambda: "CANARY-Mammadovas-MacBook-Pro.local")
    ours = lease.Me(BUS, "shelter", "a" * 32, (INBOX,)).lease(3)

    assert "CANARY" not in ours.written()
    for sentence in (lease.waits("shelter", ours, "standby"), lease.refused("shelter", ours)):
        assert "CANARY" not in sentence
        assert f"this machine, process {ours.pid}, since" in sentence


def test_a_lease_of_another_machine_says_so() -> None:
    """Given leases of another machine, of this release and of an earlier one, then the sentence tells them from this machine."""
    other = Lease.read(replace(OTHER, host="0a1b2c3d").written(), BUS)
    earlier = Lease.read(OTHER.written(), BUS)

    assert other is not None
    assert "runs already: another machine, process 7" in lease.waits("shelter", other, "wait")
    assert earlier is not None
    assert "runs already: host host-b, process 7" in lease.waits("shelter", earlier, "wait")


class Bus:
    """Group of an inbox: what its members commit, and whether one lives."""

    def __init__(self, newest: Lease | None = None, *, lives: bool = True) -> None:
        self.metadata = newest.written() if newest else ""
        self.lives: Callable[[], bool] = lambda: lives
        self._coordinator = SimpleNamespace(fetch_committed_offsets=self._committed)

    async def _committed(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, OffsetAndMetadata]:
        return {each: OffsetAndMetadata(5, self.metadata) for each in partitions}

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """Keep the metadata, as the broker does."""
        (self.metadata,) = {at.metadata for at in offsets.values()}

    async def ask(self, group: str, partitions: Iterable[TopicPartition]) -> groups.Group:
        """Answer as `groups.asking` does."""
        assert group == "shelter.desk"
        return groups.Group(self.lives(), await self._committed(partitions))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Bus:
    """Return the bus that is asked, on which a silence is short."""
    bus = Bus(OTHER)

    @asynccontextmanager
    async def asking(_: object) -> AsyncIterator[groups.Ask]:
        yield bus.ask

    monkeypatch.setattr(groups, "asking", asking)
    for name, seconds in (("SILENT", 0.02), ("_MARGIN", 0.0), ("LOOK_SECONDS", 0.001)):
        monkeypatch.setattr(lease, name, seconds)
    return bus


@pytest.fixture
def folder(tmp_path: Path) -> BusFolder:
    """Return a bus's folder."""
    made = BusFolder(tmp_path)
    made.create(bootstrap="127.0.0.1:1", tls=False)
    return made


async def turn(folder: BusFolder, bus: Bus, how: lease.How, told: list[str]) -> lease.Begins:
    """Wait for the turn to run the shelter's desk."""
    bus.metadata = replace(OTHER, bus=folder.settings.bus).written()
    return await lease.turn(folder, "shelter", folder.agency("shelter").path, how, told.append)


async def test_a_second_host_is_refused_and_told_who_runs_the_desk(folder: BusFolder, asked: Bus) -> None:
    """It waits as long as a silence lasts, since the other may just have died; then it ends, with what to do."""
    told: list[str] = []
    with pytest.raises(LeaseHeld) as held:
        await turn(folder, asked, "wait", told)

    assert [each.partition("since")[0] for each in told] == [
        "The desk of shelter runs already: host host-b, process 7, "
    ]
    assert "nrmbus run shelter --take-over" in lease.refused("shelter", held.value.lease)


async def test_a_standby_begins_when_the_other_is_silent(folder: BusFolder, asked: Bus) -> None:
    """It waits for longer than a silence, as long as the other lives."""
    told: list[str] = []
    left = iter([True] * 60)
    asked.lives = lambda: next(left, False)

    begins = await turn(folder, asked, "standby", told)

    assert begins.standing.lives is False
    assert next(left, None) is None, "not before"
    assert len(told) == 1


async def test_who_takes_over_asks_nobody(folder: BusFolder, asked: Bus) -> None:
    """A person says so, for a host that cannot be reached any more."""
    told: list[str] = []
    begins = await turn(folder, asked, "take_over", told)

    assert (begins.standing.lives, told) == (True, [])
    assert begins.quiet == lease.SILENT, "the other may not have noticed yet: it sends nothing for so long"
    asked.lives = lambda: False
    assert (await turn(folder, asked, "take_over", told)).quiet == 0


async def test_the_highest_generation_holds_the_desk() -> None:
    """Two that begin at the same time have the same generation: the first claim counts. A later generation puts it out."""
    bus: Any = Bus()
    first, second, later = Held(OTHER), Held(HERE), Held(replace(HERE, generation=4))
    await first.claim(bus, {INBOX: 5})
    with pytest.raises(LeaseHeld, match="host-b"):
        await second.claim(bus, {INBOX: 5})
    assert [first.is_sure, second.is_sure] == [True, False]

    await later.claim(bus, {INBOX: 5})
    with pytest.raises(LeaseHeld, match="host-a"):
        await first.check(bus, {INBOX: 5})
    await later.check(bus, {INBOX: 5})


async def test_a_holder_is_sure_only_while_the_broker_confirms_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that stood still for longer than a silence may have been replaced: it sends nothing before it has asked."""
    bus: Any = Bus()
    clock = [100.0]
    monkeypatch.setattr(lease, "_now", lambda: clock[0])
    held = Held(HERE)
    sure = [held.is_sure]
    await held.claim(bus, {INBOX: 5})
    answers = [True, False]

    async def heartbeat() -> bool:
        return answers.pop(0)

    bus._coordinator._do_heartbeat = heartbeat
    held.follow(bus)
    clock[0] += lease.SILENT - 1
    await bus._coordinator._do_heartbeat()
    clock[0] += lease.SILENT - 1
    sure.append(held.is_sure)
    await bus._coordinator._do_heartbeat()
    clock[0] += 2
    sure.append(held.is_sure)
    silent = [Held(HERE).silence, held.silence]
    clock[0] += 60
    silent.append(held.silence)

    assert sure == [False, True, False], "not before the claim, and not after a heartbeat that was not confirmed"
    since = lease.SILENT + 1
    assert silent == [None, since, since + 60], "not before the claim, and after it since the last confirmed heartbeat"


async def test_a_holder_that_ends_says_so() -> None:
    """The next one need not wait for a silence."""
    bus: Any = Bus()
    held = Held(HERE)
    await held.claim(bus, {INBOX: 5})
    held.ends()
    await held.end(bus, {INBOX: 5})

    assert Lease.read(bus.metadata, BUS) == replace(HERE, ended=True)
    assert not held.is_sure


@pytest.mark.parametrize(
    "metadata",
    [
        "",
        "no JSON",
        "null",
        "[1]",
        '{"bus":1}',
        '{"bus":' + "[" * 1_900 + "]" * 1_900 + "}",
        '{"bus":' + "9" * 4_000 + "}",
    ],
    ids=["empty", "text", "null", "a list", "parts", "nested", "a number of 4,000 digits"],
)
def test_what_another_agency_writes_is_no_lease_and_no_error(metadata: str) -> None:
    """The timekeeper reads what every desk has written there: one of them must not be able to stop it."""
    assert Lease.read(metadata, BUS) is None
