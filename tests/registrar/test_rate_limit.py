"""A sender without end waits: a flood becomes a trickle for disk and memory, and other senders do not notice it."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from nrmbus.bus.kafka import clients
from nrmbus.bus.kafka.quotas import load_submissions
from nrmbus.bus.rate_limit import Pace, Rate
from nrmbus.registrar import owner as owners
from nrmbus.registrar.owner import FAIR_SHARE, IDLE_LOOK_MS, LOOK_MS, Owned, Owner
from nrmbus.telemetry import log

FLOOD, QUIET = TopicPartition("nrm.outbox.ngo-a", 0), TopicPartition("nrm.outbox.ngo-b", 0)


@given(
    st.builds(Rate, st.integers(1, 50), st.integers(1, 20)),
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 30)), max_size=30),
)
def test_no_more_is_taken_than_at_once_and_a_second(rate: Rate, steps: list[tuple[float, int]]) -> None:
    """At any time the sum taken is at most the room since the start plus one handful."""
    pace, now, taken, largest = Pace(rate), 0.0, 0, 0
    for waited, count in steps:
        now += waited
        if pace.may("a", now):
            pace.took("a", count, now)
            taken, largest = taken + count, max(largest, count)
        assert taken <= rate.at_once + rate.a_second * now + largest
        assert pace.held(now) == (() if pace.may("a", now) else ("a",))
        assert pace.may("b", now)
        still = pace.wait("a", now)
        assert (still > 0) >= (not pace.may("a", now))
        assert pace.wait("a", now + still) == 0
    assert pace.may("a", now + 30 / rate.a_second + 1)  # who stops is soon free again, whatever came before


def test_who_was_silent_has_no_more_than_at_once() -> None:
    """A year without a word is no credit."""
    pace = Pace(Rate(at_once=3, a_second=1))
    pace.took("a", 1, 0.0)
    pace.took("a", 3, 1e7)
    assert not pace.may("a", 1e7)
    assert pace.may("a", 1e7 + 1)


class Consumer:
    """Has a hundred more of the flood each time it is asked for it, and a word of somebody else each time."""

    def __init__(self) -> None:
        self.asked: list[set[TopicPartition]] = []
        self.waits: list[int] = []
        self._at = {FLOOD: 0, QUIET: 0}

    async def getmany(
        self, *which: TopicPartition, max_records: int, timeout_ms: int
    ) -> dict[TopicPartition, list[Any]]:
        """Return how much of *which* is left."""
        self.asked.append(set(which))
        self.waits.append(timeout_ms)
        found = {}
        for each in which:
            count = max_records if each == FLOOD else 1
            found[each] = [SimpleNamespace(offset=self._at[each] + number) for number in range(count)]
            self._at[each] += count
        return found


async def test_who_submits_too_fast_is_held_back_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registrar asks the broker for the others alone, says once whom it does not ask for, and loses nothing."""
    now, lines = 100.0, list[dict[str, Any]]()
    monkeypatch.setattr(owners, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(log, "report", lambda what, **of: lines.append({"what": what, **of}))
    consumer, nothing = Consumer(), cast("Any", None)
    monkeypatch.setattr(clients, "group_consumer", lambda *_, **__: consumer)
    owner = Owner(
        where="127.0.0.1:1", place="a", partitions=1, clock=nothing, batcher=nothing, askings=nothing, make_shard=nothing,
        check_head=nothing, catch_up=nothing, high_water=nothing, snapshots=nothing, rest=nothing, pace=Pace(Rate(at_once=2 * FAIR_SHARE, a_second=10)),
    )  # fmt: skip
    owned = Owned(0, nothing, nothing, nothing, nothing)
    owned.taken = {FLOOD: 0, QUIET: 0}
    fetched = [await owner._collect(owned, [FLOOD, QUIET]) for _ in range(5)]

    assert [len(each) for each in fetched] == [FAIR_SHARE + 1, FAIR_SHARE + 1, 1, 1, 1]
    assert consumer.asked == [{FLOOD, QUIET}, {FLOOD, QUIET}, {QUIET}, {QUIET}, {QUIET}]
    assert consumer.waits == [IDLE_LOOK_MS] * 2 + [LOOK_MS] * 3, "who is held back is looked at soon again"
    assert owner.held == (FLOOD.topic,)
    assert lines == [{"what": "held_back", "topic": FLOOD.topic}]

    assert await owner._collect(owned, [FLOOD]) == []
    assert len(consumer.asked) == 5, "with nobody to ask for, the broker is not asked"

    now += 1
    later = await owner._collect(owned, [FLOOD, QUIET])
    assert [each.offset for each in later] == [*range(2 * FAIR_SHARE, 3 * FAIR_SHARE), 5]
    assert not owner.held


def test_what_a_country_says_in_years_is_taken_at_once() -> None:
    """The shipped rate holds nobody back who has something to say."""
    at_once, a_second = load_submissions()
    assert at_once >= 20_000
    assert a_second * 86_400 > at_once
