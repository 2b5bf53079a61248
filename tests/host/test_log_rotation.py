"""Logs of services are bounded: the oldest lines go, the writer goes on, nobody else may read them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.tree import ROOT
from nrmbus.host import log_rotation


@pytest.fixture(name="writer")
def _writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Yield the descriptor of a service that appends to its log."""
    monkeypatch.setattr(log_rotation, "FULL", 10)
    descriptor = os.open(tmp_path / "vac.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    yield descriptor
    os.close(descriptor)


def test_a_full_log_begins_again_and_the_one_before_goes(tmp_path: Path, writer: int) -> None:
    """Each service keeps at most two logs; older lines are gone."""
    for line in (b"the oldest\n", b"the middle\n", b"the newest\n"):
        os.write(writer, line)
        log_rotation.bound(tmp_path)
    os.write(writer, b"short\n")
    log_rotation.bound(tmp_path)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "vac.log": b"short\n", "vac.log.1": b"the newest\n",
    }  # fmt: skip
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def advice() -> dict[str, str]:
    """Return what the page of a full disk and its alert say about logs, by the place."""
    page = (ROOT / "deploy" / "RUNBOOK.md").read_text(encoding="utf-8")
    titles = ("## Disk nearly full", "### The broker's disk is full")
    sections = {title: page.partition(f"\n{title}\n")[2].partition("\n#")[0] for title in titles}
    alerts = (ROOT / "deploy" / "observability" / "alerts.yaml").read_text(encoding="utf-8")
    return {**sections, "alert": alerts.partition("alert: NrmbusDiskNearlyFull")[2].partition("- alert:")[0]}


def test_a_full_disk_gets_room_from_a_log_as_the_page_says(tmp_path: Path, writer: int) -> None:
    """Given a service with its log open, when a person empties the log, then its room is free, and the next lines are in it.

    A log that is removed keeps its room until the service ends, and is not bounded any more. So no page has a log removed
    but the one before.
    """
    log = tmp_path / "vac.log"
    os.write(writer, b"x" * 5000)
    os.truncate(log, 0)
    os.write(writer, b"the newest\n")

    assert (log.read_bytes(), os.fstat(writer).st_size) == (b"the newest\n", 11)
    for place, said in advice().items():
        assert "logs/*.log.1" in said, place
        assert "truncate" in said, place
        assert "iles in `logs/`" not in said, place


def test_where_no_log_is_there_is_nothing_to_do(tmp_path: Path) -> None:
    """A bus that was never started has no logs."""
    log_rotation.bound(tmp_path / "logs")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"first\nthe last one\n\n \n", "the last one"),
        (b"\x1b[2J\x1b]0;title\x07moved\r\n", "[2J]0;titlemoved"),
        (b"half of a letter \xc3\n", "half of a letter \ufffd"),
        (b"x" * 10_000, "x" * 300),
        (b"", ""),
    ],
)
def test_the_last_line_of_a_log_is_shown_as_it_is_safe_to_show(tmp_path: Path, content: bytes, line: str) -> None:
    """The line moves no cursor, and is at most three hundred characters long."""
    (tmp_path / "vac.log").write_bytes(content)

    assert log_rotation.last_line(tmp_path / "vac.log") == line


def test_where_no_log_is_there_is_no_last_line(tmp_path: Path) -> None:
    """A service that ended before its log was opened has no last line."""
    assert log_rotation.last_line(tmp_path / "vac.log") == ""
