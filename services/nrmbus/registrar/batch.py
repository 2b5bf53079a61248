"""One transaction's work: check signatures on threads, judge in order, sign once.

`cryptography` releases the interpreter lock, so two threads halve the time of the dear step; judging stays sequential,
since each verdict rests on the one before.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import Final, TypeVar

from aiokafka import ConsumerRecord

from nrmbus import telemetry
from nrmbus.directory import Directory
from nrmbus.events.registry import TYPES
from nrmbus.events.values import frozen
from nrmbus.registrar.records import Coordinates, Out
from nrmbus.registrar.shard import Shard
from nrmbus.wire.envelope import Signed, decode
from nrmbus.wire.errors import WireError
from nrmbus.wire.keys.keys import SigningKey, VerifyKey
from nrmbus.wire.record import Record

THREADS: Final = 2
"""Two cores are the measure; more threads would only wait for one another."""

WORTH_A_THREAD: Final = 8
"""Below this many signatures, handing them to a thread costs more than it saves."""

SWITCH_SECONDS: Final = 0.0002
"""How long a thread back from a signature waits for the interpreter. Python's 5 ms would have the threads verify one
signature each while the loop judges fifty events."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@frozen
class Incoming:
    """One outbox record, parsed as far as possible without trust."""

    at: Coordinates
    raw: Record
    signed: Signed | None
    code: str | None


@frozen
class Checked:
    """The result of the source and signature check, with its clock and directory."""

    incoming: Incoming
    code: str | None
    """The error code; None if the outbox's owner signed the record."""
    key: VerifyKey | None
    """The key under which the signature holds."""
    under: tuple[int, datetime]
    """The directory's number and the time when this was found."""

    @property
    def traceparent(self) -> str | None:
        """Span of its creation, if the sender names one."""
        return self.incoming.signed.traceparent if self.incoming.signed and self.code is None else None


def read(record: ConsumerRecord) -> Incoming:
    """Decode one outbox record. An undecodable record carries the code instead; nothing is raised."""
    at = Coordinates(record.topic, record.partition, record.offset)
    raw = Record(record.key, record.value, tuple(record.headers))
    signed, code = None, None
    try:
        signed = decode(raw)
    except WireError as error:
        code = error.code
    return Incoming(at, raw, signed, code)


def check(incoming: Incoming, directory: Directory, now: datetime) -> Checked:
    """Check the signature of the outbox's owner by its key at *now*, or by the previous key during an overlap."""
    under, signed = (directory.number, now), incoming.signed
    if signed is None:
        return Checked(incoming, incoming.code, None, under)
    if signed.source != incoming.at.owner:
        return Checked(incoming, "source_not_owner", None, under)
    try:
        key = directory.verify_key(signed.source, signed.kid, now, signed.recordedtime)
        signed.verify(key)
    except WireError as error:
        return Checked(incoming, error.code, None, under)
    return Checked(incoming, None, key, under)


def check_again(checked: Checked, directory: Directory, now: datetime) -> Checked:
    """The same as `check` at *now*; the signature is verified again only if another key is due since it was checked."""
    signed = checked.incoming.signed
    if signed is None or checked.under == (directory.number, now):
        return checked
    if checked.key is not None:
        with suppress(WireError):
            if directory.verify_key(signed.source, signed.kid, now, signed.recordedtime) is checked.key:
                return checked
    return check(checked.incoming, directory, now)


def _name(signed: Signed) -> str:
    """The type if it is known; an unknown type is the sender's text and may hold anything (P9)."""
    return signed.type if (signed.type, signed.version) in TYPES else "unknown"


def _judged(
    shard: Shard, checked: Checked, now: datetime, span: telemetry.Open, handled: telemetry.Handled
) -> list[Out]:
    """Judge what was *checked*; return its records, and record the result on *span* and in the log."""
    each, code = checked.incoming, checked.code
    at, signed = each.at, each.signed
    if code is not None or signed is None:
        handled("quarantined", partition=at.partition, offset=at.offset, topic=at.topic, code=code)
        return shard.unreadable(at, each.raw, code or "unreadable", now)
    decision = shard.take(signed, at, now)
    if decision.outcome == "tested":  # one a minute for years: they would displace all else in log and spans
        return decision.outs
    span.judged(_name(signed), signed.id, signed.traceparent, decision.outcome, decision.code)
    said: dict[str, str | int] = {"type": _name(signed), "id": signed.id}
    if decision.code:
        said["code"] = decision.code
    if decision.error:
        said["error"] = decision.error
    if decision.outcome in ("registered", "refused"):
        said["number"] = shard.memory.number
    handled(decision.outcome, partition=at.partition, offset=at.offset, **said)
    return decision.outs


class Batcher:
    """Turns a batch of outbox records into the records of one transaction."""

    def __init__(self, key: SigningKey, directory: Directory) -> None:
        self._key, self._directory = key, directory
        sys.setswitchinterval(SWITCH_SECONDS)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="sign")

    async def check(self, records: Sequence[ConsumerRecord], now: datetime) -> list[Checked]:
        """Read *records* and check who signed them. This touches no shard, so it may run during a commit."""

        def look(record: ConsumerRecord) -> Checked:
            return check(read(record), self._directory, now)

        return await self._spread(look, records)

    async def decide(self, shard: Shard, checked: Sequence[Checked], now: datetime, span: telemetry.Open) -> list[Out]:
        """Judge what was *checked*, in order, and record each result on *span*; every statement in the result is signed."""
        outs: list[Out] = []
        with telemetry.handled_together() as handled:
            for each in [check_again(each, self._directory, now) for each in checked]:
                outs += _judged(shard, each, now, span, handled)
        shard.sign(outs, self._key)
        return outs

    async def _spread(self, work: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
        if len(items) < WORTH_A_THREAD:
            return [work(item) for item in items]
        loop = asyncio.get_running_loop()
        share = -(-len(items) // THREADS)
        shares = [items[start : start + share] for start in range(0, len(items), share)]

        def do(part: Sequence[_Item]) -> list[_Result]:
            return [work(item) for item in part]

        done = await asyncio.gather(*(loop.run_in_executor(self._pool, do, part) for part in shares))
        return [result for part in done for result in part]
