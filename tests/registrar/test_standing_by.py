"""A registrar knows from its group's answers whether it would take over, or works."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from nrmbus.bus.kafka import clients
from nrmbus.bus.rate_limit import Pace, Rate
from nrmbus.registrar import owner as owners
from nrmbus.registrar.owner import Owned, Owner


class Member:
    """Consumer without partitions, whose group confirms heartbeats while it *answers*."""

    def __init__(self) -> None:
        self.answers = True
        self._coordinator = SimpleNamespace(_do_heartbeat=self._confirmed)

    async def _confirmed(self) -> bool:
        return self.answers

    async def heartbeat(self) -> None:
        """Send a heartbeat, as aiokafka's task does."""
        await self._coordinator._do_heartbeat()

    async def start(self) -> None:
        """Connect."""

    def subscribe(self, **_of: object) -> None:
        """Join."""

    def assignment(self) -> set[Any]:
        """Return no partition."""
        return set()


async def test_a_silent_kafka_is_noticed_without_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a registrar that stands by or has just got its partitions, when no heartbeat is confirmed for a minute, then it is cut off until one is."""
    now, nothing, member = 1000.0, cast("Any", None), Member()
    monkeypatch.setattr(owners, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(clients, "group_consumer", lambda *_, **__: member)
    owner = Owner(
        where="127.0.0.1:1", place="a", partitions=1, clock=nothing, batcher=nothing, askings=nothing, make_shard=nothing,
        check_head=nothing, catch_up=nothing, high_water=nothing, snapshots=nothing, rest=nothing, pace=Pace(Rate(at_once=1, a_second=1)),
    )  # fmt: skip
    await owner._join()

    now += clients.UNHEARD_SECONDS + 1
    found = [owner.is_cut_off]
    for member.answers in (True, False):
        now += clients.UNHEARD_SECONDS + 1
        await member.heartbeat()
        found.append(owner.is_cut_off)
    owner.owned = {0: Owned(0, nothing, nothing, nothing, nothing)}
    found.append(owner.is_cut_off)
    member.answers = True
    await member.heartbeat()
    found.append(owner.is_cut_off)

    never_joined, confirmed, silent, just_assigned, confirmed_again = found
    assert (never_joined, silent, just_assigned) == (True, True, True), (
        "an outbox that was just assigned has no answer yet"
    )
    assert (confirmed, confirmed_again) == (False, False)
