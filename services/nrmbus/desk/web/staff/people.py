"""The administrator's pages about people: who works here, with which roles, and who is signed in."""

from typing import Any, Final

from pydantic import ValidationError
from starlette.responses import Response

from nrmbus.desk.errors import DeskError
from nrmbus.desk.staff.members import Member, NewMember
from nrmbus.desk.staff.permissions import PERMISSIONS, ROLES
from nrmbus.desk.web.shell import Pages, Visit, url
from nrmbus.desk.web.staff import cookies
from nrmbus.desk.web.staff.account import moment_of, role_names, session_row
from nrmbus.web.frame import LANGUAGE
from nrmbus.web.languages import LANGUAGES as NAMES
from nrmbus.web.words import Words

routes: Final = Pages()


def said_permissions(t: Words) -> dict[str, str]:
    """Return what each permission lets somebody do."""
    return {
        "read_cases": t("read cases"), "open_letters": t("open letters"), "publish": t("refer and answer"),
        "decide": t("decide"), "approve": t("sign as second person"), "see_reads": t("see who read what"),
        "see_colleagues": t("see what is overdue by colleague"), "intake": t("answer anonymous messages"),
        "manage_staff": t("manage the staff"), "manage_tokens": t("manage systems"), "see_health": t("see the state of the desk"),
    }  # fmt: skip


def said_standing(visit: Visit, member: Member) -> str:
    """Return whether *member* may sign in, and with what."""
    t = visit.t
    if member.standing == "removed":
        return t("Removed")
    if member.standing == "invited":
        return t("Invited; the one-time password is good until {moment}", moment=moment_of(visit, member.once_ends))
    ways = [
        *([t("Password alone (invented)")] if member.is_example else []), *([t("Authenticator app")] if member.has_code else []),
        *([t("Passkey")] if member.passkeys else []), *([t("The agency's account")] if member.is_of_provider else []),
    ]  # fmt: skip
    return ", ".join(ways) or t("Second step not set up yet")


def role_items(visit: Visit, chosen: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the roles as boxes, each with what it permits at this agency."""
    words, given = said_permissions(visit.t), visit.door.staff.settings.permissions
    return [
        {
            "value": role, "text": role_names(visit, (role,)), "checked": role in chosen,
            "hint": {"text": ", ".join(words[each] for each in PERMISSIONS if each in given[role])},
        }
        for role in ROLES
    ]  # fmt: skip


@routes.get("/staff", may="manage_staff")
async def everybody(visit: Visit) -> Response:
    """List the agency's people."""
    rows = [
        {
            "number": each.number, "name": each.name or visit.t("(name not readable)"), "roles": role_names(visit, each.roles),
            "standing": said_standing(visit, each), "signed_in": moment_of(visit, each.signed_in), "is_gone": each.standing == "removed",
        }
        for each in visit.door.staff.members.everybody()
    ]  # fmt: skip
    there = len(visit.door.staff.sessions.everybodys())
    return visit.page("staff/people.html.j2", title=visit.t("Staff"), rows=rows, sessions=there)


def _add(visit: Visit, errors: dict[str, str], values: dict[str, Any], *, status: int = 200) -> Response:
    return visit.page(
        "staff/add.html.j2", title=visit.t("Add a member of staff"), status=status, has_errors=bool(errors), errors=errors,
        values=values, roles=role_items(visit, tuple(values.get("roles", ()))), languages=NAMES,
        provider=visit.door.staff.settings.provider, keeps=url("/staff/add"),
    )  # fmt: skip


@routes.get("/staff/add", may="manage_staff")
async def ask_new(visit: Visit) -> Response:
    """Ask for name, roles and language of a new member."""
    return _add(visit, {}, {"language": visit.me.language})


@routes.post("/staff/add", may="manage_staff")
async def add(visit: Visit) -> Response:
    """Add a member, and show the one-time password once."""
    form, t = await visit.form(), visit.t
    values: dict[str, Any] = {
        "name": form["name"].strip(),
        "roles": tuple(form.all("roles")),
        "language": form["language"],
    }
    values |= {name: form[name].strip() for name in ("email", "subject") if form[name].strip()}
    if form["go"] == LANGUAGE:
        return _add(visit, {}, values)
    said = {
        "name": t("Enter a name of 2 to 64 characters, without / < > @."), "roles": t("Choose at least one role."),
        "language": t("Choose a language."), "email": t("Enter an e-mail address such as name@example.org, or leave it out."),
        "subject": t("Enter at most 255 characters, or leave it out."),
    }  # fmt: skip
    try:
        new = NewMember.model_validate(values)
    except ValidationError as wrong:
        return _add(
            visit, {str(each["loc"][0]): said[str(each["loc"][0])] for each in wrong.errors()}, values, status=422
        )
    try:
        member, once = await visit.door.staff.add(new, visit.me.number, visit.goes_on)
    except DeskError as error:
        if error.code == "unknown_field" and new.subject is None:
            wanted = t("Enter the subject: members sign in with the agency's account alone.")
            return _add(visit, {"subject": wanted}, values, status=422)
        if error.code == "staff_full":
            return _add(visit, {"name": t(error.sentence)}, values, status=error.status)
        if error.code != "member_exists":
            raise
        return _add(visit, {"name": t("A colleague has this name already. Choose another one.")}, values, status=422)
    return _once(visit, member, once, t("The member was added"))


def _once(visit: Visit, member: Member, once: str | None, title: str) -> Response:
    """Show the one-time password; without one only how the member signs in, under *title*."""
    return visit.page(
        "staff/once.html.j2", title=visit.t("Hand over the one-time password") if once else title,
        about=member, once=once, unknown=_unknown_elsewhere(visit.t, member), ends=moment_of(visit, member.once_ends), address=f"{cookies.origin_of(visit.request)}/",
    )  # fmt: skip


@routes.get("/staff/{number}", may="manage_staff")
async def one(visit: Visit) -> Response:
    """Show one member, and what can be changed."""
    staff = visit.door.staff
    member = staff.members.there(visit.path("number"))
    return _one(visit, member, {}, member.roles, member.email or "")


def _one(
    visit: Visit, member: Member, errors: dict[str, str], roles: tuple[str, ...], email: str, *, status: int = 200
) -> Response:
    staff = visit.door.staff
    return visit.page(
        "staff/member.html.j2", title=visit.t("A member of staff"), status=status, has_errors=bool(errors), errors=errors,
        about=member, standing=said_standing(visit, member), roles=role_items(visit, roles), email=email,
        signed_in=moment_of(visit, member.signed_in), made=moment_of(visit, member.made),
        sessions=[session_row(visit, each) for each in staff.sessions.of(member.number)],
        keeps=url(f"/staff/{member.number}"), is_saved=not errors and visit.asked("done") == "1",
    )  # fmt: skip


@routes.post("/staff/{number}", may="manage_staff")
async def change(visit: Visit) -> Response:
    """Give a member other roles, which ends the member's sessions, and another address for notices."""
    staff, form, t = visit.door.staff, await visit.form(), visit.t
    member = staff.members.there(visit.path("number"))
    wanted, email = tuple(each for each in ROLES if each in form.all("roles")), form["email"].strip()
    if form["go"] == LANGUAGE:
        return _one(visit, member, {}, wanted, email)
    errors = {}
    if not wanted:
        errors["roles"] = t("Choose at least one role.")
    elif member.number == visit.me.number and not set(wanted) <= set(member.roles):
        errors["roles"] = t("Nobody gives a role to themselves: ask another administrator.")
    if not _is_address(email):
        errors["email"] = t("Enter an e-mail address such as name@example.org, or leave it out.")
    if errors:
        return _one(visit, member, errors, wanted, email, status=422)
    changed = {"email": email or None} if email != (member.email or "") else None
    try:
        await staff.members.set_roles(
            member.number, wanted, visit.me.number, lambda _: visit.must_go_on(), sealed=changed
        )
    except DeskError as error:
        if error.code != "last_administrator":
            raise
        return _last_administrator(visit, member, wanted, email)
    return visit.see(f"/staff/{member.number}?done=1")


def _last_administrator(visit: Visit, member: Member, roles: tuple[str, ...], email: str) -> Response:
    """Return the page of *member*, who is needed to manage the staff, with what to do first."""
    said = visit.t("Nobody else manages the staff: give somebody else that role first.")
    return _one(visit, member, {"roles": said}, roles, email, status=409)


def _is_address(email: str) -> bool:
    """Return whether a member may have *email*; nobody needs one."""
    try:
        NewMember(name="any", roles=("worker",), email=email or None)
    except ValidationError:
        return False
    return True


def _unknown_elsewhere(t: Words, member: Member) -> str:
    """Return what to do about a *member* whom the agency's provider does not know; an empty text about any other."""
    if member.is_of_provider:
        return ""
    return t("Members sign in with the agency's account alone, and this member has no subject there: remove the member, and add the member again with the subject.")  # fmt: skip


def _sure(visit: Visit, member: Member, what: str) -> Response:
    t = visit.t
    reset = t(
        "Password, authenticator app, passkeys and recovery codes of this member are worth nothing afterwards, and every session ends."
    )
    staff = visit.door.staff
    once = (
        _unknown_elsewhere(t, member)
        if staff.gets_no_password(member)
        else t("You get a one-time password to hand over.")
    )
    title, said, button = {
        "reset": (
            t("Reset the sign-in?"),
            f"{reset} {once}".rstrip(),
            t("Reset the sign-in"),
        ),
        "remove": (
            t("Remove this member?"),
            t("The member signs in no more, and every session ends. Number and name stay, so that it is still known who read what. This cannot be undone."),
            t("Remove the member"),
        ),
    }[what]  # fmt: skip
    path = f"/staff/{member.number}/{what}"
    return visit.page("staff/sure.html.j2", title=title, about=member, said=said, button=button, path=path)


@routes.get("/staff/{number}/reset", may="manage_staff")
async def ask_reset(visit: Visit) -> Response:
    """Ask whether a member's sign-in is to be reset."""
    return _sure(visit, visit.door.staff.members.there(visit.path("number")), "reset")


@routes.post("/staff/{number}/reset", may="manage_staff")
async def reset(visit: Visit) -> Response:
    """Reset a member's sign-in, and show the one-time password once."""
    member, once = await visit.door.staff.reset(visit.path("number"), visit.me.number, visit.goes_on)
    return _once(visit, member, once, visit.t("A member of staff"))


@routes.get("/staff/{number}/remove", may="manage_staff")
async def ask_remove(visit: Visit) -> Response:
    """Ask whether a member is to be removed."""
    return _sure(visit, visit.door.staff.members.there(visit.path("number")), "remove")


@routes.post("/staff/{number}/remove", may="manage_staff")
async def remove(visit: Visit) -> Response:
    """Remove a member, unless nobody would be left who manages the staff."""
    members = visit.door.staff.members
    member = members.there(visit.path("number"))
    try:
        await members.remove(member.number, visit.me.number, keeps_one=True, also=lambda _: visit.must_go_on())
    except DeskError as error:
        if error.code != "last_administrator":
            raise
        return _last_administrator(visit, member, member.roles, member.email or "")
    return visit.see("/staff")


@routes.get("/sessions", may="manage_staff")
async def sessions(visit: Visit) -> Response:
    """List who is signed in."""
    rows = [session_row(visit, each) for each in visit.door.staff.sessions.everybodys()]
    return visit.page("staff/sessions.html.j2", title=visit.t("Who is signed in"), rows=rows)


@routes.post("/sessions/end", may="manage_staff")
async def end_session(visit: Visit) -> Response:
    """End one session of anybody."""
    await visit.door.staff.sessions.end_of(None, (await visit.form())["id"])
    return visit.see("/sessions")
