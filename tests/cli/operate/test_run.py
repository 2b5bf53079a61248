"""``nrmbus run``: what the journal of a service says when the service fails."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.cli.operate import run
from nrmbus.directory.admission import home_of

WORDS = "CANARY-Alina Example"
DESK, PAGE = ["ngo-a", "--keys-unprotected"], ["public", "ngo-a"]


def failing(error: Exception, words: Sequence[str], home: Path, patch: pytest.MonkeyPatch) -> tuple[int, str, object]:
    """Return exit status, output and error of ``nrmbus run`` with *words*, whose service raises *error*."""
    folder = BusFolder(home / "bus")
    if not folder.path.exists():
        folder.create(bootstrap="127.0.0.1:1", tls=False)
        (home_of(folder, "ngo-a") / "keys").mkdir(parents=True)

    def service(*_: object) -> None:
        raise error

    patch.setattr(run, "run_service", service)
    done = CliRunner().invoke(run.app, [*words, "--data", str(folder.path)])
    return done.exit_code, done.output, done.exception


@pytest.mark.parametrize("words", [DESK, PAGE], ids=["desk", "public"])
def test_the_journal_of_a_failed_service_has_no_content(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a damaged store, whose error quotes what it read, then the journal has place and kind of the error alone, as a log of the supervisor's has."""
    error = UnicodeDecodeError("utf-8", WORDS.encode(), 0, 1, WORDS)
    for each in (ValueError(WORDS), error):
        status, output, _ = failing(each, words, tmp_path, monkeypatch)

        assert status == 1
        assert type(each).__qualname__ in output
        assert "test_run.py" in output
        assert WORDS not in output


@pytest.mark.parametrize(
    "error",
    [BusError("The folder of the desk is gone."), OSError(28, "No space left"), ModuleNotFoundError(name="segno")],
)
def test_an_expected_error_of_a_service_keeps_its_sentence(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an error for which the command line has a sentence that says what to do, then that sentence is printed, and no place in the code."""
    status, output, raised = failing(error, DESK, tmp_path, monkeypatch)

    assert status == 1
    assert raised is error
    assert ".py" not in output
