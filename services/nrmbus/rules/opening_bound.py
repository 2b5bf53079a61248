"""What an agency could open of a letter in any history of the case: the bound that whoever seals holds without the view.

An audience is worked out by whoever has the history. A sender that is told of another one than it had found seals to it
all the same, as far as this goes: nobody can talk it into sealing a part to a role that may not open it.
"""

from nrmbus.events.model import Part
from nrmbus.rules.audience import CHOSEN, may_open, openers_of
from nrmbus.rules.event_context import Step
from nrmbus.rules.vocabulary import Term
from nrmbus.rules.why import FOR


def could_open(step: Step, agency: str, part: Part) -> bool:
    """Whether some history could let *agency* open *part*: by its role, by the row, by whom the sender turned to."""
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
