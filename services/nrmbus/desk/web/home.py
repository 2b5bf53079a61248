"""The first page."""

from typing import Final

from starlette.responses import Response

from nrmbus.desk.web.shell import Pages, Visit

routes: Final = Pages()


@routes.get("/", may="member")
async def home(visit: Visit) -> Response:
    """Lead to the first place of the member's navigation."""
    if there := visit.places():
        return visit.see(there[0].path)
    return visit.page("message.html.j2", title=visit.t("You are signed in."), sentence="")
