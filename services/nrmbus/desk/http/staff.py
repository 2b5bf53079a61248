"""Routes of the agency's people: list, add, reset, remove. The administrator's pages do the same by the same functions."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import Path, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from nrmbus.desk.errors import DeskError
from nrmbus.desk.http import views
from nrmbus.desk.http.answers import InvitedMember, StaffList, StaffMember
from nrmbus.desk.http.documented import answers, subject
from nrmbus.desk.http.parameters import AfterText, Limit
from nrmbus.desk.http.request import read_as
from nrmbus.desk.http.scopes import LOCAL, SCOPES, Caller, ScopeName, caller_of
from nrmbus.desk.http.served import body_of, door_of, still_admitted
from nrmbus.desk.staff.members import Member, NewMember
from nrmbus.desk.staff.permissions import Permission, together
from nrmbus.desk.staff.staff import Still

routes: Final = subject("staff")

_ASKED: Final = {"name": "leyla", "roles": ["worker"], "language": "az"}
_MEMBER: Final = {
    "number": "482913", **_ASKED, "state": "active", "second_factor": ["code"], "example": False,
    "made": "2026-03-02T05:00:00Z", "signed_in": "2026-03-02T06:00:00Z",
}  # fmt: skip
_INVITED: Final = {
    "number": "482913", **_ASKED, "state": "invited", "once_ends": "2026-03-05T05:00:00Z", "second_factor": [],
    "example": False, "made": "2026-03-02T05:00:00Z", "password": "AN-EXAMPLE-AND-NONE",
}  # fmt: skip


class AskedMember(NewMember):
    """A member as a program asks for one."""

    example_password: Annotated[
        str | None,
        Field(
            min_length=8, max_length=256,
            description="On a bus for playing: an invented member, who signs in with this password alone.",
        ),
    ] = None  # fmt: skip


_BODY: Final[dict[str, Any]] = {
    "required": True,
    "description": "The member that is wanted.",
    "content": {"application/json": {"schema": AskedMember.model_json_schema(), "example": _ASKED}},
}

NumberPath = Annotated[str, Path(pattern=r"^[0-9]{6}$", description="Number of a member.", examples=["482913"])]


_SCOPE: Final[Mapping[Permission, ScopeName]] = {
    "read_cases": "read", "open_letters": "open", "publish": "publish", "decide": "publish", "approve": "publish",
    "see_reads": "read", "see_colleagues": "read", "intake": "open",
    "manage_staff": "administer", "manage_tokens": "administer", "see_health": "administer",
}  # fmt: skip
"""Scope of a token that does what a member with the permission does."""
_UNENDING: Final[frozenset[Permission]] = frozenset(("manage_staff", "manage_tokens"))
"""Permissions by which a member makes members and tokens of every kind."""
_ENDS: Final = (
    "The account of a member who manages staff or systems has no end, and this token has one: add or reset the member with "
    "`nrmbus staff` on the desk's machine, or at a page."
)


def _require(caller: Caller, permissions: frozenset[Permission]) -> None:
    """Refuse a member's one-time password to a token that may do less than the member: its holder could sign in.

    Raises:
        DeskError: ``scope_missing`` if *caller* lacks a scope for one of *permissions*, or has an end that the account of
            whoever manages staff or systems has not.
    """
    wanted = {_SCOPE[each] for each in permissions}
    caller.require(*(each for each in SCOPES if each in wanted))
    if caller is not LOCAL and permissions & _UNENDING:
        raise DeskError("scope_missing", detail=_ENDS, safe={"scope": "administer"})


def shown(member: Member, password: str | None = None) -> dict[str, Any]:
    """Return *member* as an answer shows one, with a one-time *password* if there is one."""
    ways = {"code": member.has_code, "passkey": member.passkeys > 0, "provider": member.is_of_provider}
    more = {"once_ends": member.once_ends, "signed_in": member.signed_in, "password": password}
    return {
        "number": member.number, "name": member.name, "roles": list(member.roles), "language": member.language,
        "state": member.standing, "second_factor": [name for name, has in ways.items() if has],
        "example": member.is_example, "made": member.made,
        **{name: value for name, value in more.items() if value is not None},
    }  # fmt: skip


def _still(request: Request) -> Still:
    """Return whether the token of *request* holds still; it raises DeskError ``token_required``, which the door answers."""

    def still() -> bool:
        door_of(request).require_token(caller_of(request))
        return True

    return still


@routes.get(
    "/v1/staff",
    summary="List the staff",
    **answers(
        StaffList,
        {"staff": [_MEMBER], "next": "482913"},
        "unknown_field",
        needs=["administer"],
        said="A page of members, by number; those who have left too.",
    ),
)
async def list_staff(request: Request, after: AfterText = "", limit: Limit = 200) -> JSONResponse:
    """Return the agency's people with their names, which no other route has. Records nothing."""
    found = door_of(request).staff.members.page(after, limit + 1)
    return JSONResponse(views.page("staff", [shown(each) for each in found], limit, "number"))


@routes.post(
    "/v1/staff",
    summary="Add a member of staff",
    openapi_extra={"requestBody": _BODY},
    **answers(
        InvitedMember, _INVITED, "json_invalid", "json_duplicate", "too_large", "unknown_field", "member_exists",
        "staff_full", "not_a_play", needs=["administer"], said="The member, with a one-time password that nobody can show again.",
    ),
)  # fmt: skip
async def add_member(request: Request) -> JSONResponse:
    """Record a member under a random number, name and address sealed to the desk; the answer alone has the password.

    The member signs in with name and one-time password within three days, and then chooses a password and a second factor.
    The caller's own token needs each scope that the roles stand for; one with an end adds nobody who manages staff or systems.
    """
    asked, _ = read_as(AskedMember, await body_of(request))
    staff, by, still = door_of(request).staff, caller_of(request).name, _still(request)
    _require(caller_of(request), together(asked.roles, staff.settings.permissions))
    new = NewMember(**asked.model_dump(exclude={"example_password"}))
    if asked.example_password is not None:
        return JSONResponse(shown(await staff.add_example(new, by, asked.example_password)))
    return JSONResponse(shown(*await staff.add(new, by, still)))


@routes.post(
    "/v1/staff/{number}/reset",
    summary="Reset a member's sign-in",
    **answers(
        InvitedMember, _INVITED, "not_found", "unknown_field", needs=["administer"],
        said="The member, with a one-time password that nobody can show again.",
    ),
)  # fmt: skip
async def reset_member(request: Request, number: NumberPath) -> JSONResponse:
    """Record that password and second factors of a member are worth nothing; every session of the member ends.

    The caller's own token needs the same as to add the member.
    """
    staff, caller, holds = door_of(request).staff, caller_of(request), _still(request)

    def still() -> bool:  # within the transaction: the roles may have changed meanwhile
        _require(caller, staff.members.there(number).permissions)
        return holds()

    return JSONResponse(shown(*await staff.reset(number, caller.name, still)))


@routes.delete(
    "/v1/staff/{number}",
    summary="Remove a member of staff",
    **answers(
        StaffMember, {**_MEMBER, "state": "removed", "second_factor": []}, "not_found", "unknown_field",
        needs=["administer"], said="The member, who signs in no more.",
    ),
)  # fmt: skip
async def remove_member(request: Request, number: NumberPath) -> JSONResponse:
    """Record that a member has left: number and name stay, the rest is deleted, and every session of the member ends."""
    members, by = door_of(request).staff.members, caller_of(request).name
    return JSONResponse(shown(await members.remove(number, by, also=still_admitted(request))))
