"""Every client is made from one table, and does what the table says on a real broker."""

import asyncio
import gc
import sys
import time
import weakref
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaTimeoutError, ProducerFenced, TopicAuthorizationFailedError
from aiokafka.structs import OffsetAndMetadata
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from brokers import Broker
from nrmbus.bus.errors import KafkaFailed
from nrmbus.bus.kafka import clients
from nrmbus.bus.kafka.clients import SETTINGS, Administration, settings
from patience import PATIENCE, eventually

CASES = TopicPartition("nrm.cases", 0)


def test_settings_are_those_measured_under_faults() -> None:
    """Altered, one of them loses records or stops the bus for half a minute: see the decision record of the registrar."""
    for kind in ("registrar", "desk"):
        found = settings("reader", kind)
        assert found["enable_auto_commit"] is False
        assert found["auto_offset_reset"] == "earliest"
        assert found["isolation_level"] == "read_committed"
        assert found["request_timeout_ms"] <= 3_000
        assert found["metadata_max_age_ms"] <= 5_000
        assert found["heartbeat_interval_ms"] * 3 <= found["session_timeout_ms"]
    assert settings("registrar")["session_timeout_ms"] == 1_350
    assert settings("turn")["session_timeout_ms"] == 1_500
    for found in (settings("registrar"), settings("turn")):
        assert found["session_timeout_ms"] - found["heartbeat_interval_ms"] == 1_200, "so long may a member be held up"
    assert settings("registrar", "patient")["session_timeout_ms"] == 6_000
    assert settings("producer")["acks"] == settings("shard")["acks"] == "all"
    assert settings("producer")["enable_idempotence"] is True
    assert 9_000 < settings("shard")["transaction_timeout_ms"] <= 15_000


def test_the_table_cannot_be_altered() -> None:
    """A service that needs another setting needs another row, with its reason."""
    with pytest.raises(TypeError):
        SETTINGS["every"] = {}  # type: ignore[index]


class Heard:
    """A consumer of two partitions that were heard so many seconds ago."""

    def __init__(self, *ago: float | None) -> None:
        self._ago = {TopicPartition("nrm.outbox.ngo-a", number): each for number, each in enumerate(ago)}

    def assignment(self) -> set[TopicPartition]:
        """Return its partitions."""
        return set(self._ago)

    def last_poll_timestamp(self, partition: TopicPartition) -> int | None:
        """Return when it was heard, in milliseconds."""
        ago = self._ago[partition]
        return None if ago is None else round((time.time() - ago) * 1000)


@pytest.mark.parametrize(
    ("ago", "is_cut_off"),
    [((), False), ((None,), False), ((90.0, 90.0), True), ((90.0, 1.0), False), ((1.0, 1.0), False)],
    ids=["no partition", "not asked yet", "silent", "one held back", "heard"],
)
def test_a_consumer_is_cut_off_when_nobody_answers_it(ago: tuple[float | None, ...], is_cut_off: bool) -> None:  # noqa: FBT001 - a case of the table
    """Given partitions of which some are read no more, then Kafka is silent only where none was answered for a minute."""
    assert clients.is_cut_off(Heard(*ago)) is is_cut_off


def test_a_partition_without_an_answer_is_silent_since_its_assignment() -> None:
    """Given a broker that freezes before the first answer, then the silence counts from when the partition was assigned."""
    (partition,) = Heard(None).assignment()
    now = time.time()
    assert clients.silence(Heard(None), partition) is None
    assert (clients.silence(Heard(None), partition, since=now - 90) or 0) >= 90
    assert clients.silence(Heard(None), partition, since=now + 90) == 0, "a clock that was set back is no silence"
    assert 90 > (clients.silence(Heard(1.0), partition, since=now - 9000) or 0) >= 0.9, "an answer counts alone"


class Slow:
    """A consumer whose broker answers the third question about ends, and denies it the topics *denied*."""

    def __init__(self, *denied: str) -> None:
        self.asked = 0
        self._client = SimpleNamespace(cluster=SimpleNamespace(unauthorized_topics=set(denied)))

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Answer late, as a broker on a busy machine."""
        self.asked += 1
        if self.asked < 3:
            raise KafkaTimeoutError
        return dict.fromkeys(partitions, 7)


async def test_a_slow_broker_is_asked_again_where_topics_end() -> None:
    """On a busy machine an answer may take longer than one request's time; a start or a command does not end for that."""
    slow = Slow()
    assert await clients.ends(slow, [CASES]) == {CASES: 7}
    assert slow.asked == 3


async def test_a_broker_that_never_answers_is_given_up() -> None:
    """After its patience the caller hears of it; who holds others up has none."""
    slow = Slow()
    with pytest.raises(KafkaTimeoutError):
        await clients.ends(slow, [CASES], patience=0)
    assert slow.asked == 1


async def test_a_topic_that_is_denied_is_not_waited_for() -> None:
    """Who is suspended hears that after one request's time, and not after a minute that no broker answers."""
    denied = Slow(CASES.topic, "another")
    with pytest.raises(TopicAuthorizationFailedError, match=CASES.topic):
        await clients.ends(denied, [CASES])
    assert denied.asked == 1
    assert await clients.ends(Slow("another"), [CASES]) == {CASES: 7}


@pytest.fixture
def bootstrap(broker: Broker) -> str:
    """A fresh bus's broker."""
    return broker.fresh_bus(agencies=["ngo-a"]).bootstrap


async def values(consumer: AIOKafkaConsumer, end: int) -> list[bytes]:
    """Return all values that a reader of the cases is given until it has passed *end*."""
    found: list[bytes] = []
    while await consumer.position(CASES) < end:
        for records in (await consumer.getmany(timeout_ms=200)).values():
            found += [each.value for each in records]
    return found


@pytest.mark.broker
async def test_an_aborted_transaction_is_never_read(bootstrap: str) -> None:
    """A reader sees what was committed, and nothing else."""
    async with clients.transactional_producer(bootstrap, "shard-0") as producer:
        for value, kept in ((b"taken back", False), (b"kept", True)):
            await producer.begin_transaction()
            await producer.send_and_wait(CASES.topic, value, partition=0)
            await (producer.commit_transaction() if kept else producer.abort_transaction())

    async with clients.reading(bootstrap, CASES) as (reader, end):
        assert end == 4  # two records, and what ended each transaction
        assert await values(reader, end) == [b"kept"]


@pytest.mark.broker
async def test_a_reader_begins_at_the_given_offset(bootstrap: str) -> None:
    """From the first record by default, else from an offset."""
    async with clients.producer(bootstrap) as producer:
        for value in (b"1", b"2", b"3"):
            await producer.send_and_wait(CASES.topic, value, partition=0)

    async with clients.reading(bootstrap, CASES) as (reader, end):
        assert end == 3
        assert await values(reader, end) == [b"1", b"2", b"3"]
    async with clients.reading(bootstrap, CASES, offset=2) as (reader, end):
        assert await values(reader, end) == [b"3"]


@pytest.mark.broker
async def test_starting_a_shards_producer_fences_the_one_before(bootstrap: str) -> None:
    """The id names the shard: the previous owner is fenced, and no reader sees its half transaction."""
    async with clients.transactional_producer(bootstrap, "shard-0") as old:
        await old.begin_transaction()
        await old.send_and_wait(CASES.topic, b"half", partition=0)
        async with clients.transactional_producer(bootstrap, "shard-0") as new:
            await new.begin_transaction()
            await new.send_and_wait(CASES.topic, b"whole", partition=0)
            await new.commit_transaction()

            with pytest.raises(ProducerFenced):
                await old.send_and_wait(CASES.topic, b"late", partition=0)

    async with clients.reading(bootstrap, CASES) as (reader, end):
        assert await values(reader, end) == [b"whole"]


EXPECTED_MS = round(4 * PATIENCE * 1000)
"""How long the group expects a member that was killed: longer than this test waits, and less than a broker allows (30 min)."""

MEMBER = f"""
import asyncio, sys
from nrmbus.bus.kafka import clients

async def main(bootstrap, kind):
    expected = dict(session_timeout_ms={EXPECTED_MS}, rebalance_timeout_ms={EXPECTED_MS})
    clients.SETTINGS = {{**clients.SETTINGS, kind: {{**clients.SETTINGS[kind], **expected}}}}
    consumer = clients.group_consumer(bootstrap, group=f"group-{{kind}}", instance=f"{{kind}}-a", kind=kind)
    await consumer.start()
    consumer.subscribe(["nrm.outbox.ngo-a"])
    while not consumer.assignment():
        await asyncio.sleep(0.01)
    print("joined", flush=True)
    await asyncio.sleep({EXPECTED_MS})

asyncio.run(main(*sys.argv[1:]))
"""
"""A member of a group, to be killed."""


@pytest.mark.broker
@pytest.mark.parametrize("kind", ["registrar", "desk"])
async def test_a_member_that_was_killed_has_its_partitions_back_at_once(bootstrap: str, kind: Any) -> None:
    """The stable name makes it quick: the successor does not wait until the group gives the dead member up.

    The group would do that four times later than this test gives up.
    """
    killed = await asyncio.create_subprocess_exec(
        sys.executable, "-c", MEMBER, bootstrap, kind, stdout=asyncio.subprocess.PIPE
    )
    assert killed.stdout is not None
    assert await killed.stdout.readline() == b"joined\n"
    killed.kill()
    await killed.wait()

    successor = clients.group_consumer(bootstrap, group=f"group-{kind}", instance=f"{kind}-a", kind=kind)
    async with successor:
        successor.subscribe(["nrm.outbox.ngo-a"])
        await eventually("it has its partitions", successor.assignment)
        assert successor.assignment() == {TopicPartition("nrm.outbox.ngo-a", 0)}


@pytest.mark.broker
async def test_nothing_is_committed_unasked(bootstrap: str) -> None:
    """A record is behind us when its work is committed, not when it was read."""
    position = TopicPartition("nrm.outbox.ngo-a", 0)
    async with clients.producer(bootstrap) as producer:
        await producer.send_and_wait(position.topic, b"1", partition=0)

    async with clients.group_consumer(bootstrap, group="desk", instance="desk-a", kind="desk") as consumer:
        consumer.subscribe([position.topic])
        assert (await consumer.getone()).value == b"1"
        assert await consumer.committed(position) is None
        await consumer.commit({position: OffsetAndMetadata(1, "")})
        assert await consumer.committed(position) == 1


class TestAdministration:
    """An administrator's request is made again while a broker that went away is still named by the others."""

    @pytest.fixture
    def brokers(self, bootstrap: str) -> Administration:
        """An administrator's client at a broker that runs."""
        return Administration(bootstrap)

    @pytest.mark.broker
    def test_unanswered_requests_are_made_again_with_another_client(self, brokers: Administration) -> None:
        """Given no answer twice, when a broker answers the third time, then this is the answer."""
        clients_asked: list[object] = []

        def call(client: AdminClient) -> list[Future[str]]:
            clients_asked.append(client)
            return [failed(KafkaError._TIMED_OUT) if len(clients_asked) < 3 else done("made")]

        assert brokers.answers(call) == ["made"]
        assert len(set(map(id, clients_asked))) == 3

    @pytest.mark.broker
    def test_a_refusal_is_final(self, brokers: Administration) -> None:
        """Given a refusal, when a request is answered, then it is not made again, and the message has Kafka's name of it."""
        calls: list[object] = []

        def call(client: AdminClient) -> list[Future[str]]:
            calls.append(client)
            return [done("made"), failed(KafkaError.TOPIC_ALREADY_EXISTS)]

        with pytest.raises(KafkaFailed, match="TOPIC_ALREADY_EXISTS"):
            brokers.answers(call)
        assert len(calls) == 1
        assert brokers.answers(call, unless=frozenset({"TOPIC_ALREADY_EXISTS"})) == ["made", None]

    def test_nothing_is_left_of_a_client_whose_request_failed(self) -> None:
        """Given a failed request, when the administrator is dropped, then its clients are gone: they would look for a broker for ever."""
        brokers = Administration("127.0.0.1:1")
        used = [weakref.ref(brokers.client)]
        requests = [failed(KafkaError._TIMED_OUT)]
        gc.disable()
        try:
            assert brokers.attempt(lambda _: requests) == [(None, "_TIMED_OUT")]
            used.append(weakref.ref(brokers.client))
            del brokers

            assert [each() for each in used] == [None, None]
        finally:
            gc.enable()

    @pytest.mark.thorough
    def test_nobody_waits_for_a_bus_that_is_away(self) -> None:
        """Given a host where nothing listens, when a request gets no answer, then it fails, once the client has looked for a broker."""
        calls: list[object] = []

        def call(client: AdminClient) -> list[Future[str]]:
            calls.append(client)
            return [failed(KafkaError._TRANSPORT)]

        with pytest.raises(KafkaFailed, match="nrmbus check says where the way to it ends"):
            Administration("127.0.0.1:1").answers(call)
        assert len(calls) == 1


def done(answer: str) -> Future[str]:
    """Return a request that was answered."""
    future = Future[str]()
    future.set_result(answer)
    return future


def failed(code: int) -> Future[str]:
    """Return a request that ended in Kafka's error *code*."""
    future = Future[str]()
    future.set_exception(KafkaException(KafkaError(code)))
    return future
