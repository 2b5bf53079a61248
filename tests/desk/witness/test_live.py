"""A desk as a witness on a real broker: its signatures, and its recovery after a kill or a restore."""

import asyncio
import json
import shutil
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from aiokafka import TopicPartition

from brokers import Broker
from desk.live import LiveBus, live, signal_of
from desk.witness.given import FakeAuditor
from nrmbus.bus.kafka import clients
from nrmbus.directory import LogIdentity
from nrmbus.directory.admission import read_directory
from nrmbus.wire.log.checkpoint import Checkpoint, Policy, origin_of
from nrmbus.wire.log.note import Note
from nrmbus.wire.names import CHECKPOINTS
from patience import LONGEST_WAIT, PATIENCE

pytestmark = [pytest.mark.broker, pytest.mark.slow]

ONE = {"shelter": "shelter_state"}
TWO = {"ngo-a": "ngo_outreach", "special-unit": "special_unit"}


def auditor_of(bus: LiveBus, home: Path, *, forked_at: int = 0) -> FakeAuditor:
    """Return a fake auditor that publishes checkpoints with the keys of this bus's logs."""
    identity = LogIdentity.at(bus.folder.service("auditor"))
    return FakeAuditor(home, bus=bus.folder.settings.bus, forked_at=forked_at, identity=identity)


async def publish(bus: LiveBus, *records: bytes) -> None:
    """Put *records* into ``nrm.checkpoints``."""
    async with clients.producer(bus.folder.bootstrap) as producer:
        for each in records:
            await producer.send_and_wait(CHECKPOINTS, value=each, partition=0)


async def cosigned(bus: LiveBus, count: int) -> list[int]:
    """Return the sizes in the shelter's own topic, once *count* are there, each signed by the key in the directory."""
    topic = TopicPartition("nrm.witness.shelter", 0)
    witnesses = (await read_directory(bus.folder)).witnesses("shelter")
    sizes = list[int]()
    async with asyncio.timeout(PATIENCE), clients.reading(bus.folder.bootstrap, topic) as (consumer, _):
        while len(sizes) < count:
            for records in (await consumer.getmany(topic, timeout_ms=200)).values():
                for each in records:
                    note = Note.parse(each.value)
                    note.verified(witnesses)
                    sizes.append(Checkpoint.parse(note.text).size)
    return sizes


@pytest.mark.slow
@pytest.mark.broken_trail("checkpoints", reason="the checkpoints are of a history that is not this one, then of a fork")
async def test_a_desk_cosigns_what_grows_and_refuses_what_forks(broker: Broker, tmp_path: Path) -> None:
    """Through a kill and a restored ledger, every size is signed once, and the fork never."""
    async with live(broker, ONE, run=["shelter"]) as bus:
        auditor = auditor_of(bus, tmp_path / "auditor")
        origin = auditor.log.origin
        await publish(bus, auditor.grows(3))
        assert await cosigned(bus, 1) == [3]
        await bus.until("shelter", lambda health: health["cosigns"] and health["witness"][origin]["size"] == 3)

        bus.kill("shelter")
        backup = tmp_path / "backup"
        backup.mkdir()
        ledger = bus.folder.agency("shelter").ledger
        for each in ledger.parent.glob("ledger.sqlite*"):
            shutil.copy(each, backup)
        bus.start("shelter")
        await publish(bus, auditor.grows(7))
        assert await cosigned(bus, 2) == [3, 7]
        bus.kill("shelter")
        for each in ledger.parent.glob("ledger.sqlite*"):
            each.unlink()
        for each in backup.iterdir():
            shutil.copy(each, ledger.parent)
        bus.start("shelter")
        await bus.until("shelter", lambda health: health["cosigns"] and health["witness"][origin]["size"] == 7)
        await publish(bus, auditor.grows(9))
        assert await cosigned(bus, 3) == [3, 7, 9]

        fork = auditor_of(bus, tmp_path / "fork", forked_at=8)
        await publish(bus, fork.grows(9), auditor.grows(11))
        health = await bus.until("shelter", lambda health: health["witness"][origin]["code"])
        assert health["witness"] == {origin: {"size": 9, "code": "root_differs"}}
        async with bus.door("shelter") as door:
            (task,) = (await door.tasks())["tasks"]
            assert (task["kind"], task["origin"]) == ("witness_alarm", origin)
        assert await cosigned(bus, 3) == [3, 7, 9]


async def test_what_the_auditor_publishes_comes_back_cosigned(broker: Broker) -> None:
    """The real auditor, over the registrar's history: its door gives a note that a verifier with a quorum of two takes."""
    async with live(broker, TWO, run=tuple(TWO)) as bus:
        bus.start("auditor")
        async with bus.door("ngo-a") as door:
            await door.publish(signal_of("ab" * 16), wait=LONGEST_WAIT)
        directory = await read_directory(bus.folder)
        origin = origin_of(bus.folder.settings.bus, 0)
        (keys,) = directory.log_keys()

        note = await newest(bus.folder.service("auditor"), witnesses=2)

        believed = Policy(keys.verifiers(origin), directory.witnesses(), 2).believe(note)
        assert believed.checkpoint.size >= 1
        for each in TWO:
            health = await bus.until(each, lambda health: origin in health["witness"])
            assert health["witness"][origin]["code"] is None
            assert health["witness"][origin]["size"] >= believed.checkpoint.size


async def newest(auditor: Path, *, witnesses: int) -> bytes:
    """Return the newest checkpoint of partition 0 with so many witnesses, from the auditor's door, once it exists."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(OSError, httpx.HTTPError):
                opens = json.loads((auditor / "door.json").read_bytes())
                async with httpx.AsyncClient(trust_env=False) as http:
                    answer = await http.get(
                        f"{opens['url']}/checkpoint/0",
                        params={"witnesses": witnesses},
                        headers={"authorization": f"Bearer {opens['token']}"},
                    )
                if answer.status_code == 200:
                    return answer.content
            await asyncio.sleep(0.1)
