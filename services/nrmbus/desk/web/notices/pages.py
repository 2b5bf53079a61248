"""Page of the account on which a member chooses when notices come by mail."""

from typing import Final

from starlette.responses import Response

from nrmbus.desk.staff.members import WHEN
from nrmbus.desk.web.shell import NotFound, Pages, Visit, url
from nrmbus.web.frame import LANGUAGE

routes: Final = Pages()


@routes.get("/account/notices", may="member")
async def ask(visit: Visit) -> Response:
    """Show when notices come, to which address, and what else there is to choose."""
    return _asked(visit, visit.door.staff.members.there(visit.me.number).notices)


def _asked(visit: Visit, chosen: str) -> Response:
    t, member = visit.t, visit.door.staff.members.there(visit.me.number)
    ways = [
        {"value": "at_once", "text": t("At once"), "hint": t("What happens at the same time comes as one mail.")},
        {"value": "daily", "text": t("Once a day"), "hint": t("At 8 in the morning, about what still waits then.")},
        {"value": "none", "text": t("Never", ctx="notices"), "hint": ""},
    ]
    return visit.page(
        "notices/notices.html.j2", title=t("Notices by e-mail"), about=member, ways=ways, chosen=chosen,
        has_mail=visit.door.has_mail, is_saved=visit.asked("done") == "1", keeps=url("/account/notices"),
    )  # fmt: skip


@routes.post("/account/notices", may="member")
async def choose(visit: Visit) -> Response:
    """Keep the member's choice."""
    form = await visit.form()
    wanted = form["notices"]
    if form["go"] == LANGUAGE:
        return _asked(visit, wanted)
    if wanted not in WHEN:
        raise NotFound
    await visit.door.staff.members.change(visit.me.number, notices=wanted)
    return visit.see("/account/notices?done=1")
