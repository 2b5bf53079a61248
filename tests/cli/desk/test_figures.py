"""``nrmbus figures --release``: a published release in the forms that others need, without a bus."""

import errno
import os
from pathlib import Path
from typing import Final

import pytest
from pysdmx.io.xml.doc_validation import validate_doc
from typer.testing import CliRunner, Result

from figures_made import released, victims
from nrmbus.cli.app import app
from nrmbus.statistics.tables import Release

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
