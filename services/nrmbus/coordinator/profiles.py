"""Pages on which two people of the Coordinator's office put another profile of the Rules in force.

The activation is an act as every other (desk/web/acts): this room fills in the name and the digest of the profile, and shows
what the profile changes, to the person who asks and to the second one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from markupsafe import Markup
from starlette.responses import Response

from nrmbus.coordinator.differing import Compared, compared
from nrmbus.desk.outbox import drafts
from nrmbus.desk.web.acts import around, form
from nrmbus.desk.web.acts.editing import WHAT
from nrmbus.desk.web.own_acts import Own, Said
from nrmbus.desk.web.shell import NotFound, Pages, Visit
from nrmbus.events import bulletin
from nrmbus.events.policy import ProfileActivated
from nrmbus.rules import load_profile, profile_names
from nrmbus.rules.dated import Activation

routes: Final = Pages()

TYPE: Final = ProfileActivated.type
_NAME, _DIGEST = "data.profile", "data.digest"


@dataclass(frozen=True, slots=True)
class _Known:
    """A profile that the software has."""

    name: str
    is_in_force: bool
    is_next: bool
    """True if it is the one that another profile would follow."""
    changes: int
    unverified: int


@routes.get("/profiles", may="member")
async def overview(visit: Visit) -> Response:
    """Show the profile in force, those that will be, and those that the software knows."""
    timeline, now = visit.door.seat.rules.timeline, visit.now
    with visit.door.ledger.read() as tx:
        found = [each for each in drafts.listed(visit.door.seat, tx) if each.type == TYPE]
    in_force, last = timeline.in_force(now), _last(visit)
    return visit.page(
        "coordinator/profiles.html.j2",
        title=visit.t("Rules in force"),
        in_force=in_force,
        since=next((visit.t.day(_day(visit, each)) for each in reversed(tuple(timeline)) if each.since <= now), ""),
        planned=[(each.profile, visit.t.day(_day(visit, each)), each.open_cases) for each in timeline if each.since > now],
        known=[_known(visit, name, in_force, last) for name in profile_names()],
        last=last,
        waits=[(each.id, form.one(each.typed, _NAME), around.staff_name(visit, each.owner), each.owner == visit.me.number)
               for each in found if each.state == "waits"],
        own=[(each.id, each.page, form.one(each.typed, _NAME)) for each in found if each.owner == visit.me.number and each.state == "open"],
        may_sign="approve" in visit.me.permissions,
    )  # fmt: skip


def _last(visit: Visit) -> str:
    """Return the profile that comes into force last, and that another one would follow."""
    timeline = visit.door.seat.rules.timeline
    return timeline.newest.profile if timeline.newest else timeline.first


def _day(visit: Visit, of: Activation) -> date:
    return of.since.astimezone(visit.t.zone).date()


def _known(visit: Visit, name: str, in_force: str, last: str) -> _Known:
    profile = load_profile(name)
    changes = compared(visit.t, load_profile(last), profile).count if name != last else 0
    return _Known(name, name == in_force, name == last, changes, len(profile.unverified))


@routes.get("/profiles/{name}", may="member")
async def one(visit: Visit) -> Response:
    """Show what a profile would change."""
    name, last = _asked(visit), _last(visit)
    return visit.page(
        "coordinator/profile.html.j2",
        title=visit.t("What {profile} changes", profile=name),
        name=name,
        last=last,
        found=_compared(visit, last, name),
        unverified=len(load_profile(name).unverified),
        may_ask=around.may_do(visit, TYPE) and name != last,
    )


@routes.post("/profiles/{name}/activate", may="publish")
async def begin(visit: Visit) -> Response:
    """Begin the member's draft of an activation, or go on with it."""
    name, seat = _asked(visit), visit.door.seat
    if not around.may_do(visit, TYPE):
        raise NotFound
    typed = {_NAME: (name,), _DIGEST: (load_profile(name).digest,)}
    async with visit.door.ledger.write() as tx:
        open_now = drafts.listed(seat, tx, owner=visit.me.number, state="open")
        there = next((each for each in open_now if each.type == TYPE and form.one(each.typed, _NAME) == name), None)
        if there is None:
            there = drafts.begin(
                seat, tx, owner=visit.me.number, type=TYPE, subject=bulletin.of(seat.me), ref=None, page=WHAT, typed=typed,
                is_another=True,
            )  # fmt: skip
    return visit.see(f"/acts/{there.id}/{WHAT}")


def _asked(visit: Visit) -> str:
    name = visit.path("name")
    if name not in profile_names():
        raise NotFound
    return name


def _compared(visit: Visit, before: str, after: str) -> Compared:
    return compared(visit.t, load_profile(before), load_profile(after))


# -- the act ---------------------------------------------------------------------------------------------------------------


def part(visit: Visit, said: Said) -> Markup:
    """Return what the activation in *said* changes, against the profile that it would follow."""
    name, last = said.get("profile", ""), _last(visit)
    return visit.part(
        "coordinator/activation.html.j2",
        name=name,
        last=last,
        day=visit.t.day(date.fromisoformat(said["valid_from"])) if "valid_from" in said else "",
        open_cases=said.get("open_cases", ""),
        found=_compared(visit, last, name) if name in profile_names() else None,
        is_another=name in profile_names() and load_profile(name).digest != said.get("digest"),
    )


def _follows(visit: Visit, _: Said) -> str:
    newest = visit.door.seat.rules.timeline.newest
    return newest.mark.id if newest else ""


def _about(_: Visit, said: Said) -> str:
    return str(said.get("profile", ""))


def _back(visit: Visit) -> str:
    return visit.t("Rules in force")


ACTS: Final[Mapping[str, Own]] = {
    TYPE: Own(
        begins="/profiles",
        back=_back,
        fixed=frozenset({_NAME, _DIGEST}),
        part=part,
        basis=_follows,
        about=_about,
    )
}
