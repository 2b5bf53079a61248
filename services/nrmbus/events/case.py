"""The case itself: the first signal, an incident of many, links, withdrawal, closing, re-opening, follow-up."""

from typing import Annotated, Final, Literal, get_args

from pydantic import Field

from nrmbus.events.body import Body, Lowered
from nrmbus.events.codes import (
    AgeBand,
    CaseStage,
    Citizenship,
    ClosureReason,
    Confidence,
    CopyForm,
    Detector,
    DismissalReason,
    Indicator,
    Language,
    MergeOutcome,
    PaperLanguage,
    PlaceType,
    Region,
    ReopeningReason,
    RequestedBy,
    Sector,
    Sex,
    SignalBasis,
    StillSafe,
    ToldBy,
    Urgency,
)
from nrmbus.events.model import CaseRef, Codes, Data, Frozen, Letter, clear, sealed

Count = Annotated[int, Field(ge=0, le=99)]
Month = Annotated[int, Field(ge=1, le=120)]


class IndicatorCounts(Frozen):
    """How many indicators were seen in each dimension, recruitment and destination together."""

    deception: Annotated[Count | None, Field(description="Deception")] = None
    coercion: Annotated[Count | None, Field(description="Coercion")] = None
    vulnerability: Annotated[Count | None, Field(description="Abuse of vulnerability")] = None
    exploitation: Annotated[Count | None, Field(description="Exploitation")] = None


class SignalRecordedLetter(Letter):
    """The signal's facts. Of an adult the special unit reads the coded ones only, until he agrees to more."""

    age_band: Annotated[AgeBand | None, sealed("coded", "DC2", "Age band")] = None
    sex: Annotated[Sex | None, sealed("coded", "DC2", "Sex")] = None
    citizenship: Annotated[
        Citizenship | None, sealed("coded", "DC2", "Citizenship, ISO 3166-1; XA to XZ in examples")
    ] = None
    language: Annotated[Language | None, sealed("coded", "DC2", "Language spoken, ISO 639-2/T")] = None
    region: Annotated[Region | None, sealed("coded", "DC2", "Region where the person was found, ISO 3166-2")] = None
    indicator_counts: Annotated[
        IndicatorCounts | None, sealed("coded", "DC2", "Number of indicators per dimension")
    ] = None
    previous_case: Annotated[
        CaseRef | None, sealed("coded", "DC2", "An earlier case of the same person; it links people")
    ] = None
    indicators: Annotated[
        Codes[Indicator] | None, sealed("story", "DC4", "Indicators seen; they tell the form of exploitation")
    ] = None
    told_by: Annotated[ToldBy | None, sealed("story", "DC4", "Where the detector knows it from")] = None


class SignalRecorded(Data):
    """A detector has met somebody who may be a victim; opens the case. CoM 21/2008 art. 7; anonymous notice until he agrees."""

    type = "case.signal_recorded"
    letter = SignalRecordedLetter

    detector: Annotated[Detector, clear("Role of the detector")]
    child: Annotated[bool, clear("Whether the procedure for children applies, as it does when the age is unclear")]
    urgency: Annotated[Urgency, clear("How soon somebody must act")]
    detected_abroad: Annotated[bool, clear("Whether the person was found outside the country")]
    basis: Annotated[Codes[SignalBasis], clear("What the signal rests on")]


class ReReferredLetter(SignalRecordedLetter):
    """As a signal's letter; the earlier case is in `previous_case`."""


class ReReferred(SignalRecorded):
    """Somebody who had a case before is met again; opens a new case, and the old one stays as it is. Rules T18."""

    type = "case.re_referred"
    letter = ReReferredLetter


class SignalDismissed(Data):
    """The detector finds that there was nothing to the signal; a child's needs a second member of staff [D]."""

    type = "case.signal_dismissed"

    reason: Annotated[DismissalReason, clear("Why")]


class IncidentOpenedLetter(Letter):
    """What the place and the work tell about those found."""

    sector: Annotated[Sector | None, sealed("story", "DC4", "Sector of the work, ISIC Rev. 4 section")] = None


class IncidentOpened(Data):
    """A detector has found several people at one place; each becomes a case of its own [D]."""

    type = "incident.opened"
    letter = IncidentOpenedLetter
    keyed_by = "incident"

    place_type: Annotated[PlaceType, clear("Kind of place, never the place")]
    head_count: Annotated[int, clear("How many people", ge=1, le=9999)]


PlaceFound = Literal[PlaceType, "workplace", "vehicle"]
"""Where people are found [D]. Any farm, factory, hotel or shop is a ``workplace``: a finer kind would tell the sector, which is sealed."""


class IncidentOpenedV2(Data):
    """As version 1; people may be found at a workplace or in a vehicle. [D]."""

    type = "incident.opened"
    version = 2
    letter = IncidentOpenedLetter
    keyed_by = "incident"

    place_type: Annotated[PlaceFound, clear("Kind of place, never the place", example="workplace")]
    head_count: Annotated[int, clear("How many people", ge=1, le=9999)]

    @classmethod
    def up(cls, body: Body) -> Body:
        """Version 2 knows every kind of version 1."""
        return body

    @classmethod
    def down(cls, body: Body) -> Lowered:
        """Version 1 has neither workplace nor vehicle: both are other places there."""
        if body.data["place_type"] in get_args(PlaceType):
            return Lowered(body, ())
        return Lowered(Body({**body.data, "place_type": "other"}, body.letter), ("/data/place_type",))


class LinkedLetter(Letter):
    """The other case; nobody is sent it, but it stays with the history of the special unit."""

    other_case: Annotated[CaseRef | None, sealed("coded", "DC2", "The other case of the same person")] = None


class Linked(Data):
    """The special unit finds that two cases are one person's; said once on each, so that figures count one [D]."""

    type = "case.linked"
    letter = LinkedLetter

    confidence: Annotated[Confidence, clear("How sure the special unit is")]


class MergedLetter(Letter):
    """The other case; nobody is sent it, but it stays with the history of the special unit."""

    other_case: Annotated[
        CaseRef | None, sealed("coded", "DC2", "The other case of the same person", example=f"{2:032x}")
    ] = None


class Merged(Data):
    """The special unit goes on with one of two cases of a person; published on each, first on the one that continues [D].

    Histories stay apart. The case that ends is closed, and what was decided in a case keeps it from ending.
    """

    type = "case.merged"
    letter = MergedLetter

    outcome: Annotated[MergeOutcome, clear("Whether this case continues or ends")]


class CopyIssued(Data):
    """A party of a referral gives the person her own copy of the form [S43]."""

    type = "case.copy_issued"

    form: Annotated[CopyForm, clear("Which paper")]
    paper_language: Annotated[PaperLanguage, clear("Language of the paper")]


class Withdrawn(Data):
    """The person wants no more of it; a child cannot [S35]."""

    type = "case.withdrawn"

    stage: Annotated[CaseStage, clear("How far the case had come")]
    requested_by: Annotated[RequestedBy, clear("Who asked for it")]


class Closed(Data):
    """The holder of the case ends it [S35, S45, S46]."""

    type = "case.closed"

    reason: Annotated[ClosureReason, clear("Why")]
    follow_up: Annotated[bool, clear("Whether the person agreed to be asked again after 3, 6 and 12 months")]


class Reopened(Data):
    """The holder, the special unit or a court opens a closed case again [S46]."""

    type = "case.reopened"

    reason: Annotated[ReopeningReason, clear("Why")]


class FollowUpDue(Data):
    """The timekeeper reminds the holder to ask how the person fares [S55]."""

    type = "case.follow_up_due"

    month: Annotated[Month, clear("Months since the case was closed")]


class FollowUpRecordedLetter(Letter):
    """The answer."""

    still_safe: Annotated[StillSafe | None, sealed("coded", "DC2", "Whether the person is still safe")] = None


class FollowUpRecorded(Data):
    """A provider has asked how the person fares [S55]."""

    type = "case.follow_up_recorded"
    letter = FollowUpRecordedLetter

    month: Annotated[Month, clear("Months since the case was closed")]


OPENING: Final = frozenset({SignalRecorded.type, ReReferred.type})
"""Types with which the case of a person begins; an incident is no person's case."""
