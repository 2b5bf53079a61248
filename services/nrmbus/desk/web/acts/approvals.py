"""Approvals: where the Rules ask for two people, the second one reads what the first has written, and signs."""

from typing import Final

from starlette.responses import Response

from nrmbus.desk.outbox import drafts
from nrmbus.desk.outbox.drafts import Kept
from nrmbus.desk.web.acts import around, sending
from nrmbus.desk.web.acts.editing import finish, moment_of, sections_of
from nrmbus.desk.web.shell import NotFound, Pages, Visit

routes: Final = Pages()


@routes.get("/approvals", may="approve")
async def waiting(visit: Visit) -> Response:
    """List what waits for a second signature."""
    with visit.door.ledger.read() as tx:
        found = drafts.listed(visit.door.seat, tx, state="waits")
    rows = [
        {"id": each.id, "type": each.type, "who": around.staff_name(visit, each.owner), "since": moment_of(visit, each.changed),
         "is_own": each.owner == visit.me.number}
        for each in reversed(found)
    ]  # fmt: skip
    return visit.page("acts/approvals.html.j2", title=visit.t("Approvals"), rows=rows)


@routes.get("/approvals/{id}", may="approve")
async def read(visit: Visit) -> Response:
    """Show what a colleague asks to be signed."""
    return await _shown(visit, _waiting(visit))


@routes.post("/approvals/{id}/sign", may="approve")
async def sign(visit: Visit) -> Response:
    """Sign as the second person, and send."""
    draft = _waiting(visit)
    bodies = [{**each, "approver": visit.me.number} for each in sending.bodies_of(draft)]
    found = await sending.checked(visit.door, bodies)
    refused = next((each for each in found if each["verdict"] == "refused"), None)
    if refused is not None:
        return await _shown(visit, draft, refused)
    return await finish(visit, draft, bodies)


@routes.post("/approvals/{id}/back", may="approve")
async def back(visit: Visit) -> Response:
    """Give the draft back to its owner, unsigned."""
    draft = _waiting(visit)
    async with visit.door.ledger.write() as tx:
        drafts.take_back(visit.door.seat, tx, draft)
    return visit.see("/approvals")


def _waiting(visit: Visit) -> Kept:
    """Return the draft that waits for somebody else than its owner. Raises NotFound."""
    with visit.door.ledger.read() as tx:
        found = drafts.of(visit.door.seat, tx, visit.path("id"))
    if found is None or found.state != "waits" or found.owner == visit.me.number:
        raise NotFound
    return found


async def _shown(visit: Visit, draft: Kept, refusal: dict[str, object] | None = None) -> Response:
    with visit.door.ledger.read() as tx:
        case = around.case_of(visit, tx, draft.subject)
    return visit.page(
        "acts/approve.html.j2", cited=around.cited, title=visit.t.code("act", draft.type), status=200 if refusal is None else 409, draft=draft,
        who=around.staff_name(visit, draft.owner), since=moment_of(visit, draft.changed), refusal=refusal, has_errors=refusal is not None,
        sections=sections_of(visit, case, sending.bodies_of(draft)), case=case,
    )  # fmt: skip
