"""Way to each agency and standby host as the operator sees it: none of them opens a port, so what they do at the broker tells."""

import asyncio
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients, groups
from nrmbus.bus.kafka.clients import SETTINGS, Administration
from nrmbus.bus.kafka.failures import sentence_of
from nrmbus.bus.kafka.gate import Gate
from nrmbus.bus.kafka.lease import newest
from nrmbus.bus.pki.authority import Authority
from nrmbus.bus.vitals import BEFORE_RELEASE, RELEASE, WAITS
from nrmbus.cli import health
from nrmbus.cli.counted import counted
from nrmbus.cli.hosts import Placed, hosts_of
from nrmbus.cli.operate.faults import SET_CLOCKS, SKEW, SOON
from nrmbus.cli.operate.steps import Step, fault, ok, unknown
from nrmbus.cli.shown import utc
from nrmbus.desk.witness.decision import signed_before
from nrmbus.directory import SERVICES
from nrmbus.directory.admission import read_directory
from nrmbus.directory.errors import DirectoryError
from nrmbus.timekeeper.silence import Reading
from nrmbus.wire.errors import ProofError
from nrmbus.wire.log.checkpoint import AddCheckpoint, Checkpoint
from nrmbus.wire.log.note import Note
from nrmbus.wire.names import AUDITOR, CHECKPOINTS, TIMEKEEPER, inbox_of, outbox_of, requests_of, witness_of

UNKNOWN_RELEASE: Final = "0.1.0 or older"
_A_RELEASE: Final = re.compile(r"[0-9A-Za-z.+-]{1,40}")
_LAST: Final = 200
"""Offsets of the checkpoints' topic that are read, from its end."""
_HEARTBEAT_SECONDS: Final = SETTINGS["desk"]["session_timeout_ms"] // 1000


class Answer(NamedTuple):
    """The newest co-signature of a desk: the desk's automatic answer to a checkpoint of the bus."""

    signed: datetime
    """By the desk's own clock, in whole seconds."""
    appended: datetime
    """By the broker's clock."""
    published: datetime | None
    """When the broker got the checkpoint; None if that is not among the newest."""


_Answered = tuple[Answer | None, datetime | None]
"""The newest co-signature, and when the oldest came of the newest checkpoints without one."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The broker's facts about one agency; None if the broker was not asked, or has nothing."""

    readings: tuple[Reading, ...] = ()
    """By partition of the inbox."""
    stuck: bool = False
    """True if the desk reports an unwritable ledger, or has read nothing of a waiting inbox for a minute."""
    rights: tuple[str, ...] | None = None
    """Differences from the declared rights."""
    last: datetime | None = None
    """When its newest record came."""
    answer: Answer | None = None
    unanswered: datetime | None = None
    """When the oldest of the newest checkpoints came that it has not co-signed."""


def peers_of(folder: BusFolder) -> list[dict[str, object]]:
    """Return for each agency, and for an auditor elsewhere, the desk's address and release, and its certificate's end.

    Raises:
        KafkaFailed: no broker answers, or it refuses.
        KeysSealed: nothing given opens the operator's key.
    """
    authority = Authority(folder)
    elsewhere = {AUDITOR} & authority.agencies() if folder.audited_elsewhere else set()
    agencies = sorted(({*authority.agencies(), *folder.agencies()} - SERVICES.keys()) | elsewhere)
    found = Administration(folder.as_operator).answers(
        lambda client: (
            client.describe_consumer_groups([f"{each}.desk" for each in agencies]).values() if agencies else ()
        )
    )
    return [
        {
            "agency": each,
            "suspended": each in authority.suspended,
            "connected": sorted({member.host.lstrip("/") for member in group.members}),
            "releases": sorted({_release(member.client_id) for member in group.members}),
            "certificate_ends": until.isoformat() if (until := authority.last_end(each)) else None,
        }
        for each, group in zip(agencies, found, strict=True)
    ]


def brokers_of(folder: BusFolder) -> tuple[int, int]:
    """Return how many brokers of a bus with several addresses are there, and how many it was made with; of one address, 1 and 1.

    Raises:
        KafkaFailed, KeysSealed: as `peers_of`.
    """
    due = len(folder.bootstrap.split(","))
    if due == 1:
        return 1, 1
    (found,) = Administration(folder.as_operator).answers(lambda client: [client.describe_cluster()])
    return len(found.nodes), due


def _release(client_id: str) -> str:
    """Return the release that a desk told the broker; `UNKNOWN_RELEASE` for one from before desks did, or that tells none.

    The name is the agency's own choice, and is written to the operator's terminal.
    """
    told = client_id.partition(BEFORE_RELEASE)[2]
    return told if _A_RELEASE.fullmatch(told) else UNKNOWN_RELEASE


def ways(folder: BusFolder) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the agencies as `peers_of`, and the services on standby hosts, each with ``steps``.

    Raises:
        KafkaFailed: no broker answers, or it refuses.
        KeysSealed: nothing given opens the operator's key.
        BusError: the directory cannot be trusted.
    """
    peers, now = peers_of(folder), datetime.now(UTC)
    asked = [str(each["agency"]) for each in peers if not each["suspended"]]
    heard = _heard(folder, asked)
    agencies = [{**each, "steps": list(steps(each, heard.get(str(each["agency"]), Heard()), now))} for each in peers]
    return agencies, [{**asdict(each), "steps": list(steps_of_host(each, now))} for each in hosts_of(folder)]


# -- what is said of each --------------------------------------------------------------------------------------------


def steps(peer: Mapping[str, Any], heard: Heard, now: datetime) -> Iterator[Step]:
    """Yield what works between the broker and an agency, a *peer* of `peers_of`, at *now*. Pure."""
    if peer["suspended"]:
        yield unknown("connected", "It is suspended or has left: the broker denies it everything.")
        return
    if peer["connected"]:
        yield ok("connected", f"From {', '.join(peer['connected'])}; its last heartbeat is at most {_HEARTBEAT_SECONDS} s old.")  # fmt: skip
        same = peer["releases"] == [RELEASE]
        yield ok("release", f"{', '.join(peer['releases'])}{', as here' if same else f'; {RELEASE} runs here: nrmbus upgrade --check says what that means'}.")  # fmt: skip
    else:
        yield fault("connected", "No desk of it is connected: it does not run, or its machine has no way to the broker. Ask its people for the result of nrmbus check.")  # fmt: skip
    yield certificate(peer["certificate_ends"], now, f"ask its people to run nrmbus check, and nrmbus agency renew {peer['agency']}")  # fmt: skip
    yield _rights(heard)
    yield _last(heard, now)
    if peer["agency"] != AUDITOR:  # she leaves receipts unread, and signs the checkpoints instead of answering them
        yield _inbox(heard)
        yield _answer(heard, now)
        yield _clock(heard)


def steps_of_host(host: Placed, now: datetime) -> Iterator[Step]:
    """Yield what works between the broker and one service on a standby host at *now*. Pure."""
    if host.state == "old keys":
        yield fault("keys", f"They were changed since: nrmbus standby revoke {host.host}, then admit it again.")
    if host.connected is None:
        yield fault("connected", f"It is not connected: nrmbus run {host.service} there, or nrmbus standby revoke {host.host} if that host is gone.")  # fmt: skip
    else:
        # A standby service compares its clock with the broker's, and leaves the group while the clock is wrong.
        yield ok("connected", f"From {host.connected}, and {host.state}; its clock is right to five seconds.")
    yield certificate(host.certificate_ends, now, "the operator's nrmbus up renews it while both are connected: look at logs/ of both machines")  # fmt: skip


def certificate(written: str | None, now: datetime, mend: str) -> Step:
    """Return the step about a certificate that ends at *written*; without a renewal in time a fault with *mend*."""
    if written is None:
        return unknown("certificate", "It has none: the bus is in plain text, or it was not admitted here.")
    left = (end := datetime.fromisoformat(written)) - now
    if left <= timedelta():
        return fault("certificate", f"Its certificate ended on {end:%Y-%m-%d}: {mend}.")
    good = f"Its certificate is good until {end:%Y-%m-%d}, {counted(left.days, 'day')}"
    if left < SOON:
        return fault("certificate", f"{good}, and was not renewed: {mend}.")
    return ok("certificate", f"{good}.")


def _rights(heard: Heard) -> Step:
    if heard.rights is None:
        return unknown("rights", "The bus is in plain text: the broker knows nobody, and allows everything.")
    if heard.rights:
        more = f" And {len(heard.rights) - 1} more." if heard.rights[1:] else ""
        return fault("rights", f"{heard.rights[0]}.{more}")
    return ok("rights", "The broker gives it what deploy/topics declares, and no more.")


def _inbox(heard: Heard) -> Step:
    waiting = sum(each.end - each.reached for each in heard.readings if not each.is_over)
    reached = f"Read to {', '.join(str(each.reached) for each in heard.readings)}"
    if not heard.readings:
        return fault("inbox", "The broker has no inbox of it: nrmbus topics apply.")
    if heard.stuck:
        return fault("inbox", f"{reached}, and it stands still: nrmbus doctor on its machine says at what. {counted(waiting, 'offset waits', 'offsets wait')}.")  # fmt: skip
    if waiting:
        return unknown("inbox", f"{reached}; {counted(waiting, 'offset waits', 'offsets wait')}. Ask again: the number falls while the desk reads.")  # fmt: skip
    return ok("inbox", f"{reached}, the end.")


def _last(heard: Heard, now: datetime) -> Step:
    if heard.last is None:
        return unknown("last record", "It has written nothing that the broker still has.")
    return ok("last record", f"{utc(heard.last)}, {_ago(now - heard.last)}: an event, a co-signature or a request.")


def _answer(heard: Heard, now: datetime) -> Step:
    late = heard.unanswered is not None and now - heard.unanswered > WAITS
    if late and heard.unanswered is not None:
        return fault("answer", f"It has not co-signed the checkpoint of {utc(heard.unanswered)}: its desk does that by itself once it has read its inbox. Ask its people for the result of nrmbus doctor.")  # fmt: skip
    if heard.answer is None:
        return unknown("answer", "It has co-signed nothing yet: a desk answers the auditor's checkpoint, an hour after a registration at the latest.")  # fmt: skip
    if heard.answer.published is None:
        return ok("answer", f"It co-signed a checkpoint at {utc(heard.answer.appended)}, {_ago(now - heard.answer.appended)}.")  # fmt: skip
    took = (heard.answer.appended - heard.answer.published).total_seconds()
    return ok("answer", f"It answered the checkpoint of {utc(heard.answer.published)} by a co-signature after {took:.1f} s, {_ago(now - heard.answer.appended)}.")  # fmt: skip


def _clock(heard: Heard) -> Step:
    """Return the step about the agency's clock, by the time in its newest co-signature: whole seconds, before it was sent."""
    if heard.answer is None:
        return unknown("clock", "A co-signature will tell it: it has the time of its desk.")
    ahead = heard.answer.signed - heard.answer.appended
    when = utc(heard.answer.appended)
    if ahead > SKEW:
        return fault("clock", f"At {when} its clock was {ahead.total_seconds():.0f} s ahead of the broker's: {SET_CLOCKS}.")  # fmt: skip
    if -ahead > SKEW:
        return unknown("clock", f"The co-signature of {when} was made {-ahead.total_seconds():.0f} s earlier by its clock: the clock is behind, or its line was away meanwhile. Its nrmbus check says which.")  # fmt: skip
    return ok("clock", f"At {when} it agreed with the broker's to {SKEW.total_seconds():.0f} s.")


def _ago(span: timedelta) -> str:
    seconds = max(0, int(span.total_seconds()))
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            return f"{counted(seconds // length, unit)} ago"
    return f"{counted(seconds, 'second')} ago"


# -- what the broker has of each -------------------------------------------------------------------------------------


def _heard(folder: BusFolder, agencies: Collection[str]) -> dict[str, Heard]:
    rights = Gate(folder).check() if folder.settings.tls else None
    try:
        there, standings, still, answers = asyncio.run(_looked(folder, agencies))
    except (KafkaError, DirectoryError) as error:
        raise BusError(sentence_of(error) or str(error)) from None
    last = _newest_records(folder, agencies, there)
    return {
        each: Heard(
            tuple(Reading(at.reached[place], at.ends[place]) for place in sorted(at.ends)) if at else (),
            each in still or bool(at and (lease := newest(at.metadata, folder.settings.bus)) and lease.stuck),
            None if rights is None else tuple(line for line in rights if line.startswith(f"{each}.")),
            last.get(each),
            *answers.get(each, (None, None)),
        )
        for each in agencies
        for at in [standings.get(f"{each}.desk")]
    }


def _newest_records(folder: BusFolder, agencies: Collection[str], there: Collection[str]) -> dict[str, datetime]:
    """Return the time of each agency's newest record that the broker still has; *there* are the topics."""
    from confluent_kafka import TopicPartition as Place  # noqa: PLC0415 - see `clients.admin`
    from confluent_kafka.admin import OffsetSpec  # noqa: PLC0415 - the same

    newest_of: Any = OffsetSpec.max_timestamp
    count = folder.settings.partitions
    places = [
        (agency, Place(topic, number))
        for agency in agencies
        for topic, partitions in ((outbox_of(agency), count), (witness_of(agency), 1), (requests_of(agency), 1))
        for number in range(partitions if topic in there else 0)
    ]
    if not places:
        return {}
    asked = {place: newest_of() for _, place in places}
    found = Administration(folder.as_operator).answers(lambda client: client.list_offsets(asked).values())
    times = [(agency, each.timestamp) for (agency, _), each in zip(places, found, strict=True) if each.timestamp > 0]
    return {agency: datetime.fromtimestamp(stamp / 1000, UTC) for agency, stamp in sorted(times)}


async def _looked(
    folder: BusFolder, agencies: Collection[str]
) -> tuple[Collection[str], Mapping[str, groups.Standing], Collection[str], dict[str, _Answered]]:
    """Return the topics that there are, how the groups of the inboxes stand, whose desks stand still, and the co-signatures."""
    consumer = clients.reader(folder.as_operator)
    await consumer.start()
    try:
        there: Collection[str] = await consumer.topics()
        answers = await _answers(folder, consumer, [each for each in agencies if witness_of(each) in there])
    finally:
        await consumer.stop()
    inboxes = {
        f"{each}.desk": [TopicPartition(inbox_of(each), number) for number in range(folder.settings.partitions)]
        for each in agencies
        if inbox_of(each) in there
    }
    standings = await groups.standings(folder.as_operator, inboxes)
    timekeeper = await health.ask(folder, TIMEKEEPER) or {}
    return there, standings, timekeeper.get("desks_still", ()), answers


async def _answers(folder: BusFolder, consumer: AIOKafkaConsumer, agencies: Collection[str]) -> dict[str, _Answered]:
    directory, bus = await read_directory(folder), folder.settings.bus
    topics = {TopicPartition(witness_of(each), 0): 4 * folder.settings.partitions for each in agencies}
    records = await _ends(consumer, {**topics, TopicPartition(CHECKPOINTS, 0): _LAST})
    published = dict(_checkpoints(records.get(CHECKPOINTS, ())))
    current = {each.origin: each for each in published}  # the last one of each log
    found = dict[str, _Answered]()
    for agency in agencies:
        answer, signed = None, set[Checkpoint]()
        for stamp, value in records.get(witness_of(agency), ()):
            if (own := signed_before(value, bus, directory.witnesses(agency))) is not None:
                signed.add(own[0])
                answer = Answer(datetime.fromtimestamp(own[1], UTC), stamp, published.get(own[0]))
        missing = [published[each] for each in current.values() if each not in signed]
        found[agency] = answer, min(missing, default=None)
    return found


async def _ends(
    consumer: AIOKafkaConsumer, due: Mapping[TopicPartition, int]
) -> dict[str, list[tuple[datetime, bytes | None]]]:
    """Return by topic the last records of each partition, with the broker's times; *due* is how many offsets."""
    found = dict[str, list[tuple[datetime, bytes | None]]]()
    ends, begins = await clients.ends(consumer, due), await clients.begins(consumer, due)
    unread = {each for each in due if ends[each] > begins[each]}
    consumer.assign(list(unread))
    for each in unread:
        consumer.seek(each, max(begins[each], ends[each] - due[each]))
    while unread:
        for place, records in (await consumer.getmany(timeout_ms=200)).items():
            found.setdefault(place.topic, []).extend(
                (datetime.fromtimestamp(each.timestamp / 1000, UTC), each.value) for each in records
            )
        unread -= {each for each in unread if await consumer.position(each) >= ends[each]}
    return found


def _checkpoints(records: Iterable[tuple[datetime, bytes | None]]) -> Iterator[tuple[Checkpoint, datetime]]:
    for stamp, value in records:
        try:
            yield Checkpoint.parse(Note.parse(AddCheckpoint.parse(value or b"").note).text), stamp
        except ProofError:
            continue  # no desk answers such a record
