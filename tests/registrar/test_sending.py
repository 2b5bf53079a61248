"""A transaction is sent in requests of a size that the broker takes."""

import asyncio
from typing import Any

import pytest

from nrmbus.bus.kafka.clients import MAX_RECORD
from nrmbus.bus.kafka.cluster import MAX_REQUEST
from nrmbus.registrar.owner import send_all
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
