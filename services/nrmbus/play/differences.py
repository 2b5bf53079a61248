"""Where what services hold differs from a fold of the history: a sentence each, for ``check: replay``."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from nrmbus.auditor.history.history import History, fold
from nrmbus.bus.reach import Where
from nrmbus.desk.state.open_duties import open_referrals
from nrmbus.play.stage import Standing
from nrmbus.play.trail import check
from nrmbus.rules import Rules


def of_case(
    rules: Rules,
    history: History,
    subject: str,
    standing: Standing,
    shown: Mapping[str, Mapping[str, Any]],
    now: datetime,
) -> list[str]:
    """Compare registrar and timekeeper with the fold of all, and each agency's desk with the fold of its own events.

    A case whose retention period is over was erased by its holders, so only the registrar is compared.
    """
    if history.over(subject):
        return [] if standing.status is None else ["the registrar holds a case whose retention period is over"]
    whole = fold(rules, subject, history.facts(subject))
    found = []
    if (standing.status, sorted(standing.open_referrals)) != (whole.status, sorted(whole.open_referrals)):
        found.append("the registrar holds a case otherwise than its history tells it")
    if sorted(standing.open_deadlines) != sorted(clock.code for clock in rules.clocks(whole, now)):
        found.append("the timekeeper holds other duties of a case than its history tells")
    for agency, page in shown.items():
        own = list(history.of(agency, subject))
        if not own:
            if page:
                found.append(f"{agency} shows a case of which it was told nothing")
            continue
        view = fold(rules, subject, own)
        due = (view.status, len(own), sorted(open_referrals(view, agency)))
        if (page.get("status"), page.get("events"), sorted(page.get("open_referrals", ()))) != due:
            found.append(f"{agency} shows a case otherwise than the fold of its own events")
    return found


def of_trail(where: Where) -> list[str]:
    """Numbers, chains and deliveries of the whole bus, read by another client."""
    anomalies = check(where, ())
    return [f"the trail does not hold: {anomalies}"] if anomalies.any else []
