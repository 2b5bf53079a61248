"""Review of a decision: asked for, and decided. [S35]; route [u]."""

from typing import Annotated

from nrmbus.events.codes import DecisionReason, ReviewKind, ReviewOutcome
from nrmbus.events.model import Codes, Data, Letter, Text, clear, sealed


class ReviewRequestedLetter(Letter):
    """What is new."""

    evidence: Annotated[Text | None, sealed("story", "DC4", "The new evidence, or the rule that was broken")] = None


class ReviewRequested(Data):
    """Somebody asks that the latest decision be looked at again [S35]."""

    type = "review.requested"
    letter = ReviewRequestedLetter

    kind: Annotated[ReviewKind, clear("By which way")]
    new_evidence: Annotated[bool, clear("Whether there is new evidence")]
    breach_of_rules: Annotated[bool | None, clear("Whether a rule was broken")] = None


class ReviewDecided(Data):
    """The special unit or the court has looked again [S35]."""

    type = "review.decided"

    outcome: Annotated[ReviewOutcome, clear("Whether identification is taken up again")]
    reasons: Annotated[Codes[DecisionReason], clear("Why")]
