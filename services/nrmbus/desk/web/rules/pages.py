"""Pages of the Rules: the profile that this desk judges by. They are about no case, so nothing of them is recorded."""

from typing import Final

from starlette.responses import Response

from nrmbus.desk.web.shell import NotFound, Pages, Visit, url
from nrmbus.rules.handbook.lookup import PAGE_WORDS, book, has_words, looked_up
from nrmbus.web.rules import title

routes: Final = Pages()


def link(name: str) -> str:
    """Return the address of the page about *name*."""
    return url(f"/rules/{name}")


@routes.get("/rules", may="member")
async def index(visit: Visit) -> Response:
    """Show the profile: the way of a case, the rules, the deadlines, the events."""
    shown = book(visit.door.seat.rules.profile)
    return visit.page(
        "rules/index.html.j2", title=visit.t("The Rules"), book=shown, words=PAGE_WORDS, link=link, known=has_words
    )


@routes.get("/rules/{name}", may="member")
async def one(visit: Visit) -> Response:
    """Show one rule, deadline, event or status."""
    found = looked_up(visit.door.seat.rules.profile, visit.path("name"))
    if found is None:
        raise NotFound
    name = title(visit.t, found.kind, found.name)
    return visit.page("rules/one.html.j2", title=name, found=found, words=PAGE_WORDS, link=link, known=has_words)
