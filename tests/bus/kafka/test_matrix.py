"""Everybody may do at the broker what the topic files declare, and nothing else: every pair is tried on a real broker."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

import plain_yaml
from bus.closed import EVERYBODY, PARTITIONS, Closed, speaking
from nrmbus.bus.kafka import clients
from nrmbus.bus.kafka.declarations import folder
from patience import PATIENCE

pytestmark = pytest.mark.broker

TOPIC, GROUP, CLUSTER, TRANSACTIONAL_ID = 29, 30, 31, 53
"""Kafka's codes for "not authorized", by what for."""

Right = tuple[str, str, str, str]
"""A row of holder, kind, name and operation."""

GROUPS = (*(f"{who}.{kind}" for who in EVERYBODY for kind in ("desk", "turn")), "nrm-registrar", "nrm-check", "another")
IDS = (
    *(f"nrm-{who}-p{number}" for who in ("registrar", "auditor") for number in range(PARTITIONS + 1)),
    "ngo-a",
    "registrar",
)


def declared(owners: set[str]) -> Iterator[Right]:
    """Every right that the topic files give to `EVERYBODY`, where *owners* have topics of their own.

    They are read as a person would read them, one topic and one word at a time.
    """
    for path in (each for each in folder().iterdir() if each.name.endswith(".yaml")):
        body = plain_yaml.read(path.read_text(encoding="utf-8"))
        for owner in owners if "{agency}" in body["topic"] else [None]:

            def named(word: str, owner: str | None = owner) -> str:
                return word.replace("{agency}", owner) if owner else word

            topic = named(body["topic"])
            for who in EVERYBODY:
                writes = who in map(named, body["writers"]) or "everybody" in body["writers"]
                reads = who in map(named, body["readers"]) or "everybody" in body["readers"]
                if writes:
                    yield who, "topic", topic, "write"
                    if "transactional_id" in body:
                        for number in range(PARTITIONS):
                            yield who, "id", body["transactional_id"].replace("{partition}", str(number)), "write"
                if reads:
                    yield who, "topic", topic, "read"
                    if "group" in body:
                        group = named(body["group"]).replace("{reader}", who)
                        yield who, "group", group, "read"
                        for one in (who, *body.get("watchers", ())):
                            yield one, "group", group, "see"
                if writes or reads or who in body.get("watchers", ()):
                    yield who, "topic", topic, "ask"


def batch() -> bytes:
    """A batch of one record."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 4096)
    builder.append(0, None, None, b"x", [])
    return bytes(builder.build())


async def found(bus: Closed, who: str, topics: list[str]) -> set[Right]:
    """Return every right that the broker grants *who*, found by use."""
    record, rights = batch(), set[Right]()

    def note(kind: str, name: str, operation: str, code: int) -> None:
        if code not in (TOPIC, GROUP, CLUSTER, TRANSACTIONAL_ID):
            rights.add((who, kind, name, operation))

    async with speaking(bus.reach(who)) as send:
        answer = await send(ProduceRequest(None, -1, 5_000, [(topic, [(0, record)]) for topic in topics]))
        for topic, partitions in answer.topics:
            note("topic", topic, "write", partitions[0][1])
        answer = await send(FetchRequest(0, 0, 1 << 20, 1, [(topic, [(0, 0, 1 << 16)]) for topic in topics]))
        for topic, partitions in answer.topics:
            note("topic", topic, "read", partitions[0][1])
        answer = await send(OffsetRequest(-1, 0, [(topic, [(0, -1)]) for topic in topics]))
        for topic, partitions in answer.topics:
            note("topic", topic, "ask", partitions[0][1])
        for group in GROUPS:
            answer = await send(OffsetCommitRequest(group, -1, "", -1, [("nrm.directory", [(0, 0, "")])]))
            note("group", group, "read", answer.topics[0][1][0][1])
            note("group", group, "see", (await send(FindCoordinatorRequest(group, 0))).error_code)
        for name in IDS:
            note("id", name, "write", (await send(InitProducerIdRequest(name, 5_000))).error_code)
    return rights


async def test_everybody_may_do_what_is_declared_and_nothing_else(closed_bus: Closed) -> None:
    """Each principal tries to write, read and ask after every topic, to read in every group, to take every transactional id."""
    known = clients.admin(closed_bus.folder.as_operator).list_topics(timeout=PATIENCE).topics
    topics = sorted({*(name for name in known if not name.startswith("__")), "nrm.outbox.nobody", "__consumer_offsets"})

    tried = await asyncio.gather(*(found(closed_bus, who, topics) for who in EVERYBODY))

    # Other tests may have admitted others to this bus, whose topics are tried as well.
    owners = {name.removeprefix("nrm.outbox.") for name in known if name.startswith("nrm.outbox.")}
    assert owners >= set(EVERYBODY)
    assert set().union(*tried) == set(declared(owners))
    assert len(topics) > 20


def denied(call: Any) -> bool:
    """Return whether the broker refuses *call* for lack of a right."""
    try:
        for future in call.values() if isinstance(call, dict) else [call]:
            future.result(10)
    except KafkaException as error:
        name = error.args[0].name()
        assert name.endswith("_AUTHORIZATION_FAILED"), name
        return True
    return False


@pytest.mark.parametrize("who", EVERYBODY)
def test_nobody_but_the_operator_administers(closed_bus: Closed, who: str) -> None:
    """No topic is made, emptied, altered or deleted, no setting read, no right looked at or given, by anybody else."""
    admin, own = clients.admin(closed_bus.reach(who)), f"nrm.outbox.{who}"
    longer = ConfigEntry("retention.ms", "-1", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, own, incremental_configs=[longer])
    everything: Any = (
        ResourceType.ANY,
        None,
        ResourcePatternType.ANY,
        None,
        None,
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    more = (ResourceType.TOPIC, "nrm.cases", ResourcePatternType.LITERAL, f"User:{who}.1", "*")
    right = AclBinding(*more, AclOperation.ALL, AclPermissionType.ALLOW)

    assert denied(admin.create_topics([NewTopic("nrm.new", 1, 1)]))
    assert denied(admin.create_partitions([NewPartitions(own, 9)]))
    assert denied(admin.delete_topics([own]))
    assert denied(admin.describe_configs([resource]))
    assert denied(admin.incremental_alter_configs([resource]))
    # This client tells a refusal to list the rules as an empty list.
    assert admin.describe_acls(AclBindingFilter(*everything)).result(10) == []
    assert denied(admin.create_acls([right]))
    assert denied(admin.delete_acls([AclBindingFilter(*everything)]))
    assert denied(admin.delete_consumer_groups(["another"]))
