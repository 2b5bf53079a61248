"""Another language shows the same page with what was chosen or typed on it, neither judged nor sent."""

import re
from collections.abc import Mapping
from html import unescape
from pathlib import Path
from typing import Final

import pytest

from agencies import CASE
from contract.tree import ROOT
from desk.documents.test_reading import granted, received
from desk.given import REF
from desk.web.browsing import in_russian, kept_in, member
from desk.web.cases.given import AT, at_vac, opened
from desk.web.staff.given import OPEN, office

pytestmark = pytest.mark.usefixtures("cheap_passwords")

FIELD: Final = re.compile(
    r"<textarea|<select|<input(?![^>]*( hidden|type=.hidden))|\b(parts\.text|parts\.password|choice_of|purpose_of|app"
    r"|govuk(Input|Radios|Checkboxes|Select|Textarea))\("
)
"""Where a template has a field that somebody fills in."""
NOT_KEPT: Final[Mapping[str, str]] = {
    "acts/fields.html.j2": "parts of forms", "cases/parts.html.j2": "parts of forms", "staff/parts.html.j2": "parts of forms",
    "intake/opened.html.j2": "how to close a conversation: the form of the answer, in a part of the page, keeps it",
    "staff/code.html.j2": "a code, which ends soon", "staff/first-factor.html.j2": "a code, which ends soon",
    "staff/first-password.html.j2": "a password, which no page has again", "staff/new-codes.html.j2": "a password",
    "staff/passkeys.html.j2": "a password", "staff/password.html.j2": "a password",
}  # fmt: skip
"""Templates with fields that another language empties, and why."""


def test_every_form_that_somebody_fills_in_keeps_it() -> None:
    """Given a new page with a form, this test fails until a language keeps what is typed, or the table says why not."""
    rooms = ROOT / "services/nrmbus"
    found = {
        path.relative_to(path.parents[1]).as_posix(): path.read_text()
        for room in ("desk/web", "coordinator", "statistics")
        for path in (rooms / room).rglob("templates/*/*.j2")
    }
    empties = {name for name, text in found.items() if FIELD.search(text) and 'id="kept"' not in text}

    assert empties == set(NOT_KEPT)


@pytest.mark.parametrize(
    ("path", "filled"),
    [
        ("letters", {"purpose": ["court"]}),
        ("sheet", {"purpose": ["court"]}),
        (f"referrals/{REF}/copy", {"says": ["contacts"], "language": ["az"]}),
    ],
    ids=["letters", "sheet", "copy"],
)
async def test_a_purpose_is_kept(tmp_path: Path, path: str, filled: dict[str, list[str]]) -> None:
    """Given a purpose that was chosen, then the page has it in the other language too, and nothing is opened or recorded."""
    async with at_vac(tmp_path, member()) as (here, browser, _):
        before = await here.rows("outbox")
        shown = await in_russian(browser, await browser.get(f"{AT}/{path}"), **filled)

        assert {name: kept_in(shown).get(name) for name in filled} == filled
        assert await here.rows("outbox") == before


async def test_the_choice_of_a_document_is_kept(tmp_path: Path) -> None:
    """Given a document and a purpose, then both choices stay, and nothing is downloaded."""
    async with at_vac(tmp_path, member()) as (here, browser, _):
        filled = {"document": [await received(here)], "purpose": ["court"]}
        shown = await in_russian(browser, await browser.get(f"{AT}/documents"), **filled)

        assert kept_in(shown) == filled
        assert await granted(here) == 0


async def test_who_may_open_nothing_chooses_a_language_by_a_link(tmp_path: Path) -> None:
    """Given a page of letters without a field, then its languages are links: the form's address is not this member's."""
    async with at_vac(tmp_path, member("read_cases")) as (_, browser, _):
        page = await browser.get(f"{AT}/letters")

    assert f'<a href="{AT}/letters?lang=ru"' in page.text


async def test_a_search_that_was_typed_is_kept(tmp_path: Path) -> None:
    """Given words that nobody looked for yet, then they stay, and the list shows the rows of before, in the same order."""
    async with at_vac(tmp_path, member()) as (_, browser, _registrar):
        await browser.post("/app/lists/cases/search", data={"text": CASE[:8]})
        search = (await browser.post("/app/lists/cases/search", data={"text": CASE[:8]})).headers["location"]
        page = await browser.get(f"{search}&sort=label")
        filled = {"text": ["Nobody"], "type": [""], "colleague": ["nobody"]}
        button = re.search(r'<button[^>]* form="kept" formaction="([^"]+)"[^>]* lang="ru">', page.text)
        assert button, "the page has no button of another language"
        answer = await browser.post(unescape(button[1]), data={**kept_in(page), **filled, "go": "language"})
        shown = await browser.get(answer.headers["location"])

        assert '<html lang="ru"' in shown.text
        assert kept_in(shown) == filled
        assert 'data-row="' in shown.text, "nothing was looked for"
        assert "sort=label" in answer.headers["location"]
        assert "Nobody" not in answer.headers["location"], "no address has what somebody looks for"


async def test_a_search_before_a_signal_is_kept(tmp_path: Path) -> None:
    """Given words that were typed to look for a case, then they stay, and no draft is begun."""
    async with at_vac(tmp_path, member()) as (here, browser, _):
        shown = await in_russian(browser, await browser.get("/app/signals/new"), text=["Nobody"])

        assert kept_in(shown)["text"] == ["Nobody"]
        assert await here.rows("drafts") == []


async def test_the_colleague_whose_readings_are_looked_for_is_kept(tmp_path: Path) -> None:
    """Given a colleague who was chosen and not asked for, then the choice stays above the same list."""
    async with at_vac(tmp_path, member("read_cases", "open_letters", "see_reads")) as (here, browser, id):
        await opened(here, browser, id)
        page = await browser.get("/app/readings")
        assert '<option value="4711"' in page.text
        shown = await in_russian(browser, page, who=["4711"])

    assert kept_in(shown)["who"] == ["4711"]


@pytest.mark.parametrize(
    ("path", "filled"),
    [
        ("/account", {"language": ["az"]}),
        ("/account/notices", {"notices": ["daily"]}),
        ("/account/app", {}),
        ("/staff/{number}", {"roles": ["worker", "supervisor"], "email": ["nobody"]}),
    ],
    ids=["account", "notices", "app", "member"],
)
async def test_what_an_account_says_is_kept(tmp_path: Path, path: str, filled: dict[str, list[str]]) -> None:
    """Given a choice or an address that is not saved yet, then it stays, and the account is as before; so does the key of an app."""
    async with office(tmp_path) as it:
        number = (await it.signed_in("Admin Example", "administrator")).number
        before, page = it.staff.members.there(number), await it.get(path.format(number=number))
        shown = await in_russian(it.browser, page, **filled)

        assert kept_in(shown) == kept_in(page) | filled
        assert it.staff.members.there(number) == before


async def test_the_name_of_a_sign_in_is_kept(tmp_path: Path) -> None:
    """Given a name that was typed, then it stays with the page that was wanted; a password never comes back."""
    async with office(tmp_path) as it:
        page = await it.get("/sign-in?over=1&back=/acts")
        shown = await in_russian(it.browser, page, name=["Leyla Example"], password=["open sesame"])

        assert kept_in(shown)["name"] == ["Leyla Example"]
        assert "open sesame" not in shown.text
        assert 'action="/app/sign-in?back=%2Facts"' in shown.text
        assert "govuk-inset-text" in shown.text, "it still says that the session is over"


async def test_the_answer_to_a_form_leads_to_its_page_in_another_language(tmp_path: Path) -> None:
    """Given an answer that cannot be asked for again, then a language leads to the page of the form, and not to the first one."""
    async with office(tmp_path) as it:
        await it.signed_in("Admin Example", "administrator")
        wrong = await it.send("/account/password", new="one", again="another")

    assert '<a href="/app/account/password?lang=ru"' in wrong.text


@pytest.mark.parametrize(("language", "prefix"), [("en", "Error"), ("az", "Xəta"), ("ru", "Ошибка")])
async def test_a_screen_reader_hears_of_an_error_in_the_language_of_the_page(
    tmp_path: Path, language: str, prefix: str
) -> None:
    """Given a field that is wrong, then the hidden word before its message is of the page's language, on each page of people and systems."""
    async with office(tmp_path) as it:
        signed_out = await it.send(f"/sign-in?lang={language}", name="", password="")
        me = (await it.signed_in("Admin Example", "administrator")).number
        pages = [
            signed_out,
            await it.send(f"/staff/add?lang={language}", name="x", language="xx", email="nowhere"),
            await it.send(f"/staff/{me}?lang={language}", email="nowhere"),
            await it.send(f"/systems/add?lang={language}", name="x"),
        ]

    for page in pages:
        told = re.findall(r'<p id="[^"]*-error" class="govuk-error-message">\s*<span[^>]*>(.*?):</span>', page.text)
        assert set(told) == {prefix}


async def test_a_secret_that_is_shown_once_is_not_lost_by_a_language(tmp_path: Path) -> None:
    """Given a one-time password, a token or recovery codes, then the page offers no other language, since nothing shows them again."""
    async with office(tmp_path) as it:
        number = (await it.example("Leyla Example", "worker")).number
        await it.signed_in("Admin Example", "administrator")
        shown = [
            await it.send("/staff/add", name="Rena Example", roles="worker", language="az"),
            await it.send(f"/staff/{number}/reset"),
            await it.send("/systems/add", name="booking", days="90"),
            await it.send("/account/recovery-codes", password=OPEN),
        ]

    for page in shown:
        assert '<code class="nrm-code">' in page.text
        assert "lang=ru" not in page.text
