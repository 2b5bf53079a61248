"""State of the body that decides, and questions that several of its lines ask."""

import json
from datetime import timedelta
from typing import Self

from nrmbus.desk.procedure.handoffs import Referring
from nrmbus.desk.procedure.interface import Heard
from nrmbus.rules.profile import DECIDERS


class State(Referring):
    """Referrals that ask for services."""

    @classmethod
    def from_json(cls, raw: bytes | str) -> Self:
        """Read a stored book; leave out the cases of foreign nationals, which an earlier release noted from sealed letters."""
        stored = {name: value for name, value in json.loads(raw).items() if name not in {"foreign", "reopened"}}
        return super().from_json(json.dumps(stored))


def decides(heard: Heard) -> bool:
    """Return whether this agency is a body that decides, by the profile of the case."""
    return heard.agencies[heard.me].role in heard.profile.expand((DECIDERS,))


def holds_removal(heard: Heard) -> bool:
    """Return whether a hold on removal stands that this agency asked for."""
    return any(not each.ended and each.mark.source == heard.me for each in heard.view.holds.values())


def last_day(heard: Heard) -> str | None:
    """Return the last day for a review, if the event is a negative decision of this agency."""
    decision = heard.view.decisions.get(heard.view.negative or "")
    if not heard.own or not decides(heard) or decision is None or decision.mark.id != heard.event.id:
        return None
    told = max(heard.event.time, heard.registered).astimezone(heard.profile.zone)
    return (told.date() + timedelta(days=decision.review_days)).isoformat()
