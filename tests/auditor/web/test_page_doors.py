"""Access to the auditor's page, and properties of every page: headers, languages, and no visitor's text as markup."""

import re
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from auditor.web.given import NAME, NO_CASE, PASSWORD, PHONE, Hall, form_of, places, sign_in
from nrmbus.auditor.web.sessions import IDLE_SECONDS
from nrmbus.web.languages import LANGUAGES, Language
from nrmbus.web.words import Words
from nrmbus.wire.record import Record

BAKU = ZoneInfo("Asia/Baku")
SEALED = "No letter was opened: an auditor has no key that opens one."


@pytest.fixture(name="hall")
def _hall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hall:
    return Hall(tmp_path, monkeypatch)


# -- who gets in -----------------------------------------------------------------------------------------------------


async def test_nobody_sees_anything_before_he_has_signed_in(hall: Hall) -> None:
    """Every page is the sign-in then, and asks nothing of the history."""
    async with hall.browser(signed_in=False) as browser:
        for path in ["/", *places(hall)]:
            answer = await browser.get(path)
            assert "Auditor&#39;s sign-in" in answer.text
            assert hall.case not in answer.text.replace(f"/cases/{hall.case}", "")
    assert hall.sent == []


@pytest.mark.parametrize(
    "more",
    [{"password": "another example password"}, {"name": "nobody"}, {"name": "Leyla"}, {"name": "leyla "}],
)
async def test_a_wrong_name_or_password_gets_nothing(hall: Hall, more: dict[str, str]) -> None:
    """One sentence for both, so that names cannot be found out."""
    async with hall.browser(signed_in=False) as browser:
        answer = await sign_in(browser, **more)
        assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)
        assert "Name or password is not right" in answer.text
        assert f'value="{more.get("name", NAME)}"' in answer.text
        assert 'value="audit" selected' in answer.text
        assert more.get("password", PASSWORD) not in answer.text


async def test_sign_in_needs_a_purpose(hall: Hall) -> None:
    """Without a purpose, or with one that is not an auditor's, a sign-in is refused."""
    async with hall.browser(signed_in=False) as browser:
        for purpose in ("", "case_work", "curiosity"):
            assert (await sign_in(browser, purpose=purpose)).status_code == 400


async def test_another_language_keeps_name_and_purpose_of_the_sign_in(hall: Hall) -> None:
    """Given a name and a purpose that were chosen, then they stay with the page that was wanted; the password does not, and nothing is tried."""
    async with hall.browser(signed_in=False) as browser:
        page = (await browser.get("/agencies")).text
        button = re.search(r'form="kept" formaction="([^"]+)"[^>]*name="go" value="language" lang="ru"', page)
        assert button is not None
        form = {"name": NAME, "password": PASSWORD, "purpose": "audit", "back": "/agencies", "go": "language"}
        answer = await browser.post(button[1], data=form)

    assert (answer.status_code, '<html lang="ru"' in answer.text, "error-summary" in answer.text) == (200, True, False)
    for kept in (f'value="{NAME}"', 'value="audit" selected', 'name="back" value="/agencies"'):
        assert kept in answer.text
    assert PASSWORD not in answer.text


async def test_five_wrong_passwords_close_a_name(hall: Hall) -> None:
    """Then the right password is refused too; another name can sign in."""
    hall.users.add("samir", PASSWORD)
    async with hall.browser(signed_in=False) as browser:
        for _ in range(5):
            assert (await sign_in(browser, password="wrong password here")).status_code == 401
        form = {"name": NAME, "password": PASSWORD, "purpose": "audit", "back": "/search"}
        assert (await browser.post("/sign-in", data=form)).status_code == 429
        assert (await sign_in(browser)).status_code == 429
        assert (await sign_in(browser, name="samir")).status_code == 303


@pytest.mark.parametrize("content", ["[", "[]", None], ids=["cut off", "another", "not readable"])
async def test_a_file_of_users_that_cannot_be_read_is_named(hall: Hall, content: str | None) -> None:
    """Given a damaged file, then every page says what to do, also to somebody whose session goes on, and shows nothing else."""
    async with hall.browser() as browser:
        file = hall.home / "users.json"
        file.unlink()
        file.mkdir() if content is None else file.write_text(content)
        for answer in [await browser.get("/search"), await browser.get(f"/cases/{hall.case}"), await sign_in(browser)]:
            assert answer.status_code == 503
            assert "Move users.json away first, then restore it: nrmbus restore DIR --part users." in answer.text
            assert answer.headers["cache-control"] == "no-store"
            assert hall.case not in answer.text.replace(f"/cases/{hall.case}", "")


async def test_a_password_alone_lets_nobody_in(hall: Hall) -> None:
    """The first sign-in sets an app up, the next one asks for its code; a wrong code, or one that was used, is refused."""
    form = {"name": NAME, "password": PASSWORD, "purpose": "audit", "back": "/search"}
    async with hall.browser(signed_in=False) as browser:
        assert (await browser.post("/sign-in", data=form)).headers["location"] == "/sign-in/code"
        assert ">Search</h1>" not in (await browser.get("/search")).text
        first = (await browser.get("/sign-in/code")).text
        assert "Set up your second step" in first
        assert (await browser.post("/sign-in/code", data={"code": "000000"})).status_code == 401
        code = PHONE.shows(NAME, first)
        assert (await browser.post("/sign-in/code", data={"code": code})).headers["location"] == "/search"
        assert ">Search</h1>" in (await browser.get("/search")).text
    async with hall.browser(signed_in=False) as browser:
        await browser.post("/sign-in", data=form)
        again = (await browser.get("/sign-in/code")).text
        assert ("Enter your code" in again, "nrm-code" in again) == (True, False)
        used = await browser.post("/sign-in/code", data={"code": code})
        assert (used.status_code, "was used before" in used.text) == (401, True)
        fresh = PHONE.shows(NAME, again)
        assert (await browser.post("/sign-in/code", data={"code": fresh})).headers["location"] == "/search"


async def test_five_wrong_codes_close_a_name(hall: Hall) -> None:
    """The right code is refused then; and no code is taken without the password before."""
    async with hall.browser(signed_in=False) as browser:
        assert (await browser.post("/sign-in/code", data={"code": "123456"})).status_code == 401
        await sign_in(browser)
        form = {"name": NAME, "password": PASSWORD, "purpose": "audit"}
        await browser.post("/sign-in", data=form)
        page = (await browser.get("/sign-in/code")).text
        answers = [(await browser.post("/sign-in/code", data={"code": "000000"})).status_code for _ in range(5)]
        assert answers == [401, 401, 401, 401, 429]  # the password that waits for its code counts until then
        right = PHONE.shows(NAME, page)
        assert (await browser.post("/sign-in/code", data={"code": right})).status_code == 429


async def test_another_password_asks_for_another_app(hall: Hall) -> None:
    """Who has lost the phone sets an app up again; a sign-in that has begun with the password before ends."""
    async with hall.browser() as browser, hall.browser(signed_in=False) as begun:
        await begun.post("/sign-in", data={"name": NAME, "password": PASSWORD, "purpose": "audit"})
        hall.users.add(NAME, "another long password")
        assert "Auditor&#39;s sign-in" in (await begun.get("/sign-in/code")).text
        form = {"name": NAME, "password": "another long password", "purpose": "audit"}
        await browser.post("/sign-in", data=form)
        assert "Set up your second step" in (await browser.get("/sign-in/code")).text


async def test_the_cookie_is_for_this_page_alone(hall: Hall) -> None:
    """The cookie is hidden from scripts, not sent from other sites, and the only way in."""
    async with hall.browser(signed_in=False) as browser:
        cookies = (await sign_in(browser)).headers.get_list("set-cookie")
    assert len(cookies) == 2  # that of the password ends
    for cookie in map(str.lower, cookies):
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "domain=" not in cookie


async def test_signing_out_needs_the_page_and_ends_it(hall: Hall) -> None:
    """A form of another site signs nobody out; ours does, and the cookie lets nobody in any more."""
    async with hall.browser() as browser:
        page = (await browser.get("/search")).text
        kept = dict(browser.cookies)
        for form, origin in (({}, None), ({"form": "x"}, None), ({"form": form_of(page)}, "http://evil.example")):
            headers = {"origin": origin} if origin else {}
            assert (await browser.post("/sign-out", data=form, headers=headers)).status_code == 403
        assert ">Search</h1>" in (await browser.get("/search")).text
        assert (await browser.post("/sign-out", data={"form": form_of(page)})).status_code == 303
        browser.cookies.update(kept)
        assert ">Search</h1>" not in (await browser.get("/search")).text


async def test_a_form_from_before_another_tab_signed_in_says_so(hall: Hall) -> None:
    """Given a page that is open while another tab signs in anew, then its forms do nothing and say why; a code leads on."""
    async with hall.browser() as browser:
        old = form_of((await browser.get("/search")).text)
        await sign_in(browser, purpose="audit")
        for path, more in (("/purpose", {"purpose": "court", "back": "/search"}), ("/sign-out", {})):
            answer = await browser.post(path, data={"form": old, **more})
            assert answer.status_code == 403
            assert "from before your last sign-in" in answer.text
        for late in (await browser.get("/sign-in/code"), await browser.post("/sign-in/code", data={"code": "123456"})):
            assert (late.status_code, late.headers["location"]) == (303, "/search")
        browser.cookies.clear()
        over = await browser.post("/purpose", data={"form": old, "purpose": "court", "back": "/agencies"})
        assert 'name="back" value="/agencies"' in over.text


async def test_an_address_without_a_page_is_a_page(hall: Hall) -> None:
    """Given a mistyped address, then the page says so in the reader's language, with the headers of every page."""
    async with hall.browser() as browser:
        for path in ("/nowhere", "/cases", "/purpose"):
            answer = await browser.get(path, headers={"accept": "text/html"})
            assert answer.status_code == 404
            assert "There is no such page." in answer.text
            assert answer.headers["cache-control"] == "no-store"
    assert hall.sent == []


async def test_a_removed_user_is_out_at_once(hall: Hall) -> None:
    """His session ends with his place in the file; whose number it was stays there."""
    async with hall.browser() as browser:
        hall.users.remove(NAME)
        assert ">Search</h1>" not in (await browser.get("/search")).text
        assert (await sign_in(browser)).status_code == 401
    assert list(hall.users.names()) == [(NAME, hall.actor, False)]


async def test_a_user_who_is_removed_while_a_question_is_recorded_gets_no_answer(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a question that the registrar still has to record, when its user is removed, then the sign-in comes instead of the case."""
    register = hall.register

    async def removed(record: Record) -> None:
        hall.users.remove(NAME)
        await register(record)

    monkeypatch.setattr(hall, "register", removed)
    async with hall.browser() as browser:
        answer = await browser.get(f"/cases/{hall.case}")

    assert hall.case not in answer.text.replace(f"/cases/{hall.case}", "")
    assert 'name="password"' in answer.text


@pytest.mark.parametrize("removed", [False, True], ids=["another password", "removed and let in again"])
async def test_another_password_ends_every_session(hall: Hall, *, removed: bool) -> None:
    """A new password ends all sessions of its user, so that a stolen password or browser is of no use any more."""
    async with hall.browser() as browser:
        if removed:
            hall.users.remove(NAME)
        hall.users.add(NAME, "another long password")
        assert ">Search</h1>" not in (await browser.get("/search")).text
        assert (await sign_in(browser)).status_code == 401


async def test_a_sign_in_that_another_site_sends_is_refused(hall: Hall) -> None:
    """So that nobody works under another's name without knowing."""
    async with hall.browser(signed_in=False) as browser:
        form = {"name": NAME, "password": PASSWORD, "purpose": "audit"}
        for headers in ({"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
            assert (await browser.post("/sign-in", data=form, headers=headers)).status_code == 403


async def test_a_script_asks_how_long_the_session_lasts_and_extends_it(hall: Hall) -> None:
    """Asking uses nothing; a form of the page extends it; without a session there are no seconds, and the way back is kept."""
    async with hall.browser() as browser:
        assert 'id="nrm-session"' in (await browser.get("/search")).text
        for answer in (await browser.get("/session"), await browser.post("/session")):
            assert IDLE_SECONDS - 60 < answer.json()["seconds"] <= IDLE_SECONDS
        assert (await browser.post("/session", headers={"origin": "http://evil.example"})).status_code == 403
        browser.cookies.clear()
        assert ((await browser.get("/session")).status_code, (await browser.get("/session")).json()) == (
            401,
            {"seconds": 0},
        )
        page = (await browser.get(f"/?over=1&back=/cases/{hall.case}")).text
        assert "You were signed out" in page
        assert f'name="back" value="/cases/{hall.case}"' in page
    assert hall.sent == []


@pytest.mark.parametrize(
    "back", ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", ""]
)
async def test_nobody_is_led_elsewhere(hall: Hall, back: str) -> None:
    """Where to go after signing in is a path of this page, or the search."""
    async with hall.browser(signed_in=False) as browser:
        assert (await sign_in(browser, back=back)).headers["location"] == "/search"


async def test_a_machine_of_another_name_is_not_this_one(hall: Hall) -> None:
    """A foreign page whose host name points at this machine is refused, whatever it sends."""
    async with hall.browser() as browser:
        assert (await browser.get("/search", headers={"host": "evil.example"})).status_code == 421


HOSTS = [
    "127.0.0.1@evil.example", "evil.example#127.0.0.1", "127.0.0.1.evil.example", "[", "[::1", "127.0.0.1:x",
    "127.0.0.1/..", "localhost.", "0", "2130706433", "127.1", "[::ffff:127.0.0.1]",
]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
async def test_a_name_that_looks_like_this_machines_is_not_it(hall: Hall, host: str) -> None:
    """No question is recorded for such a request, and no page fails."""
    async with hall.browser() as browser:
        answer = await browser.get(f"/cases/{hall.case}", headers={"host": host})
        assert answer.status_code == 421
        assert "content-security-policy" in answer.headers
    assert hall.sent == []


@pytest.mark.parametrize("site", ["same-site", "cross-site"])
async def test_no_page_elsewhere_asks_in_her_name(hall: Hall, site: str) -> None:
    """Also one at another port of this machine, to which browsers give the same cookies: nothing goes on record under her number."""
    async with hall.browser() as browser:
        for path in places(hall):
            answer = await browser.get(path, headers={"sec-fetch-site": site})
            assert "Auditor&#39;s sign-in" in answer.text
            assert hall.case not in answer.text.replace(f"/cases/{hall.case}", "")
        assert hall.sent == []
        for by in ("same-origin", "none"):  # our own page, or an address that she typed
            assert "Auditor&#39;s sign-in" not in (await browser.get("/search", headers={"sec-fetch-site": by})).text


# -- what goes with every page ---------------------------------------------------------------------------------------


async def test_every_page_says_what_a_browser_may_do_with_it(hall: Hall) -> None:
    """Nothing is kept, framed, loaded from elsewhere or run inline; also where there is no answer."""
    async with hall.browser() as browser:
        for path in [*places(hall), "/", f"/cases/{NO_CASE}", "/static/page.css", "/static/auditor.js"]:
            answer = await browser.get(path)
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"
            if answer.headers.get("content-type", "").startswith("text/html"):
                assert not re.search(
                    r'<script(?! type="module" src="/static/(?:page|auditor)\.js">)|\sstyle=|\son[a-z]+=', answer.text
                ), path
                assert not re.search(r'(?:src|href|action)="(?!/|#|data:,")', answer.text), path


HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{7*7}}", "' OR 1=1 --", "\x00", "é" * 64]


@pytest.mark.thorough
@pytest.mark.parametrize("what", HOSTILE)
async def test_typed_input_is_shown_as_text_or_not_at_all(hall: Hall, what: str) -> None:
    """In each field of the search, in a path, in a name: no markup of a visitor becomes markup of the page."""
    async with hall.browser() as browser:
        answers = [
            await browser.get("/search", params={name: what}) for name in ("q", "agency", "type", "number", "from")
        ]
        answers += [await browser.get(f"/cases/{hall.case}", params={name: what}) for name in ("as_of", "step", "x")]
        answers.append(await browser.get("/events/x", params={"number": what}))
        answers.append(await browser.get("/agencies", params={"from": what}))
        answers.append(await sign_in(browser, name=what))
    for answer in answers:
        assert answer.status_code in (200, 401, 404, 422)
        assert "<script>" not in answer.text
        assert "<img" not in answer.text
        assert 'value="49"' not in answer.text


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_page_is_in_three_languages(hall: Hall, language: Language) -> None:
    """The page names its language, and every code has words; a code itself is never translated."""
    async with hall.browser(language=f"{language};q=0.9, de") as browser:
        for path in places(hall):
            answer = await browser.get(path)
            assert answer.status_code == 200
            assert f'<html lang="{language}"' in answer.text
            foreign = next(each for each in LANGUAGES if each != language)
            assert Words(language, BAKU)(SEALED) in answer.text.replace("&#39;", "'")
            assert Words(foreign, BAKU)(SEALED) not in answer.text.replace("&#39;", "'")
        assert "referral.submitted" in (await browser.get(f"/cases/{hall.case}")).text


async def test_the_language_is_the_visitors_choice_and_stays(hall: Hall) -> None:
    """A link chooses it, whatever the browser prefers; unless anything is said, the page speaks Azerbaijani."""
    async with hall.browser(language="ru, en;q=0.5") as browser:
        assert '<html lang="ru"' in (await browser.get("/search")).text
        assert '<html lang="en"' in (await browser.get("/search?lang=en")).text
        assert '<html lang="en"' in (await browser.get("/search")).text
    async with hall.browser(signed_in=False, language="de") as browser:
        assert '<html lang="az"' in (await browser.get("/")).text
