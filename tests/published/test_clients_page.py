"""The page on other languages: each program on it runs as it stands there, wherever its language is installed."""

import asyncio
import os
import re
import shutil
from pathlib import Path

import pytest

from client.given import in_process
from desk.given import TOKEN
from nrmbus.events.schemas import FOLDER
from nrmbus.wire.ids import new_ref
from patience import LONGEST_WAIT

PAGE = FOLDER / "CLIENTS.md"
RUNS = {
    "sh": [["sh", "program"]],
    "js": [["node", "program.mjs"]],
    "php": [["php", "program"]],
    "csharp": [
        ["mcs", "-langversion:latest", "-r:System.Net.Http", "-out:program.exe", "program"],
        ["mono", "program.exe"],
    ],
}
"""By language: the commands that run a program in the file ``program``."""
NAMES = {"js": "program.mjs"}
"""Name of the file, where a language wants one of its own."""


def programs() -> dict[str, str]:
    """Return the program of each language on the page."""
    return dict(re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL))


def test_every_program_of_the_page_is_run() -> None:
    """A language whose program no test runs would not be noticed."""
    assert programs().keys() == RUNS.keys()


@pytest.mark.parametrize("language", RUNS)
async def test_a_program_publishes_and_reads_the_inbox(language: str, tmp_path: Path) -> None:
    """Given a letter in the inbox, the program's signal is registered, and it reads the event that came."""
    commands = RUNS[language]
    if not all(shutil.which(each[0]) for each in commands):
        return  # the language is not installed here
    (tmp_path / NAMES.get(language, "program")).write_text(programs()[language], encoding="utf-8")
    printed = b""
    async with in_process(tmp_path / "desk") as place:
        await place.tell(new_ref())
        for command in commands:
            running = await asyncio.create_subprocess_exec(
                *command,
                cwd=tmp_path,
                env={**os.environ, "NRMBUS_URL": place.url, "NRMBUS_TOKEN": TOKEN},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            async with asyncio.timeout(LONGEST_WAIT):
                printed, wrong = await running.communicate()
            assert (running.returncode, wrong) == (0, b"")
    assert b"registered" in printed
    assert printed.count(b"case.signal_recorded") >= 1 + (language != "csharp")
