"""Identification by the special unit: stages, interviews, screening, reasonable grounds, status. CoM 131/2009 section 6 [S2]."""

from typing import Annotated

from pydantic import AfterValidator, Field

from nrmbus.events.body import Body, Lowered
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
    Sector,
    Stage,
    VictimStatus,
)
from nrmbus.events.model import AgencyId, Codes, Data, Days, Frozen, Letter, Text, clear, sealed


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


Article = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z][A-Za-z0-9/-]{0,15}( [A-Za-z0-9./-]{1,16}){0,2} [0-9][0-9./-]{0,15}$",
        max_length=64,
        description="Act and article, as `legalbasis` has them",
        examples=["Law art. 17.2"],
    ),
]


class Decider(Frozen):
    """Who decided."""

    type: Annotated[DecidingBody, Field(description="Kind of body")]
    agency: Annotated[
        AgencyId | None,
        Field(description="The agency, if it is one of the directory", examples=["example-unit"]),
    ] = None


class ReasonGiven(Frozen):
    """One reason of a decision."""

    code: Annotated[DecisionReason, Field(description="Which reason")]
    article: Annotated[Article | None, Field(description="Act and article that it rests on")] = None


def _each_once(given: tuple[ReasonGiven, ...]) -> tuple[ReasonGiven, ...]:
    if len(given) != len({each.code for each in given}):
        message = "a list of reasons names each once"
        raise ValueError(message)
    return given


class StatusDecidedV2(Data):
    """As version 1; the deciding body is named, and each reason rests on its article. Law art. 17.2 [S15]; [S2]; [D]."""

    type = "identification.status_decided"
    version = 2
    letter = StatusDecidedLetter

    status: Annotated[VictimStatus, clear("What was decided")]
    deciding_body: Annotated[Decider, clear("Who decided")]
    reasons: Annotated[
        tuple[ReasonGiven, ...] | None,
        Field(min_length=1, max_length=32),
        AfterValidator(lambda given: given and _each_once(given)),
        clear("Why, each code once; owed when negative"),
    ] = None
    review_until_days: Annotated[
        Days | None, clear("Calendar days within which a review may be asked for; owed when negative")
    ] = None

    @classmethod
    def up(cls, body: Body) -> Body:
        """Version 1 says neither which agency decided nor on which articles."""
        data = {**body.data, "deciding_body": {"type": body.data["deciding_body"]}}
        if "reasons" in data:
            data["reasons"] = [{"code": code} for code in data["reasons"]]
        return Body(data, body.letter)

    @classmethod
    def down(cls, body: Body) -> Lowered:
        """Version 1 has room for the kind of body and the bare reasons."""
        decider, given = body.data["deciding_body"], body.data.get("reasons", ())
        lost = ["/data/deciding_body/agency"] if "agency" in decider else []
        lost += [f"/data/reasons/{at}/article" for at, each in enumerate(given) if "article" in each]
        data = {**body.data, "deciding_body": decider["type"]}
        if given:
            data["reasons"] = [each["code"] for each in given]
        return Lowered(Body(data, body.letter), tuple(lost))


class StatusDecidedLetterV3(StatusDecidedLetter):
    """As version 1; the sector of the work beside the forms of exploitation, both as codes for the figures."""

    sector: Annotated[Sector | None, sealed("coded", "DC4", "Sector of the work, ISIC Rev. 4 section", example="F")] = (
        None
    )


class StatusDecidedV3(StatusDecidedV2):
    """As version 2; the letter has the sector of the work. Law art. 17.2 [S15]; [S49]; [D]."""

    version = 3
    letter = StatusDecidedLetterV3

    @classmethod
    def up(cls, body: Body) -> Body:
        """Version 2 says no sector."""
        return body

    @classmethod
    def down(cls, body: Body) -> Lowered:
        """Version 2 has no place for the sector."""
        left = {name: value for name, value in body.letter.items() if name != "sector"}
        return Lowered(Body(body.data, left), ("/letter/sector",) if "sector" in body.letter else ())


class StatusRevoked(Data):
    """The recognition is taken back; what was paid stays paid [S2]."""

    type = "identification.status_revoked"

    reasons: Annotated[Codes[DecisionReason] | None, clear("Why; owed")] = None
    review_until_days: Annotated[Days | None, clear("Calendar days within which a review may be asked for; owed")] = (
        None
    )
