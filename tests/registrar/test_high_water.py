"""A broker's folder that was restored from a backup: what was said since is forgotten, and the registrar does not go on from there."""

import asyncio
import signal
from pathlib import Path

import pytest

from brokers import Broker
from desk.live import PATIENCE, LiveBus, live, log_of, signal_of
from nrmbus.registrar.high_water import Noted


async def test_what_is_noted_is_on_disk_in_a_moment(tmp_path: Path) -> None:
    """Many commits are one writing; a file of nobody's says nothing, and who knows better removes it."""
    noted = Noted(tmp_path / "history")
    assert noted.of(0) is None
    for number in range(1, 50):
        noted.note(0, number, "ab" * 32)
    noted.note(1, 7, "cd" * 32)
    assert noted.of(0) is None
    noted.write()
    assert (Noted(tmp_path / "history").of(0), noted.of(1)) == ((49, "ab" * 32), (7, "cd" * 32))
    (tmp_path / "history" / "0").write_text("half a no")
    assert noted.of(0) is None


async def told(bus: LiveBus, words: str) -> None:
    """Wait until the registrar has left with *words*."""
    async with asyncio.timeout(PATIENCE):
        while words not in log_of(bus.folder, "registrar"):  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.05)


@pytest.mark.broker
async def test_a_history_that_went_back_is_not_gone_on_from(broker: Broker) -> None:
    """One that ends before what was committed here, and one that is another there; the right one is served again."""
    async with live(broker, {"ngo-a": "ngo_outreach"}, run=["ngo-a"]) as bus:
        async with bus.door("ngo-a") as door:
            await door.publish(signal_of("ab" * 16), wait=PATIENCE)
        file = bus.folder.service("registrar") / "history" / "0"
        bus.kill("registrar", signal.SIGTERM)
        right = file.read_text()
        number, digest = right.split()
        for wrong, words in (
            (f"{int(number) + 1} {digest}", "was here, and is missing"),
            (f"{number} {'0' * 64}", "is not the one that was here"),
        ):
            file.write_text(wrong)
            bus.start("registrar")
            await told(bus, words)
            bus.kill("registrar")  # it has left already
        file.write_text(right)
        bus.start("registrar")
        await bus.served()
