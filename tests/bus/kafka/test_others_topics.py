"""Topics of a bus on a cluster whose administrator sets the defaults: each record is on three brokers, and nothing is deleted early."""

import pytest

from bus.kafka.clusters import KAFKAS_OWN, Cluster, prepared
from nrmbus.bus.kafka import topics

HISTORY, IN_SYNC = "nrm.cases", "min.insync.replicas"


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


@pytest.mark.parametrize(
    ("default", "value", "setting", "declared"),
    [
        ("log.retention.bytes", "1073741824", "retention.bytes", "-1"),
        ("message.max.bytes", "262144", "max.message.bytes", "1048588"),
        ("unclean.leader.election.enable", "true", "unclean.leader.election.enable", "false"),
        ("min.insync.replicas", "1", "min.insync.replicas", "2"),
        ("min.insync.replicas", "3", "min.insync.replicas", "2"),
    ],
)
def test_no_topic_inherits_what_would_lose_or_refuse_records(
    cluster: Cluster, default: str, value: str, setting: str, declared: str
) -> None:
    """P1: given a cluster whose administrator sets a default for all topics, then the bus's topics keep their own values."""
    apply()
    for each in cluster.topics.values():  # as a bus made them that did not declare the setting
        each.own.pop(setting, None)
    cluster.settings[default] = value

    assert f"{HISTORY} has {setting}={value}, not {declared}: nrmbus topics apply" in check()
    assert apply() == []
    assert check() == []
    assert cluster.topics[HISTORY].own[setting] == declared

    cluster.topics.clear()
    assert apply() == []
    assert check() == []


@pytest.mark.parametrize("hardened", ["2", "3"])
def test_a_topic_that_its_administrator_hardened_stays_so(cluster: Cluster, hardened: str) -> None:
    """P1: given more brokers that have to confirm a record than the default, set on the topic by hand, then apply leaves them."""
    apply()
    cluster.brokers, cluster.settings[IN_SYNC] = 4, "1"
    for each in cluster.topics.values():
        each.replicas, each.own[IN_SYNC] = 4, hardened

    assert check() == []
    assert apply() == []
    assert cluster.topics[HISTORY].own[IN_SYNC] == hardened
