"""Items of the work lists, from the cases of the scenarios as each agency sees them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from nrmbus.desk.state.open_duties import open_duties
from nrmbus.desk.web.work.item import Facts, Happened, Item, Task
from nrmbus.desk.web.work.items import items_of
from nrmbus.desk.web.work.kinds import ANSWERS, RESULTS
from nrmbus.desk.web.work.known import Snapshot
from nrmbus.desk.web.work.queues import board_of, general, ordered, picked, queue_of
from nrmbus.desk.web.work.rows import Spent, result_of, spent, what_of
from nrmbus.events.registry import data_type, versions
from nrmbus.web.lists import list_in
from nrmbus.web.words import Words
from rules import stories
from rules.given import BAKU, Bench, moment

MINUTES = 10


def yes(_: str) -> bool:
    """Let every type be published."""
    return True


def facts(bench: Bench, agency: str, tasks: tuple[Task, ...] = ()) -> Facts:
    """Return the view of *agency* on the case of *bench*, from the events that the agency sent or received."""
    view, happened = bench.rules.start(bench.subject), []
    for fact in bench.facts:
        event = fact.event
        if agency in (event.source, *fact.recipients):
            view = bench.rules.evolve(view, fact)
            said = Happened(
                event.id, event.type, event.source, event.referral, fact.registered, event.data.to_mapping()
            )
            happened.append(said)
    return Facts(view, bench.rules.clocks(view), bench.rules.due(view), tuple(happened), tasks)


def rows(bench: Bench, agency: str, list: str, role: str | None = None, *, tasks: tuple[Task, ...] = ()) -> list[Item]:
    """Return the rows of the *list* at *agency*, now."""
    queue = queue_of(role, list, frozenset({"special_unit"}))
    assert queue is not None
    return picked(queue, items_of(agency, facts(bench, agency, tasks), MINUTES, yes), bench.now)


def told(bench: Bench, agency: str, list: str) -> list[tuple[str, tuple[str, ...], str, str]]:
    """Return type, agencies, state and next act of each row."""
    return [(each.type, each.agencies, each.state, each.act) for each in rows(bench, agency, list)]


def made(story: Callable[[Bench], Bench]) -> Bench:
    """Return the case of *story*."""
    return story(Bench())


def test_every_answer_that_has_a_result_has_words_for_it() -> None:
    """Given a kind of answer with a field that says what it came to, then the field has its code from a list that has words."""
    found = {}
    for type in ANSWERS:
        model = data_type(type, max(versions(type)))
        for name in [each for each in RESULTS if each in model.model_fields][:1]:
            found[type] = list_in(model, name)
    assert found["referral.declined"] == "DeclineReason"
    assert found["identification.status_decided"] == "VictimStatus"
    assert [type for type, list in found.items() if not list] == []


def test_a_signal_waits_for_the_agency_that_found_the_person() -> None:
    """Given a signal, the NGO has to refer within 24 hours, and nobody else has anything to do."""
    case = made(stories.signalled)

    (row,) = rows(case, "ngo-a", "waits")
    assert (row.code, row.act, row.due) == ("D-REFER", "consent.given", moment("24:00"))
    assert rows(case, "special-unit", "waits") == []
    assert [each.status for each in rows(case, "special-unit", "new-signals", "special_unit")] == ["SUSPECTED"]


def test_the_step_before_a_referral_comes_first() -> None:
    """An adult is asked, a child's guardian bodies are notified; then the duty leads to the referral, and its task is one row."""
    first = Task(1, "ask_first", moment("0:00"), "case.signal_recorded", "ngo-a", None)
    for story, agency, act in (
        (stories.signalled, "ngo-a", "consent.given"),
        (stories.consented, "ngo-a", "referral.submitted"),
        (stories.child_signalled, "school", "safeguard.child_flagged"),
        (stories.child_flagged, "school", "referral.submitted"),
    ):
        case = made(story)
        items = items_of(agency, replace(facts(case, agency), tasks=(first,)), MINUTES, yes)
        assert [each.act for each in items if each.side == "ours"] == [act]


def test_a_referral_waits_for_its_receiver_and_its_sender_sees_who_has_it() -> None:
    """The unit has to acknowledge; the NGO sees who has it and until when; others know of nothing."""
    case = made(stories.referred)

    assert told(case, "special-unit", "waits") == [("referral.submitted", ("ngo-a",), "to_do", "referral.acknowledged")]
    (sent,) = rows(case, "ngo-a", "others")
    assert (sent.agencies, sent.state, sent.since) == (("special-unit",), "no_answer", moment("1:10"))
    assert sent.due is not None
    assert rows(case, "ngo-a", "waits") == []
    assert facts(case, "shelter").happened == ()
    assert [rows(case, "shelter", each.id) for each in general().queues if each.pick.side != "case"] == [[]] * 4


def test_an_answer_moves_the_row() -> None:
    """An acknowledgement is a state and an answer; after the acceptance the first stage is the unit's next step."""
    received, taken = made(stories.acknowledged), made(stories.accepted)

    assert told(received, "special-unit", "waits")[0][3] == "referral.accepted"
    assert told(received, "ngo-a", "others")[0][2] == "acknowledged"
    assert told(received, "ngo-a", "answered")[0][:2] == ("referral.acknowledged", ("special-unit",))
    assert told(taken, "special-unit", "waits")[0][3] == "identification.stage_entered"
    assert told(taken, "ngo-a", "others")[0][2] == "accepted"
    assert [each.type for each in rows(taken, "ngo-a", "answered")] == ["referral.accepted", "referral.acknowledged"]
    assert [result_of(Words("en", BAKU), each) for each in rows(taken, "ngo-a", "answered")] == [
        "Reception of the person",
        "",
    ]


def test_silence_is_a_row_and_late_rows_come_first() -> None:
    """A referral that nobody answered in time is late at both sides, and stays."""
    case = made(stories.referred)
    case.through("d2 12:00")

    (sent,), (received,) = rows(case, "ngo-a", "others"), rows(case, "special-unit", "waits")
    assert sent.is_late(case.now)
    assert received.is_late(case.now)
    assert rows(case, "ngo-a", "others")[0].due == received.due


@pytest.mark.parametrize("is_met", [True, False], ids=["begun in time", "missed"])
def test_a_duty_that_was_met_unseen_is_no_silence(*, is_met: bool) -> None:
    """Given work that began by a step of which the sender is not told, then the row ends after its day; what was missed stays, and is late."""
    case = made(stories.presumed).at("d5 9:00")
    case.say("ngo-a", "referral.submitted", ref="R-2", to=["vac"])
    case.at("d5 10:00").say("vac", "referral.accepted", ref="R-2")
    if is_met:
        case.at("d5 11:00").say("vac", "needs.assessed", to=["shelter"])

    def waiting() -> list[tuple[str, str, bool, bool]]:
        found = [each for each in rows(case, "ngo-a", "others") if each.agencies == ("vac",)]
        return [(each.code, each.state, each.breached, each.is_late(case.now)) for each in found]

    assert waiting() == [("D-ASSIGN", "accepted", False, False)]
    case.through("d15 12:00")
    known = open_duties(facts(case, "ngo-a").duties, "ngo-a", case.now)
    assert ("D-ASSIGN" in {each.code for each in known}) is not is_met
    assert waiting() == ([] if is_met else [("D-ASSIGN", "accepted", True, True)])


def test_a_question_turns_the_wait_round() -> None:
    """Who asks waits for the sender, whose next step is the answer; the clock stands still meanwhile."""
    case = made(stories.acknowledged)
    case.at("2:30").say("special-unit", "referral.info_requested", ref="R-1")

    assert told(case, "ngo-a", "waits") == [
        ("referral.info_requested", ("special-unit",), "to_do", "referral.info_supplied")
    ]
    assert told(case, "special-unit", "others") == [("referral.info_requested", ("ngo-a",), "asked", "")]
    assert rows(case, "special-unit", "waits") == []
    assert rows(case, "ngo-a", "others") == []


def test_a_period_is_work_only_when_it_ends_soon() -> None:
    """A recovery period of 30 days stands on the unit's board, and waits for nobody before its last days."""
    case = made(stories.presumed)

    (period,) = rows(case, "special-unit", "periods", "special_unit")
    assert period.code == "D-RECOVERY"
    assert "D-RECOVERY" not in [each.code for each in rows(case, "special-unit", "waits")]
    assert period.due is not None
    case.now = period.due - timedelta(days=2)
    assert "D-RECOVERY" in [each.code for each in rows(case, "special-unit", "waits")]


def test_a_shelter_sees_its_beds() -> None:
    """An offered bed is held until the offer ends, and becomes a taken one with the admission."""
    offered, housed = made(stories.offered), made(stories.housed)

    (held,) = rows(offered, "shelter", "beds-held", "shelter_state")
    assert (held.act, held.due) == ("shelter.admitted", moment("d1 13:20"))
    assert ("shelter.bed_offered", ("special-unit",), "offered", "shelter.admitted") in told(
        offered, "shelter", "waits"
    )
    assert rows(housed, "shelter", "beds-held", "shelter_state") == []
    assert [each for each in told(housed, "shelter", "waits") if each[0] == "shelter.bed_offered"] == []
    (taken,) = rows(housed, "shelter", "beds-taken", "shelter_state")
    assert (taken.act, taken.agencies) == ("shelter.discharged", ("special-unit",))
    assert rows(housed, "special-unit", "holds", "special_unit")[0].state == "confirmed"


def test_who_asked_for_a_bed_sees_until_when_it_is_held() -> None:
    """Given an offered bed, then the agency that asked waits for the admission until the offer ends, and for nothing after it."""
    offered, housed = made(stories.offered), made(stories.housed)

    (held,) = [each for each in rows(offered, "special-unit", "others") if each.about == "bed"]
    assert (held.agencies, held.state, held.due) == (("shelter",), "offered", moment("d1 13:20"))
    assert [each for each in rows(housed, "special-unit", "others") if each.about == "bed"] == []


def test_the_fund_sees_what_it_ordered_and_what_is_owed() -> None:
    """An order waits for its payment; a recognition without an order is owed; a payment is done with."""
    case = made(stories.paid)
    (ordered,) = rows(case, "fund", "payments-ordered", "fund")
    assert (ordered.act, ordered.said["amount"]) == ("payment.executed", "700.00")
    assert [each.act for each in rows(case, "fund", "waits") if each.about == "payment"] == ["payment.executed"]

    case.say("fund", "payment.executed", ref="P-1")
    assert rows(case, "fund", "payments-ordered", "fund") == []
    assert [each.code for each in rows(case, "fund", "payments-paid", "fund")] == ["executed"]


def test_where_the_money_went_names_purpose_and_source_and_nobody() -> None:
    """Granted, ordered, come back and paid: each sum stays in the line of its grant, and no case stands in it."""
    case = made(stories.granted)
    case.say("fund", "fund.compensation_granted", ref="C-2", purpose="medical_expenses", source="contributions")

    def lines() -> list[Spent]:
        board = board_of("fund")
        assert board is not None
        return spent(
            Words("en", BAKU), Snapshot(items=tuple(items_of("fund", facts(case, "fund"), MINUTES, yes))), board
        )

    waiting = [(each.purpose, each.source, each.granted, dict(each.sums)) for each in lines()]
    assert waiting == [
        ("Compensation", "Property that a court confiscated", 1, {}),
        ("Medical expenses", "Contributions to the fund", 1, {}),
    ]

    amount = {"value": "3000.00", "currency": "AZN"}
    case.say("fund", "payment.ordered", ref="P-1", kind="compensation", amount=amount)
    case.say("fund", "payment.failed", ref="P-1", kind="compensation")
    case.say("fund", "payment.ordered", ref="P-2", kind="compensation", amount=amount)
    case.say("fund", "payment.executed", ref="P-2", kind="compensation")
    (paid, _) = lines()
    assert (paid.purpose, paid.source, paid.granted) == ("Compensation", "Property that a court confiscated", 0)
    assert paid.sums == {"failed": (1, "3,000 AZN"), "executed": (1, "3,000 AZN")}


def test_a_question_shows_the_last_hour_for_the_answer() -> None:
    """Whoever was asked sees until when; whoever waits sees the same."""
    case = made(stories.acknowledged)
    case.at("2:30").say("special-unit", "referral.info_requested", ref="R-1")

    asked = [each for each in rows(case, "ngo-a", "waits") if each.type == "referral.info_requested"]
    assert [(each.due, each.act) for each in asked] == [(moment("26:30"), "referral.info_supplied")]
    assert [each.due for each in rows(case, "special-unit", "others")] == [moment("26:30")]


def test_services_stand_beside_the_plan() -> None:
    """A service of the plan is planned until somebody is asked for it; then it waits for the provider."""
    case = made(stories.planned)
    assert [
        (each.said["service"], each.act)
        for each in items_of("vac", facts(case, "vac"), MINUTES, yes)
        if each.code == "planned"
    ] == [("legal", "service.requested")]

    case.at("d8 12:00").say("vac", "service.requested", ref="S-1", to=["ngo-l"])
    assert [(each.type, each.act) for each in rows(case, "ngo-l", "waits")] == [
        ("service.requested", "service.scheduled")
    ]
    assert ("service.requested", ("ngo-l",)) in [(each.type, each.agencies) for each in rows(case, "vac", "others")]

    case.say("ngo-l", "service.scheduled", ref="S-1")
    assert [(each.state, each.act) for each in rows(case, "ngo-l", "waits")] == [("scheduled", "service.delivered")]
    case.say("ngo-l", "service.delivered", ref="S-1")
    assert rows(case, "ngo-l", "waits") == []


def test_a_closed_case_is_in_its_list_and_nowhere_else() -> None:
    """A closed case stands in the closed list, and nothing waits for anybody."""
    case = made(stories.closed)

    assert [each.status for each in rows(case, "vac", "closed")] == ["CLOSED"]
    assert rows(case, "vac", "waits") == []
    assert rows(case, "special-unit", "stages", "special_unit") == []


def test_children_come_first_at_guardianship() -> None:
    """The list of a body for children begins with the child."""
    child, woman = made(stories.child_flagged), made(stories.signalled)
    queue = queue_of("guardianship", "children-cases")
    assert queue is not None

    items = [
        *items_of("guardianship", facts(woman, "ngo-a"), MINUTES, yes),
        *items_of("guardianship", facts(child, "guardianship"), MINUTES, yes),
    ]

    assert [each.child for each in picked(queue, items, child.now)] == [True]


def test_silence_stays_a_row_until_somebody_else_is_asked() -> None:
    """A referral that expired is still waited for, and its sender's next step; another referral ends both."""
    case = made(stories.served)
    case.through("d20 0:00")
    assert [each.agencies for each in rows(case, "vac", "others") if each.state == "expired"] == [("ngo-l",)]
    (again,) = [each for each in rows(case, "vac", "waits") if each.type == "referral.expired"]
    assert again.act == "referral.submitted"

    case.now += timedelta(hours=1)
    case.say("vac", "referral.submitted", ref="R-9", to=["ngo-l"], urgency="urgent", services=["legal"], letter=True)
    assert [each for each in rows(case, "vac", "others") if each.state == "expired"] == []
    assert [each for each in rows(case, "vac", "waits") if each.type == "referral.expired"] == []


def test_a_reported_child_waits_for_the_body_that_may_act() -> None:
    """Guardianship has to assign a representative, though no clock runs; then to decide on best interests, as its row says to a worker too."""
    case = made(stories.child_flagged)
    (first,) = rows(case, "guardianship", "waits")
    assert (first.act, first.agencies, first.child) == ("safeguard.representative_assigned", ("school",), True)

    case = made(stories.child_housed)
    (second,) = rows(case, "guardianship", "waits")
    assert second.act == "safeguard.best_interests_decided"
    assert what_of(Words("en", BAKU), second) == "Decide on the best interests: Child flagged"


def test_a_task_that_the_referral_shows_already_is_no_row_of_its_own() -> None:
    """A task to answer a referral repeats its clock; a task to refer again names the alternatives; others are kept."""
    case = made(stories.referred)
    ref = next(iter(facts(case, "ngo-a").view.referrals))
    tasks = (
        Task(1, "referral", case.now, "referral.submitted", "special-unit", ref),
        Task(2, "refer_again", case.now, "referral.declined", "special-unit", ref, ("vac",)),
        Task(3, "read", case.now, "referral.submitted", "special-unit", ref),
        Task(4, "read", case.now, "case.closed", "special-unit", None),
    )

    shown = [each for each in items_of("ngo-a", facts(case, "ngo-a", tasks), MINUTES, yes) if each.about == "task"]

    assert [(each.task, each.said.get("alternatives")) for each in shown] == [(2, ("vac",)), (4, None)]
    waits, news = general().queues[0], queue_of(None, "news")
    assert news is not None
    assert [each.task for each in picked(waits, shown, case.now)] == [2]
    (told,) = picked(news, shown, case.now)
    assert told.task == 4
    assert what_of(Words("en", BAKU), told) == "Case closed", "the list is called To read, so its rows are not"


def test_a_task_about_the_readers_of_a_letter_names_them() -> None:
    """The letter is this agency's own, so its row names who can read it, or could not get it."""
    case = made(stories.referred)
    task = Task(5, "sealed_to_more", case.now, "referral.submitted", "ngo-a", readers=("vac",))

    (shown,) = (each for each in items_of("ngo-a", facts(case, "ngo-a", (task,)), MINUTES, yes) if each.about == "task")

    assert shown.agencies == ("vac",)
    assert what_of(Words("en", BAKU), shown) == "More agencies can read your letter: Referral submitted"


def test_a_task_to_refer_again_is_over_with_the_next_referral_and_with_the_case() -> None:
    """Nobody has to mark as done what has been done: the person was referred again, or the case is closed."""
    case = made(stories.referred)
    before, now = facts(case, "ngo-a"), case.now
    ref = next(iter(before.view.referrals))

    def shown(opened: datetime, *, is_over: bool = False) -> list[int]:
        task = Task(2, "refer_again", opened, "referral.declined", "special-unit", ref)
        view = replace(before.view, status="CLOSED" if is_over else before.view.status)
        found = items_of("ngo-a", replace(before, view=view, tasks=(task,)), MINUTES, yes)
        return [each.task for each in found if each.about == "task"]

    assert shown(now) == [2]
    assert shown(now, is_over=True) == []
    assert shown(before.view.referrals[ref].mark.registered - timedelta(minutes=1)) == []


def test_a_referral_for_a_place_leads_to_a_request_for_a_bed() -> None:
    """Given a shelter that accepted it, the sender has to ask for a bed and the shelter waits for that, until it is asked for."""
    case = made(stories.signalled)
    case.say("ngo-a", "consent.given", receivers=["shelter"])
    case.say(
        "ngo-a",
        "referral.submitted",
        ref="R-5",
        to=["shelter"],
        services=["safe_shelter"],
        reason="EmergencyProtection",
    )
    case.say("shelter", "referral.accepted", ref="R-5")

    def shown(agency: str) -> list[tuple[str, str, str, tuple[str, ...]]]:
        known = replace(facts(case, agency), shelters=frozenset({"shelter"}))
        found = items_of(agency, known, MINUTES, yes)
        return [(each.side, each.about, each.act, each.agencies) for each in found if each.type == "referral.accepted"]

    assert ("ours", "bed", "shelter.bed_requested", ("shelter",)) in shown("ngo-a")
    assert ("theirs", "bed", "", ("ngo-a",)) in shown("shelter")
    assert ("ours", "duty", "", ("ngo-a",)) in shown("shelter")

    case.say("ngo-a", "shelter.bed_requested", ref="B-5", to=["shelter"], letter=True)
    assert [each for agency in ("ngo-a", "shelter") for each in shown(agency) if each[1] == "bed"] == []


def test_a_case_without_its_beginning_has_no_duties() -> None:
    """After a loss of the ledger, status and clocks are not shown: the case itself is."""
    case = made(stories.referred)
    known = facts(case, "special-unit")

    shown = items_of("special-unit", Facts(known.view, happened=known.happened, is_whole=False), MINUTES, yes)

    assert [(each.side, each.state, each.status) for each in shown] == [("case", "incomplete", "")]


def test_every_role_with_a_board_has_lists_that_it_can_open() -> None:
    """Names of lists are unique for each role, so that an address means one list."""
    for role in (
        "special_unit",
        "shelter_state",
        "ngo_shelter",
        "fund",
        "ngo_outreach",
        "ngo_legal",
        "vac",
        "guardianship",
        "hotline",
        "prosecution",
        "court",
        "child_commission",
        "police_other",
        "religious",
    ):
        board = board_of(role, frozenset({"special_unit"}))
        assert board is not None, role
        ids = [each.id for each in (*general().queues, *board.sections)]
        assert len(ids) == len(set(ids))
    assert board_of("auditor") is None


def test_a_group_is_no_case() -> None:
    """Given an incident, it stands in no list of cases; its task leads to the people, who have a case each."""
    bench = Bench()
    opened = Happened("i-1", "incident.opened", "special-unit", None, moment("1:00"), {"head_count": 5})
    found = items_of(
        "special-unit",
        Facts(
            bench.rules.start(bench.subject),
            happened=(opened,),
            tasks=(Task(7, "record_people", moment("1:00"), "incident.opened"),),
        ),
        MINUTES,
        yes,
    )

    assert [each.about for each in found] == ["task"]


def test_a_task_that_the_case_has_overtaken_is_gone() -> None:
    """Given a plan after the task to agree on one, a decision after the task to attend an interview, or a status after the task of a negative one, then nobody is asked for it."""
    case = made(stories.planned)
    known = facts(case, "vac")
    early, late = known.happened[0].registered, known.happened[-1].registered + timedelta(hours=1)

    def left(*tasks: Task) -> list[int]:
        return [
            each.task for each in items_of("vac", replace(known, tasks=tasks), MINUTES, yes) if each.about == "task"
        ]

    assert left(Task(1, "make_plan", early), Task(2, "make_plan", late), Task(3, "close", early)) == [2, 3]
    assert left(Task(1, "make_plan", late), Task(2, "make_plan", late)) == [2]
    assert left(Task(1, "visits", early), Task(2, "visits", early), Task(3, "conditions", early)) == [2, 3]
    refused = replace(known, view=replace(known.view, status="NOT_IDENTIFIED"))
    twice = (Task(1, "stay_on", early), Task(2, "stay_on", late))
    found = items_of("shelter", replace(refused, tasks=twice), MINUTES, yes)
    assert [each.task for each in found if each.about == "task"] == [2]
    home = Happened("e-1", "safeguard.returned_to_family", "guardianship", None, late, {})
    known = replace(known, happened=(*known.happened, home))
    assert left(Task(1, "conditions", early), Task(2, "visits", late)) == [2]
    assert left(Task(1, "transition", early)) == []
    assert left(Task(1, "attend", early)) == [1]
    decided = Happened("e-2", "identification.status_decided", "special-unit", None, late, {})
    known = replace(known, happened=(*known.happened, decided))
    assert left(Task(1, "attend", early), Task(2, "attend", late + timedelta(hours=1))) == [2]
    refused = replace(known, view=replace(known.view, status="NOT_IDENTIFIED"))
    assert [
        each.task
        for each in items_of("vac", replace(refused, tasks=(Task(1, "transition", late),)), MINUTES, yes)
        if each.about == "task"
    ] == [1]


def test_a_shelter_was_asked_since_and_a_duty_shows_that_the_agency_stops() -> None:
    """Given a request for a bed after the task to ask another shelter, the task is gone; one to stop stands beside no duty of the same."""
    case = made(stories.offered)
    known = facts(case, "special-unit")
    early, late = known.happened[0].registered, known.happened[-1].registered + timedelta(hours=1)
    tasks = (
        Task(1, "ask_another_shelter", early, "shelter.bed_refused"),
        Task(2, "ask_another_shelter", late, "shelter.bed_refused"),
        Task(3, "stop", late, "consent.withdrawn"),
        Task(4, "stop", late, "access.revoked"),
    )

    found = items_of("special-unit", replace(known, tasks=tasks), MINUTES, yes)
    assert [each.task for each in found if each.about == "task"] == [2]


def test_a_child_who_was_let_go_is_nobodys_task_to_let_go() -> None:
    """Given the task to record that a child has left, then it stands while the child is in the house, and no longer."""
    case = made(stories.child_housed)
    known = facts(case, "ngo-shelter")
    task = Task(1, "has_left", known.happened[-1].registered, "safeguard.returned_to_family")

    def left(known: Facts) -> list[int]:
        found = items_of("ngo-shelter", replace(known, tasks=(task,)), MINUTES, yes)
        return [each.task for each in found if each.about == "task"]

    assert left(known) == [1]
    assert left(replace(known, view=replace(known.view, beds={}))) == []


def test_what_is_overdue_comes_by_its_day() -> None:
    """Given a hold whose day went by long ago and that no clock breached, it stands before a breach of yesterday."""
    hold = Item("ours", "hold", "c-1", "stay.hold_requested", due=moment("1:00"))
    breach = Item("ours", "duty", "c-2", "referral.submitted", due=moment("48:00"), breached=True)

    assert [each.case for each in ordered([breach, hold], "due", {})] == ["c-1", "c-2"]


def test_labels_are_in_the_order_of_their_letters() -> None:
    """Given labels with Azerbaijani letters, then İ stands beside I and Ə beside E, and a case without a label comes last."""
    labels = {"c-1": "Əli", "c-2": "Zaur", "c-3": "İlahə", "c-4": "Izabel", "c-5": "aysel"}
    items = [Item("case", "case", case, "") for case in ("c-0", *labels)]

    assert [labels.get(each.case) for each in ordered(items, "label", labels)] == [
        "aysel",
        "Əli",
        "İlahə",
        "Izabel",
        "Zaur",
        None,
    ]
