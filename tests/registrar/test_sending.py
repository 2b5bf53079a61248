"""A transaction is sent in requests of a size that the broker takes."""

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from nrmbus.bus.kafka.clients import MAX_RECORD
from nrmbus.bus.kafka.cluster import MAX_REQUEST
from nrmbus.registrar.owner import GROUP, send_all, write
from nrmbus.registrar.records import Out


class Producer:
    """A producer double that acknowledges like a broker that takes everything in one request."""

    def __init__(self, fails: int | None = None) -> None:
        self.waiting, self.most, self.sent, self._fails = 0, 0, list[bytes](), fails

    async def send(
        self, _topic: str, *, value: bytes, headers: list[tuple[str, bytes]], **_more: Any
    ) -> asyncio.Task[None]:
        """Take one record; its answer comes later."""
        self.sent.append(value)
        self.waiting += len(value) + sum(len(each) for _, each in headers)
        self.most = max(self.most, self.waiting)
        return asyncio.create_task(self._answer(len(self.sent)))

    async def _answer(self, number: int) -> None:
        self.waiting = 0
        if number == self._fails:
            raise ConnectionError


class SlowProducer(Producer):
    """A producer double that answers records and offsets when the test says so."""

    def __init__(self, fails: int | None = None) -> None:
        super().__init__(fails)
        self.records_answered, self.offsets_answered = asyncio.Event(), asyncio.Event()
        self.has_offsets = asyncio.Event()
        self.offsets: list[tuple[dict[TopicPartition, OffsetAndMetadata], str]] = []

    async def _answer(self, number: int) -> None:
        await self.records_answered.wait()
        await super()._answer(number)

    async def send_offsets_to_transaction(self, ends: dict[TopicPartition, OffsetAndMetadata], group: str) -> None:
        """Take the offsets; their answer comes later."""
        self.offsets.append((ends, group))
        self.has_offsets.set()
        await self.offsets_answered.wait()


def outs(count: int) -> list[Out]:
    """Records as large as they may be, each another."""
    letter = ("nrm_letter", bytes(MAX_RECORD - 1))
    return [Out(f"nrm.inbox.ngo-{number}", 0, b"k", b"%d" % (number % 10), (letter,)) for number in range(count)]


async def test_no_more_waits_for_its_answer_than_a_request_may_have() -> None:
    """Large letters to many: all are sent, in order, and no request is larger than the broker takes."""
    producer = Producer()
    await send_all(producer, outs(40))

    assert producer.most < MAX_REQUEST
    assert producer.sent == [b"%d" % (number % 10) for number in range(40)]


async def test_a_send_that_fails_is_not_passed_over() -> None:
    """P1: whichever it is, the transaction is not committed."""
    for number in (1, 20, 40):
        with pytest.raises(ConnectionError):
            await send_all(Producer(fails=number), outs(40))


ENDS = {TopicPartition("nrm.outbox.ngo-a", 0): OffsetAndMetadata(7, "3")}


async def _taken(producer: SlowProducer) -> "asyncio.Task[None]":
    """Return the writing of a small transaction, once *producer* has its offsets and has answered nothing."""
    writing = asyncio.create_task(write(producer, outs(2), ENDS))
    async with asyncio.timeout(10):
        await producer.has_offsets.wait()
    return writing


async def test_offsets_do_not_wait_for_the_answers_to_the_records() -> None:
    """A transaction of one event is mostly round trips: offsets are sent while the records are unanswered, and after them."""
    producer = SlowProducer()
    writing = await _taken(producer)

    assert producer.sent == [b"0", b"1"]
    assert producer.offsets == [(ENDS, GROUP)]
    producer.records_answered.set()
    producer.offsets_answered.set()
    await writing


@pytest.mark.parametrize("first", ["records_answered", "offsets_answered"])
async def test_a_transaction_is_written_when_records_and_offsets_are_both_acknowledged(first: str) -> None:
    """P1: a commit without the offsets would judge the events again, and one without the records would lose them."""
    producer = SlowProducer()
    writing = await _taken(producer)

    getattr(producer, first).set()
    await _settled()
    assert not writing.done()

    producer.records_answered.set()
    producer.offsets_answered.set()
    await writing


async def _settled() -> None:
    """Let every task of the loop run until it waits for the test again."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_failed_record_beside_the_offsets_is_not_passed_over() -> None:
    """P1: the error comes out while the offsets are unanswered, and nobody commits."""
    producer = SlowProducer(fails=2)
    writing = await _taken(producer)

    producer.records_answered.set()
    with pytest.raises(ConnectionError):
        await writing
