"""Surroundings of an act on a page: the agencies that may be chosen, the readers of a letter, and the names of agencies."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, get_args

from sqlalchemy import Connection, Row, select

from nrmbus.desk.http.courses import is_known
from nrmbus.desk.outbox.readers import readers
from nrmbus.desk.staff.permissions import permission_for
from nrmbus.desk.state import beginnings, labels
from nrmbus.desk.state.bulletins import Standing, standings
from nrmbus.desk.state.open_duties import held_until
from nrmbus.desk.state.steps import Step, liftable, specimen, steps
from nrmbus.desk.store import tables
from nrmbus.desk.web.acts.fields import Choices, Option
from nrmbus.desk.web.acts.form import Field
from nrmbus.desk.web.called import SERVICES, called, is_service
from nrmbus.desk.web.shell import NotFound, Visit
from nrmbus.desk.web.work.kinds import ACTS, REFERRING, first_step
from nrmbus.desk.web.work.rows import SHORT
from nrmbus.directory.fold import State
from nrmbus.events.deadline import DeadlineLifted
from nrmbus.events.legal_basis import is_legal_basis
from nrmbus.events.model import Data, Part
from nrmbus.events.referral import ReferralInfoRequested, ReferralInfoSupplied
from nrmbus.events.registry import versions
from nrmbus.events.shelter import Admitted
from nrmbus.rules import View
from nrmbus.rules.clocks import Clock
from nrmbus.web.words import Words

_EVENTS = tables.events.c
_EVENT_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DECISION: Final = "/data/decision"
_NOT_ALLOWED: Final = "G-10"
_SELF_CONSENT: Final = "G-36"
_RECEIVERS: Final = "/data/receivers"
_NO_FORM: Final = frozenset({"access.resealed", "document.shared"})
"""Types without a form: a desk publishes the one by itself, and the other needs an upload."""
_OPENINGS: Final[Mapping[str, str]] = {
    "access": "access.break_glass", "handover": "referral.submitted", "justice": "justice.case_opened",
    "payment": "payment.ordered", "payment.ordered": "fund.compensation_granted", "referral": "referral.submitted",
    "review": "review.requested", "service": "service.requested", "shelter": "shelter.bed_requested",
    "stay": "stay.hold_requested",
}  # fmt: skip
"""First word of a type, or the whole type, and the type whose record such a step answers."""


@dataclass(frozen=True, slots=True)
class Case:
    """A case as this agency sees it."""

    subject: str
    view: View
    is_whole: bool
    """False if its beginning is gone after a loss: nothing is judged."""
    clocks: tuple[Clock, ...]


def today(visit: Visit) -> date:
    """Return the day in the profile's zone, by which a consent with a last day holds or not."""
    return visit.now.astimezone(visit.profile.zone).date()


def case_of(visit: Visit, tx: Connection, subject: str) -> Case:
    """Return the case *subject*; one that has no event yet is empty."""
    door = visit.door
    view = door.desk.cases.view(tx, subject)
    is_whole = not beginnings.is_incomplete(door.ledger, tx, subject)
    return Case(subject, view, is_whole, door.seat.rules.clocks(view, visit.now) if is_whole else ())


def known_case(visit: Visit, tx: Connection, subject: str) -> Case:
    """Return the case *subject*. Raises NotFound for one that this agency does not have."""
    if not is_known(tx, subject):
        raise NotFound
    return case_of(visit, tx, subject)


def case_called(visit: Visit, tx: Connection, subject: str) -> str:
    """Return the agency's own label of a case, else the beginning of its reference; empty for what is about no case of this desk."""
    return labels.of(visit.door.seat, tx, subject) or (subject[:SHORT] if is_known(tx, subject) else "")


def case_in_words(visit: Visit, tx: Connection, subject: str) -> str:
    """Return the same with the word for a case, as each page about a step has it above its heading."""
    called = case_called(visit, tx, subject)
    return visit.t("Case {reference}", reference=called) if called else ""


def opening_of(tx: Connection, type: str, subject: str, ref: str) -> Row[Any] | None:
    """Return the row of the event that opened the record *ref* which a step of *type* answers; None if this agency does not have it.

    Records of several kinds may share a reference, and an agency that is asked again may be asked under the same one: the
    newest event of the kind counts. If no event is of that kind, the first event of the reference does. An event without a
    reference of its own has its id as reference.
    """
    rows = select(tables.events).where(_EVENTS.subject == subject, (_EVENTS.referral == ref) | (_EVENTS.id == ref))
    opens = _OPENINGS.get(type) or _OPENINGS.get(type.partition(".")[0], "")
    newest = rows.where(_EVENTS.type == opens).order_by(_EVENTS.position.desc())
    return tx.execute(newest.limit(1)).first() or tx.execute(rows.order_by(_EVENTS.position).limit(1)).first()


def request_of(tx: Connection, type: str, subject: str, ref: str) -> Row[Any] | None:
    """Return the row of the event that a step of *type* answers in the record *ref*: the newest question of a receiver, else the one that opened the record."""
    if type != ReferralInfoSupplied.type:
        return opening_of(tx, type, subject, ref)
    of_record = (_EVENTS.subject == subject) & (_EVENTS.referral == ref)
    questions = of_record & (_EVENTS.type == ReferralInfoRequested.type)
    return tx.execute(select(tables.events).where(questions).order_by(_EVENTS.position.desc()).limit(1)).first()


def may_do(visit: Visit, type: str) -> bool:
    """Return whether the member may publish *type* for this agency."""
    seat = visit.door.seat
    found = versions(type).values()
    if type in _NO_FORM or all(each.technical for each in found) or not seat.rules.may_publish(seat.me, type):
        return False
    return permission_for(type) in visit.me.permissions


def name_of(visit: Visit, agency: str) -> str:
    """Return an agency's name with its role in words: the name by which people know it, or else its id."""
    entry, name = visit.door.seat.directory.entries.get(agency), called(visit.door, agency)
    if agency == visit.door.seat.me:
        return visit.t("{agency} (your agency)", agency=name)
    if entry and is_service(visit.door, agency):
        return visit.t.capital(visit.t.agency_role(entry.role))
    return f"{name} ({_inside(visit.t.agency_role(entry.role))})" if entry else agency


def _inside(words: str) -> str:
    """Return *words* as they stand within a sentence: without a capital, unless they begin with an abbreviation."""
    return words[:1].lower() + words[1:] if words[1:2].islower() else words


def staff_name(visit: Visit, number: str) -> str:
    """Return the name of a member of staff; what the number is, if the desk has no name for it."""
    found = visit.door.staff.members.name_of(number)
    return found if found != number else visit.t("member of staff {number}", number=number)


def names_of(visit: Visit, agencies: Iterable[str]) -> list[str]:
    """Return the names of *agencies*."""
    return [name_of(visit, each) for each in agencies]


def known_of(visit: Visit) -> Mapping[str, Standing]:
    """Return what is known of each agency before somebody turns to it."""
    with visit.door.ledger.read() as tx:
        return standings(tx, visit.door.desk.cases)


def standing_of(visit: Visit, agency: str, known: Mapping[str, Standing]) -> str:
    """Return an agency's name, with since when it does not read, and for whom it has places and since when it says so."""
    t, standing, found = visit.t, known.get(agency, Standing()), [name_of(visit, agency)]
    if standing.silent_since is not None:
        found.append(t("does not read what it is sent, since {moment}", moment=t.moment(standing.silent_since)))
    if standing.places and standing.places_at is not None:
        age = t.length(max(visit.now - standing.places_at, timedelta()))
        found.append(t("{places} (said {length} ago)", places=places_of(visit, standing), length=age))
    return " – ".join(found)


def places_of(visit: Visit, standing: Standing) -> str:
    """Return for whom an agency has places, in words; empty if it has not said so."""
    t = visit.t
    labels = {"women": t("women"), "children": t("children"), "men": t("men"), "support": t("help without a bed")}
    steps = {"free": t("places free"), "few": t("few places"), "none": t("no place")}
    return ", ".join(f"{labels[each]}: {steps[step]}" for each, step in standing.places.items())


class Names(Mapping[str, str]):
    """Names of agencies, roles and earlier events, as the answers of a form show them."""

    def __init__(self, visit: Visit, events: Mapping[str, str]) -> None:
        """Name *events* by their words, and agencies by their role."""
        self._visit, self._events = visit, events

    def __getitem__(self, name: str) -> str:
        """Return the words for *name*; the name itself if nothing is known of it."""
        if name in self._events:
            return self._events[name]
        if name in self._visit.door.seat.directory.entries:
            return name_of(self._visit, name)
        if _EVENT_ID.fullmatch(name):
            return self._visit.t("a record of another agency")
        return self._visit.t.capital(self._visit.t.agency_role(name))

    def __iter__(self) -> Any:
        """Iterate over the events."""
        return iter(self._events)

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self._events)


def _others(visit: Visit, *states: State) -> list[str]:
    """Return the other agencies, without services of the bus, that are in one of *states* now."""
    seat = visit.door.seat
    found = (agency for agency, entry in seat.directory.entries.items() if entry.role not in SERVICES)
    return sorted(each for each in found if each != seat.me and seat.directory.state(each, visit.now) in states)


def _is_stop(visit: Visit, case: Case, type: str) -> bool:
    """Return whether an event of *type* stops something."""
    row = visit.door.seat.rules.profile_for(case.view).types.get(type)
    return row is not None and row.stops


def _with_state(visit: Visit, agency: str) -> str:
    """Return an agency's name, and whether the agency is suspended or has left."""
    gone = {"suspended": visit.t("suspended"), "retired": visit.t("has left")}
    state = visit.door.seat.directory.state(agency, visit.now) or ""
    return " – ".join([name_of(visit, agency), *([gone[state]] if state in gone else [])])


def choices(visit: Visit, case: Case, data: type[Data], said: Mapping[str, Any], ref: str | None) -> Choices:
    """Return what may be chosen in a form of *data* in *case*, of which *said* is known so far."""
    seat = visit.door.seat

    def agencies(of: Field) -> list[Option]:
        if data.type == DeadlineLifted.type:
            return [
                (each, name_of(visit, each)) for each in sorted({late.answerable for late in liftable(seat, case.view)})
            ]
        if of.pointer == "/data/to":
            known = known_of(visit)
            return [(each, standing_of(visit, each, known)) for each in _others(visit, "admitted") if _may_get(each)]
        found = _others(visit, "admitted")
        if of.pointer == _RECEIVERS:
            # A suspended agency may be resumed: a consent that nobody could take back would cover it again.
            found = _others(visit, *get_args(State)) if _is_stop(visit, case, data.type) else found
            found = sorted((*found, *([seat.me] if _may_name_itself() else [])))
        return [(each, _with_state(visit, each)) for each in found]

    def _may_name_itself() -> bool:
        receivers = {**said, "receivers": [seat.me], "given_by": "individual"}
        event = specimen(seat, case.view, data, ref, receivers)
        return all(each.rule != _SELF_CONSENT for each in seat.rules.refusals(case.view, event, visit.now))

    def _may_get(agency: str) -> bool:
        event = specimen(seat, case.view, data, ref, {**said, "to": [agency]})
        return all(each.rule != _NOT_ALLOWED for each in seat.rules.refusals(case.view, event, visit.now))

    def roles() -> list[Option]:
        found = {entry.role for entry in seat.directory.entries.values()} - SERVICES
        words = sorted((visit.t.agency_role(role), role) for role in found)
        return [(role, visit.t("All: {role}", role=text)) for text, role in words]

    def events(of: Field) -> list[Option]:
        if of.kind == "event":
            return list(decisions_of(visit, case.view).items()) if of.pointer == _DECISION else []
        return list(papers_of(visit, case.view).items())

    def duties() -> list[Option]:
        codes = sorted({each.code for each in liftable(seat, case.view)})
        return [(each, visit.t.capital(visit.t.code("clock", each))) for each in codes]

    return Choices(agencies, roles, events, duties, visit.profile.calendar.country or "")


def decisions_of(visit: Visit, view: View) -> Mapping[str, str]:
    """Return the decisions that this desk knows, each by its id in words, the newest first."""
    found = reversed(list(view.decisions.items()))
    return {
        id: visit.t("from {agency}, {day}", agency=name_of(visit, each.mark.source), day=visit.t.day(each.mark.time))
        for id, each in found
    }


def papers_of(visit: Visit, view: View) -> Mapping[str, str]:
    """Return the consents and overrides that stand today and that others recorded, each by its id in words."""
    found, day = {}, today(visit)
    for (receiver, _), newest in view.consents.items():
        standing = newest.on(day)
        paper = view.papers.get(standing.id) if standing else None
        if standing and paper is not None and paper.grants and paper.source != visit.door.seat.me:
            found[standing.id] = visit.t("For {receiver}, recorded by {source}", receiver=receiver, source=paper.source)
    return found


def readers_of(
    visit: Visit, case: Case, data: type[Data], said: Mapping[str, Any], ref: str | None
) -> Mapping[Part, list[str]]:
    """Return who will be able to read each part of the letter, by name."""
    found = readers(visit.door.seat, case.view, data, said, ref)
    return {part: names_of(visit, agencies) for part, agencies in found.items()}


def cited(basis: str) -> str:
    """Return the laws in a *basis* of the Rules, without marks of sources; empty if no law is behind it."""
    laws = (each.partition("[")[0].strip() for each in basis.split(";"))
    return "; ".join(each for each in laws if each and not each.startswith("RULES.md"))


def basis_of(visit: Visit, type: str) -> str:
    """Return act and article by which the Rules have the type *type*; empty if no law that an event can name is behind it."""
    row = visit.profile.types.get(type)
    law = cited(row.basis).partition(";")[0] if row else ""
    return law if is_legal_basis(law) else ""


# -- steps -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Choice:
    """One step as a page shows it."""

    type: str
    ref: str | None
    about: str
    """The record that it answers, in words."""
    due: datetime | None
    is_late: bool
    title: str
    """The step in words."""
    code: str = ""
    rule: str = ""
    article: str = ""
    sentence: str = ""


def choices_of(visit: Visit, case: Case) -> tuple[list[Choice], list[Choice]]:
    """Return the steps that the member may take now, the most pressing first, and the others with the reason."""
    seat = visit.door.seat
    owed = [each for each in case.clocks if each.answerable == seat.me]
    ends = {
        code: {name for end in rule.ends_by for name in end.events}
        for code, rule in seat.rules.profile_for(case.view).clocks.items()
    }
    held = held_until(seat.rules.due(case.view)) if case.view.beds else {}
    now: list[Choice] = []
    later: list[Choice] = []
    for step in steps(seat, case.view):
        if not may_do(visit, step.data.type):
            continue
        due = _due(step, owed, ends, first_step(case.view))
        lapse = held.get((step.ref or "", seat.me)) if step.data is Admitted else None
        shown = _choice(visit, case, step, due.due if due else lapse, is_late=bool(due and due.breached))
        (now if step.refusal is None else later).append(shown)
    first = first_step(case.view)
    now.sort(
        key=lambda each: (
            each.type == COPY,
            each.due is None,
            each.due or visit.now,
            each.type != first,
            each.ref is None,
        )
    )
    return now, later


_SUBJECTS: Final[tuple[tuple[str, str], ...]] = (
    ("referral", "Referrals and answers"), ("handover", "Referrals and answers"), ("consent", "Consent"),
    ("safeguard", "Identification and protection"), ("identification", "Identification and protection"),
    ("recovery", "Identification and protection"), ("review", "Identification and protection"),
    ("shelter", "Shelter, services and money"), ("needs", "Shelter, services and money"),
    ("plan", "Shelter, services and money"), ("service", "Shelter, services and money"),
    ("payment", "Shelter, services and money"), ("fund", "Shelter, services and money"),
    ("stay", "Stay and return"), ("return", "Stay and return"), ("justice", "Proceedings"),
    ("case", "The case and its access"),
)  # fmt: skip
"""First word of a type, and the heading under which its step stands, in the order of a case. Others stand under the last one."""


def subject_of(type: str) -> str:
    """Return the heading under which *type* stands, as the key of its words in `subjects`."""
    return dict(_SUBJECTS).get(type.partition(".")[0], _SUBJECTS[-1][1])


def subjects(t: Words) -> dict[str, str]:
    """Return the headings in words, in the order of a case."""
    return {
        "Referrals and answers": t("Referrals and answers"), "Consent": t("Consent"),
        "Identification and protection": t("Identification and protection"),
        "Shelter, services and money": t("Shelter, services and money"), "Stay and return": t("Stay and return"),
        "Proceedings": t("Proceedings"), "The case and its access": t("The case and its access"),
    }  # fmt: skip


def by_subject(visit: Visit, found: Iterable[Choice]) -> list[tuple[str, list[Choice]]]:
    """Return the steps *found* under headings, in the order of a case: its closing is among the last."""
    titles = subjects(visit.t)
    groups: dict[str, list[Choice]] = {heading: [] for heading in titles}
    for each in found:
        groups[subject_of(each.type)].append(each)
    return [(titles[heading], steps) for heading, steps in groups.items() if steps]


COPY: Final = "case.copy_issued"
"""The person's own copy: its page records that it was given, so the form is the last of the steps."""
_OTHERWISE: Final = frozenset({"consent.refused", "case.signal_dismissed"})
"""Types that end a duty because it is none any more: nobody owes them."""


def _due(step: Step, owed: list[Clock], ends: Mapping[str, set[str]], first: str) -> Clock | None:
    """Return the duty of this agency that the step would end, or to whose end it is the next step."""
    type = step.data.type
    if type in _OTHERWISE:
        return None
    alike = [
        each
        for each in owed
        if (type in ends.get(each.code, ()) and (step.ref is None or each.ref in (None, step.ref)))
        or (type == ACTS.get(each.code) and each.ref == step.ref)
        or (each.code == REFERRING and type == first)
    ]
    return min(alike, key=lambda each: (each.due is None, each.due), default=None)


def _choice(visit: Visit, case: Case, step: Step, due: datetime | None, *, is_late: bool) -> Choice:
    refusal = step.refusal
    why = {} if refusal is None else {
        "code": refusal.code, "rule": refusal.rule, "article": cited(refusal.article), "sentence": refusal.sentence,
    }  # fmt: skip
    about = "" if step.ref is None else record_of(visit, case.view, step.ref)
    return Choice(step.data.type, step.ref, about, due, is_late, _title(visit, case.view, step), **why)


def _title(visit: Visit, view: View, step: Step) -> str:
    referral = view.referrals.get(step.ref or "")
    if step.data.type == "referral.info_supplied" and referral and not any(each.asked for each in referral.receivers):
        return visit.t("Add information to the referral")
    return visit.t.code("act", step.data.type)


def record_of(visit: Visit, view: View, ref: str) -> str:
    """Return the record *ref* of the case in words: who asked, and when."""
    kinds: tuple[Mapping[str, Any], ...] = (
        view.referrals, view.beds, view.holds, view.reviews, view.services, view.payments, view.emergencies,
    )  # fmt: skip
    record = next((found[ref] for found in kinds if ref in found), None)
    if record is None:
        return ""
    return visit.t("from {agency}, {day}", agency=name_of(visit, record.mark.source), day=visit.t.day(record.mark.time))
