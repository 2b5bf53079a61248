"""Approvals: where the Rules ask for two people, the second one reads what the first has written, and signs."""

import json
from typing import Final

from sqlalchemy import Connection
from starlette.responses import Response

from nrmbus.desk.outbox import drafts
from nrmbus.desk.outbox.drafts import Kept
from nrmbus.desk.staff.permissions import Permitted, permission_for, permits
from nrmbus.desk.web.acts import around, sending
from nrmbus.desk.web.acts.editing import (
    CHECK,
    WHAT,
    finish,
    moment_of,
    part_of,
    sections_of,
    seen_of,
)
from nrmbus.desk.web.acts.form import DATA
from nrmbus.desk.web.own_acts import Changed
from nrmbus.desk.web.rooms import own_act
from nrmbus.desk.web.shell import Pages, Visit

routes: Final = Pages()


class _FirstIsVoid(Exception):
    """Raised where the owner of a draft may not do any more what it says."""


@routes.get("/approvals", may="approve")
async def waiting(visit: Visit) -> Response:
    """List what waits for a second signature."""
    with visit.door.ledger.read() as tx:
        found = drafts.listed(visit.door.seat, tx, state="waits")
        cases = {each.id: around.case_called(visit, tx, each.subject) for each in found}
    rows = [
        {"id": each.id, "type": each.type, "who": around.staff_name(visit, each.owner), "since": moment_of(visit, each.changed),
         "case": cases[each.id], "is_own": each.owner == visit.me.number}
        for each in reversed(found)
    ]  # fmt: skip
    return visit.page("acts/approvals.html.j2", title=visit.t("Approvals"), rows=rows)


@routes.get("/approvals/{id}", may="approve")
async def read(visit: Visit) -> Response:
    """Show what a colleague asks to be signed, or what became of it."""
    draft = _found(visit)
    return _became(visit) if draft is None else await _shown(visit, draft)


@routes.post("/approvals/{id}/sign", may="approve")
async def sign(visit: Visit) -> Response:
    """Sign as the second person, and send."""
    draft = _found(visit)
    if draft is None:
        return _became(visit)
    bodies = [{**each, "approver": visit.me.number} for each in sending.bodies_of(draft)]
    said, own = bodies[0][DATA], own_act(visit, draft.type)
    if not _first_counts(visit, draft):
        return await _shown(visit, draft)
    if (await visit.form())["seen"] != seen_of(visit, draft, said):
        return await _shown(visit, draft, passed=True)
    found = await sending.checked(visit.door, bodies)
    refused = next((each for each in found if each["verdict"] == "refused"), None)
    if refused is not None:
        return await _shown(visit, draft, refused)
    changed = await own.changed(visit, said) if own else None
    if changed is not None:
        return await _shown(visit, draft, changed=changed)

    def look() -> None:
        visit.must_go_on()
        if not _first_counts(visit, draft):
            raise _FirstIsVoid

    try:
        return await finish(visit, draft, bodies, look)
    except _FirstIsVoid:
        return await _shown(visit, draft)


@routes.post("/approvals/{id}/take", may="approve")
async def take(visit: Visit) -> Response:
    """Make a draft of its reader's own of what a colleague has written who may not do it any more; somebody else signs second."""
    draft = _found(visit)
    if draft is None:
        return _became(visit)
    if _first_counts(visit, draft) or not _may(visit.me, draft):
        return await _shown(visit, draft)
    made = None
    async with visit.door.ledger.write() as tx:
        visit.must_go_on()
        if _stands(visit, tx, draft):
            made = drafts.take_over(visit.door.seat, tx, draft, visit.me.number, WHAT)
    if made is None and (now := _found(visit)) is not None:
        return await _shown(visit, now, passed=True)
    return _became(visit)


@routes.post("/approvals/{id}/back", may="approve")
async def back(visit: Visit) -> Response:
    """Give the draft back to its owner, unsigned; destroy it if the owner has left. What does not wait is left as it is."""
    draft = _found(visit)
    if draft is None:  # a second click too: the answer is the same for a draft that nobody has
        return visit.see("/approvals")
    has_left = visit.door.staff.members.has_left(draft.owner)
    async with visit.door.ledger.write() as tx:
        visit.must_go_on()
        if has_left and _stands(visit, tx, draft):
            drafts.drop(tx, drafts.is_draft(draft.id))
        elif not has_left:
            drafts.take_back(visit.door.seat, tx, draft)
    return visit.see("/approvals")


def _may(member: Permitted, draft: Kept) -> bool:
    """Return whether *member* has the permission for every event of *draft*."""
    return all(permits(member, permission_for(str(body["type"]))) for body in sending.bodies_of(draft))


def _first_counts(visit: Visit, draft: Kept) -> bool:
    """Return whether the owner of *draft* may still do what it says: two people must be allowed to act when it is sent."""
    owner = visit.door.staff.members.find(draft.owner)
    return owner is not None and _may(owner, draft)


def _stands(visit: Visit, tx: Connection, draft: Kept) -> bool:
    """Return whether *draft* is within *tx* as it was read: nobody took it, changed it or sent it meanwhile."""
    now = drafts.of(visit.door.seat, tx, draft.id)
    return now is not None and (now.state, now.version) == (draft.state, draft.version)


def _found(visit: Visit) -> Kept | None:
    """Return the draft that waits for somebody else than its owner; None if none of this address does."""
    with visit.door.ledger.read() as tx:
        found = drafts.of(visit.door.seat, tx, visit.path("id"))
    return found if found is not None and found.state == "waits" and found.owner != visit.me.number else None


def _became(visit: Visit) -> Response:
    """Say what became of a draft that waits no longer, to those who could have signed it.

    The colleague who signed it or took it over is led to it each time; all others read who was first.
    """
    id = visit.path("id")
    with visit.door.ledger.read() as tx:
        row, own = sending.row_of(tx, id), drafts.of(visit.door.seat, tx, id, visit.me.number)
    if own is not None:
        return visit.see(f"/acts/{id}/sent")
    if row is not None:
        second = json.loads(row.clear).get("approver", "")
        if second in ("", visit.me.number):
            return visit.see(f"/acts/{id}/sent")
        title = visit.t("Signed already: {who}", who=around.staff_name(visit, second))
        sentence = visit.t("It was sent with both signatures. There is nothing left for you to do.")
        return _was_first(visit, title, sentence, f"/acts/{id}/sent")
    for each in visit.door.staff.members.everybody():
        if (found := _taken_by(visit, each.number)) is not None:
            return found
    sentence = visit.t("It was sent, given back, taken over or deleted, or it was never there.")
    return _was_first(visit, visit.t("This waits for no signature"), sentence, status=404)


def _taken_by(visit: Visit, number: str) -> Response | None:
    """Return where the draft is that the member *number* has taken over; None if that member has not."""
    id = drafts.taken_over(visit.path("id"), number)
    with visit.door.ledger.read() as tx:
        draft, is_sent = drafts.of(visit.door.seat, tx, id, number), sending.row_of(tx, id) is not None
    is_mine = number == visit.me.number
    if draft is None and not is_sent:
        return None
    if draft is not None and is_mine:
        return visit.see(f"/acts/{id}/{CHECK}")
    if is_sent or is_mine:
        return visit.see(f"/acts/{id}/sent")
    title = visit.t("Taken over already: {who}", who=around.staff_name(visit, number))
    if draft is not None and draft.state == "waits":
        return _was_first(visit, title, visit.t("It waits for a second signature again."), f"/approvals/{id}")
    sentence = visit.t(
        "It is your colleague’s own draft now. It is among the approvals again when they ask for a signature."
    )
    return _was_first(visit, title, sentence)


def _was_first(visit: Visit, title: str, sentence: str, leads: str = "", *, status: int = 0) -> Response:
    """Return the page that says who was first, and *leads* on if there is something to read."""
    usual = 200 if visit.request.method == "GET" else 409
    return visit.page("acts/was_first.html.j2", title=title, sentence=sentence, leads=leads, status=status or usual)


async def _shown(
    visit: Visit,
    draft: Kept,
    refusal: dict[str, object] | None = None,
    *,
    passed: bool = False,
    changed: Changed | None = None,
) -> Response:
    """Show what a colleague asks to be signed; *passed*: it is another text than the one that was read, *changed*: what no longer holds."""
    bodies = sending.bodies_of(draft)
    said = bodies[0][DATA]
    with visit.door.ledger.read() as tx:
        case, called = around.case_of(visit, tx, draft.subject), around.case_in_words(visit, tx, draft.subject)
    record = "" if draft.ref is None else around.record_of(visit, case.view, draft.ref)
    is_void = not _first_counts(visit, draft)
    is_new = refusal is None and changed is None and not passed and visit.request.method == "GET"
    return visit.page(
        "acts/approve.html.j2", cited=around.cited, title=visit.t.code("act", draft.type), status=200 if is_new else 409, draft=draft,
        who=around.staff_name(visit, draft.owner), since=moment_of(visit, draft.changed), refusal=refusal, has_errors=not is_new,
        sections=sections_of(visit, case, bodies), case=case, called=" · ".join(each for each in (called, record) if each), part=part_of(visit, draft, said), seen=seen_of(visit, draft, said),
        passed=passed, changed=changed, is_void=is_void, may_take=_may(visit.me, draft),
    )  # fmt: skip
