"""From a draft to the outbox: the requests that it becomes, the check before, and what became of them."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, Row, select

from nrmbus.desk.http import batches, views
from nrmbus.desk.http.checks import Checking
from nrmbus.desk.http.request import MOST_RECEIVERS
from nrmbus.desk.http.served import Door
from nrmbus.desk.outbox import drafts, refusals
from nrmbus.desk.outbox.drafts import Kept, Typed
from nrmbus.desk.state.steps import ref_of
from nrmbus.desk.store import tables
from nrmbus.desk.versions import FIRST, version_of
from nrmbus.desk.web.acts import around, form
from nrmbus.desk.web.acts.guide_questions import COUNTS, counts_of
from nrmbus.events.case import SignalRecorded
from nrmbus.events.model import Data
from nrmbus.events.payment import PaymentOrdered
from nrmbus.events.registry import data_type
from nrmbus.rules import View
from nrmbus.rules.references import ANSWERED_BY_REFERENCE
from nrmbus.wire import json as wire_json
from nrmbus.wire.ids import new_ref, said_by_itself

Body = dict[str, Any]

REF: Final = "ref"
"""Name in a draft of the reference of the record that its event opens."""
INCIDENT: Final = "incident"
"""Name in a draft of the incident that its case came out of."""

EITHER: Final[tuple[frozenset[str], ...]] = (
    frozenset({"referral.accepted", "referral.declined"}),
    frozenset({"referral.acknowledged"}),
    frozenset({"referral.completed"}),
    frozenset({"referral.revoked"}),
    frozenset({"handover.person_received"}),
    frozenset({"shelter.bed_offered", "shelter.bed_refused"}),
    frozenset({"shelter.admitted"}),
    frozenset({"stay.hold_confirmed"}),
    frozenset({"review.decided"}),
    frozenset({"payment.executed", "payment.failed"}),
)
"""Answers of which an agency gives one to the same record: of two people who answer, the second is told of the first."""

IN_WORDS: Final[Mapping[str, int]] = {
    "referral.info_requested": 2, "referral.accepted": 2, "referral.declined": 2, "shelter.bed_refused": 2,
}  # fmt: skip
"""Answers, and the version from which they have a letter: people write a sentence, whatever version the agency's system speaks."""

BEGIN: Final = ANSWERED_BY_REFERENCE | {PaymentOrdered.type}
"""Types that open a record, and get a reference of their own: an agency may have answered under an older one."""

CAUSE: Final = "cause"
"""Name in a request of the event that its event answers."""

_BY_CAUSE: Final = frozenset({"payment.executed", "payment.failed", PaymentOrdered.type})
"""Types about an order or a grant, which may have no reference: the id of its event says which of several is meant."""

OF_MORE_CODES: Final[Mapping[str, int]] = {"incident.opened": 2}
"""Types, and the version from which a list has the codes that people need."""

_OUTBOX, _EVENTS = tables.outbox.c, tables.events.c


@dataclass(frozen=True, slots=True)
class First:
    """The event by which a colleague, or the desk itself, has answered before."""

    id: str
    type: str
    actor: str
    time: str
    number: int | None


class AnsweredError(Exception):
    """Raised when the agency has answered this record already; *first* says how."""

    def __init__(self, first: First) -> None:
        """Name the first answer."""
        self.first = first
        super().__init__("the agency has answered this already")


def fresh(type: str, typed: Typed) -> Typed:
    """Return *typed* with a new reference, if an event of *type* opens a record."""
    return {**typed, REF: (new_ref(),)} if type in BEGIN else typed


def answers(view: View, type: str, ref: str | None) -> str | None:
    """Return *ref* if a step of *type* is about that record of *view*; None if the step opens a record of its own.

    The order of a payment is about the grant that it pays.
    """
    return ref if type not in BEGIN or (type == PaymentOrdered.type and ref in view.grants) else None


def model_of(door: Door, type: str) -> type[Data]:
    """Return the model of *type* in the version that the agency speaks, or in the first one that people can write with."""
    least = {**IN_WORDS, **OF_MORE_CODES}.get(type, FIRST)
    return data_type(type, max(version_of(door.desk.speaks, type), least))


def body_of(door: Door, draft: Kept, typed: Typed | None = None) -> Body:
    """Return the request that *draft* is, as `POST /v1/events` takes it."""
    model = model_of(door, draft.type)
    zone = door.seat.rules.profile_at(door.seat.now()).zone
    said = form.read(form.form_of(model), draft.typed if typed is None else typed, zone)
    _count(form.form_of(model), said)
    keyed: Body = {} if model.keyed_by == "agency" else {model.keyed_by: draft.subject}
    own = form.one(draft.typed, REF)
    # A draft of an earlier release has the reference that led to it, too.
    ref = own or draft.ref if draft.type in ANSWERED_BY_REFERENCE else draft.ref or own
    about = {}
    if draft.type in _BY_CAUSE and draft.ref and not ref_of(draft.ref):
        about[CAUSE], ref = draft.ref, own
    if ref and ref_of(ref):
        about["ref"] = ref
    if incident := form.one(draft.typed, INCIDENT):
        about[INCIDENT] = incident
    return {
        "type": model.type,
        "version": model.version,
        "id": draft.id,
        "actor": draft.owner,
        **keyed,
        **about,
        **said,
    }


def _count(of: form.Form, said: dict[str, Any]) -> None:
    """Fill in how many indicators of each kind a letter lists, where nobody typed a number: people would miscount."""
    letter = said.get(form.SEALED, {})
    counts = counts_of(each for each in letter.get("indicators", ()) if each.startswith("ILO-"))
    for field in of.fields:
        if counts and field.pointer in COUNTS:
            letter.setdefault(field.pointer.rpartition("/")[2], counts)


async def checked(door: Door, bodies: Iterable[Body]) -> list[dict[str, Any]]:
    """Return what would become of each of *bodies*, one after the other."""
    checking = Checking(door, door.desk.speaks)
    for each in bodies:
        await checking.take(dict(each))
    return checking.found


async def send(
    door: Door, draft: Kept, bodies: list[Body], look: Callable[[], None], begin: Callable[[Connection], None]
) -> Kept:
    """Put *bodies* into the outbox and note in *draft* that they are sent, in one transaction.

    *look* raises in that transaction if those who sign may no longer do so: until then the sender may have been removed.
    *begin* begins in it the drafts that follow from *draft*, which ends as soon as its events are registered.

    Raises:
        AnsweredError: the agency has answered the record of the draft before.
        LookupError: the draft is no longer as it was: it was sent, taken back or deleted.
        DeskError: as for a batch; whatever *look* raises.
    """
    seat = door.seat
    request = wire_json.dumps({"events": bodies})
    done: list[Kept] = []

    def within(tx: Connection) -> None:
        look()  # memory is up to date: a shared transaction changes no member and no session
        now = drafts.of(seat, tx, draft.id, draft.owner)
        if now is None or (now.state, now.version) != (draft.state, draft.version):
            raise LookupError
        if (first := answered(tx, draft)) is not None:
            raise AnsweredError(first)
        done.append(drafts.keep(seat, tx, replace(now, state="sent", request=request), seen=now.version))
        begin(tx)

    await batches.publish(door, bodies, door.desk.speaks, within)
    return done[0]


def answered(tx: Connection, draft: Kept) -> First | None:
    """Return the event by which this agency has answered the record of *draft* before; None if it has not.

    An agency that is asked again under the same reference answers again.
    """
    alike = next((each for each in EITHER if draft.type in each), None)
    if alike is None or draft.ref is None:
        return None
    asked = around.opening_of(tx, draft.type, draft.subject, draft.ref)
    since = 0 if asked is None else asked.number
    rows = select(tables.outbox).where(
        _OUTBOX.subject == draft.subject, _OUTBOX.type.in_(alike), _OUTBOX.id != draft.id
    )
    for row in tx.execute(rows.where(_OUTBOX.replaced_by.is_(None)).order_by(_OUTBOX.seq)).all():
        clear = json.loads(row.clear)
        is_later = row.verdict is None or (row.verdict == "registered" and row.number >= since)
        if draft.ref in (clear.get("referral"), clear.get("causationid")) and is_later:
            return First(row.id, row.type, clear["actor"], clear["time"], row.number)
    return None


def bodies_of(draft: Kept) -> list[Body]:
    """Return the requests that a person has confirmed for *draft*; none if nobody has."""
    return [] if draft.request is None else list(json.loads(draft.request)["events"])


def outcome(door: Door, tx: Connection, ids: Iterable[str]) -> list[dict[str, Any]]:
    """Return the state of each event of *ids*, and of the further ones that a consent with several receivers became."""
    seat, found = door.seat, list[dict[str, Any]]()
    for id in ids:
        subject = views.subject_of(tx, seat.me, id)
        said = views.said(tx, seat.me, subject, id) if subject else None
        turn = 0
        while said is not None and turn < MOST_RECEIVERS:
            found.append(refusals.told(seat, said))
            turn += 1
            said = views.said(tx, seat.me, subject or "", said_by_itself(seat.me, id, str(turn)))
    return found


def sent_with(door: Door, tx: Connection, id: str) -> list[dict[str, Any]]:
    """Return the state of the event *id*, and of those that the guide sent together with the signal that it is.

    The guide sends all its events in one transaction, in the name of one member.
    """
    own = row_of(tx, id)
    if own is None:
        return []
    if own.type != SignalRecorded.type:
        return outcome(door, tx, [id])
    rows = select(_OUTBOX.id, _OUTBOX.clear).where(
        _OUTBOX.subject == own.subject, _OUTBOX.made == own.made, _OUTBOX.origin == own.origin, _OUTBOX.replaced_by.is_(None)
    )  # fmt: skip
    actor = json.loads(own.clear)["actor"]
    ids = [row.id for row in tx.execute(rows.order_by(_OUTBOX.seq)) if json.loads(row.clear)["actor"] == actor]
    said = (views.said(tx, door.seat.me, own.subject, each) for each in ids)
    return [refusals.told(door.seat, each) for each in said if each is not None]


def verdict_of(found: list[dict[str, Any]]) -> str:
    """Return the one verdict of several events: pending as long as one is, else the worst."""
    verdicts = {each["verdict"] for each in found}
    return next((each for each in ("pending", "failed", "refused") if each in verdicts), "registered")


def row_of(tx: Connection, id: str) -> Row[Any] | None:
    """Return the row of the outbox of the event *id*, or None."""
    return tx.execute(select(tables.outbox).where(_OUTBOX.id == id).order_by(_OUTBOX.seq).limit(1)).first()


def request_in(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the members of *body* that a form has."""
    return {name: body[name] for name in (form.DATA, form.SEALED, "consent", "legal_basis", "time") if name in body}
