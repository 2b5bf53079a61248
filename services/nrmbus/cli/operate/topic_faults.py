"""Faults that the topics of a bus show: clocks, sealing keys, the directory, quarantine, an auditor elsewhere, and how the topics are set."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from aiokafka import TopicPartition

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients
from nrmbus.bus.kafka.topics import Drift
from nrmbus.bus.reach import Reach
from nrmbus.bus.wall_clock import wall_now
from nrmbus.cli.counted import counted
from nrmbus.cli.membership.admitter import FEW
from nrmbus.cli.operate.faults import SET_CLOCKS, SKEW, UNSIGNED, Finding, seconds
from nrmbus.directory import SERVICES, Directory, epochs, operator_key
from nrmbus.directory.admission import home_of
from nrmbus.directory.epochs import Ending
from nrmbus.directory.fold import TWO
from nrmbus.directory.heads import is_stale
from nrmbus.host.expired_keys import WITHOUT_DESK
from nrmbus.wire.names import AUDITOR, CASES, CHECKPOINTS, DIRECTORY, QUARANTINE

LAST: Final = 100
"""Offsets of a topic that are read, from its end."""


@dataclass(frozen=True, slots=True)
class TopicRead:
    """Clocks and keys by the directory's topic: the newest record by the broker's clock, and the newest head by both clocks.

    *ending* are agencies and services of this machine whose sealing key ends within 14 days, or has ended. *left*
    counts, by agency or service, the private keys in its folder that had to be destroyed a day ago or before. *closed*
    are suspended or retired agencies of this machine. *quarantined* are the broker's times of the newest records in
    quarantine, for the operator alone. *checkpointed* and *registered* are the broker's times of the newest checkpoint
    and registration, if the auditor is elsewhere. *admitters* is their number on a bus for real cases, for the operator
    alone.
    """

    newest: datetime | None = None
    head_signed: datetime | None = None
    head_appended: datetime | None = None
    stale: bool = False
    ending: tuple[Ending, ...] = ()
    left: tuple[tuple[str, int], ...] = ()
    closed: frozenset[str] = frozenset()
    quarantined: tuple[datetime, ...] = ()
    checkpointed: datetime | None = None
    registered: datetime | None = None
    admitters: int | None = None


def of_sealing_keys(folder: BusFolder, topic: TopicRead, now: datetime) -> Iterator[Finding]:
    """Yield a finding for each sealing key in *folder* that ends soon or has ended."""
    for each in topic.ending:
        ended = each.ends <= now
        yield Finding(
            "sealing_key",
            f"The sealing key of {each.agency} {'has ended' if ended else f'ends on {each.ends:%Y-%m-%d %H:%M} UTC'}.",
            f"A sealing key lives 90 days; {'since' if ended else 'from'} then no letter reaches {each.agency}.",
            f"nrmbus agency rotate {AUDITOR}" if _is_hers(folder, each.agency) else each.command,
        )


def of_left_keys(folder: BusFolder, topic: TopicRead) -> Iterator[Finding]:
    """Yield a finding for each agency in *folder* with replaced sealing keys that should be gone."""
    for agency, count in topic.left:
        yield Finding(
            "key_left",
            f"{count} replaced sealing keys of {agency} should have been destroyed, and are still here.",
            "Until then a backup can be opened that should not open any more, even after an erasure.",
            f"nrmbus run {AUDITOR} destroys them at its start, and once a day"
            if _is_hers(folder, agency)
            else "nrmbus up destroys them within a day"
            if agency in WITHOUT_DESK
            else f"nrmbus run {agency}: a desk destroys them in its first round",
        )


def of_admitters(topic: TopicRead) -> Iterator[Finding]:
    """Yield a note if the bus has two admitters only."""
    if topic.admitters == TWO:
        yield Finding(
            "admitters_two",
            "The bus has two admitters only.",
            f"{FEW}.",
            "nrmbus admitter key NAME on the person's machine, then nrmbus admitter add NAME --key KEY",
            serious=False,
        )


def _is_hers(folder: BusFolder, service: str) -> bool:
    """Return whether *service* is an auditor on a machine of her own, where no nrmbus up runs."""
    return service == AUDITOR and folder.is_joined and folder.host is None


def of_clocks(topic: TopicRead, now: datetime) -> Iterator[Finding]:
    """Yield the findings about clocks and directory by what was *topic* at *now*, this machine's time."""
    why = "Legal clocks run by these times, and a valid certificate or head may look invalid."
    if topic.newest is not None and topic.newest - now > SKEW:
        yield Finding(
            "clock_skew",
            f"This machine's clock is at least {seconds(topic.newest - now)} behind the broker's.",
            why,
            SET_CLOCKS,
        )
    if topic.head_signed is not None and topic.head_appended is not None:
        by = topic.head_signed - topic.head_appended
        if abs(by) > SKEW:
            where = "ahead of" if by > timedelta() else "behind"
            yield Finding(
                "clock_skew", f"The operator's clock is {seconds(abs(by))} {where} the broker's.", why, SET_CLOCKS
            )
    if topic.stale:
        yield Finding(
            "directory_stale",
            "The newest head of the directory is older than three hours.",
            "Somebody may be withholding a suspension or a new key from this machine; desks hold back events that they would seal.",
            "nrmbus up on the operator's machine signs a head every hour; if it runs there, ask who runs the broker.",
        )


async def read_topic(folder: BusFolder, where: Reach) -> TopicRead:
    """Read the directory's topic to its end.

    Raises:
        DirectoryError: an entry cannot be trusted.
        KafkaError: the broker does not answer.
    """
    directory = Directory(folder.settings.bus, operator_key(folder.path))
    newest = appended = None
    partition = TopicPartition(DIRECTORY, 0)
    async with clients.reading(where, partition) as (consumer, end):
        while await consumer.position(partition) < end:
            for record in (await consumer.getmany(partition, timeout_ms=200)).get(partition, ()):
                before, newest = directory.head, datetime.fromtimestamp(record.timestamp / 1000, UTC)
                directory.add(record.value)
                if directory.head is not before:
                    appended = newest
    head, now = directory.head, wall_now()
    here = [*folder.agencies(), *(each for each in SERVICES if (folder.service(each) / "keys").exists())]
    ending = tuple(found for each in here if (found := epochs.ending(directory, each, now)))
    left = () if folder.settings.play else tuple(_left(folder, directory, here, now - timedelta(days=1)))
    closed = frozenset(each for each in folder.agencies() if directory.state(each, now) in ("suspended", "retired"))
    quarantined = () if folder.is_joined else tuple(await _last(where, QUARANTINE))
    signed = registered = None
    if folder.audited_elsewhere:
        signed = max(await _last(where, CHECKPOINTS), default=None)
        partitions = range(folder.settings.partitions)
        registered = max([each for number in partitions for each in await _last(where, CASES, number)], default=None)
    stale = is_stale(directory, now)
    admitters = None if folder.is_joined or folder.settings.play else len(directory.roll.admitter_kids)
    return TopicRead(
        newest, head.time if head else None, appended, stale, ending, left, closed, quarantined, signed, registered,
        admitters,
    )  # fmt: skip


async def _last(where: Reach, topic: str, number: int = 0) -> list[datetime]:
    """Return the broker's times of the last records of *topic*."""
    partition, found = TopicPartition(topic, number), list[datetime]()
    async with clients.reading(where, partition) as (consumer, end):
        first = (await clients.begins(consumer, [partition]))[partition]
        consumer.seek(partition, max(first, end - LAST))
        while await consumer.position(partition) < end:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [datetime.fromtimestamp(each.timestamp / 1000, UTC) for each in records]
    return found


def _left(folder: BusFolder, directory: Directory, agencies: Iterable[str], by: datetime) -> Iterator[tuple[str, int]]:
    for agency in agencies:
        if found := epochs.left_at(home_of(folder, agency), directory, agency, by):
            yield agency, len(found)


def of_the_auditor(topic: TopicRead, now: datetime) -> Iterator[Finding]:
    """Yield a finding if an auditor on another machine signs nothing: a registration is older than she may take, and newer than her checkpoint."""
    signed, registered = topic.checkpointed, topic.registered
    if registered and now - registered > UNSIGNED and (signed is None or signed < registered):
        since = f"since {signed:%Y-%m-%d %H:%M} UTC" if signed else "ever"
        yield Finding(
            "auditor_silent",
            f"The auditor, on another machine, has signed no checkpoint {since}, and there are newer registrations.",
            "They are in the history, and nobody has signed a tree over them.",
            "ask the auditor for the result of nrmbus status and nrmbus check",
        )


def of_quarantine(topic: TopicRead, now: datetime) -> Iterator[Finding]:
    """Yield a finding if a submission without a valid signature came within the last day."""
    recent = [each for each in topic.quarantined if now - each < timedelta(days=1)]
    if recent:
        yield Finding(
            "quarantine",
            f"{counted(len(recent), 'submission')} without a valid signature of the sender came within a day, the newest at {recent[-1]:%Y-%m-%d %H:%M} UTC.",
            "Another program than a desk writes to an outbox, or somebody tries to.",
            "logs/registrar.log has lines quarantined with topic and offset; ask the agency that owns the topic",
        )


def of_topics(drift: Iterable[Drift], rights: Sequence[str]) -> Iterator[Finding]:
    """Yield a finding if topics differ from their files, and one if access rules or quotas do; more partitions are a note, and a topic without an owner is none."""
    ours = [each for each in drift if each.kind != "stray"]
    for code, found, what, why, is_serious in (
        ("topics", [str(each) for each in ours if not each.enlarged], "Topics", "Records may be deleted early, or be lost with one disk.", True),
        ("partitions", [str(each) for each in ours if each.strands_cases], "Topics", "These cases wait, and nobody else hears of them.", False),
        ("partitions", [str(each) for each in ours if each.enlarged and not each.strands_cases], "Topics", "Nothing is lost by that.", False),
        ("rights", rights, "Access rules or quotas", "Somebody may read or write too much, or too little.", True),
    ):  # fmt: skip
        if found:
            more = f" ({len(found) - 1} more)" if found[1:] else ""
            yield Finding(
                code,
                f"{what} are not as declared: {found[0].removesuffix('.')}{more}.",
                why,
                "nrmbus topics check names each, and who mends it",
                is_serious,
            )
