"""The stories that come with nrmbus, played in memory, and copies of them that must not pass."""

import time
from pathlib import Path

import pytest

from nrmbus.play.reader import ScenarioError, find, parse, read
from play.stories import (
    ABROAD,
    CHILD,
    GIRL,
    HOME,
    LATE,
    REFUSED,
    SIBLINGS,
    WOMAN,
    WORK,
    altered,
    play_file,
    played,
    text_of,
)


def test_the_womans_story_holds() -> None:
    """From the first signal to reintegration, every expectation of the file holds."""
    report = play_file(WOMAN)

    assert [str(failure) for failure in report.failures] == []
    assert report.green
    assert report.played == 70


def test_it_is_decided_within_a_second() -> None:
    """The Rules decide the whole story in less than a second of one core, so that an edited copy is tried quickly."""
    told = read(find(WOMAN))
    began = time.process_time()
    played(told)

    assert time.process_time() - began < 1


def test_the_childs_story_holds() -> None:
    """Every expectation of the child's story holds, the figures at its end among them."""
    report = play_file(CHILD)

    assert [str(failure) for failure in report.failures] == []
    assert report.green


def test_two_days_of_work_leave_each_duty_where_the_story_says() -> None:
    """Overdue, due in a while and held by a question: every expectation of the file holds."""
    report = play_file(WORK)

    assert [str(failure) for failure in report.failures] == []
    assert report.played == 68


@pytest.mark.parametrize(("path", "steps"), [(HOME, 85), (ABROAD, 70)])
def test_the_stories_of_going_home_hold(path: Path, steps: int) -> None:
    """Hold, permit, wish, danger, journey and report; citizens found abroad; embassies that must not hear."""
    report = play_file(path)

    assert [str(failure) for failure in report.failures] == []
    assert report.played == steps


@pytest.mark.parametrize(("path", "steps"), [(REFUSED, 70), (GIRL, 53)])
def test_the_stories_of_courts_hold(path: Path, steps: int) -> None:
    """Refused, reviewed and recognised; a witness, a verdict and money; a child, a suspect and the end of access."""
    report = play_file(path)

    assert [str(failure) for failure in report.failures] == []
    assert report.played == steps


@pytest.mark.thorough
@pytest.mark.parametrize(("path", "steps"), [(SIBLINGS, 65), (LATE, 70)])
def test_the_stories_of_borders_and_lateness_hold(path: Path, steps: int) -> None:
    """Two siblings, a child and an adult; and a case in which every agency is late, and every clock says so."""
    report = play_file(path)

    assert [str(failure) for failure in report.failures] == []
    assert report.played == steps


def test_automatic_events_of_services_are_in_the_story() -> None:
    """Offer, recovery period, allowance and follow-up are told where they happened, by whom, and who received them."""
    rows = [row for row in play_file(WOMAN).rows if row.result == "by itself"]

    assert [(row.who, row.event, row.received) for row in rows] == [
        ("shelter", "shelter.bed_offered", ("special-unit",)),
        ("special-unit", "recovery.period_started", ("migration", "shelter", "vac")),
        ("fund", "payment.ordered", ("special-unit", "vac")),
        ("timekeeper", "case.follow_up_due", ("vac",)),
    ]


REASONABLE = "seen_by: [ngo-a, shelter, vac, migration]}"
SIGNAL_OPENED = "opened_by: {coded: [special-unit], story: []}"
DECIDED_OPENED = "opened_by: [shelter, vac], closed_to: [ngo-a, fund, migration, registrar, auditor, broker]}"

ALTERATIONS = {
    "a refusal expected that does not come": (
        "data: {receipt_no: SU-2026-0001, duty_role: duty_officer}, seen_by: [ngo-a]}",
        "data: {receipt_no: SU-2026-0001, duty_role: duty_officer}, expect: {refused: duty_officer_only, rule: G-07}}",
        "step 10 (line 40): referral.acknowledged: expected refused duty_officer_only by G-07, found registered",
    ),
    "a refusal that nobody expects": (
        ', sealed: {name: "CANARY-Alina Example"},\n     expect: {refused: consent_refused, rule: G-30}}',
        ', sealed: {name: "CANARY-Alina Example"}}',
        "step 5 (line 28): referral.submitted: expected registered, found refused consent_refused by G-30",
    ),
    "another code": (
        "{refused: recipient_not_allowed, rule: G-10}",
        "{refused: consent_required}",
        "step 6 (line 31): referral.submitted: expected refused consent_required, found refused recipient_not_allowed by G-10",
    ),
    "another rule": (
        "{refused: status_required, rule: G-60}",
        "{refused: status_required, rule: G-61}",
        "step 38 (line 77): payment.ordered: expected refused status_required by G-61, found refused status_required by G-60",
    ),
    "a recipient too many": (
        REASONABLE,
        "seen_by: [ngo-a, shelter, vac, migration, embassy]}",
        "step 29 (line 64): seen_by: expected embassy, migration, ngo-a, shelter, vac, found migration, ngo-a, shelter, vac",
    ),
    "a recipient too few": (
        REASONABLE,
        "seen_by: [ngo-a, shelter, vac]}",
        "step 29 (line 64): seen_by: expected ngo-a, shelter, vac, found migration, ngo-a, shelter, vac",
    ),
    "somebody where nobody sees it": (
        "receivers: [embassy], given_by: individual},\n     seen_by: []}",
        "receivers: [embassy], given_by: individual},\n     seen_by: [special-unit]}",
        "step 4 (line 25): seen_by: expected special-unit, found nobody",
    ),
    "an opener too many": (
        SIGNAL_OPENED,
        "opened_by: {coded: [special-unit], story: [special-unit]}",
        "step 1 (line 16): opened_by story: expected special-unit, found nobody",
    ),
    "an opener too few": (
        DECIDED_OPENED,
        DECIDED_OPENED.replace("[shelter, vac]", "[vac]"),
        "step 46 (line 87): opened_by coded: expected vac, found shelter, vac",
    ),
    "a part that is not filled": (
        SIGNAL_OPENED,
        "opened_by: {coded: [special-unit], money: []}",
        "step 1 (line 16): opened_by: expected one list for each of coded, money, found a letter with coded, story",
    ),
    "closed to one who opens it": (
        DECIDED_OPENED,
        DECIDED_OPENED.replace("[ngo-a, fund", "[vac, fund"),
        "step 46 (line 87): closed_to vac: expected no part open, found coded, story",
    ),
    "another status": (
        "status: UNDER_IDENTIFICATION, open_referrals: [], open_deadlines: [D-RG]",
        "status: PRESUMED, open_referrals: [], open_deadlines: [D-RG]",
        "step 18 (line 50): status: expected PRESUMED, found UNDER_IDENTIFICATION",
    ),
    "another open referral": (
        "status: REFERRED, open_referrals: [R-1], open_deadlines: [D-ACK]",
        "status: REFERRED, open_referrals: [], open_deadlines: [D-ACK]",
        "step 8 (line 38): open_referrals: expected none, found R-1",
    ),
    "another deadline": (
        "status: REFERRED, open_referrals: [R-1], open_deadlines: [D-ANSWER]",
        "status: REFERRED, open_referrals: [R-1], open_deadlines: [D-ACK]",
        "step 11 (line 41): open_deadlines: expected D-ACK, found D-ANSWER",
    ),
    "a deadline once that runs twice": (
        "[D-RECOVERY, D-REVIEW30, D-SERVICE, D-SERVICE, D-SHELTER]",
        "[D-RECOVERY, D-REVIEW30, D-SERVICE, D-SHELTER]",
        (
            "step 37 (line 76): open_deadlines: expected D-RECOVERY, D-REVIEW30, D-SERVICE, D-SHELTER, "
            "found D-RECOVERY, D-REVIEW30, D-SERVICE, D-SERVICE, D-SHELTER"
        ),
    ),
    "shown to one who was not told": (
        "shown_to: [ngo-a, special-unit, shelter, vac, fund]}",
        "shown_to: [ngo-a, special-unit, shelter, vac, fund, migration]}",
        "step 47 (line 89): shown_to migration: expected IDENTIFIED, found PRESUMED",
    ),
    "a wrong count": (
        "type: shelter.bed_offered, by: shelter, count: 1}",
        "type: shelter.bed_offered, by: shelter, count: 2}",
        "step 20 (line 52): events shelter.bed_offered by shelter: expected 2 times, found once",
    ),
    "other data": (
        "count: 1, data: {days: 30}}",
        "count: 1, data: {days: 45}}",
        "step 30 (line 65): events recovery.period_started by special-unit: expected once, found none, once with other data",
    ),
    "a wrong amount": (
        'kind: one_time_allowance, count: 1, amount: "700.00"}',
        'kind: one_time_allowance, count: 1, amount: "400.00"}',
        "step 53 (line 95): payments one_time_allowance: expected 400.00 each, found 700.00",
    ),
    "a payment too many": (
        'kind: one_time_allowance, count: 1, amount: "700.00"}',
        "kind: one_time_allowance, count: 2}",
        "step 53 (line 95): payments one_time_allowance: expected 2 times, found once",
    ),
    "an inbox in another order": (
        "types: [consent.given, stay.hold_requested]}",
        "types: [stay.hold_requested, consent.given]}",
        (
            "step 24 (line 57): inbox of migration: expected stay.hold_requested, consent.given, "
            "found consent.given, stay.hold_requested"
        ),
    ),
    "an inbox that is not empty": (
        "{check: inbox, agency: police-x, count: 0}",
        "{check: inbox, agency: police-x, count: 1}",
        "step 68 (line 111): inbox of police-x: expected 1, found 0",
    ),
    "a duty that nobody did": (
        (
            '  - {at: "2:00", by: special-unit, event: referral.acknowledged, case: woman, ref: R-1, '
            "data: {receipt_no: SU-2026-0001, duty_role: duty_officer}, seen_by: [ngo-a]}\n"
        ),
        "",
        "step 10 (line 40): open_deadlines: expected D-ANSWER, found D-ACK",
    ),
    "an agency with another role": (
        "vac: {role: vac}",
        "vac: {role: ngo_shelter}",
        "step 29 (line 64): seen_by: expected migration, ngo-a, shelter, vac, found migration, ngo-a, shelter",
    ),
    "a shelter without a bed": (
        "capacity: {women: 4, children: 2, men: 6}",
        "capacity: {women: 0, children: 2, men: 6}",
        "step 20 (line 52): events shelter.bed_offered by shelter: expected once, found none",
    ),
    "a service that is not there": (
        "{check: restart, service: fund}",
        "{check: restart, service: coordinator}",
        (
            "step 49 (line 91): restart coordinator: expected an answer of the bus, "
            "found none: a bus in memory has no coordinator that could be killed"
        ),
    ),
    "a data field that nobody has": (
        "data: {next_step: reception}",
        "data: {next_stop: reception}",
        "step 14 (line 45): referral.accepted: expected registered, found refused unknown_field",
    ),
    "an event that nobody has": (
        "event: referral.accepted",
        "event: referral.agreed",
        "step 14 (line 45): referral.agreed: expected registered, found refused unknown_type",
    ),
    "a policy that nobody has": (
        "policy: az@2022-04-29",
        "policy: az@2022-04-30",
        (
            "step 1 (line 16): case.signal_recorded: expected an answer of the bus, "
            "found none: no such profile; there are: az@2009-09-03, az@2010-10-01, az@2022-04-29, az@2024-02-08, md@2014-03-28, osce-generic@2022-01-01"
        ),
    ),
}


@pytest.mark.thorough
@pytest.mark.parametrize(("old", "new", "failure"), ALTERATIONS.values(), ids=ALTERATIONS)
def test_an_altered_copy_fails(old: str, new: str, failure: str) -> None:
    """With one expectation changed, the play stops at that step and names the expected and the actual value."""
    report = altered(WOMAN, old, new)

    assert not report.green
    assert str(report.failures[0]) == failure


MISWRITTEN = {
    "an unknown key": ("shown_to: [ngo-a, special-unit]}", "shown_too: [ngo-a, special-unit]}", 2, 21),
    "an unknown agency": ("seen_by: [special-unit]}", "seen_by: [special-units]}", 3, 24),
    "a step that does both": (
        "{check: replay, case: woman}",
        "{check: replay, event: case.closed, case: woman}",
        70,
        113,
    ),
    "a clock that goes back": ('at: "0:45"', 'at: "0:35"', 4, 25),
    "an alias that nobody gave": ("decision: D-1, seen_by", "decision: D-2, seen_by", 52, 94),
    "an event that a check misspells": ("type: deadline.breached", "type: deadline.breach", 65, 108),
}


@pytest.mark.parametrize(("old", "new", "step", "line"), MISWRITTEN.values(), ids=MISWRITTEN)
def test_a_miswritten_copy_is_not_played(old: str, new: str, step: int, line: int) -> None:
    """An expectation that no check covers is an error of the file, with step and line, before the play begins."""
    with pytest.raises(ScenarioError) as error:
        parse(text_of(WOMAN).replace(old, new, 1), "copy.yaml")

    assert (error.value.step, error.value.line) == (step, line)
    assert str(error.value).startswith(f"step {step} (copy.yaml, line {line}): ")


def test_stories_are_found_by_name(tmp_path: Path) -> None:
    """An existing file is played, else the packaged story of that name; otherwise the packaged stories are listed."""
    mine = tmp_path / "mine.yaml"
    mine.write_text("x", encoding="utf-8")

    assert find(mine) == mine
    assert find(Path("01-woman-referred-by-ngo.yaml")) == find(WOMAN)
    with pytest.raises(FileNotFoundError, match=r"come with nrmbus: 01-woman-referred-by-ngo, 02-child.*, 03-she"):
        find(Path("04"))
