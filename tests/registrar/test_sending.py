"""A transaction is sent in requests of a size that the broker takes."""

import asyncio

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from nrmbus.bus.kafka.clients import MAX_RECORD
from nrmbus.bus.kafka.cluster import MAX_REQUEST
from nrmbus.registrar.owner import GROUP, write
from nrmbus.registrar.records import Out
from nrmbus.registrar.sending import send_all


class Batch:
    """A batch double: as many records as it has room for, in bytes, and the first one always."""

    def __init__(self, room: int) -> None:
        self.values, self.size, self._room = list[bytes](), 0, room

    def append(
        self, *, timestamp: None, key: bytes | None, value: bytes, headers: list[tuple[str, bytes]]
    ) -> object | None:
        """Take one record, or None if there is no room for it."""
        del timestamp, key
        size = len(value) + sum(len(each) for _, each in headers)
        if self.values and self.size + size > self._room:
            return None
        self.values.append(value)
        self.size += size
        return self


class Producer:
    """A producer double that acknowledges like a broker that takes everything in one request; batch *fails* fails."""

    def __init__(self, fails: int | None = None, room: int = MAX_REQUEST // 2) -> None:
        self.waiting, self.most, self.batches, self._fails, self._room = 0, 0, 0, fails, room
        self.sent: dict[str, list[bytes]] = {}

    def create_batch(self) -> Batch:
        """Return an empty batch."""
        return Batch(self._room)

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> asyncio.Task[None]:
        """Take one batch; its answer comes later."""
        assert partition == 0
        self.batches += 1
        self.sent.setdefault(topic, []).extend(batch.values)
        self.waiting += batch.size
        self.most = max(self.most, self.waiting)
        return asyncio.create_task(self._answer(self.batches))

    async def _answer(self, number: int) -> None:
        self.waiting = 0
        if number == self._fails:
            raise ConnectionError


class SlowProducer(Producer):
    """A producer double that answers records and offsets when the test says so."""

    def __init__(self, fails: int | None = None) -> None:
        super().__init__(fails)
        self.records_answered, self.offsets_answered = asyncio.Event(), asyncio.Event()
        self.offsets: list[tuple[dict[TopicPartition, OffsetAndMetadata], str]] = []

    async def _answer(self, number: int) -> None:
        await self.records_answered.wait()
        await super()._answer(number)

    async def send_offsets_to_transaction(self, ends: dict[TopicPartition, OffsetAndMetadata], group: str) -> None:
        """Take the offsets; their answer comes later."""
        self.offsets.append((ends, group))
        await self.offsets_answered.wait()


def outs(count: int, topics: int = 40) -> list[Out]:
    """Records as large as they may be, each another, to *topics* in turn."""
    letter = ("nrm_letter", bytes(MAX_RECORD - 1))
    return [Out(f"nrm.inbox.ngo-{each % topics}", 0, b"k", b"%d" % (each % 10), (letter,)) for each in range(count)]


@pytest.mark.parametrize("topics", [1, 3, 40])
@pytest.mark.parametrize("room", [1, MAX_REQUEST // 2])
async def test_no_more_waits_for_its_answer_than_a_request_may_have(topics: int, room: int) -> None:
    """Large letters to many: all are sent, in the order of each topic, and no request is larger than the broker takes."""
    producer, given = Producer(room=room), outs(40, topics)
    await send_all(producer, given)

    assert producer.most < MAX_REQUEST
    assert producer.sent == {
        topic: [each.value for each in given if each.topic == topic] for topic in {each.topic for each in given}
    }


async def test_small_records_of_a_topic_go_in_one_batch() -> None:
    """A transaction without letters is one batch for each topic that it writes to."""
    small = [Out(f"nrm.inbox.ngo-{number % 3}", 0, b"k", b"%d" % number) for number in range(300)]
    producer = Producer()
    await send_all(producer, small)

    assert producer.batches == 3
    assert producer.sent == {f"nrm.inbox.ngo-{topic}": [each.value for each in small[topic::3]] for topic in range(3)}


async def test_a_send_that_fails_is_not_passed_over() -> None:
    """P1: whichever it is, the transaction is not committed."""
    for number in (1, 20, 40):
        with pytest.raises(ConnectionError):
            await send_all(Producer(fails=number), outs(40))


ENDS = {TopicPartition("nrm.outbox.ngo-a", 0): OffsetAndMetadata(7, "3")}


async def test_offsets_are_sent_when_the_records_are_acknowledged() -> None:
    """While Kafka adds offsets to a transaction it refuses records, which are tried again only after 100 ms."""
    producer = SlowProducer()
    writing = asyncio.create_task(write(producer, outs(2), ENDS))
    await _settled()
    assert producer.sent == {"nrm.inbox.ngo-0": [b"0"], "nrm.inbox.ngo-1": [b"1"]}
    assert producer.offsets == []

    producer.records_answered.set()
    await _settled()
    assert producer.offsets == [(ENDS, GROUP)]
    assert not writing.done()

    producer.offsets_answered.set()
    await writing


async def _settled() -> None:
    """Let every task of the loop run until it waits for the test again."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_failed_record_leaves_no_offsets() -> None:
    """P1: the error comes out, no offsets are sent, and nobody commits."""
    producer = SlowProducer(fails=2)
    producer.records_answered.set()
    with pytest.raises(ConnectionError):
        await write(producer, outs(2), ENDS)

    assert producer.offsets == []
