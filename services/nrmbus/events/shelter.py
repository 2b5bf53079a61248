"""Shelter: a bed asked for, offered or refused, taken and left; where the house stands is never said. [S3, S7, S8]."""

from typing import Annotated

from nrmbus.events.answer import AnswerLetter, without_letter
from nrmbus.events.body import Body, Lowered
from nrmbus.events.codes import BedCategory, BedRefusal, DischargeReason, Urgency
from nrmbus.events.model import Agencies, AgenciesOrRoles, AgencyId, Data, Letter, clear, sealed
from nrmbus.events.withholding import without_roles


class BedRequestedLetter(Letter):
    """What kind of bed."""

    category: Annotated[BedCategory | None, sealed("coded", "DC2", "Whose unit")] = None
    accessibility: Annotated[bool | None, sealed("coded", "DC2", "Whether a step-free place is needed")] = None


class BedRequested(Data):
    """An agency asks shelters for a bed [S3, S7]."""

    type = "shelter.bed_requested"
    letter = BedRequestedLetter

    to: Annotated[Agencies, clear("Shelters asked")]
    urgency: Annotated[Urgency, clear("How soon: 3, 24 or 72 hours")]
    withhold_from: Annotated[Agencies | None, clear("Who must not hear of it, because the person has refused them")] = (
        None
    )


class BedRequestedV2(Data):
    """As version 1; who must not hear of it may be named by role as well as by id. Rules G-33, G-34."""

    type = "shelter.bed_requested"
    version = 2
    letter = BedRequestedLetter

    to: Annotated[Agencies, clear("Shelters asked")]
    urgency: Annotated[Urgency, clear("How soon: 3, 24 or 72 hours")]
    withhold_from: Annotated[
        AgenciesOrRoles | None,
        clear(
            "Agencies, by id or by role, that must not hear of it, because the person has refused them",
            example=["example-police", "special_unit"],
        ),
    ] = None

    @classmethod
    def up(cls, body: Body) -> Body:
        """Version 1 names agencies by id, which version 2 does too."""
        return body

    @classmethod
    def down(cls, body: Body) -> Lowered:
        """Version 1 has no place for a role, unless the role has the form of an id (`without_roles`)."""
        return without_roles(body)


class BedOffered(Data):
    """An asked shelter holds a bed [D]."""

    type = "shelter.bed_offered"

    valid_hours: Annotated[int, clear("Hours for which the bed is held", ge=1, le=720)]


class BedRefused(Data):
    """An asked shelter has none [D]."""

    type = "shelter.bed_refused"

    reason: Annotated[BedRefusal, clear("Why")]


class BedRefusedV2(Data):
    """As version 1; the shelter may give its reason in words. [D]."""

    type = "shelter.bed_refused"
    version = 2
    letter = AnswerLetter

    reason: Annotated[BedRefusal, clear("Why")]

    @classmethod
    def up(cls, body: Body) -> Body:
        """Version 1 has no letter, which stays empty."""
        return body

    @classmethod
    def down(cls, body: Body) -> Lowered:
        """Version 1 has no letter."""
        return without_letter(body)


class OfferLapsed(Data):
    """The timekeeper ends an offer that nobody took up [D]."""

    type = "shelter.offer_lapsed"

    shelter: Annotated[AgencyId, clear("Whose offer it was")]


class Admitted(Data):
    """The person is in the house [S7, S8]."""

    type = "shelter.admitted"


class Discharged(Data):
    """The person has left the house [S7]."""

    type = "shelter.discharged"

    reason: Annotated[DischargeReason, clear("Why")]
