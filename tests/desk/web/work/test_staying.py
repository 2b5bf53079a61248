"""Items of stay and return: what ends comes to both sides in time, and a return stands under its step."""

from datetime import timedelta

import pytest

from desk.web.work.test_items import MINUTES, facts, rows, told, yes
from nrmbus.desk.web.work.item import Item, Task
from nrmbus.desk.web.work.items import items_of
from rules import stories
from rules.given import Bench, moment

UNIT = "special-unit"


def board(bench: Bench, agency: str, list: str, role: str) -> list[tuple[str, str, str]]:
    """Return type, state and next act of each row of the *list* on the board of *role*."""
    return [(each.type, each.state, each.act) for each in rows(bench, agency, list, role)]


def test_a_hold_shows_its_last_day_at_both_sides() -> None:
    """Given a hold of 30 days, then the unit and the migration service see the day on which it ends."""
    case = stories.housed(Bench())

    for agency, list, role in ((UNIT, "holds", "special_unit"), ("migration", "holds-standing", "migration")):
        (row,) = rows(case, agency, list, role)
        assert (row.state, row.due) == ("confirmed", moment("d30 24:00"))


def test_a_hold_follows_the_recovery_period() -> None:
    """Given a recovery period that ends later, then the hold is shown with that end."""
    case = stories.presumed(Bench()).at("d10 9:00")
    case.say(UNIT, "recovery.extended", days=20)

    (row,) = rows(case, "migration", "holds-standing", "migration")
    assert row.due == moment("d54 24:00")


def test_a_hold_that_ends_soon_waits_for_both() -> None:
    """Given a hold near its end, then the unit asks for another, and the service sees that it ends; after it, it is overdue."""
    case = stories.housed(Bench())
    assert told(case, "migration", "waits") == []
    asked_again = ("stay.hold_confirmed", ("migration",), "confirmed", "stay.hold_requested")
    assert asked_again in told(case.at("d28 9:00"), UNIT, "waits")
    assert [each[0] for each in told(case, "migration", "waits")] == ["stay.hold_confirmed"]
    (row,) = rows(case.at("d31 9:00"), "migration", "waits")
    assert row.is_late(case.now)


def test_a_second_hold_takes_the_place_of_the_first() -> None:
    """Given the shield of a year, then the end of the first hold is nobody's work any more."""
    case = stories.identified(Bench())
    case.say(UNIT, "stay.hold_requested", ref="H-2", to=["migration"], ground="status", until_days=365)
    case.say("migration", "stay.hold_confirmed", ref="H-2", until_days=365)
    case.at("d43 9:00")

    assert [each.type for each in rows(case, "migration", "waits")] == []
    assert [each.state for each in rows(case, "migration", "holds-standing", "migration")] == ["confirmed", "confirmed"]


def test_a_hold_that_stands_is_not_asked_for_again() -> None:
    """Given a decision after which a hold is to be asked for, the task stands until one is asked for, and again when it has ended."""
    case = stories.identified(Bench())
    task = Task(1, "ask_hold", case.now, event_type="identification.status_decided")

    def left() -> list[int | None]:
        found = items_of(UNIT, facts(case, UNIT, (task,)), MINUTES, yes)
        return [each.task for each in found if each.about == "task"]

    assert left() == []
    case.say(UNIT, "stay.hold_ended", ref="H-1", reason="left_country")
    assert left() == [1]


def test_an_ended_hold_is_no_work() -> None:
    """Given a hold that the unit has ended, then it stands among the ended ones alone."""
    case = stories.identified(Bench())
    case.say(UNIT, "stay.hold_ended", ref="H-1", reason="left_country")

    assert board(case, "migration", "holds-ended", "migration") == [("stay.hold_requested", "ended", "")]
    assert rows(case.at("d60 9:00"), "migration", "waits") == []


def test_a_permit_is_renewed_before_it_ends() -> None:
    """Given a permit of 90 days and a renewal, then the service sees its last day, and renews before that."""
    case = stories.identified(Bench())
    case.say("migration", "stay.permit_issued", valid_days=90)
    (row,) = rows(case, "migration", "permits", "migration")
    assert (row.due, row.act) == (moment("d132 24:00"), "stay.permit_renewed")
    case.say("migration", "stay.permit_renewed", valid_days=30)
    (row,) = rows(case, "migration", "permits", "migration")
    assert row.due == moment("d162 24:00")
    assert "stay.permit_issued" in [each.type for each in rows(case.at("d160 9:00"), "migration", "waits")]
    seen = items_of("vac", facts(case, "vac"), 10, lambda _: True)
    assert [(each.side, each.act) for each in seen if each.about == "permit"] == [("record", "")]


def test_a_renewal_without_the_permit_counts_from_itself() -> None:
    """Given an agency that joined after the permit, then the days count from the renewal."""
    case = stories.identified(Bench())
    case.say("migration", "stay.permit_renewed", valid_days=30)

    assert [each.due for each in rows(case, "migration", "permits", "migration")] == [moment("d72 24:00")]


@pytest.mark.parametrize(
    ("story", "list", "row"),
    [
        (stories.wishing, "returns-risk", ("return.consented", "consented", "return.risk_assessed")),
        (stories.assessed, "returns-journey", ("return.risk_assessed", "assessed", "return.travel_arranged")),
        (stories.arranged, "returns-travelling", ("return.travel_arranged", "travel_arranged", "return.completed")),
        (stories.home, "returns-home", ("return.completed", "arrived", "return.monitored")),
    ],
)
def test_a_return_stands_under_its_step(story: object, list: str, row: tuple[str, str, str]) -> None:
    """Given a return at some step, then the organisation sees it under that step, with the next one."""
    assert callable(story)
    assert board(story(Bench()), "iom", list, "international_organisation") == [row]


def _seen_by(case: Bench, agency: str) -> list[Item]:
    items = items_of(agency, facts(case, agency), 10, lambda name: case.rules.may_publish(agency, name))
    return [each for each in items if each.about == "return"]


def test_a_step_that_no_duty_asks_for_waits_all_the_same() -> None:
    """Given a person who can return, then the organisation arranges the journey; given another's wish, it assesses the risk."""
    can_return = ("return.risk_assessed", (), "to_do", "return.travel_arranged")
    assert told(stories.assessed(Bench()), "iom", "waits") == [can_return]
    assert told(stories.arranged(Bench()), "iom", "waits")[0][3] == "return.completed"

    case = stories.identified(Bench())
    case.consents("embassy", "iom", by="vac")
    case.say(UNIT, "return.consented", to=["embassy", "iom"])
    assert [each.act for each in rows(case, "iom", "waits")] == ["return.risk_assessed"]
    seen = items_of("embassy", facts(case, "embassy"), 10, lambda name: case.rules.may_publish("embassy", name))
    assert [each.act for each in seen if each.side == "ours"] == []


def test_an_embassy_that_arranged_the_journey_owes_the_arrival_alone() -> None:
    """Given an embassy that never hears of an assessment, then its desk does not take the assessment for owed."""
    case = stories.identified(Bench())
    case.consents("embassy", by="vac")
    case.say(UNIT, "return.consented", to=["embassy"])
    case.say(UNIT, "return.risk_assessed")
    case.say("embassy", "return.travel_arranged", days=14)

    assert [each.code for each in facts(case, "embassy").duties] == ["D-TRAVEL"]


def test_an_assessment_is_a_step_and_no_task_beside_it() -> None:
    """Given a task of the procedure about a step of the return, then the return's own row is enough."""
    case = stories.assessed(Bench())
    task = Task(1, "arrange_travel", case.now, "return.risk_assessed", "iom")

    items = items_of("iom", facts(case, "iom", (task,)), 10, lambda _: True)
    assert [each.about for each in items if each.side == "ours"] == ["return"]


def test_a_return_that_is_not_safe_is_to_be_stopped() -> None:
    """Given a danger, then the next step is no journey."""
    case = stories.wishing(Bench())
    case.say("iom", "return.risk_assessed", outcome="not_safe")
    row = ("return.risk_assessed", "not_safe", "return.stopped")

    assert board(case, "iom", "returns-stopped", "international_organisation") == [row]


def test_an_agency_is_offered_the_steps_of_its_role_alone() -> None:
    """Given a wish, then the organisation may assess the risk, and the centre that holds the plan looks on."""
    case = stories.wishing(Bench())

    assert [each.act for each in _seen_by(case, "iom")] == ["return.risk_assessed"]
    assert [each.act for each in _seen_by(case, "vac")] == [""]


def test_a_report_that_promises_another_has_a_day() -> None:
    """Given a report that says that another follows, then its day is shown; after the last one nothing is due."""
    case = stories.home(Bench())
    case.say("iom", "return.monitored", again=True)
    (again,) = _seen_by(case, "iom")
    assert (again.act, again.due) == ("return.monitored", moment("d70 24:00") + timedelta(days=30))
    case.say("iom", "return.monitored", again=False)
    assert [(each.act, each.due) for each in _seen_by(case, "iom")] == [("", None)]


def test_the_consulates_board_shows_the_way_home() -> None:
    """Given a citizen found abroad whose journey is arranged, then the consulate sees the person on the way."""
    case = stories.found_abroad(Bench())

    assert board(case, "consulate", "consular-returns", "consulate") == [
        ("return.travel_arranged", "travel_arranged", "return.completed")
    ]
    assert [each.status for each in rows(case, "consulate", "consular-cases", "consulate")] == ["SUSPECTED"]
