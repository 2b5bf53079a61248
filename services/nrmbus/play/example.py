"""Example bus: invented cases, played up to this moment, on a bus whose clock then goes on with the wall's.

Nothing is backdated. The bus begins two days ago: the player moves its clock from there to now, through every due time, so
each event is published, and each duty breached, at its own time. Afterwards `keep_time` moves the clock as the wall's does.
"""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from nrmbus.bus.clock import SteppedClock, tick_clock
from nrmbus.bus.embedded.jars import Progress
from nrmbus.bus.kafka import clients
from nrmbus.bus.reach import Where
from nrmbus.bus.wall_clock import wall_now
from nrmbus.play.bus import BusStage
from nrmbus.play.player import play
from nrmbus.play.reader import find, read
from nrmbus.play.report import Report, Row
from nrmbus.play.scenario import CheckEvents, CheckState, Publish, Scenario, Step

STORIES: Final = ("01-woman-referred-by-ngo", "04-two-days-of-work")
"""Stories that are told together; all begin at the same moment, and the last one says until when they are told."""
TICK_SECONDS: Final = 5.0
"""Seconds between two moves of the clock: the example's time is behind the wall's by so much at most."""
_CANARY: Final = "CANARY-"
"""Mark of the letters of a story, by which tests find a leak; here people read them."""


def told(agencies: Collection[str], now: datetime) -> Scenario:
    """Return the stories as one, among *agencies* alone, timed so that the last step is at *now*."""
    stories = [read(find(Path(name))) for name in STORIES]
    last = stories[-1]
    ends = last.steps[-1].at
    later = now - ends
    steps = (step for each in stories for step in each.steps if step.at <= ends and _is_among(step, agencies))
    in_order = sorted(steps, key=lambda step: step.at)
    return replace(
        last,
        starts=min(each.starts for each in stories) + later,
        agencies={name: each for name, each in last.agencies.items() if name in agencies},
        steps=tuple(_moved(number, step, later) for number, step in enumerate(in_order, 1)),
    )


def _is_among(step: Step, agencies: Collection[str]) -> bool:
    """Return whether a step is about *agencies* alone. Of the checks, those of a case and of its events stay."""
    what = step.what
    if not isinstance(what, Publish):
        return isinstance(what, CheckState | CheckEvents)
    receivers = what.data.get("receivers", ()) if what.event.startswith("consent.") else ()
    return {what.by, *(what.to or ()), *receivers} <= set(agencies)


def _moved(number: int, step: Step, later: timedelta) -> Step:
    what = step.what
    if isinstance(what, Publish) and what.sealed:
        known = what.model_dump(by_alias=True, exclude_unset=True)
        what = Publish.model_validate(known | {"sealed": _plain(what.sealed)})
    return replace(step, number=number, at=step.at + later, occurred=step.occurred + later, what=what)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return value.replace(_CANARY, "") if isinstance(value, str) else value


def play_until_now(stage: BusStage, agencies: Collection[str], progress: Progress) -> Report:
    """Tell the stories on *stage*, up to this moment; *progress* hears of each step."""
    what, story = "Playing two days of invented cases", told(agencies, wall_now())
    last = len(story.steps)
    progress(what, 0, last)

    def notify(row: Row) -> None:
        progress(what, min(row.step, last), last)

    report = play(story, stage, notify=notify)
    stage.advance(wall_now())
    return report


def catch_up(stage: BusStage, agencies: Collection[str], progress: Progress) -> None:
    """Move the clock of a bus that was played on before to this moment, through every due time since it stopped."""
    what, story = "Catching up with the clock", told(agencies, wall_now())
    progress(what, 0, 1)
    stage.admit(story.agencies, story.policy, None)
    stage.advance(wall_now())
    progress(what, 1, 1)


async def keep_time(where: Where) -> None:
    """Move the clock of the bus as the wall's moves, until cancelled."""
    async with AsyncExitStack() as stack:
        clock = await stack.enter_async_context(SteppedClock(where))
        producer = clients.producer(where)
        await producer.start()
        stack.push_async_callback(producer.stop)
        number = clock.tick
        while True:
            number += 1
            await tick_clock(producer, number, max(wall_now(), clock.now()))
            await asyncio.sleep(TICK_SECONDS)
