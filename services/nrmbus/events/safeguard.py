"""Safeguards of a child: flagged, age assessed, represented, best interests before return. [S2, S8, S25, S36, S42]."""

from typing import Annotated

from nrmbus.events.codes import AgeResult, BestInterests, BestInterestsCondition, ChildBasis, ReturnedTo
from nrmbus.events.model import Agencies, Code, CodesOrNone, Data, clear


class ChildFlagged(Data):
    """The person is a child or may be one; guardianship and child commission hear of it before any referral [S36, S42]."""

    type = "safeguard.child_flagged"

    to: Annotated[Agencies, clear("The guardian bodies told")]
    basis: Annotated[ChildBasis, clear("What it rests on")]


class AgeAssessed(Data):
    """The special unit has had the age assessed; while unclear, the person is a child [S42]."""

    type = "safeguard.age_assessed"

    result: Annotated[AgeResult, clear("What was found")]


class RepresentativeAssigned(Data):
    """Guardianship gives the child a representative. CoM 131/2009 6.2 [S2]."""

    type = "safeguard.representative_assigned"

    representative: Annotated[Code, clear("The representative's number, whose meaning only guardianship knows")]


class BestInterestsDecided(Data):
    """Where the child may live, decided before any return [S8, S25]."""

    type = "safeguard.best_interests_decided"

    outcome: Annotated[BestInterests, clear("What was decided")]
    conditions: Annotated[CodesOrNone[BestInterestsCondition], clear("On what conditions")]


class ReturnedToFamily(Data):
    """The child was brought to family, as the latest decision allows [S8, S25]."""

    type = "safeguard.returned_to_family"

    returned_to: Annotated[ReturnedTo, clear("To whom")]
