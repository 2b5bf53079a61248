"""What a shelter hears, line by line of ``README.md``: what a line answers is said, and what it asks is a task."""

from nrmbus.desk.procedure.handlers import Inbox, Outbox, hears
from nrmbus.events import BedRequested
from nrmbus.shelter import procedure


def join(inbox: Inbox, outbox: Outbox) -> None:
    """Make a FastStream handler of each numbered line; its docstring is the line."""
    hears(inbox, outbox, procedure.answer, BedRequested)
