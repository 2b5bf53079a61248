"""Upper bound of an audience: the parts of a letter that an agency could open in any history of the case.

Only the holder of the full history computes an audience. A sender may get another audience than it computed, and seals
to that one only within this bound: so nobody can make it seal a part to a role that may not open the part.
"""

from nrmbus.events.model import Part
from nrmbus.rules.audience import CHOSEN, NEVER_RECIPIENTS, may_open, openers_of
from nrmbus.rules.event_context import EventContext
from nrmbus.rules.vocabulary import Term
from nrmbus.rules.why import FOR


def could_open(context: EventContext, agency: str, part: Part) -> bool:
    """Return whether *agency* could open *part* in some history: by its role, by the row, or by the sender's choice."""
    if context.in_group(agency, NEVER_RECIPIENTS):
        return False
    row = context.tables.row(context.event.type)
    terms = openers_of(row, part) if row else ()
    return any(_could_be(context, term, agency, part) for term in terms)


def _could_be(context: EventContext, term: Term, agency: str, part: Part) -> bool:
    if term == "rescuer":
        emergency = context.emergency
        return emergency is not None and emergency.mark.source == agency and part in emergency.parts
    if term in CHOSEN:
        return may_open(context, agency, part) and (term != "to" or agency in context.to)
    return term not in FOR or context.roles.of(agency) in context.tables.profile.expand(FOR[term])
