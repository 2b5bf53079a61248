"""Upper bound of an audience: the parts of a letter that an agency could open in any history of the case.

Only the holder of the full history computes an audience. A sender may get another audience than it computed, and seals
to that one only within this bound: so nobody can make it seal a part to a role that may not open the part.
A term that names agencies by their acts is bounded by the roles that may publish such an act.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from nrmbus.events.model import Part
from nrmbus.rules.audience import CHOSEN, EMBASSY, NEVER_RECIPIENTS, may_open, openers_of
from nrmbus.rules.event_context import CLOSED, COURT, NO_HOLDERS, REFERRED, EventContext
from nrmbus.rules.evolve.returns import RETURNS
from nrmbus.rules.judge.parties import RECEIVING
from nrmbus.rules.tables import Tables
from nrmbus.rules.vocabulary import Term
from nrmbus.rules.why import FOR

_ASKING: Final = (REFERRED, "review.requested", "shelter.bed_requested", "stay.hold_requested")
"""Types that somebody answers, and whose sender an answer goes to."""
_STEPS: Final = tuple(name for name in RETURNS if name != "return.stopped")
"""Types whose publisher helps with the return; whoever stops it does not."""
_TAKING: Final = ("plan.adopted", "referral.accepted", "identification.stage_entered")
"""Types whose publisher may hold the case, beside the agency that gave the signal."""
_HELPERS: Final = RECEIVING["return.consented"]

_ACTS: Final[Mapping[Term, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "asker": (_ASKING, ()),
    "asker_unless_barred": (_ASKING, ()),
    "parties_to_proceedings": (("justice.case_opened",), (COURT,)),
    "return_helpers": (_STEPS, (_HELPERS,)),
    "return_helpers_but_embassy": (_STEPS, (_HELPERS,)),
}
"""Acts by which a term names their publishers, and the roles or groups that it names besides."""
_HOLDING: Final[frozenset[Term]] = frozenset({"emergency_holder", "former_holder", "holder", "next_holder"})


def could_open(context: EventContext, agency: str, part: Part, profiles: Iterable[Tables]) -> bool:
    """Return whether *agency* could open *part* in some history: by its role, the row, its possible acts, or the sender's choice.

    *profiles* are all of the bus: an act may be older than the profile of this event.
    """
    if context.in_group(agency, NEVER_RECIPIENTS):
        return False
    row = context.tables.row(context.event.type)
    terms, known = openers_of(row, part) if row else (), tuple(profiles)
    return any(_could_be(context, term, agency, part, known) for term in terms)


def _could_be(context: EventContext, term: Term, agency: str, part: Part, profiles: tuple[Tables, ...]) -> bool:
    if term == "rescuer":
        emergency = context.emergency
        return emergency is not None and emergency.mark.source == agency and part in emergency.parts
    if term in CHOSEN:
        return may_open(context, agency, part) and (term != "to" or agency in context.to)
    role = context.roles.of(agency)
    if term in FOR:
        return role in context.tables.profile.expand(FOR[term])
    if term in _HOLDING:
        return role in _holding(context.tables, profiles)
    if term not in _ACTS:
        return bool(role) and role not in NO_HOLDERS
    asked = context.referral or context.bed or context.hold or context.review
    if _ACTS[term][0] is _ASKING and asked is not None:
        return agency == asked.mark.source  # a reference is one agency's in a case, whatever it opens under it
    types, groups = _ACTS[term]
    is_kept_out = term == "return_helpers_but_embassy" and role == EMBASSY
    return not is_kept_out and any(role in _publishing(each, types) | each.profile.expand(groups) for each in profiles)


def _holding(tables: Tables, profiles: tuple[Tables, ...]) -> frozenset[str]:
    """Return the roles that may hold a case: those that close cases, if whoever gave the signal is one of them (`holder_of`)."""
    closing = tables.publishers.get(CLOSED, frozenset())
    detecting = frozenset[str]().union(
        *(each.publishers[name] for each in profiles for name, row in each.profile.types.items() if row.opening)
    )
    if detecting <= closing:
        return closing
    return closing | detecting | frozenset[str]().union(*(_publishing(each, _TAKING) for each in profiles))


def _publishing(tables: Tables, types: Iterable[str]) -> frozenset[str]:
    return frozenset[str]().union(*(tables.publishers.get(name, frozenset()) for name in types))
