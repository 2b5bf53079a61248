"""What is printed of a case is recorded as handed on before it is shown, and has nothing from a letter."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from agencies import CASE, JOINED, SIGNAL, identity, operator
from desk.given import CANARY, REF, Given, desk_of
from desk.test_directory import directory
from desk.web.browsing import browsing, gone, member
from desk.web.cases.given import AT, CONSENT, COPY, PAPER, REFERRAL, TAKEN_BACK, at_vac, came
from nrmbus.desk.http.served import Door
from nrmbus.directory.entry import Contact, Kind
from nrmbus.web.languages import LANGUAGES, Language


async def shown(here: Given, browser: httpx.AsyncClient, path: str, **form: str) -> httpx.Response:
    """Return the answer to a form, while the registrar registers what the desk sends."""
    return await here.during(browser.post(path, data=form))


async def handed_on(here: Given) -> list[tuple[str, str]]:
    """Return what was handed on, and for which purpose, as the desk had it recorded."""
    said = [json.loads(row.clear)["data"] for row in await here.rows("outbox") if row.type == "access.granted"]
    return [(each["what"], each["purpose"]) for each in said]


async def copies(here: Given) -> list[dict[str, str]]:
    """Return the copies that the desk had recorded, each of the page's referral."""
    issued = [row for row in await here.rows("outbox") if row.type == "case.copy_issued"]
    assert all(json.loads(row.clear)["referral"] == REF for row in issued)
    return [json.loads(row.clear)["data"] for row in issued]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_person_s_copy_is_in_her_language(language: Language, tmp_path: Path) -> None:
    """Given a member who reads English, the paper is in the person's language, names the kinds of information, and is recorded."""
    asked = {"az": "Onlardan nə istənilib", "en": "What they were asked for", "ru": "чём их попросили"}
    told = {"az": "adınız, doğum tarixiniz", "en": "your name, birth date", "ru": "ваше имя, дата рождения"}
    async with at_vac(tmp_path, member()) as (here, browser, _):
        paper = await shown(here, browser, PAPER, **COPY, language=language, says="all")

        assert paper.status_code == 200
        assert f'<html lang="{language}"' in paper.text
        assert asked[language] in paper.text
        assert told[language] in paper.text
        assert "Back to the case" in paper.text
        assert CANARY not in paper.text
        assert "4711" not in paper.text
        assert await handed_on(here) == [("person_report", "person_request")]
        iso = {"az": "aze", "en": "eng", "ru": "rus"}[language]
        assert await copies(here) == [{"form": "referral_form", "paper_language": iso}]


@pytest.mark.parametrize(("kind", "is_there"), [("suspended", True), ("retired", False)])
@pytest.mark.parametrize("says", ["all", "contacts"])
async def test_the_person_s_copy_has_no_telephone_that_nobody_answers(
    tmp_path: Path, kind: Kind, says: str, *, is_there: bool
) -> None:
    """Given a hotline that has left the bus, then no paper for the person names it; a suspended one still helps who calls."""
    found = directory()
    line = Contact(name="Example Line", phone="+994 00 000 00 09")
    found.add(operator().entry(found, identity("old-line"), "hotline", JOINED, None, None, line))
    async with at_vac(tmp_path, member()) as (here, browser, _):
        gone(here, "old-line", kind, found)
        paper = await shown(here, browser, PAPER, **COPY, language="en", says=says)

    assert paper.status_code == 200
    assert ("Example Line" in paper.text, "+994 00 000 00 09" in paper.text) == (is_there, is_there)


@pytest.mark.parametrize(
    ("course", "ground"),
    [
        ([], "Ground: your consent of 2 March 2026."),
        ([("consent.withdrawn", TAKEN_BACK)], "Ground: a consent that you have taken back since."),
        ([("safeguard.child_flagged", {"to": ["guardianship"], "basis": "document"})], "Ground: CoM 21/2008 art. 7 (Cabinet of Ministers,"),
    ],
)  # fmt: skip
async def test_the_person_s_copy_says_on_which_ground_each_agency_was_told(
    course: list[tuple[str, dict[str, Any]]], ground: str, tmp_path: Path
) -> None:
    """Given a consent, a consent that was taken back, or a child, whom nobody asks, then the paper names the ground of each."""
    async with at_vac(tmp_path, member()) as (here, browser, _):
        for type, data in course:
            await came(here, type, data)
        paper = await shown(here, browser, PAPER, **COPY, language="en", says="all")
        found = await shown(here, browser, PAPER, **COPY, language="en", says="contacts")

    assert ground in paper.text
    assert "Ground:" not in found.text


@pytest.mark.parametrize("before", [[], [("consent.refused", TAKEN_BACK | {"given_by": "individual"})]])
async def test_a_consent_that_has_ended_is_not_the_ground_of_today(
    before: list[tuple[str, dict[str, Any]]], tmp_path: Path
) -> None:
    """Given a consent whose last day is over, with or without a refusal before it, then the paper says that the consent has ended."""
    async with at_vac(tmp_path, member()) as (here, browser, _):
        for type, data in before:
            await came(here, type, data)
        await came(here, "consent.given", CONSENT | {"expires": "2026-03-10"})
        here.clock.time += timedelta(days=7)
        held = await shown(here, browser, PAPER, **COPY, language="en", says="all")
        here.clock.time += timedelta(days=3)
        paper = await shown(here, browser, PAPER, **COPY, language="en", says="all")
        papers = [await shown(here, browser, PAPER, **COPY, language=each, says="all") for each in ("az", "ru")]

    assert "Ground: your consent of 2 March 2026." in held.text
    assert "Ground: a consent of yours that has ended since." in paper.text
    assert "Ground:" not in "".join(each.text for each in papers)


async def test_the_person_s_copy_says_nothing_of_an_answer_that_is_not_known_here(tmp_path: Path) -> None:
    """Given a referral to two agencies, the paper of one says its own answer, and of the other nothing: it answers the sender alone."""
    async with desk_of("vac", tmp_path) as here, browsing(here, member()) as browser:
        await came(here, "case.signal_recorded", SIGNAL)
        for receiver in ("vac", "fund"):
            await came(here, "consent.given", CONSENT | {"receivers": [receiver]})
        await came(here, "referral.submitted", REFERRAL | {"to": ["fund", "vac"]}, referral=REF)
        await here.settle()
        await here.registered(type="referral.accepted", ref=REF, data={"next_step": "plan"})
        paper = await shown(here, browser, PAPER, **COPY, language="en", says="all")

    assert paper.text.count("It has said yes.") == 1
    assert "It has not answered yet." not in paper.text


async def test_the_copy_of_a_child_whom_others_referred_says_nothing_of_the_answer(tmp_path: Path) -> None:
    """Given a child who was referred to the special unit, then the paper of guardianship, which hears no answer, says nothing of it."""
    bodies = {"to": ["child-commission", "guardianship"], "basis": "stated_age"}
    sent = {**REFERRAL, "to": ["special-unit"], "reason": "ChildSafeguarding", "child": True}
    async with desk_of("guardianship", tmp_path) as here, browsing(here, member()) as browser:
        await came(here, "safeguard.child_flagged", bodies)
        await came(here, "referral.submitted", sent, referral=REF, legalbasis="CoM 21/2008 art. 7")
        paper = await shown(here, browser, PAPER, **COPY, language="en", says="all")

    assert "<h2>special-unit</h2>" in paper.text
    assert "It has not answered yet." not in paper.text


async def test_a_paper_that_somebody_may_find_has_names_and_numbers_alone(tmp_path: Path) -> None:
    """Given a person who cannot carry more, the paper does not say what the agencies do, or that there is a case."""
    async with at_vac(tmp_path, member()) as (here, browser, _):
        paper = (await shown(here, browser, PAPER, **COPY, language="en", says="contacts")).text.partition("<main")[2]
        assert await copies(here) == [{"form": "addresses", "paper_language": "eng"}]

    assert "<h2>vac</h2>" in paper
    for word in ("Legal aid", "Victim", "referral", CASE, "told"):
        assert word not in paper


async def test_the_address_of_the_person_s_copy_says_nothing_of_her(tmp_path: Path) -> None:
    """Given a browser that prints the address on the paper, then it has neither case nor referral; a form with a mistake, in each language, leads there too."""
    async with at_vac(tmp_path, member()) as (here, browser, _):
        asked = await browser.get(f"{AT}/referrals/{REF}/copy")
        wrong = await shown(here, browser, PAPER, **COPY)
        paper = await shown(here, browser, PAPER, **COPY, says="contacts", language="ru")

    for page in (asked, wrong):
        assert set(re.findall(r'action="([^"?]+)', page.text.partition('id="kept"')[2])) == {PAPER}
        assert set(re.findall(r'formaction="([^"?]+)', page.text)) == {PAPER}
        assert f'name="case" value="{CASE}"' in page.text
        assert f'name="referral" value="{REF}"' in page.text
    assert (asked.status_code, wrong.status_code, paper.status_code) == (200, 422, 200)


async def test_the_case_sheet_has_the_course_of_the_case_and_is_recorded(tmp_path: Path) -> None:
    """Given a purpose, the sheet shows status, agencies, deadlines and events, and says under which number it is on record."""
    async with at_vac(tmp_path, member()) as (here, browser, _):
        sheet = (await shown(here, browser, f"{AT}/sheet", purpose="court")).text

        assert all(words in sheet for words in (CASE, "Suspected", "Signal recorded", "Has not answered yet"))
        assert "number 4711. Purpose: for a court or the prosecution. Recorded as number 5." in sheet
        assert CANARY not in sheet
        assert "nrm-header" not in sheet
        assert await handed_on(here) == [("export", "court")]


@pytest.mark.parametrize(
    ("path", "form"), [(PAPER, {**COPY, "language": "en", "says": "all"}), (f"{AT}/sheet", {"purpose": "court"})]
)
async def test_nothing_is_shown_before_it_is_recorded(
    path: str, form: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a registrar that does not answer, and a desk that is killed meanwhile, there is no paper."""
    monkeypatch.setattr("nrmbus.desk.access.opening.WITHIN_SECONDS", 0.0)
    async with at_vac(tmp_path, member()) as (_, browser, _):
        late = await browser.post(path, data=form)

        async def killed(*_: object) -> None:
            raise RuntimeError(CANARY)

        monkeypatch.setattr(Door, "put_on_record", killed)
        dead = await browser.post(path, data=form)

    assert (late.status_code, dead.status_code) == (503, 500)
    assert "Nothing was printed" in late.text
    assert not any("nrm-paper" in each.text for each in (late, dead))


async def test_without_a_choice_nothing_is_recorded(tmp_path: Path) -> None:
    """Given a form with nothing chosen, or another language, the page asks again."""
    async with at_vac(tmp_path, member()) as (here, browser, _):
        answers = [
            await shown(here, browser, PAPER, **COPY, language="de", says="all"),
            await shown(here, browser, PAPER, **COPY, language="en"),
            await shown(here, browser, f"{AT}/sheet"),
        ]

        assert {each.status_code for each in answers} == {422}
        assert await handed_on(here) == []
        assert await copies(here) == []
