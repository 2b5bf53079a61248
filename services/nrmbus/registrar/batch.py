"""One transaction's work: check signatures on threads, judge in order, sign on threads.

`cryptography` releases the interpreter lock, so two threads halve the time of the two dear steps; judging stays
sequential, since each verdict rests on the one before.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from aiokafka import ConsumerRecord

from nrmbus import telemetry
from nrmbus.directory import Directory
from nrmbus.registrar.records import Coordinates, Out
from nrmbus.registrar.shard import Shard
from nrmbus.wire.envelope import Signed, decode
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys import SigningKey
from nrmbus.wire.record import Record

THREADS: Final = 2
"""Two cores are the measure; more threads would only wait for one another."""

WORTH_A_THREAD: Final = 8
"""Below this many signatures, handing them to a thread costs more than it saves."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Incoming:
    """One outbox record, read as far as it can be read without trusting it."""

    at: Coordinates
    size: int
    sha256: str
    signed: Signed | None
    code: str | None


def read(record: ConsumerRecord) -> Incoming:
    """Decode one outbox record. What cannot be decoded carries the code instead; nothing is raised."""
    at = Coordinates(record.topic, record.partition, record.offset)
    raw = Record(record.key, record.value, tuple(record.headers))
    signed, code = None, None
    try:
        signed = decode(raw)
    except WireError as error:
        code = error.code
    return Incoming(at, raw.size(), raw.digest(), signed, code)


def check(incoming: Incoming, directory: Directory, now: datetime) -> str | None:
    """The code of what is wrong with source or signature; none when the outbox's owner signed it."""
    if incoming.signed is None:
        return incoming.code
    if incoming.signed.source != incoming.at.owner:
        return "source_not_owner"
    try:
        incoming.signed.verify(directory.verify_key(incoming.signed.source, incoming.signed.kid, now))
    except WireError as error:
        return error.code
    return None


class Batcher:
    """Turns a batch of outbox records into the records of one transaction."""

    def __init__(self, key: SigningKey, directory: Directory) -> None:
        self._key, self._directory = key, directory
        self._traced = telemetry.exported()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="sign")

    async def decide(self, shard: Shard, incoming: Sequence[Incoming], now: datetime) -> list[Out]:
        """Judge *incoming* in order; every statement in the result is signed."""
        codes = await self._spread(lambda each: check(each, self._directory, now), incoming)
        outs: list[Out] = []
        for each, code in zip(incoming, codes, strict=True):
            if code is not None or each.signed is None:
                outs += shard.unreadable(each.at, each.size, each.sha256, code or "unreadable", now)
                telemetry.handled(
                    "quarantined", partition=each.at.partition, offset=each.at.offset, topic=each.at.topic, code=code
                )
                continue
            signed = each.signed
            with self._span(signed):
                decision = shard.take(signed, each.at, each.sha256, now)
            outs += decision.outs
            said: dict[str, str | int] = {"type": signed.type, "id": signed.id}
            if decision.code:
                said["code"] = decision.code
            if decision.outcome in ("registered", "refused"):
                said["number"] = shard.memory.number
            telemetry.handled(decision.outcome, partition=each.at.partition, offset=each.at.offset, **said)
        await self._spread(self._sign, outs)
        return outs

    def _span(self, signed: Signed) -> AbstractContextManager[None]:
        if not self._traced:
            return nullcontext()
        return telemetry.consumed(
            event_type=signed.type, event_id=signed.id, traceparent=signed.traceparent, name="register"
        )

    def _sign(self, out: Out) -> None:
        for _, said in out.statements:
            said.sign(self._key)

    async def _spread(self, work: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
        if len(items) < WORTH_A_THREAD:
            return [work(item) for item in items]
        loop = asyncio.get_running_loop()
        share = -(-len(items) // THREADS)
        shares = [items[start : start + share] for start in range(0, len(items), share)]
        done = await asyncio.gather(
            *(loop.run_in_executor(self._pool, lambda part=part: [work(item) for item in part]) for part in shares)
        )
        return [result for part in done for result in part]
