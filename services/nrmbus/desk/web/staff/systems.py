"""The administrator's pages about systems: the tokens by which they come through the door."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from starlette.responses import Response

from nrmbus.bus.wall_clock import wall_now
from nrmbus.desk.errors import DeskError
from nrmbus.desk.http.scopes import LOCAL, SCOPES
from nrmbus.desk.http.tokens import LONGEST, NewToken
from nrmbus.desk.web.shell import NotFound, Pages, Visit, url
from nrmbus.desk.web.staff.account import moment_of
from nrmbus.web.frame import LANGUAGE
from nrmbus.web.words import Words

routes: Final = Pages()

_MOST: Final = 1_000
_DAYS: Final = (30, 90, 180, 365)


def said_scope(t: Words, scope: str) -> str:
    """Return what *scope* lets a system do."""
    return {
        "publish": t("Publish events"), "read": t("Read without letters"), "open": t("Open letters"),
        "administer": t("Administer the desk"),
    }[scope]  # fmt: skip


def said_scopes(t: Words, scopes: Iterable[str]) -> str:
    """Return what *scopes* let a system do."""
    return ", ".join(said_scope(t, each) for each in scopes) or t("Health and metrics alone")


def _row(visit: Visit, token: dict[str, Any]) -> dict[str, Any]:
    t = visit.t
    states = {"valid": t("valid"), "ended": t("ended"), "revoked": t("revoked")}
    return {
        "name": token["name"], "is_valid": token["state"] == "valid", "state": states[token["state"]],
        "scopes": said_scopes(t, token["scopes"]),
        "ends": moment_of(visit, token["ends"]), "used": token["used"], "last_used": moment_of(visit, token.get("last_used")),
        "made_by": visit.door.staff.members.name_of(token["made_by"]),
    }  # fmt: skip


@routes.get("/systems", may="manage_tokens")
async def systems(visit: Visit) -> Response:
    """List the tokens of the agency's systems; those that are worth something first."""
    found = [_row(visit, each) for each in visit.door.tokens.page("", _MOST)]
    rows = sorted(found, key=lambda each: not each["is_valid"])
    return visit.page("staff/systems.html.j2", title=visit.t("Systems of your agency"), rows=rows)


def _add(visit: Visit, errors: dict[str, str], values: dict[str, Any], *, status: int = 200) -> Response:
    t = visit.t
    scopes = [
        {"value": each, "text": said_scope(t, each), "checked": each in values.get("scopes", ())} for each in SCOPES
    ]
    days = [
        {"value": str(each), "text": t.length(timedelta(days=each)), "selected": str(each) == values.get("days", "90")}
        for each in _DAYS
    ]
    return visit.page(
        "staff/add-system.html.j2", title=t("Add a system"), status=status, has_errors=bool(errors), errors=errors,
        values=values, scopes=scopes, days=days, keeps=url("/systems/add"),
    )  # fmt: skip


@routes.get("/systems/add", may="manage_tokens")
async def ask_new(visit: Visit) -> Response:
    """Ask for name, scopes and end of a token."""
    return _add(visit, {}, {})


@routes.post("/systems/add", may="manage_tokens")
async def add(visit: Visit) -> Response:
    """Make a token, and show it once."""
    form, t = await visit.form(), visit.t
    values: dict[str, Any] = {"name": form["name"].strip(), "scopes": form.all("scopes"), "days": form["days"]}
    if form["go"] == LANGUAGE:
        return _add(visit, {}, values)
    days = next((each for each in _DAYS if str(each) == values["days"]), None)
    scopes = tuple(each for each in SCOPES if each in values["scopes"])
    errors = {} if days else {"days": t("Choose when the token ends.")}
    try:
        asked = NewToken(
            name=values["name"], scopes=scopes, ends=min(wall_now() + timedelta(days=days or 1), wall_now() + LONGEST)
        )
    except ValueError:
        asked, errors = (
            None,
            {"name": t("Enter a name of small letters, digits, - and _, not of digits alone."), **errors},
        )
    if errors or asked is None:
        return _add(visit, errors, values, status=422)
    try:
        made = await visit.door.tokens.add(asked, LOCAL, by=visit.me.number, also=lambda _: visit.must_go_on())
    except DeskError as error:
        if error.code != "token_exists":
            raise
        return _add(visit, {"name": t("A system has this name already. Revoke its token first, or choose another name.")}, values, status=422)  # fmt: skip
    return visit.page(
        "staff/token.html.j2", title=t("Give the token to the system"), token=made["token"], row=_row(visit, made)
    )


def _valid(visit: Visit) -> dict[str, Any]:
    name = visit.path("name")
    found = next((each for each in visit.door.tokens.page("", _MOST) if each["name"] == name), None)
    if found is None:
        raise NotFound
    return found


@routes.get("/systems/{name}/revoke", may="manage_tokens")
async def ask_revoke(visit: Visit) -> Response:
    """Ask whether a token is to be revoked."""
    return visit.page("staff/revoke.html.j2", title=visit.t("Revoke this token?"), row=_row(visit, _valid(visit)))


@routes.post("/systems/{name}/revoke", may="manage_tokens")
async def revoke(visit: Visit) -> Response:
    """End a token now."""
    await visit.door.tokens.revoke(_valid(visit)["name"], visit.me.number, lambda _: visit.must_go_on())
    return visit.see("/systems")
