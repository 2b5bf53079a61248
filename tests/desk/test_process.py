"""The desk's process, whose parts run side by side: a fault of one partition holds up no other."""

import asyncio
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agencies import CASE
from desk.given import REF, FakeRegistrar, Read, desk_of
from nrmbus.desk.access import opening
from nrmbus.desk.errors import DeskError
from nrmbus.desk.inbox import release, settle
from nrmbus.desk.process import DeskProcess
from patience import eventually

OTHER = "ef" * 16


def letter(registrar: FakeRegistrar, case: str) -> Read:
    """Return a letter for vac of *case*, as the registrar delivers it."""
    event = registrar.event(
        "ngo-a", "referral.info_supplied", {"question": "language"}, case=case, referral=REF,
        parts={"story": {"answer": "Azerbaijani"}}, opens=["vac"],
    )  # fmt: skip
    return registrar.register(event, to="vac")


@pytest.mark.parametrize("read_to", [1, 3], ids=["has not come on", "is read again"])
async def test_a_partition_that_stands_still_keeps_no_letter_of_another_one_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_to: int
) -> None:
    """Given two letters waiting for their partitions, when one partition stops at a gap, then the letter on the other opens."""
    stands, goes_on = asyncio.Event(), asyncio.Event()

    async def waits(*_: Any) -> None:
        stands.set()
        await goes_on.wait()

    monkeypatch.setattr(settle, "wait", waits)
    async with desk_of("vac", tmp_path) as given:
        other, positions = FakeRegistrar(given.town, partition=1), {0: read_to, 1: 3}

        async def position(partition: int) -> int:
            return positions[partition]

        process: Any = object.__new__(DeskProcess)
        process.desk, process._position = given.desk, position
        given.desk.end_of = lambda _: 3
        await given.hear(letter(given.registrar, CASE))
        await given.hear(letter(other, OTHER))
        letter(given.registrar, CASE)  # lost on the way
        stopped = asyncio.create_task(given.hear(letter(given.registrar, CASE)))
        await stands.wait()
        opening = asyncio.create_task(process._open_what_waited(given.inbox))
        await eventually("the other letter is open", lambda: OTHER not in given.desk.ahead)
        opened = {row.subject for row in await given.rows("reads")}
        goes_on.set()
        with suppress(DeskError):
            await stopped
        positions[0] = 3
        await eventually("the first letter is open", lambda: not given.desk.ahead)
        then = {row.subject for row in await given.rows("reads")}
        opening.cancel()

    assert (opened, then) == ({OTHER}, {OTHER, CASE})


async def test_a_case_that_meets_a_lasting_fault_of_the_machine_keeps_no_letter_of_another_one_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a case whose letter the disk never yields, when another letter has waited for the inbox, then it opens, and the first one after the repair."""
    monkeypatch.setattr(release, "FIRST_WAIT", 0.0)
    whole = opening.open_letter

    async def open_letter(desk: Any, signed: Any, **how: Any) -> Any:
        if signed.subject == CASE:
            raise OSError
        return await whole(desk, signed, **how)

    async def position(_: int) -> int:
        return 4

    async with desk_of("vac", tmp_path) as given:
        process: Any = object.__new__(DeskProcess)
        process.desk, process._position, process._inbox = given.desk, position, given.inbox
        given.desk.end_of = lambda _: 4
        for case in (CASE, OTHER):
            await given.hear(letter(given.registrar, case))
        with monkeypatch.context() as patch:
            patch.setattr(opening, "open_letter", open_letter)
            opening_all = asyncio.create_task(process._open_what_waited(given.inbox))
            await eventually("the other letter is open", lambda: OTHER not in given.desk.parked)
            assert given.desk.stuck == {CASE}
            assert not given.desk.ahead
        await process._try_stuck()
        opened = {row.subject for row in await given.rows("reads")}
        opening_all.cancel()

    assert opened == {CASE, OTHER}


@pytest.mark.thorough
def test_a_desk_loads_nothing_of_the_pages_at_its_start() -> None:
    """Given a desk whose pages nobody opens, then their words and templates take none of its memory."""
    program = "import sys, nrmbus.desk.process, nrmbus.desk.http.door; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    assert "nrmbus.desk.http.answers" in loaded
    assert not {"babel", "jinja2", "nrmbus.web.words", "nrmbus.desk.web.application"} & set(loaded)
