"""A duty that was not done in time, as the timekeeper says it, and one that nobody is left to do [D]."""

from typing import Annotated, Literal

from nrmbus.events.codes import ClockRule
from nrmbus.events.model import AgencyId, Data, Time, clear


class DeadlineBreached(Data):
    """A clock has run out; said once for each clock, and it stays on record [D]."""

    type = "deadline.breached"

    rule: Annotated[ClockRule, clear("Which clock of the Rules")]
    due: Annotated[Time, clear("When the duty was due")]
    late_by_minutes: Annotated[int, clear("Minutes since then", ge=0, le=5_270_400)]


LiftedGround = Literal["agency_dissolved", "keys_lost", "no_contact"]
"""Why the agency cannot answer any more [D]: it exists no longer, it cannot sign any more, or nobody reaches it."""


class DeadlineLifted(Data):
    """An overdue confirmation is expected no more, since its agency is gone for good; two members of staff act [D].

    It lifts the duties that go on after an agency has left a case, and no other. The breach stays on record, and the
    confirmation counts as missing; should the agency come back, it may still give it.
    """

    type = "deadline.lifted"

    rule: Annotated[ClockRule, clear("Which clock of the Rules")]
    agency: Annotated[AgencyId, clear("The agency that owes it", example="example-ngo")]
    ground: Annotated[LiftedGround, clear("Why it cannot be met any more")]
