"""A service that stands by has no page: its mark says that it waits, and whether the broker still answers it."""

import asyncio
import os
import time
from pathlib import Path

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.bus.waiting_marker import WaitingMarker
from nrmbus.cli import health

SENTENCE = "Another process of the auditor works, and this one stands by."


def aged(mark: WaitingMarker, seconds: float) -> None:
    """Make the broker's last answer so old."""
    then = time.time() - seconds
    os.utime(mark.path, (then, then))


def test_a_mark_is_as_old_as_the_brokers_last_answer(tmp_path: Path) -> None:
    """Given a service that waits, then others read for what, and since when it has heard nothing."""
    mark = BusFolder(tmp_path).standby_marker("auditor")
    assert mark.read() is None
    mark.heard()
    assert mark.read() is None, "an answer alone is no waiting"

    mark.write(SENTENCE)
    aged(mark, 100)
    waits = mark.read()
    assert waits is not None
    assert (waits.sentence, waits.silence >= 100) == (SENTENCE, True)

    mark.heard()
    waits = mark.read()
    assert waits is not None
    assert waits.silence < 100
    mark.remove()
    assert mark.read() is None


def test_who_stands_by_and_hears_nothing_is_not_ready(tmp_path: Path) -> None:
    """Given a frozen broker or a process that hangs, then `nrmbus status` does not say that this process would take over."""
    folder = BusFolder(tmp_path)
    mark = folder.standby_marker("auditor.turn")
    mark.write(SENTENCE)

    found = asyncio.run(health.ask(folder, "auditor"))
    assert found == {"ready": True, "standby": SENTENCE, "unheard": False}
    assert health.remark_on(found) == SENTENCE

    aged(mark, clients.UNHEARD_SECONDS + 1)
    found = asyncio.run(health.ask(folder, "auditor"))
    assert found is not None
    assert not found["ready"]
    assert "would not take over: nrmbus check" in health.why_not_ready(found)
