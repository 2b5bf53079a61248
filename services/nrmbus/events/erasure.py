"""The end of access to what is stored about a person: by decision of a court or prosecution, or because its time is over.

A decision does not erase by itself: holders and the auditor have a week to object, and a hold stops it for its days.
Then the timekeeper says that it is due, each holder destroys what opens the case's letters, and confirms that it did.
"""

from typing import Annotated, Literal

from nrmbus.events.model import Codes, Data, Day, Letter, Printable, Time, clear, sealed

ErasureGround = Literal["decision", "retention"]
"""Why: a court or prosecution has decided; or the time for which the profile has it kept is over."""


class AccessTerminatedLetter(Letter):
    """Which decision: its number leads to a file that names the person."""

    decision_number: Annotated[
        Printable | None,
        sealed("identity", "DC3", "Number of the decision in the court's own file", example="2(004)-17/2026"),
    ] = None


class AccessTerminated(Data):
    """A court or prosecution ends access to what is stored about a person [S11]; two of its staff act [D]."""

    type = "access.terminated"
    letter = AccessTerminatedLetter

    body: Annotated[Literal["court", "prosecution"], clear("Whose decision it is")]
    scope: Annotated[Literal["case"], clear("What it is about: everything in this case")]


class AccessHoldPlaced(Data):
    """Somebody objects to an erasure, or has the case kept for a while on other grounds; until its last day nothing is erased [D]."""

    type = "access.hold_placed"

    reasons: Annotated[
        Codes[Literal["objection", "criminal_proceedings", "civil_claim", "inspection", "person_request"]],
        clear(
            "Why it is kept: an objection to the decision, proceedings or a claim that need it, an inspection, the person's wish"
        ),
    ]
    until: Annotated[Day, clear("The last day of the hold, a day of the profile's zone", example="2026-09-30")]


class AccessErasureDue(Data):
    """The days for objecting are over, or the time of keeping, and no hold stands: whoever holds the case erases it now [D]."""

    type = "access.erasure_due"
    technical = True

    ground: Annotated[ErasureGround, clear("Why it is erased")]


class AccessErasureConfirmed(Data):
    """A holder has destroyed what opens the case's letters: their keys, the letters, and drafts [D]."""

    type = "access.erasure_confirmed"
    technical = True

    ground: Annotated[ErasureGround, clear("Why it was erased")]
    horizon: Annotated[
        Time, clear("From when on no backup of this holder opens them either", example="2026-12-01T00:00:00Z")
    ]
