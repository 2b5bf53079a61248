"""The broker's topics, made and kept as the files of ``deploy/topics`` declare them.

Nothing here deletes a topic, takes partitions away, or shortens a retention without being told to: each of these loses
records.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from nrmbus.bus.errors import KafkaFailed
from nrmbus.bus.kafka.clients import ANSWER_SECONDS, PATIENCE_SECONDS, Administration
from nrmbus.bus.kafka.declarations import Declaration, load_declarations
from nrmbus.bus.kafka.failures import nobody_at
from nrmbus.bus.reach import Where
from nrmbus.wire.names import OUTBOX

if TYPE_CHECKING:
    from confluent_kafka.admin import ClusterMetadata, TopicMetadata

__all__ = ["Declaration", "Drift", "apply", "check", "docs", "few_replicas", "load_declarations"]

_REPLICAS: Final = 3
"""Least replication factor on a cluster of so many brokers: any one of them may be away, or lose its disk."""
_OF_KAFKA: Final = frozenset({"__consumer_offsets", "__transaction_state"})
"""Kafka's own topics that the bus relies on."""
_EXISTS: Final = frozenset({"TOPIC_ALREADY_EXISTS"})
_RETENTION: Final = "retention.ms"
_IN_SYNC: Final = "min.insync.replicas"
_SET_ON_TOPIC: Final = "DYNAMIC_TOPIC_CONFIG"


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference between the files and the broker."""

    topic: str
    kind: Literal["missing", "stray", "partitions", "replicas", "setting"]
    setting: str | None
    declared: str | None
    found: str | None

    @property
    def lengthened(self) -> bool:
        """True if mending the difference would shorten the retention."""
        if self.setting != _RETENTION or self.declared is None or self.found is None:
            return False
        declared, found = int(self.declared), int(self.found)
        return declared >= 0 and (found < 0 or declared < found)

    @property
    def enlarged(self) -> bool:
        """True if the topic has more partitions than declared: nobody reads the added ones, and Kafka cannot take them away."""
        return self.kind == "partitions" and int(self.found or 0) > int(self.declared or 0)

    @property
    def strands_cases(self) -> bool:
        """True if a desk of an earlier release sends cases to added partitions: its client chooses among all partitions of the outbox."""
        return self.enlarged and self.topic.startswith(OUTBOX)

    def __str__(self) -> str:
        if self.kind == "missing":
            return f"{self.topic} is declared, and not on the broker: nrmbus topics apply"
        if self.kind == "stray":
            return f"{self.topic} is on the broker, and no agency here or file asks for it: ask its owner whether it may go."
        if self.strands_cases:
            return (
                f"{self.topic} has {self.found} partitions, not {self.declared}, and nobody reads the others: a desk of an earlier "
                "release gets no answer to the cases that it sends there until it is upgraded. Kafka cannot take partitions away."
            )
        if self.enlarged:
            return (
                f"{self.topic} has {self.found} partitions, not {self.declared}: nobody uses the others, and the bus goes on. "
                "Kafka cannot take partitions away."
            )
        if self.kind == "partitions":
            return (
                f"{self.topic} has {self.found} partitions, not {self.declared}, and that cannot be mended: "
                "a case would move to another partition, and its order be lost."
            )
        if self.kind == "replicas":
            return (
                f"{self.topic} has the replication factor {self.found}, not {self.declared}: the cluster's administrator "
                "raises it with kafka-reassign-partitions."
            )
        if self.declared is None:
            return f"{self.topic} has {self.setting}={self.found}, set by hand and not declared: nrmbus topics apply"
        mend = "nrmbus topics apply" + (" --shorten (deletes what is older)" if self.lengthened else "")
        return f"{self.topic} has {self.setting}={self.found}, not {self.declared}: {mend}"


def check(
    where: Where,
    agencies: Iterable[str],
    partitions: int,
    *,
    play: bool,
    declarations: Iterable[Declaration] | None = None,
) -> tuple[Drift, ...]:
    """Return how the broker's topics differ from the files. Changes nothing, and ignores topics that are not named ``nrm.…``.

    Args:
        where: the broker, as who may make topics.
        agencies: whose outboxes and inboxes are due.
        partitions: P of the bus.
        play: whether it is a bus for playing, which has a clock topic.
        declarations: what is declared; by default the files.

    Raises:
        KafkaFailed: the broker does not answer.
    """
    return _Broker(where).drift(_wanted(declarations, agencies, partitions, play=play))


def apply(
    where: Where,
    agencies: Iterable[str],
    partitions: int,
    *,
    play: bool,
    shorten: bool = False,
    declarations: Iterable[Declaration] | None = None,
) -> tuple[Drift, ...]:
    """Make missing topics, correct altered settings, and wait until all topics can be used; return what could not be mended.

    Idempotent. *shorten* allows a shorter retention; without it such a difference is left and returned.
    Other arguments as of `check`.

    Raises:
        KafkaFailed: the broker does not answer, or a topic cannot be used in time.
    """
    wanted = _wanted(declarations, agencies, partitions, play=play)
    broker = _Broker(where)
    drift = broker.drift(wanted)
    broker.make([wanted[each.topic] for each in drift if each.kind == "missing"])
    broker.set([each for each in drift if each.kind == "setting" and (shorten or not each.lengthened)])
    immovable = {each.topic for each in drift if each.kind == "partitions" and not each.enlarged}
    broker.wait_usable(topic for name, topic in wanted.items() if name not in immovable)
    left = {"partitions", "replicas", "stray"}
    return tuple(each for each in drift if each.kind in left or (each.lengthened and not shorten))


def few_replicas(where: Where) -> tuple[Drift, ...]:
    """Return which topics of the bus, and which of Kafka's own, a cluster of three brokers or more has on fewer than three.

    Raises:
        KafkaFailed: the broker does not answer.
    """
    return _few_replicas(_Broker(where).metadata())


def _few_replicas(found: "ClusterMetadata") -> tuple[Drift, ...]:
    return tuple(
        Drift(name, "replicas", None, str(_REPLICAS), str(count))
        for name, topic in sorted(found.topics.items())
        if (name.startswith("nrm.") or name in _OF_KAFKA)
        and (count := _replicas_of(topic)) < _REPLICAS <= len(found.brokers)
    )


def _replicas_of(topic: "TopicMetadata") -> int:
    return min((len(each.replicas) for each in topic.partitions.values()), default=_REPLICAS)


def _is_safe(in_sync: int, replicas: int) -> bool:
    """Return whether two brokers at least confirm each record, and one of all *replicas* may be away."""
    return _REPLICAS - 1 <= in_sync < replicas


def override(where: Where, names: Iterable[str], setting: str, value: str) -> None:
    """Set *setting* of the topics *names* to *value*, until `apply` sets what is declared.

    Raises:
        KafkaFailed: the broker does not answer.
    """
    _Broker(where).set([Drift(name, "setting", setting, value, None) for name in names])


def docs(declarations: Iterable[Declaration] | None = None) -> str:
    """Return a table of all topics, in Markdown."""
    rows = [
        "| topic | holds | written by | read by | in the group | with the transactional id | key | partitions | kept |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in load_declarations() if declarations is None else declarations:
        kept = "for ever" if each.retention_ms < 0 else f"{each.retention_ms // 86_400_000} days"
        holds = each.description + (
            f" Records that cannot be decoded go to `{each.dead_letter}`." if each.dead_letter != "none" else ""
        )
        cells = [
            f"`{each.topic}`", holds, ", ".join(each.writers), ", ".join(each.readers), each.group or "–",
            each.transactional_id or "–", each.key, str(each.partitions), kept,
        ]  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + RIGHTS


RIGHTS: Final = """

The table is also the list of rights. The writers of a topic may write the topic, with the transactional id in its row, and
the readers may read it, in the group in its row. Everything else is denied, except to the operator, who is also the player.
"""


# -- what is wanted --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Topic:
    name: str
    partitions: int
    settings: Mapping[str, str]


def _wanted(
    declarations: Iterable[Declaration] | None, agencies: Iterable[str], partitions: int, *, play: bool
) -> dict[str, _Topic]:
    agencies = tuple(agencies)
    wanted = {}
    for each in load_declarations() if declarations is None else declarations:
        if each.buses == "play" and not play:
            continue
        count = partitions if each.partitions == "P" else each.partitions
        for name in each.names(agencies):
            wanted[name] = _Topic(name, count, each.settings())
    return wanted


# -- the broker ------------------------------------------------------------------------------------------------------


class _Broker:
    """The broker calls that this module needs."""

    def __init__(self, where: Where) -> None:
        self._where = where
        self._brokers = Administration(where)

    def drift(self, wanted: Mapping[str, _Topic]) -> tuple[Drift, ...]:
        metadata = self.metadata()
        found = {name: len(topic.partitions) for name, topic in metadata.topics.items() if name.startswith("nrm.")}
        settings = self._settings(name for name in wanted if name in found)
        drift = []
        for name, topic in sorted(wanted.items()):
            if name not in found:
                drift.append(Drift(name, "missing", None, None, None))
                continue
            if found[name] != topic.partitions:
                drift.append(Drift(name, "partitions", None, str(topic.partitions), str(found[name])))
            drift += _setting_drift(name, topic.settings, settings[name], _replicas_of(metadata.topics[name]))
        drift += [each for each in _few_replicas(metadata) if each.topic in wanted]
        strays = sorted(set(found) - set(wanted))
        return (*drift, *(Drift(name, "stray", None, None, None) for name in strays))

    def metadata(self) -> "ClusterMetadata":
        """Return brokers and topics of the cluster."""
        from confluent_kafka import KafkaException  # noqa: PLC0415 - see clients.admin

        try:
            return self._brokers.client.list_topics(timeout=ANSWER_SECONDS)
        except KafkaException:
            raise KafkaFailed(nobody_at(self._where)) from None

    def _settings(self, names: Iterable[str]) -> dict[str, dict[str, tuple[str, bool]]]:
        """Return by topic and setting the value, and whether the topic itself has the setting."""
        from confluent_kafka.admin import ConfigResource, ConfigSource  # noqa: PLC0415 - see clients.admin

        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
        if not resources:
            return {}
        own = ConfigSource[_SET_ON_TOPIC].value
        found = self._brokers.answers(lambda client: client.describe_configs(resources).values())
        return {
            resource.name: {key: (entry.value, entry.source == own) for key, entry in answer.items()}
            for resource, answer in zip(resources, found, strict=True)
        }

    def make(self, topics: Sequence[_Topic]) -> None:
        from confluent_kafka.admin import NewTopic  # noqa: PLC0415 - see clients.admin

        if not topics:
            return
        replicas, more = self._replication()
        new = [NewTopic(each.name, each.partitions, replicas, config={**each.settings, **more}) for each in topics]
        # If somebody else was faster, the topic was made from the same files.
        self._brokers.answers(lambda client: client.create_topics(new).values(), unless=_EXISTS)

    def _replication(self) -> tuple[int, dict[str, str]]:
        """Return replication factor and settings of a new topic: the cluster's defaults, or where it has three brokers no less than three and two."""
        from confluent_kafka.admin import ConfigResource  # noqa: PLC0415 - see clients.admin

        brokers = self.metadata().brokers
        if len(brokers) < _REPLICAS:
            return -1, {}  # the default
        asked = [ConfigResource(ConfigResource.Type.BROKER, str(min(brokers)))]
        (has,) = self._brokers.answers(
            lambda client: client.describe_configs(asked, request_timeout=ANSWER_SECONDS).values()
        )
        replicas = max(_REPLICAS, int(has["default.replication.factor"].value))
        is_safe = _is_safe(int(has[_IN_SYNC].value), replicas)
        return replicas, {} if is_safe else {_IN_SYNC: str(_REPLICAS - 1)}

    def set(self, drift: Iterable[Drift]) -> None:
        from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource  # noqa: PLC0415 - see clients.admin

        changes: dict[str, list[ConfigEntry]] = {}
        for each in drift:
            operation = AlterConfigOpType.DELETE if each.declared is None else AlterConfigOpType.SET
            entry = ConfigEntry(each.setting or "", each.declared or "", incremental_operation=operation)
            changes.setdefault(each.topic, []).append(entry)
        resources = [
            ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
            for topic, entries in changes.items()
        ]
        if resources:
            self._brokers.answers(lambda client: client.incremental_alter_configs(resources).values())

    def wait_usable(self, topics: Iterable[_Topic]) -> None:
        """Wait until each partition's leader knows its end: before that, a first write or read is an error."""
        from confluent_kafka import TopicPartition  # noqa: PLC0415 - see clients.admin
        from confluent_kafka.admin import OffsetSpec  # noqa: PLC0415 - see clients.admin

        waiting = [TopicPartition(each.name, number) for each in topics for number in range(each.partitions)]
        latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        until = time.monotonic() + PATIENCE_SECONDS
        while waiting:
            asked = dict.fromkeys(waiting, latest)
            found = self._brokers.attempt(lambda client, asked=asked: client.list_offsets(asked).values())  # type: ignore[misc]
            reasons = {reason for _, reason in found if reason}
            waiting = [partition for partition, (_, reason) in zip(waiting, found, strict=True) if reason]
            if waiting and time.monotonic() > until:
                raise KafkaFailed(
                    f"{len(waiting)} partitions cannot be used yet ({', '.join(sorted(reasons))}): "
                    "see nrmbus topics check, then apply again."
                )
            if waiting:
                time.sleep(0.05)


def _setting_drift(
    topic: str, declared: Mapping[str, str], found: Mapping[str, tuple[str, bool]], replicas: int
) -> list[Drift]:
    if replicas >= _REPLICAS and _IN_SYNC in found:
        has = found[_IN_SYNC][0]
        # No file declares it, since one broker has another value; a larger one that its administrator chose is left.
        declared = {**declared, _IN_SYNC: has if _is_safe(int(has), replicas) else str(_REPLICAS - 1)}
    drift = [
        Drift(topic, "setting", key, value, found[key][0] if key in found else None)
        for key, value in sorted(declared.items())
        if key not in found or found[key][0] != value
    ]
    by_hand = {key: value for key, (value, own) in found.items() if own and key not in declared}
    return drift + [Drift(topic, "setting", key, None, value) for key, value in sorted(by_hand.items())]
