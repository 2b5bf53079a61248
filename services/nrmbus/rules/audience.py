"""Recipients of an event and the agencies that open each part of its letter (RULES.md, section 3), by the terms of the profile.

Read on the view before the event. The sender and ``statistics`` (which opens every coded part) are never listed.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Final

from nrmbus.events.model import Data, Part
from nrmbus.events.values import frozen
from nrmbus.rules.clock_moves import breached_by, lifted_by, turned_by_letter
from nrmbus.rules.clocks import told
from nrmbus.rules.conditions import holds
from nrmbus.rules.earlier import EMBASSY_BARRED, earlier, granted_to, hears_bar
from nrmbus.rules.emergency import second_agencies
from nrmbus.rules.event_context import (
    AGE_ASSESSED,
    AUTHORITIES,
    CHILD_FLAGGED,
    COURT,
    PAPERS,
    SHARING,
    STATISTICS,
    EventContext,
    holder_of,
    receivers_of,
    taken_over,
    value,
)
from nrmbus.rules.profile import Row
from nrmbus.rules.records import Bed, Emergency, Hold, House, Plan, Referral, Review, Running, Status
from nrmbus.rules.running import ended_by
from nrmbus.rules.vocabulary import Term

CHOSEN: Final[frozenset[Term]] = frozenset({"members", "questioner", "to"})
"""Terms for agencies that the sender chooses, of any role; the role limits which parts such an agency opens."""
EMBASSY = "embassy"
COORDINATOR: Final = "coordinator"
NEVER_RECIPIENTS: Final = "NEVER_RECIPIENTS"
_ENDS: Final[Mapping[str, Status]] = {
    "case.closed": "CLOSED", "case.signal_dismissed": "CLOSED", "case.withdrawn": "WITHDRAWN",
}  # fmt: skip
"""Events that end a case, and the end to which they bring it."""
COMPENSATION: Final = "compensation"
TO_THE_REVOKED: Final = "access."
"""Beginning of the types that still reach an agency whose access was ended: that it has to stop, or to erase. It hears of its own breaches too."""
_OF_A_DUTY: Final = "deadline."


@frozen
class Audience:
    """Recipients of one event.

    ``opens`` maps each part of the type's letter to the agencies that open the part. ``earlier`` maps an
    agency to the ids of the events that it must get first (`nrmbus.rules.earlier`).
    """

    recipients: tuple[str, ...]
    opens: Mapping[Part, tuple[str, ...]]
    earlier: Mapping[str, tuple[str, ...]]


def audience_of(context: EventContext) -> Audience:
    """Return the audience of the event of *context*; a type that the profile lacks reaches nobody."""
    row = context.tables.row(context.event.type)
    if row is None:
        return Audience((), {}, {})
    recipients = _recipients(context, row)
    return Audience(tuple(sorted(recipients)), _opens(context, row, recipients), earlier(context, recipients))


def _recipients(context: EventContext, row: Row) -> set[str]:
    found = {agency for term in row.sees for agency in TERMS[term](context)}
    found.discard(context.source)
    if not row.stops:
        found = {agency for agency in found if not context.barred(agency) or granted_to(context, agency)}
        if context.event.type == EMBASSY_BARRED:  # nor does the state of origin hear that the person fears it
            found = {agency for agency in found if not context.in_group(agency, "ENVOYS")}
    elif context.view.revoked and not context.event.type.startswith(TO_THE_REVOKED):
        own = {*_answerable(context)} if context.event.type.startswith(_OF_A_DUTY) else set()
        found -= {*context.view.revoked} - own
    return found


def _opens(context: EventContext, row: Row, recipients: set[str]) -> dict[Part, tuple[str, ...]]:
    parts = parts_of(type(context.event.data))
    if not parts:
        return {}
    return {part: tuple(sorted(_openers(context, part, openers_of(row, part)) & recipients)) for part in parts}


def openers_of(row: Row, part: Part) -> tuple[Term, ...]:
    """Return the terms of *row* for the agencies that open *part*."""
    return row.opens.get(part, row.opens.get("rest", row.opens.get("all", ())))


def _openers(context: EventContext, part: Part, terms: Iterable[Term]) -> set[str]:
    found: set[str] = set()
    for term in terms:
        named = _asked_by_sender(context) if term == "housing_shelter" else TERMS[term](context)
        found.update(agency for agency in named if _within(context, term, agency, part))
    return found


def _within(context: EventContext, term: Term, agency: str, part: Part) -> bool:
    """Return whether *term* lets *agency* open *part*; nobody who is never handed a person opens anything."""
    if context.in_group(agency, NEVER_RECIPIENTS):
        return False
    if term == "rescuer":
        return context.emergency is not None and part in context.emergency.parts
    return term not in CHOSEN or may_open(context, agency, part)


def chosen_by_sender(context: EventContext) -> set[str]:
    """Return the agencies that open a part because the sender chose them; their roles limit the parts."""
    row = context.tables.row(context.event.type)
    terms = {term for each in row.opens.values() for term in each} if row else set()
    return {agency for term in terms & CHOSEN for agency in TERMS[term](context)}


def told_by_choice(context: EventContext) -> set[str]:
    """Return the agencies that are told because a sender chose them, now or before."""
    row = context.tables.row(context.event.type)
    return {agency for term in CHOSEN.intersection(row.sees if row else ()) for agency in TERMS[term](context)}


def _asked_by_sender(context: EventContext) -> Iterable[str]:
    """Housing shelters open only what comes from the agency that asked them for the bed."""
    return (house.agency for bed, house in _houses(context) if bed.asker == context.source)


def may_open(context: EventContext, agency: str, part: Part) -> bool:
    """Return whether *agency*'s role may open *part* of a referral, whatever term names the agency; the statistics open nothing by choice."""
    role = context.roles.of(agency)
    return role != STATISTICS and part in context.tables.may_open_of_referral(role)


@cache
def parts_of(data: type[Data]) -> tuple[Part, ...]:
    """Return the parts that a letter of this type carries; empty if the type has no letter."""
    return data.letter.part_names() if data.letter else ()


def _named(agency: str | None) -> tuple[str, ...]:
    return (agency,) if agency else ()


def _sender(record: Referral | Bed | Hold | Review | Emergency | None) -> tuple[str, ...]:
    return (record.mark.source,) if record else ()


def _staying(context: EventContext, agencies: Iterable[str]) -> tuple[str, ...]:
    """Return *agencies* without those that deleted their data and have had no part since: no answer concerns them any more."""
    return tuple(agency for agency in agencies if agency not in context.view.left)


# Terms: by role and part in the case


def _vac_on_case_or_named(context: EventContext) -> Iterable[str]:
    return (vac for vac in context.roles.having("vac") if context.view.on_case(vac) or context.named(vac))


def _fund_on_recognition(context: EventContext) -> Iterable[str]:
    if context.event.type == "identification.status_decided" and not holds("positive", context):
        return ()
    return _fund_on_case_or_named(context)


def _fund_on_case_or_named(context: EventContext) -> Iterable[str]:
    return (
        fund
        for fund in context.roles.having("fund")
        if context.child or context.view.on_case(fund) or context.named(fund)
    )


def _guardianship_of_child(context: EventContext) -> Iterable[str]:
    return context.guardianship(_guardian_bodies(context))


def _guardianship_of_waiting_child(context: EventContext) -> Iterable[str]:
    return context.guardianship(context.view.flagged) if holds("child_waits", context) else ()


def _guardian_bodies(context: EventContext) -> Iterable[str]:
    """Return the bodies that a child's flag reached, while the person is, or is again found to be, a child."""
    is_child = context.view.child is not False or context.finds_child or context.event.type == CHILD_FLAGGED
    return context.view.flagged if is_child else ()


def _refused_by_child(context: EventContext) -> Iterable[str]:
    """Return the agencies with something of the case that a child's word keeps out from now on, or later, since the child is found to be an adult."""
    if context.event.type != AGE_ASSESSED or context.finds_child:
        return ()
    words = ((agency, context.standing(agency, SHARING)) for agency in context.holders)
    return _staying(context, (agency for agency, word in words if word and (word.bars or word.before)))


def _told_of_adult(context: EventContext) -> Iterable[str]:
    """Return the agencies that take the person for an adult, once the person is found or flagged to be a child.

    They were told of the finding of an adult; or they are on the case, were told nothing of a child, and read a refusal as an
    adult's, which shuts their letters.
    """
    view = context.view
    if not (context.finds_child or context.event.type == CHILD_FLAGGED):
        return ()
    if view.grown_up is not None:
        return _staying(context, (agency for agency in context.holders if agency in view.grown_up_known))
    return (agency for agency in view.parts if not view.ages.get(agency) and hears_bar(context, agency))


def _guardians_of_child_to_unit(context: EventContext) -> Iterable[str]:
    return _guardian_bodies(context) if context.units_in_to and context.child else ()


def _houses(context: EventContext) -> list[tuple[Bed, House]]:
    """Return the houses where the person is admitted; all of them if there are none, or if the event stops something.

    A house without a part in the case, as one that deleted its data while its offer stood, is none of them.
    """
    row = context.tables.row(context.event.type)
    houses = [each for each in context.view.houses() if context.view.on_case(each[1].agency)]
    hers = [] if row and row.stops else [each for each in houses if each[1].state == "admitted"]
    return hers or houses


def _shelters_on_case(context: EventContext) -> Iterable[str]:
    return (agency for agency in context.view.parts if context.in_group(agency, "SHELTERS"))


def _members(context: EventContext) -> Iterable[str]:
    plan = context.view.plan
    return (agency for agency in plan.to if context.view.on_case(agency)) if plan and plan.in_force else ()


def _migration_with_hold(context: EventContext) -> Iterable[str]:
    return (agency for hold in context.view.holds.values() if not hold.ended for agency in hold.migration)


def _migration_on_positive(context: EventContext) -> Iterable[str]:
    return _migration_with_hold(context) if holds("positive", context) else ()


# Terms: by what the event refers to


def _return_helpers(context: EventContext) -> Iterable[str]:
    """Return the agencies that help with the return and are still on the case; nobody helps with one that was stopped."""
    returning = context.view.returning
    if returning is None or returning.step == "stopped":
        return ()
    return (agency for agency in returning.helpers if context.view.on_case(agency))


def _return_helpers_but_embassy(context: EventContext) -> Iterable[str]:
    """Return the same without embassies: the state of origin does not learn of the dangers that the person sees there."""
    return (agency for agency in _return_helpers(context) if context.roles.of(agency) != EMBASSY)


def _court_named(context: EventContext) -> Iterable[str]:
    court = value(context.event, "court")
    return (court,) if context.roles.of(court) == COURT else ()


def _court_of_case(context: EventContext) -> Iterable[str]:
    """Return the courts that hear proceedings about the case, if compensation is granted: none grants what the fund granted."""
    if value(context.event, "purpose") != COMPENSATION:
        return ()
    return {each.court for each in context.view.proceedings.values() if each.court}


def _parties_to_proceedings(context: EventContext) -> Iterable[str]:
    found = context.proceedings
    return (*_named(found.court), found.mark.source) if found else ()


def _former_holder(context: EventContext) -> Iterable[str]:
    """Return the present holder if the event gives the case to another agency, unless the person refuses the holder."""
    holder = context.holder
    return (holder,) if holder and not context.barred(holder) and _next(context) != holder else ()


def _next_holder(context: EventContext) -> Iterable[str]:
    """Return the holder after the event if the event gives it the case, unless the person refuses that agency."""
    holder = _next(context)
    return (holder,) if holder and not context.barred(holder) and holder != context.holder else ()


def _next(context: EventContext) -> str | None:
    """Return the holder after a plan, a first stage, an accepted transfer, or the end of the present holder's part."""
    view, kind, source = context.view, context.event.type, context.source
    if kind == "plan.adopted":
        view = replace(view, plan=Plan(source, context.to, None))
    elif kind == "identification.stage_entered":
        view = replace(view, stage=max(view.stage, 1), begun_by=view.begun_by or source)
    elif kind == "consent.stop_confirmed":
        parts = {agency: part for agency, part in view.parts.items() if agency != source}
        view = (
            replace(view, parts=parts, left={**view.left, source: context.event.recordedtime})
            if context.deletes
            else view
        )
    elif kind == "access.revoked":
        (gone,) = receivers_of(context.event)
        parts = {agency: part for agency, part in view.parts.items() if agency != gone}
        revoked = {**view.revoked, gone: context.event.id}
        view = replace(view, parts=parts, left={**view.left, gone: context.event.recordedtime}, revoked=revoked)
    elif kind == "referral.accepted":
        view = replace(view, **taken_over(context))
    return holder_of(context, view)


def _referrer_when_unit_ends(context: EventContext) -> Iterable[str]:
    """Return the referrer if the unit closes the case or records a word against itself, unless the person refuses the referrer."""
    own = context.by_unit and receivers_of(context.event) in ((), (context.source,))
    return (each for each in _named(context.referrer) if own and not context.barred(each))


def _told_of_closing(context: EventContext) -> Iterable[str]:
    """Return the agency that closed the case and those notified of the closing, without agencies that deleted since."""
    closing, left = context.view.closing, context.view.left
    told = (closing.mark.source, *closing.told) if closing else ()
    return (agency for agency in told if agency not in left)


def _referring_ngo(context: EventContext) -> Iterable[str]:
    return (agency for agency in _named(context.referrer) if context.in_group(agency, "NGOS"))


def _referring_ngo_that_attended(context: EventContext) -> Iterable[str]:
    attended = value(context.event, "attended", ())
    return (agency for agency in _referring_ngo(context) if context.roles.of(agency) in attended)


def _parts_in_ending_case(context: EventContext) -> Iterable[str]:
    """Return the agencies that lose a case by a merge; a hold on removal stands, so migration hears nothing of it."""
    if not holds("merge_ends", context):
        return ()
    return (
        agency for agency, parts in context.view.parts.items() if any(not part.startswith("hold ") for part in parts)
    )


def _open_referral_parties(context: EventContext) -> Iterable[str]:
    for referral in context.view.referrals.values():
        if referral.open:
            yield from _staying(context, (referral.sender,))
            yield from (party.agency for party in referral.receivers if party.state == "submitted")


def _consent_giver(context: EventContext) -> Iterable[str]:
    papers = (context.view.papers.get(each) for each in context.event.consents)
    return [paper.source for paper in papers if paper]


def _supervisors(context: EventContext, agencies: Iterable[str]) -> Iterable[str]:
    return tuple(boss for agency in agencies if (boss := context.roles.supervisor(agency)))


def _consent_receiver_on_case(context: EventContext) -> Iterable[str]:
    return (agency for agency in receivers_of(context.event) if context.view.on_case(agency))


def _consent_receiver_knowing(context: EventContext) -> Iterable[str]:
    return (agency for agency in receivers_of(context.event) if context.view.count_for(agency))


def _unanswering(context: EventContext) -> Iterable[str]:
    referral = context.referral
    return (party.agency for party in referral.receivers if party.state == "submitted") if referral else ()


def _questioner(context: EventContext) -> Iterable[str]:
    """Return the askers of open questions; without a question, all receivers."""
    standing = [party for party in context.referral.receivers if party.stands] if context.referral else []
    return [party.agency for party in standing if party.asked] or [party.agency for party in standing]


def _lapsing_shelter(context: EventContext) -> Iterable[str]:
    shelter = value(context.event, "shelter")
    return (shelter,) if context.bed and context.bed.house(shelter) else ()


def _other_party(context: EventContext) -> Iterable[str]:
    """Return who was asked if the requester speaks, else the requester: of several that were asked, none hears of another."""
    service = context.service
    if service is None:
        return ()
    return service.receivers if context.source == service.requester else _staying(context, _named(service.requester))


def _letter_sender(context: EventContext) -> Iterable[str]:
    letter = context.view.letters.get(context.event.causationid)
    return _named(letter.source if letter else None)


def _owing_again(context: EventContext) -> Iterable[str]:
    """Return who owes again what a letter had ended that its reader cannot open, or owes it no more once it opened.

    An agency that was not told of the event with that letter never saw its duty end.
    """
    letter = context.view.letters.get(context.event.causationid)
    told = {letter.source, *letter.recipients} if letter else set()
    return [clock.answerable for clock in turned_by_letter(context) if clock.answerable in told]


# Terms: of a breach


def _late(context: EventContext) -> list[Running]:
    """Return the overdue duties that the event is about: the one of a breach, or all for which nobody waits any longer."""
    breached = breached_by(context)
    return lifted_by(context) or ([breached] if breached else [])


def _answerable(context: EventContext) -> Iterable[str]:
    return {clock.answerable for clock in _late(context)}


def _waiting(context: EventContext) -> Iterable[str]:
    return {agency for clock in _late(context) for agency in told(context.tables, context.roles, context.view, clock)}


def _withdrawer(context: EventContext) -> Iterable[str]:
    """Return who recorded the withdrawals since the last deletion: one answer is for all, and so is the deletion after a retention.

    A recorder that deleted its own data hears the answer, and not the deletion after a retention: nothing waits for that.
    """
    stop = context.view.stops.get(context.source)
    if stop is None:
        return ()
    return stop.recorders if stop.open else _staying(context, stop.recorders)


def _relieved(context: EventContext) -> Iterable[str]:
    """Return the agencies that owe what this event ends, so that no desk shows a duty that is over.

    The end of a case ends nearly all. A referral names its receivers: it tells of the deciding body alone.
    """
    kind, rules = context.event.type, context.tables.profile.clocks
    if kind in _ENDS:
        running = [clock for clock in context.view.running if clock.runs]
        return [clock.answerable for clock in running if _ENDS[kind] not in rules[clock.code].outlives]
    if kind == "referral.submitted" and context.units_in_to != context.to:
        return ()
    return [clock.answerable for clock in ended_by(context)]


def _terminator(context: EventContext) -> Iterable[str]:
    decision = context.view.erasure.terminated
    return _named(decision.source if decision else None)


def _statistics_with_facts(context: EventContext) -> Iterable[str]:
    """Return the statistics if a letter of the case reached them: they have no part, and hold its coded facts."""
    return (each for each in context.roles.having(STATISTICS) if context.view.count_for(each))


def _asker_unless_barred(context: EventContext) -> Iterable[str]:
    """Return who asked; an answer reaches a barred asker too, without the words about the person."""
    return (agency for agency in TERMS["asker"](context) if not context.barred(agency))


# Terms: of an event about no case


def _in_group(context: EventContext, group: str) -> Iterable[str]:
    roles = sorted(context.tables.groups.get(group, ()))
    return (agency for role in roles for agency in context.roles.having(role))


TERMS: Final[Mapping[Term, Callable[[EventContext], Iterable[str]]]] = {
    "answerable": _answerable,
    "asked": lambda context: context.hold.migration if context.hold else (),
    "asker": lambda context: _staying(
        context, _sender(context.referral or context.bed or context.hold or context.review)
    ),
    "asker_unless_barred": _asker_unless_barred,
    "consent_giver": _consent_giver,
    "consent_receiver_knowing": _consent_receiver_knowing,
    "consent_receiver_on_case": _consent_receiver_on_case,
    "coordinator": lambda context: context.roles.having(COORDINATOR),
    "court_named": _court_named,
    "court_of_case": _court_of_case,
    "decider": lambda context: context.reviewers,
    "emergency_holder": lambda context: _named(context.emergency.holder if context.emergency else None),
    "everybody": lambda context: _in_group(context, "EVERYBODY"),
    "former_holder": _former_holder,
    "fund_on_case_or_named": _fund_on_case_or_named,
    "fund_on_recognition": _fund_on_recognition,
    "giver_supervisor": lambda context: _supervisors(context, _consent_giver(context)),
    "guardian_bodies": _guardian_bodies,
    "guardian_bodies_of_child_to_unit": _guardians_of_child_to_unit,
    "guardianship_of_child": _guardianship_of_child,
    "guardianship_of_waiting_child": _guardianship_of_waiting_child,
    "holders": lambda context: context.holders,
    # An objection shows that its sender holds the case, so only the authority that decides is notified.
    "holders_by_authority": lambda context: context.holders if context.role in AUTHORITIES else (),
    "holder": lambda context: _named(context.holder),
    "housing_shelter": lambda context: (house.agency for _, house in _houses(context)),
    "lapsing_shelter": _lapsing_shelter,
    "letter_sender": _letter_sender,
    "members": _members,
    "migration_with_hold": _migration_with_hold,
    "migration_with_hold_on_positive": _migration_on_positive,
    "next_holder": _next_holder,
    "open_referral_parties": _open_referral_parties,
    "other_party": _other_party,
    "owing_again": _owing_again,
    "parties_to_proceedings": _parties_to_proceedings,
    "parts_in_ending_case": _parts_in_ending_case,
    "plan_holder": lambda context: (
        _named(plan.holder) if (plan := context.view.plan) and context.view.on_case(plan.holder) else ()
    ),
    "questioner": _questioner,
    "receiver_supervisor": lambda context: _supervisors(context, _consent_receiver_on_case(context)),
    "referrer": lambda context: _named(context.referrer),
    "referrer_when_unit_ends": _referrer_when_unit_ends,
    "referring_ngo": _referring_ngo,
    "referring_ngo_that_attended": _referring_ngo_that_attended,
    "refused_by_child": _refused_by_child,
    "relieved": _relieved,
    "rescuer": lambda context: _sender(context.emergency),
    "return_helpers": _return_helpers,
    "return_helpers_but_embassy": _return_helpers_but_embassy,
    "second_agency": second_agencies,
    "senders": lambda context: _in_group(context, "SENDERS"),
    "shelters_on_case": _shelters_on_case,
    # Papers go to the deciding bodies that were asked; an opening event tells all of them.
    "special_unit": lambda context: context.units_asked if context.event.type == PAPERS else context.units,
    "special_unit_of_child": lambda context: context.units if context.child else (),
    "special_unit_on_case": lambda context: (unit for unit in context.units if context.view.on_case(unit)),
    "statistics_with_facts": _statistics_with_facts,
    "supervisor": lambda context: _supervisors(context, _answerable(context)),
    "terminator": _terminator,
    "to": lambda context: context.to,
    "told_of_adult": _told_of_adult,
    "told_of_closing": _told_of_closing,
    "unanswering": _unanswering,
    "vac_on_case": lambda context: (vac for vac in context.roles.having("vac") if context.view.on_case(vac)),
    "vac_on_case_or_named": _vac_on_case_or_named,
    "waiting": _waiting,
    "withdrawer": _withdrawer,
}
