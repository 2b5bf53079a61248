"""``nrmbus up`` and ``nrmbus run broker``: a refused start changes nothing, and a broker that has ended is noticed."""

import os
from contextlib import closing
from pathlib import Path
from typing import IO

import pytest
import typer
from typer.testing import CliRunner

from nrmbus.bus.embedded.node import Node
from nrmbus.bus.errors import FolderHeld, KafkaFailed
from nrmbus.bus.folder import BusFolder, Listening
from nrmbus.cli.operate import up

KEPT = ("listen.json", "canary.json", "audited-elsewhere")


def kept(folder: BusFolder) -> dict[str, bytes | None]:
    """Return the bytes of each file that ``nrmbus up`` writes by its options, or None if it is not there."""
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


class Ending(Node):
    """Broker that runs when the watch begins, and whose process ends when the test closes a pipe."""

    runs = True

    def __init__(self, number: int, count: int) -> None:
        super().__init__(number, count)
        read, write = os.pipe()
        self.lifeline, self._pipe = os.fdopen(write, "wb"), os.fdopen(read, "rb")

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
