"""P1: no accepted event is lost or doubled, whatever is killed: the registrar alone, on a real broker, under load."""

import asyncio
import signal
from functools import partial
from pathlib import Path

import pytest

from patience import eventually
from registrar.fire import Fire, Place

pytestmark = pytest.mark.broker


@pytest.mark.slow
async def test_p1_killed_again_and_again(tmp_path: Path) -> None:
    """P1: SIGKILL in the middle of its transactions: every acknowledged event is registered once, in order, without a gap."""
    async with Fire(tmp_path / "bus", partitions=1, places=1) as fire:
        fire.send()
        await fire.until_registered(100)
        place = fire.places[0]
        for turn in range(1, 5):
            place.signal(signal.SIGKILL)
            await eventually("it is started again", partial(_has_started, place, turn + 1))
            await fire.until_registered(fire.registered() + 100)
        await fire.until_registered(600)
        found = await fire.settle()

        assert not found.any, found
        assert found.registered >= 600
        assert place.starts >= 5


def _has_started(place: Place, times: int) -> bool:
    return place.starts >= times


async def test_p1_killed_frozen_and_joined_by_a_new_agency(tmp_path: Path) -> None:
    """P1: three partitions, two registrars; one killed, one frozen inside a transaction past its session, a new agency under load."""
    async with Fire(tmp_path / "bus", partitions=3, places=2) as fire:
        fire.send()
        await fire.until_registered(100)
        fire.places[0].signal(signal.SIGKILL)
        await fire.until_registered(fire.registered() + 100)
        await fire.admit({"ngo-new": "ngo_outreach"})
        fire.send_for("ngo-new")
        await fire.freeze_inside(fire.places[1])
        await fire.until_registered(fire.registered() + 100)
        fire.places[1].signal(signal.SIGKILL)
        found = await fire.settle()

        assert not found.any, found
        assert any(source == "ngo-new" for source, _, _ in fire.acknowledged)


@pytest.mark.broken_trail(reason="two registrars write under two transactional ids, to see that the check finds it")
async def test_p1_the_check_sees_a_wrong_transactional_id(tmp_path: Path) -> None:
    """Sabotage: with an id of the process instead of the shard, a frozen registrar commits as a zombie, and the check sees it."""
    async with Fire(tmp_path / "bus", partitions=1, places=2, sabotage=True) as fire:
        fire.send()
        await fire.until_registered(200)
        await fire.freeze_inside(fire.owner())

        await eventually("the check sees it", partial(_sees, fire))


async def _sees(fire: Fire) -> bool:
    found = await asyncio.to_thread(fire.check)
    return bool(found.any_doubled or fire.history_refused())
