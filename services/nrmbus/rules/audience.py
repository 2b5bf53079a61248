"""Recipients of an event and the agencies that open each part of its letter (RULES.md, section 3); a function per term.

Read on the view before the event. The sender and ``statistics`` (which opens every coded part) are never listed.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from nrmbus.events.model import Data, Part
from nrmbus.rules.clocks import breached_by, told
from nrmbus.rules.conditions import holds
from nrmbus.rules.emergency import second_agencies
from nrmbus.rules.event_context import AUTHORITIES, SHARING, UNIT, Step, holder_of, receivers_of, value
from nrmbus.rules.profile import Row
from nrmbus.rules.view import Bed, House, Plan
from nrmbus.rules.vocabulary import Term

CHOSEN: Final[frozenset[Term]] = frozenset({"members", "questioner", "to"})
"""Terms for agencies that the sender chooses, of any role; the role limits which parts such an agency opens."""
GRANTS = ("consent.given", "consent.overridden")


@dataclass(frozen=True, slots=True)
class Audience:
    """Recipients of one event.

    ``opens`` maps each part of the type's letter to the agencies that open the part. ``earlier`` maps each recipient that
    has no event of the case yet to the ids of the standing consents that it must get first.
    """

    recipients: tuple[str, ...]
    opens: Mapping[Part, tuple[str, ...]]
    earlier: Mapping[str, tuple[str, ...]]


def audience_of(step: Step) -> Audience:
    """The audience of the event of *step*; a type that the profile does not know reaches nobody."""
    row = step.tables.row(step.event.type)
    if row is None:
        return Audience((), {}, {})
    recipients = _recipients(step, row)
    return Audience(tuple(sorted(recipients)), _opens(step, row, recipients), earlier(step, recipients))


def _recipients(step: Step, row: Row) -> set[str]:
    found = {agency for term in row.sees for agency in TERMS[term](step)}
    found.discard(step.source)
    if not row.stops:
        found = {agency for agency in found if not step.barred(agency) or granted_to(step, agency)}
    return found


def granted_to(step: Step, agency: str) -> bool:
    """The event is itself the consent that lets this agency hear again."""
    if step.event.type not in GRANTS or agency not in receivers_of(step.event):
        return False
    return step.event.type == "consent.overridden" or SHARING in value(step.event, "purposes", ())


def _opens(step: Step, row: Row, recipients: set[str]) -> dict[Part, tuple[str, ...]]:
    parts = parts_of(type(step.event.data))
    if not parts:
        return {}
    return {part: tuple(sorted(_openers(step, part, openers_of(row, part)) & recipients)) for part in parts}


def openers_of(row: Row, part: Part) -> tuple[Term, ...]:
    """The words of *row* that say who opens *part*."""
    return row.opens.get(part, row.opens.get("rest", row.opens.get("all", ())))


def _openers(step: Step, part: Part, terms: Iterable[Term]) -> set[str]:
    found: set[str] = set()
    for term in terms:
        named = _asked_by_sender(step) if term == "housing_shelter" else TERMS[term](step)
        found.update(agency for agency in named if _within(step, term, agency, part))
    return found


def _within(step: Step, term: Term, agency: str, part: Part) -> bool:
    """Return whether *term* lets *agency* open *part*."""
    if term == "rescuer":
        return step.emergency is not None and part in step.emergency.parts
    return term not in CHOSEN or may_open(step, agency, part)


def chosen_by_sender(step: Step) -> set[str]:
    """Return the agencies that open a part because the sender chose them; their roles limit the parts."""
    row = step.tables.row(step.event.type)
    terms = {term for each in row.opens.values() for term in each} if row else set()
    return {agency for term in terms & CHOSEN for agency in TERMS[term](step)}


def _asked_by_sender(step: Step) -> Iterable[str]:
    """Housing shelters open only what comes from the agency that asked them for the bed."""
    return (house.agency for bed, house in _houses(step) if bed.asker == step.source)


def may_open(step: Step, agency: str, part: Part) -> bool:
    """Return whether *agency*'s role may open *part* of a referral, whatever term names the agency."""
    return part in step.tables.may_open_of_referral(step.roles.of(agency))


@cache
def parts_of(data: type[Data]) -> tuple[Part, ...]:
    """The parts that a letter of this type carries; none if it has no letter."""
    return data.letter.part_names() if data.letter else ()


def earlier(step: Step, recipients: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return, for each recipient without an event of the case, the standing consents that cover it, in order."""
    view = step.view
    fresh = [agency for agency in recipients if not view.count_for(agency)]
    if not fresh or not view.consents:
        return {}
    found: dict[str, set[tuple[int, str]]] = {}
    for receiver, purpose in view.consents:
        standing = step.standing(receiver, purpose) if receiver in fresh else None
        if standing and standing.kind in ("given", "overridden"):
            found.setdefault(receiver, set()).add((standing.number, standing.id))
    return {agency: tuple(each for _, each in sorted(found[agency])) for agency in sorted(found)}


# Terms: by role and part in the case


def _units_on_case(step: Step) -> Iterable[str]:
    return (unit for unit in step.roles.having(UNIT) if step.view.on_case(unit))


def _unit_of_child(step: Step) -> Iterable[str]:
    return step.roles.having(UNIT) if step.child else ()


def _vac_on_case(step: Step) -> Iterable[str]:
    return (vac for vac in step.roles.having("vac") if step.view.on_case(vac))


def _vac_on_case_or_named(step: Step) -> Iterable[str]:
    return (vac for vac in step.roles.having("vac") if step.view.on_case(vac) or step.named(vac))


def _fund_on_recognition(step: Step) -> Iterable[str]:
    if step.event.type == "identification.status_decided" and not holds("positive", step):
        return ()
    return (fund for fund in step.roles.having("fund") if step.child or step.view.on_case(fund) or step.named(fund))


def _guardianship_of_child(step: Step) -> Iterable[str]:
    return (body for body in _guardian_bodies(step) if step.roles.of(body) == "guardianship")


def _guardian_bodies(step: Step) -> Iterable[str]:
    """Return the bodies that a child's flag reached, while the person is, or is again found to be, a child."""
    return step.view.flagged if step.view.child is not False or step.finds_child else ()


def _guardians_of_child_to_unit(step: Step) -> Iterable[str]:
    return _guardian_bodies(step) if step.units_in_to and step.child else ()


def _housing(step: Step) -> Iterable[str]:
    return (house.agency for _, house in _houses(step))


def _houses(step: Step) -> list[tuple[Bed, House]]:
    """Return the houses where the person is admitted; all of them if there are none, or if the event stops something."""
    row, houses = step.tables.row(step.event.type), list(step.view.houses())
    hers = [] if row and row.stops else [each for each in houses if each[1].state == "admitted"]
    return hers or houses


def _shelters_on_case(step: Step) -> Iterable[str]:
    return (agency for agency in step.view.parts if step.in_group(agency, "SHELTERS"))


def _members(step: Step) -> Iterable[str]:
    plan = step.view.plan
    return (agency for agency in plan.to if step.view.on_case(agency)) if plan and plan.in_force else ()


def _migration_with_hold(step: Step) -> Iterable[str]:
    return (agency for hold in step.view.holds.values() if not hold.ended for agency in hold.migration)


def _migration_on_positive(step: Step) -> Iterable[str]:
    return _migration_with_hold(step) if holds("positive", step) else ()


# Terms: by what the event refers to


def _holder(step: Step) -> Iterable[str]:
    return (step.holder,) if step.holder else ()


def _former_holder(step: Step) -> Iterable[str]:
    """Return the present holder if the event gives the case to another agency, unless the person refuses the holder."""
    holder = step.holder
    return (holder,) if holder and not step.barred(holder) and _next(step) != holder else ()


def _next_holder(step: Step) -> Iterable[str]:
    """Return the holder after the event if the event gives it the case, unless the person refuses that agency."""
    holder = _next(step)
    return (holder,) if holder and not step.barred(holder) and holder != step.holder else ()


def _next(step: Step) -> str | None:
    """Return the holder after a plan, a first stage, an accepted transfer, or a deletion by the present holder."""
    view, kind, source = step.view, step.event.type, step.source
    if kind == "plan.adopted":
        view = replace(view, plan=Plan(source, step.to, None))
    elif kind == "identification.stage_entered":
        view = replace(view, stage=max(view.stage, 1))
    elif kind == "consent.stop_confirmed":
        parts = {agency: part for agency, part in view.parts.items() if agency != source}
        view = replace(view, parts=parts, left={**view.left, source: step.event.recordedtime}) if step.deletes else view
    elif step.referral and (step.referral.transfer or step.referral.made_support):
        view = replace(view, taken_over_by=source)
    return holder_of(step, view)


def _plan_holder(step: Step) -> Iterable[str]:
    return (step.view.plan.holder,) if step.view.plan else ()


def _referrer(step: Step) -> Iterable[str]:
    found = step.referrer
    return (found,) if found else ()


def _referrer_when_unit_ends(step: Step) -> Iterable[str]:
    """The unit closes the case, or notes a word against itself, and owes nothing more; not who may hear nothing of her."""
    own = step.role == UNIT and receivers_of(step.event) in ((), (step.source,))
    return (each for each in _referrer(step) if own and not step.barred(each))


def _told_of_closing(step: Step) -> Iterable[str]:
    """Return the agency that closed the case and those notified of the closing, without agencies that deleted since."""
    closing, left = step.view.closing, step.view.left
    told = (closing.mark.source, *closing.told) if closing else ()
    return (agency for agency in told if agency not in left)


def _referring_ngo(step: Step) -> Iterable[str]:
    return (agency for agency in _referrer(step) if step.in_group(agency, "NGOS"))


def _referring_ngo_that_attended(step: Step) -> Iterable[str]:
    attended = value(step.event, "attended", ())
    return (agency for agency in _referring_ngo(step) if step.roles.of(agency) in attended)


def _open_referral_parties(step: Step) -> Iterable[str]:
    for referral in step.view.referrals.values():
        if referral.open:
            yield referral.sender
            yield from (party.agency for party in referral.receivers if party.state == "submitted")


def _consent_giver(step: Step) -> Iterable[str]:
    papers = (step.view.papers.get(each) for each in step.event.consents)
    return [paper.source for paper in papers if paper]


def _giver_supervisor(step: Step) -> Iterable[str]:
    return _supervisors(step, _consent_giver(step))


def _receiver_supervisor(step: Step) -> Iterable[str]:
    return _supervisors(step, _consent_receiver_on_case(step))


def _supervisors(step: Step, agencies: Iterable[str]) -> Iterable[str]:
    return tuple(boss for agency in agencies if (boss := step.roles.supervisor(agency)))


def _consent_receiver_on_case(step: Step) -> Iterable[str]:
    return (agency for agency in receivers_of(step.event) if step.view.on_case(agency))


def _consent_receiver_knowing(step: Step) -> Iterable[str]:
    return (agency for agency in receivers_of(step.event) if step.view.count_for(agency))


def _withdrawer(step: Step) -> Iterable[str]:
    stop = step.view.stops.get(step.source)
    return (stop.mark.source,) if stop else ()


def _asker(step: Step) -> Iterable[str]:
    record = step.referral or step.bed or step.hold or step.review
    return (record.mark.source,) if record else ()


def _asked(step: Step) -> Iterable[str]:
    return step.hold.migration if step.hold else ()


def _emergency_holder(step: Step) -> Iterable[str]:
    return (step.emergency.holder,) if step.emergency and step.emergency.holder else ()


def _rescuer(step: Step) -> Iterable[str]:
    return (step.emergency.mark.source,) if step.emergency else ()


def _unanswering(step: Step) -> Iterable[str]:
    referral = step.referral
    return (party.agency for party in referral.receivers if party.state == "submitted") if referral else ()


def _questioner(step: Step) -> Iterable[str]:
    """Those whose question waits; without a question all receivers."""
    standing = [party for party in step.referral.receivers if party.stands] if step.referral else []
    return [party.agency for party in standing if party.asked] or [party.agency for party in standing]


def _lapsing_shelter(step: Step) -> Iterable[str]:
    shelter = value(step.event, "shelter")
    return (shelter,) if step.bed and step.bed.house(shelter) else ()


def _other_party(step: Step) -> Iterable[str]:
    service = step.service
    if service is None:
        return ()
    return (*service.receivers, service.requester) if service.requester else service.receivers


def _decider(step: Step) -> Iterable[str]:
    return step.roles.having(step.review_role)


def _letter_sender(step: Step) -> Iterable[str]:
    letter = step.view.letters.get(step.event.causationid)
    return (letter.source,) if letter else ()


# Terms: of a breach


def _answerable(step: Step) -> Iterable[str]:
    clock = breached_by(step)
    return (clock.answerable,) if clock else ()


def _supervisor(step: Step) -> Iterable[str]:
    return _supervisors(step, _answerable(step))


def _waiting(step: Step) -> Iterable[str]:
    clock = breached_by(step)
    return told(step.tables, step.roles, step.view, clock) if clock else ()


def _terminator(step: Step) -> Iterable[str]:
    decision = step.view.erasure.terminated
    return (decision.source,) if decision else ()


def _holders_by_authority(step: Step) -> Iterable[str]:
    # An objection shows that its sender holds the case, so only the authority that decides is notified.
    return step.holders if step.role in AUTHORITIES else ()


TERMS: Final[Mapping[Term, Callable[[Step], Iterable[str]]]] = {
    "answerable": _answerable,
    "asked": _asked,
    "asker": _asker,
    "consent_giver": _consent_giver,
    "consent_receiver_knowing": _consent_receiver_knowing,
    "consent_receiver_on_case": _consent_receiver_on_case,
    "decider": _decider,
    "emergency_holder": _emergency_holder,
    "former_holder": _former_holder,
    "fund_on_recognition": _fund_on_recognition,
    "giver_supervisor": _giver_supervisor,
    "guardian_bodies": _guardian_bodies,
    "guardian_bodies_of_child_to_unit": _guardians_of_child_to_unit,
    "guardianship_of_child": _guardianship_of_child,
    "holders": lambda step: step.holders,
    "holders_by_authority": _holders_by_authority,
    "holder": _holder,
    "housing_shelter": _housing,
    "lapsing_shelter": _lapsing_shelter,
    "letter_sender": _letter_sender,
    "members": _members,
    "migration_with_hold": _migration_with_hold,
    "migration_with_hold_on_positive": _migration_on_positive,
    "next_holder": _next_holder,
    "open_referral_parties": _open_referral_parties,
    "other_party": _other_party,
    "plan_holder": _plan_holder,
    "questioner": _questioner,
    "receiver_supervisor": _receiver_supervisor,
    "referrer": _referrer,
    "referrer_when_unit_ends": _referrer_when_unit_ends,
    "referring_ngo": _referring_ngo,
    "referring_ngo_that_attended": _referring_ngo_that_attended,
    "rescuer": _rescuer,
    "second_agency": second_agencies,
    "shelters_on_case": _shelters_on_case,
    "special_unit": lambda step: step.roles.having(UNIT),
    "special_unit_of_child": _unit_of_child,
    "special_unit_on_case": _units_on_case,
    "supervisor": _supervisor,
    "terminator": _terminator,
    "to": lambda step: step.to,
    "told_of_closing": _told_of_closing,
    "unanswering": _unanswering,
    "vac_on_case": _vac_on_case,
    "vac_on_case_or_named": _vac_on_case_or_named,
    "waiting": _waiting,
    "withdrawer": _withdrawer,
}
