"""A registrar that was silent and lost its partitions leaves the other one time, so that two starving ones do not dance."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition

from nrmbus.bus.kafka import clients
from nrmbus.registrar import rest as rests
from nrmbus.registrar.assignor import RESTS, InOrder
from nrmbus.registrar.owner import Owned, Owner
from nrmbus.registrar.rest import FIRST_SECONDS, FORGET_SECONDS, LONGEST_SECONDS, Rest

OUTBOX = TopicPartition("nrm.outbox.ngo-a", 0)


class Clock:
    """Clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Let the time pass at once."""
        self.now += seconds


@pytest.fixture(name="clock")
def _clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rests, "asyncio", SimpleNamespace(sleep=clock.sleep))
    return clock


def rest_of(path: Path, clock: Clock) -> Rest:
    """Return the rest of a registrar, as long as it may be."""
    return Rest(path / "silences.json", clock=clock, chance=lambda _shortest, longest: longest)


def test_each_silence_makes_the_rest_longer_up_to_a_bound(tmp_path: Path, clock: Clock) -> None:
    """Given one silence after another, then each rest is twice as long, also over restarts; after five quiet minutes it is short again."""
    found = []
    for _ in range(6):
        rest = rest_of(tmp_path, clock)
        rest.begin()
        found.append(rest.left)
        clock.now += 20
    assert found == [2.0, 4.0, 8.0, 16.0, 16.0, 16.0]
    assert (FIRST_SECONDS, LONGEST_SECONDS) == (2.0, 16.0)

    assert rest_of(tmp_path, clock).left == 0
    clock.now += FORGET_SECONDS
    rest = rest_of(tmp_path, clock)
    rest.begin()
    assert rest.left == FIRST_SECONDS
    clock.now -= 3600
    assert rest.left == 0, "a clock that was put back makes nobody wait for an hour"


def test_two_registrars_rest_for_different_times(tmp_path: Path) -> None:
    """Given the same silence, then chance keeps them from coming back together; a rest lasts half its time at least."""
    found = set()
    for number in range(20):
        rest = Rest(tmp_path / str(number), clock=lambda: 7.0)
        rest.begin()
        found.add(rest.left)
    assert len(found) > 1
    assert all(FIRST_SECONDS / 2 <= each <= FIRST_SECONDS for each in found)


def test_a_damaged_file_is_no_rest(tmp_path: Path, clock: Clock) -> None:
    """Given a file that nobody can read, then the registrar works as if it had never been silent."""
    (tmp_path / "silences.json").write_text('{"count": "many"}')
    assert rest_of(tmp_path, clock).left == 0


class Member:
    """Consumer in a group of the given generation."""

    def __init__(self, generation: int) -> None:
        self._coordinator = SimpleNamespace(generation=generation)

    def subscription(self) -> set[str]:
        """Return the outboxes."""
        return {OUTBOX.topic}

    def partitions_for_topic(self, _topic: str) -> set[int]:
        """Return no partition: nothing is followed in this test."""
        return set()

    def pause(self, *_: TopicPartition) -> None:
        """Read nothing."""


def owner_of(rest: Rest, member: Member, monkeypatch: pytest.MonkeyPatch) -> Owner:
    """Return a registrar that works with partition 0 since generation 5."""
    nothing = cast("Any", None)
    monkeypatch.setattr(clients, "group_consumer", lambda *_, **__: member)
    parts = dict.fromkeys(
        ("clock", "batcher", "askings", "make_shard", "check_head", "catch_up", "high_water"), nothing
    )
    owner = Owner(where="127.0.0.1:1", place="a", partitions=1, snapshots=nothing, pace=nothing, rest=rest, **parts)
    owner._joined_before = True
    owner._assignor.noted(5, works=True)
    done = SimpleNamespace(flush=lambda: None, stop=lambda: asyncio.sleep(0))
    owner.owned = {0: Owned(0, nothing, cast("Any", done), cast("Any", done), cast("Any", done), ready=True)}
    return owner


@pytest.mark.parametrize(("generation", "seconds"), [(6, 0.0), (7, FIRST_SECONDS)], ids=["shared out", "was silent"])
async def test_who_lost_a_partition_by_silence_rests(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, generation: int, seconds: float
) -> None:
    """Given another registrar that has the partition, then this one rests if it had missed a generation, and not after a common share-out."""
    rest = rest_of(tmp_path, clock)
    owner = owner_of(rest, Member(generation), monkeypatch)
    noted, rests_from, began = list[int](), owner._assignor.rests, clock.now

    def rests_noted(each: int) -> None:
        noted.append(each)
        rests_from(each)

    monkeypatch.setattr(owner._assignor, "rests", rests_noted)
    await owner.on_partitions_revoked([OUTBOX])
    await owner.on_partitions_assigned([])
    if owner._ending_rest is not None:
        await owner._ending_rest

    assert owner.stands_by
    assert noted == ([generation] if seconds else [])
    assert clock.now - began == seconds
    assert owner._assignor.since != RESTS, "it may have a share again after its rest"


async def test_who_rests_takes_over_only_afterwards(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a silent registrar, then a resting one fences it after the rest, and one that was never silent at once."""
    rest, fenced = rest_of(tmp_path, clock), list[float]()
    owner = owner_of(rest, Member(6), monkeypatch)
    owner._make_shard = owner._high_water = owner._snapshots = cast("Any", lambda _: None)

    async def fencing(_: int) -> Any:
        fenced.append(clock.now)

    monkeypatch.setattr(owner, "_fencing", fencing)
    began = clock.now
    await owner._take_over(0)
    rest.begin()
    await owner._take_over(0)

    assert fenced == [began, began + FIRST_SECONDS]


async def test_the_only_registrar_of_a_bus_does_not_rest(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given one that was fenced when a frozen broker gave its transaction up, then it works as soon as it has started again."""
    rest_of(tmp_path, clock).begin()
    rest = rest_of(tmp_path, clock)
    owner = owner_of(rest, Member(1), monkeypatch)
    owner.owned, owner._assignor = {}, InOrder.made(1)
    assert rest.left == FIRST_SECONDS
    monkeypatch.setattr(owner, "_guarded", lambda *_: asyncio.sleep(0))
    await owner.on_partitions_assigned([OUTBOX])

    assert rest.left == 0
    assert owner._assignor.since == 1
    rest.begin()
    assert rest.left == 2 * FIRST_SECONDS, "the silence before is counted"


async def test_a_silence_that_nobody_used_is_no_rest(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a registrar that gets its own partition back, since the other one rests, then it goes on at once and is no standby."""
    rest = rest_of(tmp_path, clock)
    owner = owner_of(rest, Member(7), monkeypatch)
    served = asyncio.Event()

    async def serve(*_: Any) -> None:
        served.set()

    monkeypatch.setattr(owner, "_guarded", serve)
    await owner.on_partitions_revoked([OUTBOX])
    await owner.on_partitions_assigned([OUTBOX])
    await served.wait()

    assert (rest.left, owner.stands_by) == (0, False)
    assert owner._assignor.since == 5
