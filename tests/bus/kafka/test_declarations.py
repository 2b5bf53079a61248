"""Topic files are read strictly: a word that is not understood is an error with its line."""

from pathlib import Path

import pytest

from nrmbus.bus.errors import DeclarationError
from nrmbus.bus.kafka.declarations import load_declarations

GOOD = """\
topic: nrm.outbox.{agency}
description: What an agency says.
writers: ["{agency}"]
readers: [registrar]
key: case
partitions: P
retention: 7 days
dead_letter: nrm.quarantine
config:
  cleanup.policy: delete
  segment.ms: 86400000
"""

DAY = 86_400_000


def test_a_good_file_is_read_as_written(tmp_path: Path) -> None:
    """One declaration stands for a topic of each agency."""
    (tmp_path / "outbox.yaml").write_text(GOOD)

    (found,) = load_declarations(tmp_path)

    assert found.of_each_agency
    assert found.names(["ngo-a", "police"]) == ("nrm.outbox.ngo-a", "nrm.outbox.police")
    assert found.settings() == {
        "cleanup.policy": "delete",
        "segment.ms": str(DAY),
        "retention.ms": str(7 * DAY),
        "retention.bytes": "-1",
        "unclean.leader.election.enable": "false",
    }
    assert (found.partitions, found.buses, found.writers) == ("P", "every", ("{agency}",))


@pytest.mark.parametrize(
    ("right", "wrong", "line", "says"),
    [
        ("retention:", "retension:", 7, "retension is no key of a topic file"),
        ("  segment.ms:", "  segment.mss:", 11, "segment.mss is no setting"),
        ("key: case", "key: cases", 5, "key is one of case, agency, none"),
        ("key: case", "key: case\nkey: none", 6, "key stands here twice"),
        ("partitions: P", "partitions: 0", 6, "partitions is a number, or P"),
        ("partitions: P", "partitions: many", 6, "partitions is a number, or P"),
        ("retention: 7 days", "retention: 7", 7, "retention is forever, or like 30 days"),
        ("retention: 7 days", "retention: 0 days", 7, "retention is forever, or like 30 days"),
        ("topic: nrm.outbox.{agency}", "topic: outbox", 1, "topic is nrm.NAME"),
        ("topic: nrm.outbox.{agency}", "topic: nrm.outbox.{agancy}", 1, "topic is nrm.NAME"),
        ("readers: [registrar]", "readers: registrar", 4, "readers is a list of services"),
        ("readers: [registrar]", "readers: []", 4, "readers is a list of services"),
        ("readers: [registrar]", "readers: [The Registrar]", 4, "readers names services"),
        ("description: What an agency says.", "description:", 2, "one word or number is due here"),
        ("description: What an agency says.", "description: [a]", 2, "description is one word, number or sentence"),
        ("key: case\n", "", 1, "the key key is missing"),
        ("config:\n  cleanup.policy: delete\n  segment.ms: 86400000\n", "config: none\n", 9, "a mapping"),
        ("partitions: P", "partitions: P\nbuses: some", 7, "buses is one of every, play"),
        ("key: case", "key: [case", 6, "this is not YAML"),
    ],
)
def test_a_misspelt_word_fails_and_names_its_line(tmp_path: Path, right: str, wrong: str, line: int, says: str) -> None:
    """Sabotage: nothing is guessed, nothing left out unseen."""
    assert right in GOOD
    (tmp_path / "outbox.yaml").write_text(GOOD.replace(right, wrong, 1))

    with pytest.raises(DeclarationError) as error:
        load_declarations(tmp_path)

    assert str(error.value).startswith(f"outbox.yaml, line {line}: {says}")


def test_a_folder_without_files_is_a_mistake(tmp_path: Path) -> None:
    """An empty list of topics would make `check` show everything as unknown."""
    with pytest.raises(DeclarationError, match="--topics DIR"):
        load_declarations(tmp_path)


def test_the_projects_own_files_are_the_wires() -> None:
    """The topics, with retention and limits, are those that ``deploy/topics/README.md`` tells."""
    found = {each.topic: each for each in load_declarations()}

    assert sorted(found) == [
        "nrm.answers",
        "nrm.cases",
        "nrm.checkpoints",
        "nrm.clock",
        "nrm.directory",
        "nrm.inbox.{agency}",
        "nrm.outbox.{agency}",
        "nrm.quarantine",
        "nrm.requests.{agency}",
        "nrm.witness.{agency}",
    ]
    outbox, inbox = found["nrm.outbox.{agency}"], found["nrm.inbox.{agency}"]
    assert (outbox.retention_ms, inbox.retention_ms) == (7 * DAY, 30 * DAY)
    assert outbox.config["compression.type"] == "uncompressed"
    assert outbox.config["max.message.bytes"] == str(384 * 1024)
    for each in (outbox, inbox):
        assert each.config["segment.ms"] == str(DAY)
        assert each.config["message.timestamp.type"] == "LogAppendTime"
    assert (outbox.writers, outbox.readers) == (("{agency}",), ("registrar",))
    assert (inbox.writers, inbox.readers) == (("registrar",), ("{agency}",))
    assert all(found[name].retention_ms == -1 for name in ("nrm.cases", "nrm.directory", "nrm.checkpoints"))
    assert all(each.config["cleanup.policy"] == "delete" for each in found.values())
    assert all("max.message.bytes" in each.config for each in found.values()), "a cluster may take less by default"


def test_topics_of_a_case_have_the_same_partitions() -> None:
    """A case's records lie on one partition number everywhere, so one owner sees them all."""
    for each in load_declarations():
        assert (each.partitions == "P") == (each.key == "case"), each.topic


def test_only_a_bus_for_playing_has_a_clock() -> None:
    """No other topic depends on the kind of bus."""
    assert [each.topic for each in load_declarations() if each.buses == "play"] == ["nrm.clock"]


def test_every_dead_letter_topic_is_declared() -> None:
    """The dead letter topic of every topic exists."""
    found = load_declarations()
    assert {each.dead_letter for each in found} - {"none"} <= {each.topic for each in found}
