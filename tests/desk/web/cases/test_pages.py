"""The pages of a case: what this agency knows of it in words, and nothing of anybody else's."""

import gettext
import re
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest

from agencies import CASE, SIGNAL
from desk.given import CANARY, REF, Given, desk_of
from desk.web.browsing import browsing, member, titles
from desk.web.cases.given import (
    AT,
    CONSENT,
    COPY,
    PAPER,
    REFERRAL,
    TAKEN_BACK,
    after_a_loss,
    at_vac,
    came,
    opened,
    referred,
)
from nrmbus.desk.staff.permissions import Permission
from nrmbus.desk.state import labels
from nrmbus.desk.web.acts.told import TOLD
from nrmbus.desk.web.cases.pages import reason
from nrmbus.desk.web.shell import Visit
from nrmbus.events.referral import ReferralSubmittedV3
from nrmbus.events.registry import TYPES
from nrmbus.rules import load_profile
from nrmbus.web import words
from nrmbus.web.languages import LANGUAGES, Language
from nrmbus.web.words import Words, catalogues
from nrmbus.wire.envelope import decode

PAGES: Final = ("", "/timeline", "/letters", "/referrals", "/documents", "/reads", "/sheet", f"/referrals/{REF}/copy")
EVERYTHING: Final[tuple[Permission, ...]] = ("read_cases", "open_letters", "publish", "decide", "see_reads")


async def test_the_overview_says_where_a_case_stands_who_is_on_it_and_what_is_due(tmp_path: Path) -> None:
    """Given a referral that waits for this agency, its page names the duty, the agencies and the steps that end the duty."""
    async with at_vac(tmp_path, member(*EVERYTHING)) as (here, browser, _):
        here.clock.time = here.clock.time.replace(month=4)
        page = (await browser.get(AT)).text

    assert f"Case {CASE[:8]}" in page
    assert "Status: Suspected" in page
    assert "Victim assistance centre" in page
    assert "Overdue since" in page
    assert page.index("Accept the referral") < page.index("more steps")
    closed = page[page.index("What is not possible now, and why") :]
    assert re.search(
        r'<dt>Complete the referral.*?<a class="govuk-link" href="/app/rules/G-41">G-41</a>', closed, re.DOTALL
    )
    assert f'<input type="hidden" name="ref" value="{REF}">' in page


async def test_who_may_only_read_is_offered_nothing_else(tmp_path: Path) -> None:
    """Given somebody without further permissions, no button publishes, no letter can be chosen, and nobody's readings are shown."""
    async with at_vac(tmp_path, member("read_cases")) as (_, browser, _):
        pages = {below: await browser.get(AT + below) for below in PAGES}

    assert "/acts/" not in pages[""].text
    assert "govuk-checkboxes__input" not in pages["/letters"].text
    assert {below for below, page in pages.items() if page.status_code == 403} == {
        "/reads", "/sheet", f"/referrals/{REF}/copy",
    }  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("profile", ["az@2022-04-29", "md@2014-03-28"])
def test_a_refusal_that_names_a_field_calls_it_as_the_form_does(profile: str, language: Language) -> None:
    """Given a body that the person has refused, and a profile's sentence about it, then no page shows the name of a field of the interface."""
    here = load_profile(profile)
    t, sentence = Words(language, here.zone), here.says("withhold_required", "G-34")
    assert sentence
    shown = reason(cast("Visit", SimpleNamespace(t=t)), "withhold_required", sentence)

    assert "withhold_from" not in shown
    if profile == "md@2014-03-28":
        assert t.capital(t.field(ReferralSubmittedV3, "withhold_from")) in shown


async def test_the_timeline_has_what_was_heard_said_and_refused_the_newest_first(tmp_path: Path) -> None:
    """Own and received events have fields, number and time under their day; a refused one says why; no letter is there."""
    async with at_vac(tmp_path, member()) as (here, browser, _):
        await here.registered(type="referral.acknowledged", ref=REF, data={"receipt_no": "V-1", "duty_role": "other"})
        refused = await here.said(type="referral.accepted", ref=REF, data={"next_step": "plan"})
        await here.hear(here.registrar.refuse(refused, "wrong_state", "G-40"))
        became = await browser.get(f"/app/acts/{decode(refused).id}/sent")
        await here.ask(type="referral.declined", ref=REF, data={"declined_by": "provider", "reason": "no_capacity"})
        page = (await browser.get(f"{AT}/timeline")).text

    order = [page.index(words) for words in ("Referral acknowledged", "Referral submitted", "Signal recorded")]
    assert order == sorted(order)
    assert "vac (your agency), member of staff S-1" in page
    assert re.search(r"registered as number \d+</time> · ngo-a", page)
    assert re.search(r">2 March 2026</h2>", page)
    assert not re.search(r">2 March 2026, [\d:]+, registered", page)
    assert "Legal aid" in page
    assert "Refused: nothing of it counts.</strong> The case is not in a status" in page
    assert f'href="/app/acts/{decode(refused).id}/sent">Accept the referral' in page
    assert became.status_code == 200
    assert "Not sent yet, or not answered yet." in page
    assert CANARY not in page


async def test_a_long_timeline_goes_on_with_earlier_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given more events than fit, the page leads to those before, and each event stands on one page."""
    monkeypatch.setattr("nrmbus.desk.web.cases.pages.MOST", 2)
    async with at_vac(tmp_path, member()) as (_, browser, _):
        first = (await browser.get(f"{AT}/timeline")).text
        (earlier,) = re.findall(r"timeline\?before=(\d+)", first)
        second = (await browser.get(f"{AT}/timeline", params={"before": earlier})).text

    assert ("Signal recorded" in first, "Referral submitted" in first) == (False, True)
    assert ("Signal recorded" in second, "Referral submitted" in second) == (True, False)


async def test_a_timeline_shows_the_events_of_a_chosen_kind_and_agency(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Choices narrow the events, go along to earlier ones and to another language, and name no agency in an address."""
    shown: dict[str, list[str]] = {}
    async with at_vac(tmp_path, member()) as (here, browser, _):
        await here.registered(type="referral.acknowledged", ref=REF, data={"receipt_no": "V-1", "duty_role": "other"})
        for query in ("", "?kind=1", "?agency=1", "?kind=1&agency=2", "?kind=3&agency=2", "?kind=99&agency=vac"):
            page = (await browser.get(f"{AT}/timeline{query}")).text
            shown[query] = re.findall(r"<h3>([^<]+)</h3>", page)
        monkeypatch.setattr("nrmbus.desk.web.cases.pages.MOST", 1)
        first = (await browser.get(f"{AT}/timeline?kind=1")).text
        (earlier,) = re.findall(r'href="([^"]+before=\d+)"', first)
        second = (await browser.get(earlier.replace("&amp;", "&"))).text

    everything = ["Referral acknowledged", "Referral submitted", "Consent given", "Signal recorded"]
    assert shown == {
        "": everything, "?kind=1": everything[:2], "?agency=1": everything[1:], "?kind=1&agency=2": everything[:1],
        "?kind=3&agency=2": everything[:1], "?kind=99&agency=vac": everything,
    }  # fmt: skip
    assert re.findall(r"<h3>([^<]+)</h3>", second) == everything[1:2]
    assert '<option value="1" selected>Referrals and answers' in second
    assert "kind=1" in re.findall(r'href="([^"]+lang=ru[^"]*)"', second)[0]
    assert 'value="vac"' not in first


async def test_a_referral_between_others_waits_for_nobody(tmp_path: Path) -> None:
    """Given a child who was referred to the special unit, guardianship, which hears no answer, is told so and sees no page to answer."""
    bodies = {"to": ["child-commission", "guardianship"], "basis": "stated_age"}
    sent = {**REFERRAL, "to": ["special-unit"], "reason": "ChildSafeguarding", "child": True}
    async with desk_of("guardianship", tmp_path) as here, browsing(here, member()) as browser:
        await came(here, "safeguard.child_flagged", bodies)
        await came(here, "referral.submitted", sent, referral=REF, legalbasis="CoM 21/2008 art. 7")
        page = (await browser.get(f"{AT}/referrals")).text

    assert "Your agency does not hear the answer" in page
    assert "Waits for" not in page
    assert f'href="{AT}/referrals/{REF}"' not in page


async def test_a_referral_is_overdue_by_the_duty_of_those_who_are_waited_for(tmp_path: Path) -> None:
    """Given a referral to two agencies, when one accepts and is late with its own work, then the page counts the time of the other."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        for receiver in ("vac", "fund"):
            await here.registered(type="consent.given", data=CONSENT | {"receivers": [receiver]})
        await here.registered(type="referral.submitted", ref=REF, data=REFERRAL | {"to": ["fund", "vac"]})
        await came(here, "referral.accepted", {"next_step": "plan"}, by="vac", referral=REF)
        here.clock.time += timedelta(days=5)
        waiting = (await browser.get(f"{AT}/referrals")).text
        here.clock.time += timedelta(days=14)
        late = (await browser.get(f"{AT}/referrals")).text

    sentence = re.compile(r"<p [^>]*>((?:Overdue. )?Waits for [^<]*)</p>")
    fund = "Waits for fund (assistance fund) since 2 March 2026. Due by 16 March 2026, 24:00."
    assert [sentence.findall(page) for page in (waiting, late)] == [[fund], [f"Overdue. {fund}"]]


async def test_a_receiver_is_not_told_how_long_another_one_takes(tmp_path: Path) -> None:
    """Given a referral to two agencies, when this one accepts, then its page and sheet wait for nobody: the other answers the sender alone."""
    async with desk_of("vac", tmp_path) as here, browsing(here, member()) as browser:
        await came(here, "case.signal_recorded", SIGNAL)
        for receiver in ("vac", "fund"):
            await came(here, "consent.given", CONSENT | {"receivers": [receiver]})
        await came(here, "referral.submitted", REFERRAL | {"to": ["fund", "vac"]}, referral=REF)
        await here.settle()
        asked = (await browser.get(f"{AT}/referrals")).text
        await here.registered(type="referral.accepted", ref=REF, data={"next_step": "plan"})
        here.clock.time += timedelta(days=20)
        page = (await browser.get(f"{AT}/referrals")).text
        sheet = (await here.during(browser.post(f"{AT}/sheet", data={"purpose": "court"}))).text

    assert "Waits for vac (your agency) since 2 March 2026. Due by 16 March 2026, 24:00" in asked
    for shown in (asked, page, sheet):
        assert "Your agency does not hear the answer" in shown
    for later in (page, sheet):
        assert "Accepted" in later
        assert "Has not answered yet" not in later
    assert "Waits for" not in page


async def test_the_end_of_a_referral_says_nothing_of_another_receiver(tmp_path: Path) -> None:
    """Given a referral to two agencies that is revoked, a receiver reads this of itself: the other may have answered before."""
    async with desk_of("vac", tmp_path) as here, browsing(here, member()) as browser:
        await came(here, "case.signal_recorded", SIGNAL)
        for receiver in ("vac", "fund"):
            await came(here, "consent.given", CONSENT | {"receivers": [receiver]})
        await came(here, "referral.submitted", REFERRAL | {"to": ["fund", "vac"]}, referral=REF)
        await came(here, "referral.revoked", {"reason": "no_answer"}, referral=REF)
        page = (await browser.get(f"{AT}/referrals")).text

    assert page.count("Revoked by the sender") == 1
    assert page.count("Your agency does not hear the answer") == 1


async def test_a_referral_says_who_answered_who_is_waited_for_and_the_alternatives(tmp_path: Path) -> None:
    """Each receiver has its answer; a question waits for the sender; a decline has its reason."""
    other = "ee" * 16
    async with at_vac(tmp_path, member()) as (here, browser, _):
        waiting = (await browser.get(f"{AT}/referrals")).text
        await here.registered(type="referral.info_requested", ref=REF, data={"question": "language"})
        asked = (await browser.get(f"{AT}/referrals")).text
        await came(here, "referral.submitted", REFERRAL, referral=other)
        await here.registered(
            type="referral.declined",
            ref=other,
            data={"declined_by": "provider", "reason": "no_capacity", "alternative": "ngo-l"},
        )
        declined = (await browser.get(f"{AT}/referrals")).text

    assert "Waits for vac (your agency) since 2 March 2026. Due by 16 March 2026, 24:00" in waiting
    assert "Has asked a question, and waits for the answer" in asked
    assert "Waits for ngo-a" in asked
    assert re.search(r"Declined; .*ngo-l", declined)


async def test_a_withdrawal_says_what_to_do_until_it_is_answered(tmp_path: Path) -> None:
    """The page asks to stop and to answer, with a button; afterwards it says what was answered."""
    async with at_vac(tmp_path, member()) as (here, browser, _):
        await came(here, "consent.withdrawn", TAKEN_BACK)
        before = (await browser.get(AT)).text
        await here.settle()
        await here.registered(type="consent.stop_confirmed", data={"answer": "deleted"})
        after = (await browser.get(AT)).text

    assert "The person withdrew consent for your agency on 2 March 2026" in before
    assert "Stop using what you have of this person. Answer by 5 March 2026, 24:00" in before
    assert f'action="{AT}/acts/consent.stop_confirmed"' in before
    assert "Answered: the data were deleted." in after


BEYOND: Final = "Your agency knows of no answer. If another agency told it of the case, it owes one.</p>"


async def test_a_withdrawal_for_an_agency_told_by_another_one_at_most_has_no_day(tmp_path: Path) -> None:
    """Given a withdrawal for an agency that this one told nothing, then its page says that an answer may be owed, and no empty day, also after a new consent and a referral."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        await here.registered(type="consent.given", data=CONSENT)
        await here.registered(type="consent.withdrawn", data=TAKEN_BACK)
        untold = (await browser.get(AT)).text, (await here.door.get(f"/v1/cases/{CASE}")).json()
        await here.registered(type="consent.given", data=CONSENT)
        await here.registered(type="referral.submitted", ref=REF, data=REFERRAL)
        told = (await browser.get(AT)).text, (await here.door.get(f"/v1/cases/{CASE}")).json()

    for page, case in (untold, told):
        (stop,) = case["stops"]
        assert (stop["answer"], stop["told"], "due" in stop, "overdue" in stop) == ("missing", False, False, False)
        assert BEYOND in page


async def test_an_answer_that_an_agency_told_by_another_one_owes_is_late_once_its_breach_is_heard(
    tmp_path: Path,
) -> None:
    """Given a withdrawal for the legal NGO, which only the victim assistance centre told of the case, when the breach of its answer is heard, then the answer is late until two officers lift it."""
    owed = {"rule": "D-STOP", "due": "2026-03-05T20:00:00Z", "late_by_minutes": 0}
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:

        async def shown() -> tuple[str, dict[str, Any]]:
            (stop,) = (await here.door.get(f"/v1/cases/{CASE}")).json()["stops"]
            return (await browser.get(AT)).text, stop

        await here.registered(type="case.signal_recorded", data=SIGNAL)
        await here.registered(type="consent.given", data=CONSENT)
        await here.registered(type="consent.given", data={**CONSENT, "receivers": ["ngo-l"]})
        await here.registered(type="referral.submitted", ref=REF, data=REFERRAL)
        await came(here, "referral.accepted", {"next_step": "plan"}, by="vac", referral=REF)
        await here.registered(type="consent.withdrawn", data={**TAKEN_BACK, "receivers": ["ngo-l"]})
        before, unsure = await shown()
        await came(here, "deadline.breached", owed, by="timekeeper", causationid=unsure["event"])
        breached, late = await shown()
        gone = {"rule": "D-STOP", "agency": "ngo-l", "ground": "no_contact"}
        await came(here, "deadline.lifted", gone, by="special-unit")
        lifted, past = await shown()

    assert (BEYOND in before, unsure["told"]) == (True, False)
    assert (late["answer"], late["due"], late["overdue"]) == ("missing", owed["due"], True)
    assert "The agency has not answered yet. Its answer is due by" in breached
    assert (past["answer"], past.keys() & {"told", "due", "overdue"}) == ("missing", set())
    assert "The agency has not answered yet.</p>" in lifted


async def lift(here: Given) -> None:
    """Let the desk hear that the victim assistance centre has not confirmed in time that it stopped, and owes this no more."""
    with here.desk.seat.ledger.read() as tx:
        coming = here.desk.seat.rules.due(here.desk.cases.view(tx, CASE))
    late = next(each for each in coming if each.rule == "D-STOP")
    said = dict(late.data.to_mapping())
    await came(here, late.type, said, by="timekeeper", referral=late.ref, causationid=late.cause)
    lifted = {"rule": "D-STOP", "agency": "vac", "ground": "no_contact"}
    await came(here, "deadline.lifted", lifted, by="special-unit")


async def test_an_answer_that_is_owed_no_more_is_missing_and_has_no_day(tmp_path: Path) -> None:
    """Given a withdrawal whose overdue answer two officers have lifted, then the agency that recorded it and the silent one read that the answer is missing, and no empty day."""
    async with desk_of("ngo-a", tmp_path / "recorder") as here, browsing(here, member()) as browser:
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        await here.registered(type="consent.given", data=CONSENT)
        await here.registered(type="referral.submitted", ref=REF, data=REFERRAL)
        await came(here, "referral.accepted", {"next_step": "plan"}, by="vac", referral=REF)
        await here.registered(type="consent.withdrawn", data=TAKEN_BACK)
        await lift(here)
        recorder = (await browser.get(AT)).text
        (stop,) = (await here.door.get(f"/v1/cases/{CASE}")).json()["stops"]
    async with at_vac(tmp_path / "silent", member()) as (here, browser, _):
        await came(here, "consent.withdrawn", TAKEN_BACK)
        await lift(here)
        silent = (await browser.get(AT)).text

    assert (stop["answer"], "due" in stop) == ("missing", False)
    assert "The agency has not answered yet.</p>" in recorder
    assert "Stop using what you have of this person. Answer that you did.</p>" in silent


@pytest.mark.parametrize("when", ["0001-01-01T00:00:00Z", "9999-12-31T23:00:00Z"])
async def test_a_case_opens_whatever_time_another_agency_names(tmp_path: Path, when: str) -> None:
    """Given a service at the first or the last hour of the calendar, then the pages and the sheet of the case show it."""
    async with at_vac(tmp_path, member(*EVERYTHING)) as (here, browser, _):
        await came(here, "service.scheduled", {"service": "legal", "when": when}, referral="12" * 16)
        await here.settle()
        pages = {below: await browser.get(AT + below) for below in PAGES}
        sheet = await here.during(browser.post(f"{AT}/sheet", data={"purpose": "case_work"}))

    assert {page.status_code for page in (*pages.values(), sheet)} == {200}
    year = {"0001": "1 January 1,", "9999": "31 December 9999,"}[when[:4]]
    assert year in pages["/timeline"].text
    assert year in sheet.text


async def test_a_case_whose_beginning_is_lost_shows_no_status_and_no_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a desk that lost its ledger, nothing is shown that needs the whole case."""
    monkeypatch.setattr("nrmbus.desk.state.beginnings.is_incomplete", lambda *_: True)
    async with at_vac(tmp_path, member()) as (_, browser, _):
        page = (await browser.get(AT)).text

    assert "Only a part of this case is known here" in page
    assert "The status is not known here" in page
    assert "Deadlines are not known here." in page
    assert "/acts/" not in page


@pytest.mark.thorough
@pytest.mark.parametrize("below", PAGES)
async def test_an_unknown_case_and_another_agency_s_are_the_same_404(below: str, tmp_path: Path) -> None:
    """Given cases that others have, or nobody, or no reference at all, every page and form gives one answer."""
    foreign, unknown, none = "0" * 32, "1" * 32, "nothing"
    async with at_vac(tmp_path, member(*EVERYTHING)) as (here, browser, _):
        elsewhere = here.registrar.event("ngo-a", "consent.given", {
            "purposes": ["information_sharing"], "receivers": ["shelter"], "given_by": "individual", "form": "written",
        }, case=foreign)  # fmt: skip
        here.registrar.register(elsewhere, to="shelter")
        pages = [await browser.get(f"/app/cases/{ref}{below}") for ref in (foreign, unknown, none)]
        forms = [
            await browser.post(
                f"/app/cases/{ref}{below}", data={"purpose": "case_work", "letter": "x", "document": "x"}
            )
            for ref in (foreign, unknown, none)
        ]
        sent = await here.out()

    assert {each.status_code for each in (*pages, *forms)} == {404}
    for same in (pages, forms):
        assert len({each.text.replace(ref, "") for each, ref in zip(same, (foreign, unknown, none), strict=True)}) == 1
    assert sent == []


async def test_a_referral_of_another_case_is_not_found(tmp_path: Path) -> None:
    """The address of a referral counts in its own case alone, and so does the form of the person's copy, which names both."""
    forms = [{}, {"case": CASE}, {"referral": REF}, {**COPY, "case": "1" * 32}, {**COPY, "referral": "9" * 32}]
    async with at_vac(tmp_path, member(*EVERYTHING)) as (here, browser, _):
        page = await browser.get(f"{AT}/referrals/{'9' * 32}/copy")
        papers = [await browser.post(PAPER, data={**each, "language": "en", "says": "contacts"}) for each in forms]
        sent = await here.out()

    assert page.status_code == 404
    assert {each.status_code for each in papers} == {404}
    assert sent == []


async def test_the_agency_s_own_label_stands_in_the_bar_and_on_no_paper(tmp_path: Path) -> None:
    """Given a label and a colleague, pages of the case call it so; no title and no print has the label."""
    label = "File 12/2026"
    async with at_vac(tmp_path, member(*EVERYTHING)) as (here, browser, _):
        async with here.behind.ledger.write() as tx:
            labels.keep(here.behind.seat, tx, CASE, label)
            labels.assign(tx, CASE, "4712", here.behind.seat.stamp())
        pages = [await browser.get(AT + below) for below in PAGES]
        papers = [
            await here.during(browser.post(f"{AT}/sheet", data={"purpose": "court"})),
            await here.during(browser.post(PAPER, data={**COPY, "language": "en", "says": "all"})),
        ]

    assert all(label in page.text and "Colleague: 4712" in page.text for page in pages)
    assert label not in str([titles(pages), *(paper.text for paper in papers)])
    assert {paper.status_code for paper in papers} == {200}


async def test_no_page_has_content_of_a_letter_in_text_title_address_or_header(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given letters with names, no page shows them unasked, and no log line has them."""
    async with at_vac(tmp_path, member(*EVERYTHING)) as (_, browser, _):
        pages = [await browser.get(AT + below) for below in PAGES]

    assert {each.status_code for each in pages} == {200}
    for page in pages:
        assert CANARY not in page.text
        assert CANARY not in str(page.headers)
        assert page.headers["cache-control"] == "no-store"
        assert CASE[:8] not in page.text.partition("<title>")[2].partition("</title>")[0]
    assert CANARY not in "".join(capsys.readouterr())


class Missing(gettext.NullTranslations):
    """Remembers each message that a catalogue lacks."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[str | None, str]] = set()

    def gettext(self, message: str) -> str:
        """Remember *message*."""
        self.found.add((None, message))
        return message

    def pgettext(self, context: str, message: str) -> str:
        """Remember *message* in its *context*."""
        if not context.startswith(TOLD):
            self.found.add((context, message))
        return message


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_page_is_whole_in_the_reader_s_language(
    language: Language, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a case with a withdrawal, a decline and a refusal, no word of a page, a code or a field is missing."""
    missing = Missing()
    monkeypatch.setattr(words._translations(language)[0], "_fallback", missing)
    async with desk_of("vac", tmp_path) as here, browsing(here, member(*EVERYTHING, language=language)) as browser:
        await referred(here)
        await came(here, "consent.withdrawn", TAKEN_BACK)
        await here.settle()
        refused = await here.said(type="referral.accepted", ref=REF, data={"next_step": "plan"})
        await here.hear(here.registrar.refuse(refused, "wrong_state", "G-40"))
        await here.registered(
            type="referral.declined", ref=REF, data={"declined_by": "provider", "reason": "no_capacity"}
        )
        for below in PAGES:
            assert (await browser.get(AT + below)).status_code == 200, below

    if language == "en":  # sentences and labels are English already; codes have words there too
        missing.found = {each for each in missing.found if each[0] not in (None, "field")}
    assert missing.found == set()


def test_words_for_readers_are_those_of_fields_that_there_are() -> None:
    """Given the words for those who read what others said, each has a field and stands in every language."""
    models = [each for data in TYPES.values() for each in (data, data.letter) if each is not None]
    descriptions = {each.description for model in models for each in model.model_fields.values()}
    found = {
        language: {
            message.id
            for each in catalogues(language)
            for message in each
            if message.context == TOLD and message.string
        }
        for language in LANGUAGES
    }

    assert found["az"] == found["en"] == found["ru"]
    assert found["en"] <= descriptions


async def test_the_steps_of_a_case_stand_under_headings_and_its_closing_is_last(tmp_path: Path) -> None:
    """Given an accepted referral, the steps without a deadline stand under subjects, in the order of a case."""
    async with at_vac(tmp_path, member(*EVERYTHING)) as (here, browser, _):
        await here.registered(type="referral.accepted", ref=REF, data={"next_step": "plan"})
        for page in ((await browser.get(AT)).text, (await browser.get(f"{AT}/acts")).text):
            order = [
                page.index(words)
                for words in (">Referrals and answers<", ">Consent<", ">Shelter, services and money<", ">The case and its access<")
            ]  # fmt: skip
            assert order == sorted(order)
            assert page.index(">Consent<") < page.index("Record a refusal of consent") < order[2]
            assert order[2] < page.index("Ask for a bed") < order[3]


async def test_a_refusal_leaves_the_overview_when_the_step_is_done_or_old(tmp_path: Path) -> None:
    """Given a refused answer, the overview shows it until the same answer is registered, or for three days; the timeline keeps it."""
    said = {"type": "referral.accepted", "ref": REF, "data": {"next_step": "plan"}}
    words = "Refused: nothing of it counts."
    async with at_vac(tmp_path, member()) as (here, browser, _):
        refused = await here.said(**said)
        await here.hear(here.registrar.refuse(refused, "wrong_state", "G-40"))
        fresh = (await browser.get(AT)).text
        here.clock.time += timedelta(days=4)
        old = (await browser.get(AT)).text
        here.clock.time -= timedelta(days=4)
        await here.registered(**said)
        done, timeline = (await browser.get(AT)).text, (await browser.get(f"{AT}/timeline")).text

    assert [words in page for page in (fresh, old, done, timeline)] == [True, False, False, True]


async def test_a_refusal_stays_on_the_overview_until_its_own_receiver_is_dealt_with(tmp_path: Path) -> None:
    """Given a withdrawal for two agencies, one of them refused, the overview shows the refusal until the withdrawal is registered for that agency."""
    words = "Refused: nothing of it counts."
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        refused = await here.said(type="consent.withdrawn", data=TAKEN_BACK | {"receivers": ["vac", "fund"]})
        await here.hear(here.registrar.refuse(refused, "wrong_state", "G-40"))
        await here.settle()
        fresh = (await browser.get(AT)).text
        await here.registered(type="consent.withdrawn", data=TAKEN_BACK)
        done = (await browser.get(AT)).text

    assert [words in page for page in (fresh, done)] == [True, False]


async def test_a_refusal_of_a_consent_stays_until_a_consent_for_the_same_is_registered(tmp_path: Path) -> None:
    """Given a refused consent for sharing, a consent for services to the same agency leaves the refusal on the overview."""
    words = "Refused: nothing of it counts."
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        refused = await here.said(type="consent.given", data=CONSENT)
        await here.hear(here.registrar.refuse(refused, "wrong_state", "G-40"))
        await here.registered(type="consent.given", data=CONSENT | {"purposes": ["services"]})
        other = (await browser.get(AT)).text
        await here.registered(type="consent.given", data=CONSENT)
        same = (await browser.get(AT)).text

    assert [words in page for page in (other, same)] == [True, False]


async def test_who_read_a_case_is_known_after_a_loss_of_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a desk that lost its ledger and reads its inbox again, then the readings that the registrar had recorded are shown with their reader."""
    async with after_a_loss(tmp_path, member(*EVERYTHING), monkeypatch) as (here, browser, id):
        listed, letters = (await browser.get(f"{AT}/reads")).text, (await browser.get(f"{AT}/letters")).text
        of_all = (await browser.get("/app/readings")).text
        of_other = (await browser.get("/app/readings?who=4712")).text
        await opened(here, browser, id)
        again = (await browser.get(f"{AT}/reads")).text

    row = re.compile(r'data-label="Reader">([^<]*)</td><td data-label="What">([^<]*)</td>')
    reader, parts = "member of staff 4711", ("Identity", "Contact", "Coded facts", "Story", "Money")
    before = [(reader, f"{part}, of “Referral submitted”") for part in parts]
    assert sorted(row.findall(listed)) == sorted([*before, (reader, "Export as evidence")])
    assert sorted(row.findall(again)) == sorted([*before, *before, (reader, "Export as evidence")])
    assert f"{reader}, 2 March 2026, 09:00: work on the case" in letters
    assert of_all.count(f"/app/cases/{CASE}") == len([*parts, "Export as evidence"])
    assert '<option value="4711"' in of_all
    assert f"/app/cases/{CASE}" not in of_other


async def test_a_decision_that_a_record_rests_on_is_named_and_has_no_number(tmp_path: Path) -> None:
    """Given an order of money that rests on a decision, the timeline says whose and when, or that it is another agency's."""
    amount = {"value": "700.00", "currency": "AZN"}
    order = {"kind": "one_time_allowance", "tariff": "az-2024", "amount": amount, "payee": "person"}
    status = {"status": "ActualVictimOfTrafficking", "deciding_body": "Police", "reasons": ["indicators_met"]}
    unknown = "01930000-0000-7000-8000-000000000000"
    async with at_vac(tmp_path, member()) as (here, browser, _):
        decision = await came(here, "identification.status_decided", status, by="special-unit")
        await came(here, "payment.ordered", {**order, "decision": decision}, by="fund", referral="cc" * 16)
        await came(here, "payment.ordered", {**order, "decision": unknown}, by="fund", referral="dd" * 16)
        page = (await browser.get(f"{AT}/timeline")).text

    assert f"<dd>{decision}" not in page
    assert unknown not in page
    assert "from special-unit (special police unit), 2 March 2026" in page
    assert "a record of another agency" in page
