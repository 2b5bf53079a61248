"""The page of a received referral: what is missing, what may be answered, and the answer."""

import re
from pathlib import Path

from agencies import CASE
from desk.given import CANARY, REF, desk_of
from desk.web.acts.test_pages import begun, filled, heading, hear_a_case
from desk.web.browsing import browsing, member
from nrmbus.wire import letter


async def test_a_received_referral_says_what_is_missing_and_what_may_be_answered(tmp_path: Path) -> None:
    """Given a referral without a letter, then its page has sender, due time once, what is missing, and the open answers."""
    who = member("read_cases", "publish", "decide")
    async with desk_of("special-unit", tmp_path) as here, browsing(here, who) as browser:
        await hear_a_case(here)
        page = await browser.get(f"/app/cases/{CASE}/referrals/{REF}")
        unknown = await browser.get(f"/app/cases/{CASE}/referrals/{'0' * 32}")

        assert (heading(page), unknown.status_code) == ("Answer a referral", 404)
        for words in (
            "ngo-a (NGO, outreach)",
            "Answer by",
            "No letter came with it",
            "Decline the referral",
            "Formal identification",
            "The sender hands it over",
        ):
            assert words in page.text
        (due,) = re.findall(r"Answer by ([^<]+)<", page.text)
        assert page.text.count(due) == 1
        assert page.text.index("What is asked") < page.text.index("Before you decide") < page.text.index("Your answer")
        assert f'name="ref" value="{REF}"' in page.text
        offered = re.findall(r"/acts/(referral\.\w+)\"", page.text)
        assert offered[:2] == ["referral.acknowledged", "referral.accepted"]
        assert offered[-1] == "referral.declined"


async def test_a_referral_that_was_answered_asks_for_no_answer(tmp_path: Path) -> None:
    """Given a referral that this agency declined, then its page is no page of an answer, and lists nothing to look at before one."""
    who = member("read_cases", "publish", "decide")
    async with desk_of("special-unit", tmp_path) as here, browsing(here, who) as browser:
        await hear_a_case(here)
        await here.ask(type="referral.declined", ref=REF, data={"reason": "no_capacity", "declined_by": "provider"})
        await here.settle()
        page = await browser.get(f"/app/cases/{CASE}/referrals/{REF}")

    assert heading(page) == "Referral submitted"
    assert "has declined" in page.text
    assert "Before you decide" not in page.text


async def test_a_refusal_may_have_a_reason_in_words(tmp_path: Path) -> None:
    """Given a worker who declines, then her sentence stands on the same page, sealed to the agency that asked and to nobody else."""
    who = member("read_cases", "publish", "decide")
    async with desk_of("special-unit", tmp_path) as here, browsing(here, who) as browser:
        await hear_a_case(here)
        at = await begun(browser, "referral.declined", REF)
        page = (await browser.get(at)).text
        assert "Page 1 of 2" in page
        assert "In your own words" in page
        assert "Can be read by:" in page
        assert "ngo-a" in page.partition('id="part-story"')[2]

        said = {"data.reason": "no_capacity", "data.declined_by": "provider", "sealed.notes": CANARY}
        check = (await filled(browser, at, said)).headers["location"]
        assert CANARY in (await browser.get(check)).text
        sent = await here.during(browser.post(check.replace("/check", "/send")))

        assert heading(await browser.get(sent.headers["location"])) == "Registered"
        (row,) = await here.rows("outbox")
        assert CANARY not in str(row)
        assert letter.Container.parse(row.letter).wraps("story").keys() == {"ngo-a", "special-unit"}


async def test_an_answer_that_was_given_is_not_offered_again(tmp_path: Path) -> None:
    """Given a worker who began to accept and then declines, then nothing leads back to the acceptance."""
    who = member("read_cases", "publish", "decide")
    async with desk_of("special-unit", tmp_path) as here, browsing(here, who) as browser:
        await hear_a_case(here)
        await begun(browser, "referral.accepted", REF)
        question = await begun(browser, "referral.info_requested", REF)
        at = await begun(browser, "referral.declined", REF)
        said = {"data.reason": "no_capacity", "data.declined_by": "provider"}
        check = (await filled(browser, at, said)).headers["location"]
        sent = await here.during(browser.post(check.replace("/check", "/send")))
        done = (await browser.get(sent.headers["location"])).text

        assert f'href="{question}"' in done
        assert "Accept the referral" not in done


async def test_an_answer_without_words_has_no_letter(tmp_path: Path) -> None:
    """Given a worker who writes nothing beside the code, then nothing is sealed, and the answer is registered."""
    who = member("read_cases", "publish", "decide")
    async with desk_of("special-unit", tmp_path) as here, browsing(here, who) as browser:
        await hear_a_case(here)
        at = await begun(browser, "referral.accepted", REF)
        check = (await filled(browser, at, {"data.next_step": "reception"})).headers["location"]
        sent = await here.during(browser.post(check.replace("/check", "/send")))

        done = await browser.get(sent.headers["location"])
        assert heading(done) == "Registered"
        assert [row.letter for row in await here.rows("outbox")] == [None]
        next_one = f'action="/app/cases/{CASE}/acts/identification.stage_entered"'
        assert done.text.count(next_one) == 1, "what ends the deadline that still runs"
        assert "/acts/referral." not in done.text.partition("<main")[2]
