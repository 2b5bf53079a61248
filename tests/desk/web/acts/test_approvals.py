"""Two people: what the first has written waits, and goes out with the signature of a second one, on a screen of their own."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from sqlalchemy import Connection

from agencies import CASE, SIGNAL
from desk.given import REF, Given, desk_of
from desk.web.acts.test_pages import begun, filled, heading
from desk.web.browsing import browsing, employed, member
from desk.web.staff.given import office
from desk.web.work.given import a_referral_comes
from nrmbus.desk.outbox import drafts
from nrmbus.desk.outbox.drafts import Kept, PassedError
from nrmbus.desk.staff.members import Standing
from nrmbus.desk.staff.permissions import Permission
from nrmbus.desk.state.context import Seat
from nrmbus.desk.web.acts import sending
from nrmbus.wire import json
from patience import eventually

WORKER: Final[tuple[Permission, ...]] = ("read_cases", "publish")
SECOND: Final[tuple[Permission, ...]] = ("read_cases", "publish", "approve")


@pytest.mark.parametrize(
    ("error", "leads"),
    [(PassedError, "check"), (LookupError, "sent")],
    ids=["changed in another tab", "sent meanwhile"],
)
async def test_another_tab_while_a_second_person_is_asked_leads_to_the_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception], leads: str
) -> None:
    """Given a draft that another tab changes or sends at the same moment, then the member sees what it is now, and nothing waits."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member(*WORKER)) as browser:
        await here.registered(type="case.signal_recorded", data={**SIGNAL, "child": True})
        at = await begun(browser, "case.signal_dismissed")
        check = (await filled(browser, at, {"data.reason": "no_indicator"})).headers["location"]

        def passed(_seat: object, _tx: object, draft: object, **_: object) -> None:
            raise error(draft)

        with monkeypatch.context() as broken:
            broken.setattr(drafts, "keep", passed)
            broken.setattr("nrmbus.desk.web.acts.editing.sending.row_of", lambda *_: "registered")
            answer = await browser.post(check.replace("/check", "/send"))

        assert (answer.status_code, answer.headers.get("location")) == (303, check.replace("/check", f"/{leads}"))
        assert heading(await browser.get(check)) == "Check your answers"


async def test_a_tab_that_saves_while_a_second_person_is_asked_takes_nothing_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a tab that saw the draft open and saves once it waits, then the draft waits as it was, and the tab leads to it."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member(*WORKER)) as browser:
        await here.registered(type="case.signal_recorded", data={**SIGNAL, "child": True})
        at = await begun(browser, "case.signal_dismissed")
        await filled(browser, at, {"data.reason": "no_indicator"})
        with here.desk.seat.ledger.read() as tx:
            seen = drafts.of(here.desk.seat, tx, at.split("/")[3])
        await browser.post(at.replace("/what", "/send"))
        (before,) = await here.rows("drafts")

        said = {"version": "2", "go": "on", "data.reason": "no_indicator"}
        with monkeypatch.context() as late:
            late.setattr("nrmbus.desk.web.acts.pages.own_draft", lambda *_: seen)
            answer = await browser.post(at, data=said)

        assert await here.rows("drafts") == [before]
        assert before.state == "waits"
        assert answer.headers["location"] == at.replace("/what", "/sent")
        assert heading(await browser.get(answer.headers["location"])) == "A second person has to sign"


async def asked(here: Given, browser: httpx.AsyncClient) -> str:
    """Have a worker ask for the dismissal of a child's signal; return the draft's id."""
    await here.registered(type="case.signal_recorded", data={**SIGNAL, "child": True})
    at = await begun(browser, "case.signal_dismissed")
    check = (await filled(browser, at, {"data.reason": "no_indicator"})).headers["location"]
    assert "A second person has to sign" in (await browser.get(check)).text
    waits = await browser.post(check.replace("/check", "/send"))
    assert heading(await browser.get(waits.headers["location"])) == "A second person has to sign"
    return str(check.split("/")[3])


def counted(page: httpx.Response) -> int:
    """Return how many signatures the navigation says are wanted."""
    found = re.search(r'href="/app/approvals"[^>]*>Approvals<[^>]*>\s*(?:<[^>]*>)?(\d+)', page.text)
    return int(found[1]) if found else 0


async def signed(browser: httpx.AsyncClient, id: str) -> httpx.Response:
    """Read what waits under *id*, and sign it."""
    page = await browser.get(f"/app/approvals/{id}")
    seen = re.search(r'name="seen" value="([^"]*)"', page.text)
    return await browser.post(f"/app/approvals/{id}/sign", data={"seen": seen[1]} if seen else {})


async def test_a_second_person_signs_what_the_first_has_written(tmp_path: Path) -> None:
    """Given a step for two, then nothing is sent before the second signs; the event names both."""
    async with (
        desk_of("ngo-a", tmp_path) as here,
        browsing(here, employed(here, member(*WORKER, number="S-1"))) as one,
        browsing(here, employed(here, member(*SECOND, number="S-2"))) as two,
    ):
        id = await asked(here, one)
        assert [row.type for row in await here.rows("outbox")] == ["case.signal_recorded"]
        assert id in (await two.get("/app/approvals")).text
        assert counted(await two.get("/app/acts")) == 1
        page = (await two.get(f"/app/approvals/{id}")).text
        assert "There is no indicator" in page
        assert f"Case {CASE[:8]} · " in page, "nobody signs without knowing in which case"

        answer = await here.during(signed(two, id))

        assert heading(await two.get(answer.headers["location"])) == "Registered"
        assert counted(await two.get("/app/acts")) == 0
        assert heading(await one.get(f"/app/acts/{id}/sent")) == "Registered"
        row = (await here.rows("outbox"))[-1]
        clear = json.loads(row.clear, limit=10_000)
        assert (row.id, clear["actor"], clear["approver"]) == (id, "S-1", "S-2")


async def test_who_signs_sees_which_record_is_answered(tmp_path: Path) -> None:
    """Given two requests of one kind in a case, then the second person reads from whom the one is that the first has answered."""
    async with desk_of("vac", tmp_path) as here, browsing(here, employed(here, member(*SECOND, number="S-2"))) as two:
        await a_referral_comes(here)
        seat = here.desk.seat
        async with seat.ledger.write() as tx:
            draft = drafts.begin(
                seat, tx, owner="S-1", type="referral.accepted", subject=CASE, ref=REF, page="what",
                typed={"data.next_step": ("plan",)},
            )  # fmt: skip
            request = json.dumps({"events": [sending.body_of(here.behind, draft)]})
            drafts.keep(seat, tx, replace(draft, state="waits", request=request), seen=draft.version)
        page = (await two.get(f"/app/approvals/{draft.id}")).text

    assert re.search(rf"Case {CASE[:8]} · from [^·]*ngo-a[^·]*, 2 March 2026 · ", page)


async def test_nobody_signs_twice_or_without_the_right(tmp_path: Path) -> None:
    """Given what waits, then its owner cannot sign it, a worker cannot, and a second signature sends no second event."""
    async with (
        desk_of("ngo-a", tmp_path) as here,
        browsing(here, employed(here, member(*SECOND, number="S-1"))) as owner, browsing(here, employed(here, member(*SECOND, number="S-2", name="Second Example"))) as two,
        browsing(here, employed(here, member(*SECOND, number="S-3"))) as three, browsing(here, member(*WORKER, number="S-4")) as worker,
    ):  # fmt: skip
        id = await asked(here, owner)
        own = [await owner.post(f"/app/approvals/{id}/sign"), await owner.get(f"/app/approvals/{id}")]
        assert {each.headers["location"] for each in own} == {f"/app/acts/{id}/sent"}
        assert [row.type for row in await here.rows("outbox")] == ["case.signal_recorded"]
        assert (await worker.post(f"/app/approvals/{id}/sign")).status_code == 403
        await here.during(signed(two, id))
        late = [await three.post(f"/app/approvals/{id}/sign"), await three.get(f"/app/approvals/{id}")]
        assert [each.status_code for each in late] == [409, 200]
        assert {heading(each) for each in late} == {"Signed already: Second Example"}
        again = await two.post(f"/app/approvals/{id}/sign")
        assert again.headers["location"] == f"/app/acts/{id}/sent", "who has signed sees what became of it"
        back = await two.get(f"/app/approvals/{id}")
        assert back.headers["location"] == f"/app/acts/{id}/sent", "the back button too"
        assert len(await here.rows("outbox")) == 2


async def test_what_is_not_signed_goes_back_to_its_owner(tmp_path: Path) -> None:
    """Given a second person who does not sign, or an owner who takes it back, then the owner goes on with what was typed."""
    async with (
        desk_of("ngo-a", tmp_path) as here,
        browsing(here, employed(here, member(*WORKER, number="S-1"))) as one,
        browsing(here, employed(here, member(*SECOND, number="S-2"))) as two,
    ):
        id = await asked(here, one)
        clicks = [await two.post(f"/app/approvals/{each}/back") for each in (id, id, REF)]
        assert {each.headers["location"] for each in clicks} == {"/app/approvals"}
        assert heading(await one.get(f"/app/acts/{id}/check")) == "Check your answers"
        await one.post(f"/app/acts/{id}/send")
        taken, clicked_twice = [await one.post(f"/app/acts/{id}/again") for _ in range(2)]

        assert taken.headers["location"] == clicked_twice.headers["location"] == f"/app/acts/{id}/check"
        assert (await two.get(f"/app/approvals/{id}")).status_code == 404
        assert "/app/approvals/" not in (await two.get("/app/approvals")).text.partition("<main")[2]
        assert CASE not in (await one.get(f"/app/acts/{id}/check")).text.partition("</title>")[0]


async def test_nobody_signs_what_was_changed_after_they_read_it(tmp_path: Path) -> None:
    """Given a draft that its owner takes back, changes and asks for again, then the page that was read before signs nothing."""
    async with (
        desk_of("ngo-a", tmp_path) as here,
        browsing(here, employed(here, member(*WORKER, number="S-1"))) as one,
        browsing(here, employed(here, member(*SECOND, number="S-2"))) as two,
    ):
        id = await asked(here, one)
        read = (await two.get(f"/app/approvals/{id}")).text
        await one.post(f"/app/acts/{id}/again")
        changed = await filled(one, f"/app/acts/{id}/what", {"data.reason": "duplicate"})
        await one.post(changed.headers["location"].replace("/check", "/send"))
        stale = re.search(r'name="seen" value="([^"]*)"', read)
        assert stale is not None
        answers = [await two.post(f"/app/approvals/{id}/sign", data={"seen": each}) for each in (stale[1], "")]

        assert [each.status_code for each in answers] == [409, 409]
        assert "This is not what you read before" in answers[0].text
        assert "There is no indicator" not in answers[0].text
        assert [row.type for row in await here.rows("outbox")] == ["case.signal_recorded"]
        assert (await here.during(signed(two, id))).status_code == 303
        assert (await here.rows("outbox"))[-1].type == "case.signal_dismissed"


async def test_the_unit_that_found_an_adult_records_her_own_consent_with_two_signatures(tmp_path: Path) -> None:
    """Given a signal of its own, then the form offers the unit itself, the draft waits for a second person, and both are named."""
    async with (
        desk_of("special-unit", tmp_path) as here,
        browsing(here, employed(here, member(number="S-1"))) as one,
        browsing(here, employed(here, member(*SECOND, number="S-2"))) as two,
    ):
        await here.registered(type="case.signal_recorded", data={**SIGNAL, "detector": "special_unit"})
        at = await begun(one, "consent.given")
        assert "special-unit (your agency)" in (await one.get(at)).text
        said: dict[str, str | list[str]] = {
            "data.purposes": ["information_sharing"],
            "data.receivers": ["special-unit"],
        }
        said |= {"data.given_by": "individual", "data.form": "written"}
        check = (await filled(one, at, said)).headers["location"]
        id = check.split("/")[3]
        assert "A second person has to sign" in (await one.get(check)).text
        await one.post(check.replace("/check", "/send"))
        answer = await here.during(signed(two, id))

        assert heading(await two.get(answer.headers["location"])) == "Registered"


@pytest.mark.parametrize("standing", ["active", "removed"])
async def test_the_first_signature_counts_only_with_its_permission(tmp_path: Path, standing: Standing) -> None:
    """Given an owner who may not do the step any more, then nobody signs second; a colleague takes it over, and another signs."""
    async with (
        desk_of("ngo-a", tmp_path) as here,
        browsing(here, employed(here, member(*WORKER, number="S-1"))) as one,
        browsing(here, employed(here, member(*SECOND, number="S-2", name="Second Example"))) as two,
        browsing(here, employed(here, member(*SECOND, number="S-3"))) as three,
    ):
        id = await asked(here, one)
        seen = re.search(r'name="seen" value="([^"]*)"', (await two.get(f"/app/approvals/{id}")).text)
        assert seen is not None
        everybody = here.behind.staff.members._members
        everybody["S-1"] = replace(everybody["S-1"], permissions=frozenset(("read_cases",)), standing=standing)

        refused = await two.post(f"/app/approvals/{id}/sign", data={"seen": seen[1]})
        assert refused.status_code == 409
        assert "The first signature counts no more" in refused.text
        assert [row.type for row in await here.rows("outbox")] == ["case.signal_recorded"]

        taken = await two.post(f"/app/approvals/{id}/take")
        assert heading(await two.get(taken.headers["location"])) == "Check your answers"
        again = await two.post(f"/app/approvals/{id}/take")
        assert again.headers["location"] == taken.headers["location"], "who has taken it over has it"
        others = [await three.post(f"/app/approvals/{id}/take"), await three.get(f"/app/approvals/{id}")]
        assert [each.status_code for each in others] == [409, 200]
        assert {heading(each) for each in others} == {"Taken over already: Second Example"}
        back = await two.get(f"/app/approvals/{id}")
        assert back.headers["location"] == taken.headers["location"], "the back button leads to it"
        assert [row.owner for row in await here.rows("drafts")] == ["S-2"]
        await two.post(taken.headers["location"].replace("/check", "/send"))
        mine = taken.headers["location"].split("/")[3]
        again = await two.post(f"/app/approvals/{mine}/sign")
        assert again.headers["location"] == f"/app/acts/{mine}/sent", "nobody signs their own"
        assert [row.type for row in await here.rows("outbox")] == ["case.signal_recorded"]
        assert f'href="/app/approvals/{mine}"' in (await three.get(f"/app/approvals/{id}")).text
        done = await here.during(signed(three, mine))
        assert heading(await three.get(done.headers["location"])) == "Registered"
        clear = json.loads((await here.rows("outbox"))[-1].clear, limit=10_000)
        assert (clear["actor"], clear["approver"]) == ("S-2", "S-3")
        late = await two.post(f"/app/approvals/{id}/take")
        assert late.headers["location"].startswith(f"/app/acts/{mine}/")


async def while_it_waits_for_the_ledger(
    here: Given, post: Coroutine[None, None, httpx.Response], meanwhile: Callable[[], object]
) -> httpx.Response:
    """Let *meanwhile* happen after *post* has looked at everything, and before its event is put into the outbox."""
    ledger = here.desk.seat.ledger
    async with ledger.write():
        asking = asyncio.create_task(post)
        await eventually("the request waits for its turn, or is answered", lambda: ledger._waiting or asking.done())
        meanwhile()
    return await asking


@pytest.mark.parametrize("standing", ["active", "removed"])
async def test_the_first_signature_counts_until_the_event_is_in_the_outbox(tmp_path: Path, standing: Standing) -> None:
    """Given an owner who loses the permission while a colleague signs, then nothing is sent, and the page says why."""
    async with (
        desk_of("ngo-a", tmp_path) as here,
        browsing(here, employed(here, member(*WORKER, number="S-1"))) as one,
        browsing(here, employed(here, member(*SECOND, number="S-2"))) as two,
    ):
        id = await asked(here, one)
        everybody = here.behind.staff.members._members
        lost = replace(everybody["S-1"], permissions=frozenset(), standing=standing)
        answer = await while_it_waits_for_the_ledger(here, signed(two, id), lambda: everybody.update({"S-1": lost}))

        assert answer.status_code == 409
        assert "The first signature counts no more" in answer.text
        assert [row.type for row in await here.rows("outbox")] == ["case.signal_recorded"]
        assert [(row.id, row.state) for row in await here.rows("drafts")] == [(id, "waits")]


@pytest.mark.usefixtures("cheap_passwords")
async def test_a_colleague_who_is_removed_while_signing_signs_nothing(tmp_path: Path) -> None:
    """Given a session that is ended before the event is in the outbox, then nothing is sent, and the browser is led to the sign-in."""
    async with office(tmp_path) as it, browsing(it.here, employed(it.here, member(*WORKER, number="S-1"))) as one:
        id = await asked(it.here, one)
        me = await it.signed_in("Leyla Example", "supervisor")
        seen = re.findall(r'name="seen" value="([^"]*)"', (await it.get(f"/approvals/{id}")).text)[0]
        post = it.send(f"/approvals/{id}/sign", seen=seen)
        answer = await while_it_waits_for_the_ledger(it.here, post, lambda: it.staff.sessions.forget(me.number))

        assert answer.headers["location"] == f"/app/sign-in?over=1&back=%2Fapprovals%2F{id}"
        assert [row.type for row in await it.here.rows("outbox")] == ["case.signal_recorded"]


async def during_another_s_turn(
    here: Given, monkeypatch: pytest.MonkeyPatch, posts: list[Coroutine[None, None, httpx.Response]],
    meanwhile: Callable[[Connection, Kept], object],
) -> list[httpx.Response]:  # fmt: skip
    """Let *meanwhile* change the draft after all *posts* have read it, and before the first of them writes."""
    found, of = [], drafts.of

    def noted(seat: Seat, tx: Connection, id: str, owner: str | None = None) -> Kept | None:
        draft = of(seat, tx, id, owner)
        found.append(draft)
        return draft

    monkeypatch.setattr(drafts, "of", noted)
    async with here.desk.seat.ledger.write() as tx:
        asking = [asyncio.create_task(each) for each in posts]
        await eventually("each request has read the draft", lambda: len(found) == len(posts))
        assert found[0] is not None
        meanwhile(tx, found[0])
    return await asyncio.gather(*asking)


@pytest.mark.parametrize(
    ("change", "takers", "status", "owners"),
    [
        (None, ("S-2", "S-3"), [303, 409], {"S-2", "S-3"}),
        (None, ("S-2", "S-2"), [303, 303], {"S-2"}),
        ({"state": "sent"}, ("S-2", "S-3"), [404, 404], {"S-1"}),
        ({"typed": {"data.reason": ("other",)}}, ("S-2", "S-3"), [409, 409], {"S-1"}),
    ],
    ids=["both take it", "a double click", "signed meanwhile", "changed meanwhile"],
)
async def test_two_who_take_over_at_once_get_one_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any] | None, takers: tuple[str, str], status: list[int], owners: set[str],
) -> None:  # fmt: skip
    """Given two who take over what both have read, then one draft is left, and none is taken that became another meanwhile."""
    async with (
        desk_of("ngo-a", tmp_path) as here,
        browsing(here, employed(here, member(*WORKER, number="S-1"))) as one,
        browsing(here, employed(here, member(*SECOND, number="S-2"))) as two,
        browsing(here, employed(here, member(*SECOND, number="S-3"))) as three,
    ):
        id = await asked(here, one)
        everybody = here.behind.staff.members._members
        everybody["S-1"] = replace(everybody["S-1"], permissions=frozenset(("read_cases",)))

        def meanwhile(tx: Connection, draft: Kept) -> None:
            if change is not None:
                drafts.keep(here.desk.seat, tx, replace(draft, **change), seen=draft.version)

        browsers = {"S-2": two, "S-3": three}
        posts = [browsers[each].post(f"/app/approvals/{id}/take") for each in takers]
        answers = await during_another_s_turn(here, monkeypatch, posts, meanwhile)

        assert sorted(each.status_code for each in answers) == status
        (left,) = await here.rows("drafts")
        assert left.owner in owners


@pytest.mark.parametrize(
    "change",
    [{"state": "sent"}, {"typed": {"data.reason": ("other",)}}],
    ids=["signed meanwhile", "changed meanwhile"],
)
async def test_what_an_owner_left_is_destroyed_only_as_it_was_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    """Given a draft whose owner has left, then "give it back" destroys it, unless it became another since it was read."""
    async with (
        desk_of("ngo-a", tmp_path) as here,
        browsing(here, employed(here, member(*WORKER, number="S-1"))) as one,
        browsing(here, employed(here, member(*SECOND, number="S-2"))) as two,
    ):
        id = await asked(here, one)
        everybody = here.behind.staff.members._members
        everybody["S-1"] = replace(everybody["S-1"], standing="removed")

        def meanwhile(tx: Connection, draft: Kept) -> None:
            drafts.keep(here.desk.seat, tx, replace(draft, **change), seen=draft.version)

        with monkeypatch.context() as slow:
            (late,) = await during_another_s_turn(here, slow, [two.post(f"/app/approvals/{id}/back")], meanwhile)
        assert late.headers["location"] == "/app/approvals"
        assert [row.id for row in await here.rows("drafts")] == [id]

        async with here.desk.seat.ledger.write() as tx:
            now = drafts.of(here.desk.seat, tx, id)
            assert now is not None
            drafts.keep(here.desk.seat, tx, replace(now, state="waits"), seen=now.version)
        await two.post(f"/app/approvals/{id}/back")
        assert await here.rows("drafts") == []


async def test_nobody_takes_over_what_its_owner_may_still_do(tmp_path: Path) -> None:
    """Given an owner with the permission, or a reader without it, then the draft stays with its owner."""
    async with (
        desk_of("ngo-a", tmp_path) as here,
        browsing(here, employed(here, member(*WORKER, number="S-1"))) as one,
        browsing(here, employed(here, member(*SECOND, number="S-2"))) as two,
        browsing(here, employed(here, member("read_cases", "approve", number="S-3"))) as reader,
    ):
        id = await asked(here, one)
        assert (await two.post(f"/app/approvals/{id}/take")).status_code == 409
        everybody = here.behind.staff.members._members
        everybody["S-1"] = replace(everybody["S-1"], permissions=frozenset())
        assert "/take" not in (await reader.get(f"/app/approvals/{id}")).text
        assert (await reader.post(f"/app/approvals/{id}/take")).status_code == 409
        assert [each.owner for each in await here.rows("drafts")] == ["S-1"]
