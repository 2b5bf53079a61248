"""P1: a request of a transaction that the network delivers late changes no later transaction.

aiokafka sends an unanswered request again under the same epoch of its producer. Kafka's protocol before KIP-890 cannot tell
the late one from a request of the next transaction: only a newer epoch has the broker refuse it.

Each was broken once: without ``await self._fence(owned)`` in `Owner._commit` all of ``…_that_was_sent_again_…`` fail; with
``new = old`` in its test, ``…_a_late_abort_…``; with a transactional id of the process, as by `launch` with sabotage,
``…_that_gave_up_…``; with `TransactionalProducer.follows` always true, ``…_that_lost_its_shard_…``.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import NewTopic

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.directory import Identity
from nrmbus.directory.admission import Newcomer, admit
from nrmbus.play.load import Agency
from nrmbus.play.trail import read_all
from nrmbus.registrar.owner import GROUP
from nrmbus.wire import ids
from patience import PATIENCE, until
from registrar.fire import FIRST, Place
from registrar.launch import launch_careless, launch_impatient, launch_in_small_parts
from relay import ADD_OFFSETS, ADD_PARTITIONS, BEGIN, COMMIT_OFFSETS, END, Relay, relayed
from trail import check_trail

pytestmark = pytest.mark.broker

SHARD = "nrm-registrar-p0"
FENCED = {47, 49, 90}
"""Codes of INVALID_PRODUCER_EPOCH, INVALID_PRODUCER_ID_MAPPING and PRODUCER_FENCED."""
KINDS = {
    "the end of a transaction": END,
    "partitions": ADD_PARTITIONS,
    "a group": ADD_OFFSETS,
    "offsets": COMMIT_OFFSETS,
}


@dataclass
class Bus:
    """One agency, and a registrar that reaches the broker through a relay."""

    relay: Relay
    direct: str
    folder: BusFolder
    sender: Agency
    registrar: Place
    group: Consumer
    """Member of no group: it only asks how far the registrar's has read."""
    sent: int = 0

    def submit(self) -> None:
        """Put one more event of the one case into the agency's outbox."""
        each = self.sender.submit(self.sender.cases[0], datetime.now(UTC).replace(microsecond=0), 1)
        producer = Producer({"bootstrap.servers": self.direct, "acks": "all"})
        producer.produce(
            each.topic, each.record.value, each.record.key, each.partition, headers=list(each.record.headers)
        )
        assert producer.flush(PATIENCE) == 0
        self.sent += 1

    def stands(self) -> tuple[int, int, int]:
        """Return how many registrations, receipts and committed offsets of the outbox a reader of committed records sees."""
        cases = sum(1 for _ in read_all(self.direct, r"nrm\.cases"))
        receipts = sum(1 for _ in read_all(self.direct, r"nrm\.inbox\.ngo-a"))
        return cases, receipts, self._read_to()

    def _read_to(self) -> int:
        try:
            (outbox,) = self.group.committed([TopicPartition("nrm.outbox.ngo-a", 0)], PATIENCE)
        except KafkaException as error:
            # The coordinator is still loading, or another broker's by what the client heard last: asked at the next look.
            assert error.args[0].name() in {"NOT_COORDINATOR", "COORDINATOR_LOAD_IN_PROGRESS"}, error  # noqa: PT017 - others fail
            return -1
        return max(0, outbox.offset)

    def until_all_stands(self) -> None:
        """Wait until everything that was sent is registered, delivered, and never read again."""
        self.until("all is registered once", lambda: self.stands() == (self.sent,) * 3)

    def restart(self, run: Callable[[Path], None]) -> None:
        """Kill the registrar; have *run* run the next one."""
        self.registrar.end()
        self.registrar = Place("a", self.folder, run)

    def until(self, what: str, holds: Callable[[], object]) -> None:
        """Wait until *holds*, while the registrar is started whenever it has ended."""

        def look() -> object:
            self.registrar.poll()
            return holds()

        until(what, look)


@pytest.fixture(scope="module", name="bus")
def _bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bus]:
    home = tmp_path_factory.mktemp("late")
    with relayed(home / "broker") as (kafka, relay):
        folder = BusFolder(home / "bus")
        folder.create(partitions=1, bootstrap=relay.address, tls=False)
        since = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
        asyncio.run(admit(folder, {agency: Newcomer(role) for agency, role in FIRST.items()}, since))
        sender = Agency(Identity.at(folder.agency("ngo-a").path, "ngo-a"), "vac", [ids.new_ref()])
        # Else the broker would not answer while offsets of an open transaction are pending.
        asking = {"group.id": GROUP, "isolation.level": "read_uncommitted", "log_level": 0}
        group = Consumer({"bootstrap.servers": kafka.bootstrap, **asking})
        bus = Bus(relay, kafka.bootstrap, folder, sender, Place("a", folder, launch_impatient), group)
        try:
            bus.submit()
            bus.until_all_stands()
            yield bus
        finally:
            bus.registrar.end()
            group.close()


@pytest.fixture(autouse=True)
def _whole(bus: Bus) -> Iterator[None]:
    """Whatever came late, at the end all stands once, the trail is whole, and the registrar never aborted a transaction."""
    yield
    bus.until_all_stands()
    check_trail(bus.folder)
    assert (SHARD.encode(), False) not in bus.relay.endings


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_p1_a_late_request_that_was_sent_again_changes_no_later_transaction(bus: Bus, kind: int) -> None:
    """Given a request without an answer in time, when it arrives during the next transaction, the broker refuses it."""
    starts = bus.registrar.starts
    before = bus.sent + 1
    with late_in_the_next(bus, kind) as codes:
        assert set(codes) <= FENCED
        assert bus.stands() == (before,) * 3
    bus.until_all_stands()
    assert bus.registrar.starts == starts


def test_p1_the_check_sees_a_producer_that_is_not_replaced(bus: Bus) -> None:
    """Sabotage: under the same epoch late offsets are taken into the next transaction, and put the group back."""
    bus.restart(launch_careless)
    with late_in_the_next(bus, COMMIT_OFFSETS) as codes:
        assert set(codes) == {0}
    bus.until("the offsets are cut off", lambda: bus.stands() == (bus.sent, bus.sent, bus.sent - 1))
    bus.restart(launch_impatient)
    bus.submit()


@contextmanager
def late_in_the_next(bus: Bus, kind: int) -> Iterator[list[int | None]]:
    """Have a request arrive in the next transaction; yield the broker's answers while the next transaction is open."""
    late = bus.relay.hold(kind, SHARD, most=1)
    bus.submit()
    bus.until("a request is held back", lambda: late.caught)
    bus.until_all_stands()

    following = bus.relay.hold(ADD_OFFSETS if kind == END else END, SHARD)
    bus.submit()
    bus.until("the next transaction is open", lambda: following.caught)
    try:
        yield late.release()
    finally:
        following.release()


def test_p1_a_batch_in_several_transactions_is_registered_once_whatever_is_killed(bus: Bus) -> None:
    """On a slow line each record has a transaction of its own; a registrar that is killed between two leaves the rest to the next."""

    def end() -> int:
        return int(bus.group.get_watermark_offsets(TopicPartition("nrm.cases", 0), PATIENCE)[1])

    bus.registrar.end()
    before, began = bus.sent, end()
    for _ in range(30):
        bus.submit()
    bus.restart(launch_in_small_parts)
    bus.until("some are registered", lambda: bus.stands()[0] > before + 3)
    bus.restart(launch_in_small_parts)
    bus.until_all_stands()

    assert end() - began >= 2 * 30, "each registration is followed by the end of its transaction"
    bus.restart(launch_impatient)


@pytest.mark.slow
def test_p1_a_late_commit_of_a_registrar_that_gave_up_changes_no_later_transaction(bus: Bus) -> None:
    """Given a commit without any answer, the registrar leaves; the late commit does not end a transaction of the next registrar."""
    starts, before = bus.registrar.starts, bus.sent
    late = bus.relay.hold(END, SHARD)
    following = bus.relay.hold(ADD_OFFSETS, SHARD, most=0)
    bus.submit()
    bus.until("the registrar has left", lambda: bus.registrar.starts > starts)
    late.no_more()
    following.most = None
    bus.until("the next transaction is open", lambda: following.caught)
    assert late.caught
    assert set(late.release()) <= FENCED
    assert bus.stands() == (before,) * 3
    following.release()
    bus.until_all_stands()


@pytest.mark.slow
def test_p1_a_registrar_that_lost_its_shard_before_the_fence_does_not_take_it_back(bus: Bus) -> None:
    """Given another owner since its last commit, a registrar that replaces its producer leaves, and begins from the history."""
    starts = bus.registrar.starts
    fence = bus.relay.hold(BEGIN, SHARD)
    late = bus.relay.hold(ADD_OFFSETS, SHARD, most=1)
    bus.submit()
    bus.until("the producer is being replaced", lambda: fence.caught)
    asyncio.run(_taken(bus.direct))
    fence.release()
    bus.until("the registrar has left", lambda: bus.registrar.starts > starts)
    late.release()
    bus.submit()


async def _taken(direct: str) -> None:
    """Take the shard as another registrar does."""
    other = clients.transactional_producer(direct, SHARD)
    await other.start()
    await other.stop()


@pytest.mark.slow
def test_p1_a_late_abort_changes_no_later_transaction(bus: Bus) -> None:
    """The registrar never aborts; the same producer, used by a program that aborts, is replaced as well."""
    admin = clients.admin(bus.direct)  # kept: without a name it would be gone before it answers
    admin.create_topics([NewTopic("late", 1, 1)])["late"].result(PATIENCE)
    asyncio.run(_aborted_late(bus.relay))

    assert [each.record.value for each in read_all(bus.direct, "late")] == [b"kept"]


async def _aborted_late(relay: Relay) -> None:
    late = relay.hold(END, "late", most=1)
    with patch.dict(clients.SETTINGS["shard"], request_timeout_ms=500):
        old = clients.transactional_producer(relay.address, "late")
    await old.start()
    await old.begin_transaction()
    await old.send_and_wait("late", b"aborted", partition=0)
    await old.abort_transaction()
    assert late.caught
    assert old.unanswered

    new = clients.transactional_producer(relay.address, "late")
    await new.start()
    await new.begin_transaction()
    await new.send_and_wait("late", b"kept", partition=0)
    assert set(await asyncio.to_thread(late.release)) <= FENCED
    await new.commit_transaction()
    await old.stop()
    await new.stop()
