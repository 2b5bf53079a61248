"""A document of a case is read on record, under a name that says nothing, and closed by whatever closes a letter."""

from pathlib import Path

import httpx
import pytest

from agencies import CASE, SIGNAL
from desk.documents.test_reading import CHUNKS, announced, granted, readings, received, received_elsewhere
from desk.documents.test_sharing import PDF, shared
from desk.given import CANARY, Given, desk_of
from desk.store.given import statements
from desk.web.browsing import browsing, member
from desk.web.cases.given import AT, TAKEN_BACK, at_vac, came
from nrmbus.desk.access import documents
from nrmbus.desk.web.cases.letters import PURPOSES
from nrmbus.wire.envelope import decode
from nrmbus.wire.ids import new_event_id


async def read(here: Given, browser: httpx.AsyncClient, id: str, purpose: str = "court") -> httpx.Response:
    """Return the answer to opening the document *id*, while the registrar registers what the desk sends."""
    return await here.during(browser.post(f"{AT}/documents", data={"document": id, "purpose": purpose}))


async def test_a_document_is_downloaded_after_the_reading_is_recorded(tmp_path: Path) -> None:
    """Given a chosen document and purpose, its content comes as it was shared, and its name is in no header and on no page."""
    async with at_vac(tmp_path, member()) as (here, browser, _):
        id = await received(here)
        listed = (await browser.get(f"{AT}/documents")).text
        answer = await read(here, browser, id)

        assert "Medical report" in listed
        assert CANARY not in listed + str(answer.headers)
        assert answer.content == PDF
        assert answer.headers["content-disposition"] == 'attachment; filename="document.pdf"'
        assert answer.headers["cache-control"] == "no-store"
        assert (await readings(here), await granted(here)) == ([(id, "health", "court")], 1)


async def test_without_a_choice_nothing_is_recorded(tmp_path: Path) -> None:
    """Given no document, no purpose, or a document that this case does not have, nothing is opened."""
    async with at_vac(tmp_path, member()) as (here, browser, referral):
        id = await received(here)
        answers = [await read(here, browser, *each) for each in ((id, ""), ("", "court"), (referral, "court"))]

        assert [each.status_code for each in answers] == [422, 422, 404]
        assert "Choose what you need it for" in answers[0].text
        assert "Choose the document that you want to read" in answers[1].text
        assert (await readings(here), await granted(here)) == ([], 0)


@pytest.mark.parametrize("name", ["reading", "open_file"])
async def test_killed_before_it_is_opened_nothing_comes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a fault before and after the registration, no byte of the document is sent."""

    async def killed(*_: object, **__: object) -> None:
        raise RuntimeError(CANARY)

    async with at_vac(tmp_path, member()) as (here, browser, _):
        id = await received(here)
        monkeypatch.setattr(documents, name, killed)
        answer = await read(here, browser, id)

        assert answer.status_code == 500
        assert PDF[:8] not in answer.content
        assert await readings(here) == []


async def test_a_document_that_stays_closed_says_why(tmp_path: Path) -> None:
    """Given a document of which pieces are missing, or a consent that was withdrawn, it cannot be chosen."""
    async with at_vac(tmp_path, member()) as (here, browser, _):
        id = await received(here, {0: CHUNKS[0]})
        part = (await browser.get(f"{AT}/documents")).text
        await came(here, "consent.withdrawn", TAKEN_BACK)
        closed = (await browser.get(f"{AT}/documents")).text
        asked = await read(here, browser, id)

        assert "Not all of this document is here" in part
        assert "The person refused or withdrew consent for your agency" in closed
        assert "govuk-radios__input" not in part + closed
        assert asked.status_code == 403
        assert "Nothing was opened" in asked.text
        assert (await readings(here), await granted(here)) == ([], 0)


async def test_p2_a_document_of_another_case_with_its_id_comes_in_no_place_of_it(tmp_path: Path) -> None:
    """Given an agency that announces a document of another case under the same id, the page lists and opens the case's own."""
    async with at_vac(tmp_path, member()) as (here, browser, _):
        id = new_event_id()
        await received_elsewhere(here, id)
        await received(here, id=id)
        listed = (await browser.get(f"{AT}/documents")).text
        answer = await read(here, browser, id)

        assert f"document-{id}" in listed
        assert answer.content == PDF


async def test_p2_an_agency_of_the_case_that_takes_its_id_puts_no_other_file_in_its_place(tmp_path: Path) -> None:
    """Given an agency of the same case that announces another document under the same id, the page lists and opens the first one alone."""
    async with at_vac(tmp_path, member()) as (here, browser, _):
        id = await received(here)
        await received_elsewhere(here, id, CASE)
        listed = (await browser.get(f"{AT}/documents")).text
        answer = await read(here, browser, id)

        assert listed.count(f'id="document-{id}"') == 1
        assert answer.content == PDF


async def test_a_document_of_another_case_is_not_found(tmp_path: Path) -> None:
    """The id of a document counts in its own case alone."""
    async with at_vac(tmp_path, member()) as (here, browser, _):
        unknown = decode(announced(here.registrar)).id
        known, other = await received(here), "12" * 16
        signal = here.registrar.event("ngo-a", "case.signal_recorded", SIGNAL, case=other)
        await here.hear(here.registrar.register(signal, to="vac"))
        there = f"{AT.rpartition('/')[0]}/{other}/documents"
        form = {"document": known, "purpose": "court"}
        answers = [await read(here, browser, unknown), await here.during(browser.post(there, data=form))]

        assert (await browser.get(there)).status_code == 200
        assert [each.status_code for each in answers] == [404, 404]
        assert await granted(here) == 0


BY_THEIR_KEYS = 2
"""Statements for one more document: rows of its announcement, each read by its key."""


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("agency", ["vac", "ngo-a"])
async def test_the_page_reads_what_holds_for_the_whole_case_once(agency: str, tmp_path: Path) -> None:
    """Given more documents in a case, received or shared, whose view is not in memory, the page asks nothing more about the case.

    The desk does nothing else while a statement runs, and a case may have hundreds of documents.
    """
    async with desk_of(agency, tmp_path) as here, browsing(here, member()) as browser:

        async def asked(more: int) -> tuple[int, list[str]]:
            for _ in range(more):
                await (received(here) if agency == "vac" else shared(here))
            await browser.get(f"{AT}/documents")  # the ledger is compared with its new deliveries
            here.desk.cases._kept.clear()
            with statements() as found:
                page = await browser.get(f"{AT}/documents")
            return page.text.count("govuk-radios__input") - len(PURPOSES), found

        (one, before), (four, after) = await asked(1), await asked(3)

    assert (one, four) == (1, 4)
    assert len(after) - len(before) <= 3 * BY_THEIR_KEYS, after
