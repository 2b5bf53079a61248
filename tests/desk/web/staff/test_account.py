"""The own account: the password again before a change, and every session in the member's hand."""

import html
import re
from pathlib import Path
from typing import Any

import pytest

from desk.staff.given import PASSWORD, Authenticator
from desk.web.staff.given import Office, errors_of, office, text_of
from nrmbus.desk.staff.staff import NotSignedIn

pytestmark = pytest.mark.usefixtures("cheap_passwords")

NAME = "Leyla Example"
NEW = "a longer way home"


async def at_the_account(it: Office) -> str:
    """Sign a member in with an app; return the app's secret."""
    _, secret = await it.settled(NAME, PASSWORD)
    await it.send("/sign-in", name=NAME, password=PASSWORD)
    answer = await it.send("/sign-in/code", code=it.app(secret))
    assert answer.status_code == 303
    return secret


async def test_a_new_password_needs_the_old_one_and_ends_other_sessions(tmp_path: Path) -> None:
    """Whoever finds an open page changes nothing; whoever had the password is out."""
    async with office(tmp_path) as it:
        await at_the_account(it)
        member = it.staff.members.everybody()[0]
        elsewhere = await it.staff.sessions.begin(member.number, "code")
        for fields, said in [
            ({"password": "wrong", "new": NEW, "again": NEW}, "The password is wrong. Check it and try again."),
            ({"password": PASSWORD, "new": NEW, "again": "x"}, "The two passwords differ. Type the same one twice."),
            ({"password": PASSWORD, "new": "x", "again": "x"}, "Choose a password of at least 12 characters."),
        ]:
            assert errors_of(await it.send("/account/password", **fields)) == [said]
        before = it.browser.cookies["nrmbus-ngo-a"]
        answer = await it.send("/account/password", password=PASSWORD, new=NEW, again=NEW)
        assert answer.headers["location"] == "/app/account?done=password"
        assert "Your password was changed." in text_of(await it.get("/account?done=password"))
        assert it.browser.cookies["nrmbus-ngo-a"] != before
        assert it.staff.sessions.look(elsewhere) is None
        assert it.staff.sessions.look(before) is None
        assert (await it.staff.with_password(NAME, NEW))[1] == "code"


async def test_another_app_and_new_recovery_codes_need_the_password(tmp_path: Path) -> None:
    """The earlier app and the earlier codes are worth nothing afterwards."""
    async with office(tmp_path) as it:
        old = await at_the_account(it)
        page = await it.get("/account/app")
        (key,) = re.findall(r'name="key" value="([A-Z2-7]{32})"', page.text)
        wrong = await it.send("/account/app", key=key, password="wrong", code=it.app(key))
        assert errors_of(wrong) == ["The password is wrong. Check it and try again."]
        assert key in wrong.text, "the picture that was scanned stays"
        wrong = await it.send("/account/app", key=key, password=PASSWORD, code="000000")
        assert errors_of(wrong) == ["The code is wrong or was used before. Wait for the next one and enter it."]
        shown = text_of(await it.send("/account/app", key=key, password=PASSWORD, code=it.app(key)))
        first = re.findall(r"\b(?:[a-z2-9]{4}-){2}[a-z2-9]{4}\b", shown)
        assert errors_of(await it.send("/account/recovery-codes", password="wrong")) != []
        shown = text_of(await it.send("/account/recovery-codes", password=PASSWORD))
        second = re.findall(r"\b(?:[a-z2-9]{4}-){2}[a-z2-9]{4}\b", shown)
        assert (len(first), len(second), set(first) & set(second)) == (8, 8, set())
        it.later(minutes=1)
        value, _ = await it.staff.with_password(NAME, PASSWORD)
        for code in (it.app(old), first[0]):
            with pytest.raises(NotSignedIn, match="code_wrong"):
                await it.staff.with_code(value, code)
        assert await it.staff.with_code(value, second[0])


async def test_passkeys_are_added_and_removed(tmp_path: Path) -> None:
    """An answer that does not fit adds none; the account lists each with its host."""
    phone = Authenticator()
    async with office(tmp_path, site="http://localhost:8000") as it:
        await at_the_account(it)
        member = it.staff.members.everybody()[0]
        page = await it.get("/account/passkeys")
        options = re.findall(r'data-passkey="add" data-passkey-options="([^"]+)"', page.text)[0]
        assert (await it.send("/account/passkeys", passkey="{}", password=PASSWORD)).status_code == 422
        added = phone.added(html.unescape(options))
        assert errors_of(await it.send("/account/passkeys", passkey=added, password="wrong")) != []
        assert it.staff.members.passkeys_of(member.number) == [], "a browser that was left alone is not enough"
        done = await it.send("/account/passkeys", passkey=added, password=PASSWORD)
        assert done.headers["location"] == "/app/account?done=passkey"
        page = await it.get("/account/passkeys")
        assert "localhost" in text_of(page)
        (id,) = re.findall(r'name="id" value="([\w-]+)"', page.text)
        assert (await it.send("/account/passkeys/remove", id="another", current=PASSWORD)).status_code == 404
        assert errors_of(await it.send("/account/passkeys/remove", id=id, current="wrong")) != []
        done = await it.send("/account/passkeys/remove", id=id, current=PASSWORD)
        assert done.headers["location"] == "/app/account?done=removed"


async def test_a_member_sees_and_ends_the_own_sessions(tmp_path: Path) -> None:
    """One, or all of them at once; those of a colleague cannot be named."""
    async with office(tmp_path) as it:
        member = await it.signed_in(NAME, "worker")
        other = await it.example("Rena Example", "worker")
        foreign = await it.staff.sessions.begin(other.number, "code")
        second = await it.staff.sessions.begin(member.number, "passkey")
        page = await it.get("/account")
        (id,) = re.findall(r'name="id" value="(\w+)"', page.text)
        assert "this browser" in text_of(page)
        found = it.staff.sessions.look(foreign)
        assert found is not None
        assert (await it.send("/account/sessions/end", id=found.id)).status_code == 404
        assert (await it.send("/account/sessions/end", id=id)).headers["location"] == "/app/account?done=ended"
        assert it.staff.sessions.look(second) is None
        third = await it.staff.sessions.begin(member.number, "code")
        assert (await it.send("/account/sign-out-everywhere")).headers["location"] == "/app/sign-in?out=1"
        assert it.staff.sessions.look(third) is None
        assert it.staff.sessions.look(foreign) is not None
        assert (await it.get("/account")).status_code == 303


async def test_the_language_is_kept_in_the_account(tmp_path: Path) -> None:
    """It outlives the browser; what no page speaks is refused."""
    async with office(tmp_path) as it:
        member = await it.signed_in(NAME, "worker")
        assert (await it.send("/account/language", language="xx")).status_code == 404
        await it.send("/account/language", language="ru")
        assert it.staff.members.there(member.number).language == "ru"
        assert '<html lang="ru"' in (await it.get("/account")).text


@pytest.mark.parametrize("path", ["/account/password", "/account/app", "/account/recovery-codes", "/account/passkeys"])
async def test_a_reset_is_not_undone_by_a_page_that_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Given a stolen session and password, when the member is reset while the account is changed, then the reset stands."""
    async with office(tmp_path, site="http://localhost:8000") as it:
        await at_the_account(it)
        member, is_password_of = it.staff.members.everybody()[0], it.staff.is_password_of
        (key,) = re.findall(r'name="key" value="([A-Z2-7]{32})"', (await it.get("/account/app")).text)
        offered = re.findall(r'data-passkey-options="([^"]+)"', (await it.get("/account/passkeys")).text)[0]
        form = {
            "password": PASSWORD, "new": NEW, "again": NEW, "key": key, "code": it.app(key),
            "passkey": Authenticator().added(html.unescape(offered)),
        }  # fmt: skip

        async def meanwhile(*who: Any) -> bool:
            is_right = await is_password_of(*who)
            await it.staff.reset(member.number, "door.json")
            return is_right

        monkeypatch.setattr(it.staff, "is_password_of", meanwhile)
        answer = await it.send(path, **form)

        member = it.staff.members.there(member.number)
        assert answer.headers.get("location", "").startswith("/app/sign-in?")
        assert (member.standing, member.has_code, member.passkeys, member.recovery_codes) == ("invited", False, 0, 0)
        assert it.staff.sessions.of(member.number) == []
