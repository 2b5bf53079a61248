"""``nrmbus figures --release``: a published release in the forms that others need, without a bus."""

import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from pysdmx.io.xml.doc_validation import validate_doc
from typer.testing import CliRunner, Result

from figures_made import released, victims
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.cli.app import app
from nrmbus.client.door import Door
from nrmbus.client.errors import DoorError, Unavailable, Unreachable
from nrmbus.events.figures import Release

RELEASE: Final = released(victims([(60, 2, "F", "25-34", "AZ"), (25, 5, "M", "35-44", "UZ")]), "2026")


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    """A release as the command itself writes it, with a line end."""
    file = tmp_path / "2026.json"
    file.write_bytes(RELEASE.to_json() + b"\n")
    return file


def run(*arguments: str) -> Result:
    """Type ``nrmbus figures`` and *arguments*."""
    return CliRunner().invoke(app, ["figures", *arguments])


@pytest.mark.parametrize("form", ["sdmx", "sdmx-structure"])
def test_a_release_becomes_the_messages_of_sdmx(file: Path, form: str) -> None:
    """Both are valid by the standard's schemas."""
    result = run("--release", str(file), "--format", form)

    assert result.exit_code == 0
    validate_doc(result.stdout)


def test_a_release_becomes_a_page_that_loads_nothing(file: Path, tmp_path: Path) -> None:
    """In the language that is asked for; the command says how many cells are shown."""
    result = run("--release", str(file), "--format", "html", "--language", "ru", "--out", str(tmp_path / "2026.html"))

    assert result.exit_code == 0
    assert "cells shown (k = 11)" in result.stdout
    page = (tmp_path / "2026.html").read_text(encoding="utf-8")
    assert "Статистика: 2026" in page
    assert not any(each in page for each in ("<script", "src=", "<link"))


def test_a_file_of_figures_is_whole_or_not_there(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a disk that fails while the file is written, or a kill, then no half of it can be taken for the figures."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = run("--release", str(file), "--format", "csv", "--out", str(tmp_path / "2026.csv"))

    assert result.exit_code != 0
    assert [*tmp_path.iterdir()] == [file]


def test_a_release_is_written_again_as_it_is(file: Path) -> None:
    """JSON in, the same release out."""
    assert Release.read(run("--release", str(file)).stdout.strip().encode()) == RELEASE


def test_what_is_no_release_is_refused_with_a_sentence(tmp_path: Path) -> None:
    """Another file, no file, and nothing to count at all: each says what to give."""
    other = tmp_path / "other.json"
    other.write_text('{"year": 2026}')

    for arguments, sentence in (
        (["--release", str(other)], "is no release of figures"),
        (["--release", str(tmp_path / "none.json")], "cannot be read"),
        ([], "add --year YEAR, or --release FILE"),
    ):
        result = run(*arguments)
        assert result.exit_code != 0
        assert sentence in " ".join((result.output + str(result.exception or "")).split())


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--publish", "--actor", "S-1", "--approver", "S-2"], "leave out --publish, --actor, --approver"),
        (["--year", "2031", "--quarter", "2", "--draft"], "leave out --year, --quarter, --draft"),
    ],
    ids=["publication", "another period"],
)
def test_an_option_that_a_release_cannot_have_is_refused(
    file: Path, tmp_path: Path, options: list[str], named: str
) -> None:
    """Given figures in a file and options of the desk's own figures, then nothing is written: nobody believes them published."""
    result = run("--release", str(file), "--out", str(tmp_path / "out.json"), *options)

    assert isinstance(result.exception, BusError)
    assert named in str(result.exception)
    assert not (tmp_path / "out.json").exists()


class Desk:
    """The desk of the statistics as the command sees it: it answers with *published*, and an event gets *verdict*."""

    def __init__(self, verdict: str, published: Release | None = None) -> None:
        self.verdict, self.published = verdict, published
        self.sent: list[dict[str, Any]] = []

    async def get(self, path: str) -> dict[str, Any]:
        """Return the draft or the published figures."""
        if path.endswith("/draft"):
            return RELEASE.to_mapping()
        if self.published is None:
            raise DoorError("not_found", "There is none.", status=404)
        return self.published.to_mapping()

    patiently = Door.patiently
    _at = None

    def _has_moved(self, at: None) -> bool:
        """Return that the desk has not moved."""
        return self._at is not at

    async def publish(self, event: dict[str, Any], *, wait: float) -> dict[str, Any]:
        """Take the event."""
        assert wait > 0
        self.sent.append(event)
        if self.verdict == "away":
            raise Unreachable("unreachable", "It does not answer.")
        if self.verdict == "ledger_away":
            raise Unavailable("ledger_away", "Its server does not answer.", 503)
        return {"verdict": self.verdict, "events": [{"number": 7}]}


def publishes(desk: Desk, home: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> Result:
    """Type the command with which two people publish the figures of 2026 at *desk*."""
    there = BusFolder(home / "bus").agency("statistics").agency_json
    there.parent.mkdir(parents=True, exist_ok=True)
    there.write_text("{}")

    @asynccontextmanager
    async def door_of(*_: object) -> AsyncIterator[Desk]:
        yield desk

    monkeypatch.setattr("nrmbus.cli.desk.figures.door_of", door_of)
    return run("--year", "2026", "--data", str(home / "bus"), "--out", str(home / "out.json"), *more)


PEOPLE: Final = ("--publish", "--actor", "S-1", "--approver", "S-2")


def test_a_publication_that_was_interrupted_is_repeated_and_ends_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given figures that were published before the command was killed, its second run writes them and publishes nothing."""
    desk = Desk("registered", published=RELEASE)

    result = publishes(desk, tmp_path, monkeypatch, *PEOPLE)

    assert (result.exit_code, desk.sent) == (0, [])
    assert f"published already (release {RELEASE.digest[:16]})" in result.output
    assert Release.read((tmp_path / "out.json").read_bytes().strip()) == RELEASE


def test_figures_without_a_verdict_are_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a registrar that is away, nobody gets a file that looks like published figures; the command says how to ask later."""
    result = publishes(Desk("pending"), tmp_path, monkeypatch, *PEOPLE)

    assert result.exit_code == 3
    assert "the same command without --publish" in " ".join(result.output.split())
    assert not (tmp_path / "out.json").exists()


def test_p1_figures_that_a_killed_desk_may_have_are_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given no answer about the release, then the command says how to ask later, and reports no failure."""
    monkeypatch.setattr("nrmbus.cli.desk.desks.START_SECONDS", 0.0)
    desk = Desk("away")
    result = publishes(desk, tmp_path, monkeypatch, *PEOPLE)

    assert result.exit_code == 3
    assert desk.sent[0]["id"] in result.output
    assert "the same command without --publish" in " ".join(result.output.split())
    assert not (tmp_path / "out.json").exists()


def test_figures_that_the_desk_does_not_take_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a desk that waits for its ledger, then the desk's sentence is the error: the desk has no figures."""
    monkeypatch.setattr("nrmbus.cli.desk.desks.START_SECONDS", 0.0)
    result = publishes(Desk("ledger_away"), tmp_path, monkeypatch, *PEOPLE)

    assert isinstance(result.exception, DoorError)
    assert result.exception.code == "ledger_away"
    assert "may have" not in result.output
    assert not (tmp_path / "out.json").exists()


def test_a_draft_says_when_it_can_be_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of a year that still runs are refused, so the sentence does not promise them."""
    result = publishes(Desk("registered"), tmp_path, monkeypatch)

    assert result.exit_code == 0
    assert "not published. When the period is over, two people publish them" in result.output


@pytest.mark.parametrize(
    ("published", "says"),
    [
        (RELEASE, "are the same."),
        (released(victims([(61, 2, "F", "25-34", "AZ")]), "2026"), "differ from the published ones"),
    ],
)
def test_figures_that_are_computed_again_are_held_against_the_published_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, published: Release, says: str
) -> None:
    """Given --draft although there is a release, nobody is told that the figures are not published."""
    result = publishes(Desk("registered", published=published), tmp_path, monkeypatch, "--draft")

    assert (result.exit_code, "not published" in result.output) == (0, False)
    assert published.digest[:16] in result.output
    assert says in result.output
