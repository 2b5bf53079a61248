"""The check at the end of every test: a sound trail passes, and each way to break one is named."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from agencies import BUS, NOW, log_keys
from auditor.log.test_publisher import keys_of
from auditor.played import with_header
from brokers import Broker
from desk.live import live, signal_of
from nrmbus.auditor.log.log import Log
from nrmbus.auditor.log.publisher import Publisher
from nrmbus.auditor.log.signed_heads import SignedHeads
from nrmbus.bus.kafka import clients
from nrmbus.directory import Directory
from nrmbus.play.memory import MemoryBus
from nrmbus.play.trail import Read, read_all
from nrmbus.wire import statement
from nrmbus.wire.keys.keys import SigningKey, VerifyKey
from nrmbus.wire.log.checkpoint import AddCheckpoint, Checkpoint, origin_of, witness_name
from nrmbus.wire.log.cosignature import Cosigner
from nrmbus.wire.log.note import Note
from nrmbus.wire.record import REGISTRATION, Record
from nrmbus.wire.registration import Registration, sign_registration, verify_registration
from patience import LONGEST_WAIT
from play.stories import SIGNAL, played, scenario
from registrar.given import Bus, as_record
from trail import Watch, check_play, check_trail, faults_of

ORIGIN = origin_of(BUS, 0)


class Told:
    """A bus with an auditor and a witness as read from its topics, and records that somebody could add."""

    def __init__(self, home: Path) -> None:
        """Three registrations and their deliveries, two checkpoints, both co-signed by one desk."""
        self.bus = bus = Bus()
        shard = bus.shard()
        decisions = [bus.signal(shard), bus.consents(shard, "vac"), bus.consents(shard, "fund")]
        self.auditor = log_keys()
        self.records = [Read("nrm.directory", 0, Record(None, each, ())) for each in bus.directory.signed]
        self.records += [Read(out.topic, out.partition, as_record(out)) for each in decisions for out in each.outs]
        heads = SignedHeads(home / "heads.db")
        log, publisher = Log(home / "log", heads, BUS, 0), Publisher(self.auditor, ORIGIN)
        for hour, numbers in enumerate((bus.history[:2], bus.history[2:])):
            for each in numbers:
                log.append(verify_registration(dict(each.headers)[REGISTRATION], lambda _: bus.key.verify_key))
            publisher.sign(log, NOW + timedelta(hours=hour))
            due = publisher.unpublished(log, heads, keys_of(self.auditor))
            assert due is not None
            publisher.found(due[1])
            self.write("nrm.checkpoints", due[0])
            self.write("nrm.witness.vac", self.cosigned(due[1].checkpoint))
        log.close()

    def write(self, topic: str, value: bytes) -> None:
        """Add a record."""
        self.records.append(Read(topic, 0, Record(None, value, ())))

    def cosigned(self, checkpoint: Checkpoint, by: str = "vac") -> bytes:
        """Return the co-signature of a desk on a checkpoint."""
        cosigner = Cosigner(witness_name(BUS, by), self.bus.identities[by].witness)
        return Note(checkpoint.text, (cosigner.cosign(checkpoint.text, int(NOW.timestamp())),)).bytes()

    def signed(self, checkpoint: Checkpoint, old: int) -> bytes:
        """Return the record of a checkpoint with the auditor's keys, whatever the checkpoint says."""
        key, lasting = self.auditor.signers(ORIGIN)
        note = Note(checkpoint.text, (key.sign(checkpoint.text), lasting.cosign(checkpoint.text, int(NOW.timestamp()))))
        return AddCheckpoint(old, (), note.bytes()).bytes()

    def at(self, topic: str, number: int) -> int:
        """Return the index of the number-th record of *topic*."""
        return [at for at, each in enumerate(self.records) if each.topic == topic][number - 1]

    def faults(self) -> list[str]:
        """Return the faults of the trail."""
        return faults_of(self.records, BUS, VerifyKey(self.bus.operator.public))


@pytest.fixture(name="told")
def _told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    told = Told(tmp_path)
    monkeypatch.setattr(Directory, "log_keys", lambda _: keys_of(told.auditor))
    return told


def test_a_sound_trail_has_no_faults(told: Told) -> None:
    """Deliveries, history, two checkpoints and two co-signatures."""
    assert told.faults() == []


def forked(told: Told) -> None:
    """The registrar rewrites the last registration, and the whole tail with it."""
    at = told.at("nrm.cases", 3)
    record = told.records[at].record
    leaf = Registration.parse(statement.body_of("registration", dict(record.headers)[REGISTRATION]))
    other = Registration.model_validate(leaf.model_dump() | {"time": NOW + timedelta(seconds=1)})
    told.records[at] = Read("nrm.cases", 0, with_header(record, REGISTRATION, sign_registration(other, told.bus.key)))


def resigned(told: Told) -> None:
    """Sign the last registration with another key."""
    at = told.at("nrm.cases", 3)
    record = told.records[at].record
    leaf = Registration.parse(statement.body_of("registration", dict(record.headers)[REGISTRATION]))
    forged = sign_registration(leaf, SigningKey.generate())
    told.records[at] = Read("nrm.cases", 0, with_header(record, REGISTRATION, forged))


BROKEN: dict[str, tuple[Callable[[Told], object], list[str]]] = {
    "a registration doubled": (
        lambda told: told.records.append(told.records[told.at("nrm.cases", 3)]),
        ["anomalies", "history: chain_broken at number 4 of partition 0"],
    ),
    "a gap": (
        lambda told: told.records.pop(told.at("nrm.cases", 2)),
        ["anomalies", "history: chain_broken at number 2 of partition 0", "checkpoints: root_differs at size 2 of partition 0", "checkpoints: root_differs at size 3 of partition 0"],
    ),
    "the tail cut": (
        lambda told: told.records.pop(told.at("nrm.cases", 3)),
        ["anomalies", "checkpoints: root_differs at size 3 of partition 0"],
    ),
    "two swapped": (
        lambda told: told.records.insert(told.at("nrm.cases", 1), told.records.pop(told.at("nrm.cases", 2))),
        ["anomalies", "history: chain_broken at number 1 of partition 0", "checkpoints: root_differs at size 2 of partition 0", "checkpoints: root_differs at size 3 of partition 0"],
    ),
    "a delivery taken out": (lambda told: told.records.pop(told.at("nrm.inbox.ngo-a", 3)), ["anomalies"]),
    "a fork": (forked, ["anomalies", "checkpoints: root_differs at size 3 of partition 0"]),
    "a registration forged": (resigned, ["history: signature_invalid at number 3 of partition 0"]),
    "an entry of the directory taken out": (lambda told: told.records.pop(0), ["directory"]),
    "a checkpoint of a fork": (
        lambda told: told.write("nrm.checkpoints", told.signed(Checkpoint(ORIGIN, 3, bytes(32)), 3)),
        ["checkpoints: root_differs in record 2"],
    ),
    "a checkpoint of a smaller tree": (
        lambda told: told.write("nrm.checkpoints", told.signed(Checkpoint(ORIGIN, 1, bytes(32)), 3)),
        ["checkpoints: tree_shrank in record 2"],
    ),
    "a checkpoint of a larger tree than the history has": (
        lambda told: told.write("nrm.checkpoints", told.signed(Checkpoint(ORIGIN, 9, bytes(32)), 0)),
        ["checkpoints: record 2 begins at 0, not at 3", "checkpoints: consistency_invalid in record 2"],
    ),
    "a checkpoint missing": (
        lambda told: told.records.pop(told.at("nrm.checkpoints", 1)),
        ["checkpoints: record 0 begins at 2, not at 0", "checkpoints: consistency_invalid in record 0", "witnesses: never published in record 0 of nrm.witness.vac", "witnesses: never published in record 1 of nrm.witness.vac"],
    ),
    "something that is no checkpoint": (
        lambda told: told.write("nrm.checkpoints", b"junk"), ["checkpoints: body_malformed in record 2"],
    ),
    "another's co-signature": (
        lambda told: told.write("nrm.witness.vac", told.cosigned(Checkpoint(ORIGIN, 3, bytes(32)), "fund")),
        ["witnesses: note_unsigned in record 2 of nrm.witness.vac"],
    ),
    "a co-signature of a fork": (
        lambda told: told.write("nrm.witness.vac", told.cosigned(Checkpoint(ORIGIN, 3, bytes(32)))),
        ["witnesses: never published in record 2 of nrm.witness.vac"],
    ),
}  # fmt: skip


@pytest.mark.thorough
@pytest.mark.parametrize(("harm", "expected"), BROKEN.values(), ids=BROKEN)
def test_each_way_to_break_a_trail_is_named(told: Told, harm: Callable[[Told], object], expected: list[str]) -> None:
    """Sabotage: each alteration of a topic gives exactly the faults that it causes."""
    harm(told)
    faults = told.faults()

    assert [
        each if ":" in due else each.partition(":")[0] for each, due in zip(faults, expected, strict=True)
    ] == expected


def test_each_part_can_be_left_out_for_itself(told: Told) -> None:
    """A test that breaks one part on purpose is still checked for the others."""
    for harm, _ in (BROKEN["a delivery taken out"], BROKEN["a co-signature of a fork"]):
        harm(told)
    told.records.append(told.records[told.at("nrm.checkpoints", 2)])
    operator = VerifyKey(told.bus.operator.public)

    def of(*parts: str) -> set[str]:
        return {each.partition(":")[0] for each in faults_of(told.records, BUS, operator, parts)}

    assert of("anomalies") == {"anomalies"}
    assert of("history") == set()
    assert of("checkpoints") == {"checkpoints"}
    assert of("witnesses") == {"witnesses"}


@pytest.mark.broken_trail("anomalies", reason="a delivery is doubled, to see that the end of every test finds it")
def test_a_play_in_memory_that_doubled_a_delivery_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sabotage: the special unit receives an event twice; the check at the end of every play fails the test."""
    watch = Watch()
    with monkeypatch.context() as patch:
        watch.install(patch)
        stage = MemoryBus()
        assert played(scenario(SIGNAL), stage).green
    check_play(stage)
    watch.end()
    desk = stage._desks["ngo-a"]
    desk._ledger.append(desk._ledger[-1])
    watch._plays.append(stage)

    with pytest.raises(AssertionError, match="misdelivered=1"):
        watch.end()


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.broken_trail(reason="a registration is written twice, to see that the end of every test finds it")
async def test_a_bus_on_which_a_registration_was_doubled_is_found(broker: Broker) -> None:
    """Sabotage: one record is written twice, and the check at the end of the test fails."""
    async with (
        live(broker, {"ngo-a": "ngo_outreach", "special-unit": "special_unit"}, run=["ngo-a"]) as bus,
        bus.door("ngo-a") as door,
    ):
        assert (await door.publish(signal_of("ab" * 16), wait=LONGEST_WAIT))["verdict"] == "registered"
    await asyncio.to_thread(check_trail, bus.folder)
    (record,) = [each.record for each in read_all(bus.folder.as_operator, r"nrm\.cases")]
    async with clients.producer(bus.folder.as_operator) as producer:
        await producer.send_and_wait("nrm.cases", record.value, record.key, partition=0, headers=list(record.headers))

    with pytest.raises(AssertionError, match=r"twice=1.*; history: chain_broken at number 2 of partition 0"):
        await asyncio.to_thread(check_trail, bus.folder)
    found = Watch()
    found.begins(bus.folder)
    with pytest.raises(AssertionError, match="twice=1"):
        await asyncio.to_thread(found.end)
