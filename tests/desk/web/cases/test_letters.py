"""Letters stay closed until the registrar has recorded who reads them and for what."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from agencies import CASE, SIGNAL
from desk.given import CANARY, REF, Given, desk_of
from desk.web.browsing import SITE, browsing, member
from desk.web.cases.given import AT, CONSENT, REFERRAL, TAKEN_BACK, at_vac, came, opened
from nrmbus.desk.access import opening
from nrmbus.desk.http.served import Door
from nrmbus.desk.letters import letters
from nrmbus.desk.staff.members import Member, NewMember
from nrmbus.desk.web.application import AgencyPages
from nrmbus.desk.web.cases.letters import SYSTEM
from nrmbus.wire.envelope import decode
from patience import eventually

pytestmark = pytest.mark.usefixtures("kept")


async def readings(here: Any) -> list[tuple[str, str, str, str]]:
    """Return reader, purpose, part and system of each opening by a person."""
    rows = await here.rows("reads")
    return [(row.who, row.purpose, row.part, row.system) for row in rows if row.who != letters.DESK]


async def granted(here: Any) -> int:
    """Return how many readings the desk asked the registrar to record."""
    return len([row for row in await here.rows("outbox") if row.type == "access.granted"])


async def off_the_record(here: Any, answer: Any) -> bool:
    """Return whether a page shows a letter although the registrar recorded no reading."""
    return CANARY in answer.text and await granted(here) == 0


async def test_p4_a_letter_opens_for_a_purpose_and_is_on_record(tmp_path: Path) -> None:
    """P4: given a chosen letter and purpose, its parts are shown with their labels, and who read it is listed from then on."""
    async with at_vac(tmp_path, member("read_cases", "open_letters", "see_reads")) as (here, browser, id):
        answer = await opened(here, browser, id, purpose="court")
        listed = (await browser.get(f"{AT}/letters")).text
        who = (await browser.get(f"{AT}/reads")).text

        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert '<h3 class="govuk-heading-s">Identity</h3>' in answer.text
        assert CANARY in answer.text
        assert not await off_the_record(here, answer)
        assert "Nothing was written in: Coded facts, Contact, Money" in answer.text
        assert await granted(here) == 1
        assert {each[:2] + each[3:] for each in await readings(here)} == {("4711", "court", SYSTEM)}
        assert "member of staff 4711, 2 March 2026, 09:00: for a court or the prosecution" in listed
        assert "of “Referral submitted”" in who
        assert '<td data-label="Reader">member of staff 4711</td>' in who
        assert CANARY not in listed + who


async def test_p4_the_check_sees_a_page_that_opens_off_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sabotage: a door that takes a reading for recorded shows the letter, and the check says so."""

    async def nothing(*_: Any, **__: Any) -> Any:
        return {}

    async with at_vac(tmp_path, member()) as (here, browser, id):
        monkeypatch.setattr(Door, "put_on_record", nothing)

        assert await off_the_record(here, await opened(here, browser, id))


async def test_nothing_is_shown_before_the_registrar_has_answered(tmp_path: Path) -> None:
    """Given a registrar that takes its time, the answer waits, and no opening is recorded here."""
    async with at_vac(tmp_path, member()) as (here, browser, id):
        asking = asyncio.ensure_future(browser.post(f"{AT}/letters", data={"letter": id, "purpose": "case_work"}))
        sent: list[Any] = []

        async def some() -> list[Any]:
            sent.extend(await here.out())
            return sent

        await eventually("the desk sends", some)
        assert decode(sent[0]).type == "access.granted"
        assert (asking.done(), await readings(here)) == (False, [])
        await here.hear(here.registrar.register(sent[0], to="vac"))
        answer = await asking

    assert CANARY in answer.text


@pytest.mark.parametrize(
    ("place", "name"),
    [(opening, "put"), (Door, "until"), (opening, "open_letter"), (letters, "record_reads")],
)
async def test_killed_at_any_point_nothing_is_shown(
    place: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a fault before, during and after the registration, the answer has nothing of the letter, and no opening is on record."""

    async def killed(*_: Any, **__: Any) -> Any:
        raise RuntimeError(CANARY)

    async with at_vac(tmp_path, member()) as (here, browser, id):
        monkeypatch.setattr(place, name, killed)
        answer = await opened(here, browser, id)

        assert answer.status_code == 500
        assert CANARY not in answer.text
        assert await readings(here) == []
        assert CANARY not in "".join(capsys.readouterr())


@asynccontextmanager
async def signed_in(here: Given) -> AsyncIterator[tuple[Member, httpx.AsyncClient]]:
    """Yield a worker of the desk *here*, and the browser in which the worker has a session."""
    staff = here.behind.staff
    worker, _ = await staff.add(NewMember(name="Leyla Example", roles=("worker",)), "door.json")
    cookies = {f"nrmbus-{here.behind.seat.me}": await staff.sessions.begin(worker.number, "code")}
    transport = httpx.ASGITransport(AgencyPages(here.behind))
    async with httpx.AsyncClient(transport=transport, base_url=SITE, cookies=cookies) as browser:
        yield worker, browser


@pytest.mark.usefixtures("cheap_passwords")
async def test_p2_a_removed_member_opens_no_letter_by_a_form_that_comes_slowly(tmp_path: Path) -> None:
    """P2: given half of a form, when its sender is removed before the other half, no reading is registered and no letter shown."""
    async with at_vac(tmp_path, member()) as (here, _, id), signed_in(here) as (worker, browser):
        has_begun, is_removed = asyncio.Event(), asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield b"letter="
            has_begun.set()
            await is_removed.wait()
            yield f"{id}&purpose=case_work".encode()

        headers = {"content-type": "application/x-www-form-urlencoded"}
        asking = asyncio.ensure_future(browser.post(f"{AT}/letters", content=slowly(), headers=headers))
        await has_begun.wait()
        await here.behind.staff.members.remove(worker.number, "door.json")
        is_removed.set()
        answer = await here.during(asking)

        assert answer.headers.get("location", "").startswith("/app/sign-in?")
        assert CANARY not in answer.text
        assert (await granted(here), await readings(here)) == (0, [])


@pytest.mark.usefixtures("cheap_passwords")
async def test_p2_a_member_who_is_removed_before_the_registrar_answers_reads_no_letter(tmp_path: Path) -> None:
    """P2: given a reading that the registrar still has to record, when its reader is removed, the letter stays closed."""
    async with at_vac(tmp_path, member()) as (here, _, id), signed_in(here) as (worker, browser):
        form = {"letter": id, "purpose": "case_work"}
        asking = asyncio.ensure_future(browser.post(f"{AT}/letters", data=form))

        async def asked() -> int:
            return await granted(here)

        await eventually("the desk asks the registrar", asked)
        await here.behind.staff.members.remove(worker.number, "door.json")
        answer = await here.during(asking)

        assert answer.headers.get("location", "").startswith("/app/sign-in?")
        assert CANARY not in answer.text
        assert await readings(here) == []


async def test_a_refused_reading_opens_nothing_and_says_so(tmp_path: Path) -> None:
    """Given a registrar that refuses the reading, the page says that nothing was opened, and keeps what was chosen."""
    async with at_vac(tmp_path, member()) as (here, browser, id):
        asking = asyncio.ensure_future(browser.post(f"{AT}/letters", data={"letter": id, "purpose": "case_work"}))
        sent: list[Any] = []

        async def some() -> list[Any]:
            sent.extend(await here.out())
            return sent

        await eventually("the desk sends", some)
        await here.hear(here.registrar.refuse(sent[0], "not_on_case"))
        answer = await asking

        assert answer.status_code == 409
        assert "Nothing was opened" in answer.text
        assert f'value="{id}" aria-describedby="about-{id}" checked' in answer.text
        assert CANARY not in answer.text
        assert await readings(here) == []


async def test_who_answers_a_referral_finds_its_letter_chosen_and_the_answers_below_it(tmp_path: Path) -> None:
    """Given two letters, when a worker opens one from the referral, then it alone is chosen, and the answers stand below what was read."""
    async with at_vac(tmp_path, member()) as (here, browser, id):
        other = await came(
            here,
            "referral.submitted",
            REFERRAL,
            parts={"story": {"facts": CANARY}},
            opens=["vac"],
            referral=f"{REF[:-1]}9",
        )
        referral = (await browser.get(f"{AT}/referrals/{REF}")).text
        link = re.search(rf'href="({AT}/letters\?letter=[^"]+)">Open the letter', referral)
        assert link is not None
        listed = (await browser.get(link[1])).text
        shown = (await opened(here, browser, id)).text

    assert f"Case {CASE[:8]}" in referral
    boxes = dict(re.findall(r'type="checkbox" value="([^"]+)"[^>]*?( checked)?>', listed))
    assert boxes == {id: " checked", other: ""}
    assert f'action="{AT}/acts/referral.accepted"' in shown.partition(CANARY)[2]


async def test_without_a_letter_or_a_purpose_nothing_is_recorded(tmp_path: Path) -> None:
    """Given a form with nothing chosen, or a purpose that is not an agency's, the page asks again."""
    async with at_vac(tmp_path, member()) as (here, browser, id):
        answers = [
            await opened(here, browser),
            await opened(here, browser, id, purpose=""),
            await opened(here, browser, id, purpose="audit"),
            await opened(here, browser, "01930000-0000-7000-8000-000000000000"),
        ]

        assert {each.status_code for each in answers} == {422}
        assert all("<title>Error: Letters of a case" in each.text for each in answers)
        assert await granted(here) == 0


async def test_a_withdrawn_consent_closes_a_letter_and_says_why(tmp_path: Path) -> None:
    """Given a withdrawal, the letter cannot be chosen; asked for all the same, it stays closed and nothing is recorded."""
    async with at_vac(tmp_path, member()) as (here, browser, id):
        await came(here, "consent.withdrawn", TAKEN_BACK)
        listed = (await browser.get(f"{AT}/letters")).text
        answer = await opened(here, browser, id)

        assert (
            "The person refused or withdrew consent for your agency, or its access was ended, so it stays closed."
            in listed
        )
        assert "govuk-checkboxes__input" not in listed
        assert "Stays closed." in answer.text
        assert "It is recorded that" not in answer.text
        assert CANARY not in answer.text
        assert (await granted(here), await readings(here)) == (0, [])


async def test_withdrawn_while_the_reading_is_recorded_it_stays_closed(tmp_path: Path) -> None:
    """Given a withdrawal that is registered before the reading, the desk hears of it first, and does not open."""
    async with at_vac(tmp_path, member()) as (here, browser, id):
        asking = asyncio.ensure_future(browser.post(f"{AT}/letters", data={"letter": id, "purpose": "case_work"}))
        sent: list[Any] = []

        async def some() -> list[Any]:
            sent.extend(await here.out())
            return sent

        await eventually("the desk sends", some)
        await came(here, "consent.withdrawn", TAKEN_BACK)
        await here.hear(here.registrar.register(sent[0], to="vac"))
        answer = await asking

        assert CANARY not in answer.text
        assert await readings(here) == []


async def test_an_agency_reads_its_own_letter_on_record_too(tmp_path: Path) -> None:
    """Given a letter that this agency sent, it opens as it was sent, and the reading is recorded like any other."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await here.registered(
            type="case.signal_recorded",
            data={"detector": "ngo_outreach", "child": False, "urgency": "emergency", "detected_abroad": False, "basis": ["indicators"]},
        )  # fmt: skip
        sent = await here.registered(
            type="referral.submitted", ref=REF, sealed={"name": CANARY}, legal_basis="CoM 21/2008 art. 7",
            data=REFERRAL | {"to": ["special-unit"], "reason": "FormalIdentification", "services": []},
        )  # fmt: skip
        receipt = here.registrar.event("special-unit", "letter.opened", {}, causationid=decode(sent).id)
        await here.hear(here.registrar.register(receipt, to="ngo-a"))
        listed = (await browser.get(f"{AT}/letters")).text
        answer = await opened(here, browser, decode(sent).id)

        assert "special-unit (special police unit): opened, 2 March 2026, 09:00" in listed
        assert CANARY in answer.text
        assert await granted(here) == 1
        assert {each[0] for each in await readings(here)} == {"4711"}


async def test_the_agency_that_asked_reads_the_reason_in_words(tmp_path: Path) -> None:
    """Given a refusal with a letter, when the sender's worker follows the link beside the referral, then the letter opens."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        await here.registered(type="consent.given", data=CONSENT)
        await here.registered(type="referral.submitted", ref=REF, data=REFERRAL)
        no = {"reason": "no_capacity", "declined_by": "provider"}
        parts = {"story": {"notes": CANARY}}
        answer: dict[str, Any] = {"by": "vac", "parts": parts, "opens": ["ngo-a"], "version": 2, "referral": REF}
        id = await came(here, "referral.declined", no, **answer)
        page = (await browser.get(f"{AT}/referrals")).text
        shown = await opened(here, browser, id)

    assert re.search(rf'href="{AT}/letters">Read the answer in words', page)
    assert CANARY not in page
    assert "the agency&#39;s own words" in shown.text
    assert CANARY in shown.text
