"""Names and paths on the command line: a bus has a plain name, a folder can be made, and a file can be written."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nrmbus.bus.errors import BusError, NoBus
from nrmbus.bus.folder import BusFolder, data_home
from nrmbus.cli.desk import inbox
from typed import command_of, every, run, typed

OUTSIDE = ("../x", "..", ".", "", "/x", "a/b", "a/../../x", ".hidden", "-x", "a\nb", "a" * 65, "ə")
READER = "S-17"


def with_bus() -> list[tuple[str, ...]]:
    """Return every command that takes the name of a bus."""
    return [each for each in every() if any("--bus" in option.opts for option in command_of(each).params)]


def wanted(command: tuple[str, ...], file: Path) -> list[str]:
    """Return a value for each required argument of *command*."""
    values = {
        "file": str(file),
        "out": str(file.parent / "new"),
        "language": "az",
        "number": "1",
        "roles": "worker",
        "role": "worker",
        "year": "2026",
        "kind": "other",
        "profile": "osce-generic@2022-01-01",
    }
    found: list[str] = []
    for each in command_of(command).params:
        if each.required:
            value = values.get(each.name, "x")
            found += [value] if each.param_type_name == "argument" else [f"{each.opts[0]}={value}"]
    return found


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_buss_name_is_no_path(name: str) -> None:
    """A path would lead out of the data folder, to any other folder."""
    with pytest.raises(NoBus, match="--bus takes a plain name"):
        BusFolder.named(name)


@pytest.mark.parametrize("name", ["local", "ngo-b", "Baku-7", "2026.11_test"])
def test_a_plain_name_is_a_folder_below_the_data_folder(name: str) -> None:
    """The bus's folder is one level below, for every name."""
    assert BusFolder.named(name).path == data_home().absolute() / name


@pytest.mark.parametrize("command", with_bus(), ids=" ".join)
def test_no_command_leaves_the_data_folder(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command that takes a bus's name refuses a path, before it makes anything."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.chdir(tmp_path)
    given = tmp_path / "given"
    given.write_text('{"type": "case.closed", "actor": "S-1"}')
    result = typed(*command, *wanted(command, given), "--bus", "../x")

    assert isinstance(result.exception, NoBus), (result.output, result.exception)
    assert "--bus takes a plain name" in str(result.exception)
    assert list(tmp_path.iterdir()) == [given]


@pytest.mark.parametrize("command", with_bus(), ids=" ".join)
def test_an_empty_folder_is_not_the_current_one(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given --data with a variable that is not set, then no command takes the folder in which a person happens to be."""
    monkeypatch.chdir(tmp_path)
    given = tmp_path / "given"
    given.write_text("{}")

    result = typed(*command, *wanted(command, given), "--data", "")

    assert result.exit_code == 2, (result.output, result.exception)
    assert "--data" in result.stderr
    assert list(tmp_path.iterdir()) == [given]


def test_a_folder_and_a_name_are_not_taken_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given --data and --bus, which may be two buses, then neither is ignored: the command says to give one."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))

    result = typed("doctor", "--data", tmp_path / "a", "--bus", "b")

    assert result.exit_code == 2, (result.output, result.exception)
    assert "Give --data or --bus, not both." in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    """No traceback; the sentence names the place, the reason and what to do."""
    file = tmp_path / "file"
    file.write_text("mine")
    done = run("up", "--data", file / "bus")

    assert done.returncode == 1
    assert done.stderr.startswith(f"nrmbus: {file}")
    assert "cannot be used (Not a directory)" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


WRITES = [
    ("export", "--case", "5f0c1a2b", "--out"),
    ("replay", "--html"),
    ("person-report", "--case", "5f0c1a2b", "--language", "az", "--html"),
    ("agency", "request", "ngo-b", "--role", "ngo_legal", "--out"),
    ("agency", "rotate", "ngo-b", "--out"),
    ("agency", "lost", "ngo-b", "--out"),
    ("agency", "suspend", "ngo-b", "--out"),
    ("agency", "list", "--signed"),
    ("admitter", "add", "leyla", "--out"),
    ("admitter", "remove", "leyla", "--out"),
    ("invite",),
]
"""Commands that write a file to a given path."""


@pytest.mark.parametrize("command", WRITES, ids=" ".join)
def test_a_file_is_written_into_a_folder_that_is_there(command: tuple[str, ...], tmp_path: Path) -> None:
    """A mistyped path never makes a folder: the command names the missing folder before it does or records anything."""
    missing = tmp_path / "nowhere" / "below"
    result = typed(*command, missing / "file", "--data", tmp_path / "bus")

    assert isinstance(result.exception, BusError), (result.output, result.exception)
    assert f"{missing} is not a folder" in str(result.exception)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", WRITES, ids=" ".join)
def test_a_folder_is_no_file(command: tuple[str, ...], tmp_path: Path) -> None:
    """The sentence says that a folder is no file."""
    result = typed(*command, tmp_path, "--data", tmp_path / "bus")

    assert isinstance(result.exception, BusError), (result.output, result.exception)
    assert f"{tmp_path} is" in str(result.exception)


class TestOpening:
    """`nrmbus inbox --open` reports openings after they happened."""

    @pytest.fixture(autouse=True)
    def desk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        """Have a desk that answers page by page, or refuses."""
        pages: list[Any] = []

        class Desk:
            async def health(self) -> dict[str, Any]:
                return {"ready": True}

            async def get(self, _path: str, **_how: str) -> dict[str, Any]:
                page = pages.pop(0) if pages else []
                if isinstance(page, BusError):
                    raise page
                return {"events": page}

        @asynccontextmanager
        async def door_of(_: BusFolder, _agency: str) -> AsyncIterator[Desk]:
            yield Desk()

        BusFolder(tmp_path).create(play=True)
        monkeypatch.setattr(inbox, "door_of", door_of)
        return pages

    def said(self, tmp_path: Path, who: str) -> tuple[str, BaseException | None]:
        """Return standard error and the exception."""
        result = typed("inbox", "ngo-a", "--open", "--actor", who, "--data", tmp_path)
        return result.stderr, result.exception

    def test_nothing_is_called_recorded_that_the_desk_refused(self, tmp_path: Path, desk: list[Any]) -> None:
        """A name is no staff number: the desk refuses, and no reading is reported."""
        desk += [BusError("unknown_field")]

        said, error = self.said(tmp_path, "Leyla")
        assert (said, str(error)) == ("", "unknown_field")

    def test_each_letter_that_was_opened_is_counted(self, tmp_path: Path, desk: list[Any]) -> None:
        """Events without a letter and letters that stayed shut do not count."""
        desk += [[opened(1), opened(2, shut="consent_withdrawn"), row(3)]]

        said, error = self.said(tmp_path, READER)
        assert (said, error) == (f"1 letter opened, recorded at the desk of ngo-a as read by {READER}.\n", None)

    def test_letters_opened_before_a_failure_are_reported(self, tmp_path: Path, desk: list[Any]) -> None:
        """The first page is on record, though nothing of it could be shown."""
        desk += [[opened(1), opened(2)], BusError("read_not_registered")]

        said, error = self.said(tmp_path, READER)
        assert "2 letters opened, recorded" in said
        assert str(error) == "read_not_registered"


def row(number: int) -> dict[str, Any]:
    """Return an event without a letter."""
    return {
        "row": number, "time": "2026-03-02T09:00:00Z", "type": "case.closed", "published": 1, "version": 1, "parts": [],
        "source": "special-unit", "case": "0" * 32,
    }  # fmt: skip


def opened(number: int, **more: Any) -> dict[str, Any]:
    """Return an event with its letter."""
    return row(number) | {"letter": {"story": {"notes": "…"}}} | more
