"""``nrmbus staff``: a one-time password is printed once, and nothing else; a member is named as the list has the name."""

import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console
from typer.testing import CliRunner

from desk.cheap import cheap_passwords
from desk.given import desk_of
from desk.staff.given import one_time_in
from nrmbus.bus.errors import BusError
from nrmbus.bus.folder import BusFolder
from nrmbus.cli.desk import staff

__all__ = ("cheap_passwords",)
pytestmark = pytest.mark.usefixtures("cheap_passwords")


class Asked:
    """The door of a desk in this process, as the commands use it."""

    url = "http://127.0.0.1:8000"

    def __init__(self, door: httpx.AsyncClient) -> None:
        self._door = door

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send *body*."""
        return dict((await self._door.post(path, json=body)).raise_for_status().json())

    async def get(self, path: str, **params: str) -> dict[str, Any]:
        """Look at *path*, one entry a page."""
        return dict((await self._door.get(path, params={**params, "limit": "1"})).raise_for_status().json())

    async def delete(self, path: str) -> dict[str, Any]:
        """End what is at *path*."""
        return dict((await self._door.delete(path)).raise_for_status().json())


def test_a_name_in_brackets_is_listed_as_it_is_written() -> None:
    """Given a name like a colour of the terminal, then the list has the whole name, for `nrmbus staff remove`."""
    about = {"number": "417", "roles": ["worker"], "state": "active", "second_factor": ["code"], "example": False}
    console = Console(width=160, file=io.StringIO())
    with console.capture() as shown:
        console.print(staff._table([about | {"name": "Leyla [night shift]"}, about | {"name": "Rana [/red]"}]))

    assert "Leyla [night shift]" in shown.get()
    assert "Rana [/red]" in shown.get()


async def test_a_member_is_added_listed_reset_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard output has the password alone, for a pipe. An unknown name changes nobody."""
    async with desk_of("ngo-a", tmp_path) as here:
        door, folder = Asked(here.door), BusFolder(tmp_path)

        @asynccontextmanager
        async def door_of(_folder: BusFolder, _agency: str) -> AsyncIterator[Asked]:
            yield door

        monkeypatch.setattr(staff, "door_of", door_of)
        asked = {"name": "Leyla Example", "roles": ["worker"], "language": "az"}
        staff._tell("ngo-a", *await staff._added(folder, "ngo-a", asked), as_json=False)
        printed = capsys.readouterr()
        once = one_time_in(printed.out)
        assert printed.out == f"{once}\n"
        assert "http://127.0.0.1:8000/app/" in printed.err
        assert once not in printed.err
        assert (await here.behind.staff.with_password("Leyla Example", once))[1] == "password"

        member, _ = await staff._reset(folder, "ngo-a", "Leyla Example")
        assert one_time_in(str(member)) != once
        example = {"name": "Aysel", "roles": ["supervisor"], "language": "az", "example_password": "open sesame"}
        await staff._added(folder, "ngo-a", example)
        listed = await staff._listed(folder, "ngo-a")
        assert {each["name"]: each["state"] for each in listed} == {"Leyla Example": "invited", "Aysel": "active"}
        assert staff._table(listed).row_count == 2
        await staff._removed(folder, "ngo-a", member["number"])
        for gone in ("Leyla Example", "nobody"):
            with pytest.raises(BusError, match="Nobody of this name"):
                await staff._removed(folder, "ngo-a", gone)


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        ([], "Leyla Example\n"),
        (["--email", "-"], "Leyla Example\nleyla@example.org\n"),
        (["--subject", "-", "--email", "-"], "Leyla Example\nleyla@example.org\n8f31\n"),
        (["-", "--email", "-"], "Leyla Example\nleyla@example.org\n"),
        (["Leyla Example", "--email", "leyla@example.org"], ""),
    ],
)
def test_a_member_s_name_need_not_stand_on_a_command_line(
    words: list[str], typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a machine whose other users can see command lines, and a shell that keeps them, then name, address and subject come by standard input.

    Standard output has the one-time password alone, and the command to come names the member by the number.
    """
    sent = list[dict[str, Any]]()

    async def added(_folder: BusFolder, _agency: str, asked: dict[str, Any]) -> tuple[dict[str, Any], str]:
        sent.append(asked)
        about = {"number": "482913", "password": "once", "once_ends": "2026-05-01T10:00:00Z", "second_factor": []}
        return {**about, "name": asked["name"]}, Asked.url

    monkeypatch.setattr(staff, "_added", added)
    line = ["add", "ngo-a", *words, "--role", "worker", "--data", str(tmp_path)]
    done = CliRunner().invoke(staff.app, line, input=typed)

    assert done.exit_code == 0, done.output
    (asked,) = sent
    values = [asked.get(each) for each in ("name", "email", "subject")]
    expected = typed.splitlines() or ["Leyla Example", "leyla@example.org"]
    assert values == [*expected, None, None][:3]
    assert done.stdout == "once\n"
    assert "nrmbus staff reset ngo-a 482913" in done.stderr


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_each_question_gets_its_own_line_of_a_pipe(locale: str, tmp_path: Path) -> None:
    """Given a container's locale and a script that writes name, address and subject into a pipe, then the desk is asked for a member with all three."""
    program = (
        "import json\n"
        "from nrmbus.cli import main\n"
        "from nrmbus.cli.desk import staff\n"
        "async def added(_folder, _agency, asked):\n"
        "    print(json.dumps(asked))\n"
        "    raise SystemExit\n"
        "staff._added = added\n"
        "main()"
    )
    line = ["staff", "add", "ngo-a", "--role", "worker", "--email", "-", "--subject", "-", "--data", str(tmp_path)]
    others = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHONIO", "PYTHONUTF8"))}
    done = subprocess.run(
        [sys.executable, "-c", program, *line], input="Ləman Example\nl@example.org\n8f31\n".encode(),
        capture_output=True, env={**others, "LC_ALL": locale}, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    asked = json.loads(done.stdout)
    assert [asked["name"], asked["email"], asked["subject"]] == ["Ləman Example", "l@example.org", "8f31"]


def test_a_closed_standard_input_is_an_answer_that_nobody_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a shell that closes standard input, `<&-`, then the command says that nothing was typed."""
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(BusError, match="nothing was typed"):
        staff._typed("Name", None)


def test_a_name_that_nobody_types_adds_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given an empty line, or an end of standard input, then the command says so, and the desk is not asked."""

    async def added(*_: object) -> tuple[dict[str, Any], str]:
        raise AssertionError("the desk was asked")

    monkeypatch.setattr(staff, "_added", added)
    for typed in ("", "\n"):
        done = CliRunner().invoke(staff.app, ["add", "ngo-a", "--role", "worker", "--data", str(tmp_path)], input=typed)
        assert isinstance(done.exception, BusError)
        assert "nothing was typed" in str(done.exception)


@pytest.mark.parametrize(("command", "does"), [("reset", "_reset"), ("remove", "_removed")])
@pytest.mark.parametrize(("words", "typed"), [(["482913"], ""), ([], "Leyla Example\n"), (["-"], "Leyla Example\n")])
def test_a_member_is_reset_and_removed_without_a_name_on_the_command_line(
    command: str, does: str, words: list[str], typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number names nobody to other users of the machine; a name that the command line leaves out is asked for."""
    meant = list[str]()

    async def done_to(_folder: BusFolder, _agency: str, who: str) -> tuple[dict[str, Any], str]:
        meant.append(who)
        return {"name": "Leyla Example", "number": "482913", "second_factor": ["provider"]}, Asked.url

    monkeypatch.setattr(staff, does, done_to)
    done = CliRunner().invoke(staff.app, [command, "ngo-a", *words, "--data", str(tmp_path)], input=typed)

    assert done.exit_code == 0, done.output
    assert meant == (typed.splitlines() or words)
