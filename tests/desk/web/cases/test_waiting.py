"""A case of which a record waits: its page says why, and who has to do something."""

import json
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from desk.web.browsing import member
from desk.web.cases.given import AT, TAKEN_BACK, at_vac
from generations import before_type
from nrmbus.desk.inbox import release
from nrmbus.desk.state import parking
from nrmbus.rules import Rules


async def test_a_case_that_waits_says_why(tmp_path: Path) -> None:
    """An event that this release cannot read holds the case up, and the page says whom to ask."""
    async with at_vac(tmp_path, member()) as (here, browser, _):
        word = here.registrar.register(here.registrar.event("ngo-a", "consent.withdrawn", TAKEN_BACK), to="vac")
        with before_type("consent.withdrawn"):
            await here.hear(word)
            page = (await browser.get(AT)).text

    assert "1 message of this case waits" in page
    assert "came in a form that this release cannot read" in page


async def test_a_case_that_a_fault_of_the_machine_holds_up_says_that_it_goes_on_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a case that meets a fault of the ledger at every try, then its page asks for the repair, and not for a release by hand."""
    monkeypatch.setattr(release, "FIRST_WAIT", 0.0)
    monkeypatch.setattr(parking, "let_go", disk_full)
    async with at_vac(tmp_path, member()) as (here, browser, _):
        word = here.registrar.register(here.registrar.event("ngo-a", "consent.withdrawn", TAKEN_BACK), to="vac")
        with before_type("consent.withdrawn"):
            await here.hear(word)
        await release.release_by_itself(here.desk, here.inbox)
        page = (await browser.get(AT)).text

    assert "because of a fault of the desk’s machine" in page
    assert "the case then goes on by itself" in page
    assert "the case released" not in page


def disk_full(*_: object) -> None:
    """Fail as the ledger does on a full disk."""
    raise OperationalError("", {}, Exception("disk"))


async def test_a_case_that_waits_for_a_profile_names_the_profile_and_no_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an event under a profile that the desk does not have, then page and task name the command that adds a profile: no release has it."""
    async with at_vac(tmp_path, member()) as (here, browser, _):
        word = here.registrar.register(here.registrar.event("ngo-a", "consent.withdrawn", TAKEN_BACK), to="vac")
        with monkeypatch.context() as lacking:
            lacking.setattr(Rules, "is_installed", lambda *_: False)
            await here.hear(word)
            page = (await browser.get(AT)).text
        (task,) = [row for row in await here.rows("tasks") if row.kind == parking.TASK]

    assert "1 message of this case waits" in page
    assert "Ask your administrator to add it (nrmbus rules add)" in page
    assert "cannot read" not in page
    assert "nrmbus rules add FILE" in json.loads(task.about)["sentence"]
