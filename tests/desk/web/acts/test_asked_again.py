"""Asking again: a new record has a reference of its own, and an answer under a used reference is about the newest record."""

import json
import re
from html import unescape
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from agencies import CASE, SIGNAL
from desk.given import BED, CANARY, REF, Given, desk_of
from desk.web.acts.test_pages import ANSWERS, LETTER, begun, filled, heading, hear_a_case, with_case
from desk.web.browsing import browsing, member
from desk.web.cases.given import REFERRAL, SEALED, at_vac, came

ORDER: Final[dict[str, Any]] = {
    "kind": "other_financial_assistance", "amount": {"value": "300.00", "currency": "AZN"}, "payee": "person",
}  # fmt: skip
ORDERED: Final = {
    "data.kind": ORDER["kind"], "data.amount.value": "300.00", "data.amount.currency": "AZN", "data.payee": "person",
}  # fmt: skip
GRANT: Final = {"purpose": "social_rehabilitation", "amount_band": "up_to_1000", "source": "contributions"}


async def sent(
    here: Given, browser: httpx.AsyncClient, type: str, ref: str, answers: dict[str, Any], *letter: dict[str, Any]
) -> httpx.Response:
    """Begin the step *type* from a row with *ref*, fill in its pages and send the event; return the page of the outcome."""
    at = await begun(browser, type, ref)
    for page in (answers, *letter):
        at = str((await filled(browser, at, page)).headers["location"])
    shown = await browser.get(at)
    if shown.status_code != 200:
        return shown
    done = await here.during(browser.post(at.replace("/check", "/send"), data={"go": "anyway"}))
    return await browser.get(done.headers["location"])


async def references(here: Given, type: str) -> list[str | None]:
    """Return the reference of each event of *type* in the outbox."""
    return [json.loads(row.clear).get("referral") for row in await here.rows("outbox") if row.type == type]


def row_forms(page: httpx.Response) -> list[tuple[str, str]]:
    """Return type and reference of the next step of each row of a list."""
    return re.findall(r'/acts/([\w.]+)"><input type="hidden" name="ref" value="([\w-]*)"', page.text)


async def test_a_second_referral_gets_a_reference_of_its_own(tmp_path: Path) -> None:
    """Given a declined referral, when the row leads to the next referral, then the next one has another reference."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await with_case(here)
        await here.registered(type="referral.submitted", ref=REF, data=REFERRAL)
        await came(
            here, "referral.declined", {"reason": "no_capacity", "declined_by": "provider"}, by="vac", referral=REF
        )
        assert ("referral.submitted", REF) in row_forms(await browser.get("/app/work"))

        done = await sent(here, browser, "referral.submitted", REF, {**ANSWERS, "data.to": ["vac"]}, LETTER)
        before, again = await references(here, "referral.submitted")

    assert heading(done) == "Registered"
    assert before == REF
    assert again not in {None, REF}


@pytest.mark.parametrize(
    "type", ["referral.submitted", "shelter.bed_requested", "stay.hold_requested", "review.requested"]
)
async def test_a_step_that_begins_a_record_reads_nothing_of_another_one(tmp_path: Path, type: str) -> None:
    """Given a row about a referral whose next step begins something, then its form is about no record and shows no question."""
    agency = "ngo-a" if type == "review.requested" else "special-unit"
    async with desk_of(agency, tmp_path) as here, browsing(here, member()) as browser:
        await hear_a_case(here)
        page = await browser.get(await begun(browser, type, REF))
        (draft,) = await here.rows("drafts")

    assert page.status_code == 200
    assert 'id="asked"' not in page.text
    assert draft.ref == ""


async def test_an_agency_that_is_asked_again_under_the_same_reference_answers_again(tmp_path: Path) -> None:
    """Given a declined referral, when another one comes, then the page shows the new request, and the agency accepts."""
    async with at_vac(tmp_path, member()) as (here, browser, _):
        said = {"data.reason": "no_capacity", "data.declined_by": "provider"}
        assert heading(await sent(here, browser, "referral.declined", REF, said)) == "Registered"
        urgent = {**REFERRAL, "urgency": "emergency", "services": ["psychosocial"]}
        newer = await came(here, "referral.submitted", urgent, parts=SEALED, opens=["vac"], referral=REF)
        await here.settle()

        page = await browser.get(f"/app/cases/{CASE}/referrals/{REF}")
        form = await browser.get(await begun(browser, "referral.accepted", REF))
        listed = await browser.get("/app/work")
        done = await sent(here, browser, "referral.accepted", REF, {"data.next_step": "reception"})
        second = await browser.get(
            (await filled(browser, await begun(browser, "referral.declined", REF), said)).headers["location"]
        )

    assert "Psychosocial" in page.text
    assert [f"letter={newer}" in each.text for each in (page, form)] == [True, True]
    assert f"/app/cases/{CASE}/referrals/{REF}" in listed.text
    assert heading(done) == "Registered"
    assert (second.status_code, heading(second)) == (409, "This was answered already")


async def test_a_bed_that_is_asked_for_under_the_reference_of_a_referral_shows_its_own_letter(tmp_path: Path) -> None:
    """Given a referral and a request for a bed with one reference, then each answer reads its own request."""
    place = {**REFERRAL, "to": ["shelter"], "services": ["safe_shelter"]}
    async with desk_of("shelter", tmp_path) as here, browsing(here, member()) as browser:
        await came(here, "case.signal_recorded", SIGNAL)
        story: dict[str, Any] = {"parts": {"story": {"facts": CANARY}}, "opens": ["shelter"], "referral": REF}
        referral = await came(here, "referral.submitted", place, **story)
        coded: dict[str, Any] = {"parts": {"coded": {"category": "women"}}, "opens": ["shelter"], "referral": REF}
        bed = await came(here, "shelter.bed_requested", BED, by="special-unit", **coded)
        await here.settle()
        pages = [
            await browser.get(await begun(browser, type, REF)) for type in ("referral.declined", "shelter.bed_refused")
        ]

    letters = [re.findall(r"letters\?letter=([\w-]+)", unescape(page.text)) for page in pages]
    assert letters == [[referral], [bed]]


@pytest.mark.parametrize("granted", [True, False], ids=["of a grant", "without a grant"])
async def test_money_that_came_back_is_ordered_again_and_paid(tmp_path: Path, *, granted: bool) -> None:
    """Given a failed payment that is ordered again, then its execution is recorded; the order of a grant keeps the grant."""
    async with desk_of("fund", tmp_path) as here, browsing(here, member()) as browser:
        await came(here, "case.signal_recorded", SIGNAL)
        if granted:
            await here.registered(type="fund.compensation_granted", ref=REF, data=GRANT)
        await here.registered(type="payment.ordered", ref=REF, data=ORDER)
        await here.registered(type="payment.failed", ref=REF, data={"kind": ORDER["kind"]})

        await sent(here, browser, "payment.ordered", REF, ORDERED, {})
        before, again = await references(here, "payment.ordered")
        ref = dict(row_forms(await browser.get("/app/work")))["payment.executed"]
        done = await sent(here, browser, "payment.executed", ref, {"data.kind": ORDER["kind"]})

    assert before == REF
    assert again is not None
    assert (again == REF) is granted
    assert (ref, heading(done)) == (again, "Registered")


async def test_a_payment_without_a_reference_is_recorded_from_its_row(tmp_path: Path) -> None:
    """Given a system's order without a reference, then the row of the order leads to a registered payment."""
    async with desk_of("fund", tmp_path) as here, browsing(here, member()) as browser:
        await came(here, "case.signal_recorded", SIGNAL)
        await here.registered(type="payment.ordered", data=ORDER)
        ((type, ref),) = row_forms(await browser.get("/app/work"))
        done = await sent(here, browser, type, ref, {"data.kind": ORDER["kind"]})

    assert (type, heading(done)) == ("payment.executed", "Registered")


async def test_of_two_payments_of_a_kind_the_one_of_the_row_is_paid_once(tmp_path: Path) -> None:
    """Given a system's order without a reference and a later one, then the row of the first pays the first, and a colleague who does it again is told."""
    async with desk_of("fund", tmp_path) as here, browsing(here, member()) as browser:
        await came(here, "case.signal_recorded", SIGNAL)
        await here.registered(type="payment.ordered", data=ORDER)
        await here.registered(type="payment.ordered", ref=REF, data=ORDER)
        first = (await here.rows("outbox"))[0].id
        rows = row_forms(await browser.get("/app/work"))
        said = {"data.kind": ORDER["kind"]}
        done = await sent(here, browser, "payment.executed", first, said)
        left = row_forms(await browser.get("/app/work"))
        again = (await filled(browser, await begun(browser, "payment.executed", first), said)).headers["location"]
        second = await browser.get(again)

    assert sorted(rows) == sorted((("payment.executed", first), ("payment.executed", REF)))
    assert heading(done) == "Registered"
    assert left == [("payment.executed", REF)]
    assert (second.status_code, heading(second)) == (409, "This was answered already")


async def test_of_two_grants_the_one_of_the_row_is_ordered(tmp_path: Path) -> None:
    """Given two grants of a system without references, then the row of the later one orders the money of the later one."""
    async with desk_of("fund", tmp_path) as here, browsing(here, member()) as browser:
        await came(here, "case.signal_recorded", SIGNAL)
        for _ in range(2):
            await here.registered(type="fund.compensation_granted", data=GRANT)
        first, second = (row.id for row in await here.rows("outbox"))
        await sent(here, browser, "payment.ordered", second, ORDERED, {})
        rows = row_forms(await browser.get("/app/work"))

    assert ("payment.ordered", first) in rows
    assert ("payment.ordered", second) not in rows
