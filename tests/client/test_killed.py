"""A program killed at work: no event is lost, and each event has one answer."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from client.given import in_process
from desk.given import TOKEN
from nrmbus.client import new_ref

POINTS = {1: "behind the answer, before the cursor", 2: "behind the cursor"}
PROGRAM = """
import os, signal, sys
from nrmbus.client import CursorFile, Desk
from nrmbus.events.case import SignalDismissed, SignalRecorded

left = int(sys.argv[1])

def reached():
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

class Cursor(CursorFile):
    def store(self, cursor):
        super().store(cursor)
        reached()

with Desk.of() as desk:
    @desk.on(SignalRecorded)
    def report(event):
        answer = SignalDismissed(reason="no_indicator")
        desk.publish(answer, id=event.answer_id("dismissed"), case=event.case, actor="S-1", cause=event.id)
        reached()
        print(event.case)

    desk.run(Cursor("cursor"), follow=False)
"""


async def ended(home: Path, point: int) -> tuple[int, list[str]]:
    """Run the program to *point*, where it is killed, or to its end; return the exit status and the handled cases."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-c", PROGRAM, str(point), env={**os.environ, "NRMBUS_DOOR": str(home / "door.json")},
        cwd=home, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode().split()


@pytest.mark.slow
@pytest.mark.thorough
async def test_a_killed_program_loses_nothing_and_answers_once(tmp_path: Path) -> None:
    """Given a kill between an answer and the cursor, or right behind the cursor, when the program starts again, then one answer is there."""
    async with in_process(tmp_path) as place, place.desk() as desk:
        (tmp_path / "door.json").write_text(json.dumps({"url": place.url, "token": TOKEN}))
        for point, where in POINTS.items():
            await place.tell(case := new_ref())
            status, _ = await ended(tmp_path, point)
            assert status == -signal.SIGKILL, where
            status, again = await ended(tmp_path, 0)
            assert status == 0
            assert again == ([case] if point == 1 else []), where
            answers = [each["type"] for each in await desk.timeline(case)]
            assert answers.count("case.signal_dismissed") == 1, where
