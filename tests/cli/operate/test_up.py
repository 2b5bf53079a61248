"""``nrmbus up`` and ``nrmbus run broker``: a refused start changes nothing, and a broker that has ended is noticed."""

import os
from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO

import pytest
import typer
from typer.testing import CliRunner

from nrmbus.bus.embedded.node import Node
from nrmbus.bus.errors import BusError, FolderHeld, KafkaFailed
from nrmbus.bus.folder import BusFolder, Listening
from nrmbus.cli.operate import up
from nrmbus.environment import KEY_FILE

KEPT = ("listen.json", "canary.json", "audited-elsewhere")


def kept(folder: BusFolder) -> dict[str, bytes | None]:
    """Return the bytes of each file that ``nrmbus up`` writes by its options, or None if the file is missing."""
    paths = {name: folder.path / name for name in KEPT}
    return {name: path.read_bytes() if path.exists() else None for name, path in paths.items()}


def test_a_refused_start_changes_nothing_of_the_bus_that_runs(tmp_path: Path) -> None:
    """Given a bus that another process runs, when a second start asks for other addresses, then it is refused and no file has changed."""
    folder = BusFolder(tmp_path)
    folder.create()
    folder.listen(Listening(("bus.example.org:9093",)))
    folder.send_canary(None)
    before = kept(folder)
    asked = ["--listen", "other.example.org:9555", "--forwarded", "--canary", "0", "--without-auditor"]
    with folder.held():
        done = CliRunner().invoke(up.app, [*asked, "--keys-unprotected", "--no-fork", "--data", str(tmp_path)])

    assert isinstance(done.exception, FolderHeld)
    assert kept(folder) == before


NEW = ("--play", "--partitions", "3")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("--partitions", "3"), "Nothing protects the private keys"),
        ((*NEW, "--agencies", "AGENCIES"), "has no such role"),
        ((*NEW, "--canary", "5"), "makes no test hand-overs"),
    ],
    ids=["raw keys", "a mistake in the agencies", "a canary beside stories"],
)
def test_a_refused_first_start_fixes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, ...], message: str
) -> None:
    """Given a first start that is refused, then no bus was made, so that the next start may ask for other partitions, Rules or kind."""
    monkeypatch.delenv(KEY_FILE.name, raising=False)
    folder, agencies = BusFolder(tmp_path / "bus"), tmp_path / "agencies.yaml"
    agencies.write_text("ngo-a: {role: no_role}\n")
    options = [str(agencies) if each == "AGENCIES" else each for each in asked]
    done = CliRunner().invoke(up.app, [*options, "--no-fork", "--data", str(folder.path)])

    assert isinstance(done.exception, BusError)
    assert message in str(done.exception)
    assert not folder.exists


class Ending(Node):
    """Broker whose process ends when the test closes a pipe, or ended before the watch begins."""

    def __init__(self, number: int, count: int, *, runs: bool = True) -> None:
        super().__init__(number, count)
        self._runs = runs
        read, write = os.pipe()
        self.lifeline, self._pipe = os.fdopen(write, "wb"), os.fdopen(read, "rb")

    @property
    def runs(self) -> bool:
        """Return whether the broker runs when the watch begins."""
        return self._runs

    @property
    def ended(self) -> IO[bytes]:
        """The pipe that reads as ended."""
        return self._pipe

    def close(self) -> None:
        """Close both ends."""
        self.lifeline.close()
        self._pipe.close()


def test_a_single_broker_that_ended_ends_the_command(tmp_path: Path) -> None:
    """Given one broker, when its process ends, then the error names the log."""
    with closing(Ending(1, 1)) as node:
        node.lifeline.close()
        with pytest.raises(KafkaFailed, match=f"read {tmp_path}/broker.log"):
            up.watch([node], tmp_path)


def test_of_three_brokers_one_may_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given three brokers, when one ends, then a sentence says so and the others go on; without a second one nothing goes on."""
    said: list[str] = []
    with closing(Ending(1, 3)) as first, closing(Ending(2, 3)) as second, closing(Ending(3, 3)) as third:

        def noted(sentence: str) -> None:
            said.append(sentence)
            third.lifeline.close()

        monkeypatch.setattr(typer, "echo", noted)
        first.lifeline.close()
        with pytest.raises(KafkaFailed, match=r"broker\.3 has ended"):
            up.watch([first, second, third], tmp_path)

    (sentence,) = said
    assert sentence.startswith("Kafka's process broker.1 has ended")


@pytest.mark.parametrize(("count", "ended"), [(1, ["broker"]), (3, ["broker.1", "broker.3"])])
def test_brokers_that_ended_before_the_watch_end_the_command(tmp_path: Path, count: int, ended: list[str]) -> None:
    """Given a Kafka of which too many brokers ended while the others were started, then the error names the log of each."""
    with ExitStack() as closed:
        nodes = [closed.enter_context(closing(Ending(each, count, runs=each == 2))) for each in range(1, count + 1)]
        for each in nodes:  # a watch that went on would end with the other broker
            each.lifeline.close()
        with pytest.raises(KafkaFailed) as failed:
            up.watch(nodes, tmp_path)

    assert str(failed.value) == ". ".join(f"Kafka's process {e} has ended: read {tmp_path / e}.log" for e in ended)


def test_a_broker_that_ended_before_the_watch_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a broker that ended while the others were started, then a sentence says so, as for a later end."""
    said: list[str] = []
    with (
        closing(Ending(1, 3, runs=False)) as first,
        closing(Ending(2, 3)) as second,
        closing(Ending(3, 3)) as third,
    ):
        monkeypatch.setattr(typer, "echo", said.append)
        third.lifeline.close()
        with pytest.raises(KafkaFailed, match=r"broker\.3 has ended"):
            up.watch([first, second, third], tmp_path)

    assert said == [f"Kafka's process broker.1 has ended: read {tmp_path}/broker.1.log. The others go on."]
