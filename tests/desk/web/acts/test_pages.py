"""Doing something, as a person with a browser does it: choose, fill in, check, send, and see what became of it."""

import json
import re
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import httpx
import pytest

from agencies import CASE, SIGNAL
from desk.given import BED, CANARY, REF, Given, desk_of
from desk.web.browsing import browsing, member
from desk.web.cases.given import at_vac, came

CONSENT = {"purposes": ["information_sharing", "services"], "given_by": "individual", "form": "written"}
ANSWERS: dict[str, Any] = {
    "data.to": ["shelter", "vac"], "data.mode": "referral", "data.reason": "EmergencyProtection", "data.urgency": "urgent",
    "data.services": ["safe_shelter"], "legal_basis": "CoM 21/2008 art. 7",
}  # fmt: skip

BAKU: Final = ZoneInfo("Asia/Baku")
DECIDES: Final = member("read_cases", "publish", "decide")
LETTER = {"sealed.name": "Alina Example", "sealed.facts": CANARY}


async def with_case(here: Given) -> None:
    """Give the desk of an NGO a case, with consent for shelter and centre."""
    await here.registered(type="case.signal_recorded", data=SIGNAL)
    await here.ask(type="consent.given", data={**CONSENT, "receivers": ["shelter", "vac"]})
    await here.settle()


async def begun(browser: httpx.AsyncClient, type: str, ref: str = "") -> str:
    """Choose a step; return the address of its first page."""
    answer = await browser.post(f"/app/cases/{CASE}/acts/{type}", data={"ref": ref})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def filled(browser: httpx.AsyncClient, at: str, answers: dict[str, Any], *, go: str = "on") -> httpx.Response:
    """Fill in the page *at*, as its form says, and press the button *go*."""
    page = await browser.get(at)
    assert page.status_code == 200, page.headers
    version = re.search(r'name="version" value="(\d+)"', page.text)
    assert version is not None
    return await browser.post(at, data={"version": version[1], "go": go, **answers})


async def checked(browser: httpx.AsyncClient) -> str:
    """Fill in a referral up to its check page; return that page's address."""
    at = await begun(browser, "referral.submitted")
    at = (await filled(browser, at, ANSWERS)).headers["location"]
    assert at.endswith("/letter")
    return str((await filled(browser, at, LETTER)).headers["location"])


def heading(page: httpx.Response) -> str:
    """Return the first heading of the page."""
    found = re.search(r"<h1[^>]*>(.*?)</h1>", page.text, re.DOTALL)
    assert found is not None, page.text
    return unescape(found[1]).strip()


async def test_a_referral_goes_from_the_choice_to_its_number(tmp_path: Path) -> None:
    """Given a case, when a worker chooses, fills in, checks and sends, then the page says under which number it is registered."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await with_case(here)
        choose = await browser.get(f"/app/cases/{CASE}/acts")
        assert "Refer the person" in choose.text
        at = await checked(browser)
        page = await browser.get(at)
        assert (heading(page), page.status_code) == ("Check your answers", 200)
        assert "Alina Example" in page.text
        assert "Can be read by:" in page.text

        sent = await here.during(browser.post(at.replace("/check", "/send")))
        done = await browser.get(sent.headers["location"])

        assert heading(done) == "Registered"
        assert "Number 4" in done.text
        assert await here.rows("drafts") == []
        (row,) = [each for each in await here.rows("outbox") if each.type == "referral.submitted"]
        assert (row.verdict, row.id) == ("registered", at.split("/")[3])


async def test_a_refusal_of_the_rules_is_seen_before_sending(tmp_path: Path) -> None:
    """Given a referral without consent, then the check page says rule, article and what to do, and nothing is sent."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        at = await checked(browser)
        page = await browser.get(at)

        assert "G-32" in page.text
        assert "<title>Error:" in page.text
        again = await browser.post(at.replace("/check", "/send"))
        assert again.headers["location"] == at
        assert [each.type for each in await here.rows("outbox")] == ["case.signal_recorded"]


@pytest.mark.parametrize(("ahead", "page"), [(5, "check"), (6, "what")])
async def test_a_time_that_the_registrar_would_refuse_is_refused_by_its_form(
    tmp_path: Path, ahead: int, page: str
) -> None:
    """Given an event said to happen later than now, then its form names the time; five minutes are a difference of clocks."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await with_case(here)
        at, then = (
            await begun(browser, "referral.submitted"),
            here.clock.time.astimezone(BAKU) + timedelta(minutes=ahead),
        )
        parts = {"day": then.day, "month": then.month, "year": then.year, "clock": f"{then:%H:%M:%S}"}
        typed = {f"time.{name}": str(part) for name, part in parts.items()}
        answer = await filled(browser, at, ANSWERS | typed)
        if answer.status_code == 303:
            at = str((await filled(browser, answer.headers["location"], LETTER)).headers["location"])
            answer = await browser.get(at)

    said = "When it happened: this lies in the future. Give the day and time when it happened, or leave it empty"
    assert (said in answer.text, 'href="#time-day"' in answer.text) == (page == "what", page == "what")
    assert at.endswith(f"/{page}")


async def refused_by_the_wire(here: Given, browser: httpx.AsyncClient) -> dict[str, str]:
    """Accept a referral without saying when, let the registrar refuse its time; return the page that follows, by language."""
    await hear_a_case(here)
    at = await begun(browser, "referral.accepted", REF)
    check = (await filled(browser, at, {"data.next_step": "reception"})).headers["location"]
    sent = await browser.post(check.replace("/check", "/send"))
    (record,) = await here.out()
    await here.hear(here.registrar.refuse(record, "time_in_future", "W3"))
    return {each: (await browser.get(f"{sent.headers['location']}?lang={each}")).text for each in ("en", "az", "ru")}


async def test_a_desk_whose_clock_is_ahead_learns_it_from_the_refusal(tmp_path: Path) -> None:
    """Given a desk six minutes ahead and an event without a time, then its page does not blame the worker's time alone, and says whom to tell."""
    words = {
        "en": (
            "By the registrar&#39;s clock, the event happened or was recorded in the future.",
            "If the refusal comes again, the clock of this desk is ahead: tell your administrator.",
        ),
        "az": (
            "Qeydiyyat xidmətinin saatına görə, hadisə gələcəkdə baş verib və ya qeydə alınıb.",
            "İmtina təkrarlansa, bu proqramın saatı irəlidədir: administratorunuza bildirin.",
        ),
        "ru": (
            "По часам службы регистрации событие произошло или записано в будущем.",
            "Если снова придёт отказ, часы этой программы спешат: сообщите администратору.",
        ),
    }
    async with desk_of("special-unit", tmp_path) as here, browsing(here, DECIDES) as browser:
        here.clock.time = here.registrar.time + timedelta(minutes=6)
        pages = await refused_by_the_wire(here, browser)

    for language, said in words.items():
        assert [each for each in said if each not in pages[language]] == []


async def test_a_refusal_of_the_wire_says_what_to_do_and_leads_to_no_page(tmp_path: Path) -> None:
    """Given an event that the registrar refuses by a rule of the wire, then its page says what to do and names the rule, without a link, since no profile has it."""
    remedies = {
        "en": "Give the day and time when it happened",
        "az": "Nə vaxt baş verdiyini, gün və saatı yazın",
        "ru": "Укажите день и время, когда это произошло",
    }
    rules = {"en": "Rule W3", "az": "Qayda W3", "ru": "Правило W3"}
    async with desk_of("special-unit", tmp_path) as here, browsing(here, DECIDES) as browser:
        pages = await refused_by_the_wire(here, browser)

    for language, page in pages.items():
        assert remedies[language] in page
        assert "/rules/" not in page
        assert f"time_in_future · {rules[language]}</p>" in page


async def test_a_consent_that_another_agency_may_have_recorded_is_no_refusal(tmp_path: Path) -> None:
    """Given a case that another agency began, then the page says who decides, and the act is sent by its usual button."""
    async with at_vac(tmp_path, member()) as (here, browser, _):
        at = await begun(browser, "referral.submitted")
        at = (await filled(browser, at, {**ANSWERS, "data.to": ["ngo-l"]})).headers["location"]
        check = str((await filled(browser, at, LETTER)).headers["location"])
        page = await browser.get(check)
        assert "Your agency knows of no consent for this" in page.text
        assert "The Rules do not allow this now" not in page.text
        assert "<title>Error:" not in page.text

        sent = await here.during(browser.post(check.replace("/check", "/send"), data={"go": "anyway"}))
        done = await browser.get(sent.headers["location"])
        assert heading(done) == "Registered"
        assert re.findall(r'/acts/([a-z_.]+)"', done.text) == ["referral.accepted"], "what the work list names"


async def test_nobody_objects_to_a_consent_whose_last_day_is_over(tmp_path: Path) -> None:
    """Given two consents of which one ends on a day, then the form of an objection offers both on that day, and the other one on the next."""
    async with at_vac(tmp_path, member()) as (here, browser, _):
        services = CONSENT | {"receivers": ["vac"], "purposes": ["services"], "expires": "2026-03-10"}
        await came(here, "consent.given", services)
        found: list[int] = []
        form = await begun(browser, "consent.objected")
        for _ in range(2):
            here.clock.time = here.clock.time.replace(day=10 + len(found))
            found.append((await browser.get(form)).text.count("For vac, recorded by ngo-a"))

    assert found == [2, 1]


async def test_a_missing_consent_is_recorded_first_and_the_referral_is_still_there(tmp_path: Path) -> None:
    """Given a referral that lacks consent, when the offered consent is sent, then its page leads back, and the referral goes."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        at = await checked(browser)
        page = await browser.get(at)
        assert f'action="/app/cases/{CASE}/acts/consent.given"' in page.text

        consent = await begun(browser, "consent.given")
        given = {f"data.{name}": value for name, value in CONSENT.items() if isinstance(value, str | list)}
        check = (await filled(browser, consent, {**given, "data.receivers": ["shelter", "vac"]})).headers["location"]
        sent = await here.during(browser.post(check.replace("/check", "/send")))
        done = await browser.get(sent.headers["location"])

        assert heading(done) == "Registered"
        assert re.search(rf'href="{at.rpartition("/")[0]}/\w+">Refer the person', done.text)
        assert "The Rules do not allow" not in (await browser.get(at)).text


async def test_what_was_typed_is_still_there_after_a_refusal(tmp_path: Path) -> None:
    """Given a refusal of the registrar, then code, rule and answers are shown, and a second try is a new event."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await with_case(here)
        at = await checked(browser)
        sending = await browser.post(at.replace("/check", "/send"))
        waiting = await browser.get(sending.headers["location"])
        assert heading(waiting) == "Not registered yet"
        (record,) = await here.out()
        await here.hear(here.registrar.refuse(record, "consent_withdrawn", "G-31"))

        refused = await browser.get(sending.headers["location"])
        assert heading(refused) == "Refused"
        assert "G-31" in refused.text
        assert CANARY in refused.text
        again, clicked_twice = [await browser.post(at.replace("/check", "/again")) for _ in range(2)]

        assert again.headers["location"] != at
        assert CANARY in (await browser.get(again.headers["location"])).text
        assert heading(await browser.get(clicked_twice.headers["location"])) == "Refused"
        assert len(await here.rows("drafts")) == 1


async def test_another_language_keeps_what_was_typed(tmp_path: Path) -> None:
    """Given a page half filled in, then a language is a button of its form: the draft is saved, and its page comes unjudged."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await with_case(here)
        at = await begun(browser, "referral.submitted")
        assert f'form="kept" formaction="{at}?lang=ru"' in (await browser.get(at)).text
        left = await filled(browser, f"{at}?lang=ru", {"data.reason": "EmergencyProtection"}, go="language")
        page = await browser.get(left.headers["location"])

        assert (left.status_code, left.headers["location"]) == (303, at)
        assert ('<html lang="ru"' in page.text, page.status_code) == (True, 200)
        assert re.search(r'value="EmergencyProtection"\s+(checked|selected)', page.text)
        # A page whose draft another tab has changed keeps its words too.
        passed = await browser.post(f"{at}?lang=az", data={"version": "0", "go": "language", "data.reason": "Custody"})
        assert (passed.status_code, '<html lang="az"' in passed.text) == (409, True)
        assert 'name="data.reason" value="Custody"' in passed.text


async def test_what_does_not_fit_is_said_at_its_field(tmp_path: Path) -> None:
    """Given a page with faults, then the summary leads to each field, and what was typed stays."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await with_case(here)
        at = await begun(browser, "referral.submitted")
        wrong = await filled(
            browser, at, {**ANSWERS, "data.to": [], "time.day": "31", "time.month": "2", "time.year": "2026"}
        )

        assert wrong.status_code == 422
        assert 'href="#data-to"' in wrong.text
        assert 'href="#time-day"' in wrong.text
        assert "<title>Error:" in wrong.text
        assert re.search(r'value="urgent"\s+checked', wrong.text)
        assert re.search(r'name="time.day"[^>]*value="31"', wrong.text)


async def test_readers_follow_from_the_recipients(tmp_path: Path) -> None:
    """Given recipients on the first page, then the letter's page names those who will read each part."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await with_case(here)
        at = (await filled(browser, await begun(browser, "referral.submitted"), ANSWERS)).headers["location"]
        page = await browser.get(at)
        part = page.text.partition('id="part-identity"')[2].partition("</p>")[0]

        assert "shelter (state shelter)" in part
        assert "vac (victim assistance centre)" in part


async def test_fields_that_no_receiver_may_read_are_folded_away_until_something_stands_there(tmp_path: Path) -> None:
    """Given a referral to the fund, which reads no story, its fields are folded; with words from before they are open, since they have to go."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await with_case(here)
        at = (
            await filled(browser, await begun(browser, "referral.submitted"), ANSWERS | {"data.to": ["fund"]})
        ).headers["location"]
        folded = (await browser.get(at)).text
        await filled(browser, at, LETTER, go="later")
        opened = (await browser.get(at)).text

    story = [page.partition('id="part-story"')[2].partition("</section>")[0] for page in (folded, opened)]
    assert ["<details" in each for each in story] == [True, False]
    assert all("leave it empty" in each for each in story)


async def test_every_step_of_a_case_has_a_form_in_every_language(tmp_path: Path) -> None:
    """Given any step that the agency may take, then its pages are shown, and no title or address tells of the case."""
    async with (
        desk_of("special-unit", tmp_path) as here,
        browsing(here, member("read_cases", "publish", "decide")) as browser,
    ):
        await hear_a_case(here)
        choose = await browser.get(f"/app/cases/{CASE}/acts")
        steps = set(re.findall(r"/acts/([a-z_]+\.[a-z_]+)\"", choose.text))
        assert len(steps) > 5
        for step in steps:
            at = await begun(browser, step, REF)
            for lang in ("az", "en", "ru"):
                page = await browser.get(f"{at}?lang={lang}")
                assert page.status_code == 200
                assert CASE not in page.text.partition("<title>")[2].partition("</title>")[0]


async def hear_a_case(here: Given) -> None:
    """Have the desk of the special unit receive a signal and a referral."""
    me = here.desk.seat.me
    signal = here.registrar.event("ngo-a", "case.signal_recorded", SIGNAL)
    await here.hear(here.registrar.register(signal, to=me))
    consent = here.registrar.event("ngo-a", "consent.given", {**CONSENT, "receivers": [me]})
    await here.hear(here.registrar.register(consent, to=me))
    said = {"to": [me], "mode": "transfer", "reason": "FormalIdentification", "urgency": "urgent", "services": []}
    referral = here.registrar.event("ngo-a", "referral.submitted", said, referral=REF, legalbasis="CoM 21/2008 art. 7")
    await here.hear(here.registrar.register(referral, to=me))


async def test_a_case_that_is_not_here_is_the_one_404(tmp_path: Path) -> None:
    """Given another agency's case, an unknown draft, or a step that the agency never takes, the answer is the same."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await with_case(here)
        other = "cd" * 16
        answers = [
            await browser.get(f"/app/cases/{other}/acts"),
            await browser.post(f"/app/cases/{other}/acts/referral.submitted"),
            await browser.post(f"/app/cases/{CASE}/acts/letter.opened"),
            await browser.post(f"/app/cases/{CASE}/acts/identification.status_decided"),
            await browser.get("/app/acts/01930000-0000-7000-8000-000000000000/what"),
            await browser.post("/app/acts/01930000-0000-7000-8000-000000000000/what"),
        ]

    assert {each.status_code for each in answers[:4]} == {404}
    assert len({each.text.partition("<main")[2] for each in answers[:4]}) == 1


DECIDED: Final = ("identification.status_decided", "access.revoked", "deadline.lifted")


@pytest.mark.parametrize("step", DECIDED)
async def test_what_decides_about_a_person_needs_the_permission(tmp_path: Path, step: str) -> None:
    """Given a member who may publish and not decide, then the step is the 404 of a step that there is not; with the permission its form begins."""
    statuses = []
    for more in ((), ("decide",)):
        who = member("read_cases", "publish", *more)
        async with desk_of("special-unit", tmp_path / str(len(more))) as here, browsing(here, who) as browser:
            await hear_a_case(here)
            statuses.append((await browser.post(f"/app/cases/{CASE}/acts/{step}")).status_code)

    assert statuses == [404, 303]


async def test_a_step_that_asks_nothing_is_sent_at_once(tmp_path: Path) -> None:
    """Given a person who has come to the house, then the shelter's first page is the last one, and the time may still be given."""
    async with desk_of("shelter", tmp_path) as here, browsing(here, member()) as browser:
        wanted = here.registrar.event("special-unit", "shelter.bed_requested", BED, referral=REF)
        await here.hear(here.registrar.register(wanted, to="shelter"))
        await here.registered(type="shelter.bed_offered", ref=REF, data={"valid_hours": 24})
        at = await begun(browser, "shelter.admitted", REF)
        page = await browser.get(at)

        assert (at.rpartition("/")[2], heading(page)) == ("check", "Record the admission")
        assert f'href="{at.replace("/check", "/what")}"' in page.text
        assert "When it happened" in (await browser.get(at.replace("/check", "/what"))).text
        sent = await here.during(browser.post(at.replace("/check", "/send")))
        done = await browser.get(sent.headers["location"])
        assert heading(done) == "Registered"
        assert ": stay in the shelter, until " in done.text, "a period runs until its day; it is not due by it"


async def test_the_page_of_an_event_lists_nothing_of_somebody_else(tmp_path: Path) -> None:
    """Given two members who act in one case in the same second, then the page of each act has that act alone."""
    async with (
        desk_of("ngo-a", tmp_path) as here,
        browsing(here, member(number="S-1")) as one,
        browsing(here, member(number="S-2")) as two,
    ):
        await with_case(here)
        pages = []
        for browser in (one, two):
            at = await begun(browser, "consent.given")
            given = {f"data.{name}": value for name, value in CONSENT.items() if isinstance(value, str | list)}
            receiver = "ngo-l" if browser is one else "fund"
            check = (await filled(browser, at, {**given, "data.receivers": [receiver]})).headers["location"]
            pages.append((await here.during(browser.post(check.replace("/check", "/send")))).headers["location"])
        for browser, page in zip((one, two), pages, strict=True):
            await browser.get(page)  # the first look ends the draft
            assert (await browser.get(page)).text.count("<li>Consent given</li>") == 1


async def test_a_place_in_a_shelter_is_asked_for_by_a_request_for_a_bed(tmp_path: Path) -> None:
    """Given a referral to a shelter for a place, its check leads to the request; for legal aid, or to a centre, it does not."""
    words = "A place needs a request for a bed"
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await with_case(here)
        wanted = await browser.get(await checked(browser))
        at = re.sub("/check$", "/what", str(wanted.url))
        other = {**ANSWERS, "data.services": ["legal"]}
        assert (await filled(browser, at, other)).status_code == 303
        legal = await browser.get(str(wanted.url))
        assert (await filled(browser, at, {**ANSWERS, "data.to": ["vac"]})).status_code == 303
        centre = await browser.get(str(wanted.url))

    assert [words in page.text for page in (wanted, legal, centre)] == [True, False, False]
    places = [wanted.text.index(each) for each in ("<h1", "/acts/shelter.bed_requested", "In the letter", "/send")]
    assert places == sorted(places)


async def test_a_shelter_is_told_that_no_bed_follows_from_a_referral(tmp_path: Path) -> None:
    """Given a referral for a place, the shelter's page says that the sender has to ask for a bed, until a bed is asked for."""
    words = "no bed is asked for yet"
    async with desk_of("shelter", tmp_path) as here, browsing(here, member()) as browser:
        registrar, said = here.registrar, {"mode": "referral", "reason": "EmergencyProtection", "urgency": "urgent"}
        await here.hear(registrar.register(registrar.event("ngo-a", "case.signal_recorded", SIGNAL), to="shelter"))
        place = registrar.event(
            "ngo-a", "referral.submitted", {**said, "to": ["shelter"], "services": ["safe_shelter"]}, referral=REF
        )
        await here.hear(registrar.register(place, to="shelter"))
        before = await browser.get(f"/app/cases/{CASE}/referrals/{REF}")
        bed = registrar.event("ngo-a", "shelter.bed_requested", BED, referral="ef" * 16)
        await here.hear(registrar.register(bed, to="shelter"))
        after = await browser.get(f"/app/cases/{CASE}/referrals/{REF}")

    assert (words in before.text, words in after.text) == (True, False)


async def test_the_form_of_a_receipt_asks_for_a_number(tmp_path: Path) -> None:
    """Given a name where the number of a receipt belongs, then the form comes back, names the field and asks for a number without a name."""
    who = member("read_cases", "publish", "decide")
    async with desk_of("special-unit", tmp_path) as here, browsing(here, who) as browser:
        await hear_a_case(here)
        at = await begun(browser, "referral.acknowledged", REF)
        typed = {"data.receipt_no": "Alina-Example", "data.duty_role": "other"}
        check = await browser.get((await filled(browser, at, typed)).headers["location"])

    assert heading(check) != "Check your answers"
    assert 'href="#data-receipt_no"' in check.text
    assert "no name and no telephone number" in check.text


async def test_what_leads_to_the_end_of_a_clock_comes_first(tmp_path: Path) -> None:
    """Given an acknowledged referral, its acceptance is due, not its decline alone; after it, the first stage is due."""
    who = member("read_cases", "publish", "decide")
    async with desk_of("special-unit", tmp_path) as here, browsing(here, who) as browser:
        await hear_a_case(here)
        await here.registered(type="referral.acknowledged", ref=REF, data={"receipt_no": "SU-1", "duty_role": "other"})
        before = (await browser.get(f"/app/cases/{CASE}/acts")).text.partition("You may also")[0]
        await here.registered(type="referral.accepted", ref=REF, data={"next_step": "reception"})
        after = (await browser.get(f"/app/cases/{CASE}/acts")).text.partition("You may also")[0]

    assert re.findall(r"/acts/([a-z_.]+)\"", before)[:2] == ["referral.accepted", "referral.declined"]
    assert "/acts/identification.stage_entered" in after


async def test_the_case_leads_to_the_same_step_as_the_work_list(tmp_path: Path) -> None:
    """Given an adult who was not asked yet, her consent comes before the referral that is due, on the case's page too."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        page = (await browser.get(f"/app/cases/{CASE}")).text
        await here.registered(type="consent.given", data={**CONSENT, "receivers": ["vac"]})
        later = (await browser.get(f"/app/cases/{CASE}")).text

    steps = re.compile(r'/acts/([a-z_.]+)".*?<button class="govuk-button( govuk-button--secondary)?"', re.DOTALL)
    assert steps.findall(page)[:2] == [("consent.given", ""), ("referral.submitted", " govuk-button--secondary")]
    assert steps.findall(later)[0] == ("referral.submitted", "")


async def test_indicators_are_ticked_in_words_and_other_codes_typed(tmp_path: Path) -> None:
    """Given a screening, nobody types a code of the ILO's lists or counts them; both kinds come back as they were given."""
    who = member("read_cases", "publish", "decide")
    async with desk_of("special-unit", tmp_path) as here, browsing(here, who) as browser:
        await hear_a_case(here)
        at = await begun(browser, "identification.indicators_screened")
        at = (await filled(browser, at, {"data.indicator_set": "ILO-2009"})).headers["location"]
        ticked = {"sealed.indicators": ["ILO-AS-CR-02", "ILO-AS-CD-05", "AZ-131-04"]}
        check = await browser.get((await filled(browser, at, ticked)).headers["location"])
        again = await browser.get(at)
        own = {**ticked, "sealed.counts.deception": "2"}
        counted_by_hand = await browser.get((await filled(browser, at, own)).headers["location"])

    assert "Coercion: 2" in check.text
    assert "Deception: 2" in counted_by_hand.text
    assert "Coercion: 2" not in counted_by_hand.text
    assert "Papers were taken away on the way (ILO-AS-CR-02)" in check.text
    assert "AZ-131-04" in check.text
    chosen = [each for each in re.findall(r"<input[^>]*>", again.text) if "checked" in each and "indicators" in each]
    assert [re.findall(r'value="([^"]*)"', each) for each in chosen] == [["ILO-AS-CR-02"], ["ILO-AS-CD-05"]]
    assert re.search(r'id="sealed-indicators"[^>]*value="AZ-131-04"', again.text)


async def test_an_agency_that_speaks_a_newer_version_gets_its_form(tmp_path: Path) -> None:
    """Given an agency that speaks version 3 of a referral, then each service has its time frame, after an error too, and is sent so."""
    async with (
        desk_of("ngo-a", tmp_path, speaks={"referral.submitted": 3}) as here, browsing(here, member()) as browser,
    ):  # fmt: skip
        await with_case(here)
        at = await begun(browser, "referral.submitted")
        answers = {name: value for name, value in ANSWERS.items() if name != "data.services"}
        answers |= {"data.services.3.code": "legal", "data.services.3.time_frame": "24_hours"}
        wrong = await filled(browser, at, {**answers, "data.to": []})
        assert re.search(r'value="legal" checked', wrong.text)
        assert re.search(r'value="24_hours"\s+selected', wrong.text)
        check = str(
            (await filled(browser, (await filled(browser, at, answers)).headers["location"], LETTER)).headers[
                "location"
            ]
        )
        assert "Within 24 hours" in (await browser.get(check)).text
        await here.during(browser.post(check.replace("/check", "/send")))

        said = json.loads((await here.rows("outbox"))[-1].clear)
        assert (said["version"], said["data"]["services"]) == (3, [{"code": "legal", "time_frame": "24_hours"}])
