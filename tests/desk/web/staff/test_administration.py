"""The administrator's pages: people, sessions, systems, and the state of the desk in words."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agencies import NOW
from desk.staff.given import one_time_in
from desk.web.browsing import member
from desk.web.cases.given import AT, at_vac, opened
from desk.web.staff.given import OPEN, behind, behind_a_removal, errors_of, office, text_of
from nrmbus.desk.errors import DeskError
from nrmbus.desk.outbox import drafts
from nrmbus.desk.staff import changes, members
from nrmbus.desk.staff.permissions import StaffSettings
from nrmbus.desk.state import integrity
from nrmbus.desk.store import tables
from nrmbus.desk.store.ledger import open_task
from nrmbus.desk.web.staff import supervisor
from nrmbus.desk.web.work.item import Item, Side
from nrmbus.desk.web.work.known import Snapshot

pytestmark = pytest.mark.usefixtures("cheap_passwords")


async def test_a_member_is_added_at_a_page(tmp_path: Path) -> None:
    """The one-time password is shown once and works; a mistake says what to enter and keeps the rest."""
    async with office(tmp_path) as it:
        admin = await it.signed_in("Admin Example", "administrator")
        wrong = await it.send("/staff/add", name="x", roles=[], language="xx", email="nowhere")
        assert len(errors_of(wrong)) == 4
        assert 'value="nowhere"' in wrong.text
        other = await it.send("/staff/add", name="x", roles=[], language="xx", email="nowhere", go="language")
        assert errors_of(other) == []
        assert 'value="nowhere"' in other.text
        taken = await it.send("/staff/add", name="admin EXAMPLE", roles="worker", language="az")
        assert errors_of(taken) == ["A colleague has this name already. Choose another one."]
        unknown = await it.send("/staff/add", name="Leyla Example", roles="worker", language="az", subject="17")
        assert (unknown.status_code, it.staff.members.named("Leyla Example")) == (422, None), "there is no provider"
        shown = await it.send(
            "/staff/add", name="Leyla Example", roles=["worker", "supervisor"], language="ru", email="l@example.org"
        )
        once = one_time_in(text_of(shown))
        member = it.staff.members.named("Leyla Example")
        assert member is not None
        assert (member.roles, member.language, member.email) == (("worker", "supervisor"), "ru", "l@example.org")
        assert (await it.staff.with_password("Leyla Example", once))[1] == "password"
        assert once not in (await it.get(f"/staff/{member.number}")).text
        listed = text_of(await it.get("/staff"))
        assert "Invited; the one-time password is good until" in listed
        assert admin.number in listed


async def test_roles_reset_and_removal_are_a_matter_of_two_clicks(tmp_path: Path) -> None:
    """The page asks first; the last administrator cannot go; who is gone cannot be changed."""
    async with office(tmp_path) as it:
        admin = await it.signed_in("Admin Example", "worker", "administrator")
        member = await it.example("Leyla Example", "worker")
        at = f"/staff/{member.number}"
        value, _ = await it.staff.with_password("Leyla Example", OPEN)
        assert errors_of(await it.send(at)) == ["Choose at least one role."]
        saved = await it.send(at, roles="supervisor")
        assert saved.headers["location"] == f"/app{at}?done=1"
        assert text_of(await it.get(f"{at}?done=1")).startswith("Done Your changes were saved.")
        assert "were saved" not in text_of(await it.get(at))
        assert it.staff.sessions.look(value) is None
        assert it.staff.members.there(member.number).roles == ("supervisor",)
        assert (await it.send(at, roles="supervisor")).status_code == 303  # changes nothing, and is no row
        more = await it.send(f"/staff/{admin.number}", roles=["administrator", "supervisor"], email="no@example.org")
        assert errors_of(more) == ["Nobody gives a role to themselves: ask another administrator."]
        assert it.staff.members.there(admin.number).roles == ("worker", "administrator")
        own = await it.send(f"/staff/{admin.number}", roles="worker")
        assert errors_of(own) == ["Nobody else manages the staff: give somebody else that role first."]
        alone = await it.send(f"/staff/{admin.number}/remove")
        assert (alone.status_code, errors_of(alone)) == (409, errors_of(own))
        await it.send(at, roles="supervisor", email="leyla@example.org")
        assert it.staff.members.there(member.number).email == "leyla@example.org"
        assert "every session ends" in text_of(await it.get(f"{at}/reset"))
        once = one_time_in(text_of(await it.send(f"{at}/reset")))
        assert (await it.staff.with_password("Leyla Example", once))[1] == "password"
        assert "cannot be undone" in text_of(await it.get(f"{at}/remove"))
        assert (await it.send(f"{at}/remove")).headers["location"] == "/app/staff"
        for path in ("", "/reset", "/remove"):
            assert (await it.get(f"{at}{path}")).status_code == 404
        changes = [
            (row.what, row.who, row.roles) for row in await it.here.rows("staff_changes") if row.member == member.number
        ]
        assert changes == [
            ("added", "door.json", "worker"), ("roles", admin.number, "supervisor"), ("reset", admin.number, "supervisor"),
            ("removed", admin.number, ""),
        ]  # fmt: skip


async def test_a_desk_that_is_full_keeps_what_was_typed_of_a_new_member(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given as many members as a desk serves, then the form of another one says whom to remove, and the name is still there."""
    async with office(tmp_path) as it:
        await it.signed_in("Admin Example", "administrator")
        monkeypatch.setattr(members, "MOST", 1)
        full = await it.send("/staff/add", name="Leyla Example", roles="worker", language="az")

    assert full.status_code == 409
    assert errors_of(full) == ["This desk has as many members of staff as it serves: remove those who have left."]
    assert 'value="Leyla Example"' in full.text


async def test_an_error_leads_back_to_its_form_in_the_language_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an error for which a form has no words of its own, then an Azerbaijani page has its sentence, no code, and the way back."""

    async def refused(*_: object, **__: object) -> None:
        raise DeskError("not_parked")

    async with office(tmp_path) as it:
        await it.signed_in("Admin Example", "administrator")
        at = f"/staff/{(await it.example('Leyla Example', 'worker')).number}/remove"
        monkeypatch.setattr(it.staff.members, "remove", refused)
        page = await it.send(f"{at}?lang=az")

    assert page.status_code == 409
    said = "Bu işdə kənara qoyulmuş hadisə yoxdur: heç nəyi buraxmaq lazım deyil."
    assert text_of(page) == f"{said} Göndərdiyiniz səhifəyə qayıt"
    assert f'href="/app{at}"' in page.text


async def test_roles_and_address_of_an_administrator_change_together(tmp_path: Path) -> None:
    """Given an administrator who gives up a role and has a new address, then both are kept, although the session ends with the roles."""
    async with office(tmp_path) as it:
        me = (await it.signed_in("Admin Example", "worker", "administrator")).number
        await it.send(f"/staff/{me}", roles="administrator", email="new@example.org")

        changed = it.staff.members.there(me)
        assert (changed.roles, changed.email) == (("administrator",), "new@example.org")


@pytest.mark.parametrize("what", ["add", "reset"])
async def test_an_administrator_who_is_removed_meanwhile_gives_nobody_a_sign_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Given a removal while the one-time password is hashed, then no member is added or reset, and no password is shown."""
    async with office(tmp_path) as it:
        admin = await it.signed_in("Admin Example", "administrator")
        colleague = await it.example("Leyla Example", "administrator")
        before, hashed = it.staff.members.secrets_of(colleague.number), it.staff._passwords.hashed

        async def meanwhile(password: str) -> str:
            await it.staff.members.remove(admin.number, colleague.number)
            return await hashed(password)

        monkeypatch.setattr(it.staff._passwords, "hashed", meanwhile)
        path = f"/staff/{colleague.number}/reset" if what == "reset" else "/staff/add"
        answer = await it.send(path, name="Rena Example", roles="administrator", language="en")

        assert (answer.status_code, answer.headers.get("location", "")[:22]) == (303, "/app/sign-in?over=1&ba")
        assert it.staff.members.named("Rena Example") is None
        assert it.staff.members.secrets_of(colleague.number) == before
        changes = [row.what for row in await it.here.rows("staff_changes")]
        assert changes == ["added", "added", "removed"]


CLICKS: dict[str, tuple[str, dict[str, Any]]] = {
    "make a token": ("/systems/add", {"name": "later", "scopes": ["open", "administer"], "days": "365"}),
    "revoke a token": ("/systems/booking/revoke", {}),
    "give a role": ("/staff/{colleague}", {"roles": ["administrator"], "email": ""}),
    "change an address": ("/staff/{colleague}", {"roles": ["worker"], "email": "leyla@ngo.example"}),
    "remove a colleague": ("/staff/{colleague}/remove", {}),
}


@pytest.mark.parametrize("what", CLICKS)
async def test_the_last_click_of_an_administrator_who_was_removed_changes_nothing(tmp_path: Path, what: str) -> None:
    """Given a click that waits for the ledger behind the removal of its sender, then the sender is signed out, and nobody's access has changed."""
    async with office(tmp_path) as it:
        await it.example("Zaur Example", "administrator")
        admin = await it.signed_in("Admin Example", "administrator")
        colleague = await it.example("Leyla Example", "worker")
        await it.send("/systems/add", name="booking", scopes=["open"], days="90")
        tokens = await it.here.rows("tokens")
        path, fields = CLICKS[what]
        answer = await behind_a_removal(it, admin, it.send(path.format(colleague=colleague.number), **fields))

        assert (answer.status_code, answer.headers.get("location", "")[:22]) == (303, "/app/sign-in?over=1&ba")
        assert await it.here.rows("tokens") == tokens
        assert it.staff.members.there(colleague.number) == colleague
        assert [(row.what, row.member) for row in await it.here.rows("staff_changes")][-1] == ("removed", admin.number)


async def test_p4_no_page_is_shown_that_was_asked_for_before_its_session_was_ended(tmp_path: Path) -> None:
    """P4: given a page that waits for the ledger behind the reset of who asked for it, then it leads to the sign-in and shows nothing."""
    async with office(tmp_path) as it:
        await it.example("Leyla Example", "worker")
        admin = await it.signed_in("Admin Example", "administrator")
        assert "Leyla Example" in (await it.get("/staff")).text
        it.later(minutes=2)  # so that the ledger is to have this use
        answer = await behind(it, it.staff.reset(admin.number, "door.json"), it.get("/staff"))

        assert (answer.status_code, answer.headers.get("location", "")[:12]) == (303, "/app/sign-in")
        assert "Leyla Example" not in answer.text


async def test_who_was_removed_marks_no_alarm_as_done(tmp_path: Path) -> None:
    """Given a click that waits for the ledger behind the removal of its sender, then the task about the desk stays open for the others."""
    async with office(tmp_path) as it:
        admin = await it.signed_in("Admin Example", "administrator")
        async with it.here.desk.seat.ledger.write() as tx:
            open_task(tx, opened="2026-03-02T05:00:00Z", subject="", event_id="e", kind=integrity.TASK, about="{}")
        answer = await behind_a_removal(it, admin, it.send("/condition/tasks/1/done"))

        assert answer.headers.get("location", "")[:19] == "/app/sign-in?over=1"
        assert [row.done for row in await it.here.rows("tasks")] == [None]


async def test_who_was_removed_takes_over_no_signature(tmp_path: Path) -> None:
    """Given a draft whose owner has left, when a colleague who is removed meanwhile takes it over or gives it back, then it waits as before."""
    async with office(tmp_path) as it:
        boss = await it.signed_in("Boss Example", "supervisor", "worker")
        leaver, seat = await it.example("Leyla Example", "worker"), it.here.desk.seat
        request = b'{"events":[{"type":"consent.given"}]}'
        async with seat.ledger.write() as tx:
            draft = drafts.begin(
                seat, tx, owner=leaver.number, type="consent.given", subject="ab" * 16, ref=None, page="what", typed={}
            )
            drafts.keep(seat, tx, replace(draft, state="waits", request=request), seen=1)
        await it.staff.members.remove(leaver.number, "door.json")
        before = await it.here.rows("drafts")
        taken = await behind_a_removal(it, boss, it.send(f"/approvals/{draft.id}/take"))
        another = await it.signed_in("Zaur Example", "supervisor", "worker")
        back = await behind_a_removal(it, another, it.send(f"/approvals/{draft.id}/back"))

        assert {each.headers.get("location", "")[:19] for each in (taken, back)} == {"/app/sign-in?over=1"}
        assert await it.here.rows("drafts") == before


async def test_an_administrator_ends_anybodys_session(tmp_path: Path) -> None:
    """A phone that was lost is out at once."""
    async with office(tmp_path) as it:
        await it.signed_in("Admin Example", "administrator")
        member = await it.example("Leyla Example", "worker")
        value = await it.staff.sessions.begin(member.number, "passkey")
        page = await it.get("/sessions")
        assert "Leyla Example" in text_of(page)
        (id,) = re.findall(r'name="id" value="(\w+)"', page.text)
        assert (await it.send("/sessions/end", id=id)).headers["location"] == "/app/sessions"
        assert it.staff.sessions.look(value) is None


async def test_a_system_gets_a_token_at_a_page(tmp_path: Path) -> None:
    """Shown once, with scopes and end, and revoked at once; the list says which member made it."""
    async with office(tmp_path) as it:
        admin = await it.signed_in("Admin Example", "administrator")
        assert errors_of(await it.send("/systems/add", name="Leyla", days="7")) == [
            "Enter a name of small letters, digits, - and _, not of digits alone.", "Choose when the token ends.",
        ]  # fmt: skip
        other = await it.send("/systems/add", name="Leyla", days="7", go="language")
        assert (errors_of(other), 'value="Leyla"' in other.text) == ([], True)
        shown = await it.send("/systems/add", name="booking", scopes=["read", "publish"], days="90")
        (token,) = re.findall(r"nrm_[\w-]{43}", shown.text)
        tokens = it.here.behind.tokens
        caller = tokens.caller_of(f"Bearer {token}")
        assert caller is not None
        assert caller.scopes == {"read", "publish"}
        again = await it.send("/systems/add", name="booking", days="90")
        assert errors_of(again) == ["A system has this name already. Revoke its token first, or choose another name."]
        listed = await it.get("/systems")
        assert token not in listed.text
        assert "Admin Example" in text_of(listed)
        assert "The system is refused" in text_of(await it.get("/systems/booking/revoke"))
        await it.send("/systems/booking/revoke")
        assert tokens.caller_of(f"Bearer {token}") is None
        assert (await it.get("/systems/nothing/revoke")).status_code == 404
        assert [
            (row.what, row.member, row.roles, row.who)
            for row in await it.here.rows("staff_changes")
            if row.what.startswith("token")
        ] == [
            ("token added", "booking", "publish read", admin.number), ("token removed", "booking", "", admin.number),
        ]  # fmt: skip


async def test_a_token_s_name_is_never_a_member_s_number(tmp_path: Path) -> None:
    """Given a colleague's number as the name of a token, then the page refuses the name."""
    async with office(tmp_path) as it:
        admin = await it.signed_in("Admin Example", "administrator")
        refused = await it.send("/systems/add", name=admin.number, days="90")
        assert errors_of(refused) == ["Enter a name of small letters, digits, - and _, not of digits alone."]
        assert "nrm_" not in refused.text
        assert "nrm_" in (await it.send("/systems/add", name=f"{admin.number}-2", days="90")).text


@pytest.mark.parametrize(
    ("language", "made", "ended"),
    [
        (
            "en",
            "the system booking got a token Open letters Boss Example",
            "the system booking had its token revoked –",
        ),
        ("az", "booking sistemi token aldı Məktubları açmaq Boss Example", "booking sistemi tokeni ləğv edildi –"),
        ("ru", "система booking получение токена Открывать письма Boss Example", "система booking отзыв токена –"),
    ],
)
async def test_a_supervisor_sees_who_made_and_revoked_a_token(
    tmp_path: Path, language: str, made: str, ended: str
) -> None:
    """A token can do what a role can, so its rows stand beside those of members; its name is not looked up among them."""
    async with office(tmp_path) as it:
        boss = await it.signed_in("Boss Example", "supervisor", "administrator")
        await it.send("/systems/add", name="booking", scopes=["open"], days="90")
        await it.here.behind.tokens.revoke("booking", "door.json")
        async with it.here.desk.seat.ledger.write() as tx:
            changes.note(tx, "token removed", at="2026-03-02T05:00:00Z", who="old", of=boss.number, may="")
        page = text_of(await it.get(f"/readings?lang={language}"))
        assert made in page
        assert ended in page
        assert boss.number in page


async def test_a_supervisor_sees_who_read_what(tmp_path: Path) -> None:
    """By the colleague's name, also of one who has left; only of the chosen colleague if asked."""
    async with office(tmp_path) as it:
        await it.signed_in("Boss Example", "supervisor")
        reader, other = await it.example("Leyla Example", "worker"), await it.example("Rena Example", "worker")
        rows = [
            {"at": f"2026-03-02T05:00:{n:02}Z", "who": who, "subject": "ab" * 16, "source": "vac", "event": "e", "part": "story",
             "purpose": "case_work", "system": "/app"}
            for n, who in enumerate([reader.number] * 55 + [other.number, "desk"])
        ]  # fmt: skip
        async with it.here.desk.seat.ledger.write() as tx:
            tx.execute(tables.reads.insert(), rows)
        await it.staff.members.remove(reader.number, "door.json")
        page = await it.get("/readings")
        readings, _, changes = text_of(page).partition("Who was given access")
        assert readings.count("Leyla Example") == 49 + 1  # and in the list to choose from
        assert "Leyla Example was removed – on the desk’s machine" in changes
        assert "Rena Example" in text_of(page)
        (earlier,) = re.findall(r'href="/app(/readings\?who=[^"]*before=[^"]+)"', page.text)
        assert text_of(await it.get(earlier.replace("&amp;", "&"))).count("Leyla Example") == 6 + 1
        only = text_of(await it.get(f"/readings?who={other.number}"))
        assert only.count("Leyla Example") == 1


async def test_a_supervisor_sees_who_printed_a_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a sheet for a court, then it stands once in the list of all cases, on the page of its time, and under its colleague alone."""
    monkeypatch.setattr("nrmbus.desk.web.staff.supervisor.PAGE", 2)
    who = member("read_cases", "open_letters", "see_reads")
    async with at_vac(tmp_path, who) as (here, browser, id):
        await here.during(browser.post(f"{AT}/sheet", data={"purpose": "court"}))
        listed = (await browser.get("/app/readings")).text
        of_other = (await browser.get("/app/readings?who=4712")).text
        here.clock.time = here.registrar.time = here.clock.time + timedelta(minutes=1)
        await opened(here, browser, id)
        newer = (await browser.get("/app/readings")).text
        pages = [newer]
        while earlier := re.findall(r'href="(/app/readings\?who=[^"]*before=[^"]+)"', pages[-1]):
            pages.append((await browser.get(earlier[0].replace("&amp;", "&"))).text)

    row = re.compile(
        r'data-label="Colleague">([^<]*)</td><td data-label="What">([^<]*)</td><td data-label="What for">([^<]*)<'
    )
    printed = ("4711", "Export as evidence", "For a court or the prosecution")
    assert row.findall(listed) == [printed]
    assert f'href="{AT}"' in listed
    assert '<option value="4711"' in listed
    assert row.findall(of_other) == []
    assert printed not in row.findall(newer)
    assert [each for page in pages for each in row.findall(page)].count(printed) == 1
    assert row.findall(pages[-1])[-1] == printed


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "Leyla Example had the sign-in reset Case worker"),
        ("az", "Leyla Example girişi sıfırlandı"),
        ("ru", "Leyla Example сброс входа"),  # noqa: RUF001 - Cyrillic it is
    ],
)
async def test_a_supervisor_sees_that_a_sign_in_was_reset(tmp_path: Path, language: str, said: str) -> None:
    """The row speaks of no one-time password: a member whom the provider signs in gets none."""
    async with office(tmp_path) as it:
        await it.signed_in("Boss Example", "supervisor")
        member = await it.example("Leyla Example", "worker")
        await it.staff.reset(member.number, "door.json")
        assert said in text_of(await it.get(f"/readings?lang={language}"))


async def test_no_row_about_access_is_pushed_off_the_pages(tmp_path: Path) -> None:
    """Given more changes than a page shows, then the earlier ones are on the next page."""
    async with office(tmp_path) as it:
        boss = await it.signed_in("Boss Example", "supervisor")
        async with it.here.desk.seat.ledger.write() as tx:
            for n in range(supervisor.CHANGES):
                changes.note(tx, "token removed", at="2026-03-02T05:00:00Z", who=boss.number, of=f"system-{n}", may="")
        page = await it.get("/readings")
        assert "the system system-0 had its token revoked" in text_of(page)
        assert "Boss Example was added" not in text_of(page)
        (earlier,) = re.findall(r'href="/app(/readings\?changed_before=\d+)#changes"', page.text)
        last = await it.get(earlier)
        assert "Boss Example was added" in text_of(last)
        assert "the system system-0" not in text_of(last)
        assert "Earlier changes" not in text_of(last)


async def test_an_agency_that_changed_a_role_is_shown_its_own_permissions(tmp_path: Path) -> None:
    """What stands beside a role is what it permits here."""
    settings = StaffSettings.read({"roles": {"worker": ["read_cases"]}})
    async with office(tmp_path, settings=settings) as it:
        await it.signed_in("Admin Example", "administrator")
        boxes = text_of(await it.get("/staff/add"))
        assert "Case worker read cases Duty officer" in boxes


async def test_a_supervisor_sees_what_is_overdue_by_colleague(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody has comes first; what is not late, or waits for another agency, is left out."""
    async with office(tmp_path) as it:
        await it.signed_in("Boss Example", "supervisor")
        worker = await it.example("Leyla Example", "worker")
        late, early = NOW - timedelta(hours=3), NOW + timedelta(hours=3)

        def item(case: str, due: datetime, side: Side = "ours", task: int = 0) -> Item:
            return Item(side, "duty", case * 32, "case.signal_recorded", due=due, task=task, act="consent.given")

        items = (item("a", late), item("b", late), item("c", late), item("d", early), item("e", late, "theirs"))
        snapshot = Snapshot(items=items, assigned={("b" * 32, 0): worker.number}, labels={"b" * 32: "Family 3"})

        class Stands:
            async def fresh(self) -> Snapshot:
                return snapshot

        monkeypatch.setattr(supervisor, "known_of", lambda _: Stands())
        page = text_of(await it.get("/colleagues"))
        assert "3 things are overdue." in page
        assert page.count("Signal recorded Next step: Record a consent") == 3, "what is owed, not only what it is about"
        assert (
            page.index("Nobody has taken it")
            < page.index("aaaaaaaa")
            < page.index("Leyla Example")
            < page.index("Family 3")
        )
        assert "dddddddd" not in page
        assert "eeeeeeee" not in page
        snapshot = Snapshot()
        assert "Nothing of your agency is overdue." in text_of(await it.get("/colleagues"))


async def test_the_drafts_of_a_member_who_leaves_are_destroyed(tmp_path: Path) -> None:
    """Nobody else could open them. What waits for a second signature stays, and is destroyed when it is given back unsigned."""
    async with office(tmp_path) as it:
        await it.signed_in("Boss Example", "supervisor")
        leaver, stays = await it.example("Leyla Example", "worker"), await it.example("Rena Example", "worker")
        seat = it.here.desk.seat
        async with seat.ledger.write() as tx:
            opened, waiting, others = (
                drafts.begin(seat, tx, owner=who.number, type=type, subject="ab" * 16, ref=None, page="what", typed={})
                for who, type in (
                    (leaver, "consent.given"),
                    (leaver, "case.signal_dismissed"),
                    (stays, "consent.given"),
                )
            )
            drafts.keep(seat, tx, replace(waiting, state="waits", request=b'{"events":[]}'), seen=1)
        await it.staff.members.remove(leaver.number, "door.json")
        assert {each.id for each in await it.here.rows("drafts")} == {waiting.id, others.id} != {opened.id}

        await it.send(f"/approvals/{waiting.id}/back")
        assert [each.id for each in await it.here.rows("drafts")] == [others.id]
