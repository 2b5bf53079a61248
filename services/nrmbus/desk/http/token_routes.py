"""Routes of the tokens: list, make, revoke."""

from typing import Annotated, Any, Final

from fastapi import Path, Request
from fastapi.responses import JSONResponse

from nrmbus.desk.http import views
from nrmbus.desk.http.answers import MadeToken, Token, TokenList
from nrmbus.desk.http.documented import answers, subject
from nrmbus.desk.http.parameters import AfterName, Limit
from nrmbus.desk.http.request import read_as
from nrmbus.desk.http.scopes import caller_of
from nrmbus.desk.http.served import body_of, door_of, still_admitted
from nrmbus.desk.http.tokens import NewToken

routes: Final = subject("tokens")

_ASKED: Final = {"name": "booking", "scopes": ["publish", "read"], "ends": "2026-05-31T05:00:00Z"}
_TOKEN: Final = {
    **_ASKED, "state": "valid", "made": "2026-03-02T05:00:00Z", "made_by": "door.json", "used": 12,
    "last_used": "2026-03-02T06:00:00Z",
}  # fmt: skip
_MADE: Final = {**_TOKEN, "used": 0, "token": "nrm_an-example-and-no-token"}
_BODY: Final[dict[str, Any]] = {
    "required": True,
    "description": "The token that is wanted.",
    "content": {"application/json": {"schema": NewToken.model_json_schema(), "example": _ASKED}},
}

TokenPath = Annotated[str, Path(description="Name of a token.")]


@routes.get(
    "/v1/tokens",
    summary="List the tokens",
    **answers(
        TokenList,
        {"tokens": [_TOKEN], "next": "booking"},
        "unknown_field",
        needs=["administer"],
        said="A page of tokens, by name; those that ended or were revoked too.",
    ),
)
async def list_tokens(request: Request, after: AfterName = "", limit: Limit = 200) -> JSONResponse:
    """Return the tokens of the agency's systems, with the uses of each, and never a token itself. Records nothing."""
    found = door_of(request).tokens.page(after, limit + 1)
    return JSONResponse(views.page("tokens", found, limit, "name"))


@routes.post(
    "/v1/tokens",
    summary="Make a token",
    openapi_extra={"requestBody": _BODY},
    **answers(
        MadeToken, _MADE, "json_invalid", "json_duplicate", "too_large", "unknown_field", "token_exists",
        needs=["administer"], said="The token, which nobody can show again.",
    ),
)  # fmt: skip
async def make_token(request: Request) -> JSONResponse:
    """Record a new token as a digest, with the name of the token that asked; the answer alone has the token.

    The caller's own token needs each of the scopes, and ends no earlier. A name whose token has ended is given again.
    """
    asked, _ = read_as(NewToken, await body_of(request))
    return JSONResponse(await door_of(request).tokens.add(asked, caller_of(request)))


@routes.delete(
    "/v1/tokens/{name}",
    summary="Revoke a token",
    **answers(Token, {**_TOKEN, "state": "revoked", "revoked": "2026-03-02T07:00:00Z"}, "not_found",
        needs=["administer"], said="The token, which no later request is allowed with."),
)  # fmt: skip
async def revoke_token(request: Request, name: TokenPath) -> JSONResponse:
    """Record that a token ends now. A token that was revoked before stays as it was."""
    by = caller_of(request).name
    return JSONResponse(await door_of(request).tokens.revoke(name, by, still_admitted(request)))
