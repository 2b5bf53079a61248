"""How quickly a history is read again: verified and folded, against a bare consumer that only does ``json.loads``."""

import asyncio
import gc
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from aiokafka import TopicPartition
from stages import timed
from throughput import CASES, SENDERS, bus
from town import Town

from nrmbus.auditor.history.history import History, HistoryReader, Signatures, fold, rules_of
from nrmbus.bus.kafka import clients, topics
from nrmbus.directory import Directory
from nrmbus.play.load import POLICY, stream
from nrmbus.registrar.records import Coordinates, Out
from nrmbus.wire import statement
from nrmbus.wire.envelope import decode
from nrmbus.wire.record import AUDIENCE, REGISTRATION, Record
from nrmbus.wire.registration import Audience, Registration

ROUNDS: Final = 3
BATCH: Final = 100
"""Submissions in a transaction: as many as a registrar takes of one outbox."""


def history(
    home: Path, now: datetime, count: int, *, cases: int = 100, senders: Sequence[str] = tuple(SENDERS)
) -> tuple[Directory, list[Record]]:
    """*count* registrations as the registrar writes them, of *cases* of each sender, and the directory that they verify by."""
    town = Town.at(home, now)
    shard, key, outs = town.shard(), town.identities["registrar"].signing, list[Out]()
    unsigned = list[Out]()
    for number, each in enumerate(stream(town.agencies(cases, senders), now, 1, count=count), 1):
        unsigned += shard.take(decode(each.record), Coordinates(each.topic, 0, number), now).outs
        if number % BATCH == 0 or number == count:
            shard.sign(unsigned, key)
            outs += [out for out in unsigned if out.topic == CASES]
            unsigned = []
    return town.directory, [Record(out.key, out.value, tuple(out.all_headers())) for out in outs]


async def _write(bootstrap: str, records: Sequence[Record]) -> None:
    async with clients.producer(bootstrap) as producer:
        for start in range(0, len(records), 1000):
            sent = [
                await producer.send(CASES, value=each.value, key=each.key, headers=list(each.headers), partition=0)
                for each in records[start : start + 1000]
            ]
            await asyncio.gather(*sent)


async def _bare(bootstrap: str, count: int) -> None:
    seen = 0
    async with clients.reading(bootstrap, TopicPartition(CASES, 0)) as (reader, end):
        while seen < end:
            for records in (await reader.getmany(timeout_ms=500)).values():
                for each in records:
                    json.loads(each.value)
                seen += len(records)
    assert seen == count


async def _replay(bootstrap: str, count: int, directory: Directory, signatures: Signatures) -> None:
    read, rules = History(directory, signatures=signatures), rules_of(directory, POLICY)
    async with HistoryReader(bootstrap, 1, read) as reader:
        await reader.catch_up()
    for subject in read.spoken_of():
        fold(rules, subject, read.facts(subject))
    assert len(read.entries) == count


def steps(directory: Directory, records: Sequence[Record]) -> dict[str, float]:
    """Microseconds a registration on one thread without a broker: what a replay with the last signature alone does."""
    read, rules, count = History(directory, signatures="last"), rules_of(directory, POLICY), len(records)
    reading, _ = timed(count, lambda: [read.take(each, 0) for each in records])
    folding, _ = timed(count, lambda: [fold(rules, each, read.facts(each)) for each in read.spoken_of()])
    added = [each.split()[1] for each in records]
    stating, _ = timed(count, lambda: [_stated(each) for each in added])
    decoding, said = timed(count, lambda: [decode(each.split()[0]) for each in records])
    modelling, _ = timed(count, lambda: [each.event() for each in said])
    return {
        "envelope (headers, base64, digests)": decoding,
        "event (JSON, models)": modelling,
        "registration and audience (base64, models)": stating,
        "the rest of reading: chain, what is kept": reading - decoding - modelling - stating,
        "fold (facts, views)": folding,
    }


def _stated(added: dict[str, bytes]) -> tuple[Registration, Audience]:
    body = statement.body_of("registration", added[REGISTRATION])
    return Registration.model_validate_json(body), Audience.model_validate_json(added[AUDIENCE])


def replays(home: Path, now: datetime, count: int = 20_000) -> tuple[dict[str, float], dict[str, float]]:
    """Registrations a second: a bare consumer; a replay with fold that verifies the last signature, and one that verifies all.

    And the `steps` of the one with the last signature, in microseconds.
    """
    directory, records = history(home / "keys", now, count)
    with bus(home / "bus") as (folder, _):
        bootstrap = folder.bootstrap
        asyncio.run(_make(bootstrap))
        asyncio.run(_write(bootstrap, records))
        sides: dict[str, Callable[[], Awaitable[None]]] = {
            "bare": lambda: _bare(bootstrap, count),
            "last": lambda: _replay(bootstrap, count, directory, "last"),
            "all": lambda: _replay(bootstrap, count, directory, "all"),
        }
        took: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(ROUNDS):
            for name, side in sides.items():
                gc.collect()
                gc.disable()  # on every side, as `nrmbus replay` does: what is read is kept
                started = time.perf_counter()
                asyncio.run(_run(side))
                took[name].append(count / (time.perf_counter() - started))
                gc.enable()
    return {name: statistics.median(rates) for name, rates in took.items()}, steps(directory, records)


async def _run(side: Callable[[], Awaitable[None]]) -> None:
    await side()


async def _make(bootstrap: str) -> None:
    await asyncio.to_thread(topics.apply, bootstrap, [], 1, play=False)
