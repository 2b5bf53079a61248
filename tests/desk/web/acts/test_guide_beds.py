"""The guide where a bed is all that is asked for: a request for a bed has no letter, and the referral to the shelter follows."""

import asyncio
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from desk.given import desk_of
from desk.web.acts.test_guide import ADULT, CHILD, led, sent
from desk.web.acts.test_pages import heading
from desk.web.browsing import browsing, gone, member
from nrmbus.desk.erasure import rounds
from nrmbus.events.referral import ReferralSubmitted
from patience import eventually

BED: dict[str, dict[str, Any]] = {
    **{page: said for page, said in ADULT.items() if page != "letter"},
    "need": {"guide.services": ["safe_shelter"]},
    "help": {"guide.to": ["shelter"]},
    "consent": {**ADULT["consent"], "guide.sharing": ["shelter"], "guide.accepts": ["shelter"]},
}
BED_OF_CHILD: dict[str, dict[str, Any]] = {
    **{page: said for page, said in BED.items() if page != "consent"},
    "person": {**CHILD["person"], "guide.language": "rus", "guide.interpreter": "yes"},
}


@pytest.mark.parametrize("answers", [BED, BED_OF_CHILD], ids=["adult", "child"])
async def test_where_only_a_bed_is_asked_for_the_referral_is_kept_for_afterwards(
    tmp_path: Path, answers: dict[str, dict[str, Any]]
) -> None:
    """Given a shelter that is asked for a bed and nobody else, then there is no empty page of a letter, the check says what the shelter reads, and the sent page leads to the referral, which has the interpreter's language."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        check = await led(browser, answers)
        page = (await browser.get(check)).text
        done = await here.during(browser.post(check.replace("/check", "/send")))
        await here.settle()
        last = await browser.get(done.headers["location"])
        begun = re.search(r'href="/app(/acts/[^"/]+)/what">Refer the person', last.text)
        assert begun
        what, letter = [(await browser.get(f"/app{begun[1]}/{each}")).text for each in ("what", "letter")]

        assert "The Rules do not allow" not in page
        assert "A request for a bed has no letter" in page
        assert heading(last) == "Registered"
        assert "shelter.bed_requested" in [type for type, _, _ in await sent(here)]
        assert ReferralSubmitted.type not in [type for type, _, _ in await sent(here)]
        assert re.search(r'name="data.to"[^>]*value="shelter"[^>]* checked', what)
        assert re.search(r'name="sealed.interpreter"[^>]*value="rus"', letter)


async def test_the_referral_is_kept_where_the_desk_ends_before_the_registrar_answers(tmp_path: Path) -> None:
    """Given a guide that asks for a bed alone, when its sending is cut off while it waits for the registrar, then the draft of the referral is there, also after the guide's own draft has ended."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        check = await led(browser, BED_OF_CHILD)
        sending = asyncio.ensure_future(browser.post(check.replace("/check", "/send")))
        await eventually("the events are in the outbox", partial(here.rows, "outbox"))
        sending.cancel()
        await asyncio.wait([sending])
        await here.settle()
        await rounds.end_drafts(here.desk.seat)
        (kept,) = await here.rows("drafts")
        letter = (await browser.get(f"/app/acts/{kept.id}/letter")).text

        assert {verdict for _, _, verdict in await sent(here)} == {"registered"}
        assert kept.type == ReferralSubmitted.type
        assert re.search(r'name="sealed.interpreter"[^>]*value="rus"', letter)


async def test_a_guide_that_refers_the_person_begins_no_other_referral(tmp_path: Path) -> None:
    """Given a guide with a bed and a referral, then the letter has its page, and nothing is left to be sent."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        check = await led(browser, ADULT)
        page = (await browser.get(check)).text
        done = await here.during(browser.post(check.replace("/check", "/send")))
        await here.settle()
        await browser.get(done.headers["location"])

        assert "A request for a bed has no letter" not in page
        assert await here.rows("drafts") == []


async def test_the_deciding_body_is_not_told_to_tell_itself(tmp_path: Path) -> None:
    """Given the guide at the special unit, then its page of help does not say that the special unit must be told; of a child it still says who hears."""
    pages = []
    async with desk_of("special-unit", tmp_path) as here, browsing(here, member()) as browser:
        for answers in (BED, BED_OF_CHILD):
            check = await led(browser, {page: answers[page] for page in answers})
            pages.append((await browser.get(check.replace("/check", "/help"))).text)
            await browser.post(check.replace("/check", "/delete"))

    assert ["must be told in time" in each for each in pages] == [False, False]
    assert ["The guardian bodies are told with this report." in each for each in pages] == [False, True]


async def test_what_an_age_rests_on_is_not_called_optional(tmp_path: Path) -> None:
    """Given the guide's page about the person, then the question that a child's age needs is not called optional beside the hint that it is needed."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        check = await led(browser, ADULT)
        page = (await browser.get(check.replace("/check", "/person"))).text

    asked = page.partition("What does this rest on?")[2][:400]
    assert "(optional)" not in asked
    assert "eeded for a child or an unclear age" in asked


async def test_a_child_of_whom_a_guardian_body_cannot_hear_has_neither_a_bed_nor_a_referral(tmp_path: Path) -> None:
    """Given a child's request for a bed, when a guardian body is suspended, then nothing is kept for after an offer."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        check = await led(browser, BED_OF_CHILD)
        gone(here, "guardianship", "suspended")
        page = (await browser.get(check)).text
        done = await here.during(browser.post(check.replace("/check", "/send")))
        await here.settle()
        await browser.get(done.headers["location"])

        assert "Nobody is referred yet" in page
        assert "A request for a bed has no letter" not in page
        assert await here.rows("drafts") == []
