"""Auditor on a real broker: from the topic to files, checkpoints and answers, over kills and deletions."""

import asyncio
import random
import shutil
import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from aiokafka.producer import message_accumulator
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from auditor.live import STARTS, AuditedBus
from brokers import Broker
from desk.live import live, signal_of
from nrmbus.auditor.log.tiles import unbundle
from nrmbus.bus.kafka import clients, topics
from nrmbus.directory import SERVICES, Identity
from nrmbus.wire import base64, ids
from nrmbus.wire.log import merkle
from nrmbus.wire.log.checkpoint import Checkpoint, Policy, origin_of, witness_name
from nrmbus.wire.log.cosignature import Cosigner
from nrmbus.wire.log.note import Note
from nrmbus.wire.record import Record
from patience import LONGEST_WAIT, PATIENCE, until

pytestmark = pytest.mark.broker

HOUR = timedelta(hours=1)


@pytest.fixture(name="bus")
async def _bus(broker: Broker) -> AsyncIterator[AuditedBus]:
    bus = await AuditedBus.fresh(broker, partitions=2, agencies=("ngo-a", "ngo-l"))
    try:
        yield bus
    finally:
        bus.stop()


@pytest.mark.broken_trail("anomalies", reason="written by hand, and delivered to nobody")
async def test_a_registration_is_in_the_log_and_under_a_checkpoint(bus: AuditedBus) -> None:
    """Each partition has its log; the door gives checkpoint, proof, tiles and bundles that fit together."""
    await bus.register(300)
    await bus.register(3, partition=1)
    bus.start()
    health = await bus.until(lambda health: health["signed"] == {"0": 300, "1": 3} == health["size"])
    await bus.shows(300)

    assert (health["ready"], health["trouble"], health["numbers"]) == (True, None, {"0": 300, "1": 3})
    origin = origin_of(bus.folder.settings.bus, 0)
    (keys,) = (await bus.directory()).log_keys()
    checkpoint = Policy(keys.verifiers(origin), (), 0).believe((await bus.get("/checkpoint/0")).content).checkpoint
    assert (checkpoint.origin, checkpoint.size) == (origin, 300)
    shown = (await bus.get("/proof/0/300")).json()
    leaf, proof = base64.read(shown["registration"]) or b"", [base64.read(each) or b"" for each in shown["proof"]]
    merkle.verify_inclusion(shown["index"], shown["size"], merkle.leaf_hash(leaf), proof, checkpoint.root)
    leaves = unbundle((await bus.get("/entries/0/000")).content) + unbundle(
        (await bus.get("/entries/0/001.p/44")).content
    )
    assert leaves[-1] == leaf
    assert (await bus.get("/tile/0/0/000")).content == b"".join(map(merkle.leaf_hash, leaves[:256]))


@pytest.mark.slow
@pytest.mark.broken_trail("anomalies", reason="written by hand, and delivered to nobody")
async def test_the_door_is_shut_without_a_token_and_shows_logs_only(bus: AuditedBus) -> None:
    """Registrations are for auditors; no path leads out of the logs."""
    await bus.register(3)
    bus.start()
    await bus.until(lambda health: health["signed"] == {"0": 3, "1": 0})
    await bus.shows(3)

    for path in ("/health", "/checkpoint/0", "/proof/0/1", "/tile/0/0/000.p/3", "/entries/0/000.p/3"):
        assert (await bus.get(path)).status_code == 200
        assert (await bus.get(path, token="wrong")).status_code == 401
    for path in (
        "/checkpoint/1", "/checkpoint/2", "/checkpoint/0?witnesses=1", "/proof/0/0", "/proof/0/4", "/proof/2/1",
        "/tile/0/0/000", "/tile/0/0/..%2f..%2fhead", "/tile/0/entries/000.p/3", "/entries/0/..%2f0%2f000.p%2f3",
    ):  # fmt: skip
        assert (await bus.get(path)).status_code == 404, path


@pytest.mark.slow
@pytest.mark.broken_trail("anomalies", reason="written by hand, and delivered to nobody")
async def test_a_checkpoint_an_hour_by_the_buss_clock_and_one_at_closing(bus: AuditedBus) -> None:
    """A checkpoint is signed after an hour if something is new, and at a clean end."""
    await bus.register(3)
    bus.start()
    await bus.until(lambda health: health["signed"]["0"] == 3)
    await bus.register(2)
    await bus.tick(STARTS + HOUR - timedelta(seconds=1))
    await bus.until(lambda health: health["tick"] == 2 and health["size"]["0"] == 5)
    await bus.tick(STARTS + HOUR)
    health = await bus.until(lambda health: health["signed"]["0"] == 5)
    assert health["tick"] == 3
    await bus.register(2)
    await bus.until(lambda health: health["size"]["0"] == 7)
    assert bus.end() == 0

    said = [each for _, each in await bus.checkpoints()]
    expected = [(3, STARTS), (5, STARTS + HOUR), (7, STARTS + HOUR)]
    assert [(each.checkpoint.size, each.time) for each in said] == expected


@pytest.mark.slow
@pytest.mark.broken_trail("anomalies", reason="written by hand, and delivered to nobody")
async def test_a_folder_that_was_deleted_is_made_again_byte_for_byte(bus: AuditedBus) -> None:
    """Tiles, bundles, head and signed checkpoint: a function of the topic and of what was signed."""
    await bus.register(600)
    bus.start()
    await bus.until(lambda health: health["signed"]["0"] == 600)
    await bus.register(10)
    await bus.until(lambda health: health["size"]["0"] == 610)
    bus.end()
    before = bus.files()
    assert before.keys() >= {"head", "checkpoint", "tile/0/000", "tile/entries/001", "tile/0/002.p/98"}

    shutil.rmtree(bus.home / "logs")
    (bus.home / "cosigned.db").unlink()
    bus.start()
    await bus.until(lambda health: health["ready"] and health["size"]["0"] == 610)
    bus.end()

    assert bus.files() == before


def _has_read(due: int, health: dict[str, Any]) -> bool:
    return int(health["numbers"]["0"]) >= due


@pytest.mark.slow
@pytest.mark.broken_trail("anomalies", reason="written by hand, and delivered to nobody")
async def test_killed_while_it_appends_it_goes_on_where_it_was(bus: AuditedBus) -> None:
    """After kill -9 at any moment the files are those of an auditor that was never killed, and the checkpoints agree."""
    chance = random.Random(7)
    bus.start()
    await bus.until(lambda health: health["ready"])
    for hour in range(5):
        await bus.register(400)
        await bus.tick(STARTS + (hour + 1) * HOUR)
        due = 400 * hour + chance.randrange(400)
        await bus.until(partial(_has_read, due))
        bus.end(signal.SIGKILL)
        bus.start()
    await bus.until(lambda health: health["signed"]["0"] == 2000 == health["size"]["0"])
    bus.end()
    killed = bus.files()
    shutil.rmtree(bus.home / "logs")
    bus.start()
    await bus.until(lambda health: health["ready"] and health["size"]["0"] == 2000)
    bus.end()

    assert bus.files() == killed


@pytest.mark.slow
@pytest.mark.broken_trail("anomalies", "history", reason="junk is written into the history")
async def test_a_record_that_is_none_stops_it_and_is_named(bus: AuditedBus) -> None:
    """The auditor stays up to report it, appends and signs nothing more, and ends with another status."""
    await bus.register(4)
    bus.start()
    await bus.shows(4)
    await bus.register(2)
    await bus.write([Record(b"junk", b"CANARY", (("nrm_registration", b"{}"),))])
    await bus.register(5)
    health = await bus.until(lambda health: health["trouble"])

    assert (health["ready"], health["trouble"]) == (False, "unreadable at number 7 of partition 0")
    assert (health["numbers"]["0"], health["size"]["0"], health["signed"]["0"]) == (6, 6, 4)
    assert (await bus.get("/proof/0/4")).status_code == 200
    await bus.tick(STARTS + 5 * HOUR)
    assert bus.end() == 70
    (line,) = [each for each in bus.log() if each["event"] == "history_refused"]
    assert (line["code"], line["partition"], line["number"]) == ("unreadable", 0, 7)
    assert "CANARY" not in (bus.folder.logs / "auditor.log").read_text()
    assert [said.checkpoint.size for _, said in await bus.checkpoints()] == [4]

    bus.start()  # as its supervisor does
    again = await bus.until(lambda health: health["trouble"])
    assert again["trouble"] == health["trouble"]


class _NotUtf8(str):
    """A name that goes over the wire as bytes that are not UTF-8."""

    __slots__ = ()

    def encode(self, *_how: Any) -> bytes:
        return b"x-\xff\xfe"


@pytest.mark.slow
@pytest.mark.broken_trail(reason="a record that no client can read lies in the history")
async def test_a_header_whose_name_is_no_text_stops_it_by_number_too(
    bus: AuditedBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka's client cannot decode such a record and would retry for ever; the auditor reads and names it."""
    monkeypatch.setattr(message_accumulator, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)
    await bus.register(3)
    bus.start()
    await bus.until(lambda health: health["size"]["0"] == 3)
    async with clients.producer(bus.folder.bootstrap) as producer:
        batch = producer.create_batch()
        batch.append(key=None, value=b"junk", timestamp=None, headers=[(_NotUtf8("x"), b"1")])
        await (await producer.send_batch(batch, "nrm.cases", partition=0))

    health = await bus.until(lambda health: health["trouble"])
    assert health["trouble"] == "unreadable at number 4 of partition 0"


@pytest.mark.slow
@pytest.mark.broken_trail("anomalies", reason="written by hand, and delivered to nobody")
async def test_a_second_auditor_gets_nothing(bus: AuditedBus) -> None:
    """The first goes on; the second is told who has the place, and touches nothing."""
    await bus.register(3)
    bus.start()
    await bus.until(lambda health: health["signed"]["0"] == 3)
    door = (bus.home / "door.json").read_bytes()
    second = bus.start()
    assert second.wait(30) == 1
    bus.running.pop()
    assert (bus.home / "door.json").read_bytes() == door
    await bus.register(2)

    await bus.until(lambda health: health["size"]["0"] == 5)
    assert bus.end() == 0


@pytest.mark.slow
@pytest.mark.broken_trail(
    "anomalies", "checkpoints", reason="at last the history is shorter than what was signed of it"
)
async def test_an_old_folder_that_was_restored_does_not_sign_what_it_has_forgotten(bus: AuditedBus) -> None:
    """A folder restored with keys and table catches up from the topics; a shorter history stops the auditor."""
    await bus.register(3)
    bus.start()
    await bus.until(lambda health: health["signed"]["0"] == 3)
    bus.end()
    shutil.copytree(bus.home, bus.folder.path / "backup")
    bus.start()
    await bus.register(5)
    await bus.until(lambda health: health["size"]["0"] == 8)
    bus.end()

    shutil.rmtree(bus.home)
    shutil.copytree(bus.folder.path / "backup", bus.home)
    bus.start()
    health = await bus.until(lambda health: health["ready"] and health["size"]["0"] == 8)
    assert health["signed"]["0"] == 8
    bus.end()

    await asyncio.to_thread(emptied, bus, "nrm.cases")
    again = AuditedBus(bus.folder)
    await again.register(6)
    again.start()
    health = await again.until(lambda health: health["trouble"])
    again.stop()
    assert health["trouble"] == "tail_cut at number 7 of partition 0"


def emptied(bus: AuditedBus, topic: str) -> None:
    """Empty *topic*, as on a broker whose disk was replaced."""
    admin = clients.admin(bus.folder.bootstrap)
    admin.delete_topics([topic])[topic].result(PATIENCE)
    until("the topic is gone", lambda: topic not in admin.list_topics(timeout=PATIENCE).topics)
    topics.apply(bus.folder.bootstrap, ["ngo-a", "ngo-l", *SERVICES], bus.folder.settings.partitions, play=True)


@pytest.mark.slow
@pytest.mark.broken_trail("anomalies", "witnesses", reason="some of what witnesses say is forged")
async def test_cosignatures_of_witnesses_are_added_to_the_checkpoint(bus: AuditedBus) -> None:
    """Co-signatures are verified by the directory's keys and survive a restart; forged or misplaced ones do not count."""
    await bus.register(3)
    bus.start()
    await bus.shows(3)
    text = Note.parse((await bus.get("/checkpoint/0")).content).text
    name = bus.folder.settings.bus

    async def says(agency: str, of: str, text: bytes = text) -> None:
        key = Identity.at(bus.folder.agency(of).path, of).witness
        note = Note(text, (Cosigner(witness_name(name, of), key).cosign(text, 1_772_427_700),)).bytes()
        async with clients.producer(bus.folder.bootstrap) as producer:
            await producer.send_and_wait(f"nrm.witness.{agency}", note)

    await says("ngo-a", "ngo-l")
    await says("ngo-l", "ngo-l", Checkpoint(origin_of(name, 0), 3, bytes(32)).text)
    await says("ngo-a", "ngo-a")
    await bus.until(lambda health: health["cosigned"] == {"0": {"size": 3, "witnesses": 1}})
    bus.end(signal.SIGKILL)
    bus.start()
    await says("ngo-l", "ngo-l")
    await bus.until(lambda health: health["cosigned"] == {"0": {"size": 3, "witnesses": 2}})

    note = Note.parse((await bus.get("/checkpoint/0?witnesses=2")).content)
    assert {each.name for each, _ in note.verified((await bus.directory()).witnesses())} == {
        witness_name(name, "ngo-a"),
        witness_name(name, "ngo-l"),
    }
    # The one that was killed may have said it without having stored how far it had read: the next reads and says it again.
    refused = {(each["agency"], each["code"]) for each in bus.log() if each["event"] == "cosignature_refused"}
    assert refused == {("ngo-a", "note_unsigned"), ("ngo-l", "root_differs")}


async def test_records_of_the_registrar_are_audited_and_desks_are_witnesses(broker: Broker) -> None:
    """Registrar, desk and auditor as they are: events with letters are leaves, and the desk co-signs the checkpoint."""
    agencies = {"ngo-a": "ngo_outreach", "special-unit": "special_unit"}
    async with live(broker, agencies, run=("ngo-a",)) as running:
        bus = AuditedBus(running.folder)
        async with running.door("ngo-a") as door:
            for _ in range(5):
                assert (await door.publish(signal_of(ids.new_ref()), wait=LONGEST_WAIT))["verdict"] == "registered"
        bus.start()
        try:
            await bus.until(lambda health: health["cosigned"]["0"] == {"size": health["size"]["0"], "witnesses": 1})
            assert (await bus.until(lambda health: health["ready"]))["numbers"]["0"] >= 5
        finally:
            bus.stop()
