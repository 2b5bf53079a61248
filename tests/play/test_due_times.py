"""Moving the clock of a real bus: through every due time, and never for ever."""

import asyncio
from datetime import datetime, timedelta

import pytest

from agencies import NOW
from nrmbus.play.bus import BusStage
from nrmbus.play.quiet import Quiet
from nrmbus.play.stage import StageError
from nrmbus.wire import times
from nrmbus.wire.names import TIMEKEEPER

DAY = timedelta(days=1)


class Still(BusStage):
    """A stage whose bus is quiet at once; at each tick the timekeeper names the next of *due*, the last one for good."""

    def __init__(self, *due: str | None) -> None:
        self._quiet, self._now, self._due = Quiet({}), NOW, list(due)
        self.ticks: list[str] = []
        self._look()

    def _look(self) -> None:
        self._quiet.seen[TIMEKEEPER] = {"next_due": self._due.pop(0) if len(self._due) > 1 else self._due[0]}

    async def _tick(self, at: datetime) -> None:
        self._now = at
        self.ticks.append(times.write(at))
        self._look()


def test_every_due_time_is_gone_through() -> None:
    """P10: what is due in between is said at its own time."""
    first, last = times.write(NOW + DAY), times.write(NOW + 3 * DAY)
    stage = Still(first, None)
    asyncio.run(stage._advance(NOW + 3 * DAY))

    assert stage.ticks == [first, last]


def test_a_refused_event_of_the_timekeeper_ends_the_play() -> None:
    """A duty said and refused stays due: the play fails and says so, instead of moving the clock for ever."""
    due = times.write(NOW + DAY)

    with pytest.raises(StageError, match="was said and not registered"):
        asyncio.run(Still(due, due)._advance(NOW + 3 * DAY))
