"""Duties that are open as far as this agency can tell: some end with events of which it is not told. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from nrmbus.rules import Clock

UNSEEN: Final = frozenset({"D-ASSIGN"})
"""Clocks that end with events of which whoever waits for them is not told, such as an assessment of needs."""
BETWEEN_TWO: Final = frozenset({"D-ACK", "D-ANSWER", "D-SERVICE", "D-INFO", "D-BED"})
"""Clocks that end with an answer of which the asking and the asked agency alone are told."""
TOLD_WITHIN: Final = timedelta(hours=1)
"""Time in which whoever waits hears that a duty was missed; one that nobody has called missed by then was met."""


def met_unseen(duty: Clock, me: str) -> datetime | None:
    """Return when the agency *me* may take *duty*, of another agency, as met, though no event told so; None if never."""
    if duty.answerable == me or duty.breached:
        return None
    if duty.code in BETWEEN_TWO and me not in duty.told:
        return duty.start
    return duty.due + TOLD_WITHIN if duty.code in UNSEEN and duty.due is not None else None


def open_duties(duties: Iterable[Clock], me: str, now: datetime) -> tuple[Clock, ...]:
    """Return those of *duties* that the agency *me* cannot take as met at *now*."""
    met = ((each, met_unseen(each, me)) for each in duties)
    return tuple(each for each, at in met if at is None or at > now)
