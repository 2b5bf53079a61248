"""Check of the brokers' records against the acknowledged submissions; the anomalies are defined first.

- **lost**: a submission that Kafka acknowledged to its sender and that has no registration.
- **twice**: a (source, case, id) with more than one registration that is not a refusal of a re-used id.
- **gap**: a partition of ``nrm.cases`` whose numbers are not 1, 2, 3, … in the order of the records, or whose chain of
  digests breaks.
- **disordered**: registrations of one source and case that are not in the order of their sequence.
- **undelivered**: a recipient, or the sender, whose inbox lacks a registration it is due.
- **misdelivered**: an inbox whose delivery numbers are not 1, 2, 3, …, whose chain breaks, that holds what nobody was due, or a
  delivery twice that is no answer to its sender, or an event with another content than the registered one.

Read with librdkafka, read_committed: another client than the bus itself uses.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from hashlib import sha256
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from nrmbus.bus.reach import Where, reach
from nrmbus.wire.names import INBOX
from nrmbus.wire.record import Record
from nrmbus.wire.registration import NOTHING_BEFORE
from nrmbus.wire.statement import Thing, body_of


@dataclass(slots=True)
class Anomalies:
    """How many of each kind; all zero is the only good answer."""

    lost: int = 0
    twice: int = 0
    gap: int = 0
    disordered: int = 0
    undelivered: int = 0
    misdelivered: int = 0
    registered: int = field(default=0, metadata={"count": True})
    refused: int = field(default=0, metadata={"count": True})
    sealed_again: int = field(default=0, metadata={"count": True})
    """Events that their desk sealed again as the audience had changed: none of the refused."""

    @property
    def any(self) -> bool:
        """True if there is any anomaly."""
        return any(getattr(self, each.name) for each in fields(self) if not each.metadata)

    @property
    def any_doubled(self) -> bool:
        """True if something was registered twice or under a wrong number, as by a second writer."""
        return bool(self.twice or self.gap or self.disordered)


@dataclass(frozen=True, slots=True)
class Read:
    """One record as another client reads it."""

    topic: str
    partition: int
    record: Record

    @property
    def headers(self) -> dict[str, bytes]:
        """Its headers by name."""
        return dict(self.record.headers)


def read_all(broker: Where, pattern: str) -> Iterator[Read]:
    """Yield every committed record of the topics whose whole name matches *pattern*, in the order of each partition."""
    consumer = Consumer(
        {
            **reach(broker).confluent(),
            "group.id": "nrm-check",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 10,  # the end of a partition is told by a fetch that found nothing
            "log_level": 0,
        }
    )
    try:
        known = consumer.list_topics(timeout=10).topics
        wanted = [name for name in sorted(known) if re.fullmatch(pattern, name)]
        assigned = [TopicPartition(name, number, 0) for name in wanted for number in known[name].partitions]
        # Up to the end as it is now: under load, the end itself moves on.
        ends = {(each.topic, each.partition): consumer.get_watermark_offsets(each, timeout=10)[1] for each in assigned}
        consumer.assign(assigned)
        unread = {where for where, end in ends.items() if end > 0}
        while unread:
            for message in consumer.consume(1000, timeout=0.05):
                where, offset = (str(message.topic()), message.partition() or 0), message.offset() or 0
                if message.error() is None and where in unread and offset < ends[where]:
                    headers = tuple([(str(each[0]), _bytes(each[1])) for each in message.headers() or []])
                    yield Read(where[0], where[1], Record(message.key(), message.value(), headers))
                if message.error() is not None or offset >= ends[where] - 1:
                    unread.discard(where)
    finally:
        consumer.close()


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""


def _content(record: Read) -> bytes:
    """Return a digest of the event in *record*: value and headers, without the statements and without a reader's letter."""
    headers = sorted((name, value) for name, value in record.record.headers if name.startswith("ce_"))
    return sha256(repr((record.record.value or b"", headers)).encode()).digest()


def _body(thing: Thing, signed: bytes) -> tuple[dict[str, Any], str]:
    body = body_of(thing, signed)
    return json.loads(body), sha256(body).hexdigest()


def check(broker: Where, acknowledged: Iterable[tuple[str, str, str]]) -> Anomalies:
    """Compare the topics with *acknowledged*: (source, case, id) of every submission that Kafka took from its sender."""
    return compare(read_all(broker, r"nrm\.cases"), read_all(broker, r"nrm\.inbox\..*"), acknowledged)


def compare(cases: Iterable[Read], inboxes: Iterable[Read], acknowledged: Iterable[tuple[str, str, str]]) -> Anomalies:
    """Compare what ``nrm.cases`` and the inboxes hold with each other and with *acknowledged*, as `check` does."""
    found = Anomalies()
    registered: Counter[tuple[str, str, str]] = Counter()
    order: dict[tuple[str, str], int] = {}
    chain: dict[int, tuple[int, str]] = {}
    expected: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    digests: dict[tuple[str, str, str], str] = {}
    said: dict[str, tuple[str, bytes]] = {}
    for record in cases:
        body, digest = _body("registration", record.headers["nrm_registration"])
        number, previous = chain.get(record.partition, (0, NOTHING_BEFORE))
        if body["number"] != number + 1 or body["previous"] != previous:
            found.gap += 1
        chain[record.partition] = (body["number"], digest)
        identity = (body["source"], body["subject"], body["id"])
        expected[body["source"], record.partition][digest] += 1
        said[digest] = body["source"], _content(record)
        if body["verdict"] == "refused":
            found.refused += body.get("code") != "audience_changed"
            found.sealed_again += body.get("code") == "audience_changed"
        due = order.get(identity[:2], 0) + 1
        if body.get("code") != "id_reused":
            registered[identity] += 1
            digests[identity] = digest
            found.disordered += body["sequence"] != due
            order[identity[:2]] = body["sequence"]
        elif body["sequence"] == due:  # an id used again may come with any sequence; only the due one counts
            order[identity[:2]] = due
        if body["verdict"] == "registered":
            found.registered += 1
            audience = json.loads(record.headers["nrm_audience"])
            for agency in audience["recipients"]:
                for earlier in audience["earlier"].get(agency, ()):
                    first = next(known for each, known in digests.items() if each[1:] == (body["subject"], earlier))
                    expected[agency, record.partition][first] += 1
                expected[agency, record.partition][digest] += 1
    found.lost = sum(1 for identity in set(acknowledged) if identity not in registered)
    found.twice = sum(count - 1 for count in registered.values() if count > 1)
    _inboxes(found, inboxes, expected, said)
    return found


def _inboxes(
    found: Anomalies,
    records: Iterable[Read],
    expected: dict[tuple[str, int], Counter[str]],
    said: dict[str, tuple[str, bytes]],
) -> None:
    """Count what is wrong with the inboxes in *records*; *said* has the source and the content of each registration."""
    chain: dict[tuple[str, int], tuple[int, str]] = {}
    seen: dict[tuple[str, int], dict[int, str]] = defaultdict(dict)
    got: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    for record in records:
        if "nrm_delivery" not in record.headers:
            continue  # a passing answer
        body, digest = _body("delivery", record.headers["nrm_delivery"])
        inbox = (record.topic.removeprefix(INBOX), record.partition)
        source, content = said.get(body["registration"], (None, b""))
        if source is not None and _content(record) != content:
            found.misdelivered += 1
        if seen[inbox].get(body["inbox_number"]) == digest:
            found.misdelivered += source != inbox[0]  # the very same answer again, because its sender asked again
            continue
        number, previous = chain.get(inbox, (0, NOTHING_BEFORE))
        if body["inbox_number"] != number + 1 or body["previous"] != previous or body["to"] != inbox[0]:
            found.misdelivered += 1
        chain[inbox] = (body["inbox_number"], digest)
        seen[inbox][body["inbox_number"]] = digest
        got[inbox][body["registration"]] += 1
    for inbox in {*expected, *got}:
        if not expected[inbox] and not got[inbox]:
            continue
        found.undelivered += sum((expected[inbox] - got[inbox]).values())
        found.misdelivered += sum((got[inbox] - expected[inbox]).values())
