"""The broker's topics are what their files declare: made once, mended when altered, never removed or shortened unasked."""

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic

from brokers import Broker
from nrmbus.bus.errors import KafkaFailed
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import clients, topics
from patience import PATIENCE

pytestmark = pytest.mark.broker

AGENCIES = ["ngo-a", "police"]
DAY = 86_400_000


@pytest.fixture
def bus(broker: Broker) -> BusFolder:
    """A fresh bus of two agencies and three partitions."""
    return broker.fresh_bus(agencies=AGENCIES, partitions=3)


def check(bus: BusFolder) -> list[str]:
    """Return the differences in words."""
    return [str(each) for each in topics.check(bus.bootstrap, AGENCIES, 3, play=True)]


def apply(bus: BusFolder, *, shorten: bool = False) -> list[str]:
    """Mend it; what is left, in words."""
    return [str(each) for each in topics.apply(bus.bootstrap, AGENCIES, 3, play=True, shorten=shorten)]


def by_hand(bus: BusFolder, topic: str, setting: str, value: str) -> None:
    """Alter a setting as somebody with Kafka's own tools would."""
    entry = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    admin = clients.admin(bus.bootstrap)
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(10)


def setting(bus: BusFolder, topic: str, name: str) -> str:
    """The setting as the broker has it."""
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    admin = clients.admin(bus.bootstrap)
    value: str = admin.describe_configs([resource])[resource].result(10)[name].value
    return value


def test_applying_twice_changes_nothing(bus: BusFolder) -> None:
    """Apply is idempotent, and the topics match the files afterwards."""
    assert check(bus) == []
    assert apply(bus) == []
    assert check(bus) == []


def test_a_topic_that_was_made_can_be_used_at_once(bus: BusFolder) -> None:
    """The first record goes through without an error and a retry: apply has waited."""
    producer = Producer({"bootstrap.servers": bus.bootstrap, "retries": 0, "acks": "all"})
    errors = []
    for topic in clients.admin(bus.bootstrap).list_topics(timeout=PATIENCE).topics:
        if topic.startswith("nrm."):
            producer.produce(topic, b"record", on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(10) == 0

    assert errors
    assert not any(errors)


def test_a_new_agency_gets_its_topics(bus: BusFolder) -> None:
    """Only what is missing is made."""
    admin = clients.admin(bus.bootstrap)
    before = set(admin.list_topics(timeout=PATIENCE).topics)

    topics.apply(bus.bootstrap, [*AGENCIES, "shelter"], 3, play=True)

    made = set(admin.list_topics(timeout=PATIENCE).topics) - before
    assert made == {"nrm.inbox.shelter", "nrm.outbox.shelter", "nrm.requests.shelter", "nrm.witness.shelter"}
    assert len(admin.list_topics("nrm.inbox.shelter", timeout=PATIENCE).topics["nrm.inbox.shelter"].partitions) == 3


def test_a_clock_is_made_on_a_bus_for_playing_only(broker: Broker) -> None:
    """No other bus can be told another time."""
    bus = broker.fresh_bus(play=False)

    assert "nrm.clock" not in clients.admin(bus.bootstrap).list_topics(timeout=PATIENCE).topics
    assert topics.check(bus.bootstrap, [], 1, play=False) == ()


@pytest.mark.parametrize(
    ("topic", "name", "altered", "declared"),
    [
        ("nrm.outbox.ngo-a", "max.message.bytes", "1048588", "393216"),
        ("nrm.outbox.ngo-a", "retention.ms", "1000", str(7 * DAY)),
        ("nrm.cases", "retention.ms", str(DAY), "-1"),
        ("nrm.cases", "retention.bytes", "1000000", "-1"),
        ("nrm.cases", "cleanup.policy", "compact", "delete"),
        ("nrm.inbox.police", "compression.type", "gzip", "uncompressed"),
    ],
)
def test_an_altered_setting_is_seen_and_set_back(
    bus: BusFolder, topic: str, name: str, altered: str, declared: str
) -> None:
    """Nobody edits a topic by hand for long."""
    by_hand(bus, topic, name, altered)

    assert check(bus) == [f"{topic} has {name}={altered}, not {declared}: nrmbus topics apply"]
    assert apply(bus) == []
    assert check(bus) == []
    assert setting(bus, topic, name) == declared


def test_a_setting_that_no_file_has_is_taken_back(bus: BusFolder) -> None:
    """A setting without a declaration is Kafka's default."""
    by_hand(bus, "nrm.cases", "segment.bytes", "1048576")

    assert check(bus) == ["nrm.cases has segment.bytes=1048576, set by hand and not declared: nrmbus topics apply"]
    assert apply(bus) == []
    assert check(bus) == []


def test_a_longer_retention_is_shortened_only_on_demand(bus: BusFolder) -> None:
    """Shortening deletes records: it is said, left, and done on demand."""
    by_hand(bus, "nrm.outbox.police", "retention.ms", str(90 * DAY))
    mend = "nrmbus topics apply --shorten (deletes what is older)"
    said = f"nrm.outbox.police has retention.ms={90 * DAY}, not {7 * DAY}: {mend}"

    assert check(bus) == [said]
    assert apply(bus) == [said]
    assert setting(bus, "nrm.outbox.police", "retention.ms") == str(90 * DAY)
    assert apply(bus, shorten=True) == []
    assert check(bus) == []


def test_an_undeclared_topic_is_reported_and_left(bus: BusFolder) -> None:
    """Nothing is ever deleted, records of an agency that left least of all."""
    topics.apply(bus.bootstrap, [*AGENCIES, "closed"], 3, play=True)

    assert [(each.topic, each.kind) for each in topics.check(bus.bootstrap, AGENCIES, 3, play=True)] == [
        ("nrm.inbox.closed", "stray"),
        ("nrm.outbox.closed", "stray"),
        ("nrm.requests.closed", "stray"),
        ("nrm.witness.closed", "stray"),
    ]
    assert len(apply(bus)) == 4
    assert "nrm.inbox.closed" in clients.admin(bus.bootstrap).list_topics(timeout=PATIENCE).topics


def test_another_number_of_partitions_is_reported_and_left(bus: BusFolder) -> None:
    """Neither shrunk nor grown. With fewer, a case would move to another partition and its order be lost; more are not used."""
    for wanted, word in ((1, "Kafka cannot take partitions away"), (6, "cannot be mended")):
        left = topics.apply(bus.bootstrap, AGENCIES, wanted, play=True)

        assert {(each.topic, each.kind) for each in left} == {
            (topic, "partitions")
            for topic in ("nrm.cases", *(f"nrm.{box}.{agency}" for box in ("inbox", "outbox") for agency in AGENCIES))
        }
        assert all(word in str(each) for each in left)
    assert check(bus) == []


def test_a_missing_topic_is_reported(bus: BusFolder) -> None:
    """Check changes nothing: it only says what apply would do."""
    missing = [str(each) for each in topics.check(bus.bootstrap, [*AGENCIES, "shelter"], 3, play=True)]

    assert missing == [
        "nrm.inbox.shelter is declared, and not on the broker: nrmbus topics apply",
        "nrm.outbox.shelter is declared, and not on the broker: nrmbus topics apply",
        "nrm.requests.shelter is declared, and not on the broker: nrmbus topics apply",
        "nrm.witness.shelter is declared, and not on the broker: nrmbus topics apply",
    ]
    assert "nrm.inbox.shelter" not in clients.admin(bus.bootstrap).list_topics(timeout=PATIENCE).topics


def test_topics_of_others_are_none_of_ours(bus: BusFolder) -> None:
    """On a cluster that others use too, only ``nrm.…`` is looked at."""
    admin = clients.admin(bus.bootstrap)
    admin.create_topics([NewTopic("others", 1, 1)])["others"].result(10)

    assert check(bus) == []


def test_a_broker_that_is_away_is_one_sentence(bus: BusFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that starts one."""
    monkeypatch.setattr(topics, "ANSWER_SECONDS", 0.2)

    with pytest.raises(KafkaFailed, match=r"No broker answers at 127\.0\.0\.1:1: nrmbus check says"):
        topics.check("127.0.0.1:1", [], 1, play=False)
    assert bus.bootstrap
