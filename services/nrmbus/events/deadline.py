"""A duty that was not done in time, as the timekeeper says it [D]."""

from typing import Annotated

from nrmbus.events.codes import ClockRule
from nrmbus.events.model import Data, Time, clear


class DeadlineBreached(Data):
    """A clock has run out; said once for each clock, and it stays on record [D]."""

    type = "deadline.breached"

    rule: Annotated[ClockRule, clear("Which clock of the Rules")]
    due: Annotated[Time, clear("When the duty was due")]
    late_by_minutes: Annotated[int, clear("Minutes since then", ge=0, le=5_270_400)]
