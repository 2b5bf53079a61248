"""Scopes of the door: what a caller may do, and how a route declares the scope that it needs.

The middleware that checks the token puts a `Caller` into the request's scope. Each route has `needs` among its
dependencies, which refuses a caller without the scope and names the scope in OpenAPI.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from fastapi import Security
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection, Request
from starlette.types import Scope

from nrmbus.desk.errors import DeskError

ScopeName = Literal["publish", "read", "open", "administer"]
SCOPES: Final[tuple[ScopeName, ...]] = get_args(ScopeName)
"""``publish`` events and act on tasks, ``read`` without letters, ``open`` letters and hand cases on, ``administer`` the desk."""

_KEY: Final = "nrmbus.caller"


@dataclass(frozen=True, slots=True)
class Caller:
    """The program behind a request: the name of its token, and what the token permits."""

    name: str
    scopes: frozenset[ScopeName]
    a_minute: int | None = None
    """Requests a minute that it may send; None: without a limit."""

    def require(self, *scopes: ScopeName) -> None:
        """Raise DeskError ``scope_missing`` with the first of *scopes* that this caller lacks."""
        for scope in scopes:
            if scope not in self.scopes:
                raise DeskError("scope_missing", safe={"scope": scope})


LOCAL: Final = Caller("door.json", frozenset(SCOPES))
"""A program that read the token in ``door.json``, as only the agency's own account can: it may do everything."""


VISITOR: Final = Caller("", frozenset(), a_minute=600)
"""A browser of this machine that reads the page of the door's document, and nothing else."""


def admit(scope: Scope, caller: Caller) -> None:
    """Put *caller* into the *scope* of a request."""
    scope[_KEY] = caller


def caller_of(request: HTTPConnection) -> Caller:
    """Return the caller of *request*; the middleware has checked its token."""
    found = request.scope[_KEY]
    assert isinstance(found, Caller)  # noqa: S101 - for mypy: a scope's values have no types
    return found


class Needs(SecurityBase):
    """Dependency of a route on scopes of the caller's token; OpenAPI shows all of them as one scheme."""

    def __init__(self, scopes: tuple[ScopeName, ...]) -> None:
        self.model = HTTPBearer(description="The token of `door.json`, or a token that `nrmbus token add` printed.")
        self.scheme_name = "token"
        self.scopes = scopes

    async def __call__(self, request: Request) -> None:
        """Raise DeskError ``scope_missing`` if the caller of *request* lacks a scope."""
        caller_of(request).require(*self.scopes)


def needs(*scopes: ScopeName) -> Any:
    """Return the dependency of a route on all of *scopes*; without any, every token will do.

    `documented.answers` puts it among the route's arguments.
    """
    return Security(Needs(scopes), scopes=scopes)
