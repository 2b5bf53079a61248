"""What the special unit hears, line by line of ``README.md``: what a line answers is said, and what it asks is a task."""

from nrmbus.desk.procedure.handlers import Inbox, Outbox, hears
from nrmbus.events import InterviewHeld, ReasonableGroundsDecided, ReferralSubmitted
from nrmbus.police import procedure


def join(inbox: Inbox, outbox: Outbox) -> None:
    """Make a FastStream handler of each numbered line; its docstring is the line."""
    hears(inbox, outbox, procedure.receive, ReferralSubmitted)
    hears(inbox, outbox, procedure.warn, InterviewHeld)
    hears(inbox, outbox, procedure.reflect, ReasonableGroundsDecided)
