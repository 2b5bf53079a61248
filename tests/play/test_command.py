"""``nrmbus play``, as somebody types it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import pytest
import typer
from typer.testing import CliRunner, Result

from nrmbus.cli.operate import play as module
from nrmbus.cli.operate.play import play
from play.stories import CHILD, CONSENT, SIGNAL, WOMAN, story

APP = typer.Typer()
APP.command()(play)


def run(*arguments: str) -> Result:
    """Type ``nrmbus play`` and *arguments*."""
    return CliRunner().invoke(APP, arguments)


@pytest.fixture(name="wrong")
def _wrong(tmp_path: Path) -> str:
    """The file of a story whose first step does not hold."""
    path = tmp_path / "wrong.yaml"
    path.write_text(story(SIGNAL.replace("}}", "}, seen_by: [vac]}"), CONSENT), encoding="utf-8")
    return str(path)


def test_a_story_that_holds_exits_0() -> None:
    """The woman's story by its name, in memory."""
    result = run(str(WOMAN), "--memory")

    assert result.exit_code == 0
    assert "70 steps, every expectation held" in " ".join(result.stdout.split())


def test_a_story_that_does_not_hold_stops_and_exits_1(wrong: str) -> None:
    """At the step that failed."""
    result = run(wrong, "--memory")

    assert result.exit_code == 1
    assert "1 of 2 steps were played" in " ".join(result.stdout.split())


def test_it_goes_on_if_asked(wrong: str) -> None:
    """With --keep-going every step is played."""
    result = run(wrong, "--memory", "--keep-going")

    assert result.exit_code == 1
    assert "2 of 2 steps were played" in " ".join(result.stdout.split())


def test_the_childs_story_is_played_to_its_end() -> None:
    """The story whose end looks at figures exits 0."""
    result = run(str(CHILD), "--memory")

    assert result.exit_code == 0
    assert "47 steps, every expectation held" in " ".join(result.stdout.split())


def test_json_is_the_whole_report_and_nothing_else() -> None:
    """The output of --json is one JSON document."""
    result = run(str(WOMAN), "--memory", "--json")
    report = json.loads(result.stdout)

    assert (report["green"], report["played"], report["failures"]) == (True, 70, [])
    assert report["rows"][0]["event"] == "case.signal_recorded"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "There is no scenario file of that name; these come with nrmbus: 01-woman"),
        (story("- {}\n"), "step 1 (mine.yaml"),
    ],
    ids=["no file", "no scenario"],
)
def test_an_unplayable_file_exits_2_with_a_sentence(tmp_path: Path, text: str | None, sentence: str) -> None:
    """A missing or miswritten file gets one sentence, never a traceback."""
    path = tmp_path / "mine.yaml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    result = run(str(path), "--memory")

    assert result.exit_code == 2
    assert result.stderr.startswith(sentence)


def test_a_file_of_ones_own_is_played(tmp_path: Path) -> None:
    """Any scenario file will do."""
    path = tmp_path / "mine.yaml"
    path.write_text(story(SIGNAL), encoding="utf-8")

    assert run(str(path), "--memory").exit_code == 0


def test_a_story_with_an_agency_of_statistics_is_played_in_memory_alone() -> None:
    """Nothing is started for a story that no bus takes."""
    result = run(str(Path(__file__).parent / "unusual" / "figures-released-and-corrected.yaml"))

    assert result.exit_code == 2
    assert "counting: a played bus starts its own statistics" in result.stderr


def test_a_story_that_is_broken_off_exits_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C stops the bus that was started for the story, and the command ends without a traceback."""

    @contextmanager
    def stage(*_: object) -> Iterator[None]:
        with suppress(KeyboardInterrupt):
            yield

    def broken_off(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_stage", stage)
    monkeypatch.setattr(module, "_play", broken_off)

    result = run(str(WOMAN))

    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
