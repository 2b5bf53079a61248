"""State of the erasure of a case's data: the decision, holds, and the end of the retention period."""

from nrmbus.events.values import frozen
from nrmbus.rules.mark import Mark


@frozen
class AccessHold:
    """Hold on an erasure until the end of the day *until*; *objects_only* if the hold only objects to a decision."""

    source: str
    until: str
    objects_only: bool = False


@frozen
class Erasure:
    """End of access to stored data: the decision, the holds, the decision that is ``due`` and the confirmations.

    ``retention`` marks the event that ended the retention period; ``told`` lists the agencies notified by that event.
    """

    terminated: Mark | None = None
    holds: tuple[AccessHold, ...] = ()
    due: str | None = None
    confirmed: frozenset[str] = frozenset()
    retention: Mark | None = None
    told: frozenset[str] = frozenset()
