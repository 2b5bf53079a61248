"""The sign-in at the pages: step by step, back to the page that was wanted, and nothing in an address."""

import html
import re
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest

from agencies import CASE, SIGNAL
from desk.staff.given import PASSWORD, Authenticator, holds, one_time_in
from desk.web.staff.given import OPEN, errors_of, office, text_of
from nrmbus.desk.outbox import drafts
from nrmbus.desk.staff.members import NewMember
from nrmbus.desk.staff.permissions import StaffSettings
from nrmbus.desk.web.beside import ROOT
from nrmbus.web import second_factor

pytestmark = pytest.mark.usefixtures("cheap_passwords")

NAME = "Leyla Example"


async def test_a_first_sign_in_leads_to_password_app_and_recovery_codes(tmp_path: Path) -> None:
    """Every step says what to do, a mistake keeps the place, and the wanted page comes at the end."""
    async with office(tmp_path) as it:
        _, once = await it.staff.add(NewMember(name=NAME, roles=("worker",)), "door.json")
        assert (await it.get("/account")).headers["location"] == "/app/sign-in?back=%2Faccount"
        back = "?back=%2Faccount"
        answer = await it.send(f"/sign-in{back}", name="leyla example", password=once)
        assert answer.headers["location"] == f"/app/sign-in/password{back}"
        answer = await it.send(f"/sign-in/password{back}", new="short", again="shorter")
        assert errors_of(answer) == ["The two passwords differ. Type the same one twice."]
        answer = await it.send(f"/sign-in/password{back}", new="short", again="short")
        assert errors_of(answer) == ["Choose a password of at least 12 characters."]
        answer = await it.send(f"/sign-in/password{back}", new=PASSWORD, again=PASSWORD)
        assert answer.headers["location"] == f"/app/sign-in/second-factor{back}"
        page = await it.get(f"/sign-in/second-factor{back}")
        secret = re.findall(r"Key: ((?:[A-Z2-7]{4} ?){8})", text_of(page))[0].replace(" ", "")
        assert "<svg" in page.text
        assert "otpauth" not in page.text
        answer = await it.send(f"/sign-in/second-factor{back}", code="12345")
        assert errors_of(answer) == ["The code is wrong or was used before. Wait for the next one and enter it."]
        answer = await it.send(f"/sign-in/second-factor{back}", code=it.app(secret))
        assert len(re.findall(r"\b[a-z2-9]{4}-[a-z2-9]{4}-[a-z2-9]{4}\b", text_of(answer))) == 8
        assert 'href="/app/account"' in answer.text
        assert (await it.get("/account")).status_code == 200
        assert (await it.get("/sign-in")).headers["location"] == "/app/"


async def test_an_app_is_told_neither_the_member_s_name_nor_the_agency(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an app whose labels a phone copies to an account elsewhere, then its picture has the member's number alone, at the first sign-in and for another app."""
    drawn = list[str]()

    def picture(text: str) -> str:
        drawn.append(text)
        return ""

    monkeypatch.setattr(second_factor, "picture", picture)
    async with office(tmp_path) as it:
        member, once = await it.staff.add(NewMember(name=NAME, roles=("worker",)), "door.json")
        await it.send("/sign-in", name=NAME, password=once)
        await it.send("/sign-in/password", new=PASSWORD, again=PASSWORD)
        await it.get("/sign-in/second-factor")
    async with office(tmp_path / "other") as it:
        other = await it.signed_in(NAME, "worker")
        await it.get("/account/app")

    texts = [unquote(each) for each in drawn]
    assert [urlsplit(each).path.rpartition(":")[2] for each in texts] == [member.number, other.number]
    for text in texts:
        assert "ngo-a" not in text
        assert "Leyla" not in text


async def test_a_later_sign_in_asks_for_a_code(tmp_path: Path) -> None:
    """A wrong password and an unknown name read alike; without the first step there is no second."""
    async with office(tmp_path) as it:
        await it.settled(NAME, PASSWORD)
        pages = [await it.send("/sign-in", name=name, password="wrong") for name in (NAME, "Nobody Example")]
        assert {tuple(errors_of(each)) for each in pages} == {("Name or password is wrong. Check both and try again.",)}
        assert errors_of(await it.send("/sign-in")) == ["Enter your name.", "Enter your password."]
        for path in ("/sign-in/code", "/sign-in/password", "/sign-in/second-factor"):
            assert (await it.get(path)).headers["location"] == "/app/sign-in?over=1"
            assert (await it.send(path, code="1")).headers["location"] == "/app/sign-in?over=1"

        answer = await it.send("/sign-in", name=NAME, password=PASSWORD)
        assert answer.headers["location"] == "/app/sign-in/code"
        assert (await it.get("/")).headers["location"] == "/app/sign-in", "half a sign-in opens nothing"
        assert (await it.get("/sign-in/password")).headers["location"] == "/app/sign-in?over=1"


async def test_a_code_signs_in_and_a_sign_out_ends_it(tmp_path: Path) -> None:
    """The cookie is for the pages alone, and cannot be read by a script; an earlier one opens nothing."""
    async with office(tmp_path) as it:
        _, secret = await it.settled(NAME, PASSWORD)
        await it.send("/sign-in", name=NAME, password=PASSWORD)
        answer = await it.send("/sign-in/code", code=it.app(secret))
        cookie = next(each for each in answer.headers.get_list("set-cookie") if each.startswith("nrmbus-ngo-a="))
        assert {"HttpOnly", "Path=/app", "SameSite=lax"} <= set(cookie.split("; "))
        assert "Max-Age" not in cookie
        value = it.browser.cookies["nrmbus-ngo-a"]
        assert (await it.get("/")).status_code in {200, 303}
        assert (await it.send("/sign-out")).headers["location"] == "/app/sign-in?out=1"
        assert "You are signed out." in text_of(await it.get("/sign-in?out=1"))
        it.browser.cookies.set("nrmbus-ngo-a", value, path="/app")
        assert (await it.get("/account")).headers["location"] == "/app/sign-in?over=1&back=%2Faccount"


async def test_a_secure_address_has_secure_cookies(tmp_path: Path) -> None:
    """By TLS a browser sends the cookie by TLS alone."""
    async with office(tmp_path, site="https://desk.example.org") as it:
        await it.example(NAME, "worker")
        answer = await it.send("/sign-in", name=NAME, password=OPEN)
        assert all("Secure" in each for each in answer.headers.get_list("set-cookie") if "Max-Age=0" not in each)


async def test_a_sister_host_of_the_agency_gives_nobody_another_members_session(tmp_path: Path) -> None:
    """Given an officer who is signed in, when another host of the agency's domain adds a junior's cookie, then she has no session, and a form that comes late is kept for nobody."""
    async with office(tmp_path, site="https://desk.example.org") as it:
        junior = await it.example("Junior Example", "worker")
        await it.signed_in(NAME, "worker")
        of_junior = await it.staff.sessions.begin(junior.number, "code")
        it.browser.cookies.set("nrmbus-ngo-a", of_junior, domain=".example.org", path="/app")

        page = await it.get("/account")
        it.later(minutes=16)
        form = await it.send("/acts/1/check", text="the officer's words")

        assert page.headers.get("location") == "/app/sign-in?back=%2Faccount"
        assert form.headers.get("location") == "/app/sign-in?back=%2Facts%2F1%2Fcheck"
        assert not it.staff.late.of(junior.number)


async def test_a_sister_host_of_the_agency_takes_no_sign_in_over(tmp_path: Path) -> None:
    """Given two sign-ins that have come as far as the password, when a browser sends the cookies of both, then neither goes on."""
    async with office(tmp_path, site="https://desk.example.org") as it:
        await it.settled("Junior Example", PASSWORD)
        of_junior, _ = await it.staff.with_password("Junior Example", PASSWORD)
        await it.settled(NAME, PASSWORD)
        await it.send("/sign-in", name=NAME, password=PASSWORD)
        it.browser.cookies.set("nrmbus-ngo-a-half", of_junior, domain=".example.org", path="/app/sign-in")

        assert (await it.get("/sign-in/code")).headers.get("location") == "/app/sign-in?over=1"


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "/\\evil.example", "/a?b", "/a\nb", "evil"])
async def test_a_sign_in_leads_nowhere_else(tmp_path: Path, back: str) -> None:
    """A link that somebody prepared leads to the first page."""
    async with office(tmp_path) as it:
        await it.example(NAME, "worker")
        answer = await it.browser.post(
            f"{ROOT}/sign-in", params={"back": back}, data={"name": NAME, "password": OPEN},
            headers={"sec-fetch-site": "same-origin"},
        )  # fmt: skip
        assert answer.headers["location"] == "/app/"


async def test_another_site_signs_nobody_in(tmp_path: Path) -> None:
    """Nor does its form sign somebody out."""
    async with office(tmp_path) as it:
        await it.signed_in(NAME, "worker")
        for path in ("/sign-in", "/sign-out", "/session"):
            answer = await it.browser.post(f"{ROOT}{path}", headers={"sec-fetch-site": "cross-site"})
            assert answer.status_code == 403
        assert (await it.get("/account")).status_code == 200


async def test_a_session_says_how_long_it_lasts_and_can_be_extended(tmp_path: Path) -> None:
    """A script that looks by itself extends nothing; the person does."""
    async with office(tmp_path) as it:
        await it.signed_in(NAME, "worker")
        assert 'data-seconds="900"' in (await it.get("/account")).text
        it.later(minutes=13)
        quiet = {"nrm-by-itself": "1"}
        assert (await it.browser.get("/app/session", headers=quiet)).json() == {"seconds": 120}
        assert (await it.send("/session")).json() == {"seconds": 900}
        it.later(minutes=15)
        assert (await it.browser.get("/app/session", headers=quiet)).status_code == 401
        assert (await it.get("/account")).headers["location"] == "/app/sign-in?over=1&back=%2Faccount"
        assert "you go on where you were" in text_of(await it.get("/sign-in?over=1"))


async def test_a_form_that_came_too_late_is_sent_after_the_sign_in(tmp_path: Path) -> None:
    """Whoever wrote for an hour without a script loses nothing, and nobody else sees it; passwords are not kept."""
    async with office(tmp_path) as it:
        await it.signed_in(NAME, "worker")
        it.later(minutes=16)
        await it.send(f"/cases/{CASE}/acts/case.closed", text='"A" & <b>', to=["x", "y"])
        await it.send("/account/password", password="not for a memory", new="x", again="x")
        assert (await it.get("/late-form")).status_code == 303
        await it.example("Rena Example", "worker")
        await it.send("/sign-in", name="Rena Example", password=OPEN)
        assert (await it.get("/late-form")).status_code == 404
        await it.send("/sign-out")
        answer = await it.send("/sign-in", name=NAME, password=OPEN)
        assert answer.headers["location"] == "/app/late-form"
        page = await it.get("/late-form")
        fields = [
            (name, html.unescape(value)) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', page.text)
        ]
        (late,) = [value for name, value in fields if name == "late"]
        assert fields == [("text", '"A" & <b>'), ("to", "x"), ("to", "y"), ("late", late)]
        assert (await it.send("/late-form", late=late)).headers["location"] == "/app/"
        assert (await it.get("/late-form")).status_code == 404


async def test_each_of_several_late_forms_is_named_and_sent_apart(tmp_path: Path) -> None:
    """Given two tabs whose forms came late, both wait, with step, case and time; the one that is sent again is forgotten, the other stays."""
    async with office(tmp_path) as it:
        await it.here.registered(type="case.signal_recorded", data=SIGNAL)
        await it.signed_in(NAME, "worker")
        it.later(minutes=16)
        for text in ("first", "first", "second"):
            await it.send(f"/cases/{CASE}/notes", text=text)
        await it.send(f"/cases/{CASE}/acts/case.closed", ref="")
        answer = await it.send("/sign-in", name=NAME, password=OPEN)
        assert answer.headers["location"] == "/app/late-form"
        page = await it.get("/late-form")
        assert re.findall(r'name="text" value="(\w+)"', page.text) == ["first", "second"]
        named = re.findall(r"<h2[^>]*>(.*?)</h2>", page.text)[:3]
        assert named == [f"Form of the page /cases/…/notes · Case {CASE[:8]}"] * 2 + [
            f"Close the case · Case {CASE[:8]}"
        ]
        assert text_of(page).count("It came on ") == 3

        actions = re.findall(r'action="/app(/cases/[^"]+)"', page.text)
        await it.send(actions[0], text="first")
        left = await it.get("/late-form")
        assert re.findall(r'name="text" value="(\w+)"', left.text) == ["second"]
        assert len(re.findall(r'action="/app/cases/', left.text)) == 2


async def test_a_late_form_of_a_paper_names_its_case(tmp_path: Path) -> None:
    """Given the form of the person's copy, whose address says nothing, then it is named by the case that it is about."""
    async with office(tmp_path) as it:
        await it.here.registered(type="case.signal_recorded", data=SIGNAL)
        await it.signed_in(NAME, "worker")
        it.later(minutes=16)
        await it.send("/print", case=CASE, referral="34" * 16, says="contacts", language="en")
        await it.send("/sign-in", name=NAME, password=OPEN)
        page = await it.get("/late-form")

    assert f"The person's own copy · Case {CASE[:8]}" in text_of(page)


async def test_a_late_form_says_what_its_button_did(tmp_path: Path) -> None:
    """Given forms that send or delete a draft, and that answer, close or delete a message, then no two are called the same."""
    async with office(tmp_path) as it:
        await it.here.registered(type="case.signal_recorded", data=SIGNAL)
        worker = await it.signed_in(NAME, "worker")
        seat = it.here.desk.seat
        async with seat.ledger.write() as tx:
            id = drafts.begin(
                seat, tx, owner=worker.number, type="case.closed", subject=CASE, ref=None, page="what", typed={}
            ).id
        late = [
            (f"/acts/{id}/send", {}), (f"/acts/{id}/delete", {}), ("/acts/1/delete", {}), ("/intake/5/answer", {"how": "delete"}),
            ("/intake/5/close", {"how": "keep"}), ("/intake/5/close", {"how": "delete"}),
        ]  # fmt: skip
        named = []
        for path, fields in late:
            it.later(minutes=16)
            await it.send(path, **{"seen": "1", **fields})
            answer = await it.send("/sign-in", name=NAME, password=OPEN)
            assert answer.headers["location"] == "/app/late-form"
            page = await it.get("/late-form")
            named += re.findall(r"<h2[^>]*>(.*?)</h2>", page.text)[:1]
            await it.send("/late-form", late=re.findall(r'name="late" value="(\w+)"', page.text)[0])

        assert named == [
            f"Close the case · Sign and send · Case {CASE[:8]}", f"Close the case · Delete this draft · Case {CASE[:8]}",
            "Form of the page /acts/…/delete", "Message 5 · Send the answer", "Message 5 · Close the conversation",
            "Message 5 · Delete it now for good: it is not meant for us",
        ]  # fmt: skip


@pytest.mark.parametrize("step", ["sign", "take", "back"])
async def test_a_signature_that_came_late_is_given_on_the_page_that_shows_what_is_signed(
    tmp_path: Path, step: str
) -> None:
    """Given a supervisor whose session is over, then the signature is not kept: the sign-in leads back to what waits for it."""
    async with office(tmp_path) as it:
        await it.signed_in(NAME, "supervisor")
        it.later(minutes=16)
        answer = await it.send(f"/approvals/{CASE}/{step}", seen="1.")
        assert answer.headers["location"] == f"/app/sign-in?over=1&back=%2Fapprovals%2F{CASE}"
        answer = await it.send(f"/sign-in?back=/approvals/{CASE}", name=NAME, password=OPEN)
        assert answer.headers["location"] == f"/app/approvals/{CASE}"
        assert (await it.get("/late-form")).status_code == 404


async def test_nobody_s_late_forms_fill_the_memory(tmp_path: Path) -> None:
    """Given many late forms of one member, then the newest few wait, and a colleague's still does."""
    async with office(tmp_path) as it:
        it.staff.late.put("1", "/a", [("text", "x")])
        for number in range(9):
            it.staff.late.put("2", "/a", [("text", str(number))])
        assert [each.pairs[0][1] for each in it.staff.late.of("2")] == ["4", "5", "6", "7", "8"]
        assert len(it.staff.late.of("1")) == 1
        it.later(hours=1)
        assert it.staff.late.of("1") == it.staff.late.of("2") == ()


async def test_a_late_form_that_cannot_be_kept_leads_to_the_sign_in_and_says_nothing_else(tmp_path: Path) -> None:
    """Given a form beyond the bound, or one with a file, then the sign-in leads back to its page, and no empty form waits."""
    async with office(tmp_path) as it:
        await it.signed_in(NAME, "worker")
        it.later(minutes=16)
        page = f"/cases/{CASE}/documents/share"
        headers = {"sec-fetch-site": "same-origin", "referer": f"{it.browser.base_url}/app{page}"}
        for sent in (
            {"data": {"text": "x" * 300_000}},
            {"data": {"kind": "other"}, "files": {"file": ("a", b"%PDF-")}},
        ):
            answer = await it.browser.post(f"/app{page}", headers=headers, **sent)
            assert answer.status_code == 303
            assert answer.headers["location"] == f"/app/sign-in?over=1&back={quote(page, safe='')}"
            assert answer.headers["cache-control"] == "no-store"
        answer = await it.send(f"/sign-in?back={page}", name=NAME, password=OPEN)
        assert answer.headers["location"] == f"/app{page}"


async def test_after_a_sign_out_elsewhere_a_form_leads_back_to_its_page(tmp_path: Path) -> None:
    """Given a session that was ended from another device, a sent form leads to the page it came from, or to one above, and never to an address that takes forms alone."""
    async with office(tmp_path) as it:
        await it.signed_in(NAME, "worker")
        await it.send("/account/sign-out-everywhere")
        it.browser.cookies.set("nrmbus-ngo-a", "ended", path="/app")
        pages = {
            f"{it.browser.base_url}/app/acts/1/check": "/app/sign-in?over=1&back=%2Facts%2F1%2Fcheck",
            f"{it.browser.base_url}/app/acts/1/send": "/app/sign-in?over=1&back=%2Facts",
            "https://evil.example/app/acts/1/what": "/app/sign-in?over=1&back=%2Facts",
            f"{it.browser.base_url}/docs": "/app/sign-in?over=1&back=%2Facts",
        }
        for page, leads in pages.items():
            answer = await it.browser.post(
                f"{ROOT}/acts/1/send", headers={"sec-fetch-site": "same-origin", "referer": page}
            )
            assert answer.headers["location"] == leads


async def test_a_script_that_saves_without_a_session_is_told_so_and_leaves_no_form(tmp_path: Path) -> None:
    """Given a session that is over, saving by the script answers 401; the form that is sent afterwards is the one that is kept."""
    async with office(tmp_path) as it:
        await it.signed_in(NAME, "worker")
        it.later(minutes=16)
        assert (await it.send("/acts/1/keep", text="typed")).status_code == 401
        answer = await it.send("/sign-in", name=NAME, password=OPEN)
        assert answer.headers["location"] != "/app/late-form"


async def test_a_passkey_is_offered_where_browsers_make_one(tmp_path: Path) -> None:
    """At a name, and not at an address; it signs in without a password."""
    phone = Authenticator()
    async with office(tmp_path, site="http://localhost:8000") as it:
        member, _ = await it.settled(NAME, PASSWORD)
        options = html.unescape(re.findall(r'data-passkey-options="([^"]+)"', (await it.get("/sign-in")).text)[0])
        assert '"rpId": "localhost"' in options
        answer = await it.send("/sign-in/passkey", passkey=phone.used(options))
        assert errors_of(answer) == ["The passkey was not accepted. Try again, or sign in with your password."]
        from nrmbus.desk.staff import passkeys  # noqa: PLC0415 - only here

        to_add = passkeys.options_to_add(member, (), "localhost", it.staff.challenges.new(member.number))
        assert await it.staff.add_passkey(member, phone.added(to_add), "localhost", "http://localhost:8000", holds)
        options = html.unescape(re.findall(r'data-passkey-options="([^"]+)"', (await it.get("/sign-in")).text)[0])
        answer = await it.send("/sign-in/passkey?back=/account", passkey=phone.used(options))
        assert answer.headers["location"] == "/app/account"
    async with office(tmp_path / "other", site="http://127.0.0.1:8000") as it:
        assert 'data-passkey-options=""' in (await it.get("/sign-in")).text


async def test_the_pages_of_a_sign_in_say_nothing_of_the_member_in_an_address(tmp_path: Path) -> None:
    """Neither name nor code nor password stands where a proxy writes it down."""
    async with office(tmp_path) as it:
        _, secret = await it.settled(NAME, PASSWORD)
        answers = [
            await it.send("/sign-in", name=NAME, password=PASSWORD),
            await it.send("/sign-in/code", code=it.app(secret)),
        ]
        seen = " ".join(f"{each.request.url} {each.headers}" for each in answers)
        for text in ("eyla", "xample", PASSWORD, it.app(secret)):
            assert text not in seen


def test_settings_without_a_provider_ask_for_a_password() -> None:
    """The default is the desk's own sign-in."""
    assert StaffSettings().provider is None
    assert one_time_in("ABCD-EFGH-JKMN-PQRS")
