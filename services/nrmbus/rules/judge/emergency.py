"""G-70 to G-72: emergency access. The asker always sees G-70; the history also records the rule that applied."""

from typing import Final

from nrmbus.rules.emergency import ASKED, RESEALED, is_too_late, parts_needed, refused_by_person, second_agencies
from nrmbus.rules.judge.check import Check, Question, RuleList

_rules = RuleList()


@_rules.rule("G-70", ASKED, RESEALED)
def not_available(q: Question) -> bool:
    """Nobody else holds the case who may hear of it, nobody could be told beside the holder, nothing is needed, or the holder was asked already.

    Of an answer: what it answers is an emergency no longer, or the asker has no part in the case any more. The asker is shut
    out: it reads nothing.
    """
    if q.event.type == RESEALED:
        asked = q.emergency
        asker = asked.mark.source if asked else ""
        is_gone = not q.view.on_case(asker) or q.shut_out(asker) is not None
        return asked is not None and (is_too_late(q.tables, asked, q.now) or is_gone)
    holder = q.holder
    if (
        q.shut_out(q.source)
        or holder is None
        or holder == q.source
        or q.barred(holder)
        or refused_by_person(q.view, holder, q.today)
    ):
        return True
    # Only the present holder is waited for: the desk of a former holder may be off, or suspended.
    waiting = [
        each
        for each in q.view.emergencies.values()
        if each.open
        and (each.mark.source, each.holder) == (q.source, q.holder)
        and not is_too_late(q.tables, each, q.now)
    ]
    return bool(waiting) or not parts_needed(q) or not tuple(second_agencies(q))


@_rules.rule("G-71", ASKED, RESEALED)
def person_refused(q: Question) -> bool:
    """The person, a child included, refused the asking agency or withdrew her consent, for any purpose."""
    asking = q.emergency.mark.source if q.event.type == RESEALED and q.emergency else q.source
    return refused_by_person(q.view, asking, q.today)


@_rules.rule("G-72", ASKED)
def monthly_limit(q: Question) -> bool:
    """The agency has broken the glass as often in this month, over all cases, as the profile allows."""
    return q.spent >= q.tables.profile.emergency.monthly


CHECKS: Final[tuple[Check, ...]] = tuple(_rules.checks)
