"""Resources for Strimzi: each fits the schema of its kind, and they open nothing that the bus's own Kafka keeps closed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types

from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka.declarations import load_declarations
from nrmbus.bus.kafka.strimzi import PRINCIPALS, resources

SCHEMAS = Path(__file__).parent / "strimzi"
"""Reduced from the custom resource definitions of Strimzi 1.3.0-SNAPSHOT, 8541da1 (Apache-2.0): the parts in use, without texts."""


@pytest.fixture
def made(tmp_path: Path) -> list[dict[str, Any]]:
    """Return the resources for a bus with two partitions."""
    folder = BusFolder(tmp_path)
    folder.create(bootstrap="kafka.example.org:9094", tls=True, partitions=2)
    return resources(folder.settings, b"PEM", load_declarations(), "example")


def test_each_resource_fits_its_schema(made: list[dict[str, Any]]) -> None:
    """Given the resources, then no field is unknown and none is missing."""
    kinds = set()
    for each in made:
        file = SCHEMAS / f"{each['kind']}.json"
        if file.exists():
            kinds.add(each["kind"])
            assert [
                error.message for error in Draft202012Validator(json.loads(file.read_text())).iter_errors(each)
            ] == []
    assert kinds == {"Kafka", "KafkaNodePool", "KafkaTopic"}


def test_the_schemas_see_a_wrong_field(made: list[dict[str, Any]]) -> None:
    """Sabotage: a listener with a field of an older version is named."""
    (kafka,) = (each for each in made if each["kind"] == "Kafka")
    kafka["spec"]["kafka"]["listeners"][0]["authentication"]["secrets"] = []
    schema = json.loads((SCHEMAS / "Kafka.json").read_text())
    assert any("secrets" in error.message for error in Draft202012Validator(schema).iter_errors(kafka))


def test_only_the_operator_is_a_super_user_and_the_listener_trusts_the_bus_alone(made: list[dict[str, Any]]) -> None:
    """Given the Kafka resource, then a certificate is required, its names are mapped without a default, and nobody else is a super user."""
    (kafka,) = (each["spec"]["kafka"] for each in made if each["kind"] == "Kafka")
    ((listener,), config) = kafka["listeners"], kafka["listeners"][0]["authentication"]["listenerConfig"]
    assert listener["tls"]
    assert config["ssl.client.auth"] == "required"
    assert "DEFAULT" not in config["ssl.principal.mapping.rules"]
    assert not any(key.startswith("ssl.keystore.") for key in config), "Strimzi sets these"
    assert kafka["authorization"] == {"type": "simple", "superUsers": ["operator"]}
    mount = kafka["template"]["kafkaContainer"]["volumeMounts"][0]["mountPath"]
    assert config["ssl.truststore.location"] == f"{mount}/ca.pem"
    assert (kafka["config"]["default.replication.factor"], kafka["config"]["min.insync.replicas"]) == (3, 2)


def test_strimzis_operators_leave_topics_and_rights_alone(made: list[dict[str, Any]]) -> None:
    """Given topics and principals of the bus, then the Topic Operator manages none of them, and the User Operator ignores all."""
    topics = [each for each in made if each["kind"] == "KafkaTopic"]
    assert {"nrm.cases", "nrm.directory", "nrm.checkpoints"} <= {each["metadata"]["name"] for each in topics}
    assert {each["metadata"]["annotations"]["strimzi.io/managed"] for each in topics} == {"false"}
    assert next(each for each in topics if each["metadata"]["name"] == "nrm.cases")["spec"]["partitions"] == 2
    for ours in ("ngo-a.1", "registrar.12", "operator"):
        assert re.search(PRINCIPALS, ours)
    assert not re.search(PRINCIPALS, "CN=some-user")
