"""Facts of the lists beside the records of a case."""

from nrmbus.desk.web.work.known import owed
from rules import stories
from rules.given import Bench


def test_an_allowance_is_owed_for_each_recognition() -> None:
    """Given a recognition, paid and then revoked, then the allowance of a second recognition is owed until it is ordered."""
    case = stories.paid(Bench())
    case.say("fund", "payment.executed", ref="P-1")
    assert owed(case.rules, case.view) == ""

    case.at("d50 9:00").say("special-unit", "identification.status_revoked")
    case.say("ngo-a", "review.requested", ref="V-1")
    case.say("special-unit", "review.decided", ref="V-1")
    assert owed(case.rules, case.view) == ""
    case.say("special-unit", "identification.indicators_screened", letter=True)
    case.say("special-unit", "identification.reasonable_grounds_decided")
    case.say("special-unit", "identification.status_decided", letter=True)
    assert owed(case.rules, case.view) == "700.00 AZN"

    case.say("fund", "payment.ordered", ref="P-2")
    assert owed(case.rules, case.view) == ""
