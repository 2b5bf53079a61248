"""Counting: persons once, events by role, duties met and missed, each in its period."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

import recounted as other_program
import recounted_persons as other_program_of_persons
from agencies import AGENCIES, POLICY
from nrmbus.events.figures import TOTAL
from nrmbus.events.model import Fact
from nrmbus.rules import Rules, load_profile
from nrmbus.statistics.counting import Count
from nrmbus.statistics.persons import Case
from nrmbus.statistics.release import release_of
from nrmbus.statistics.spans import Span
from nrmbus.statistics.specs import CODES, SPECS, Spec
from rules.given import Bench
from rules.stories import (
    BODIES,
    LEGAL,
    child_identified,
    consented,
    erasing,
    identified,
    paid,
    referred,
    served,
    signalled,
    wishing,
)
from statistics_lines import lines_of

K = 11
YEAR = Span(2026)


def spec(name: str) -> Spec:
    """Return the table *name*."""
    return next(each for each in SPECS if each.id == name)


def case(b: Bench, **coded: Mapping[str, Any]) -> Case:
    """Return the case of *b*; *coded* has the coded fields of the first event of a type, dots written as two underscores."""
    found = {
        next(fact.event.id for fact in b.facts if fact.event.type == name.replace("__", ".")): fields
        for name, fields in coded.items()
    }
    return Case(b.subject, tuple(b.facts), found)


def another(story: Any, number: int) -> Bench:
    """Return *story* told of another case."""
    b = Bench()
    b.subject = f"{number:032x}"
    b.view = b.rules.start(b.subject)
    return story(b)  # type: ignore[no-any-return]


def executed(b: Bench) -> Bench:
    """The fund has paid the allowance that it ordered."""
    paid(b).say("fund", "payment.executed", ref="P-1")
    return b


def counted(*cases: Case, year: int = 2026) -> Count:
    """Return the counts of *cases*."""
    return Count(Bench().rules, cases, year)


def cells(count: Count, name: str, span: Span = YEAR) -> dict[tuple[str, ...], int]:
    """Return the cells of a table that are not 0."""
    return {keys: value for keys, value in count.cells(spec(name), span, K).items() if value}


def test_person_is_counted_by_the_facts_of_her_letters() -> None:
    """Sex, age band, citizenship and region come from the signal, the form from the decision, the detector from the envelope."""
    she = case(
        identified(Bench()),
        case__signal_recorded={"sex": "F", "age_band": "25-34", "citizenship": "UZ", "region": "AZ-BA"},
        identification__status_decided={"exploitation": ["ForcedLabour", "Servitude"], "sector": "F"},
    )
    count = counted(she)

    assert cells(count, "identified_by_sex") == {("F",): 1, (TOTAL,): 1}
    assert cells(count, "identified_by_age_band") == {
        ("adult", "25-34"): 1, ("adult", TOTAL): 1, (TOTAL, TOTAL): 1,
    }  # fmt: skip
    assert cells(count, "identified_by_citizenship_group") == {("foreign",): 1, (TOTAL,): 1}
    assert cells(count, "identified_by_form") == {("labour",): 1, (TOTAL,): 1}
    assert cells(count, "identified_by_sector") == {("F",): 1, (TOTAL,): 1}
    assert cells(count, "identified_by_detector") == {("ngo_outreach",): 1, (TOTAL,): 1}
    assert cells(count, "decided_by_status") == {("ActualVictimOfTrafficking",): 1, (TOTAL,): 1}


def test_child_is_a_child_whatever_the_band_says() -> None:
    """The flag of the envelope decides. A contradicting band is unknown, so bands add up to children and adults."""
    count = counted(case(child_identified(Bench()), case__signal_recorded={"sex": "M", "age_band": "18-24"}))

    assert cells(count, "identified_by_age") == {("child",): 1, (TOTAL,): 1}
    assert cells(count, "identified_by_age_band") == {("child", "unknown"): 1, ("child", TOTAL): 1, (TOTAL, TOTAL): 1}


@pytest.mark.parametrize(
    ("result", "age", "band"), [(None, "child", "16-17"), ("adult", "adult", "unknown")], ids=["flagged", "assessed"]
)
def test_child_that_was_flagged_after_the_signal_counts_as_a_child(result: str | None, age: str, band: str) -> None:
    """The newest word about the age counts: a signal, a flag or an assessment.

    Given: a signal that says adult, and in its letter an age band of 16 or 17 years.
    When: the NGO flags a child; or the special unit finds an adult after that.
    Then: the person counts as a child in her age band; or as an adult, with the band unknown since it contradicts that.
    """
    b = referred(Bench()).at("1:20")
    b.say("ngo-a", "safeguard.child_flagged", to=BODIES)
    if result:
        b.say("special-unit", "safeguard.age_assessed", result=result)
    she = case(b, case__signal_recorded={"age_band": "16-17"})
    coded = {id: dict(fields) for id, fields in she.coded.items()}
    count, expected = counted(she), {(age,): 1, (TOTAL,): 1}

    assert cells(count, "signalled_by_age") == expected
    assert [record["age_band"] for record in count.records("signalled", YEAR)] == [band]
    assert other_program_of_persons.tables(lines_of([she]), coded, "2026", K, "AZ")["signalled_by_age"] == expected


def test_nothing_known_is_unknown_and_still_counts() -> None:
    """Without a letter a person counts in the totals."""
    assert cells(counted(case(identified(Bench()))), "identified_by_sex") == {("unknown",): 1, (TOTAL,): 1}


@pytest.mark.parametrize(
    ("link", "persons"),
    [({"previous_case": f"{1:032x}"}, 1), ({"previous_case": f"{9:032x}"}, 2), ({}, 2)],
    ids=["names the earlier case", "names a case that is not here", "names none"],
)
def test_one_person_of_two_cases_counts_once(link: dict[str, str], persons: int) -> None:
    """A signal that names the earlier case is of the same person; a chain of such cases too."""
    first, second = another(signalled, 1), another(signalled, 2)
    count = counted(case(first), case(second, case__signal_recorded=link))

    assert cells(count, "signalled_by_sex")[TOTAL,] == persons


@pytest.mark.parametrize(("confidence", "persons"), [("certain", 1), ("probable", 1), ("possible", 2)])
def test_linked_cases_count_once(confidence: str, persons: int) -> None:
    """I-10: two cases linked by the special unit are one victim; a merely possible link leaves two victims."""
    first, second = another(identified, 1), another(identified, 2)
    first.say("special-unit", "case.linked", confidence=confidence, letter=True)
    count = counted(case(first, case__linked={"other_case": second.subject}), case(second))

    assert cells(count, "identified_by_sex")[TOTAL,] == persons


def test_erased_case_is_not_counted() -> None:
    """Nothing of a case whose erasure was ordered is counted, neither the person nor an event."""
    whole, gone = another(served, 1), another(erasing, 2)
    gone.through("d20 9:00")
    assert any(fact.event.type == "access.erasure_due" for fact in gone.facts)
    with_it, without = counted(case(whole), case(gone)), counted(case(whole))

    assert [cells(with_it, each.id) for each in SPECS] == [cells(without, each.id) for each in SPECS]


def test_quarters_add_up_to_the_year() -> None:
    """A person counts in the quarter in which she counts first; every table of a year is the sum of its quarters."""
    count = counted(case(paid(Bench())), case(another(child_identified, 2)), case(another(wishing, 3)))
    for each in SPECS:
        if not each.yearly:
            whole = Counter(count.cells(each, YEAR, K))
            parts: Counter[tuple[str, ...]] = Counter()
            for quarter in YEAR.parts:
                parts.update(count.cells(each, quarter, K))
            assert whole == parts, each.id


def test_time_of_registration_decides_in_the_zone_of_the_profile() -> None:
    """Half past midnight on New Year's Day in Baku is still the old year in UTC, and counts in the new one."""
    b = signalled(Bench())
    fact = b.facts[0]
    late = Fact.of(fact.event, fact.recipients, datetime(2026, 12, 31, 20, 30, tzinfo=UTC), 1)

    assert cells(counted(Case(b.subject, (late,)), year=2026), "signalled_by_sex") == {}
    assert cells(counted(Case(b.subject, (late,)), year=2027), "signalled_by_sex", Span(2027))[TOTAL,] == 1


def test_answers_are_counted_by_role_and_by_kind_of_sender() -> None:
    """The count has sender, receiver, answer and reason. The time to answer is the time between the registrations."""
    b = served(Bench())
    b.say("vac", "referral.submitted", ref="R-9", to=["ngo-l"], services=["legal"])
    b.now = b.now.replace(hour=b.now.hour + 2)
    b.say("ngo-l", "referral.declined", ref="R-9", reason="no_capacity", declined_by="provider")
    count = counted(case(b))

    assert cells(count, "answers_by_role")["ngo_legal", "declined"] == 1
    assert cells(count, "declined_by_reason")["ngo_legal", "no_capacity"] == 1
    assert cells(count, "answers_by_sender")["vac", "declined"] == 1
    assert cells(count, "answers_by_role")["special_unit", "accepted"] == 1
    assert cells(count, "answers_by_sender")["ngo_outreach", "accepted"] == 1


def referred_to_two(b: Bench) -> Bench:
    """1:10: the NGO refers her to the assistance centre and to the legal NGO at once; the centre takes her on."""
    consented(b).at("1:10")
    b.say("ngo-a", "referral.submitted", ref="R-1", to=["ngo-l", "vac"], urgency="urgent", letter=True)
    b.say("vac", "referral.accepted", ref="R-1")
    return b


def expired(b: Bench) -> Bench:
    """The legal NGO is silent until the referral expires."""
    referred_to_two(b).through("d20 9:00")
    return b


def revoked(b: Bench) -> Bench:
    """The sender takes the referral back before the legal NGO has answered."""
    referred_to_two(b).say("ngo-a", "referral.revoked", ref="R-1")
    return b


def answers(b: Bench) -> list[dict[tuple[str, ...], int]]:
    """Return the answers by role as the statistics count them, and as another program does that has the envelopes alone."""
    roles = {agency: b.rules.role_of(agency) for agency in ("ngo-a", "ngo-l", "vac", "special-unit")}
    return [
        cells(counted(case(b)), "answers_by_role"),
        other_program.tables(lines_of([case(b)]), roles, "2026")["answers_by_role"],
    ]


@pytest.mark.parametrize("ended", [expired, revoked])
def test_referral_ends_without_an_answer_for_those_that_gave_none(ended: Callable[[Bench], Bench]) -> None:
    """Each receiver of a referral counts with one answer.

    Given: a referral to two agencies, one of which has accepted.
    When: the referral expires, or its sender revokes it.
    Then: this counts for the agency that has not answered, and not for the one that has.
    """
    word = ended.__name__
    expected = {
        ("vac", "accepted"): 1, ("vac", TOTAL): 1, ("ngo_legal", word): 1, ("ngo_legal", TOTAL): 1,
        (TOTAL, "accepted"): 1, (TOTAL, word): 1, (TOTAL, TOTAL): 2,
    }  # fmt: skip

    assert answers(ended(Bench())) == [expected] * 2


def test_expired_referral_leaves_the_answer_of_the_special_unit_open() -> None:
    """The special unit goes on owing its answer when the time of the others is over, so nothing expires for it.

    Given: a referral to the special unit and the legal NGO, which nobody has answered.
    When: the time of the legal NGO is over, and the special unit accepts after that.
    Then: each counts once, the legal NGO with an expiry and the special unit with its acceptance.
    """
    b = consented(Bench()).at("1:10")
    b.say("ngo-a", "referral.submitted", ref="R-1", to=["ngo-l", "special-unit"], legal_basis=LEGAL, letter=True)
    b.through("d20 9:00")
    b.say("special-unit", "referral.accepted", ref="R-1")
    expected = {
        ("ngo_legal", "expired"): 1, ("ngo_legal", TOTAL): 1, ("special_unit", "accepted"): 1, ("special_unit", TOTAL): 1,
        (TOTAL, "accepted"): 1, (TOTAL, "expired"): 1, (TOTAL, TOTAL): 2,
    }  # fmt: skip

    assert answers(b) == [expected] * 2


def test_special_unit_that_has_left_answers_no_more() -> None:
    """A referral that the special unit left unanswered expires for it.

    Given: a referral to the special unit, which deletes the data because the person has withdrawn her consent.
    When: the referral expires.
    Then: the special unit counts with the expiry.
    """
    b = referred(Bench()).at("1:20")
    b.say("ngo-a", "consent.withdrawn", receivers=["special-unit"])
    b.say("special-unit", "consent.stop_confirmed", answer="deleted")
    b.through("d20 9:00")
    expected = {
        ("special_unit", "expired"): 1, ("special_unit", TOTAL): 1, (TOTAL, "expired"): 1, (TOTAL, TOTAL): 1,
    }  # fmt: skip

    assert answers(b) == [expected] * 2


def executed_without_reference(b: Bench) -> Bench:
    """The fund has paid the allowance, and says so of the kind alone, which the Rules take for the open order."""
    paid(b).say("fund", "payment.executed")
    return b


@pytest.mark.thorough
@pytest.mark.parametrize("executed", [executed, executed_without_reference])
def test_sum_of_money_is_shown_where_its_count_is(executed: Callable[[Bench], Bench]) -> None:
    """Eleven allowances of a year are shown with their sum; ten are not, and no quarter has sums."""
    for number, expected in ((11, 7700), (10, None)):
        count = counted(*(case(another(executed, each)) for each in range(1, number + 1)))
        release = release_of(count, YEAR, bus="b", by="statistics", checkpoints=())
        assert release.table("paid_amount_by_kind").cell("one_time_allowance") == expected
        quarter = release_of(count, Span(2026, 1), bus="b", by="statistics", checkpoints=())
        assert {"paid_by_kind", "paid_amount_by_kind"}.isdisjoint(each.id for each in quarter.tables)


def test_duty_is_met_missed_or_neither() -> None:
    """An acknowledgement in time meets D-ACK; a referral that nobody acknowledges misses it, once."""
    met, missed = another(served, 1), another(referred, 2)
    missed.through("d4 9:00")
    found = cells(counted(case(met), case(missed)), "clocks_by_rule")

    assert (found["D-ACK", "met"], found["D-ACK", "missed"]) == (1, 1)
    assert found["D-REFER", "met"] == 2


def test_every_record_has_a_code_of_its_dimension() -> None:
    """A code without a row would be missing from the total, so every code of every record is one of the list."""
    count = counted(case(paid(Bench())), case(another(child_identified, 2)), case(another(wishing, 3)))
    for each in SPECS:
        for name in each.dimensions:
            for record in count.records(each.population, YEAR):
                if name in CODES and name in record:
                    assert record[name] in CODES[name], (each.id, name, record[name])


def recounted(facts: list[dict[str, Any]], roles: Mapping[str, str]) -> dict[str, Counter[tuple[str, ...]]]:
    """Count events from envelopes alone, as somebody with an export and another program would."""
    found: dict[str, Counter[tuple[str, ...]]] = {
        "referrals_by_role": Counter(),
        "answers_by_role": Counter(),
        "paid_by_kind": Counter(),
        "granted_by_purpose_and_source": Counter(),
        "measures_by_type": Counter(),
    }
    asked: dict[str, dict[str, Any]] = {}
    for each in facts:
        ref, data = each.get("referral", ""), each["data"]
        if each["type"] == "referral.submitted":
            asked[ref] = each
            for agency in data["to"]:
                found["referrals_by_role"].update([(roles[agency],), ("_T",)])
        elif each["type"] in ("referral.accepted", "referral.declined"):
            role, answer = roles[each["source"]], each["type"].removeprefix("referral.")
            found["answers_by_role"].update([(role, answer), (role, "_T"), ("_T", answer), ("_T", "_T")])
        elif each["type"] == "payment.executed":
            found["paid_by_kind"].update([(data["kind"],)])
        elif each["type"] == "fund.compensation_granted":
            purpose, source = data["purpose"], data["source"]
            found["granted_by_purpose_and_source"].update(
                [(purpose, source), (purpose, "_T"), ("_T", source), ("_T", "_T")]
            )
        elif each["type"] in ("access.revoked", "identification.interview_held"):
            found["measures_by_type"].update([(each["type"],)])
    return found


def test_another_program_counts_the_same_from_envelopes() -> None:
    """A program with the envelopes counts the tables of events again, without a key and without the Rules."""
    b = executed(Bench())
    b.say("fund", "fund.compensation_granted", ref="C-1")
    b.say("special-unit", "access.revoked", receivers=["ngo-l"], approver="A-2")
    plain = [json.loads(fact.event.model_dump_json(exclude_none=True)) for fact in b.facts]
    for fact, envelope in zip(b.facts, plain, strict=True):
        envelope["type"], envelope["data"] = fact.event.type, fact.event.data.to_mapping()
    roles = {agency: b.rules.role_of(agency) for agency in ("special-unit", "vac", "ngo-l", "ngo-a", "fund", "shelter")}
    count = counted(case(b))

    for name, expected in recounted(plain, roles).items():
        assert cells(count, name) == {keys: value for keys, value in expected.items() if value}


def test_cases_count_by_the_profile_of_their_time() -> None:
    """After another profile came into force, a release is under that one, and duties of both are counted."""
    other = load_profile("osce-generic@2022-01-01")
    office = Bench.of_bulletin("coordinator")
    said = office.event(
        "coordinator", "policy.profile_activated", profile=other.name, digest=other.digest, valid_from="2026-03-03"
    )
    activation = Fact.of(said, (), office.now, 1, POLICY)
    she = another(served, 1)
    moved = tuple(replace(fact, policy=other.name) for fact in another(referred, 2).facts)
    count = Count(Bench().rules, [case(she), Case("2" * 32, moved), Case(office.subject, (activation,))], 2026)

    assert count.profile.name == other.name
    assert set(count.codes["rule"]) == {*Bench().rules.profile.clocks, *other.clocks}
    assert cells(count, "clocks_by_rule")[TOTAL, TOTAL] >= 1
    assert counted(case(she)).profile.name == POLICY


def test_newest_fact_counts_whichever_of_her_cases_has_it() -> None:
    """The later fact of a person with two cases counts, even if the fact is in the case that began first."""
    first = another(identified, 1)
    second = another(lambda b: signalled(b.at("1:00")), 2)
    she = [
        case(first, case__signal_recorded={"sex": "unknown"}, identification__status_decided={"sector": "F"}),
        case(second, case__signal_recorded={"sex": "F", "sector": "A", "previous_case": first.subject}),
    ]

    assert cells(counted(*she), "identified_by_sector") == {("F",): 1, (TOTAL,): 1}


def test_of_two_facts_of_one_instant_the_later_registered_one_counts() -> None:
    """One transaction registers many events at one time: the newer event has the higher number, not the higher id."""
    b = identified(Bench())
    signal, decided = (
        next(f for f in b.facts if f.event.type == each)
        for each in ("case.signal_recorded", "identification.status_decided")
    )
    late = replace(
        decided, registered=signal.registered, event=decided.event.model_copy(update={"id": "0" + decided.event.id[1:]})
    )
    early = replace(signal, event=signal.event.model_copy(update={"id": "f" + signal.event.id[1:]}))
    coded = {early.event.id: {"sex": "F"}, late.event.id: {"sex": "M"}}

    assert cells(counted(Case(b.subject, (early, late), coded)), "identified_by_sex") == {("M",): 1, (TOTAL,): 1}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("az-pilot@2026-01-01", "national"), ("md@2014-03-28", "foreign"), ("osce-generic@2022-01-01", "unknown")],
)
def test_nationals_are_those_of_the_country_whose_calendar_the_profile_has(name: str, expected: str) -> None:
    """A profile of one's own has any name; a profile of no country has neither nationals nor foreigners."""
    known = {each: load_profile(each) for each in (POLICY, "md@2014-03-28", "osce-generic@2022-01-01")}
    profile = known.get(name) or known[POLICY].model_copy(update={"name": name})
    count = Count(
        Rules(profile, AGENCIES),
        [case(identified(Bench()), case__signal_recorded={"citizenship": "AZ"})],
        2026,
    )

    assert cells(count, "identified_by_citizenship_group") == {(expected,): 1, (TOTAL,): 1}
