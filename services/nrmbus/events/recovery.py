"""Recovery and reflection: the time in which nobody may remove the person. CETS 197 art. 13 [S30, S33]."""

from typing import Annotated

from nrmbus.events.codes import ExtensionGround, RecoveryEnd, RecoveryReview
from nrmbus.events.model import Data, Days, Letter, clear, sealed


class PeriodStarted(Data):
    """The period begins; follows from reasonable grounds. CETS 197 art. 13 [S30]."""

    type = "recovery.period_started"

    days: Annotated[Days, clear("Its length in calendar days")]


class PeriodExtendedLetter(Letter):
    """Why, which may be about health."""

    ground: Annotated[ExtensionGround | None, sealed("health", "DC4", "Ground of the extension")] = None


class PeriodExtended(Data):
    """The period is made longer [S35]."""

    type = "recovery.extended"
    letter = PeriodExtendedLetter

    days: Annotated[Days, clear("Calendar days more")]


class PeriodReviewed(Data):
    """The special unit has looked whether the period is long enough [S35]."""

    type = "recovery.reviewed"

    outcome: Annotated[RecoveryReview, clear("What it found")]


class PeriodEnded(Data):
    """The period is over. CETS 197 art. 13 [S30]."""

    type = "recovery.ended"

    reason: Annotated[RecoveryEnd, clear("Why")]
