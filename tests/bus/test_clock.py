"""The clock is the wall clock, or on a bus for playing the clock that the player moves, forwards only."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from brokers import Broker
from nrmbus.bus.clock import BEFORE_ANY_TICK, SteppedClock, Tick, WallClock, clock_of, tick_clock
from nrmbus.bus.kafka import clients
from patience import PATIENCE

NINE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TEN = NINE + timedelta(hours=1)


def test_the_walls_time_is_in_utc_to_the_second() -> None:
    """As every time on the wire."""
    now = WallClock().now()

    assert now.utcoffset() == timedelta(0)
    assert now.microsecond == 0
    assert abs(datetime.now(UTC) - now) < timedelta(seconds=2)


async def test_a_bus_that_is_not_for_playing_has_the_walls_clock() -> None:
    """Whatever stands in a topic: nobody can tell it another time."""
    async with clock_of("127.0.0.1:1", play=False) as clock:
        assert isinstance(clock, WallClock)


@pytest.mark.broker
async def test_a_stepped_clock_follows_the_ticks(broker: Broker) -> None:
    """A late clock shows the last tick at once, then handles every new tick in order."""
    bootstrap = broker.fresh_bus().bootstrap
    async with clients.producer(bootstrap) as producer, asyncio.timeout(PATIENCE):
        async with SteppedClock(bootstrap) as clock:
            assert (clock.tick, clock.now()) == (0, BEFORE_ANY_TICK)
        await tick_clock(producer, 1, NINE)
        async with clock_of(bootstrap, play=True) as clock:
            assert isinstance(clock, SteppedClock)
            assert (clock.tick, clock.now()) == (1, NINE)
            for number in range(2, 6):
                await tick_clock(producer, number, NINE + timedelta(minutes=number))
            seen = []
            async for tick in clock.ticks():
                # While the owner handles a tick, the clock shows that tick, however many have come since.
                assert (clock.tick, clock.now()) == tick
                seen.append(tick)
                if tick.number == 5:
                    break
            assert seen == [Tick(number, NINE + timedelta(minutes=number)) for number in range(2, 6)]


@pytest.mark.broker
async def test_callbacks_of_a_tick_run_in_their_owners_task(broker: Broker) -> None:
    """The callbacks run where `run` is awaited, one after the other, in the order of their registration."""
    bootstrap = broker.fresh_bus().bootstrap
    done: list[tuple[str, int]] = []
    last = asyncio.Event()

    async def first(tick: Tick) -> None:
        await asyncio.sleep(0.01)
        done.append(("first", tick.number))

    async def second(tick: Tick) -> None:
        done.append(("second", tick.number))
        if tick.number == 2:
            last.set()

    async with clients.producer(bootstrap) as producer, SteppedClock(bootstrap) as clock, asyncio.timeout(PATIENCE):
        clock.on_tick(first)
        clock.on_tick(second)
        await tick_clock(producer, 1, NINE)
        await tick_clock(producer, 2, TEN)
        assert done == []
        async with asyncio.TaskGroup() as group:
            running = group.create_task(clock.run())
            await last.wait()
            running.cancel()

    assert done == [("first", 1), ("second", 1), ("first", 2), ("second", 2)]


@pytest.mark.broker
async def test_a_stepped_clock_never_goes_back(broker: Broker) -> None:
    """A tick written twice, out of turn, or not a tick at all moves nothing."""
    bootstrap = broker.fresh_bus().bootstrap
    async with clients.producer(bootstrap) as producer, asyncio.timeout(PATIENCE):
        await tick_clock(producer, 1, TEN)
        await tick_clock(producer, 1, TEN + timedelta(hours=1))
        await tick_clock(producer, 2, NINE)
        for junk in (
            b"",
            b"{}",
            b"not JSON",
            b'{"tick": 3, "time": "yesterday"}',
            b'{"tick": "x", "time": null}',
            b"[]",
        ):
            await producer.send_and_wait("nrm.clock", junk, partition=0)
        await tick_clock(producer, 2, TEN)

        async with SteppedClock(bootstrap) as clock:
            assert (clock.tick, clock.now()) == (2, TEN)
