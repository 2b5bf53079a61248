"""Pages of the Rules: the profile in force, or an earlier or later one of this bus, under which other cases are. They are about no case, so nothing of them is recorded."""

from collections.abc import Callable
from typing import Final

from starlette.responses import Response

from nrmbus.desk.web.shell import NotFound, Pages, Visit, url
from nrmbus.rules.handbook.lookup import PAGE_WORDS, book, has_words, looked_up
from nrmbus.web.rules import title

routes: Final = Pages()


def link(name: str) -> str:
    """Return the address of the page about *name*."""
    return url(f"/rules/{name}")


def _chosen(visit: Visit) -> Callable[[str], str]:
    """Go by the profile of the address, one of this bus, instead of the one in force; return `link` within it."""
    name = visit.asked("profile", 40)
    found = next((each for each in visit.door.seat.rules.profiles if each.name == name), None)
    if found is None:
        return link
    visit.under(found)
    return lambda to: f"{link(to)}?profile={found.name}"


@routes.get("/rules", may="member")
async def index(visit: Visit) -> Response:
    """Show the profile: the way of a case, the rules, the deadlines, the events; and which others this bus has."""
    to = _chosen(visit)
    others = [each.name for each in visit.door.seat.rules.profiles if each is not visit.profile]
    return visit.page(
        "rules/index.html.j2", title=visit.t("The Rules"), book=book(visit.profile), words=PAGE_WORDS, link=to, known=has_words,
        others=[(name, url(f"/rules?profile={name}")) for name in others],
    )  # fmt: skip


@routes.get("/rules/{name}", may="member")
async def one(visit: Visit) -> Response:
    """Show one rule, deadline, event or status."""
    to = _chosen(visit)
    found = looked_up(visit.profile, visit.path("name"))
    if found is None:
        raise NotFound
    name = title(visit.t, found.kind, found.name)
    return visit.page("rules/one.html.j2", title=name, found=found, words=PAGE_WORDS, link=to, known=has_words)
