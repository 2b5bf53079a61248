"""A broker's folder that was restored from a backup: what was said since is forgotten, and the registrar does not go on from there."""

import signal

import pytest

from brokers import Broker
from desk.live import LiveBus, live, log_of, signal_of
from patience import LONGEST_WAIT, eventually


async def told(bus: LiveBus, words: str) -> None:
    """Wait until the registrar has left with *words*."""
    await eventually(f"the registrar says {words!r}", lambda: words in log_of(bus.folder, "registrar"))


@pytest.mark.slow
@pytest.mark.broker
async def test_a_history_that_went_back_is_not_gone_on_from(broker: Broker) -> None:
    """A shorter history, another one, and a damaged mark each stop the registrar; with the right mark it serves again."""
    async with live(broker, {"ngo-a": "ngo_outreach"}, run=["ngo-a"]) as bus:
        async with bus.door("ngo-a") as door:
            await door.publish(signal_of("ab" * 16), wait=LONGEST_WAIT)
        file = bus.folder.service("registrar") / "history" / "0"
        bus.kill("registrar", signal.SIGTERM)
        right = file.read_text()
        number, digest = right.split()
        for wrong, words in (
            (f"{int(number) + 1} {digest}", "was here, and is missing"),
            (f"{number} {'0' * 64}", "is not the one that was here"),
            (f"{number} half a di", "is damaged"),
        ):
            file.write_text(wrong)
            bus.start("registrar")
            await told(bus, words)
            bus.kill("registrar")  # it has left already
        file.write_text(right)
        bus.start("registrar")
        await bus.served()
