"""Receiving a referral: who asks for what, until when, what is missing to decide, and the answers that are open."""

import json
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, Row, select
from starlette.responses import Response

from nrmbus.desk.letters import letters
from nrmbus.desk.state.cases import event_of
from nrmbus.desk.store import tables
from nrmbus.desk.web.acts import around
from nrmbus.desk.web.acts.editing import moment_of
from nrmbus.desk.web.acts.told import asked
from nrmbus.desk.web.shell import NotFound, Pages, Visit
from nrmbus.desk.web.work.kinds import LODGING
from nrmbus.events.model import Event
from nrmbus.events.referral import ReferralSubmitted
from nrmbus.events.shelter import BedOffered
from nrmbus.rules.records import Party, Referral

routes: Final = Pages()

_NOT_OURS: Final = frozenset({"G-04"})
"""Rules by which a step is the other side's: it is no answer that is closed."""
_TURNS: Final = (
    "referral.acknowledged", "referral.accepted", "handover.person_received", "referral.info_requested", "referral.declined",
)  # fmt: skip
_EVENTS, _READS = tables.events.c, tables.reads.c


@routes.get("/cases/{case}/referrals/{ref}", may="read_cases")
async def show(visit: Visit) -> Response:
    """Show a referral to the people who answer it. No letter is opened."""
    subject, ref, me = visit.path("case"), visit.path("ref"), visit.door.seat.me
    with visit.door.ledger.read() as tx:
        case = around.known_case(visit, tx, subject)
        referral, row = case.view.referrals.get(ref), around.opening_of(tx, ReferralSubmitted.type, subject, ref)
        event = None if row is None else event_of(row)
        if referral is None or row is None or event is None or event.type != ReferralSubmitted.type:
            raise NotFound
        if me not in (referral.sender, *event.data.recipients):
            raise NotFound
        is_read, about = _is_read(tx, row), around.case_in_words(visit, tx, subject)
    party = referral.party(me)
    is_open = party is not None and party.state == "submitted"
    missing = [*_missing(visit, row, referral, is_read=is_read), *_bed(visit, case, event)] if is_open else []
    now, later = around.choices_of(visit, case) if case.is_whole else ([], [])
    mine = [each for each in case.clocks if each.answerable == me and each.ref == ref and each.due is not None]
    return visit.page(
        "acts/referral.html.j2", title=visit.t("Answer a referral") if is_open else visit.t.type(event.type), case=case, about=about, said=asked(visit, event),
        sender=around.name_of(visit, referral.sender), registered=moment_of(visit, row.registered),
        due=min(mine, key=lambda each: each.due or visit.now, default=None), missing=missing,
        letter=row.id, may_read="open_letters" in visit.me.permissions and bool(json.loads(row.parts)) and not row.shut,
        states=[(around.name_of(visit, each.agency), _state(visit, each)) for each in referral.receivers],
        open_now=sorted((each for each in now if each.ref == ref and each.type != around.COPY), key=_place), later=[each for each in later if each.ref == ref and each.rule not in _NOT_OURS],
        back_path=f"/cases/{subject}", copy=f"/cases/{subject}/referrals/{ref}/copy" if "open_letters" in visit.me.permissions else "",
    )  # fmt: skip


def _place(choice: around.Choice) -> tuple[bool, int]:
    """Return the place of an answer: the receipt first if it is due, a no last of the known ones."""
    is_known = choice.type in _TURNS
    is_extra = choice.type == "referral.acknowledged" and choice.due is None
    return is_extra, _TURNS.index(choice.type) if is_known else len(_TURNS)


def _is_read(tx: Connection, row: Row[Any]) -> bool:
    """Return whether somebody of this agency has opened the letter."""
    of_letter = (_READS.subject == row.subject) & (_READS.event == row.id) & (_READS.who != letters.DESK)
    return tx.scalar(select(_READS.part).where(of_letter).limit(1)) is not None


def _missing(visit: Visit, row: Row[Any], referral: Referral, *, is_read: bool) -> list[str]:
    """Return what an answer would have to wait for, or what the reader should look at first."""
    t, me = visit.t, visit.door.seat.me
    came = set(json.loads(row.parts))
    party = referral.party(me)
    found = []
    if party is not None and party.state == "submitted" and not party.acknowledged:
        found.append(t("Nobody has confirmed yet that your agency received it."))
    if not came:
        found.append(t("No letter came with it: ask the sender for what you need."))
    elif row.shut:
        found.append(t("The letter stays closed here. The person may have withdrawn consent."))
    elif not is_read:
        found.append(t("Nobody here has opened the letter yet."))
    if came and not came & {"contact"}:
        found.append(t("The letter does not say how to reach the person safely."))
    if party is not None and party.asked:
        found.append(t("You asked for more, and the answer has not come yet. Your clock stands still until then."))
    return found


def _bed(visit: Visit, case: around.Case, event: Event) -> list[str]:
    """Return what a shelter should know of a referral for a place: no bed follows from it."""
    seat, services = visit.door.seat, event.data.to_mapping().get("services", ())
    codes = {each["code"] if isinstance(each, Mapping) else each for each in services}
    is_asked = any(bed.house(seat.me) is not None for bed in case.view.beds.values())
    if (
        is_asked
        or event.source == seat.me
        or not codes & LODGING
        or not seat.rules.may_publish(seat.me, BedOffered.type)
    ):
        return []
    return [
        visit.t("It asks for a place, and no bed is asked for yet. You offer a bed when the sender has asked for one.")
    ]


def _state(visit: Visit, party: Party) -> str:
    t = visit.t
    words = {
        "accepted": t("has accepted"), "completed": t("has completed it"), "declined": t("has declined"),
        "revoked": t("no longer asked"), "expired": t("did not answer in time"),
    }  # fmt: skip
    if party.state != "submitted":
        return words[party.state]
    return t("has received it, and has not answered") if party.acknowledged else t("has not answered")
