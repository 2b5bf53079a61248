"""A desk of the statistics that was off for a month, on a real broker: it catches up to the same tables, byte for byte."""

import signal
from datetime import timedelta
from pathlib import Path

import pytest

from brokers import Broker
from desk.live import STARTS, LiveBus, live, signal_of
from desk.state.test_live_older_copy import copied, put_back
from nrmbus.bus.clock import tick_clock
from nrmbus.bus.kafka import clients
from nrmbus.events.figures import Release
from patience import LONGEST_WAIT

pytestmark = pytest.mark.broker

ME = "statistics"
AGENCIES = {"ngo-a": "ngo_outreach", "special-unit": "special_unit", ME: "statistics"}
WEEK = timedelta(weeks=1)
BATCH = 3


async def draft(bus: LiveBus) -> Release:
    """Return the figures of the year as the desk of the statistics would publish them now."""
    async with bus.door(ME) as door:
        return Release.from_mapping(await door.get(f"/v1/figures/{STARTS.year}/draft"))


async def found(bus: LiveBus, first: int) -> None:
    """Let an NGO find some people, the last of whom had the first one's case before."""
    async with bus.door("ngo-a") as door:
        for number in range(first, first + BATCH):
            said = signal_of(f"{number:032x}")
            if number == first + BATCH - 1 and first > 1:
                said["sealed"] |= {"previous_case": f"{1:032x}"}
            assert (await door.publish(said, wait=LONGEST_WAIT))["verdict"] == "registered"


@pytest.mark.slow
async def test_desk_that_was_off_for_a_month_makes_the_same_figures(broker: Broker, tmp_path: Path) -> None:
    """Given a desk's state of a month ago, when the desk starts, is killed and starts again, its draft is whole."""
    async with live(broker, AGENCIES, run=("ngo-a", ME)) as bus, clients.producer(bus.folder.bootstrap) as producer:
        ledger, copy = bus.folder.agency(ME).ledger, tmp_path / "a-month-ago.sqlite"
        await found(bus, 1)
        before = await draft(bus)
        copied(ledger, copy)
        for week in range(1, 5):
            await tick_clock(producer, 1 + week, STARTS + week * WEEK)
            await found(bus, 1 + week * BATCH)
        due = await draft(bus)
        bus.kill(ME, signal.SIGTERM)
        put_back(copy, ledger)

        bus.start(ME)
        bus.kill(ME)
        bus.start(ME)
        await bus.ready(ME)
        made = await draft(bus)

    assert (before.table("signalled_by_sex").cell("_T"), due.table("signalled_by_sex").cell("_T")) == (None, 11)
    assert made.to_json() == due.to_json()
