"""Consent: per receiver and purpose, given, refused, withdrawn, overridden; and the confirmation that use has stopped.

Each event names exactly one receiver, so that no receiver learns of another.
"""

from typing import Annotated

from nrmbus.events.codes import (
    ApproverRole,
    ConsentForm,
    ConsentObjection,
    GivenBy,
    OverrideGround,
    Purpose,
    StopAnswer,
)
from nrmbus.events.model import Codes, Data, Day, OneAgency, clear


class ConsentGiven(Data):
    """The person lets one receiver have what the purposes need. Written consent [S57]; [S43, S46]."""

    type = "consent.given"

    purposes: Annotated[Codes[Purpose], clear("What for")]
    receivers: Annotated[OneAgency, clear("The one agency that it is about")]
    given_by: Annotated[GivenBy, clear("Who gave it")]
    form: Annotated[ConsentForm, clear("How it was given")]
    expires: Annotated[Day | None, clear("The last day on which it holds")] = None


class ConsentRefused(Data):
    """The person does not let one receiver have it; it stands until another consent [S46]."""

    type = "consent.refused"

    purposes: Annotated[Codes[Purpose], clear("What for")]
    receivers: Annotated[OneAgency, clear("The one agency that it is about")]
    given_by: Annotated[GivenBy, clear("Who refused")]


class ConsentWithdrawn(Data):
    """The person takes back what one receiver was allowed; that agency must stop and say so (C8 [D])."""

    type = "consent.withdrawn"

    purposes: Annotated[Codes[Purpose], clear("What for")]
    receivers: Annotated[OneAgency, clear("The one agency that it is about")]


class ConsentOverridden(Data):
    """An agency goes on without consent, on a ground in law, for one receiver [S46]."""

    type = "consent.overridden"

    receivers: Annotated[OneAgency, clear("The one agency that it is about")]
    ground: Annotated[OverrideGround, clear("On which ground")]
    approver_role: Annotated[ApproverRole, clear("Role of the member of staff who approved it")]


class ConsentObjected(Data):
    """The case holder doubts a consent or override that another agency recorded; it stands until the person says otherwise.

    `consent` names it. Who recorded it, its receiver and their supervisors hear of the doubt, and ask the person [D].
    """

    type = "consent.objected"

    receivers: Annotated[OneAgency, clear("The one agency that the consent is about")]
    ground: Annotated[ConsentObjection, clear("What the holder doubts")]


class ConsentStopConfirmed(Data):
    """An agency whose consent was withdrawn says what it did with what it had; its duty to retain goes to `legalbasis` [D]."""

    type = "consent.stop_confirmed"

    answer: Annotated[StopAnswer, clear("Deleted, or to be retained by law")]
