"""Services that were away learn of everything that happened meanwhile."""

import pytest

from brokers import Broker
from desk.live import STARTS, live, signal_of
from nrmbus.directory.admission import Newcomer, admit
from patience import LONGEST_WAIT

pytestmark = [pytest.mark.broker, pytest.mark.slow]


async def test_an_agency_admitted_while_the_registrar_was_dead_is_read_when_it_is_back(kafka: Broker) -> None:
    """P1: the broker gives a restarted registrar its old outboxes at once; the new agency's outbox must not be forgotten."""
    async with live(kafka, {"ngo-a": "ngo_outreach"}, run=["ngo-a"]) as bus:
        async with bus.door("ngo-a") as door:
            assert (await door.publish(signal_of("ab" * 16), wait=LONGEST_WAIT))["verdict"] == "registered"
        bus.kill("registrar")
        await admit(bus.folder, {"ngo-l": Newcomer("ngo_legal")}, STARTS)
        bus.start("registrar", "ngo-l")
        await bus.ready("ngo-l")
        async with bus.door("ngo-l") as door:
            said = await door.publish(signal_of("cd" * 16) | {"actor": "S-2"}, wait=LONGEST_WAIT)

        assert said["verdict"] in {"registered", "refused"}
