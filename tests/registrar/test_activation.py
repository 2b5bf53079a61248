"""A profile that is put in force: no registrar judges by another one, whichever partitions it has and whenever it began."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from agencies import CASE, NOW, POLICY
from nrmbus.events import bulletin
from nrmbus.registrar.emergency_limit import Askings
from nrmbus.registrar.history_state import HistoryError
from nrmbus.registrar.shard import Shard
from nrmbus.rules import Rules, load_profile
from nrmbus.rules import rules as rules_module
from nrmbus.rules.profile import Profile, UnknownProfileError
from nrmbus.timekeeper.watch import Watch
from nrmbus.wire import ids
from nrmbus.wire.keys.keys import VerifyKey
from registrar.given import Bus, check_history

NEW = "osce-generic@2022-01-01"
SAME_DECIDER = "az@2024-02-08"
DAY = "2026-03-05"
AFTER = NOW + timedelta(days=4)


def activate(bus: Bus, shard: Shard, **said: Any) -> str | None:
    """Two people of the coordinator's office put `NEW` in force from `DAY` on; return the code of a refusal."""
    data = {
        "profile": NEW, "digest": load_profile(NEW).digest, "valid_from": DAY, "open_cases": "keep", "acts": ["CoM 1/2026"], **said
    }  # fmt: skip
    about = bulletin.of("coordinator")
    return bus.say(shard, "coordinator", "policy.profile_activated", data, case=about, approver="S-2").code


@contextmanager
def older_release(monkeypatch: pytest.MonkeyPatch, bus: Bus, *, has: str | None = None) -> Iterator[Bus]:
    """In the block *bus* runs a release without the profile `NEW`, or with the values of *has* under its name."""

    def loaded(name: str) -> Profile:
        if name == NEW and has is None:
            raise UnknownProfileError(name)
        return load_profile(has if name == NEW and has else name)

    before = bus.rules
    with monkeypatch.context() as patch:
        patch.setattr(rules_module, "load_profile", loaded)
        bus.rules = Rules(load_profile(POLICY), bus.agencies)
        try:
            yield bus
        finally:
            bus.rules = before


class TestARegistrarOfAnOlderRelease:
    """It takes over while a profile is in force, or soon to be, that it cannot judge by."""

    @pytest.mark.parametrize("has", [None, "az@2024-02-08"], ids=["without the profile", "with other values"])
    def test_stops_at_the_activation_and_says_what_to_do(
        self, monkeypatch: pytest.MonkeyPatch, has: str | None
    ) -> None:
        """It stops before the day: on the day it would begin cases by the earlier profile, and another registrar by the new one."""
        bus = Bus()
        shard = bus.shard()
        assert activate(bus, shard) is None
        with older_release(monkeypatch, bus, has=has):
            older = bus.shard()
            with pytest.raises(
                HistoryError, match=rf"{NEW}.*does not have.*nrmbus rules add FILE.*upgrade the registrar"
            ) as error:
                older.memory.fold(bus.history[-1])

        assert "registration 1" in str(error.value)
        check_history(bus, shard)

    async def test_stops_too_where_it_reads_the_activation_in_another_partition(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It has no part of the coordinator's bulletin, and judges cases that begin on that day all the same."""
        bus = Bus(partitions=2)
        shard = bus.shard(ids.partition_of(bulletin.of("coordinator"), 2))
        assert activate(bus, shard) is None
        with older_release(monkeypatch, bus):
            askings = Askings("", 2, bus.rules, lambda _: bus.key.verify_key)
            with pytest.raises(HistoryError, match="upgrade the registrar"):
                askings._activate(shard.partition, bus.history[-1])


class Elsewhere(Askings):
    """The other partitions, as a registrar reads them: the activation is there, and each reading is counted."""

    readings = 0

    def __init__(self, bus: Bus, there: Shard) -> None:
        super().__init__("", 2, bus.rules, _key_of(bus), coordinators=lambda: ("coordinator",))
        self._bus, self._there = bus, there

    async def _read(self, others: Collection[int]) -> None:
        self.readings += 1
        assert others == {self._there.partition}
        self._activate(self._there.partition, self._bus.history[-1])


def _key_of(bus: Bus) -> Any:
    def key_of(_kid: str) -> VerifyKey:
        return bus.key.verify_key

    return key_of


async def test_a_registrar_of_another_partition_moves_an_open_case_though_it_begins_none() -> None:
    """Given that open cases move, when it only ever judges a case of before, then it has read the activation elsewhere; and seldom."""
    bus = Bus(partitions=2)
    of_bulletin = ids.partition_of(bulletin.of("coordinator"), 2)
    case = next(
        each for each in (f"{number:032x}" for number in range(100)) if ids.partition_of(each, 2) != of_bulletin
    )
    shard = bus.shard(1 - of_bulletin)
    there = Bus(partitions=2)
    there.key = bus.key
    elsewhere = there.shard(of_bulletin)
    bus.signal(shard, case=case)
    moving = {"profile": SAME_DECIDER, "digest": load_profile(SAME_DECIDER).digest, "open_cases": "move"}
    assert activate(there, elsewhere, **moving) is None
    askings = Elsewhere(SimpleNamespace(rules=bus.rules, key=bus.key, history=there.history), elsewhere)  # type: ignore[arg-type]

    async def moved(now: datetime) -> str:
        await askings.look_for_activations(shard, now)
        found = shard.memory.case(case)
        assert found is not None
        return bus.rules.policy_for(found.view, "ngo-a", now)

    assert await moved(AFTER) == SAME_DECIDER
    assert await moved(AFTER + timedelta(minutes=1)) == SAME_DECIDER
    assert askings.readings == 1


async def test_a_clock_that_was_ahead_keeps_no_activation_from_a_registrar() -> None:
    """Given a clock that was a month ahead, when it is set right, then the other partitions are read at once, and not in a month."""
    bus = Bus(partitions=2)
    of_bulletin = ids.partition_of(bulletin.of("coordinator"), 2)
    there = Bus(partitions=2)
    there.key = bus.key
    elsewhere = there.shard(of_bulletin)
    assert activate(there, elsewhere) is None
    askings = Elsewhere(SimpleNamespace(rules=bus.rules, key=bus.key, history=there.history), elsewhere)  # type: ignore[arg-type]
    for now in (NOW + timedelta(days=30), NOW, NOW + timedelta(minutes=1)):
        await askings.look_for_activations(bus.shard(1 - of_bulletin), now)

    assert askings.readings == 2


def test_a_timekeeper_without_the_profile_says_nothing_of_its_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another profile has other clocks: silence can be made up for, a false breach cannot. The cases of before go on."""
    bus = Bus()
    shard = bus.shard()
    bus.signal(shard)
    assert activate(bus, shard) is None
    bus.signal(shard, case="cd" * 16, now=AFTER)
    with older_release(monkeypatch, bus):
        watch = Watch(bus.rules, bus.bus, lambda _: bus.key.verify_key)
        for record in bus.history:
            watch.take(record, 0)

        assert watch.unknown == {"cd" * 16}
        assert {each.subject for each in watch.due(AFTER + timedelta(days=60))} == {CASE}
    check_history(bus, shard)
