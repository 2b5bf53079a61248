"""Topics of a bus on a cluster whose administrator sets the defaults: each record is on three brokers, and nothing is deleted early."""

import pytest

from bus.kafka.clusters import KAFKAS_OWN, Cluster, prepared
from nrmbus.bus.kafka import topics

HISTORY = "nrm.cases"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Return a cluster of three brokers with all settings that the bus asks for, and no topic yet."""
    made = Cluster(prepared())
    monkeypatch.setattr(topics, "Administration", made)
    return made


def check() -> list[str]:
    """Return the differences in words, for a bus of one agency."""
    return [str(each) for each in topics.check("kafka.example:9093", ["ngo-a"], 1, play=False)]


def apply() -> list[str]:
    """Make and mend the topics; return what is left, in words."""
    return [str(each) for each in topics.apply("kafka.example:9093", ["ngo-a"], 1, play=False)]


def test_a_topic_on_too_few_brokers_is_reported_and_left(cluster: Cluster) -> None:
    """P1: given a history on one disk of a cluster of three brokers, then check and apply say so, and who mends it."""
    apply()
    cluster.topics[HISTORY].replicas = 1

    said = (
        "nrm.cases has the replication factor 1, not 3: the cluster's administrator raises it with "
        "kafka-reassign-partitions."
    )
    assert check() == [said]
    assert apply() == [said]


def test_a_cluster_of_one_broker_has_one_replica(cluster: Cluster) -> None:
    """Given a cluster of one broker, then a topic on it is no difference."""
    cluster.brokers = 1
    cluster.settings |= KAFKAS_OWN
    apply()

    assert cluster.topics[HISTORY].replicas == 1
    assert check() == []


def test_a_new_topic_is_on_three_brokers(cluster: Cluster) -> None:
    """P1: given a cluster whose default is one replica, when topics are made, then each is on three brokers."""
    cluster.settings |= KAFKAS_OWN

    assert apply() == []
    assert {each.replicas for each in cluster.topics.values()} == {3}
    assert check() == []


def test_a_larger_default_of_replicas_is_kept(cluster: Cluster) -> None:
    """Given a cluster of five brokers that has each record on all of them, then a new topic is on all of them."""
    cluster.brokers = 5
    cluster.settings["default.replication.factor"] = "5"

    apply()

    assert {each.replicas for each in cluster.topics.values()} == {5}
