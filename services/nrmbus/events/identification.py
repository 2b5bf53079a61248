"""Identification by the special unit: stages, interviews, screening, reasonable grounds, status. CoM 131/2009 section 6 [S2]."""

from typing import Annotated

from nrmbus.events.case import IndicatorCounts
from nrmbus.events.codes import (
    Attendee,
    DecidingBody,
    DecisionReason,
    Exploitation,
    GroundsOutcome,
    Indicator,
    IndicatorList,
    IndicatorSet,
    Stage,
    VictimStatus,
)
from nrmbus.events.model import Codes, Data, Days, Letter, Text, clear, sealed


class StageEntered(Data):
    """The special unit begins a stage; they come in order. CoM 131/2009 6.4 to 6.7 [S2]."""

    type = "identification.stage_entered"

    stage: Annotated[Stage, clear("Which")]


class InterviewHeldLetter(Letter):
    """What was said, shared so that nobody has to say it twice."""

    record: Annotated[Text | None, sealed("story", "DC4", "The record of the interview")] = None


class InterviewHeld(Data):
    """The special unit has spoken with the person; a child's representative and a doctor are there. CoM 131/2009 6.2 [S2]."""

    type = "identification.interview_held"
    letter = InterviewHeldLetter

    number: Annotated[int, clear("Number of the interview in the case, from 1", ge=1, le=99)]
    attended: Annotated[Codes[Attendee], clear("Who was there, by role")]


class IndicatorsScreenedLetter(Letter):
    """Which indicators were found; the list used tells the form of exploitation, so it is sealed."""

    counts: Annotated[IndicatorCounts | None, sealed("coded", "DC2", "Number of indicators per dimension")] = None
    list: Annotated[IndicatorList | None, sealed("story", "DC4", "List that was gone through")] = None
    indicators: Annotated[Codes[Indicator] | None, sealed("story", "DC4", "Indicators found")] = None


class IndicatorsScreened(Data):
    """The special unit has gone through the indicators [S2, S51]."""

    type = "identification.indicators_screened"
    letter = IndicatorsScreenedLetter

    indicator_set: Annotated[IndicatorSet, clear("Which set of indicators")]


class ReasonableGroundsDecided(Data):
    """The special unit finds that there are, or are not, reasonable grounds. CETS 197 art. 10, 13 [S30]."""

    type = "identification.reasonable_grounds_decided"

    outcome: Annotated[GroundsOutcome, clear("Whether there are grounds")]
    reasons: Annotated[Codes[DecisionReason] | None, clear("Why; owed when negative")] = None
    review_until_days: Annotated[
        Days | None, clear("Calendar days within which a review may be asked for; owed when negative")
    ] = None


class StatusDecidedLetter(Letter):
    """What the person was a victim of."""

    exploitation: Annotated[Codes[Exploitation] | None, sealed("coded", "DC4", "Forms of exploitation")] = None


class StatusDecided(Data):
    """The person is, or is not, recognised as a victim. Law art. 17.2 [S15]; [S2]."""

    type = "identification.status_decided"
    letter = StatusDecidedLetter

    status: Annotated[VictimStatus, clear("What was decided")]
    deciding_body: Annotated[DecidingBody, clear("Kind of body that decided")]
    reasons: Annotated[Codes[DecisionReason] | None, clear("Why; owed when negative")] = None
    review_until_days: Annotated[
        Days | None, clear("Calendar days within which a review may be asked for; owed when negative")
    ] = None


class StatusRevoked(Data):
    """The recognition is taken back; what was paid stays paid [S2]."""

    type = "identification.status_revoked"

    reasons: Annotated[Codes[DecisionReason] | None, clear("Why; owed")] = None
    review_until_days: Annotated[Days | None, clear("Calendar days within which a review may be asked for; owed")] = (
        None
    )
