"""Stories on a real bus: Kafka, a process for every service, agencies who speak through their doors alone."""

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from nrmbus.bus.clock import WallClock
from nrmbus.bus.folder import BusFolder
from nrmbus.cli.supervisor import Supervisor
from nrmbus.client import Door, DoorError
from nrmbus.directory.admission import Newcomer, admit
from nrmbus.play.bus import BusStage
from nrmbus.play.player import play
from nrmbus.play.reader import parse
from nrmbus.play.report import Report
from nrmbus.play.trail import check
from nrmbus.wire import times
from play.stories import SIGNAL, WOMAN, expecting, story, text_of

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]

SERVICES = ("fund", "special-unit", "shelter", "registrar", "timekeeper", "ngo-a", "broker")
"""Whom the restarted story kills, each once, at a different point."""


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
    def test_is_said_once_at_its_due_time_whatever_is_restarted(self, tmp_path: Path) -> None:
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

    def test_p10_is_an_event_within_a_minute_by_the_walls_clock(self, tmp_path: Path) -> None:
        """P10: on a bus that is not played on, a signal that is typed 24 hours late breaches at once, one second early soon."""
        with up(tmp_path, playing=False) as folder:
            now = WallClock().now()
            asyncio.run(
                admit(folder, {"ngo-a": Newcomer("ngo_outreach"), "special-unit": Newcomer("special_unit")}, now)
            )
            case, seconds = asyncio.run(
                _breached(folder.agency("ngo-a").path, times.write(now - timedelta(hours=24) + timedelta(seconds=15)))
            )
            found = check(folder.bootstrap, [("ngo-a", *case)])

        assert seconds < 60
        assert not found.any


async def _breached(home: Path, since: str) -> tuple[tuple[str, str], float]:
    """Publish a signal suspected *since*, wait for its breach; case and event, and how long after 24 hours it came."""
    door = await _opened(home)
    async with door:
        data = {
            "detector": "ngo_outreach",
            "child": False,
            "urgency": "normal",
            "detected_abroad": False,
            "basis": ["indicators"],
        }
        said = await door.publish(
            {"type": "case.signal_recorded", "data": data, "actor": "S-1", "time": since}, wait=20
        )
        assert said["verdict"] == "registered", said
        until = time.monotonic() + 80
        while time.monotonic() < until:
            heard = (await door.inbox(case=said["case"]))["events"]
            if heard:
                assert [(each["type"], each["data"]["rule"]) for each in heard] == [("deadline.breached", "D-REFER")]
                due, registered = times.read(heard[0]["data"]["due"]), times.read(heard[0]["registered"])
                assert due is not None
                assert registered is not None
                return (said["case"], said["id"]), (registered - due).total_seconds()
            await asyncio.sleep(0.2)
        raise AssertionError("no breach came")


async def _opened(home: Path) -> Door:
    until = time.monotonic() + 20
    while True:
        try:
            door = Door.of(home)
            if (await door.health())["ready"]:
                return door
        except DoorError:
            pass
        assert time.monotonic() < until, "the desk did not come up"
        await asyncio.sleep(0.1)


def test_a_bus_by_the_walls_clock_is_not_played_on(tmp_path: Path) -> None:
    """A play on a bus in service is refused with a sentence before anything is said on it."""
    with up(tmp_path, playing=False) as folder, BusStage(folder) as stage:
        report = play(parse(story(expecting(SIGNAL, "seen_by: [special-unit]")), "story.yaml"), stage)

    assert not report.green
    assert "wall's clock" in str(report.failures[0])
