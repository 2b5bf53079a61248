"""The whole history of a bus, read and verified in one process or in several.

Several processes share the offsets of the topic. Each begins with the number and digest that its first registration names.
The caller takes the shares in order, each only if it begins where the share before ended. Every other share is read again
by the caller, record by record, so the verdict is always that of one process (decision 0040).
"""

import asyncio
import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import connection, get_context, parent_process
from multiprocessing.context import ForkProcess
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from typing import Any, Final

from nrmbus.auditor.history.history import Audited, History, HistoryError, Kept, Signatures, activate, rules_of
from nrmbus.auditor.history.reader import HistoryReader, Piece, cases
from nrmbus.auditor.history.topic_reader import TopicReader
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.reach import Where
from nrmbus.directory import Directory
from nrmbus.directory.admission import read_directory, reading_place
from nrmbus.rules import Rules, View
from nrmbus.wire import statement
from nrmbus.wire.history import Chain, plain
from nrmbus.wire.record import REGISTRATION, Record

Progress = Callable[[int, int], None]

LEAST: Final = 2_000
"""Offsets of a share from which another process pays: to fork and to hand over takes as long as some hundred."""
CHUNK: Final = 1_000
"""Records that a process hands over in one piece."""
LOOK_SECONDS: Final = 0.1
ORPHANED: Final = 71
"""Exit status of a process whose parent is gone."""

Link = tuple[Chain, Chain, bytes | None]
"""The chains before the first and after the last record of a piece, and the statement that `check_last` has yet to verify."""


def shares(ends: Mapping[int, int], jobs: int) -> list[list[Piece]]:
    """Return the offsets before *ends*, by partition, as at most *jobs* shares of about the same size, in their order."""
    total = sum(ends.values())
    bounds = [total * number // jobs for number in range(jobs + 1)]
    found = []
    for low, high in itertools.pairwise(bounds):
        share, passed = list[Piece](), 0
        for partition, end in sorted(ends.items()):
            piece = Piece(partition, max(0, low - passed), min(end, high - passed))
            passed += end
            if piece.size > 0:
                share.append(piece)
        if share:
            found.append(share)
    return found


def jobs_for(total: int, asked: int | None = None) -> int:
    """Return in how many processes *total* offsets are read: *asked*, or as many as pay; one where forking is not safe."""
    if not _fork_is_safe():
        return 1
    if asked is not None:
        return max(1, min(asked, total))
    return max(1, min(len(os.sched_getaffinity(0)), total // LEAST))


def _fork_is_safe() -> bool:
    """Return whether this process has one thread, on a system whose libraries bear a fork."""
    tasks = Path("/proc/self/task")
    return sys.platform == "linux" and threading.active_count() == 1 and len(list(tasks.iterdir())) == 1


class Share(History):
    """The records of some pieces, verified from the chain that the first record of each piece names."""

    def __init__(self, directory: Directory, pieces: Sequence[Piece], *, signatures: Signatures) -> None:
        super().__init__(directory, signatures=signatures)
        self._bus = directory.bus
        self._starts = {each.partition: each.start for each in pieces}
        self._before: dict[int, Chain] = {}

    def take(self, record: Record, partition: int) -> None:
        """Verify the next record of *partition*; raises as `Verifier.take`."""
        if partition not in self._before:
            before = Chain(self._bus, partition)
            if self._starts[partition]:
                before = _named_by(record, before)
            self._before[partition] = before
            self.verifier.go_on(replace(before), None)
        super().take(record, partition)

    def links(self) -> list[Link]:
        """Return between which chains each piece lies that had a record."""
        return [(before, *self.verifier.end(partition)) for partition, before in self._before.items()]


def _named_by(record: Record, start: Chain) -> Chain:
    """Return the chain that ends before *record*, as its registration says; raises `HistoryError` for no registration."""
    with suppress(Exception):  # the share is read again from its true start, which names the fault
        said = plain(statement.body_of("registration", record.split()[1][REGISTRATION]))
        return Chain(start.bus, start.partition, said.number - 1, said.previous)
    raise HistoryError(start.partition, start.number + 1, "unreadable")


@dataclass(slots=True)
class Found:
    """Verified share: links, records, and the views of its cases. Only the first share is folded, and only by Rules."""

    links: list[Link]
    records: list[Kept]
    views: dict[str, View]


@dataclass(frozen=True, slots=True)
class Task:
    """Task of every process: the broker, the directory, the signatures to verify, and the Rules if cases are to be folded."""

    where: Where
    directory: Directory
    signatures: Signatures
    rules: Rules | None

    def verified(self, pieces: list[Piece], progress: Progress | None) -> Found | None:
        """Return *pieces* verified, or None if anything is wrong with them; the share has to be read again then."""
        share = Share(self.directory, pieces, signatures=self.signatures)
        try:
            asyncio.run(_read(self.where, share, pieces, progress))
        except HistoryError:
            return None
        return Found(share.links(), list(share.kept()), self._views(share, pieces))

    def _views(self, share: Share, pieces: list[Piece]) -> dict[str, View]:
        rules = self.rules
        if rules is None or any(each.start for each in pieces):  # a case may have begun before
            return {}
        return {each: share.view(rules, each) for each in share.spoken_of()}


# -- in a process of its own -------------------------------------------------------------------------------------------


def _work(task: Task, pieces: list[Piece], out: Any, told: Any, number: int) -> None:
    """Verify *pieces* and hand them over: links, views and the number of chunks, then each chunk; None if anything is wrong."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the parent, which ends this process
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def progress(done: int, _: int) -> None:
        told[number] = done

    found = None
    with suppress(Exception):  # its text may hold what came in; the parent reads the share again, and names the fault
        found = task.verified(pieces, progress)
    if found is None:
        out.send(None)
        return
    starts = range(0, len(found.records), CHUNK)
    out.send((found.links, found.views, len(starts)))
    for start in starts:
        chunk = found.records[start : start + CHUNK]
        out.send([(each.subject, each.record.key, each.record.value, each.record.headers) for each in chunk])


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
    os._exit(ORPHANED)


# -- in the process of the caller --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Helper:
    """Process at work on one share, with the pipe for its answer."""

    pieces: list[Piece]
    process: ForkProcess
    answer: connection.Connection

    def found(self, look: Callable[[], None]) -> Found | None:
        """Wait, with a *look* now and then; return what the process verified, or None if it did not."""
        with suppress(EOFError, OSError):
            while not self.answer.poll(LOOK_SECONDS):
                look()
            said = self.answer.recv()
            if said is not None:
                links, views, chunks = said
                return Found(links, [each for _ in range(chunks) for each in self._chunk()], views)
        return None

    def _chunk(self) -> list[Kept]:
        return [Kept(subject, Record(key, value, headers)) for subject, key, value, headers in self.answer.recv()]


@contextmanager
def _helpers(task: Task, work: Sequence[list[Piece]], told: Any) -> Iterator[list[_Helper]]:
    """Fork a process for each share of *work*; none is left when the block ends."""
    context, helpers = get_context("fork"), list[_Helper]()
    try:
        for number, pieces in enumerate(work):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(task, pieces, theirs, told, number), daemon=True)
            process.start()
            theirs.close()
            helpers.append(_Helper(pieces, process, ours))
        yield helpers
    finally:
        for each in helpers:
            each.process.kill()
            each.process.join()
            each.answer.close()


def read_whole(task: Task, partitions: int, *, jobs: int | None = None, progress: Progress | None = None) -> History:
    """Return the history up to now, verified in *jobs* processes, or in as many as pay.

    *progress* as in `HistoryReader.catch_up`. To be called without a running event loop.

    Raises:
        HistoryError: a record does not verify; with one partition always the first that does not.
        BusError: the bus does not answer.
    """
    ends = asyncio.run(_ends(task.where, partitions))
    total = sum(ends.values())
    *work, last = shares(ends, jobs_for(total, jobs)) or [[]]
    told = RawArray("Q", max(1, len(work)))
    history, own = History(task.directory, signatures=task.signatures), 0

    def look(done: int | None = None, _: int = 0) -> None:
        nonlocal own
        own = own if done is None else done
        if progress:
            progress(min(total, own + sum(told)), total)

    with _helpers(task, work, told) as helpers:
        mine = task.verified(last, look) if helpers else None
        for each in helpers:
            _join(task, history, each.pieces, each.found(look), look)
        _join(task, history, last, mine, look)
    history.verifier.check_last()
    return history


def _join(task: Task, history: History, pieces: list[Piece], found: Found | None, look: Progress) -> None:
    """Add a share to *history*: as it was *found* if it begins where *history* ends, else read here; raises as `read_whole`."""
    ends = history.verifier.end
    if found is None or any(ends(before.partition)[0] != before for before, _, _ in found.links):
        asyncio.run(_read(task.where, history, pieces, look))
        return
    for _, after, unverified in found.links:
        history.verifier.go_on(after, unverified)
    for each in found.records:
        history.add(each)
    history.folded(found.views)


async def _ends(where: Where, partitions: int) -> dict[int, int]:
    async with TopicReader(where, "nrm-history") as reader:
        found = await reader.ends(map(cases, range(partitions)))
    return {each.partition: end for each, end in found.items()}


async def _read(where: Where, history: History, pieces: list[Piece], progress: Progress | None) -> None:
    async with HistoryReader(where, 0, history, pieces) as reader:
        await reader.catch_up(progress=progress)


async def audited(folder: BusFolder, *, signatures: Signatures = "all", progress: Progress | None = None) -> Audited:
    """Read and verify the history of the bus in *folder* up to now; *progress* as in `HistoryReader.catch_up`.

    Raises:
        HistoryError: a record does not verify.
        BusError: no bus was made there, or it does not run.
    """
    directory, settings = await read_directory(folder), folder.settings
    history = History(directory, signatures=signatures)
    async with HistoryReader(folder.reach(reading_place(folder)), settings.partitions, history) as reader:
        await reader.catch_up(progress=progress)
    rules = rules_of(directory, settings.policy)
    activate(rules, history, directory)
    return Audited(history, directory, rules, settings.partitions)


def audited_in_jobs(folder: BusFolder, *, jobs: int | None = None, progress: Progress | None = None) -> Audited:
    """Return what `audited` returns, read in several processes as `read_whole` does; raises alike."""
    directory, settings = asyncio.run(read_directory(folder)), folder.settings
    rules = rules_of(directory, settings.policy)
    task = Task(folder.reach(reading_place(folder)), directory, "all", rules)
    history = read_whole(task, settings.partitions, jobs=jobs, progress=progress)
    activate(rules, history, directory)
    return Audited(history, directory, rules, settings.partitions)
