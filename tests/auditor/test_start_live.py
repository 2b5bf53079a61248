"""Auditor on a real broker that starts again: from a co-signed place, with the rest of the history compared behind it."""

import json
import signal
from collections.abc import AsyncIterator

import pytest

from auditor.live import AuditedBus
from brokers import Broker
from nrmbus.bus.kafka import clients
from nrmbus.directory import Identity
from nrmbus.wire import base64
from nrmbus.wire.log import merkle
from nrmbus.wire.log.checkpoint import Checkpoint, witness_name
from nrmbus.wire.log.cosignature import Cosigner
from nrmbus.wire.log.note import Note
from patience import until

pytestmark = [pytest.mark.broker, pytest.mark.slow]


@pytest.fixture(name="bus")
async def _bus(broker: Broker) -> AsyncIterator[AuditedBus]:
    bus = await AuditedBus.fresh(broker, agencies=("ngo-a", "ngo-l"))
    try:
        yield bus
    finally:
        bus.stop()


async def cosign(bus: AuditedBus, size: int, *agencies: str) -> None:
    """Wait until the checkpoint of *size* is published, have *agencies* co-sign it, and wait until the auditor has heard of it."""
    await bus.shows(size)
    text, name = Note.parse((await bus.get("/checkpoint/0")).content).text, bus.folder.settings.bus
    async with clients.producer(bus.folder.bootstrap) as producer:
        for each in agencies:
            key = Identity.at(bus.folder.agency(each).path, each).witness
            note = Note(text, (Cosigner(witness_name(name, each), key).cosign(text, 1_772_427_700),)).bytes()
            await producer.send_and_wait(f"nrm.witness.{each}", note)
    await bus.until(lambda health: health["cosigned"] == {"0": {"size": size, "witnesses": len(agencies)}})


def said(bus: AuditedBus, event: str) -> list[tuple[int | None, str | None]]:
    """Return number and code of each line of *event* in the auditor's log."""
    return [(each.get("number"), each.get("code")) for each in bus.log() if each["event"] == event]


@pytest.mark.broken_trail("anomalies", "witnesses", reason="written by hand, and co-signed by hand")
async def test_a_start_reads_from_the_co_signed_place_and_compares_the_rest_behind(bus: AuditedBus) -> None:
    """It has the same log, proves the records before the place, and says when all of them were compared."""
    await bus.register(300)
    bus.start()
    await cosign(bus, 300, "ngo-a", "ngo-l")
    bus.end()
    await bus.register(5)
    bus.start()
    health = await bus.until(lambda health: health["ready"])
    until("the rest is compared", lambda: said(bus, "start_compared") == [(300, None)])

    assert (health["numbers"], health["trouble"]) == ({"0": 305}, None)
    assert said(bus, "start_used") == [(300, None)]
    shown = (await bus.get("/proof/0/7")).json()
    leaf, proof = base64.read(shown["registration"]) or b"", [base64.read(each) or b"" for each in shown["proof"]]
    checkpoint = Checkpoint.parse(Note.parse((await bus.get("/checkpoint/0?witnesses=2")).content).text)
    merkle.verify_inclusion(shown["index"], shown["size"], merkle.leaf_hash(leaf), proof, checkpoint.root)


@pytest.mark.slow
@pytest.mark.broken_trail("anomalies", "witnesses", reason="written by hand, and co-signed by hand")
async def test_a_place_that_does_not_fit_is_not_used_and_nothing_else_changes(bus: AuditedBus) -> None:
    """Of a checkpoint that too few co-signed, or with another offset: the history is read from its beginning."""
    await bus.register(40)
    bus.start()
    await cosign(bus, 40, "ngo-a")
    bus.end(signal.SIGKILL)
    bus.start()
    await cosign(bus, 40, "ngo-a", "ngo-l")
    assert said(bus, "start_refused") == [(40, "not_cosigned")]
    bus.end()
    file = bus.home / "starts" / "p0.json"
    sound = json.loads(file.read_bytes())
    await bus.register(5)
    for places in ({"40": 42}, {"40": 4_000}):
        file.write_text(json.dumps({**sound, "places": places}))
        bus.start()
        assert (await bus.until(lambda health: health["ready"]))["numbers"] == {"0": 45}
        bus.end(signal.SIGKILL)

    assert said(bus, "start_used") == []
    assert said(bus, "start_refused")[1:] == [(40, "history_differs"), (40, "history_shorter")]
