"""Stories on a real bus: Kafka, a process for every service, agencies who speak through their doors alone."""

import asyncio
import json
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from nrmbus.bus.clock import WallClock
from nrmbus.bus.folder import BusFolder
from nrmbus.client.door import Door
from nrmbus.client.errors import DoorError
from nrmbus.directory.admission import Newcomer, admit
from nrmbus.host.supervisor import Supervisor
from nrmbus.play.bus import BusStage
from nrmbus.play.player import play
from nrmbus.play.reader import parse
from nrmbus.play.report import Report
from nrmbus.play.trail import check
from nrmbus.wire import times
from patience import PATIENCE
from play.stories import ABROAD, GIRL, HOME, LATE, REFUSED, SIBLINGS, SIGNAL, WOMAN, expecting, story, text_of

pytestmark = pytest.mark.broker

SERVICES = ("fund", "special-unit", "shelter", "registrar", "timekeeper", "ngo-a", "broker")
"""Services that the restarted story kills, each once, at a different point."""

MINUTE = timedelta(minutes=1)


@contextmanager
def up(home: Path, *, playing: bool = True) -> Iterator[BusFolder]:
    """A fresh bus, up until the block ends."""
    folder = BusFolder(home / "bus")
    folder.create(play=playing)
    with Supervisor(folder):
        yield folder


def played(home: Path, text: str) -> Report:
    """Play a story on a fresh bus of its own."""
    with up(home) as folder, BusStage(folder) as stage:
        return play(parse(text, "story.yaml"), stage)


@pytest.mark.slow
@pytest.mark.parametrize("path", [HOME, ABROAD, REFUSED, GIRL, SIBLINGS, LATE])
def test_the_stories_of_going_home_hold(path: Path, tmp_path: Path) -> None:
    """Scenarios 5 to 8, 14 and 15: every expectation, over Kafka and through the doors alone."""
    report = played(tmp_path, text_of(path))

    assert [str(failure) for failure in report.failures] == []


class TestTheFirstStory:
    def test_holds_while_one_service_after_another_is_killed(self, tmp_path: Path) -> None:
        """P1: scenario 1, every expectation, with SIGKILL of desks, registrar, timekeeper and broker on the way."""
        checks = iter(SERVICES)

        def killed(found: re.Match[str]) -> str:
            service = next(checks, None)
            return f"{found[0]}  - {{check: restart, service: {service}}}\n" if service else found[0]

        text = re.sub(r"  - \{check: state.*\n", killed, text_of(WOMAN))
        report = played(tmp_path, text)

        assert [str(failure) for failure in report.failures] == []
        assert next(checks, None) is None

    @pytest.mark.slow
    def test_fails_at_the_altered_line(self, tmp_path: Path) -> None:
        """A copy that expects a recipient too many fails, and names step and line."""
        altered = text_of(WOMAN).replace(
            "seen_by: [special-unit], opened_by: {coded", "seen_by: [special-unit, vac], opened_by: {coded"
        )
        report = played(tmp_path, altered)

        assert altered != text_of(WOMAN)
        assert not report.green
        assert (report.failures[0].step, report.failures[0].what) == (1, "seen_by")


class TestAMissedDeadline:
    @pytest.mark.slow
    def test_is_published_once_at_its_due_time_under_any_restart(self, tmp_path: Path) -> None:
        """P10: nobody refers her, so D-REFER is breached: once, at 24:00 of the clock that runs from first suspicion."""
        report = played(
            tmp_path,
            story(
                SIGNAL,
                '- {at: "23:59", check: events, case: woman, type: deadline.breached, count: 0}\n',
                '- {at: "24:00", check: events, case: woman, type: deadline.breached, by: timekeeper, count: 1, data: {rule: D-REFER, late_by_minutes: 0}}\n',
                "- {check: state, case: woman, status: SUSPECTED, open_deadlines: [D-REFER]}\n",
                "- {check: restart, service: timekeeper}\n",
                '- {at: "72:00", check: events, case: woman, type: deadline.breached, count: 1}\n',
                "- {check: restart, service: registrar}\n",
                "- {check: events, case: woman, type: deadline.breached, count: 1}\n",
            ),
        )

        assert [str(failure) for failure in report.failures] == []


@pytest.fixture(scope="class")
def in_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusFolder]:
    """Yield a bus by the wall's clock, which is not for playing."""
    with up(tmp_path_factory.mktemp("in-service"), playing=False) as folder:
        yield folder


class TestABusInService:
    def test_p10_a_missed_deadline_is_an_event_within_a_minute_by_the_walls_clock(self, in_service: BusFolder) -> None:
        """P10: on a bus in service, a signal whose 24 hours are almost over breaches within a minute of their end."""
        check_breach(in_service, due=timedelta(seconds=15))

    def test_it_is_not_played_on(self, in_service: BusFolder) -> None:
        """A play on a bus in service is refused with a sentence before anything is said on it."""
        with BusStage(in_service) as stage:
            report = play(parse(story(expecting(SIGNAL, "seen_by: [special-unit]")), "story.yaml"), stage)

        assert not report.green
        assert "wall's clock" in str(report.failures[0])

    def test_p10_a_timekeeper_that_is_held_is_found(self, in_service: BusFolder) -> None:
        """Sabotage: with the timekeeper held, the check that held a moment before goes red when the minute is over."""
        check_breach(in_service, due=timedelta(seconds=-10))
        running = json.loads((in_service.run / "services.json").read_bytes())
        os.kill(running["timekeeper"]["pid"], signal.SIGSTOP)

        with pytest.raises(AssertionError, match="no breach within a minute"):
            check_breach(in_service, due=timedelta(seconds=-45))


def check_breach(folder: BusFolder, *, due: timedelta) -> None:
    """P10, on a bus by the wall's clock: a signal whose 24 hours end *due* from now breaches within a minute of their end."""
    now = WallClock().now()
    asyncio.run(admit(folder, {"ngo-a": Newcomer("ngo_outreach"), "special-unit": Newcomer("special_unit")}, now))
    case, late = asyncio.run(_breached(folder.agency("ngo-a").path, now + due))
    found = check(folder.as_operator, [("ngo-a", *case)])

    assert late < MINUTE
    assert not found.any


async def _breached(home: Path, due: datetime) -> tuple[tuple[str, str], timedelta]:
    """Publish a signal whose 24 hours end at *due*, await the breach; return case, event and the delay after *due*."""
    door = await _opened(home)
    async with door:
        data = {
            "detector": "ngo_outreach",
            "child": False,
            "urgency": "normal",
            "detected_abroad": False,
            "basis": ["indicators"],
        }
        since = times.write(due - timedelta(hours=24))
        said = await door.publish(
            {"type": "case.signal_recorded", "data": data, "actor": "S-1", "time": since}, wait=20
        )
        assert said["verdict"] == "registered", said
        while WallClock().now() < due + MINUTE:
            heard = (await door.inbox(case=said["case"]))["events"]
            if heard:
                assert [(each["type"], each["data"]["rule"]) for each in heard] == [("deadline.breached", "D-REFER")]
                assert times.read(heard[0]["data"]["due"]) == due
                registered = times.read(heard[0]["registered"])
                assert registered is not None
                return (said["case"], said["id"]), registered - due
            await asyncio.sleep(0.2)
        raise AssertionError("no breach within a minute")


async def _opened(home: Path) -> Door:
    until = time.monotonic() + PATIENCE
    while True:
        with suppress(DoorError):
            door = Door.of(home)
            ready = False
            try:
                ready = (await door.health())["ready"]
            finally:
                if not ready:
                    await door.__aexit__(None, None, None)
            if ready:
                return door
        assert time.monotonic() < until, "the desk did not come up"
        await asyncio.sleep(0.1)
