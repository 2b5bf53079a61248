"""What agencies say, as a person with a browser sees it before turning to one, and says it for the own agency."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from desk.given import Given, desk_of
from desk.http.test_bulletins import SILENT
from desk.web.acts.test_pages import begun, filled, heading, with_case
from desk.web.acts.test_proposed import chosen
from desk.web.browsing import browsing, gone, member
from nrmbus.desk.outbox import drafts
from nrmbus.directory.entry import Kind
from nrmbus.events import bulletin
from nrmbus.wire.names import TIMEKEEPER
from nrmbus.wire.record import Record
from patience import eventually

BREACH = {
    "to": ["ngo-a"],
    "kind": "lost",
    "classes": ["DC3"],
    "persons": "1-10",
    "measures": ["none_yet"],
    "ended": False,
}


async def told(here: Given) -> None:
    """Let the shelter say its places, the timekeeper that the assistance centre does not read, and an agency that it lost something."""
    for source, type_, data in (
        ("shelter", "provider.capacity_changed", {"women": "few", "children": "none"}),
        (TIMEKEEPER, "agency.listening_changed", SILENT),
        ("ngo-l", "data.breach_reported", BREACH),
    ):
        event = here.registrar.event(source, type_, data, case=bulletin.of(source))
        await here.hear(here.registrar.register(event, to="ngo-a"))


async def test_whoever_chooses_a_receiver_sees_who_has_places_and_who_does_not_read(tmp_path: Path) -> None:
    """In the form of a referral, beside each name, with its age; and on a page of its own, with the breach."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await with_case(here)
        await told(here)
        form = await browser.get(await begun(browser, "referral.submitted"))
        page = await browser.get("/app/bulletins")

    assert "does not read what it is sent, since" in form.text
    assert "women: few places, children: no place (said " in form.text
    assert heading(page) == "What agencies say"
    assert "No, since" in page.text
    assert "Data or a device were lost" in page.text
    assert "The breach is not over." in page.text
    assert "Reported 2 March" in page.text


@pytest.mark.parametrize("kind", ["suspended", "retired"])
@pytest.mark.parametrize(("agency", "said"), [("shelter", "women: few places"), ("vac", "No, since")])
async def test_what_an_agency_said_before_it_left_is_not_shown_as_current(
    tmp_path: Path, agency: str, said: str, kind: Kind
) -> None:
    """Given a shelter with places, or an agency that does not read, when it is suspended or has left, then the page does not name it."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await told(here)
        before = (await browser.get("/app/bulletins")).text
        gone(here, agency, kind)
        after = (await browser.get("/app/bulletins")).text

    assert (said in before, said in after) == (True, False)
    assert "Data or a device were lost" in after


async def test_an_agency_says_by_hand_for_whom_it_has_places(tmp_path: Path) -> None:
    """From the page over form and check to the number, without a case; afterwards it leads back to the page, and to no case."""
    async with desk_of("shelter", tmp_path) as here, browsing(here, member()) as browser:
        at = (await browser.post("/app/bulletins/provider.capacity_changed", data={})).headers["location"]
        at = (await filled(browser, at, {"data.women": "free"})).headers["location"]
        check = await browser.get(at)
        sent = await here.during(browser.post(at.replace("/check", "/send")))
        done = await browser.get(sent.headers["location"])
        refused = await browser.post("/app/bulletins/agency.listening_changed", data={})
        (row,) = [each for each in await here.rows("outbox") if each.type == "provider.capacity_changed"]

    assert heading(check) == "Check your answers"
    assert "Places are free" in check.text
    assert heading(done) == "Registered"
    assert "/app/bulletins" in done.text
    assert "/app/cases/" not in done.text
    assert (row.subject, row.verdict) == (bulletin.of("shelter"), "registered")
    assert refused.status_code == 404


CAPACITY = "provider.capacity_changed"
LOSS = "data.breach_reported"


async def named(here: Given, places: dict[str, str]) -> None:
    """Let the agency's system name its *places*."""
    answer = await here.door.post("/v1/events", json={"type": CAPACITY, "actor": "S-1", "data": places})
    assert answer.is_success, answer.text
    await here.settle()


async def test_the_form_of_places_begins_with_what_stands(tmp_path: Path) -> None:
    """Given places that the agency named, then the form shows them and says that it replaces them; a draft in which nobody typed shows what was said since."""
    found, said = [], []
    async with desk_of("shelter", tmp_path) as here, browsing(here, member()) as browser:
        for places in ({"women": "none"}, {"women": "none", "children": "free"}):
            await named(here, places)
            at = (await browser.post(f"/app/bulletins/{CAPACITY}", data={})).headers["location"]
            form = await browser.get(at)
            found.append((chosen(form, "data.women"), chosen(form, "data.children")))
            said.append("Your answers replace what your agency said before." in form.text)

    assert found == [(["none"], []), (["none"], ["free"])]
    assert said == [True, True]


async def test_a_draft_in_which_somebody_typed_is_not_filled_in_again(tmp_path: Path) -> None:
    """Given a saved draft, when the agency names places elsewhere, then the draft keeps what was typed."""
    async with desk_of("shelter", tmp_path) as here, browsing(here, member()) as browser:
        at = (await browser.post(f"/app/bulletins/{CAPACITY}", data={})).headers["location"]
        await filled(browser, at, {"data.men": "few"}, go="later")
        await named(here, {"women": "none"})
        again = (await browser.post(f"/app/bulletins/{CAPACITY}", data={})).headers["location"]
        form = await browser.get(again)

    assert again == at
    assert (chosen(form, "data.men"), chosen(form, "data.women")) == (["few"], [])


@pytest.mark.parametrize(
    ("women", "is_filled_in"), [("free", True), ("few", False)], ids=["nobody typed", "somebody typed"]
)
async def test_a_draft_of_an_earlier_release_is_filled_in_only_if_nobody_typed(
    women: str, tmp_path: Path, *, is_filled_in: bool
) -> None:
    """Given a draft of places from before an upgrade, when the agency has named other places since, then a draft with the earlier places shows what stands, and any other is left as it is."""
    async with desk_of("shelter", tmp_path) as here, browsing(here, member()) as browser:
        await named(here, {"women": "free", "men": "few"})
        async with here.desk.seat.ledger.write() as tx:
            old = drafts.begin(
                here.desk.seat, tx, owner=member().number, type=CAPACITY, subject=bulletin.of("shelter"), ref=None,
                page="what", typed={"data.women": (women,), "data.men": ("few",)},
            )  # fmt: skip
        await named(here, {"women": "none", "men": "none"})
        at = (await browser.post(f"/app/bulletins/{CAPACITY}", data={})).headers["location"]
        form = await browser.get(at)

    assert old.id in at
    shown = (["none"], ["none"]) if is_filled_in else ([women], ["few"])
    assert (chosen(form, "data.women"), chosen(form, "data.men")) == shown


async def test_answers_that_the_registrar_refused_stay_when_the_form_is_opened_again(tmp_path: Path) -> None:
    """Given a breach that the registrar refused, when its sender goes on with a new draft and comes back over the page of bulletins, then the form has the answers."""
    answers = {
        "data.kind": "lost", "data.classes": ["DC3"], "data.persons": "1-10", "data.measures": ["none_yet"], "data.ended": "no",
    }  # fmt: skip
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        at = (await browser.post(f"/app/bulletins/{LOSS}", data={})).headers["location"]
        check = (await filled(browser, at, answers)).headers["location"]
        asking = asyncio.ensure_future(browser.post(check.replace("/check", "/send"), data={"go": "anyway"}))
        sent: list[Record] = []
        await eventually("the desk sends the event", partial(_sends, here, sent))
        await here.hear(here.registrar.refuse(sent[0], "time_in_future", "W3"))
        refused = await browser.get((await asking).headers["location"])
        again = (await browser.post(check.replace("/check", "/again"))).headers["location"]
        opened = (await browser.post(f"/app/bulletins/{LOSS}", data={})).headers["location"]
        form = await browser.get(opened)

    assert heading(refused) == "Refused"
    assert opened == again.replace("/check", "/what")
    assert (chosen(form, "data.classes"), chosen(form, "data.ended")) == (["DC3"], ["no"])


async def _sends(here: Given, sent: list[Record]) -> bool:
    sent += await here.out()
    return bool(sent)


async def test_the_draft_of_a_second_tab_stays_after_the_first_one_is_deleted(tmp_path: Path) -> None:
    """Given two tabs of which both drafts are kept, when the first draft is deleted and the form opened again, then it has what the second tab typed."""
    async with desk_of("shelter", tmp_path) as here, browsing(here, member()) as browser:
        at = (await browser.post(f"/app/bulletins/{CAPACITY}", data={})).headers["location"]
        await filled(browser, at, {"data.men": "few"}, go="later")
        both = await browser.post(at, data={"version": "1", "go": "both", "data.women": "free"})
        await browser.post(at.replace("/what", "/delete"))
        again = (await browser.post(f"/app/bulletins/{CAPACITY}", data={})).headers["location"]
        form = await browser.get(again)

    assert again == both.headers["location"]
    assert chosen(form, "data.women") == ["free"]


async def test_a_tab_whose_form_was_filled_in_again_keeps_what_is_typed_in_it(tmp_path: Path) -> None:
    """Given an open form of places, when the agency names places and another tab opens the form, then the first tab is told of the change and has its answers."""
    async with desk_of("shelter", tmp_path) as here, browsing(here, member()) as browser:
        at = (await browser.post(f"/app/bulletins/{CAPACITY}", data={})).headers["location"]
        await named(here, {"women": "none"})
        again = (await browser.post(f"/app/bulletins/{CAPACITY}", data={})).headers["location"]
        typed = {"version": "1", "data.men": "few"}
        kept = await browser.post(at.replace("/what", "/keep"), data={**typed, "fields": "data.men"})
        passed = await browser.post(at, data={**typed, "go": "on"})

    assert again == at
    assert kept.json() == {"state": "passed"}
    assert heading(passed) == "This draft was changed in another tab."
    assert '<input type="hidden" name="data.men" value="few">' in passed.text


async def test_an_empty_form_of_places_erases_nothing(tmp_path: Path) -> None:
    """Given a form without an answer, then its page asks for one, and it is not sent."""
    async with desk_of("shelter", tmp_path) as here, browsing(here, member()) as browser:
        at = (await browser.post(f"/app/bulletins/{CAPACITY}", data={})).headers["location"]
        answer = await filled(browser, at, {})

    assert answer.status_code == 422
    assert '<a href="#data-women">Choose for at least one group whether there are places.' in answer.text


async def test_a_page_without_places_says_so(tmp_path: Path) -> None:
    """Given an agency whose system took its places back, then the page does not deny that it said something."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        for places in ({"women": "few"}, {}):
            event = here.registrar.event("shelter", CAPACITY, places, case=bulletin.of("shelter"))
            await here.hear(here.registrar.register(event, to="ngo-a"))
        page = await browser.get("/app/bulletins")

    assert "No agency has said what places it has" in page.text
