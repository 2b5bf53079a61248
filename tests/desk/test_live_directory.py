"""A desk on a real broker, and an entry of its agency that it did not ask for."""

import asyncio
from datetime import timedelta

import pytest

from brokers import Broker
from desk.live import PATIENCE, STARTS, live
from nrmbus.directory import Identity, Operator, joining
from nrmbus.directory.admission import read_directory
from nrmbus.directory.changes import publish
from nrmbus.directory.operator import Admitter
from nrmbus.directory.seen import FILE

pytestmark = pytest.mark.broker


async def test_a_substituted_key_stops_the_desk_whose_it_would_be(broker: Broker) -> None:
    """Operator and both admitters have agreed to it; the desk is not ready, says why, and sends nothing more."""
    async with live(broker, {"ngo-a": "ngo_outreach"}, run=["ngo-a"]) as bus:
        health = await bus.until("ngo-a", lambda health: bool(health["ready"]))
        assert (health["held_up"], health["directory_stale"], health["state"]) == (None, False, "admitted")

        directory, theirs = await read_directory(bus.folder), Identity.at(bus.folder.path / "theirs", "ngo-a")
        public = (theirs.signing.public, theirs.sealing.public, theirs.witness.public)
        asked = joining.proposed(
            directory, joining.Wanted("ngo-a", "ngo_outreach", *public), "lost", made=STARTS + timedelta(hours=1)
        )
        entry = joining.asked_by(asked, [theirs.signing, theirs.witness])
        entry = joining.challenged(joining.holding_from(directory, entry, asked.made))
        for admitter in Admitter.here(bus.folder.path):
            entry = joining.admitted_by(entry, admitter.key)
        await publish(bus.folder, [Operator(bus.folder.path).number(entry, directory)])

        health = await bus.until("ngo-a", lambda health: health["held_up"] == "entry_not_asked")
        assert health["ready"] is False
        async with bus.door("ngo-a") as door:
            tasks: list[dict[str, str]] = []
            async with asyncio.timeout(PATIENCE):
                while not tasks:  # the relay opens it when it looks next, within a second
                    tasks = [each for each in (await door.get("/v1/tasks"))["tasks"] if each["kind"] == "alarm"]
                    await asyncio.sleep(0.05)
        (task,) = tasks
        assert task["event"] == f"nrm.directory/{directory.number + 1}"


async def test_each_remembers_how_far_the_directory_went(broker: Broker) -> None:
    """Desk, registrar and operator, each in its own folder, as long as they run."""
    async with live(broker, {"ngo-a": "ngo_outreach"}, run=["ngo-a"]) as bus:
        await bus.until("ngo-a", lambda health: bool(health["ready"]))
        directory = await read_directory(bus.folder)
        homes = (bus.folder.agency("ngo-a").path, bus.folder.service("registrar"), bus.folder.keys)
        noted = f"{directory.number} {directory.digest}\n"
        assert {(home / FILE).read_text() for home in homes} == {noted}
