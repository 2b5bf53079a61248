"""Who may do what at the broker, written a second time from the words of ``deploy/topics/README.md``, and what else is tried.

Nothing here reads the topic files or the code that derives rights from them: a slip in either shows.
"""

from typing import Any, Final

import pytest
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from bus.closed import AGENCIES, EVERYBODY, PARTITIONS, SERVICES, Closed
from bus.raw_requests import CLUSTER as CLUSTER_CODE
from bus.raw_requests import ENVELOPE, REQUESTS, Request, answer, by_id
from bus.raw_requests import TOPIC as TOPIC_CODE
from nrmbus.bus.kafka import clients
from nrmbus.bus.pki.authority import OF_THE_OPERATOR
from nrmbus.bus.pki.certificate import now
from patience import PATIENCE, until

pytestmark = pytest.mark.broker

HISTORY: Final = {"registrar", "timekeeper", "auditor", "statistics"}
OTHERS: Final = tuple(who for who in EVERYBODY if who not in ("registrar", "police"))
"""Members without rights to topics of the registrar or the police."""


SEEING: Final = {
    "read a group's place", "look at a group", "read a sharing group's place", "look at a sharing group",
}  # fmt: skip
"""Requests that the right to see a group opens, and that read no record."""


def allowed() -> set[tuple[str, str, str, str]]:
    """Rows of holder, kind, name and operation, one line for each sentence of the README."""
    found = {("registrar", "topic", "nrm.cases", "write"), ("registrar", "topic", "nrm.quarantine", "write")}
    found |= {("auditor", "topic", "nrm.checkpoints", "write"), ("registrar", "group", "nrm-registrar", "read")}
    found |= {("registrar", "transactional_id", f"nrm-registrar-p{number}", "write") for number in range(PARTITIONS)}
    found |= {("auditor", "transactional_id", f"nrm-auditor-p{number}", "write") for number in range(PARTITIONS)}
    found |= {(who, "topic", "nrm.cases", "read") for who in HISTORY}
    found |= {(who, "group", f"{who}.turn", "read") for who in HISTORY}
    for who in EVERYBODY:
        found |= {
            (who, "topic", topic, "read") for topic in ("nrm.checkpoints", "nrm.clock", "nrm.directory")
        }  # this bus is for playing
        found |= {(who, "topic", f"nrm.requests.{who}", "write"), (who, "topic", "nrm.answers", "read")}
        found |= {(who, "topic", f"nrm.outbox.{who}", "write"), ("registrar", "topic", f"nrm.outbox.{who}", "read")}
        found |= {(who, "topic", f"nrm.inbox.{who}", "read"), ("registrar", "topic", f"nrm.inbox.{who}", "write")}
        found |= {(who, "topic", f"nrm.witness.{who}", each) for each in ("read", "write")}
        found |= {("auditor", "topic", f"nrm.witness.{who}", "read"), (who, "group", f"{who}.desk", "read")}
        found |= {("timekeeper", "group", f"{who}.desk", "describe")}
        found |= {("timekeeper", "topic", f"nrm.inbox.{who}", "describe")}
    return found


def principal(bus: Closed, who: str) -> tuple[str, ...]:
    """The names under which the broker knows *who*."""
    return bus.authority.standing(now())[who]


def _is_of_others(name: str) -> bool:
    """Return whether *name* is that of a topic, or of the desk's group, of an agency that another test has admitted."""
    first, *rest = name.split(".")
    return (len(rest) == 2 and rest[1] not in EVERYBODY) or (rest == ["desk"] and first not in EVERYBODY)


def test_the_brokers_rules_are_those_words_and_no_others(closed_bus: Closed) -> None:
    """Literal names, from anywhere, to read and to write, and to see whether a desk is connected; no prefix, no wildcard, nothing of the cluster, for none of them."""
    names = {one: who for who in EVERYBODY for one in principal(closed_bus, who)}
    anything: Any = None
    every = AclBindingFilter(
        ResourceType.ANY, anything, ResourcePatternType.ANY, anything, anything, AclOperation.ANY, AclPermissionType.ANY
    )
    operator = clients.admin(closed_bus.folder.as_operator)

    def told() -> tuple[list[AclBinding], list[AclBinding], set[tuple[str, str, str, str]]]:
        rules = operator.describe_acls(every).result(PATIENCE)
        ours = [rule for rule in rules if rule.principal.removeprefix("User:") in names]
        words = {
            (
                names[rule.principal.removeprefix("User:")],
                rule.restype.name.lower(),
                rule.name,
                rule.operation.name.lower(),
            )
            for rule in ours
        }
        return rules, ours, words

    # The broker acknowledges a rule before its own authorizer has it.
    until("every rule is there", lambda: told()[2] >= allowed())
    rules, ours, found = told()

    assert {rule.resource_pattern_type for rule in ours} == {ResourcePatternType.LITERAL}
    assert {rule.permission_type for rule in ours} == {AclPermissionType.ALLOW}
    # The services have a share in whatever other tests have admitted to this bus.
    of_others = {each for each in found if _is_of_others(each[2])}
    assert found - of_others == allowed()
    assert {who for who, _, _, _ in of_others} <= {"registrar", "auditor", "timekeeper"}
    assert not {each[2].rpartition(".")[2] for each in of_others} & OF_THE_OPERATOR, "no topic is theirs"
    assert not [rule for rule in rules if rule.principal.removeprefix("User:") in OF_THE_OPERATOR]
    assert not [rule for rule in rules if rule.principal == "User:*"], "a rule for everybody, strangers included"


@pytest.mark.parametrize("who", EVERYBODY)
def test_the_broker_reports_the_same_rights(closed_bus: Closed, who: str) -> None:
    """Return the operations that the broker grants *who* on each topic, the cluster and each group; hidden topics are left out."""
    own = clients.admin(closed_bus.reach(who))
    of_topics = {(name, operation) for one, kind, name, operation in allowed() if (one, kind) == (who, "topic")}
    topics = sorted(
        {name for _, kind, name, _ in allowed() if kind == "topic"} | {"nrm.quarantine", "__consumer_offsets"}
    )
    found: set[tuple[str, str]] = set()
    for name, told in own.describe_topics(TopicCollection(topics), include_authorized_operations=True).items():
        try:
            found |= {(name, operation.name.lower()) for operation in told.result(10).authorized_operations}
        except KafkaException as error:
            assert error.args[0].name() == "TOPIC_AUTHORIZATION_FAILED"  # noqa: PT017 - each topic has its own answer
    listed = {
        name for name in own.list_topics(timeout=PATIENCE).topics if name.endswith(EVERYBODY) or name.count(".") == 1
    }

    assert {each for each in found if each[1] != "describe"} == {each for each in of_topics if each[1] != "describe"}
    assert {name for name, operation in found if operation == "describe"} == {name for name, _ in of_topics} == listed
    assert not own.describe_cluster(include_authorized_operations=True).result(10).authorized_operations


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.what)
def test_requests_that_no_client_of_ours_makes_are_refused_as_well(closed_bus: Closed, request_: Request) -> None:
    """Agencies and services with good certificates, by hand: other groups, the registrar's transactions, the broker itself."""
    for who in OTHERS if request_.refused != CLUSTER_CODE else EVERYBODY:
        if request_.refused == TOPIC_CODE and who in HISTORY and b"nrm.cases" in request_.body:
            continue  # these read the history
        if who == "timekeeper" and request_.what in SEEING:
            continue  # it sees whether a desk is connected
        told = answer(closed_bus.reach(who), request_)
        assert request_.refused.to_bytes(2) in told, (who, told.hex())
    if request_.entitled:
        where = (
            closed_bus.folder.as_operator if request_.entitled == "operator" else closed_bus.reach(request_.entitled)
        )
        served = answer(where, request_)
        assert served, "who may ask is answered, so that the refusal of the others says something"
        assert request_.refused.to_bytes(2) not in served


def test_a_topic_is_as_closed_by_its_number_as_by_its_name(closed_bus: Closed) -> None:
    """Kafka's newer requests to read name a topic by an id, which is no secret: it opens nothing."""
    operator = clients.admin(closed_bus.folder.as_operator)
    topics = ("nrm.cases", "nrm.inbox.police", "nrm.inbox.ngo-a")
    told = operator.describe_topics(TopicCollection([*topics]))
    numbers = {name: told[name].result(10).topic_id for name in topics}

    codes = {
        name: answer(closed_bus.reach("ngo-a"), by_id(id.get_most_significant_bits(), id.get_least_significant_bits()))
        for name, id in numbers.items()
    }

    assert {name: TOPIC_CODE.to_bytes(2) in code for name, code in codes.items()} == {
        "nrm.cases": True,
        "nrm.inbox.police": True,
        "nrm.inbox.ngo-a": False,
    }


def test_nobody_speaks_in_anothers_name(closed_bus: Closed) -> None:
    """Neither at the port of clients nor at that of brokers: a request wrapped with another's name is not taken."""
    _, controller = closed_bus.kafka.nodes[0].ports
    for who in (AGENCIES[0], SERVICES[0]):
        assert answer(closed_bus.reach(who), ENVELOPE) == b""
        told = answer(closed_bus.reach(who), ENVELOPE, controller)
        assert told == b"" or CLUSTER_CODE.to_bytes(2) in told, told.hex()
