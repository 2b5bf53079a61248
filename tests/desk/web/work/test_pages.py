"""The work list at a desk: what a member sees, searches, takes and labels, and how it stays true."""

import asyncio
import json
import logging
import re
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from starlette.requests import Request

from agencies import CASE, SIGNAL
from desk.given import CANARY, REF, desk_of
from desk.web.browsing import browsing, gone, kept_in, member
from desk.web.cases.given import CONSENT, came
from desk.web.staff.given import OPEN, behind_a_removal, office
from desk.web.work.given import REFERRAL, a_referral_comes, rows
from nrmbus.desk.staff.members import NewMember
from nrmbus.desk.staff.permissions import Permission, Role
from nrmbus.desk.web.shell import Visit
from nrmbus.desk.web.work import stream
from nrmbus.desk.web.work.known import Known, known_of
from nrmbus.desk.web.work.queues import files
from nrmbus.directory.entry import Kind
from patience import eventually

OTHER = "12" * 16
LABEL = "CANARY-file 12, the woman from the tea house"
SENT: dict[str, Any] = {
    "to": ["special-unit"], "mode": "referral", "reason": "FormalIdentification", "urgency": "urgent", "services": [],
}  # fmt: skip


async def test_an_answer_removes_the_row(tmp_path: Path) -> None:
    """Given a referral, the list has its next step with a countdown; after the answer it waits for nobody."""
    async with desk_of("vac", tmp_path) as here, browsing(here, member()) as browser:
        await a_referral_comes(here)
        first = await browser.get("/app/")
        before = await browser.get("/app/work")
        await here.registered(type="referral.accepted", ref=REF, data={"next_step": "plan"})
        after = await browser.get("/app/work")

    assert first.headers["location"] == "/app/work"
    (row,) = rows(before)
    assert "ngo-a" in row
    assert "3 days left" in row
    assert f'href="/app/cases/{CASE}/referrals/{REF}">Answer a referral' in before.text
    assert [each for each in rows(after) if "referral.accepted" in each] == []
    assert CANARY not in before.text


async def test_an_empty_list_teaches(tmp_path: Path) -> None:
    """Given a new agency, each list says how something comes to stand in it."""
    async with desk_of("vac", tmp_path) as here, browsing(here, member()) as browser:
        for queue in files()[""].queues:
            page = await browser.get(f"/app/lists/{queue.id}")
            assert queue.empty.title in page.text
            assert queue.empty.lead in page.text
        assert (await browser.get("/app/lists/nothing")).status_code == 404


async def test_another_agency_s_case_appears_nowhere(tmp_path: Path) -> None:
    """A case that this desk never heard of is in no list, has no notes, and is not there to take."""
    async with desk_of("vac", tmp_path) as here, browsing(here, member()) as browser:
        await a_referral_comes(here)
        pages = [await browser.get(f"/app/lists/{each.id}") for each in files()[""].queues]
        pages.append(await browser.get("/app/board"))
        unknown = [
            await browser.get(f"/app/cases/{OTHER}/notes"),
            await browser.post(f"/app/cases/{OTHER}/notes", data={"label": "x", "colleague": "me"}),
            await browser.post("/app/lists/take", data={"case": OTHER, "task": "0", "back": "waits"}),
        ]

    assert any(CASE in each.text for each in pages)
    assert not any(OTHER in each.text for each in pages)
    assert [each.status_code for each in unknown] == [404] * 3


async def test_the_label_is_on_the_page_and_in_no_file_address_or_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Pages show and find a label; addresses, logs and the ledger's files never have it in the clear."""
    caplog.set_level(logging.DEBUG)
    addresses = list[str]()
    async with desk_of("vac", tmp_path) as here, browsing(here, member()) as browser:
        await a_referral_comes(here)
        await a_referral_comes(here, OTHER, "ef" * 16)
        unsaved = {"label": LABEL, "colleague": "4711", "go": "language"}
        other = await browser.post(f"/app/cases/{CASE}/notes?lang=ru", data=unsaved)
        assert f'value="{LABEL}"' in other.text
        assert re.search(r'value="4711"\s+checked', other.text)
        assert LABEL not in (await browser.get(f"/app/cases/{CASE}/notes?lang=en")).text  # nothing was saved by it
        kept = await browser.post(f"/app/cases/{CASE}/notes", data={"label": f"  {LABEL} ", "colleague": "4711"})
        listed = await browser.get("/app/lists/cases")
        shown = await browser.get(kept.headers["location"])
        asked = await browser.post("/app/lists/waits/search", data={"text": "TEA house", "type": "", "colleague": ""})
        found = await browser.get(asked.headers["location"])
        theirs = await browser.post("/app/lists/waits/search", data={"text": "", "type": "", "colleague": "me"})
        mine = await browser.get(theirs.headers["location"])
        addresses = [each.headers.get("location", "") for each in (kept, asked, theirs)]
        raw = b"".join(each.read_bytes() for each in tmp_path.rglob("*") if each.is_file())
        await browser.post(f"/app/cases/{CASE}/notes", data={"label": "", "colleague": "nobody"})
        emptied = await browser.get("/app/lists/cases")

    assert kept.headers["location"] == f"/app/cases/{CASE}"
    assert LABEL in listed.text
    assert LABEL in shown.text
    assert "CANARY" not in shown.text.partition("</title>")[0]
    assert [len(rows(each)) for each in (listed, found, mine)] == [2, 1, 1]
    assert LABEL not in emptied.text
    assert not any("tea" in each.lower() or "CANARY" in each for each in addresses)
    assert "<title>Waits for you" in found.text
    assert b"CANARY" not in raw
    assert "CANARY" not in caplog.text
    assert "CANARY" not in "".join(capfd.readouterr())


async def test_who_was_first_keeps_a_case(tmp_path: Path) -> None:
    """If two colleagues take one case, the first keeps it, and the second sees the name."""
    taken = {"case": CASE, "task": "0", "back": "waits"}
    async with desk_of("vac", tmp_path) as here:
        await a_referral_comes(here)
        async with browsing(here, member()) as browser:
            await browser.post("/app/lists/take", data=taken)
        async with browsing(here, member(number="4712")) as browser:
            await browser.post("/app/lists/take", data=taken)
            page = await browser.get("/app/lists/cases")
        kept = await here.rows("assignments")

    assert [row.member for row in kept] == ["4711"]
    assert "4711" in rows(page)[0]


@pytest.mark.parametrize("how", ["removed", "another role"])
async def test_a_case_of_a_colleague_who_is_gone_waits_for_somebody_to_take_it(tmp_path: Path, how: str) -> None:
    """Given a case and its colleague, when that colleague is removed or may read no cases any more, then it is listed as taken by nobody, and the next one takes it."""
    nobody = {"text": "", "type": "", "colleague": "nobody"}
    take = {"case": CASE, "task": "0", "back": "waits"}
    async with desk_of("vac", tmp_path) as here, browsing(here, member(number="4712")) as browser:
        await a_referral_comes(here)
        members = here.behind.staff.members
        left = await members.add(NewMember(name="Aysel Example", roles=("worker",)), "door.json", None)
        async with browsing(here, left) as other:
            await other.post("/app/lists/take", data=take)
        everything = await browser.get("/app/work")
        if how == "removed":
            await members.remove(left.number, "door.json")
        else:
            await members.set_roles(left.number, ["administrator"], "door.json")
        page = await browser.get("/app/work")
        found = await browser.get((await browser.post("/app/lists/waits/search", data=nobody)).headers["location"])
        await browser.post("/app/lists/take", data=take)
        taken = [(row.subject, row.member) for row in await here.rows("assignments")]

    assert "Aysel Example" in everything.text
    assert "Aysel Example" not in page.text
    assert "/lists/take" in page.text
    assert len(rows(found)) == len(rows(page)) > 0
    assert taken == [(CASE, "4712")]


@pytest.mark.usefixtures("cheap_passwords")
async def test_who_was_removed_takes_no_case(tmp_path: Path) -> None:
    """Given a click that waits for the ledger behind the removal of its sender, then nobody has the case, whether it was taken or given."""
    async with office(tmp_path, agency="vac") as it:
        await a_referral_comes(it.here)
        one, other = await it.example("Leyla Example", "worker"), await it.signed_in("Rena Example", "worker")
        given = {"label": "", "was_label": "", "colleague": other.number, "was_colleague": ""}
        answers = [await behind_a_removal(it, other, it.send(f"/cases/{CASE}/notes", **given))]
        await it.send("/sign-in", name=one.name, password=OPEN)
        take = it.send("/lists/take", case=CASE, task="0", back="waits")
        answers.append(await behind_a_removal(it, one, take))

        assert {each.headers.get("location", "")[:19] for each in answers} == {"/app/sign-in?over=1"}
        assert await it.here.rows("assignments") == []


@pytest.mark.usefixtures("cheap_passwords")
async def test_who_was_removed_marks_no_task_as_done(tmp_path: Path) -> None:
    """Given a click that waits for the ledger behind the removal of its sender, then the task stays in the list of the others."""
    async with office(tmp_path, agency="vac") as it:
        await a_referral_comes(it.here)
        one = await it.signed_in("Rena Example", "worker")
        (task, *_) = re.findall(r"/app/lists/tasks/(\d+)/done", (await it.get("/lists/news")).text)
        answer = await behind_a_removal(it, one, it.send(f"/lists/tasks/{task}/done", back="news"))

        assert answer.headers.get("location", "")[:19] == "/app/sign-in?over=1"
        assert [row.done for row in await it.here.rows("tasks") if str(row.id) == task] == [None]


async def test_a_supervisor_gives_a_case_to_a_colleague(tmp_path: Path) -> None:
    """Whoever sees the colleagues may give a case to one who reads cases; others take it themselves or leave it."""
    async with desk_of("vac", tmp_path) as here:
        await a_referral_comes(here)
        new: list[tuple[str, Role]] = [("Aysel Worker", "worker"), ("Zaur Administrator", "administrator")]
        worker, administrator = [
            await here.behind.staff.members.add(NewMember(name=name, roles=(role,)), "test", None) for name, role in new
        ]
        address = f"/app/cases/{CASE}/notes"
        async with browsing(here, member("read_cases")) as browser:
            assert "Aysel Worker" not in (await browser.get(address)).text
            await browser.post(address, data={"label": "", "colleague": worker.number})
            assert await here.rows("assignments") == []
        async with browsing(here, member("read_cases", "see_colleagues")) as browser:
            page = await browser.get(address)
            await browser.post(address, data={"label": "", "colleague": administrator.number})
            assert await here.rows("assignments") == []
            await browser.post(address, data={"label": "", "colleague": worker.number})
            listed = await browser.get("/app/lists/cases")

    assert "Aysel Worker" in page.text
    assert "Zaur Administrator" not in page.text
    assert "Aysel Worker" in rows(listed)[0]


async def test_what_a_colleague_has_noted_meanwhile_stays(tmp_path: Path) -> None:
    """Given a page of notes older than a colleague's, then a field the member left alone stays, and a field changed by both is not saved."""
    address = f"/app/cases/{CASE}/notes"
    async with desk_of("vac", tmp_path) as here:
        await a_referral_comes(here)
        async with browsing(here, member()) as one, browsing(here, member(number="4712")) as other:
            empty = kept_in(await one.get(address))
            await other.post(address, data=kept_in(await other.get(address)) | {"label": "88/26", "colleague": "4712"})
            alone = await one.post(address, data=empty)
            after_alone = kept_in(await one.get(address))
            passed = await one.post(address, data=empty | {"label": "14/26", "colleague": "4711"})
            after_passed = kept_in(await one.get(address))
            again = await one.post(address, data=kept_in(passed) | {"label": "14/26"})
            after_again = kept_in(await one.get(address))

    noted = [(each["label"], each["colleague"]) for each in (after_alone, after_passed, kept_in(passed), after_again)]
    assert noted == [(["88/26"], ["4712"])] * 3 + [(["14/26"], ["4712"])]
    assert [each.status_code for each in (alone, passed, again)] == [303, 409, 303]
    assert "Nothing was saved. Read it as it is now." in passed.text


async def test_a_task_is_done_once(tmp_path: Path) -> None:
    """A task of a case leaves its list when a member marks it as done; a second click changes nothing."""
    async with desk_of("vac", tmp_path) as here, browsing(here, member()) as browser:
        await a_referral_comes(here)
        page = await browser.get("/app/lists/news")
        (task,) = re.findall(r"/app/lists/tasks/(\d+)/done", page.text)
        for _ in range(2):
            answer = await browser.post(f"/app/lists/tasks/{task}/done", data={"back": "news"})
            assert answer.headers["location"] == "/app/lists/news"
        after = await browser.get("/app/lists/news")

    assert len(rows(page)) == 1
    assert rows(after) == []


async def test_a_task_to_refer_again_that_is_done_leaves_no_row(tmp_path: Path) -> None:
    """Given a declined referral whose task is marked as done, then nothing stands in its place, and another no is a task again."""
    no = {"reason": "no_capacity", "declined_by": "provider"}
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        await here.ask(type="consent.given", data={**CONSENT, "receivers": ["vac", "ngo-l"]})
        await here.settle()
        found = []
        for by, ref in (("vac", REF), ("ngo-l", "ef" * 16)):
            await here.registered(type="referral.submitted", ref=ref, data={**REFERRAL, "to": [by]})
            await came(here, "referral.declined", no, by=by, referral=ref)
            await here.settle()
            before = await browser.get("/app/work")
            for task in re.findall(r"/app/lists/tasks/(\d+)/done", before.text):
                await browser.post(f"/app/lists/tasks/{task}/done", data={"back": "waits"})
            after = await browser.get("/app/work")
            found.append([sum("declined" in row for row in rows(page)) for page in (before, after)])

    assert found == [[1, 0], [1, 0]]


@pytest.mark.parametrize("kind", ["suspended", "retired"])
async def test_a_declined_referral_names_only_who_can_be_asked(tmp_path: Path, kind: Kind) -> None:
    """Given two agencies that consent covers, when one is suspended or has left, then the task to refer again names the other alone."""
    async with desk_of("ngo-a", tmp_path) as here, browsing(here, member()) as browser:
        await here.registered(type="case.signal_recorded", data=SIGNAL)
        await here.ask(type="consent.given", data={**CONSENT, "receivers": ["vac", "ngo-l", "special-unit"]})
        await here.settle()
        await here.registered(type="referral.submitted", ref=REF, data=REFERRAL | {"services": []})
        no = {"reason": "no_capacity", "declined_by": "provider", "alternative": "ngo-l"}
        await came(here, "referral.declined", no, by="vac", referral=REF)
        before = await browser.get("/app/board")
        gone(here, "ngo-l", kind)
        here.clock.time += timedelta(minutes=1)
        after = await browser.get("/app/board")

    again = [" ".join(row for row in rows(page) if "declined" in row) for page in (before, after)]
    assert [[each for each in ("ngo-l", "special-unit") if each in row] for row in again] == [
        ["ngo-l", "special-unit"],
        ["special-unit"],
    ]


@pytest.mark.thorough
async def test_fifty_rows_are_a_page_and_each_order_has_them_all(tmp_path: Path) -> None:
    """Given 60 cases, two pages have each of them once, whatever their order."""
    cases = [f"{number:032x}" for number in range(1, 61)]
    async with desk_of("vac", tmp_path) as here, browsing(here, member()) as browser:
        for number, case in enumerate(cases):
            await a_referral_comes(here, case, f"{1000 + number:032x}")
        for order in ("due", "since", "newest", "label"):
            pages = [await browser.get(f"/app/work?sort={order}&page={page}") for page in (1, 2)]
            assert [len(rows(each)) for each in pages] == [50, 10]
            found = re.findall(r'name="case" value="(\w+)"', "".join(each.text for each in pages))
            assert sorted(found) == cases
        beyond = await browser.get("/app/work?page=99999&sort=nothing")

    assert len(rows(beyond)) == 10
    assert '<span>60</span><span class="govuk-visually-hidden"> waiting' in beyond.text


async def test_the_stream_says_what_changed_and_that_nothing_did(tmp_path: Path) -> None:
    """A stream begins with the counts, says a change without being asked, repeats itself otherwise, and ends."""
    async with desk_of("vac", tmp_path) as here:
        known = known_of(here.behind)
        request = Request({"type": "http"})
        visit = Visit(request, here.behind, None, member=member(), language="en")  # type: ignore[arg-type]  # it shows no page
        lines = stream.told(visit, known, beat=0.01, life=60)
        assert (await anext(lines)).startswith("retry:")
        first = json.loads((await anext(lines)).removeprefix("data: "))
        same = json.loads((await anext(lines)).removeprefix("data: "))
        await a_referral_comes(here)
        changed = first
        while changed["version"] == first["version"]:
            changed = json.loads((await anext(lines)).removeprefix("data: "))
        known.rest()
        ended = [line async for line in stream.told(visit, known, life=0)]
        sessions = here.behind.staff.sessions
        request.state.session = sessions.look(await sessions.begin("482913", "code"))
        await sessions.end(request.state.session)
        signed_out = [line async for line in stream.told(visit, known, life=60)]

    assert first["counts"]["waits"] == [0, False]
    assert same == first
    assert changed["counts"]["waits"] == [1, False]
    assert len(ended) == len(signed_out) == 2
    assert "CANARY" not in json.dumps([first, changed])
    assert CASE not in json.dumps([first, changed])


async def test_a_duty_that_the_last_day_of_a_consent_lifts_leaves_the_list(tmp_path: Path) -> None:
    """Given a unit that the person refuses again from 3 March on, then list, case and door show its duty until then, though no event comes."""
    about = {"purposes": ["services", "information_sharing"], "receivers": ["special-unit"], "given_by": "individual"}
    until = {**about, "form": "written", "expires": "2026-03-02"}
    async with desk_of("special-unit", tmp_path) as here, browsing(here, member()) as browser:

        async def shown() -> list[bool]:
            list_, case = await browser.get("/app/work"), await browser.get(f"/app/cases/{CASE}")
            door = await here.door.get(f"/v1/cases/{CASE}")
            return ["3 March 2026, 24:00" in list_.text, "3 March 2026, 24:00" in case.text, "D-ACK" in door.text]

        for type_, data in (("consent.refused", about), ("consent.given", until), ("referral.submitted", SENT)):
            sent = here.registrar.event("ngo-a", type_, data, referral=REF if data is SENT else None)
            await here.hear(here.registrar.register(sent, to="special-unit"))
        await here.settle()
        before = await shown()
        known = known_of(here.behind)
        old = await known.after(known.now.version, 0.01)  # from here on a watch waits for the next commit
        here.clock.time += timedelta(days=1)
        followed = await known.after(old.version, 0.01)
        after = await shown()

    assert (before, after) == ([True] * 3, [False] * 3)
    assert followed.version > old.version, "an open list is not told that a day has ended"


async def test_every_page_counts_what_waits_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a referral after a list was shown, then another page counts the referral; where the count fails, the page has no number."""

    def waiting(page: httpx.Response) -> list[str]:
        return re.findall(r'<span>(\d+)</span><span class="govuk-visually-hidden"> waiting', page.text)

    async with desk_of("vac", tmp_path) as here, browsing(here, member()) as browser:
        unread = waiting(await browser.get("/app/acts"))
        await browser.get("/app/work")
        none = waiting(await browser.get("/app/acts"))
        await a_referral_comes(here)
        one = waiting(await browser.get("/app/acts"))
        await here.registered(type="referral.accepted", ref=REF, data={"next_step": "plan"})
        with monkeypatch.context() as broken:
            broken.setattr(Known, "_case", None)
            failed = await browser.get("/app/acts")
        assert (failed.status_code, waiting(failed)) == (200, [])
        listed = waiting(await browser.get("/app/work"))

    assert (unread, none, one, listed[:1]) == ([], ["0"], ["1"], ["2"])


@pytest.mark.usefixtures("kept")
async def test_a_referral_is_listed_though_the_page_that_was_open_is_left_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a new referral, when the only open page is left while the referral is read for it, then the next list has the referral."""
    read, watches = Known._case, list[asyncio.Task[None] | None]()

    def read_and_left(known: Known, *args: Any) -> Any:
        watches.append(known._watch)
        case = read(known, *args)
        known.rest()
        return case

    async with desk_of("vac", tmp_path) as here, browsing(here, member()) as browser:
        await a_referral_comes(here, OTHER, "ef" * 16)
        assert len(rows(await browser.get("/app/work"))) == 1
        known = known_of(here.behind)
        await a_referral_comes(here)
        with monkeypatch.context() as leaving:
            leaving.setattr(Known, "_case", read_and_left)
            page = asyncio.create_task(known.after(known.now.version, 60))
            await eventually("the reading was cut short", lambda: watches and watches[0] and watches[0].cancelled())
            page.cancel()
        listed = rows(await browser.get("/app/work"))

    assert len(listed) == 2


async def test_a_desk_has_a_bounded_number_of_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound a page does without a stream."""
    monkeypatch.setattr(stream, "MOST", 0)
    async with desk_of("vac", tmp_path) as here, browsing(here, member()) as browser:
        assert (await browser.get("/app/lists/stream")).status_code == 429


async def test_an_administrator_sees_no_list(tmp_path: Path) -> None:
    """Without the permission to read cases every page of the work list is refused, and its place is not shown."""
    others: list[Permission] = [each for each in get_args(Permission) if each != "read_cases"]
    async with desk_of("vac", tmp_path) as here, browsing(here, member(*others)) as browser:
        await a_referral_comes(here)
        answers = [
            await browser.get(path) for path in ("/app/work", "/app/lists/cases", "/app/board", "/app/lists/stream", f"/app/cases/{CASE}/notes")
        ]  # fmt: skip
        answers.append(await browser.post("/app/lists/take", data={"case": CASE, "task": "0", "back": ""}))

    assert [each.status_code for each in answers] == [403] * 6
    assert not any(REF in each.text or 'href="/app/work"' in each.text for each in answers)


async def test_without_the_permission_to_publish_the_next_step_is_to_look(tmp_path: Path) -> None:
    """Somebody who may only read is led to the case, and marks no task as done."""
    async with desk_of("vac", tmp_path) as here, browsing(here, member("read_cases")) as browser:
        await a_referral_comes(here)
        page = await browser.get("/app/work")
        refused = await browser.post("/app/lists/tasks/1/done", data={"back": "news"})

    (row,) = rows(page)
    assert f'href="/app/cases/{CASE}"' in page.text
    assert row.endswith("Open the case : abababab")
    assert not re.search(r"/acts/|/referrals/", page.text)
    assert refused.status_code == 403


async def test_a_step_that_needs_the_permission_to_decide_is_offered_to_who_may_decide(tmp_path: Path) -> None:
    """Given a stage that ends with a decision, a worker is led to the case, and a duty officer to the form; the form is there for the second alone."""
    form = "/acts/identification.reasonable_grounds_decided"
    async with (
        desk_of("special-unit", tmp_path) as here,
        browsing(here, member()) as worker,
        browsing(here, member("read_cases", "publish", "decide")) as officer,
    ):
        await here.hear(
            here.registrar.register(here.registrar.event("ngo-a", "case.signal_recorded", SIGNAL), to="special-unit")
        )
        await here.registered(type="identification.stage_entered", data={"stage": "initial_assistance"})
        seen, offered = [(await browser.get("/app/work")).text for browser in (worker, officer)]

    assert form not in seen
    assert form in offered


async def test_a_child_that_waits_for_a_representative_stands_once(tmp_path: Path) -> None:
    """The report has no deadline and the inquiry brings one: the list shows the child with it, and not twice."""
    async with desk_of("guardianship", tmp_path) as here, browsing(here, member()) as browser:
        registrar, flag = here.registrar, {"to": ["guardianship"], "basis": "stated_age"}
        await here.hear(
            registrar.register(registrar.event("school", "safeguard.child_flagged", flag), to="guardianship")
        )
        await here.settle()
        (before,) = rows(await browser.get("/app/lists/children-represent"))
        inquiry = registrar.event("special-unit", "identification.stage_entered", {"stage": "inquiry"})
        await here.hear(registrar.register(inquiry, to="guardianship"))
        await here.settle()
        (after,) = rows(await browser.get("/app/lists/children-represent"))

    assert "1 day left" not in before
    assert "1 day left" in after
