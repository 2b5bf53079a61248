"""A breach of data protection, as an agency reports it. An event about no case: it names no person and no case [D]."""

from typing import Annotated

from nrmbus.events.codes import BreachedClass, BreachKind, BreachMeasure, PersonsBand
from nrmbus.events.model import Agencies, Codes, Data, clear


class BreachReported(Data):
    """An agency reports that data about persons were lost, altered or seen by somebody who may not [D].

    No general duty to report was found in the law [S57]. The agencies whose data
    or people are affected are told, and the national coordinator; how many persons is said as a band.
    """

    type = "data.breach_reported"
    keyed_by = "agency"

    to: Annotated[Agencies | None, clear("Other agencies that are affected", example=["example-shelter"])] = None
    kind: Annotated[BreachKind, clear("What happened")]
    classes: Annotated[Codes[BreachedClass], clear("Classes of the data affected")]
    persons: Annotated[PersonsBand, clear("How many persons, as a band")]
    measures: Annotated[Codes[BreachMeasure], clear("What was done so far")]
    ended: Annotated[bool, clear("Whether the breach is over")]
