"""Duties and referrals that are open as far as this agency can tell: some end with events of which it is not told. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from nrmbus.events.shelter import OfferLapsed
from nrmbus.rules import Clock, View
from nrmbus.rules.due import Due

UNSEEN: Final = frozenset({"D-ASSIGN"})
"""Clocks that end with events of which whoever waits for them is not told, such as an assessment of needs."""
BETWEEN_TWO: Final = frozenset({"D-ACK", "D-ANSWER", "D-SERVICE", "D-INFO", "D-BED"})
"""Clocks that end with an answer of which the asking and the asked agency alone are told."""
_ANSWERED: Final = frozenset({"accepted", "completed", "declined"})
"""States of a receiver that its own answer alone leads to."""
TOLD_WITHIN: Final = timedelta(hours=1)
"""Time in which whoever waits hears that a duty was missed; one that nobody has called missed by then was met."""


def met_unseen(duty: Clock, me: str) -> datetime | None:
    """Return when the agency *me* may take *duty*, of another agency, as met, though no event told so; None if never."""
    if duty.answerable == me or duty.breached:
        return None
    if me not in duty.told:  # nobody would call it missed here
        return duty.start if duty.code in BETWEEN_TWO else duty.due
    return duty.due + TOLD_WITHIN if duty.code in UNSEEN and duty.due is not None else None


def open_duties(duties: Iterable[Clock], me: str, now: datetime) -> tuple[Clock, ...]:
    """Return those of *duties* that the agency *me* cannot take as met at *now*."""
    met = ((each, met_unseen(each, me)) for each in duties)
    return tuple(each for each, at in met if at is None or at > now)


def held_until(due: Iterable[Due]) -> Mapping[tuple[str, str], datetime]:
    """Return until when each offered bed is held, by reference and shelter; *due* is what becomes due in the case."""
    return {(each.ref or "", each.data.shelter): each.at for each in due if isinstance(each.data, OfferLapsed)}


def hears(me: str, sender: str, receiver: str, state: str) -> bool:
    """Return whether the agency *me* knows how *receiver*, whose *state* is known here, answered a referral of *sender*.

    Answers go to the sender; an acceptance also to the agency that held the case before. The end of a referral tells a
    receiver of its own part alone, since another one may have answered before.
    """
    return me in (sender, receiver) or state in _ANSWERED


def open_referrals(view: View, me: str) -> tuple[str, ...]:
    """Return the referrals of *view* with a receiver whose answer is missing and would be heard by the agency *me*."""
    return tuple(
        ref
        for ref, referral in view.referrals.items()
        if any(
            each.state == "submitted" and hears(me, referral.sender, each.agency, each.state)
            for each in referral.receivers
        )
    )
