"""What a new form proposes, and what it shows of the request that it answers."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from agencies import CASE, SIGNAL
from desk.given import CANARY, REF, Given, desk_of
from desk.web.acts.test_pages import begun, filled, heading, hear_a_case
from desk.web.browsing import browsing, gone, member
from desk.web.cases.given import CONSENT, REFERRAL, TAKEN_BACK, came
from nrmbus.directory.entry import Kind

HOLD: dict[str, Any] = {"to": ["migration"], "ground": "identification", "until_days": 45}


def chosen(page: httpx.Response, name: str) -> list[str]:
    """Return the values of the buttons and boxes *name* that are ticked."""
    ticked = (
        each for each in re.findall(r"<input[^>]*>", page.text) if f'name="{name}"' in each and " checked" in each
    )
    return [found[1] for each in ticked if (found := re.search(r'value="([^"]*)"', each))]


async def hear_of_a_hold(here: Given) -> None:
    """Have the desk of the migration service receive a request for a hold, with a letter."""
    registrar, me = here.registrar, here.desk.seat.me
    await here.hear(registrar.register(registrar.event("special-unit", "case.signal_recorded", SIGNAL), to=me))
    letter = {"identity": {"name": CANARY}}
    hold = registrar.event("special-unit", "stay.hold_requested", HOLD, parts=letter, opens=[me], referral=REF)
    await here.hear(registrar.register(hold, to=me))


async def test_the_next_stage_and_the_body_that_decides_are_chosen(tmp_path: Path) -> None:
    """Given a case before its first stage, the form has the first stage, and the special unit decides as police."""
    who = member("read_cases", "publish", "decide")
    async with desk_of("special-unit", tmp_path) as here, browsing(here, who) as browser:
        await hear_a_case(here)
        stage = await browser.get(await begun(browser, "identification.stage_entered"))
        status = await browser.get(await begun(browser, "identification.status_decided"))

    assert chosen(stage, "data.stage") == ["initial_assistance"]
    assert chosen(status, "data.deciding_body") == ["Police"]
    assert chosen(status, "data.status") == []


async def test_the_only_agency_that_may_be_asked_is_chosen(tmp_path: Path) -> None:
    """Given one migration service, a hold is asked of it; of several shelters none is chosen."""
    async with desk_of("special-unit", tmp_path) as here, browsing(here, member()) as browser:
        await hear_a_case(here)
        hold = await browser.get(await begun(browser, "stay.hold_requested"))
        bed = await browser.get(await begun(browser, "shelter.bed_requested"))

    assert (chosen(hold, "data.to"), chosen(hold, "data.ground")) == (["migration"], ["identification"])
    assert chosen(bed, "data.to") == []


def offered(page: httpx.Response, agency: str) -> str:
    """Return the words of the box of *agency* among the receivers on *page*; empty without one."""
    box = re.search(rf'name="data.receivers"[^>]*value="{agency}".*?<label[^>]*>(.*?)</label>', page.text, re.DOTALL)
    return box[1].strip() if box else ""


@pytest.mark.parametrize(
    ("kind", "said"),
    [("suspended", "vac (victim assistance centre) – suspended"), ("retired", "vac (victim assistance centre) – has left")],
)  # fmt: skip
async def test_consent_to_an_agency_that_is_suspended_or_has_left_can_be_taken_back(
    tmp_path: Path, kind: Kind, said: str
) -> None:
    """Given a consent whose receiver is suspended or has left, when the person withdraws or refuses, then the form offers that agency and says so; nobody consents to it, and the withdrawal is registered."""
    who = member("read_cases", "publish", "decide")
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, who) as browser:
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        await here.registered(type="consent.given", data=CONSENT)
        gone(here, "vac", kind)
        ends, begins = ["consent.refused", "consent.withdrawn"], "consent.given"
        at = {type: await begun(browser, type) for type in (*ends, begins)}
        pages = {type: await browser.get(address) for type, address in at.items()}
        typed = {"data.purposes": TAKEN_BACK["purposes"], "data.receivers": ["vac"]}
        check = (await filled(browser, at["consent.withdrawn"], typed)).headers["location"]
        done = await here.during(browser.post(check.replace("/check", "/send")))

        assert {type: offered(page, "vac") for type, page in pages.items()} == {**dict.fromkeys(ends, said), begins: ""}
        assert "–" not in offered(pages["consent.withdrawn"], "ngo-l")
        assert heading(await browser.get(done.headers["location"])) == "Registered"


async def test_access_of_a_suspended_agency_can_be_ended(tmp_path: Path) -> None:
    """Given an agency that is suspended after a theft, then the special unit can still end its access to the case."""
    who = member("read_cases", "publish", "decide", "approve")
    async with desk_of("special-unit", tmp_path) as here, browsing(here, who) as browser:
        await hear_a_case(here)
        gone(here, "ngo-a", "suspended")
        page = await browser.get(await begun(browser, "access.revoked"))

    assert offered(page, "ngo-a").endswith(" – suspended")


async def test_of_a_child_the_procedure_and_the_kind_of_bed_are_chosen(tmp_path: Path) -> None:
    """Given the case of a child, a referral says so and a bed for children is asked for; of an adult neither is chosen."""
    found = []
    for child in (True, False):
        async with desk_of("ngo-a", tmp_path / str(child)) as here, browsing(here, member()) as browser:
            await here.registered(type="case.signal_recorded", data={**SIGNAL, "child": child})
            referral = await browser.get(await begun(browser, "referral.submitted"))
            bed = await begun(browser, "shelter.bed_requested")
            asked = {"data.to": ["shelter"], "data.urgency": "urgent"}
            letter = await browser.get((await filled(browser, bed, asked)).headers["location"])
            found.append((chosen(referral, "data.child"), chosen(letter, "sealed.category")))

    assert found == [(["yes"], ["children"]), ([], [])]


async def test_an_answer_shows_what_was_asked_and_begins_with_it(tmp_path: Path) -> None:
    """Given a request for a hold of 45 days, its form says so, leads to the letter, and may be answered with another number."""
    async with desk_of("migration", tmp_path) as here, browsing(here, member()) as browser:
        await hear_of_a_hold(here)
        at = await begun(browser, "stay.hold_confirmed", REF)
        page = await browser.get(at)
        check = await browser.get((await filled(browser, at, {"data.until_days": "30"})).headers["location"])

    asked = page.text.partition('id="asked"')[2].partition("</section>")[0]
    assert "What is asked" in asked
    assert "Identification" in asked
    assert ">45<" in asked
    assert f"/app/cases/{CASE}/letters" in asked
    assert re.search(r'name="data.until_days"[^>]*value="45"', page.text)
    assert CANARY not in page.text
    assert "30" in check.text.partition("Calendar days")[2][:300]


async def test_the_answer_to_a_question_is_about_what_was_asked(tmp_path: Path) -> None:
    """Given two questions about a referral of this agency, the form of an answer shows the newer one, is about it, leads to its words, and is not sent without an answer."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        await here.registered(type="consent.given", data=CONSENT)
        await here.registered(type="referral.submitted", ref=REF, data=REFERRAL)
        words = {"parts": {"story": {"notes": CANARY}}, "opens": ["ngo-a"], "version": 2}
        await came(here, "referral.info_requested", {"question": "language"}, by="vac", referral=REF)
        id = await came(here, "referral.info_requested", {"question": "documents"}, by="vac", referral=REF, **words)
        at = await begun(browser, "referral.info_supplied", REF)
        page = await browser.get(at)
        letter = at.replace("/what", "/letter")
        empty, said = await filled(browser, letter, {}), await filled(browser, letter, {"sealed.answer": CANARY})

    assert (empty.status_code, said.status_code) == (422, 303)
    assert 'href="#sealed-answer"' in empty.text
    asked = page.text.partition('id="asked"')[2].partition("</section>")[0]
    assert ("Papers" in asked, "Language" in asked) == (True, False)
    assert f"/app/cases/{CASE}/letters?letter={id}" in asked
    assert chosen(page, "data.question") == ["documents"]
    assert CANARY not in page.text


async def overdue(here: Given) -> None:
    """Give the desk of the NGO that referred a case in which another NGO has not confirmed in time that it stopped."""
    to = {"receivers": ["ngo-l"]}
    await here.registered(type="case.signal_recorded", data=SIGNAL)
    await here.ask(type="consent.given", data=CONSENT | to)
    await here.settle()
    await here.registered(type="referral.submitted", ref=REF, data={**REFERRAL, "to": ["ngo-l"]})
    await came(here, "referral.accepted", {"next_step": "needs_assessment"}, by="ngo-l", referral=REF)
    await here.ask(type="consent.withdrawn", data=TAKEN_BACK | to)
    await here.settle()
    with here.desk.seat.ledger.read() as tx:
        coming = here.desk.seat.rules.due(here.desk.cases.view(tx, CASE))
    late = next(each for each in coming if each.rule == "D-STOP")
    said = dict(late.data.to_mapping())
    await came(here, late.type, said, by="timekeeper", referral=late.ref, causationid=late.cause)


async def test_an_overdue_confirmation_that_nobody_is_left_to_give_can_be_lifted(tmp_path: Path) -> None:
    """Given the breach, the case offers the step, its form names duty and agency, and a second person has to sign; before it does not."""
    who = member("read_cases", "publish", "decide")
    step = f'action="/app/cases/{CASE}/acts/deadline.lifted"'
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, who) as browser:
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        before = await browser.get(f"/app/cases/{CASE}")
    async with desk_of("ngo-a", tmp_path / "late") as here, browsing(here, who) as browser:
        await overdue(here)
        case = await browser.get(f"/app/cases/{CASE}")
        at = await begun(browser, "deadline.lifted")
        form = await browser.get(at)
        filled_in = {"data.rule": "D-STOP", "data.agency": "ngo-l", "data.ground": "agency_dissolved"}
        check = await browser.get((await filled(browser, at, filled_in)).headers["location"])

    assert (step in before.text, step in case.text) == (False, True)
    assert [
        re.search(rf'<option value="{each}"[^>]* selected', form.text) is not None for each in ("D-STOP", "ngo-l")
    ] == [True, True]
    assert "A second person has to sign" in check.text


async def test_the_order_of_a_grant_begins_with_what_the_grant_says(tmp_path: Path) -> None:
    """Given a grant for the rehabilitation of an adult, the order is of another kind than the allowance, to the person, in the country's money."""
    granted = {"purpose": "social_rehabilitation", "amount_band": "up_to_1000", "source": "contributions"}
    async with desk_of("fund", tmp_path) as here, browsing(here, member()) as browser:
        await came(here, "case.signal_recorded", SIGNAL)
        await here.registered(type="fund.compensation_granted", ref=REF, data=granted)
        page = await browser.get(await begun(browser, "payment.ordered", REF))

    assert chosen(page, "data.kind") == ["other_financial_assistance"]
    assert chosen(page, "data.payee") == ["person"]
    assert re.search(r'name="data.amount.currency"[^>]*value="AZN"', page.text)


async def test_who_may_not_open_letters_is_not_led_to_one(tmp_path: Path) -> None:
    """Given a member without that permission, the form shows what was asked, and no way to the letter."""
    who = member("read_cases", "publish")
    async with desk_of("migration", tmp_path) as here, browsing(here, who) as browser:
        await hear_of_a_hold(here)
        page = await browser.get(await begun(browser, "stay.hold_confirmed", REF))

    assert 'id="asked"' in page.text
    assert "/letters" not in page.text.partition('id="asked"')[2].partition("</section>")[0]
