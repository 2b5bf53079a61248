"""Cluster of another operator without a process: its brokers, its defaults, and the topics that are made there."""

from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, Final

from confluent_kafka.admin import AlterConfigOpType, ConfigResource, ConfigSource, NewTopic

from nrmbus.bus.kafka.cluster import ADVISED_SETTINGS, CLUSTER_SETTINGS, rights_settings

KAFKAS_OWN: Final = {
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "unclean.leader.election.enable": "false",
    "log.retention.bytes": "-1",
    "message.max.bytes": "1048588",
    "transaction.max.timeout.ms": "900000",
}
"""Settings of a cluster that its administrator left as Kafka has them."""
_INHERITED: Final = {"log.retention.bytes": "retention.bytes", "message.max.bytes": "max.message.bytes"}
"""Names of a broker's settings that a topic has by another name."""


def prepared(**more: str) -> dict[str, str]:
    """Return the settings of a cluster whose administrator made all that the bus asks for, but for *more*, with ``_`` for dots."""
    asked = {**rights_settings("operator"), **CLUSTER_SETTINGS, **ADVISED_SETTINGS}
    more = {name.replace("_", "."): value for name, value in more.items()}
    return {**KAFKAS_OWN, **{name: str(value) for name, value in asked.items()}, **more}


class Topic:
    """A topic there: its partitions, the brokers that each partition is on, and the topic's own settings."""

    def __init__(self, partitions: int, replicas: int, own: Mapping[str, str]) -> None:
        self.partitions, self.replicas, self.own = partitions, replicas, dict(own)


class Cluster:
    """Stand-in for `Administration` and its client; *settings* are those of each of its *brokers*."""

    def __init__(self, settings: Mapping[str, str], brokers: int = 3) -> None:
        self.settings, self.brokers, self.topics = dict(settings), brokers, dict[str, Topic]()
        self.client: Any = self

    # -- as an administration ----------------------------------------------------------------------------------------

    def __call__(self, _: object) -> "Cluster":
        """Stand in for the class."""
        return self

    def answers(self, call: Callable[[Any], Iterable[Any]], unless: object = ()) -> list[Any]:
        """Return the answers to *call*."""
        del unless
        return list(call(self))

    def attempt(self, call: Callable[[Any], Iterable[Any]]) -> list[tuple[Any, str]]:
        """Return the answers to *call*, all without an error."""
        return [(each, "") for each in call(self)]

    # -- as a client -------------------------------------------------------------------------------------------------

    def list_topics(self, **_: object) -> Any:
        """Return brokers and topics."""
        nodes = dict.fromkeys(range(1, self.brokers + 1))
        topics = {
            name: SimpleNamespace(
                partitions={
                    number: SimpleNamespace(replicas=[*nodes][: each.replicas]) for number in range(each.partitions)
                }
            )
            for name, each in self.topics.items()
        }
        return SimpleNamespace(brokers=nodes, topics=topics)

    def describe_cluster(self) -> Any:
        """Return the brokers."""
        return SimpleNamespace(nodes=[SimpleNamespace(id=each) for each in range(1, self.brokers + 1)])

    def describe_configs(self, resources: Iterable[ConfigResource], **_: object) -> dict[ConfigResource, Any]:
        """Return the settings of brokers and topics, each with its source."""
        default, own = ConfigSource.DEFAULT_CONFIG.value, ConfigSource.DYNAMIC_TOPIC_CONFIG.value
        found = {}
        for each in resources:
            if each.restype == ConfigResource.Type.BROKER:
                has = {name: (value, default) for name, value in self.settings.items()}
            else:
                inherited = ("min.insync.replicas", "unclean.leader.election.enable", *_INHERITED)
                has = {_INHERITED.get(name, name): (self.settings[name], default) for name in inherited}
                has |= {name: (value, own) for name, value in self.topics[each.name].own.items()}
            found[each] = {name: SimpleNamespace(value=value, source=source) for name, (value, source) in has.items()}
        return found

    def create_topics(self, new: Iterable[NewTopic]) -> dict[str, None]:
        """Make topics, each with the cluster's default of replicas where it asks for none."""
        for each in new:
            asked = each.replication_factor
            replicas = int(self.settings["default.replication.factor"]) if asked < 0 else asked
            self.topics[each.topic] = Topic(each.num_partitions, replicas, each.config or {})
        return dict.fromkeys(self.topics)

    def incremental_alter_configs(self, resources: Iterable[ConfigResource]) -> dict[ConfigResource, None]:
        """Alter the own settings of topics."""
        done = dict.fromkeys(resources)
        for each in done:
            for entry in each.incremental_configs:
                if entry.incremental_operation == AlterConfigOpType.DELETE:
                    self.topics[each.name].own.pop(entry.name, None)
                else:
                    self.topics[each.name].own[entry.name] = entry.value or ""
        return done

    def list_offsets(self, asked: Mapping[Any, Any]) -> Mapping[Any, Any]:
        """Have each partition answer."""
        return asked
