"""Upper bound of an audience: the parts of a letter that an agency could open in any history of the case.

Only the holder of the full history computes an audience. A sender may get another audience than it computed, and seals
to that one only within this bound: so nobody can make it seal a part to a role that may not open the part.
"""

from nrmbus.events.model import Part
from nrmbus.rules.audience import CHOSEN, may_open, openers_of
from nrmbus.rules.event_context import Step
from nrmbus.rules.vocabulary import Term
from nrmbus.rules.why import FOR


def could_open(step: Step, agency: str, part: Part) -> bool:
    """Return whether *agency* could open *part* in some history: by its role, by the row, or by the sender's choice."""
    row = step.tables.row(step.event.type)
    terms = openers_of(row, part) if row else ()
    return any(_could_be(step, term, agency, part) for term in terms)


def _could_be(step: Step, term: Term, agency: str, part: Part) -> bool:
    if term == "rescuer":
        emergency = step.emergency
        return emergency is not None and emergency.mark.source == agency and part in emergency.parts
    if term in CHOSEN:
        return may_open(step, agency, part) and (term != "to" or agency in step.to)
    return term not in FOR or step.roles.of(agency) in step.tables.profile.expand(FOR[term])
