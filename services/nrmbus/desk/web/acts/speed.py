"""How fast agencies answer referrals, from what this desk has sent and received."""

from collections.abc import Mapping
from datetime import timedelta
from statistics import median
from typing import Final

from sqlalchemy import Connection, select

from nrmbus.desk.store import tables
from nrmbus.wire import times

ANSWERS: Final = ("referral.accepted", "referral.declined")
MOST: Final = 200
"""Most referrals that are looked at: the newest."""

_EVENTS = tables.events.c


def answered_within(tx: Connection, me: str) -> Mapping[str, timedelta]:
    """Return the median time in which each agency has accepted or declined a referral of the agency *me*."""
    sent = select(_EVENTS.subject, _EVENTS.referral, _EVENTS.registered).where(
        _EVENTS.type == "referral.submitted", _EVENTS.source == me, _EVENTS.referral.is_not(None)
    )
    asked = {
        (row.subject, row.referral): row.registered
        for row in tx.execute(sent.order_by(_EVENTS.position.desc()).limit(MOST))
    }
    came = select(_EVENTS.subject, _EVENTS.referral, _EVENTS.source, _EVENTS.registered).where(
        _EVENTS.type.in_(ANSWERS), _EVENTS.source != me
    )
    found: dict[str, list[float]] = {}
    for row in tx.execute(came.order_by(_EVENTS.position.desc()).limit(4 * MOST)):
        begun, ended = times.read(asked.get((row.subject, row.referral), "")), times.read(row.registered)
        if begun is not None and ended is not None:
            found.setdefault(row.source, []).append((ended - begun).total_seconds())
    return {agency: timedelta(seconds=median(seconds)) for agency, seconds in found.items()}
