"""What an NGO hears, line by line of ``README.md``: what a line answers is said, and what it asks is a task."""

from nrmbus.desk.procedure.handlers import Inbox, Outbox, hears
from nrmbus.events import (
    ReferralAccepted,
    ReferralAcknowledged,
    ReferralCompleted,
    ReferralDeclined,
    ReferralExpired,
    ReferralInfoRequested,
    ReferralSubmitted,
)
from nrmbus.ngo import procedure


def join(inbox: Inbox, outbox: Outbox) -> None:
    """Make a FastStream handler of each numbered line; its docstring is the line."""
    hears(inbox, outbox, procedure.receive, ReferralSubmitted)
    hears(inbox, outbox, procedure.decline, ReferralDeclined)
    hears(inbox, outbox, procedure.expire, ReferralExpired)
    hears(inbox, outbox, procedure.supply, ReferralInfoRequested)
    hears(inbox, outbox, procedure.note, ReferralAcknowledged, ReferralAccepted, ReferralCompleted)
