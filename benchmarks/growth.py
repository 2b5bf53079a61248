"""How long a registrar takes to start, with a snapshot and without, as its history grows."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

from throughput import CASES, SENDERS, admitted, agencies_of, bus, line_of, registrar, size_of, spread, ways
from town import shard_of

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.directory import Directory, DirectoryReader, Identity, operator_key
from nrmbus.play.load import Submission, stream
from nrmbus.registrar.records import Coordinates, Out
from nrmbus.registrar.shard import Shard
from nrmbus.registrar.snapshot_process import SnapshotService, snapshots_of
from nrmbus.wire.envelope import decode
from nrmbus.wire.keys.keys import SigningKey

COUNTS: Final = (10_000, 100_000)
MILLION: Final = 1_000_000
"""One more count, for `--million`."""
EVENTS_OF_A_CASE: Final = 10
BATCH: Final = 100
ROUNDS: Final = 2
"""Alternating rounds of single events, without and with a snapshot being written; one more before them is not counted."""
SINGLES: Final = 100
"""Single events of a round."""
EVERY: Final = 0.02
PATIENCE_SECONDS: Final = 1_800.0
HIGHEST: Final = 2**53 - 1
"""A number that no history reaches: the whole is folded, and nothing is kept."""


@dataclass(frozen=True, slots=True)
class Growth:
    """One history: its size, the two starts in seconds, the snapshot, and the milliseconds of single events without and with its writing."""

    count: int
    mebibytes: float
    without: float
    with_snapshot: float
    writing: float
    snapshot_mebibytes: float
    quiet: dict[str, float]
    meanwhile: dict[str, float]


@dataclass(frozen=True, slots=True)
class History:
    """A bus with *count* registrations, *size* bytes in the topic, and the *singles* that come afterwards, a round each."""

    folder: BusFolder
    count: int
    size: int
    singles: list[list[Submission]]


async def _directory(folder: BusFolder) -> Directory:
    home = folder.service("registrar")
    directory = Directory(folder.settings.bus, operator_key(folder.path))
    async with DirectoryReader(folder.reach(home), directory, lambda _: None, home=home):
        return directory


async def _written(folder: BusFolder, load: Iterator[Submission], now: datetime) -> int:
    """Write to the topic of *folder* what a registrar says about *load*; return the bytes."""
    key = Identity.at(folder.service("registrar"), "registrar").signing
    return await _write(folder, shard_of(await _directory(folder), folder.settings.policy), key, load, now)


async def _write(folder: BusFolder, shard: Shard, key: SigningKey, load: Iterator[Submission], now: datetime) -> int:
    """Write to the topic what the registrar says about *load*, without its transactions; return the bytes."""
    size = 0
    async with clients.producer(folder.as_operator) as producer:
        while batch := list(islice(load, BATCH)):
            # The place of no submission: the outboxes are empty.
            outs = [
                out
                for each in batch
                for out in shard.take(decode(each.record), Coordinates(each.topic, 0, -1), now).outs
            ]
            shard.sign(outs, key)
            sent = [await _sent(producer, out) for out in outs if out.topic == CASES]
            size += sum(
                size_of(out) + sum(len(said.signed) for _, said in out.statements) for out in outs if out.topic == CASES
            )
            await asyncio.gather(*sent)
    return size


async def _sent(producer: Any, out: Out) -> Any:
    return await producer.send(out.topic, value=out.value, key=out.key, headers=out.all_headers(), partition=0)


@contextmanager
def history(home: Path, count: int) -> Iterator[History]:
    """Run a broker whose topic has *count* registrations, ten of a case, until the end of the block."""
    now = datetime.now(UTC).replace(microsecond=0)
    with bus(home) as (folder, _):
        admitted(folder)
        agencies = agencies_of(folder, max(1, count // EVENTS_OF_A_CASE // len(SENDERS)))
        load = stream(agencies, now, 1, count=count + (2 * ROUNDS + 1) * SINGLES)
        size = asyncio.run(_written(folder, islice(load, count), now))
        yield History(folder, count, size, [list(islice(load, SINGLES)) for _ in range(2 * ROUNDS + 1)])


def grown(history: History) -> Growth:
    """Measure each start of a registrar on *history* from the beginning of the process."""
    folder, singles = history.folder, history.singles
    log, key = folder.path / "registrar.log", Identity.at(folder.service("registrar"), "registrar").signing
    started = time.perf_counter()
    with registrar(folder):
        line_of(log, "owns")
        without = time.perf_counter() - started
        said = line_of(log, "snapshot_written")
    started = time.perf_counter()
    with registrar(folder):
        line_of(log, "snapshot_used")
        line_of(log, "owns")
        with_snapshot = time.perf_counter() - started
        asyncio.run(single_ways(folder, singles[0]))  # the broker and the registrar compile and connect
        quiet, meanwhile = list[float](), list[float]()
        for turn in range(ROUNDS):
            quiet += asyncio.run(single_ways(folder, singles[2 * turn + 1]))
            meanwhile += asyncio.run(_meanwhile(folder, key, singles[2 * turn + 2]))
    return Growth(
        history.count,
        history.size / 2**20,
        without,
        with_snapshot,
        said["seconds"],
        said["size"] / 2**20,
        spread(quiet),
        spread(meanwhile),
    )


async def _meanwhile(folder: BusFolder, key: SigningKey, singles: Sequence[Submission]) -> list[float]:
    """Do the same as `single_ways` while a process folds the whole history for a snapshot."""
    task = asyncio.create_task(fold_beside(folder, key))
    found = await single_ways(folder, singles)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return found


async def fold_beside(folder: BusFolder, key: SigningKey) -> None:
    """Fold the history again and again as the registrar's process for snapshots does, without an end."""
    while True:
        service = SnapshotService(folder, snapshots_of(folder, 0), key, lambda _: key.verify_key)
        await service.made(HIGHEST)


async def single_ways(folder: BusFolder, singles: Sequence[Submission]) -> list[float]:
    """Send *singles* one by one; return the milliseconds until each is in an inbox, sorted."""

    def comes(agency: str) -> Any:
        return folder.reach(folder.agency(agency).path)

    inboxes = {f"nrm.inbox.{agency}": comes(agency) for agency in SENDERS}
    return await ways(singles, comes, inboxes, EVERY)


def lines(found: Sequence[Growth]) -> list[str]:
    """Return the table of *found*."""
    return [
        f"| start of a registrar after … registrations, ten of a case | {' | '.join(f'{each.count:,}' for each in found)} | aim |",
        f"| --- |{' --- |' * len(found)} --- |",
        _row("history, MiB", [f"{each.mebibytes:,.0f}" for each in found]),
        _row("start without a snapshot, s", [f"{each.without:.1f}" for each in found]),
        _row("start with one, s", [f"{each.with_snapshot:.1f}" for each in found], "a million in < 10"),
        _row("the snapshot, MiB", [f"{each.snapshot_mebibytes:,.0f}" for each in found]),
        _row("writing it beside the registrar, s", [f"{each.writing:.1f}" for each in found]),
        _row("publish to inbox, p50, p99, ms", [_both(each.quiet) for each in found]),
        _row("… while a snapshot is written", [_both(each.meanwhile) for each in found]),
    ]


def _row(name: str, values: Sequence[str], aim: str = "") -> str:
    return f"| {name} | {' | '.join(values)} | {aim} |"


def _both(way: dict[str, float]) -> str:
    return f"{way['p50']:.1f}, {way['p99']:.1f}"
