"""Kafka's jars: a pinned list, fetched once, checked byte for byte."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from nrmbus.bus.embedded import jars
from nrmbus.bus.embedded.jars import Jar
from nrmbus.bus.errors import JarAltered, KafkaFailed

CONTENTS = {f"com.example:part-{number}:1.0": f"jar {number}".encode() for number in range(20)}


def no_progress(_what: str, _done: int, _total: int) -> None:
    """For who does not look."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, for a list of twenty small jars."""
    pins = [Jar(name, len(raw), hashlib.sha256(raw).hexdigest()) for name, raw in CONTENTS.items()]
    monkeypatch.setattr(jars, "pinned", lambda: tuple(pins))
    return tmp_path / "cache"


class Registry:
    """Stands for the Maven registry: has the twenty jars, or says what it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fault: Exception | bytes | None = None) -> None:
        self.asked: list[str] = []
        self._fault = fault
        monkeypatch.setattr(jars, "_maven", self._at)

    def _at(self, repository: Path) -> Any:
        registry = self

        class Part:
            def __init__(self, *names: str) -> None:
                self._names = names

            def project(self, group: str, artifact: str) -> "Part":
                return Part(group, artifact)

            def at_version(self, version: str) -> "Part":
                return Part(*self._names, version)

            def artifact(self) -> "Part":
                return self

            def resolve(self) -> Path:
                return registry.give(repository, ":".join(self._names))

        return Part()

    def give(self, repository: Path, coordinate: str) -> Path:
        """One jar, written below *repository* as Maven's clients do."""
        self.asked.append(coordinate)
        if isinstance(self._fault, Exception):
            raise self._fault
        path = repository / coordinate.replace(":", "/") / "some.jar"
        path.parent.mkdir(parents=True)
        path.write_bytes(self._fault or CONTENTS[coordinate])
        return path


def laid(home: Path) -> Path:
    """The cache with all twenty jars."""
    home.mkdir()
    for jar in jars.pinned():
        (home / jar.name).write_bytes(CONTENTS[jar.coordinate])
    return home


def test_the_list_is_whole_and_names_no_host() -> None:
    """Ninety-one jars of one Kafka version; any mirror serves them, so none is named."""
    found = jars.pinned()

    assert len(found) == len({jar.name for jar in found}) == 92
    assert {jar.coordinate.split(":")[1] for jar in found} >= {"kafka_2.13", "kafka-tools", "kafka-clients"}
    for jar in found:
        assert re.fullmatch(r"[0-9a-f]{64}", jar.sha256)
        assert jar.size > 0
        assert "/" not in jar.coordinate
        if jar.coordinate.startswith("org.apache.kafka:"):
            assert jar.coordinate.endswith(f":{jars.KAFKA}")
    assert [jar.coordinate for jar in found] == sorted(jar.coordinate for jar in found)


def test_missing_jars_are_fetched_and_reported(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it, with a progress that ends at the whole, and nothing else left in the cache."""
    registry = Registry(monkeypatch)
    told: list[tuple[str, int, int]] = []

    jars.fetch(home, lambda *step: told.append(step))

    assert sorted(registry.asked) == sorted(CONTENTS)
    total = sum(map(len, CONTENTS.values()))
    assert told[0] == ("Fetching Kafka", 0, total)
    assert told[-1] == ("Fetching Kafka", total, total)
    assert {each.name for each in home.iterdir()} == {jar.name for jar in jars.pinned()} | {".lock"}
    assert jars.class_path(home).count(".jar") == 20


def test_a_second_time_asks_no_network(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing is missing, no client is even made."""
    laid(home)
    registry = Registry(monkeypatch, ConnectionError("no network"))

    jars.fetch(home, no_progress)

    assert registry.asked == []


def test_one_jar_that_was_removed_is_fetched_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the sentence about an altered jar says: remove it, and start again."""
    laid(home)
    (home / "part-7-1.0.jar").unlink()
    registry = Registry(monkeypatch)

    jars.fetch(home, no_progress)

    assert registry.asked == ["com.example:part-7:1.0"]
    jars.class_path(home)


def test_a_jar_that_is_fetched_again_has_the_same_time(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive of classes holds it: another time would make the start slow again."""
    Registry(monkeypatch)
    jars.fetch(home, no_progress)

    assert {(home / jar.name).stat().st_mtime for jar in jars.pinned()} == {0.0}


def test_an_altered_jar_is_refused(home: Path) -> None:
    """One flipped bit is enough, with the same size and time; the sentence names the jar and the command that mends it."""
    laid(home)
    path = home / "part-7-1.0.jar"
    path.write_bytes(b"jaR 7")

    with pytest.raises(JarAltered, match=rf"part-7-1\.0\.jar is not, byte for byte, the pinned one: rm '{path}'"):
        jars.class_path(home)


def test_a_missing_jar_is_reported(home: Path) -> None:
    """With the command that brings it."""
    laid(home)
    (home / "part-7-1.0.jar").unlink()

    with pytest.raises(KafkaFailed, match="is missing: run nrmbus up again"):
        jars.class_path(home)


def test_a_fetched_jar_is_checked_before_it_is_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry, or a proxy, that gives other bytes: refused, and none of it stays."""
    Registry(monkeypatch, b"something else")

    with pytest.raises(JarAltered, match=r"What was fetched as Kafka's jar part-\d+-1\.0\.jar is not the pinned one"):
        jars.fetch(home, no_progress)
    assert [each.name for each in home.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("fault", "mend"),
    [
        (OSError(28, "No space left on device"), "The disk is full .* df -h"),
        (ConnectionError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"), "REQUESTS_CA_BUNDLE=/path/ca.pem nrmbus up"),
        (ConnectionError("Name or service not known"), "check the network .* HTTPS_PROXY"),
        (RuntimeError("Artifact not found in remote repositories"), "check the network"),
    ],
)
def test_each_failure_of_a_fetch_is_one_sentence(
    home: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception, mend: str
) -> None:
    """Never a traceback: the cause, and the command that mends it."""
    Registry(monkeypatch, fault)

    with pytest.raises(KafkaFailed, match=mend):
        jars.fetch(home, no_progress)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test of this module reaches a registry."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
