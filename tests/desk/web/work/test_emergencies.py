"""Rows of the work lists about an emergency request: while the time to object runs, without an answer, and after one.

`services/nrmbus/desk/README.md` (Letters) has the table of all states of a request.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from desk.web.work.test_items import MINUTES, facts, made, rows, yes
from nrmbus.desk.web.work.item import Facts, Item, Task
from nrmbus.desk.web.work.items import items_of
from nrmbus.desk.web.work.queues import ordered, picked, queue_of
from nrmbus.desk.web.work.rows import what_of
from nrmbus.web.words import Words
from rules import stories
from rules.given import BAKU, moment


@pytest.mark.parametrize(("reason", "minutes"), [("missing_person", 10), ("imminent_danger", 0)])
def test_an_emergency_without_an_answer_comes_first_and_names_whom_to_call(reason: str, minutes: int) -> None:
    """Given an emergency that the holder's desk did not answer, then the first row says so and names the asker, however long other things are overdue."""
    case = made(stories.planned).at("d8 12:00")
    request = case.say("ngo-l", "access.break_glass", ref="E-1", approver="A-2", reason=reason).event
    case.through("d8 12:10")
    task = Task(5, "call_asker", case.now, "access.reseal_due", "timekeeper", request.referral)
    late = Item("ours", "duty", "c-2", "referral.submitted", due=moment("1:00"), breached=True)

    (shown,) = (each for each in rows(case, "vac", "waits", tasks=(task,)) if each.code == "call_asker")

    assert (shown.agencies, shown.urgency, shown.since) == (("ngo-l",), "emergency", case.now)
    assert shown.due == moment("d8 12:00") + timedelta(minutes=minutes)
    assert [each.code for each in ordered([late, shown], "due", {})] == ["call_asker", ""]
    said = "Nothing was handed over; call the agency: Access in an emergency asked for"
    assert what_of(Words("en", BAKU), shown) == said


@pytest.mark.parametrize(
    ("kind", "known_since"),
    [("check_asker", {}), ("call_asker", {"refused": frozenset({"ngo-l"})}), ("call_asker", {"is_out": True})],
    ids=["the records contradict it", "the person refuses the asker", "this agency is out of the case"],
)
def test_a_doubtful_emergency_comes_first_and_sends_to_the_supervisor(kind: str, known_since: dict[str, Any]) -> None:
    """Given an emergency that the records contradict, whose asker the person refuses, or whose holder is out of the case, then the first row says to ask a supervisor, and not to call."""
    case = made(stories.planned).at("d8 12:00")
    request = case.say("ngo-l", "access.break_glass", ref="E-1", approver="A-2", reason="imminent_danger").event
    case.through("d8 12:10")
    known = facts(case, "vac", (Task(5, kind, case.now, "access.reseal_due", "timekeeper", request.referral),))
    late = Item("ours", "duty", "c-2", "referral.submitted", due=moment("1:00"), breached=True)

    (shown,) = (each for each in items_of("vac", replace(known, **known_since), MINUTES, yes) if each.task)

    assert (shown.code, shown.agencies, shown.urgency) == ("check_asker", ("ngo-l",), "emergency")
    assert [each.code for each in ordered([late, shown], "due", {})] == ["check_asker", ""]
    said = (
        "Nothing was handed over, and the records contradict the request; ask your supervisor before you tell anything:"
        " Access in an emergency asked for"
    )
    assert what_of(Words("en", BAKU), shown) == said


def test_a_call_to_an_asker_is_an_ordinary_row_once_the_case_is_over() -> None:
    """Given an emergency without an answer, when the case is closed, then its row is no longer an emergency and stands by its own deadline."""
    case = made(stories.planned).at("d8 12:00")
    request = case.say("ngo-l", "access.break_glass", ref="E-1", approver="A-2", reason="imminent_danger").event
    case.through("d8 12:10")
    known = facts(case, "vac", (Task(5, "call_asker", case.now, "access.reseal_due", "timekeeper", request.referral),))
    late = Item("ours", "duty", "c-2", "referral.submitted", due=moment("1:00"), breached=True)

    known = replace(known, view=replace(known.view, status="CLOSED"))
    (shown,) = (each for each in items_of("vac", known, MINUTES, yes) if each.code == "call_asker")

    assert shown.urgency == ""
    assert [each.code for each in ordered([shown, late], "due", {})] == ["", "call_asker"]


@pytest.mark.parametrize("answer", ["access.resealed", "access.break_glass_objected"])
def test_nobody_calls_an_asker_that_was_answered(answer: str) -> None:
    """Given a task to call the asker, when the history has this agency's answer or its objection, then the task is no row."""
    case = made(stories.planned).at("d8 12:00")
    request = case.say("ngo-l", "access.break_glass", ref="E-1", approver="A-2", reason="missing_person").event
    if answer == "access.resealed":
        case.through("d8 12:10")
    case.say("vac", answer, ref="E-1")
    task = Task(5, "call_asker", case.now, "access.reseal_due", "timekeeper", request.referral)

    assert [each.code for each in items_of("vac", facts(case, "vac", (task,)), MINUTES, yes) if each.task] == []


@pytest.mark.parametrize(
    ("refused", "code", "said"),
    [
        ((), "resealed", "Sealed for an emergency; see whether more is to be told"),
        (
            ("ngo-l",),
            "resealed_to_refused",
            "Sealed for an emergency, and the person refuses the agency; ask your supervisor before you tell more",
        ),
    ],
    ids=["no refusal", "the person refuses the asker since"],
)
def test_an_answer_names_the_agency_that_got_it(refused: tuple[str, ...], code: str, said: str) -> None:
    """Given an emergency that was answered, then the row names the asker, and whether staff may tell more; in no language are the words missing."""
    known = answered_facts("resealed")
    (shown,) = (each for each in items_of("vac", replace(known, refused=frozenset(refused)), MINUTES, yes) if each.task)

    assert (shown.code, shown.agencies, shown.urgency) == (code, ("ngo-l",), "")
    assert what_of(Words("en", BAKU), shown) == f"{said}: Access in an emergency asked for"
    for language in ("az", "ru"):
        assert said not in what_of(Words(language, BAKU), shown)


def test_p2_nothing_more_is_told_to_an_asker_whose_access_has_ended() -> None:
    """Given an emergency that was answered, when the asker's access has ended since, then no row says to tell more."""
    known = replace(answered_facts("resealed"), shut_out=frozenset({"ngo-l"}))

    assert [each.code for each in items_of("vac", known, MINUTES, yes) if each.task] == []


def answered_facts(kind: str) -> Facts:
    """Return what vac knows of an emergency that it answered, with a task of *kind* about it."""
    case = made(stories.planned).at("d8 12:00")
    request = case.say("ngo-l", "access.break_glass", ref="E-1", approver="A-2", reason="missing_person").event
    case.through("d8 12:10")
    case.say("vac", "access.resealed", ref="E-1")
    return facts(case, "vac", (Task(5, kind, case.now, "access.reseal_due", "timekeeper", request.referral),))


@pytest.mark.parametrize(
    ("other", "of_mark", "is_shown"),
    [
        ({}, {}, False),
        ({"state": "due"}, {}, True),
        ({"state": "objected"}, {}, True),
        ({"sealed": ()}, {}, True),
        ({"parts": ("contact",)}, {}, True),
        ({"holder": "ngo-a"}, {}, True),
        ({}, {"source": "special-unit"}, True),
        ({}, {"registered": moment("d8 11:00")}, True),
    ],
    ids=[
        "answered", "not yet", "objected to", "with nothing", "for fewer parts", "by another holder", "to another agency",
        "before this one",
    ],
)  # fmt: skip
def test_nobody_calls_an_asker_whose_later_request_was_answered(
    other: dict[str, Any], of_mark: dict[str, Any], *, is_shown: bool
) -> None:
    """Given a request without an answer, when the agency asked again and got the same parts, then the row to call it is gone; anything less leaves the row."""
    case = made(stories.planned).at("d8 12:00")
    request = case.say("ngo-l", "access.break_glass", ref="E-1", approver="A-2", reason="missing_person").event
    case.through("d8 12:10")
    case.at("d9 13:00")
    later = case.say("ngo-l", "access.break_glass", ref="E-2", approver="A-2", reason="missing_person").event
    case.through("d9 13:10")
    case.say("vac", "access.resealed", ref="E-2")
    known = facts(case, "vac", (Task(5, "call_asker", case.now, "access.reseal_due", "timekeeper", request.referral),))
    found = known.view.emergencies[later.referral or ""]
    changed = replace(found, mark=replace(found.mark, **of_mark), **other)
    emergencies = {**known.view.emergencies, found.ref: changed}
    known = replace(known, view=replace(known.view, emergencies=emergencies))

    assert [each.code for each in items_of("vac", known, MINUTES, yes) if each.task] == ["call_asker"] * is_shown


class TestWhileTheTimeToObjectRuns:
    """Given a request that waits for an objection of the duty officer."""

    def asked(self) -> Facts:
        """Return what vac knows of the request."""
        case = made(stories.planned).at("d8 12:00")
        case.say("ngo-l", "access.break_glass", ref="E-1", approver="A-2", reason="missing_person")
        known = facts(case, "vac")
        return replace(known, answer_until=dict.fromkeys(known.view.emergencies, moment("d9 12:00")))

    def rows(self, known: Facts, at: str) -> list[Item]:
        """Return the rows about it in the list of what waits."""
        queue = queue_of("vac", "waits")
        assert queue is not None
        return [
            each
            for each in picked(queue, items_of("vac", known, MINUTES, yes), moment(at))
            if each.about == "emergency"
        ]

    def test_the_row_leads_to_the_objection_until_the_answer_is_due(self) -> None:
        """When nothing else is known, then the row stays as long as the timekeeper does not announce the answer."""
        for at in ("d8 12:01", "d12 12:00"):
            (shown,) = self.rows(self.asked(), at)
            assert (shown.agencies, shown.act, shown.urgency) == (
                ("ngo-l",),
                "access.break_glass_objected",
                "emergency",
            )
            assert (shown.due, shown.ends) == (moment("d8 12:10"), None)

    def test_p2_there_is_no_row_once_the_access_of_the_asker_has_ended(self) -> None:
        """When its access has ended, then no answer is announced, and an objection would change nothing."""
        assert self.rows(replace(self.asked(), shut_out=frozenset({"ngo-l"})), "d8 12:01") == []

    def test_the_row_ends_with_the_last_moment_of_an_answer_if_the_person_refuses_the_asker(self) -> None:
        """When she refuses the asker, then the officer may object while a consent unknown here could have lifted the refusal, and the row ends by itself."""
        known = replace(self.asked(), refused=frozenset({"ngo-l"}))

        assert [len(self.rows(known, at)) for at in ("d8 12:01", "d9 11:59", "d9 12:01")] == [1, 1, 0]

    def test_it_is_no_emergency_once_the_case_is_over(self) -> None:
        """When the case is closed, then the row has no tag any more."""
        known = self.asked()
        (shown,) = self.rows(replace(known, view=replace(known.view, status="CLOSED")), "d8 12:01")

        assert shown.urgency == ""
