"""One desk on two hosts, on a real broker: one of them runs it, and the other is told who and where."""

import signal
from pathlib import Path

import pytest

from brokers import Broker
from desk.live import LiveBus, live, log_of, signal_of
from desk.test_live import TWO, quiet, rows, topic
from nrmbus.bus.kafka import lease
from nrmbus.cli import health
from nrmbus.wire.envelope import decode
from patience import LONGEST_WAIT, eventually

pytestmark = [pytest.mark.broker, pytest.mark.slow]

UNIT = "special-unit"


async def said(bus: LiveBus) -> list[str]:
    """Return the ids in the unit's outbox topic, in order."""
    return [decode(each.without_letter()).id for each in await topic(bus, f"nrm.outbox.{UNIT}")]


async def heard(bus: LiveBus, number: int) -> None:
    """Publish a signal of another case, of which the unit's desk sends a receipt."""
    async with bus.door("ngo-a") as ngo:
        answer = await ngo.publish(signal_of(f"{number:02x}" * 16), wait=LONGEST_WAIT)
    assert answer["verdict"] == "registered"


async def answered(bus: LiveBus, receipts: int) -> None:
    """Wait until the unit's desk on that host knows of so many registered receipts of its own."""
    own = "SELECT count(DISTINCT id) FROM inbox WHERE source = 'special-unit' AND verdict = 'registered'"
    await eventually("its receipts are registered", lambda: rows(bus, UNIT, own) == [(receipts,)])


async def gone(bus: LiveBus) -> int | None:
    """Wait until the unit's desk on that host has ended; return its exit status."""
    await eventually("the desk ends", lambda: bus.status(UNIT) is not None)
    return bus.status(UNIT)


async def test_of_two_hosts_one_runs_the_desk(broker: Broker, tmp_path: Path) -> None:
    """The second host waits, takes over from one that ended or fell silent, and puts out one that lives only if told to."""
    async with live(broker, TWO, run=list(TWO)) as first:
        await heard(first, 1)
        await answered(first, 1)
        await quiet(first, *TWO)
        second = first.copied(tmp_path / "second")

        # The first runs: the second is told who and where, and says nothing.
        second.start(UNIT, how="standby")
        await eventually("the second is told", lambda: "runs already" in log_of(second.folder, UNIT))
        await heard(first, 2)
        await quiet(first, *TWO)
        told = log_of(second.folder, UNIT)
        assert f"process {first.pid(UNIT)}, since 20" in told
        assert rows(second, UNIT, "SELECT count(*) FROM outbox") == [(1,)]
        asked = await health.ask(second.folder, UNIT)
        assert asked is not None
        assert "This one stands by" in health.remark_on(asked), "nrmbus status says it there"

        # The first ends in order: the second need not wait until it has been silent.
        first.kill(UNIT, signal.SIGTERM)
        await second.ready(UNIT)
        await heard(first, 3)
        await answered(second, 3)

        # The first is told to take over while the second lives: the second stops, and does not come back.
        first.start(UNIT, how="take_over")
        await heard(first, 4)
        assert await gone(second) == lease.HELD
        assert f"took it over: this machine, process {first.pid(UNIT)}" in log_of(second.folder, UNIT)

        # The first stands still: the second takes over, and the first sends nothing more when it wakes up.
        second.start(UNIT, how="standby")
        await eventually("the second waits", lambda: log_of(second.folder, UNIT).count("runs already") == 2)
        first.signal(UNIT, signal.SIGSTOP)
        await heard(first, 5)
        await second.ready(UNIT)
        await heard(first, 6)
        await answered(second, 6)
        before = await said(first)
        first.signal(UNIT, signal.SIGCONT)
        assert await gone(first) == lease.HELD
        await heard(first, 7)
        await answered(second, 7)

        after = await said(first)
        assert after[: len(before)] == before
        assert len(after) == len(before) + 1
        assert rows(second, UNIT, "SELECT count(*) FROM inbox WHERE verdict = 'refused'") == [(0,)]
        assert rows(second, UNIT, "SELECT count(*) FROM tasks WHERE kind IN ('refused', 'not_sent')") == [(0,)]
