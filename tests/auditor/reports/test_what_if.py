"""The question of a legislator: what would have gone differently under another profile?"""

import json
from dataclasses import replace
from typing import Any

import pytest

from auditor.played import first_scenario
from copies import NAME, REFER_IN_36_HOURS, copied
from nrmbus.auditor.history.history import History, rules_of
from nrmbus.auditor.reports.what_if import Difference, Judged, differences, mapping, summary
from nrmbus.auditor.web.queries import MistypedQuery, find, finished, read_query
from nrmbus.rules import Agency, Rules, load_profile, profile_names, profile_text, read_profile
from nrmbus.wire import ids
from registrar.given import Bus
from registrar.test_emergency import asks, known


def found(profile: str) -> list[Difference]:
    """Return what the first story would have been otherwise under *profile*."""
    seen = first_scenario().audited()
    now = seen.history.entries[-1].registration.time
    return list(differences(seen.history.entries, seen.rules, rules_of(seen.directory, profile), now))


@pytest.mark.parametrize("profile", ["az@2022-04-29", "az@2024-02-08"])
def test_the_same_values_make_no_difference(profile: str) -> None:
    """The profile of the history itself, and one that differs in marks alone."""
    assert found(profile) == []


def test_the_statistics_which_count_every_letter_are_no_difference() -> None:
    """On a bus that has them they are told beside the profile's recipients, whichever profile it is."""
    seen = first_scenario().audited()
    entries = [
        replace(
            each, audience=each.audience.model_copy(update={"recipients": (*each.audience.recipients, "statistics")})
        )
        if each.event is not None and each.event.sealeddigest is not None
        else each
        for each in seen.history.entries
    ]
    assert any("statistics" in each.audience.recipients for each in entries)

    now = entries[-1].registration.time
    assert list(differences(entries, seen.rules, rules_of(seen.directory, "az@2024-02-08"), now)) == []


def test_before_the_convention_there_was_no_recovery_period() -> None:
    """Two events would have been refused, and two duties would not exist."""
    rows = found("az@2009-09-03")

    assert [(each.kind, each.rule, each.type) for each in rows if each.kind == "refused"] == [
        ("refused", "G-01", "recovery.period_started"),
        ("refused", "G-01", "recovery.extended"),
    ]
    assert {(each.kind, each.rule) for each in rows if each.kind != "refused"} == {
        ("clock_gone", "D-RECOVERY"),
        ("clock_gone", "D-REVIEW30"),
    }


def test_with_another_decider_the_police_hear_of_nothing() -> None:
    """The signal goes elsewhere, the police decide nothing; nobody refers to the body that decides within 24 hours, and the unit that accepts a referral owes the first step of a helper."""
    counted = summary(found("osce-generic@2022-01-01"))
    kinds = {(kind, rule) for kind, rule, _ in counted}

    assert {
        ("not_told", "case.signal_recorded"),
        ("refused", "G-10"),
        ("breached", "D-ASSIGN"),
        ("breached", "D-REFER"),
        ("clock_gone", "D-RG"),
    } <= kinds
    assert all(basis for kind, _, basis in counted if kind in ("refused", "not_told"))


def test_an_emergency_access_beyond_the_other_limit_would_have_been_refused() -> None:
    """Three in a month were let in; under a draft with one a month, the second and the third would not have been."""
    bus = Bus()
    shard, history = bus.shard(), History(bus.directory)
    cases = [known(bus, shard, ids.new_ref()) for _ in range(3)]
    assert [asks(bus, shard, each).outcome for each in cases] == ["registered"] * 3
    for each in bus.history:
        history.take(each, 0)
    draft = read_profile(profile_text("az@2022-04-29").replace("  monthly: 3 ", "  monthly: 1 "))
    assert draft.emergency.monthly == 1

    agencies = {id: Agency(id, each.role, each.supervisor) for id, each in bus.directory.entries.items()}
    now = history.entries[-1].registration.time
    rows = differences(history.entries, bus.rules, Rules(draft, agencies), now)

    assert [(each.kind, each.rule, each.case) for each in rows] == [("refused", "G-72", each) for each in cases[1:]]


def test_a_rule_changed_in_a_copy_of_a_profile_is_judged_without_another_edit() -> None:
    """Two hours to refer instead of 24: refusals stay, the clock moves, and the breach is found."""
    seen = first_scenario().audited()
    text = profile_text("az@2022-04-29").replace("length: {hours: 24}, scope: case", "length: {hours: 1}, scope: case")
    agencies = {name: Agency(name, each.role, each.supervisor) for name, each in seen.directory.entries.items()}
    other = Rules(read_profile(text), agencies)
    rows = list(differences(seen.history.entries, seen.rules, other, seen.history.entries[-1].registration.time))

    assert [(each.kind, each.rule) for each in rows] == [("clock_moved", "D-REFER"), ("breached", "D-REFER")]


def test_the_answer_is_json_and_names_cases_by_reference_alone() -> None:
    """A legislator reads counts by rule and basis; an auditor has the cases too."""
    profile = load_profile("az@2009-09-03")
    answer = mapping(found(profile.name), profile, Judged(40, 3, 1))

    assert json.loads(json.dumps(answer)) == answer
    assert answer["not_judged"] == 3
    assert [row["count"] for row in answer["summary"]] == [2, 1, 1]


def test_a_draft_that_the_auditor_does_not_have_comes_with_the_question() -> None:
    """It is judged by and forgotten; a text that does not read is answered with the command that says why."""
    seen = first_scenario().audited()
    now = seen.history.entries[-1].registration.time
    text = copied(REFER_IN_36_HOURS)

    def asked(text: str) -> dict[str, Any]:
        query = read_query({"kind": "what_if", "profile": NAME, "text": text})
        answer: dict[str, Any] = finished(find(query, seen, now).steps)["what_if"]
        return answer

    assert asked(text)["totals"]["clock_moved"] == 1
    assert NAME not in profile_names()
    for hostile in ("a: &a [x, x]\nb: [*a]", "[" * 5_000, text.replace("hours: 36", "hours: CANARY")):
        with pytest.raises(MistypedQuery, match="nrmbus rules check FILE") as refused:
            asked(hostile)
        assert "CANARY" not in str(refused.value)


def test_the_auditor_answers_it_as_a_search() -> None:
    """The question is about no case, so it is recorded as a search; an unknown profile is answered with those there are."""
    seen = first_scenario().audited()
    now = seen.history.entries[-1].registration.time
    asked = find(read_query({"kind": "what_if", "profile": "az@2009-09-03"}), seen, now)

    assert (asked.what, asked.case, asked.event) == ("search", None, None)
    assert len(finished(asked.steps)["what_if"]["differences"]) == 4
    with pytest.raises(MistypedQuery, match="az@2024-02-08"):
        finished(find(read_query({"kind": "what_if", "profile": "zz@2000-01-01"}), seen, now).steps)
