"""The own account: language, password, second factor, passkeys, recovery codes, sessions."""

import re
from datetime import timedelta
from typing import Any, Final

from starlette.responses import Response

from nrmbus.desk.staff.passwords import LEAST
from nrmbus.desk.staff.sessions import How, Session
from nrmbus.desk.staff.staff import NotSignedIn
from nrmbus.desk.web.beside import ROOT
from nrmbus.desk.web.shell import NotFound, Pages, Visit, url
from nrmbus.desk.web.staff import cookies
from nrmbus.desk.web.staff.sign_in import app_values, recovery_codes, said, to_add, weak
from nrmbus.web.frame import LANGUAGE
from nrmbus.web.languages import LANGUAGES
from nrmbus.web.second_factor import new_secret
from nrmbus.web.words import Words
from nrmbus.wire import times

routes: Final = Pages()

_SECRET: Final = re.compile("[A-Z2-7]{32}")
FRESH: Final = timedelta(minutes=10)
"""How long after a sign-in a member without a password of this desk may change the own passkeys."""


def role_names(visit: Visit, roles: tuple[str, ...]) -> str:
    """Return the names of a member's *roles*."""
    t = visit.t
    names = {
        "worker": t("Case worker"), "duty_officer": t("Duty officer"), "supervisor": t("Supervisor"),
        "administrator": t("Administrator"),
    }  # fmt: skip
    return ", ".join(names[each] for each in roles)


def said_how(t: Words, how: How) -> str:
    """Return what a member signed in with."""
    return {
        "password": t("Password alone"), "code": t("Password and code"), "recovery_code": t("Password and recovery code"),
        "passkey": t("Passkey"), "provider": t("The agency's account"),
    }[how]  # fmt: skip


def moment_of(visit: Visit, text: str | None) -> str:
    """Return the time that the ledger has as *text*, as people read it."""
    found = times.read(text) if text else None
    return visit.t("never") if found is None else visit.t.moment(found)


def session_row(visit: Visit, session: Session) -> dict[str, Any]:
    """Return what a table says of *session*."""
    here = visit.session
    return {
        "id": session.id, "name": visit.door.staff.members.name_of(session.member), "how": said_how(visit.t, session.how),
        "began": visit.t.moment(session.began), "used": visit.t.moment(session.used),
        "is_here": here is not None and here.id == session.id,
    }  # fmt: skip


def _session(visit: Visit) -> Session:
    found = visit.session
    if found is None:
        raise NotFound
    return found


@routes.get("/account", may="member")
async def account(visit: Visit) -> Response:
    """Show the own account."""
    return _account(visit, visit.door.staff.members.there(visit.me.number).language)


def _account(visit: Visit, language: str) -> Response:
    staff, t = visit.door.staff, visit.t
    member = staff.members.there(visit.me.number)
    done = {
        "language": t("Your language was changed."), "password": t("Your password was changed. Other sessions have ended."),
        "passkey": t("The passkey was added."), "removed": t("The passkey was removed."),
        "ended": t("The session has ended."),
    }  # fmt: skip
    sessions = [session_row(visit, each) for each in staff.sessions.of(member.number)]
    return visit.page(
        "staff/account.html.j2", title=t("Your account"), about=member, roles=role_names(visit, member.roles),
        keys=len(staff.members.passkeys_of(member.number)), sessions=sessions, languages=LANGUAGES,
        language=language, done=done.get(visit.asked("done"), ""), keeps=url("/account/language"),
    )  # fmt: skip


@routes.post("/account/language", may="member")
async def set_language(visit: Visit) -> Response:
    """Have pages and mails speak another language."""
    form = await visit.form()
    wanted = form["language"]
    if form["go"] == LANGUAGE:
        return _account(visit, wanted)
    language = next((each for each in LANGUAGES if each == wanted), None)
    if language is None:
        raise NotFound
    await visit.door.staff.set_language(visit.me, language)
    response = visit.see("/account?done=language")
    response.delete_cookie("lang", path=ROOT)
    return response


def _password(visit: Visit, errors: dict[str, str], *, status: int = 200) -> Response:
    return visit.page(
        "staff/password.html.j2", title=visit.t("Change your password"), status=status, has_errors=bool(errors),
        errors=errors, least=LEAST,
    )  # fmt: skip


async def _is_wrong(visit: Visit, password: str) -> str | None:
    """Return why *password*, which the member gives again before a change, is not taken."""
    staff = visit.door.staff
    try:
        is_right = await staff.is_password_of(staff.members.there(visit.me.number), password[:1000])
    except NotSignedIn as refused:
        return said(visit.t, refused.reason)
    return None if is_right else visit.t("The password is wrong. Check it and try again.")


@routes.get("/account/password", may="member")
async def ask_password(visit: Visit) -> Response:
    """Ask for the password and another one."""
    return _password(visit, {})


@routes.post("/account/password", may="member")
async def set_password(visit: Visit) -> Response:
    """Change the password, which ends every other session."""
    form, staff = await visit.form(), visit.door.staff
    new, again = form["new"][:1000], form["again"][:1000]
    if new != again:
        return _password(visit, {"again": visit.t("The two passwords differ. Type the same one twice.")}, status=422)
    if wrong := await _is_wrong(visit, form["password"]):
        return _password(visit, {"password": wrong}, status=422)
    changed = await staff.set_password(staff.members.there(visit.me.number), _session(visit), new)
    if not isinstance(changed, tuple):
        return _password(visit, {"new": weak(visit.t, changed)}, status=422)
    return cookies.begin(visit, visit.see("/account?done=password"), changed[0])


def _app(visit: Visit, secret: str, errors: dict[str, str], *, status: int = 200) -> Response:
    return visit.page(
        "staff/app.html.j2", title=visit.t("Set up an authenticator app"), status=status, has_errors=bool(errors),
        errors=errors, key=secret, keeps=url("/account/app"), **app_values(visit, visit.me, secret),
    )  # fmt: skip


@routes.get("/account/app", may="member")
async def ask_app(visit: Visit) -> Response:
    """Show how to set up another authenticator app."""
    return _app(visit, new_secret(), {})


@routes.post("/account/app", may="member")
async def set_app(visit: Visit) -> Response:
    """Make another app the second factor, and show new recovery codes."""
    form, staff = await visit.form(), visit.door.staff
    secret = form["key"] if _SECRET.fullmatch(form["key"]) else new_secret()
    if form["go"] == LANGUAGE:
        return _app(visit, secret, {})
    if wrong := await _is_wrong(visit, form["password"]):
        return _app(visit, secret, {"password": wrong}, status=422)
    codes = await staff.set_code(staff.members.there(visit.me.number), secret, form["code"][:64], visit.goes_on)
    if codes is None:
        return _app(visit, secret, {"code": said(visit.t, "code_wrong")}, status=422)
    return recovery_codes(visit, codes, "/account")


def _codes(visit: Visit, errors: dict[str, str], *, status: int = 200) -> Response:
    return visit.page(
        "staff/new-codes.html.j2", title=visit.t("Get new recovery codes"), status=status, has_errors=bool(errors),
        errors=errors,
    )  # fmt: skip


@routes.get("/account/recovery-codes", may="member")
async def ask_codes(visit: Visit) -> Response:
    """Ask for the password before new recovery codes are shown."""
    return _codes(visit, {})


@routes.post("/account/recovery-codes", may="member")
async def new_codes(visit: Visit) -> Response:
    """Show new recovery codes; the earlier ones are worth nothing from now on."""
    if wrong := await _is_wrong(visit, (await visit.form())["password"]):
        return _codes(visit, {"password": wrong}, status=422)
    return recovery_codes(visit, await visit.door.staff.new_recovery_codes(visit.me, visit.goes_on), "/account")


def _passkeys(visit: Visit, errors: dict[str, str], *, status: int = 200) -> Response:
    members, member = visit.door.staff.members, visit.door.staff.members.there(visit.me.number)
    keys = [
        {"id": key.id, "host": key.host, "made": moment_of(visit, key.made), "used": moment_of(visit, key.used)}
        for key in members.passkeys_of(member.number)
    ]
    return visit.page(
        "staff/passkeys.html.j2", title=visit.t("Passkeys"), status=status, has_errors=bool(errors), errors=errors, keys=keys,
        asks_password=not member.is_of_provider, passkey_options=to_add(visit, member),
    )  # fmt: skip


async def _may_change_passkeys(visit: Visit, password: str) -> str | None:
    """Return why a passkey may not be changed now, which outlives a change of the password; None if it may.

    Who has no password here has to have signed in a short time ago: a browser that was left alone is not enough.
    """
    if not visit.door.staff.members.there(visit.me.number).is_of_provider:
        return await _is_wrong(visit, password)
    if visit.door.staff.now() - _session(visit).began <= FRESH:
        return None
    return visit.t(
        "Sign out, then sign in again: a passkey is changed within {n} minutes of a sign-in.",
        n=int(FRESH.total_seconds() // 60),
    )


@routes.get("/account/passkeys", may="member")
async def list_passkeys(visit: Visit) -> Response:
    """Show the own passkeys, and ask for the password before one is added or removed."""
    return _passkeys(visit, {})


@routes.post("/account/passkeys", may="member")
async def add_passkey(visit: Visit) -> Response:
    """Add a passkey of this browser; it asks the person for a finger, a face or a PIN."""
    form, staff = await visit.form(), visit.door.staff
    if wrong := await _may_change_passkeys(visit, form["password"]):
        return _passkeys(visit, {"password": wrong}, status=422)
    host, origin = cookies.host_of(visit.request), cookies.origin_of(visit.request)
    if await staff.add_passkey(staff.members.there(visit.me.number), form["passkey"], host, origin, visit.goes_on):
        return visit.see("/account?done=passkey")
    return _passkeys(
        visit,
        {"passkey-button": visit.t("The passkey was not added, since your browser's answer did not fit. Try again.")},
        status=422,
    )


@routes.post("/account/passkeys/remove", may="member")
async def remove_passkey(visit: Visit) -> Response:
    """Remove a passkey, unless it is the only second factor."""
    form, staff = await visit.form(), visit.door.staff
    if wrong := await _may_change_passkeys(visit, form["current"]):
        return _passkeys(visit, {"current": wrong}, status=422)
    if await staff.remove_passkey(staff.members.there(visit.me.number), form["id"]):
        return visit.see("/account?done=removed")
    only = visit.t("It is your only second step. Set up an authenticator app or another passkey first.")
    return _passkeys(visit, {"current": only}, status=409)


@routes.post("/account/sessions/end", may="member")
async def end_session(visit: Visit) -> Response:
    """End one own session."""
    await visit.door.staff.sessions.end_of(visit.me.number, (await visit.form())["id"])
    return visit.see("/account?done=ended")


@routes.post("/account/sign-out-everywhere", may="member")
async def sign_out_everywhere(visit: Visit) -> Response:
    """End every own session, this one too."""
    session = _session(visit)
    await visit.door.staff.sessions.end_others(session)
    await visit.door.staff.sessions.end(session)
    return cookies.end(visit, visit.see("/sign-in?out=1"))
