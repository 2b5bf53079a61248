"""``nrmbus staff``: a one-time password is printed once, and nothing else; a member is named as the list has the name."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

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
