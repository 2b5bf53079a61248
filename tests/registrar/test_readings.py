"""Readings on record: registered like everything, told to nobody, and nothing of a case by them; also at the timekeeper."""

from datetime import timedelta

import pytest

from agencies import BUS, CASE, NOW
from nrmbus.timekeeper.watch import Watch
from registrar.given import Bus, check_history, to

CASE_READ = {"what": "case", "purpose": "court"}
SEARCHED = {"what": "search", "purpose": "audit"}
OWN = "5e" * 16
"""The auditor's own number, under which questions over no case stand."""


@pytest.fixture(name="bus")
def _bus() -> Bus:
    return Bus()


def test_the_auditor_reads_a_case_and_nobody_hears_of_it(bus: Bus) -> None:
    """Registered with the next number; only the auditor gets word, and the case and its clocks are as they were."""
    shard = bus.shard()
    bus.signal(shard)
    case = shard.memory.case(CASE)
    assert case is not None
    before = case.view
    decision = bus.say(shard, "auditor", "access.granted", CASE_READ, now=NOW + timedelta(hours=1))

    assert (decision.outcome, shard.memory.number) == ("registered", 2)
    assert [out.topic for out in decision.outs] == ["nrm.cases", "nrm.inbox.auditor"]
    assert to(decision, "special-unit") == []
    assert case.view == before
    check_history(bus, shard)


def test_a_question_over_no_case_is_registered_and_makes_none(bus: Bus) -> None:
    """It is numbered and found again after a restart; an agency may not ask so, and nobody can speak of it as a case."""
    shard = bus.shard()
    assert bus.say(shard, "auditor", "access.granted", SEARCHED, case=OWN).outcome == "registered"
    assert bus.say(shard, "auditor", "access.granted", SEARCHED, case=OWN).outcome == "registered"
    assert bus.say(shard, "vac", "access.granted", SEARCHED, case=OWN).code == "unknown_case"
    assert bus.say(shard, "auditor", "letter.opened", {}, case=OWN).code == "unknown_case"

    case = check_history(bus, shard).memory.case(OWN)
    assert case is not None
    assert (case.view.exists, case.view.status, case.sequences["auditor"]) == (False, None, 3)


def test_who_knows_a_case_has_its_readings_registered_and_who_does_not_does_not(bus: Bus) -> None:
    """The unit heard of the signal; the assistance centre did not, and learns nothing by asking."""
    shard = bus.shard()
    bus.signal(shard)
    read = {"what": "letter", "purpose": "case_work", "parts": ["coded", "story"]}
    assert bus.say(shard, "special-unit", "access.granted", read).outcome == "registered"
    assert bus.say(shard, "vac", "access.granted", read).code == "unknown_case"
    check_history(bus, shard)


def test_no_reading_starts_or_stops_a_clock(bus: Bus) -> None:
    """The timekeeper publishes the same events at the same times with any number of readings, and none without a case."""
    shard = bus.shard()
    bus.signal(shard)
    bus.say(shard, "auditor", "access.granted", CASE_READ)
    bus.say(shard, "auditor", "access.granted", SEARCHED, case=OWN)
    watch = Watch(bus.rules, BUS, lambda _: bus.key.verify_key)
    for record in bus.history:
        watch.take(record, 0)

    assert watch.next_due() == NOW + timedelta(hours=24)
    assert (watch.open_deadlines(CASE, NOW), watch.open_deadlines(OWN, NOW)) == (("D-REFER",), ())
    assert {each.subject for each in watch.due(NOW + timedelta(days=400))} == {CASE}
    assert watch.unknown == set()
    check_history(bus, shard)
