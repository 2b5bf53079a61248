"""The doctor looks at the topics, rights and quotas of the broker: nobody alters them for long without being noticed."""

import asyncio
import json
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from brokers import Broker
from nrmbus.bus.folder import BusFolder
from nrmbus.bus.kafka import topics
from nrmbus.cli.app import app
from nrmbus.cli.operate.topic_faults import of_topics
from nrmbus.directory.admission import admit

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@pytest.mark.broker
def test_a_topic_that_somebody_altered_is_found(broker: Broker) -> None:
    """P1: given a history that somebody had compacted since the last start, then the doctor finds it, and before that nothing."""
    folder = broker.fresh_bus()
    asyncio.run(admit(folder, {}, NOW))
    assert {"topics", "rights", "topics_unknown"}.isdisjoint(found_on(folder))

    topics.override(folder.as_operator, ["nrm.cases"], "cleanup.policy", "compact")

    assert found_on(folder)["topics"] == (
        "Topics are not as declared: nrm.cases has cleanup.policy=compact, not delete: nrmbus topics apply."
    )


def test_rights_that_somebody_altered_are_found() -> None:
    """Given quotas that are not the declared ones, then the first is named and the others are counted."""
    (found,) = of_topics((), ["ngo-a.1 has another quota", "<default> has another quota"])

    assert (found.code, found.serious) == ("rights", True)
    assert found.what == "Access rules or quotas are not as declared: ngo-a.1 has another quota (1 more)."


def test_partitions_that_nobody_uses_are_no_fault() -> None:
    """Given more partitions than declared, which Kafka cannot take away, then the doctor notes them, and its exit status stays 0."""
    (found,) = of_topics([topics.Drift("nrm.inbox.ngo-a", "partitions", None, "1", "2")], ())

    assert (found.code, found.serious) == ("partitions", False)
    assert "nrm.inbox.ngo-a has 2 partitions, not 1: nobody uses the others" in found.what


def test_p1_cases_that_an_earlier_desk_sends_to_an_added_partition_are_named() -> None:
    """Given an inbox and an outbox with more partitions than declared, then the doctor says of the outbox, in a note of its own, that a desk of an earlier release gets no answer until it is upgraded."""
    enlarged = [topics.Drift(f"nrm.{box}.ngo-a", "partitions", None, "1", "2") for box in ("inbox", "outbox")]

    found = [each for each in of_topics(enlarged, ()) if "nrm.outbox.ngo-a has 2 partitions, not 1" in each.what]

    assert len(found) == 1
    assert "a desk of an earlier release gets no answer" in found[0].what
    assert "until it is upgraded" in found[0].what
    assert "nobody uses" not in str(found[0])
    assert "Nothing is lost" not in str(found[0])


def found_on(folder: BusFolder) -> dict[str, str]:
    """Return what the doctor finds on a bus, by code."""
    shown = CliRunner().invoke(app, ["doctor", "--json", "--data", str(folder.path)])
    return {each["code"]: each["what"] for each in json.loads(shown.output)["findings"]}
