"""The page on other languages: each program runs unchanged if its language is installed (`languages`)."""

import asyncio
import os
import re
from pathlib import Path

import pytest

from client.given import in_process
from desk.given import TOKEN
from languages import RUNS, installed
from nrmbus.events.schemas import FOLDER
from nrmbus.wire.ids import new_ref
from patience import PATIENCE

PAGE = FOLDER / "CLIENTS.md"
NAMES = {"js": "program.mjs"}
"""Name of the file, where a language wants one of its own."""


def programs() -> dict[str, str]:
    """Return the program of each language on the page."""
    return dict(re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL))


def test_every_program_of_the_page_is_run() -> None:
    """A language whose program no test runs would not be noticed."""
    assert programs().keys() == RUNS.keys()


def test_every_program_publishes_under_an_id_of_its_own() -> None:
    """Each program keeps the first rule of the page: what is sent again after a cut connection is published once."""
    for language, program in programs().items():
        before, published, _ = program.partition("case.signal_recorded")
        assert published, language
        assert re.search(r"""\bid["']{0,2}\s*(:|=>)""", before), language


async def test_a_program_that_follows_ends_when_the_desk_refuses_it_for_good(tmp_path: Path) -> None:
    """Given a token that may publish and not read, then the program in JavaScript ends with the desk's sentence."""
    (tmp_path / NAMES["js"]).write_text(programs()["js"], encoding="utf-8")
    async with in_process(tmp_path / "desk") as place:
        running = await asyncio.create_subprocess_exec(
            *RUNS["js"][0],
            cwd=tmp_path,
            env={**os.environ, "NRMBUS_URL": place.url, "NRMBUS_TOKEN": "a-token-to-publish"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(PATIENCE):
                printed, wrong = await running.communicate()
        finally:
            if running.returncode is None:
                running.kill()
                await running.wait()
    assert b"registered" in printed
    assert b"scope_missing" in wrong
    assert running.returncode != 0


@pytest.mark.parametrize("language", installed())
async def test_a_program_publishes_and_reads_the_inbox(language: str, tmp_path: Path) -> None:
    """Given a letter in the inbox, the program's signal is registered, and it reads the event that came."""
    commands = RUNS[language]
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
            async with asyncio.timeout(PATIENCE):
                printed, wrong = await running.communicate()
            assert (running.returncode, wrong) == (0, b"")
    assert b"registered" in printed
    assert printed.count(b"case.signal_recorded") >= 1 + (language != "csharp")
