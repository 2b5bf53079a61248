"""The supervisor's pages: what is overdue, by colleague, and who opened what for which purpose in all cases."""

from typing import Any, Final, get_args
from urllib.parse import urlencode

from sqlalchemy import Row, select
from starlette.responses import Response

from nrmbus.desk.http import views
from nrmbus.desk.http.scopes import LOCAL
from nrmbus.desk.intake import PURPOSE
from nrmbus.desk.letters.letters import DESK
from nrmbus.desk.staff.permissions import ROLES, Permission
from nrmbus.desk.store import tables
from nrmbus.desk.web.shell import Pages, Visit, url
from nrmbus.desk.web.staff.account import moment_of, role_names
from nrmbus.desk.web.staff.systems import said_scopes
from nrmbus.desk.web.work.item import Item
from nrmbus.desk.web.work.known import known_of
from nrmbus.desk.web.work.rows import rows_of

routes: Final = Pages()

PAGE: Final = 50
CHANGES: Final = 100
"""Changes of the staff and of tokens on one page."""
_READS, _CHANGES = tables.reads.c, tables.staff_changes.c


@routes.get("/readings", may="see_reads")
async def readings(visit: Visit) -> Response:
    """List readings, the newest first: all, or those of one colleague."""
    return _readings(visit, visit.asked("who", 16))


@routes.post("/readings", may="see_reads")
async def in_another_language(visit: Visit) -> Response:
    """Show the same list in another language, with the colleague who was chosen and not asked for yet."""
    return _readings(visit, (await visit.form())["who"])


def _readings(visit: Visit, chosen: str) -> Response:
    """Show a page of readings; what was handed on, and what an earlier ledger had recorded, stands among them by its time."""
    t, members = visit.t, visit.door.staff.members
    who, before = visit.asked("who", 16), visit.asked("before", 18)
    changed_before = visit.asked("changed_before", 18)
    wanted = select(tables.reads).where(_READS.who != DESK).order_by(_READS.id.desc()).limit(PAGE + 1)
    if who:
        wanted = wanted.where(_READS.who == who)
    if before.isdecimal():
        wanted = wanted.where(_READS.id < int(before))
    with visit.door.ledger.read() as tx:
        found = list(tx.execute(wanted).all())
        readers = set(tx.scalars(select(_READS.who).where(_READS.who != DESK).distinct()))
        others = [
            *views.lost_reads(tx, visit.door.seat.me), *views.granted(tx, visit.door.seat.me, letters=False),
        ]  # fmt: skip
        until = tx.scalar(select(_READS.at).where(_READS.id == int(before))) if before.isdecimal() else None
    more = str(found[PAGE - 1].id) if len(found) > PAGE else ""
    since = found[PAGE - 1].at if more else ""
    here = [
        each
        for each in others
        if who in ("", each["who"]) and since <= each["at"] and (until is None or each["at"] < until)
    ]
    shown = [*({"case": row.subject, **views.read(row)} for row in found[:PAGE]), *here]
    rows: list[dict[str, Any]] = [
        {
            "case": None if told["purpose"] == PURPOSE else told["case"], "when": moment_of(visit, told["at"]), "iso": told["at"],
            "who": members.name_of(told["who"]), "what": t.capital(t.code("part", told["part"]) if "part" in told else t.code("access", told["what"])),
            "purpose": t.capital(t.code("purpose", told["purpose"])),
            "system": told.get("system", "") if told.get("system") != "/app" else "",
        }
        for told in sorted(shown, key=lambda each: str(each["at"]), reverse=True)
    ]  # fmt: skip
    names = [(each, members.name_of(each)) for each in sorted(readers.union(each["who"] for each in others))]
    changes, more_changes = _changes(visit, changed_before) if not (who or before) else (None, "")
    return visit.page(
        "staff/readings.html.j2", title=t("Who read what"), rows=rows, names=names, chosen=chosen, who=who, more=more,
        changes=changes, more_changes=more_changes, keeps=_here(visit),
    )  # fmt: skip


def _here(visit: Visit) -> str:
    """Return the address of the list that is shown, without the language."""
    query = urlencode([(name, value) for name, value in visit.request.query_params.items() if name != "lang"])
    return f"{url('/readings')}?{query}"


def _changes(visit: Visit, before: str) -> tuple[list[dict[str, str]], str]:
    """Return a page of who was given access by whom, the newest first, and where the next page begins.

    An administrator alone decides on access, so others must see it.
    """
    t, members = visit.t, visit.door.staff.members
    wanted = select(tables.staff_changes).order_by(_CHANGES.id.desc()).limit(CHANGES + 1)
    if before.isdecimal():
        wanted = wanted.where(_CHANGES.id < int(before))
    with visit.door.ledger.read() as tx:
        found = tx.execute(wanted).all()
    more = str(found[CHANGES - 1].id) if len(found) > CHANGES else ""
    said = {
        "added": t("was added"),
        "roles": t("got other roles"),
        "reset": t("had the sign-in reset"),
        "removed": t("was removed"),
        "token added": t("got a token"),
        "token removed": t("had its token revoked"),
    }

    def changed(row: Row[Any]) -> tuple[str, str]:
        """Return who or what was changed, and what it may do now; a token's name is never looked up among the members."""
        may = row.roles.split()
        if row.what == "token added":
            return t("the system {name}", name=row.member), said_scopes(t, may)
        if row.what == "token removed":
            return t("the system {name}", name=row.member), ""
        return members.name_of(row.member), role_names(visit, tuple(each for each in ROLES if each in may))

    def by(who: str) -> str:
        """Return who did it: a member, somebody at the desk's own machine, or a system with a token."""
        if members.find(who):
            return members.name_of(who)
        return t("on the desk’s machine") if who == LOCAL.name else t("the system {name}", name=who)

    rows = [
        {
            "when": moment_of(visit, row.at), "iso": row.at, "what": said[row.what],
            **dict(zip(("changed", "may"), changed(row), strict=True)),
            "who": by(row.who),
        }
        for row in found[:CHANGES]
    ]  # fmt: skip
    return rows, more


@routes.get("/colleagues", may="see_colleagues")
async def colleagues(visit: Visit) -> Response:
    """List what is overdue, by the colleague who has it; what nobody has comes first."""
    door, t = visit.door, visit.t
    snapshot = await known_of(door).fresh()
    late: dict[str, list[Item]] = {}
    for item in snapshot.items:
        if item.side == "ours" and item.is_late(visit.now):
            late.setdefault(snapshot.colleague(item), []).append(item)
    groups = []
    for number in sorted(late, key=lambda each: (each != "", -len(late[each]))):
        items = sorted(late[number], key=lambda each: each.due or visit.now)
        # Every permission: the row names the step that the colleague owes, whatever the supervisor may do.
        rows = rows_of(t, door, items, snapshot, visit.now, frozenset(get_args(Permission)))
        groups.append(
            {"name": door.staff.members.name_of(number) if number else t("Nobody has taken it"), "rows": list(rows)}
        )
    return visit.page(
        "staff/colleagues.html.j2", title=t("Overdue by colleague"), groups=groups, total=sum(map(len, late.values()))
    )
