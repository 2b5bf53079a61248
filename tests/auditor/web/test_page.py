"""Auditor's page: each question is recorded before its answer, and each page has its content."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import httpx
import pytest

from auditor.web.given import LATER, NO_CASE, WITNESSES, Hall, form_of, places, sign_in
from nrmbus.auditor.log.log import Log
from nrmbus.auditor.web.pages import shown as shown_events
from nrmbus.auditor.web.pages.shown import facts
from nrmbus.events.examples import example
from nrmbus.events.registry import data_type, versions
from nrmbus.events.schemas import schema_of
from nrmbus.telemetry.span_file import Span
from nrmbus.web.words import Words
from nrmbus.wire.log.checkpoint import Checkpoint
from nrmbus.wire.registration import Registration

BAKU: Final = ZoneInfo("Asia/Baku")


@pytest.fixture(name="hall")
def _hall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hall:
    return Hall(tmp_path, monkeypatch)


# -- on record -------------------------------------------------------------------------------------------------------


async def test_a_question_is_on_record_before_it_is_answered(hall: Hall) -> None:
    """A case, an event, a search, figures: each is in the history once, with purpose and number of the asker."""
    async with hall.browser() as browser:
        assert hall.asked() == []
        event = hall.event("referral.submitted")
        for path in ("/search?go=1", f"/cases/{hall.case}", event, "/agencies"):
            assert (await browser.get(path)).status_code == 200

    own, who = hall.users.own_number(), {"actor": hall.actor, "purpose": "audit"}
    assert hall.asked() == [
        {"subject": own, "what": "search", **who},
        {"subject": hall.case, "what": "case", **who},
        {"subject": hall.case, "what": "event", "event": event[8:44], **who},
        {"subject": own, "what": "figures", **who},
    ]
    assert [each.registration.sequence for each in hall.audited().history.about(own)] == [1, 2]


async def test_a_question_that_is_not_on_record_is_not_answered(hall: Hall) -> None:
    """While the registrar is away no page shows anything of the history, and says why; afterwards the same question is answered."""
    async with hall.browser() as browser:
        pages = places(hall)[:-1]
        await browser.get("/search")  # the form is no question
        hall.away()
        for path in pages:
            answer = await browser.get(path)
            assert answer.status_code == 503
            assert "could not be recorded within ten seconds" in answer.text
            assert "referral.submitted" not in answer.text
            assert f"/cases/{hall.case}#" not in answer.text
        hall.back()
        assert (await browser.get(pages[1])).status_code == 200


async def test_a_late_record_of_one_question_does_not_stop_the_next(hall: Hall) -> None:
    """An abandoned record that is registered after all keeps its number, and the next question takes the one after."""
    async with hall.browser() as browser:
        hall.away()
        assert (await browser.get(f"/cases/{hall.case}")).status_code == 503
        hall.back()
        late = hall.sent[-1]

        async def late_first(record: Any, _: int) -> None:
            if record is not late and late in hall.sent:
                hall.sent.remove(late)
                await hall.register(late)
                return  # the sequence is taken: this one is answered as a gap, which nobody here reads
            await hall.register(record)

        hall.access_log._send = late_first
        assert (await browser.get(f"/cases/{hall.case}")).status_code == 200
    sequences = [each.registration.sequence for each in hall.readings(hall.case)]
    assert sequences == [1, 2]


async def test_a_refused_record_is_no_answer(hall: Hall) -> None:
    """Where the Rules refuse the reading, the page says by which code, and nothing else."""
    async with hall.browser() as browser:
        hall.registrar = "refuses"
        answer = await browser.get(f"/cases/{hall.case}")
    assert answer.status_code == 503
    assert "wrong_state" in answer.text
    assert "SUSPECTED" not in answer.text


async def test_moving_the_slider_is_the_same_question(hall: Hall) -> None:
    """Another moment of the same case, a reload, another language: one record; another purpose or session: another."""
    async with hall.browser() as browser:
        page = await browser.get(f"/cases/{hall.case}")
        for query in ("?step=3", "?as_of=2026-03-05", "?lang=ru"):
            await browser.get(f"/cases/{hall.case}{query}")
        assert len(hall.asked()) == 1
        await browser.post("/purpose", data={"form": form_of(page.text), "purpose": "court", "back": "/search"})
        await browser.get(f"/cases/{hall.case}")
        await sign_in(browser)
        await browser.get(f"/cases/{hall.case}")
    assert [each["purpose"] for each in hall.asked()] == ["audit", "court", "audit"]


async def test_each_search_is_a_question_of_its_own_and_a_page_of_it_is_not(hall: Hall) -> None:
    """Other words, another record; turning a page of the same results, none."""
    async with hall.browser() as browser:
        for query in ("agency=vac", "agency=vac&page=2", "agency=fund", f"q={hall.case[:8]}"):
            assert (await browser.get(f"/search?{query}")).status_code == 200
    assert len(hall.asked()) == 3


async def test_the_answer_that_there_is_no_such_case_is_recorded_too(hall: Hall) -> None:
    """It is on record as a search over all; the reference that was asked for becomes no case."""
    async with hall.browser() as browser:
        for path in (f"/cases/{NO_CASE}", "/events/01930000-0000-7000-8000-000000000001"):
            assert (await browser.get(path)).status_code == 404
    assert [each["what"] for each in hall.asked()] == ["search", "search"]
    assert NO_CASE not in hall.audited().history.spoken_of()


async def test_two_at_once_are_two_records_in_order(hall: Hall) -> None:
    """Questions of the same subject wait for one another, so that no number is used twice."""
    async with hall.browser() as browser:
        answers = await asyncio.gather(*(browser.get(f"/search?agency={each}") for each in ("vac", "fund", "ngo-a")))
    assert [each.status_code for each in answers] == [200, 200, 200]
    own = hall.audited().history.about(hall.users.own_number())
    assert [each.registration.sequence for each in own] == [1, 2, 3]


# -- what the pages say ----------------------------------------------------------------------------------------------


async def test_a_case_is_shown_as_it_was_known(hall: Hall) -> None:
    """By step, by day, and now: status and registrations are those of the moment, and nothing later is on the page."""
    async with hall.browser() as browser:
        first = (await browser.get(f"/cases/{hall.case}?step=1")).text
        day = (await browser.get(f"/cases/{hall.case}?as_of=2026-03-02")).text
        now = (await browser.get(f"/cases/{hall.case}")).text
    assert "<code>SUSPECTED</code>" in first
    assert "referral.submitted" not in first
    assert "<code>UNDER_IDENTIFICATION</code>" in day
    assert "case.closed" not in day
    assert "<code>CLOSED</code>" in now
    assert "case.closed" in now
    assert "As it was known" not in now


async def test_the_readers_of_a_case_are_shown(hall: Hall) -> None:
    """Each reader with number and purpose, the auditor too; a reading is none of the course of the case."""
    async with hall.browser() as browser:
        await browser.get(f"/cases/{hall.case}")
        page = (await browser.get(f"/cases/{hall.case}?step=66")).text
    assert "Who has read this case: 1" in page
    assert f"<code>{hall.actor}</code>" in page
    assert "planned inspection" in page
    assert page.count("access.granted") == 0


async def test_an_event_is_shown_with_all_that_proves_it(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page names sender, time, article, key, digests, proof, witnesses, and the readers of each part; no time of a key from before the clock of a bus began."""
    async with hall.browser() as browser:
        page = (await browser.get(hall.event("referral.submitted"))).text
        monkeypatch.setattr(shown_events, "BEFORE_ANY_TICK", datetime.max.replace(tzinfo=UTC))
        before = (await browser.get(hall.event("referral.submitted"))).text
    entry = next(
        each for each in hall.audited().history.entries if each.said and each.said.type == "referral.submitted"
    )
    said: Registration = entry.registration
    for shown in (said.id, said.key, said.envelope, said.previous, said.digest, said.policy.digest, said.subject):
        assert shown in page
    assert f"<code>{said.key}</code>, since " in page
    assert f"<code>{said.key}</code>, since " not in before
    assert "CoM 21/2008 art. 7" in page
    assert "Proof checked now: it is in the tree of 66 registrations" in page
    assert "Co-signed by 2 of 11 witnesses: ngo-a, special-unit" in page
    assert "coded facts, contact, identity, story" in page
    assert "the directory admitted the agency later" in page.lower()


async def test_the_data_of_an_event_are_in_the_readers_words_with_the_codes_beside(hall: Hall) -> None:
    """Each field in the clear has its label, and each code its words; no field of any event of the story is left out."""
    async with hall.browser(language="ru") as browser:
        page = (await browser.get(hall.event("referral.submitted"))).text
    assert "Официальная идентификация <code>FormalIdentification</code>" in page
    assert "Срочность <code>urgency</code>" in page
    t = Words("az", BAKU)
    for entry in hall.audited().history.entries:
        if entry.event:
            data = entry.event.data
            fields = [each.name.partition(".")[0] for each in facts(data, entry.event.type, t)]
            assert list(dict.fromkeys(fields)) == [name for name, value in data.to_mapping().items() if value != []]


def test_a_time_in_an_event_is_shown_in_the_readers_zone() -> None:
    """Given a missed duty, then an auditor reads when it was due as on every other page, and nobody has to know UTC."""
    model = data_type("deadline.breached", max(versions("deadline.breached")))
    said = example(schema_of(model), full=True)["event"]["data"] | {"due": "2026-03-02T20:30:00Z"}
    breach = model.from_mapping(said)
    (due,) = (each for each in facts(breach, "deadline.breached", Words("en", BAKU)) if each.name == "due")
    assert due.values == (("2026-03-02T20:30:00Z", "3 March 2026, 00:30:00"),)


async def test_a_refused_event_is_shown_with_the_senders_sentence(hall: Hall) -> None:
    """The page shows the sentence of the rule, with what to do."""
    entry = next(each for each in hall.audited().history.entries if each.registration.rule == "G-30")
    said, says = entry.registration, hall.audited().rules.profile.refusals["G-30"].says
    async with hall.browser() as browser:
        case = (await browser.get(f"/cases/{hall.case}")).text
        page = (await browser.get(f"/events/{said.id}?partition={said.partition}&number={said.number}")).text
    assert "The sender was told" in page
    assert says in page
    assert says in case


async def test_a_failed_proof_is_shown(hall: Hall) -> None:
    """A bundle that was altered on disk proves nothing, and the page says so."""
    bundle = next((hall.home / "logs" / "p0" / "tile" / "entries").glob("*"))
    files = [each for each in (bundle.rglob("*") if bundle.is_dir() else [bundle]) if each.is_file()]
    for file in files:
        file.chmod(0o600)
        raw = bytearray(file.read_bytes())
        raw[-40] ^= 1
        file.write_bytes(raw)
    async with hall.browser() as browser:
        page = (await browser.get(hall.event("case.follow_up_due"))).text
    assert "The proof does not hold" in page


async def test_a_proof_is_checked_before_it_is_called_one(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proof that leads to another root than the signed one does not count."""
    monkeypatch.setattr(Log, "inclusion_proof", lambda *_: [bytes(32)] * 7)
    async with hall.browser() as browser:
        page = (await browser.get(hall.event("referral.submitted"))).text
    assert "<code>inclusion_invalid</code>" in page
    assert "Proof checked now" not in page


async def test_while_the_log_is_made_again_the_page_says_so(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged log is made again from its beginning: for a while it has less than its checkpoint."""
    monkeypatch.setattr(Log, "head", property(lambda log: Checkpoint(log.origin, 1, bytes(32))))
    async with hall.browser() as browser:
        answer = await browser.get(hall.event("referral.submitted"))
    assert answer.status_code == 200
    assert "The auditor is making its log again" in answer.text
    assert "Proof checked now" not in answer.text


async def test_a_registration_after_the_last_checkpoint_is_not_called_proved(hall: Hall) -> None:
    """A reading of just now is in no signed tree yet."""
    async with hall.browser() as browser:
        await browser.get(f"/cases/{hall.case}")
        page = (await browser.get(hall.event("access.granted"))).text
    assert "Not yet in a signed checkpoint" in page
    assert "Proof checked now" not in page


async def test_refusals_and_breaches_are_counted_by_agency(hall: Hall) -> None:
    """Each refusal is under its sender, with the rule; each breach under the agency that owed the duty."""
    async with hall.browser() as browser:
        page = (await browser.get("/agencies")).text
        none = (await browser.get("/agencies?from=2027-01-01")).text
    rows = {each.partition("</b>")[0]: each for each in page.split('<th scope="row" data-label="Agency"><b>')[1:]}
    for code in ("unknown_case", "status_required", "already_ordered"):
        assert f"<code>{code}</code>" in rows["fund"]
    assert "publisher_not_allowed" in rows["police-x"]
    assert "publisher_not_allowed" not in none


@pytest.mark.parametrize("path", ["/agencies?", "/search?go=1&"])
@pytest.mark.parametrize(
    ("days", "said"),
    [
        ("from=2026-12-01&to=2026-11-01", "The first day is after the last day."),
        ("from=2026-13-01", "A day is written like 2026-03-02"),
    ],
)
async def test_a_period_that_cannot_be_is_an_error_and_no_question(hall: Hall, path: str, days: str, said: str) -> None:
    """Given a last day before the first one, or no day at all, then the page says so; it has no figures, and nothing is recorded."""
    async with hall.browser() as browser:
        wrong = await browser.get(path + days)
        one_day = await browser.get(f"{path}from=2026-03-02&to=2026-03-02")

    assert (wrong.status_code, said in wrong.text, "<table" in wrong.text) == (422, True, False)
    assert (one_day.status_code, len(hall.asked())) == (200, 1)


@pytest.mark.parametrize(("language", "prefix"), [("en", "Error"), ("az", "Xəta"), ("ru", "Ошибка")])
async def test_a_screen_reader_hears_of_an_error_in_the_language_of_the_page(
    hall: Hall, language: str, prefix: str
) -> None:
    """Given a field that is wrong, then the hidden word before its message is of the page's language."""
    async with hall.browser() as browser:
        page = await browser.get(f"/search?go=1&q=x&lang={language}")

    assert f'<span class="govuk-visually-hidden">{prefix}:</span>' in page.text


async def test_a_trace_is_shown_where_one_is_kept(hall: Hall) -> None:
    """As a waterfall without a script; that it is no evidence is said."""
    async with hall.browser() as browser:
        assert "No trace is kept" in (await browser.get(hall.event("referral.submitted"))).text
        id = hall.event("referral.submitted")[8:44]
        hall.spans = [
            Span("1" * 32, "2" * 16, "", (), "create", "producer", "ngo-a", 0, 10**9, "referral.submitted", id, "", "")
        ]
        page = (await browser.get(hall.event("referral.submitted"))).text
    assert '<ol class="waterfall">' in page
    assert "A trace is no evidence" in page


async def test_each_witness_is_shown_and_how_far_it_has_signed(hall: Hall) -> None:
    """The page lists witnesses that co-signed the newest checkpoint, that did not, and that were refused."""
    hall.refused[WITNESSES[2]] = "root_differs"
    async with hall.browser() as browser:
        page = (await browser.get("/checkpoints")).text
    assert page.count("has co-signed the newest") == 2
    assert page.count("has not co-signed yet") == 8
    assert "<code>root_differs</code>" in page


async def test_a_history_that_does_not_verify_is_shown_on_every_page(hall: Hall) -> None:
    """Where the auditor stopped, a witness that saw another tree, a record that does not verify: on top, in each language."""
    hall.stopped_at, hall.refused["vac"] = "gap at number 9 of partition 0", "root_differs"
    async with hall.browser() as browser:
        for path in places(hall):
            page = (await browser.get(path)).text
            assert page.count('class="alarm"') == 2
            assert "gap at number 9 of partition 0" in page


async def test_a_record_that_does_not_verify_ends_what_is_shown(hall: Hall) -> None:
    """Given an altered record, when a question is asked, then the place is named, nothing is published, and the page says why."""
    altered = hall.written.records[60]
    hall.written.records[60] = type(altered)(altered.key, b"{}", altered.headers)
    async with hall.browser() as browser:
        answer = await browser.get("/search?go=1")
    assert answer.status_code == 503
    assert "does not verify at number 0/61" in answer.text
    assert "The history does not verify, so your question was not recorded and is not answered." in answer.text
    assert hall.sent == []


async def test_a_page_is_quick(hall: Hall) -> None:
    """A case of a whole story within 200 ms, once the history was read."""
    loop = asyncio.get_running_loop()
    async with hall.browser() as browser:
        await browser.get(f"/cases/{hall.case}")
        took = []
        for _ in range(5):
            began = loop.time()
            await browser.get(f"/cases/{hall.case}")
            took.append(loop.time() - began)
    assert min(took) < 0.2


@pytest.mark.thorough
async def test_no_page_shows_anything_of_a_letter(hall: Hall) -> None:
    """The words of the story's letters are on no page of it."""
    pages = []
    async with hall.browser() as browser:
        for entry in hall.audited().history.entries:
            said = entry.registration
            page: httpx.Response = await browser.get(
                f"/events/{said.id}?partition={said.partition}&number={said.number}"
            )
            assert page.status_code == 200, said.number
            pages.append(page.text)
    assert len(pages) == len(hall.written.records) - len(hall.asked())
    assert all("Alina" not in each and "+994" not in each for each in pages)
    assert LATER.year == 2026


async def test_a_rule_that_refused_is_looked_up_at_the_auditor_too(hall: Hall) -> None:
    """The Rules are about no case and no person, so nothing is recorded; an unknown name leads to all of them."""
    async with hall.browser() as browser:
        before = len(hall.asked())
        index, rule, clock, nowhere = [
            await browser.get(f"/rules{path}?lang=en") for path in ("", "/G-32", "/D-REFER", "/nothing")
        ]

    assert [each.status_code for each in (index, rule, clock, nowhere)] == [200, 200, 200, 200]
    assert 'href="/rules/G-32"' in index.text
    assert "consent_required" in rule.text
    assert "24 hours" in clock.text
    assert "The way of a case" in nowhere.text
    assert len(hall.asked()) == before
