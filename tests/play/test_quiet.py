"""The player's barrier and the auditor: nobody waits for it, and nobody plays on when it refuses the history."""

from typing import Any

import pytest

from nrmbus.client.door import Door
from nrmbus.play.quiet import Quiet
from nrmbus.play.stage import StageError


class Shows(Door):
    """A service whose health is given."""

    def __init__(self, **health: Any) -> None:
        """Show *health*; nothing is on the network."""
        self._shown = {"ready": True, "tick": 0, "trouble": None, "numbers": {}, "inbox": {}, "busy": False} | health

    async def health(self) -> dict[str, Any]:
        """What is shown."""
        return self._shown


def quiet_with(**auditor: Any) -> Quiet:
    """A bus on which nothing happens, and its auditor."""
    return Quiet({"registrar": Shows(), "timekeeper": Shows(), "auditor": Shows(**auditor)}, patience=0)


async def test_an_auditor_that_is_behind_is_not_waited_for() -> None:
    """Nothing follows from what it does."""
    await quiet_with(ready=False, tick=-1).wait()


async def test_receipts_of_the_auditors_events_are_read_by_nobody() -> None:
    """An agency without an inbox holds up no play, whatever it asked."""
    doors = {"registrar": Shows(inbox={"auditor": {"0": 3}}), "timekeeper": Shows(), "auditor": Shows()}
    await Quiet(doors, patience=0).wait()


async def test_a_history_that_the_auditor_refuses_ends_the_play() -> None:
    """By the record's number, when the clock is moved."""
    with pytest.raises(StageError, match="the auditor stands still: gap at number 3 of partition 0"):
        await quiet_with(ready=False, trouble="gap at number 3 of partition 0").wait()
