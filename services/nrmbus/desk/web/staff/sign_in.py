"""Sign-in: name and password, then the second factor; the first time, an own password and an own second factor before."""

from contextlib import suppress
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from nrmbus.desk.staff import passkeys
from nrmbus.desk.staff.members import Member
from nrmbus.desk.staff.passwords import LEAST, Weakness
from nrmbus.desk.staff.provider import ProviderFailed, TooManyAtOnce
from nrmbus.desk.staff.sessions import IDLE, LONGEST
from nrmbus.desk.staff.staff import NotSignedIn, Reason, Stage, stage_of
from nrmbus.desk.web.beside import ROOT
from nrmbus.desk.web.shell import NotFound, Pages, Visit, url
from nrmbus.desk.web.staff import cookies
from nrmbus.web import second_factor
from nrmbus.web.frame import LANGUAGE
from nrmbus.web.guard import FormTooLarge
from nrmbus.web.words import Words

routes: Final = Pages()

_STAGES: Final[dict[Stage, str]] = {
    "password": "/sign-in/password", "factor": "/sign-in/second-factor", "code": "/sign-in/code",
}  # fmt: skip


_NEVER_KEPT: Final = ("/account", "/staff", "/session", "/late-form", "/sign-", "/approvals")
"""Forms with passwords, or of no worth later. A second signature is given on the page that shows what is signed."""
_URLENCODED: Final = "application/x-www-form-urlencoded"
_SAVES: Final = "/keep"
"""End of the address at which a script saves a draft: its page still has what was typed, and says what to do."""


def back_of(visit: Visit) -> str:
    """Return the page that the member wanted; the first page if it named none."""
    asked = visit.asked("back", 200)
    return asked if cookies.is_place(asked) else "/"


def onward(visit: Visit, path: str) -> str:
    """Return *path* with the page that the member wanted."""
    back = back_of(visit)
    return path if back == "/" else f"{path}?{urlencode({'back': back})}"


def said(t: Words, reason: Reason) -> str:
    """Return why nobody was signed in."""
    return {
        "wrong": t("Name or password is wrong. Check both and try again."),
        "locked": t("Too many attempts failed. Wait 15 minutes, or sign in with a passkey."),
        "over": t("The sign-in took too long. Begin again."),
        "code_wrong": t("The code is wrong or was used before. Wait for the next one and enter it."),
        "passkey_wrong": t("The passkey was not accepted. Try again, or sign in with your password."),
    }[reason]


def weak(t: Words, weakness: Weakness) -> str:
    """Return why a password was refused."""
    return {
        "short": t("Choose a password of at least {n} characters.", n=LEAST),
        "long": t("Choose a shorter password."),
        "plain": t("Choose a password with more different characters."),
        "name": t("Choose a password without your name or that of your agency."),
        "same": t("Choose a password other than the one-time password."),
    }[weakness]


def passkey_values(visit: Visit) -> dict[str, str]:
    """Return what a page with a passkey's button needs; `passkey_options` is empty where browsers make none."""
    host = cookies.host_of(visit.request)
    if not passkeys.is_possible_at(host):
        return {"passkey_options": ""}
    challenge = visit.door.staff.challenges.new(passkeys.SIGN_IN)
    return {"passkey_options": passkeys.options_to_use(host, challenge)}


def to_add(visit: Visit, member: Member) -> str:
    """Return what a browser needs to make a passkey for *member*, or an empty text where browsers make none."""
    host, staff = cookies.host_of(visit.request), visit.door.staff
    if not passkeys.is_possible_at(host):
        return ""
    known, challenge = staff.members.passkeys_of(member.number), staff.challenges.new(member.number)
    return passkeys.options_to_add(member, known, host, challenge)


def _first(visit: Visit, errors: dict[str, str], *, status: int = 200, name: str = "") -> Response:
    provider = visit.door.staff.settings.provider
    only_provider, is_over = provider is not None and provider.is_only, visit.asked("over") == "1"
    here = onward(visit, "/sign-in")
    kept = f"{here}{'&' if '?' in here else '?'}over=1" if is_over else here
    return visit.page(
        "staff/sign-in.html.j2", title=visit.t("Sign in"), status=status, has_errors=bool(errors), errors=errors, name=name,
        onward=lambda path: url(onward(visit, path)), is_over=is_over, is_out=visit.asked("out") == "1",
        minutes=int(IDLE.total_seconds()) // 60, hours=int(LONGEST.total_seconds()) // 3600,
        has_provider=provider is not None, only_provider=only_provider, keeps="" if only_provider else url(kept),
        **passkey_values(visit),
    )  # fmt: skip


@routes.get("/sign-in", may="anybody")
async def ask(visit: Visit) -> Response:
    """Ask for name and password, or a passkey."""
    return _first(visit, {}) if visit.member is None else visit.see(back_of(visit))


@routes.post("/sign-in", may="anybody")
async def with_password(visit: Visit) -> Response:
    """Take name and password."""
    form = await visit.form()
    name, password = form["name"][:200], form["password"][:1000]
    if form["go"] == LANGUAGE:
        return _first(visit, {}, name=name)
    missing = {} if name.strip() else {"name": visit.t("Enter your name.")}
    missing |= {} if password else {"password": visit.t("Enter your password.")}
    if missing:
        return _first(visit, missing, status=422, name=name)
    try:
        value, stage = await visit.door.staff.with_password(name, password)
    except NotSignedIn as refused:
        return _first(visit, {"name": said(visit.t, refused.reason)}, status=422, name=name)
    if stage is None:
        return cookies.begin(visit, visit.see(back_of(visit)), value)
    return cookies.begin_half(visit, visit.see(onward(visit, _STAGES[stage])), value)


@routes.post("/sign-in/passkey", may="anybody")
async def with_passkey(visit: Visit) -> Response:
    """Take a passkey, which needs neither name nor password."""
    form, host, origin = await visit.form(), cookies.host_of(visit.request), cookies.origin_of(visit.request)
    try:
        value = await visit.door.staff.with_passkey(form["passkey"], host, origin)
    except NotSignedIn as refused:
        return _first(visit, {"passkey-button": said(visit.t, refused.reason)}, status=422)
    return cookies.begin(visit, visit.see(back_of(visit)), value)


def _half(visit: Visit, stage: Stage) -> Member | None:
    """Return the member whose sign-in has come to *stage*; None: it is over, or somewhere else."""
    try:
        _, member = visit.door.staff.half_way(cookies.half_of(visit))
    except NotSignedIn:
        return None
    return member if stage_of(member) == stage else None


def _again(visit: Visit) -> Response:
    path = onward(visit, "/sign-in")
    return cookies.end_half(visit, visit.see(f"{path}{'&' if '?' in path else '?'}over=1"))


def _code(visit: Visit, member: Member, errors: dict[str, str], *, status: int = 200) -> Response:
    return visit.page(
        "staff/code.html.j2", title=visit.t("Second step"), status=status, has_errors=bool(errors), errors=errors,
        onward=lambda path: url(onward(visit, path)), has_code=member.has_code, has_passkey=bool(member.passkeys),
        **passkey_values(visit),
    )  # fmt: skip


@routes.get("/sign-in/code", may="anybody")
async def ask_code(visit: Visit) -> Response:
    """Ask for the code of the second factor."""
    member = _half(visit, "code")
    return _again(visit) if member is None else _code(visit, member, {})


@routes.post("/sign-in/code", may="anybody")
async def with_code(visit: Visit) -> Response:
    """Take the code of the second factor, or a recovery code."""
    form, member = await visit.form(), _half(visit, "code")
    if member is None:
        return _again(visit)
    try:
        value = await visit.door.staff.with_code(cookies.half_of(visit), form["code"][:64])
    except NotSignedIn as refused:
        return _again(visit) if refused.reason == "over" else _code(
            visit, member, {"code": said(visit.t, refused.reason)}, status=422
        )  # fmt: skip
    return cookies.begin(visit, visit.see(back_of(visit)), value)


def _password(visit: Visit, member: Member, errors: dict[str, str], *, status: int = 200) -> Response:
    return visit.page(
        "staff/first-password.html.j2", title=visit.t("Choose your password"), status=status, has_errors=bool(errors),
        errors=errors, onward=lambda path: url(onward(visit, path)), least=LEAST, name=member.name,
    )  # fmt: skip


@routes.get("/sign-in/password", may="anybody")
async def ask_password(visit: Visit) -> Response:
    """Ask for an own password, after a one-time password."""
    member = _half(visit, "password")
    return _again(visit) if member is None else _password(visit, member, {})


@routes.post("/sign-in/password", may="anybody")
async def set_password(visit: Visit) -> Response:
    """Take an own password."""
    form, member = await visit.form(), _half(visit, "password")
    if member is None:
        return _again(visit)
    new, again = form["new"][:1000], form["again"][:1000]
    if new != again:
        return _password(
            visit, member, {"again": visit.t("The two passwords differ. Type the same one twice.")}, status=422
        )
    try:
        refused = await visit.door.staff.set_first_password(cookies.half_of(visit), new)
    except NotSignedIn:
        return _again(visit)
    if refused is not None:
        return _password(visit, member, {"new": weak(visit.t, refused)}, status=422)
    return visit.see(onward(visit, _STAGES["factor"]))


def _factor(visit: Visit, member: Member, errors: dict[str, str], *, status: int = 200) -> Response:
    half, _ = visit.door.staff.half_way(cookies.half_of(visit))
    return visit.page(
        "staff/first-factor.html.j2", title=visit.t("Set up your second step"), status=status, has_errors=bool(errors),
        errors=errors, onward=lambda path: url(onward(visit, path)), **app_values(visit, member, half.secret),
        passkey_options=to_add(visit, member),
    )  # fmt: skip


def app_values(visit: Visit, member: Member, secret: str) -> dict[str, str]:
    """Return what a page needs to show *secret* to an authenticator app: a picture, and groups to type."""
    # The app may copy its labels to an account elsewhere, so they name neither the member nor the agency.
    address = second_factor.address(secret, member.number, visit.t("Referrals"))
    groups = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
    return {"picture": second_factor.picture(address), "secret": groups}


@routes.get("/sign-in/second-factor", may="anybody")
async def ask_factor(visit: Visit) -> Response:
    """Show how to set up a second factor."""
    member = _half(visit, "factor")
    return _again(visit) if member is None else _factor(visit, member, {})


@routes.post("/sign-in/second-factor", may="anybody")
async def set_factor(visit: Visit) -> Response:
    """Take the first code of an app, or a first passkey, and show the recovery codes once."""
    form, member, staff = await visit.form(), _half(visit, "factor"), visit.door.staff
    if member is None:
        return _again(visit)
    value, request = cookies.half_of(visit), visit.request
    try:
        if answer := form["passkey"]:
            host, origin = cookies.host_of(request), cookies.origin_of(request)
            cookie, codes = await staff.with_first_passkey(value, answer, host, origin)
        else:
            cookie, codes = await staff.with_first_code(value, form["code"][:64])
    except NotSignedIn as refused:
        if refused.reason == "over":
            return _again(visit)
        field = "code" if refused.reason == "code_wrong" else "passkey-button"
        return _factor(visit, member, {field: said(visit.t, refused.reason)}, status=422)
    return cookies.begin(visit, recovery_codes(visit, codes, back_of(visit)), cookie)


def recovery_codes(visit: Visit, codes: tuple[str, ...], onward: str) -> Response:
    """Return the page that shows recovery *codes* once, and leads *onward*."""
    return visit.page(
        "staff/recovery-codes.html.j2", title=visit.t("Keep your recovery codes"), codes=codes, onward=url(onward)
    )


def _is_kept(request: Request, path: str) -> bool:
    """Return whether *request* has a form that is kept for its sender; one with a file is not."""
    is_form = request.headers.get("content-type", "").partition(";")[0].strip().lower() == _URLENCODED
    return request.method == "POST" and is_form and not path.startswith(_NEVER_KEPT)


def is_of_script(request: Request) -> bool:
    """Return whether a script of a page sent *request*: nobody sees a page in answer to it."""
    return cookies.is_by_itself(request) or (request.method == "POST" and request.url.path.endswith(_SAVES))


async def lead_in(visit: Visit) -> Response:
    """Lead somebody without a session to the sign-in, and back afterwards; a form that came late is kept for its sender."""
    request, late = visit.request, visit.door.staff.late
    value, path = cookies.value_of(request, cookies.name_at(visit.door)), request.url.path.removeprefix(ROOT)
    if is_of_script(request):
        return Response(status_code=401)
    before = visit.door.staff.sessions.last(value) if value else None
    if before is not None and _is_kept(request, path):
        with suppress(FormTooLarge):  # the page before has it still, and the sign-in leads back there
            late.put(before.member, path, (await visit.form()).pairs)
    query = {"over": "1"} if value else {}
    if cookies.is_place(visit.back) and visit.back != "/":
        query["back"] = visit.back
    return visit.see(f"/sign-in?{urlencode(query)}" if query else "/sign-in")


def _failed(visit: Visit, failed: ProviderFailed, status: int) -> Response:
    """Return the sign-in with why the provider signed nobody in; with *status* unless too many sign in at once."""
    if isinstance(failed, TooManyAtOnce):
        many = visit.t("Too many people sign in at this moment. Wait a minute, and try again.")
        return _first(visit, {"provider": many}, status=429)
    other = visit.t("The agency's own sign-in did not answer, or its answer did not fit. Try again.")
    return _first(visit, {"provider": other}, status=status)


@routes.get("/sign-in/provider", may="anybody")
async def to_provider(visit: Visit) -> Response:
    """Lead to the agency's own sign-in."""
    elsewhere = visit.door.staff.elsewhere
    if elsewhere is None:
        raise NotFound
    address = f"{cookies.origin_of(visit.request)}{url('/sign-in/provider/back')}"
    try:
        value, there = await elsewhere.begin(address, back_of(visit), cookies.client_of(visit.request))
    except ProviderFailed as failed:
        return _failed(visit, failed, 503)
    return cookies.begin_elsewhere(visit, RedirectResponse(there, 303), value)


@routes.get("/sign-in/provider/back", may="anybody")
async def from_provider(visit: Visit) -> Response:
    """Take what the agency's sign-in says of somebody, and begin a session."""
    staff, query = visit.door.staff, visit.request.query_params
    if staff.elsewhere is None:
        raise NotFound
    try:
        subject, page = await staff.elsewhere.subject(
            cookies.elsewhere_of(visit), query.get("state", "")[:64], query.get("code", "")[:2048],
            cookies.client_of(visit.request),
        )  # fmt: skip
        value = await staff.with_subject(subject)
    except ProviderFailed as failed:
        return _failed(visit, failed, 422)
    except NotSignedIn:
        unknown = visit.t("Your agency's account belongs to nobody here. Ask your agency's administrator.")
        return _first(visit, {"provider": unknown}, status=422)
    return cookies.begin(visit, visit.see(page), value)


@routes.post("/sign-out", may="anybody")
async def sign_out(visit: Visit) -> Response:
    """End this session."""
    session = visit.session
    if session is not None:
        await visit.door.staff.sessions.end(session)
    return cookies.end(visit, visit.see("/sign-in?out=1"))
