"""How quickly a history is read again: verified and folded, against a bare consumer that only does ``json.loads``."""

import asyncio
import gc
import itertools
import json
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from aiokafka import TopicPartition
from stages import timed
from throughput import CASES, SENDERS, bus
from town import Town

from nrmbus.auditor.history.history import History, Signatures, fold, rules_of
from nrmbus.auditor.history.whole import Task, jobs_for, read_whole
from nrmbus.bus.kafka import clients, topics
from nrmbus.directory import Directory
from nrmbus.play.load import POLICY, stream
from nrmbus.registrar.records import Coordinates, Out
from nrmbus.wire import transaction
from nrmbus.wire.committed import committed
from nrmbus.wire.envelope import decode
from nrmbus.wire.record import Record

ROUNDS: Final = 2
TWO: Final = 2
"""Processes of a replay in several."""
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


def _replay(bootstrap: str, count: int, directory: Directory, signatures: Signatures, jobs: int) -> None:
    rules = rules_of(directory, POLICY)
    read = read_whole(Task(bootstrap, directory, signatures, rules), 1, jobs=jobs)
    for subject in read.spoken_of():
        read.view(rules, subject)
    assert len(read.entries) == count


def steps(directory: Directory, records: Sequence[Record]) -> dict[str, float]:
    """Microseconds a registration on one thread without a broker: what a replay with the last signature alone does."""
    read, rules, count = History(directory, signatures="last"), rules_of(directory, POLICY), len(records)
    reading = statistics.median(_taken(directory, records) for _ in range(ROUNDS))
    for each in records:
        read.take(each, 0)
    folding, _ = timed(count, lambda: [fold(rules, each, read.facts(each)) for each in read.spoken_of()])
    building, _ = timed(count, lambda: [committed(each, None) for each in records])
    return {
        "registration, attributes, event (JSON, by construction)": building,
        "digests, chain, what is kept": reading - building,
        "fold (facts, views)": folding,
    }


def _taken(directory: Directory, records: Sequence[Record]) -> float:
    read = History(directory, signatures="last")
    took, _ = timed(len(records), lambda: list(map(read.take, records, itertools.repeat(0))))
    return took


def replays(home: Path, now: datetime, count: int = 20_000) -> tuple[dict[str, float], dict[str, float]]:
    """Registrations a second: a bare consumer; a replay with fold that verifies the last signature, and one that verifies all.

    Both in one process, and in two. And the `steps` of the one with the last signature, in microseconds.
    """
    directory, records = history(home / "keys", now, count)
    with bus(home / "bus") as (folder, _):
        bootstrap = folder.bootstrap
        asyncio.run(_make(bootstrap))
        asyncio.run(_write(bootstrap, records))
        assert jobs_for(count, TWO) == TWO, "nothing may fork here"
        sides: dict[str, Callable[[], None]] = {
            "bare": lambda: asyncio.run(_bare(bootstrap, count)),
            "last": lambda: _replay(bootstrap, count, directory, "last", 1),
            "last, two": lambda: _replay(bootstrap, count, directory, "last", TWO),
            "all": lambda: _replay(bootstrap, count, directory, "all", 1),
            "all, two": lambda: _replay(bootstrap, count, directory, "all", TWO),
        }
        took: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(ROUNDS):
            for name, side in sides.items():
                transaction.forget()
                gc.collect()
                gc.disable()  # on every side, as `nrmbus replay` does: what is read is kept
                started = time.perf_counter()
                side()
                took[name].append(count / (time.perf_counter() - started))
                gc.enable()
        gc.disable()
        parts = steps(directory, records)
        gc.enable()
    return {name: statistics.median(rates) for name, rates in took.items()}, parts


def replays_apart(home: Path, now: datetime, count: int = 20_000) -> tuple[dict[str, float], dict[str, float]]:
    """Return what `replays` does, from a process of its own: nothing may fork beside another thread."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(replays, home, now, count).result()


async def _make(bootstrap: str) -> None:
    await asyncio.to_thread(topics.apply, bootstrap, [], 1, play=False)
