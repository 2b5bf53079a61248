"""What goes wrong while somebody types and sends: two tabs, two clicks, two people, a kill, a full disk. Nothing typed is lost."""

import re
from html import unescape
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from agencies import CASE
from desk.given import CANARY, REF, Given, desk_of
from desk.letters.test_sealed_drafts import holds_none
from desk.web.acts.test_pages import ANSWERS, LETTER, begun, checked, filled, heading, hear_a_case, with_case
from desk.web.browsing import SITE, browsing, member
from nrmbus.desk.outbox import drafts
from nrmbus.desk.staff.permissions import Permission
from nrmbus.desk.web.acts import sending
from nrmbus.telemetry import log

DECIDES: Final[tuple[Permission, ...]] = ("read_cases", "publish", "decide")


def hidden(page: httpx.Response) -> dict[str, list[str]]:
    """Return the hidden fields of the page's form."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', page.text):
        found.setdefault(unescape(name), []).append(unescape(value))
    return found


async def referrals(here: Given) -> list[str]:
    """Return the ids of the referrals in the outbox."""
    return [row.id for row in await here.rows("outbox") if row.type == "referral.submitted"]


async def test_a_double_click_and_the_back_button_send_one_event(tmp_path: Path) -> None:
    """Given a referral that is sent three times, then one event has its id, and every answer leads to it."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await with_case(here)
        send = (await checked(browser)).replace("/check", "/send")
        first, second = await browser.post(send), await browser.post(send)
        await here.settle()
        done = await browser.get(first.headers["location"])
        third = await browser.post(send)
        back = await browser.get(send.replace("/send", "/check"))

        assert heading(done) == "Registered"
        assert {each.headers["location"] for each in (first, second, third, back)} == {send.replace("/send", "/sent")}
        assert await referrals(here) == [send.split("/")[3]]


async def test_a_kill_between_draft_and_answer_leaves_one_event(tmp_path: Path) -> None:
    """Given a desk that ends after the draft, and again after sending, then the same id is sent, and it is one event."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await with_case(here)
        at = await checked(browser)
        registrar = here.registrar
    async with desk_of("ngo-a", tmp_path, registrar=registrar) as here, browsing(here, member()) as browser:
        assert CANARY in (await browser.get(at)).text
        await browser.post(at.replace("/check", "/send"))
    async with desk_of("ngo-a", tmp_path, registrar=registrar) as here, browsing(here, member()) as browser:
        await browser.post(at.replace("/check", "/send"))
        await here.settle()

        assert await referrals(here) == [at.split("/")[3]]
        assert heading(await browser.get(at.replace("/check", "/sent"))) == "Registered"


async def test_a_stale_tab_may_keep_both(tmp_path: Path) -> None:
    """Given two tabs, when the second saves, then it is told and has all that was typed there; both become drafts."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await with_case(here)
        at = await begun(browser, "referral.submitted")
        await filled(browser, at, ANSWERS)
        stale = await browser.post(at, data={**ANSWERS, "data.urgency": "normal", "version": "1", "go": "on"})
        assert stale.status_code == 409
        assert hidden(stale)["data.urgency"] == ["normal"]

        both = await browser.post(at, data={**hidden(stale), "go": "both"})

        assert both.headers["location"] != at
        assert re.search(r'value="normal"\s+checked', (await browser.get(both.headers["location"])).text)
        assert re.search(r'value="urgent"\s+checked', (await browser.get(at)).text)
        assert len(await here.rows("drafts")) == 2


async def test_the_script_saves_and_is_told_of_another_tab(tmp_path: Path) -> None:
    """Given what the page's script posts, then the draft has it; with an old version it is told, and a box is cleared."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await with_case(here)
        at = await begun(browser, "referral.submitted")
        keep, fields = at.replace("/what", "/keep"), "data.to data.mode"
        saved = await browser.post(
            keep, data={"version": "1", "fields": fields, "data.to": "vac", "data.mode": "referral"}
        )
        passed = await browser.post(keep, data={"version": "1", "fields": fields, "data.to": "shelter"})
        cleared = await browser.post(keep, data={"version": "2", "fields": fields, "data.to": "vac"})

        assert (saved.json()["state"], saved.json()["version"]) == ("saved", 2)
        assert (passed.status_code, passed.json()["state"]) == (409, "passed")
        assert cleared.json()["version"] == 3
        page = (await browser.get(at)).text
        assert re.search(r'value="vac"\s+checked', page)
        assert not re.search(r'value="referral"\s+checked', page)


async def test_a_save_whose_answer_is_lost_is_no_other_tab(tmp_path: Path) -> None:
    """Given a text of two lines that the script has saved, when its answer is lost and the member presses Continue, then nobody is told of another tab."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await with_case(here)
        at = (await filled(browser, await begun(browser, "referral.submitted"), ANSWERS)).headers["location"]
        version = hidden(await browser.get(at))["version"]
        script = {"version": version, "fields": "sealed.facts", "sealed.facts": "She came on Monday.\nShe is afraid."}
        saved = await browser.post(at.replace("/letter", "/keep"), data=script)
        answers = {"version": version, "go": "on", "sealed.facts": "She came on Monday.\r\nShe is afraid."}
        answer = await browser.post(at, data=answers)

        assert saved.json()["state"] == "saved"
        assert answer.status_code == 303, answer.text
        assert len(await here.rows("drafts")) == 1


async def test_a_full_disk_keeps_what_was_typed_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a ledger that cannot be written, then the page says so and has everything; afterwards it is saved from there."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await with_case(here)
        at = (await filled(browser, await begun(browser, "referral.submitted"), ANSWERS)).headers["location"]
        long = f"{CANARY} {'x' * 300}"

        def full(*_: object, **__: object) -> None:
            raise OperationalError("INSERT", {"sealed": CANARY}, Exception("database or disk is full"))

        reported: list[object] = []
        with monkeypatch.context() as broken:
            broken.setattr(drafts, "keep", full)
            broken.setattr(log, "report", lambda *said, **more: reported.append((said, more)))
            failed = await filled(browser, at, {**LETTER, "sealed.facts": long})
            by_script = await browser.post(at.replace("/letter", "/keep"), data={"version": "2"})

        assert failed.status_code == 503
        assert (by_script.status_code, by_script.json()["state"]) == (503, "failed")
        assert long in unescape(failed.text)
        assert hidden(failed)["data.to"] == ["shelter", "vac"]
        assert CANARY not in str(reported)
        again = await browser.post(at, data={**hidden(failed), "sealed.facts": long, "go": "on"})
        assert long in unescape((await browser.get(again.headers["location"])).text)


async def test_a_full_disk_while_somebody_keeps_both_keeps_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a ledger that cannot be written when a second tab keeps both, then the page has everything, and keeps both afterwards."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await with_case(here)
        at = await begun(browser, "referral.submitted")
        await filled(browser, at, ANSWERS)
        stale = await browser.post(at, data={**ANSWERS, "data.urgency": "normal", "version": "1", "go": "on"})

        def full(*_: object, **__: object) -> None:
            raise OperationalError("INSERT", {}, Exception("database or disk is full"))

        with monkeypatch.context() as broken:
            broken.setattr(drafts, "begin", full)
            failed = await browser.post(at, data={**hidden(stale), "go": "both"})
        assert failed.status_code == 503
        assert hidden(failed)["data.urgency"] == ["normal"]
        again = re.findall(r'class="[a-z-]*button" name="go" value="(\w+)"', failed.text)
        by_key = re.findall(r'class="nrm-first" [^>]*name="go" value="(\w+)"', failed.text)
        assert (again, by_key) == (["both"], ["both"]), "the button, and the key Enter"
        with monkeypatch.context() as broken:
            broken.setattr(drafts, "keep", full)
            failed = await browser.post(f"{at}?lang=ru", data={**hidden(failed), "go": "language"})
        again = re.findall(r'class="[a-z-]*button" name="go" value="(\w+)"', failed.text)
        assert (failed.status_code, again) == (503, ["both"]), "another language forgets no choice"
        both = await browser.post(at, data={**hidden(failed), "go": again[0]})

        assert both.headers["location"] != at
        assert re.search(r'value="normal"\s+checked', (await browser.get(both.headers["location"])).text)
        assert re.search(r'value="urgent"\s+checked', (await browser.get(at)).text)


async def test_a_full_disk_while_somebody_sends_leads_back_to_the_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a ledger that cannot be written at the last step, then nothing is sent, the page says so and leads back; then it goes out."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await with_case(here)
        at = await checked(browser)
        send, before = at.replace("/check", "/send"), {"referer": f"{SITE}{at}"}

        def full(*_: object, **__: object) -> None:
            raise OperationalError("INSERT", {"sealed": CANARY}, Exception("database or disk is full"))

        with monkeypatch.context() as broken:
            broken.setattr(drafts, "keep", full)
            failed = await browser.post(send, headers=before)
        rows = [row.type for row in await here.rows("outbox")]
        again = await browser.post(send, headers=before)

        assert failed.status_code == 503
        assert f'href="{at}"' in failed.text
        assert "Nothing was sent." in failed.text
        assert "referral.submitted" not in rows
        assert again.status_code == 303
        assert [row.type for row in await here.rows("outbox")] == [*rows, "referral.submitted"]


async def test_two_people_answer_one_referral_once(tmp_path: Path) -> None:
    """Given two who answer, then the first answer is sent, and the second is told who was first and when; the draft stays."""
    async with desk_of("special-unit", tmp_path) as here:
        await hear_a_case(here)
        async with (
            browsing(here, member(*DECIDES, number="S-1")) as one,
            browsing(here, member(*DECIDES, number="S-2")) as two,
        ):
            accepts = await begun(one, "referral.accepted", REF)
            declines = await begun(two, "referral.declined", REF)
            await filled(one, accepts, {"data.next_step": "reception"})
            await filled(two, declines, {"data.reason": "no_capacity", "data.declined_by": "provider"})
            sent = await one.post(accepts.replace("/what", "/send"))
            late = [
                await two.get(declines.replace("/what", "/check")),
                await two.post(declines.replace("/what", "/send")),
                await two.post(declines.replace("/what", "/send"), data={"go": "anyway"}),
            ]

            assert sent.status_code == 303
            for each in late:
                assert each.status_code == 409
                assert "Referral accepted" in each.text
                assert "S-1" in each.text
            assert [row.type for row in await here.rows("outbox")] == ["referral.accepted"]
            assert {row.owner for row in await here.rows("drafts")} == {"S-1", "S-2"}


async def changed_elsewhere(here: Given, browser: httpx.AsyncClient, at: str, page: str, **said: str) -> None:
    """Show the answers at *at*, change them by another tab on *page*, and press the first tab's button: nothing is sent until they were read again."""
    before = await here.rows("outbox")
    seen = hidden(await browser.get(at))["seen"]
    version = hidden(await browser.get(at.replace("/check", f"/{page}")))["version"]
    other = await browser.post(
        at.replace("/check", "/keep"), data={"version": version, "fields": " ".join(said), **said}
    )
    assert other.json()["state"] == "saved"

    late = await browser.post(at.replace("/check", "/send"), data={"seen": seen})
    assert (late.status_code, "This is not what you read before" in late.text) == (409, True)
    assert await here.rows("outbox") == before
    sent = await here.during(browser.post(at.replace("/check", "/send"), data={"seen": hidden(late)["seen"]}))
    assert sent.headers["location"] == at.replace("/check", "/sent")


async def test_what_another_tab_changed_since_it_was_read_is_not_sent(tmp_path: Path) -> None:
    """Given two tabs, when the answers that one shows are changed in the other, then it shows them as they are now."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await with_case(here)
        await changed_elsewhere(here, browser, await checked(browser), "what", **{"data.urgency": "normal"})


async def test_what_another_tab_changed_while_it_is_sent_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a draft that is saved again between the look at the Rules and the outbox, then nobody signs what they did not read, and the answers are shown as they are now."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await with_case(here)
        at = await checked(browser)
        look = sending.checked

        async def meanwhile(*of: Any, **how: Any) -> list[dict[str, Any]]:
            found = await look(*of, **how)
            said = {
                "version": hidden(await browser.get(at.replace("/check", "/what")))["version"],
                "fields": "data.to",
                "data.to": "vac",
            }
            assert (await browser.post(at.replace("/check", "/keep"), data=said)).json()["state"] == "saved"
            return found

        with monkeypatch.context() as moved:
            moved.setattr(sending, "checked", meanwhile)
            sent = await browser.post(at.replace("/check", "/send"))

        assert (sent.status_code, sent.headers["location"]) == (303, at), "the changed answers are shown first"
        assert "referral.submitted" not in [row.type for row in await here.rows("outbox")]
        assert (await browser.get(at)).status_code == 200


@pytest.mark.parametrize("late", ["keep", "letter", "delete"])
async def test_what_is_sent_stays_sent_whatever_another_tab_does_at_that_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    """Given a tab that saves or deletes the draft, and a referral that is sent before its turn to write comes, then the draft stays sent and its owner sees what became of it."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await with_case(here)
        at = await checked(browser)
        version = hidden(await browser.get(at.replace("/check", "/letter")))["version"]
        with here.desk.seat.ledger.read() as tx:
            seen = drafts.of(here.desk.seat, tx, at.split("/")[3])
        sent = await browser.post(at.replace("/check", "/send"))

        said = {"version": version, "fields": " ".join(LETTER), "go": "on", **LETTER}
        with monkeypatch.context() as before:
            before.setattr("nrmbus.desk.web.acts.pages.own_draft", lambda *_: seen)
            answer = await browser.post(at.replace("/check", f"/{late}"), data=said)

        assert sent.headers["location"] == at.replace("/check", "/sent")
        (draft,) = await here.rows("drafts")
        assert draft.state == "sent"
        if late == "keep":
            assert (answer.status_code, answer.json()["state"]) == (409, "gone")
        if late == "letter":
            assert answer.headers["location"] == at.replace("/check", "/sent")
        assert heading(await here.during(browser.get(at.replace("/check", "/sent")))) != "Check your answers"


async def test_drafts_of_one_step_are_told_apart_by_their_case(tmp_path: Path) -> None:
    """Given two drafts of the same step, then the list names the case of each, by the agency's own label where it has one."""
    async with desk_of("special-unit", tmp_path) as here, browsing(here, member(*DECIDES)) as browser:
        await hear_a_case(here)
        at = await begun(browser, "referral.accepted", REF)
        before = (await browser.get("/app/acts")).text
        await browser.post(f"/app/cases/{CASE}/notes", data={"label": "Folder 7"})
        after, form = [(await browser.get(path)).text for path in ("/app/acts", at)]

    assert CASE[:8] in before
    assert "Folder 7" in after
    assert CASE[:8] not in re.sub(r"<[^>]*>", "", after)
    assert "Case Folder 7 · from ngo-a" in form


async def test_a_colleague_does_not_see_a_draft(tmp_path: Path) -> None:
    """Given a worker's draft, then another member gets the one 404 for each of its addresses, and deletes nothing."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await with_case(here)
        at = await checked(browser)
        async with browsing(here, member(number="S-9")) as other:
            answers = [await other.get(at.replace("/check", page)) for page in ("/what", "/letter", "/check", "/sent")]
            answers += [await other.post(at.replace("/check", page)) for page in ("/what", "/send", "/again", "/keep")]
            deleted = await other.post(at.replace("/check", "/delete"))

            led = [await other.get(each.headers["location"]) if each.status_code == 303 else each for each in answers]

        assert all(CANARY not in each.text for each in led)
        assert {each.status_code for each in led} <= {404, 409}
        assert deleted.status_code == 303
        assert CANARY in (await browser.get(at)).text


async def test_a_word_of_a_draft_is_in_no_file_url_or_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Given a canary in every free field, from the first page to the registration, then only pages show it."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await with_case(here)
        at = await checked(browser)
        holds_none(tmp_path)
        sent = await here.during(browser.post(at.replace("/check", "/send")))
        done = await browser.get(sent.headers["location"])
        holds_none(tmp_path)

        assert "CANARY" not in at + sent.headers["location"] + done.text
    holds_none(tmp_path)
    said = capfd.readouterr()
    assert "CANARY" not in said.out + said.err
    assert CASE not in done.text.partition("<title>")[2].partition("</title>")[0]
