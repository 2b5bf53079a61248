"""Sabotage: a value of the profile is altered, and a case of the other files comes out otherwise."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import pytest

import plain_yaml
from agencies import AGENCIES, POLICY
from nrmbus.events.model import Event, Fact
from nrmbus.events.registry import data_type
from nrmbus.rules import Profile, ProfileError, Rules, View, profile_text
from nrmbus.rules.judge.judge import Judge
from rules.audience_rows import ROWS
from rules.given import Bench
from rules.stories import (
    acknowledged,
    arranged,
    begun,
    child_waiting,
    consented,
    erasing,
    found_abroad,
    home,
    identified,
    merging,
    planned,
    presumed,
    referred,
    refused_by_grounds,
    served,
    signalled,
    under_review,
    wishing,
)

VALUES: dict[str, Any] = plain_yaml.read(profile_text(POLICY))
"""Values of the profile, as plain data."""
_JSON = json.dumps(VALUES)


def altered(change: Callable[[dict[str, Any]], None]) -> Profile:
    """The profile after *change* of its values."""
    values = json.loads(_JSON)  # a copy, ten times as fast as `copy.deepcopy`
    change(values)
    return Profile.model_validate_json(json.dumps(values))


@cache
def unaltered() -> Profile:
    """The profile as it is, read in the same way as an altered one."""
    return altered(lambda _: None)


@cache
def _prepared() -> Mapping[str, list[tuple[View, Any]]]:
    """By type, each case of the audience tests with its event; a type that may have a letter comes with one."""
    found: dict[str, list[tuple[View, Any]]] = {}
    for row in ROWS:
        b = row.story(Bench())
        letter = {"letter": True} if VALUES["types"][row.type].get("opens") else {}
        found.setdefault(row.type, []).append((b.view, b.event(row.by, row.type, **{**letter, **row.said})))
    return found


def _audiences(profile: Profile, type: str) -> list[Any]:
    rules = Rules(profile, AGENCIES)
    return [rules.audience(view, event) for view, event in _prepared()[type]]


@cache
def _before(type: str) -> list[Any]:
    return _audiences(unaltered(), type)


SEES = [(type, term) for type, row in VALUES["types"].items() for term in row["sees"]]
OPENS = [
    (type, part, term)
    for type, row in VALUES["types"].items()
    for part, terms in row.get("opens", {}).items()
    for term in terms
    if data_type(type, 1).letter  # the profile also says who would open a letter that no version has yet
]


@pytest.mark.thorough
@pytest.mark.parametrize(("type", "term"), SEES)
def test_a_word_taken_out_of_who_sees_is_noticed(type: str, term: str) -> None:
    """Each word of each row of section 3 decides some case of the audience tests."""
    profile = altered(lambda values: values["types"][type]["sees"].remove(term))
    assert _audiences(profile, type) != _before(type)


@pytest.mark.thorough
@pytest.mark.parametrize(("type", "part", "term"), OPENS)
def test_a_word_taken_out_of_who_opens_is_noticed(type: str, part: str, term: str) -> None:
    """Each term for openers of a letter decides some case of the audience tests too."""
    profile = altered(lambda values: values["types"][type]["opens"][part].remove(term))
    assert _audiences(profile, type) != _before(type)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "type", [type for type, row in VALUES["types"].items() if row.get("stops") and not row.get("opening")]
)
def test_a_stop_reaches_agencies_whose_consent_is_withdrawn(type: str) -> None:
    """The "!" of section 3 taken away is noticed; of a signal nobody has been asked for consent yet."""
    profile = altered(lambda values: values["types"][type].update(stops=False))
    assert _audiences(profile, type) != _before(type)


def _lengths(values: dict[str, Any], path: tuple[str, ...] = ("clocks",)) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _lengths(value, (*path, key))
        elif isinstance(value, int) and not isinstance(value, bool):
            yield (*path, key)


def _alter(values: Any, path: tuple[Any, ...], by: Callable[[Any], Any]) -> None:
    for key in path[:-1]:
        values = values[key]
    values[path[-1]] = by(values[path[-1]])


def _reported(b: Bench) -> Bench:
    """A report after the return that promises another."""
    home(b).say("iom", "return.monitored", again=True)
    return b


CLOCK_STORIES = (
    signalled, referred, acknowledged, begun, presumed, served, under_review, erasing, wishing, arranged, home, _reported, merging,
    child_waiting,
)  # fmt: skip
URGENCIES = ("emergency", "urgent", "normal")


def _period_over(b: Bench) -> Bench:
    """The recovery period is ended, and nothing is decided."""
    presumed(b).say("special-unit", "recovery.ended", reason="period_elapsed")
    return b


def _questioned(b: Bench) -> Bench:
    """The unit asks the sender of the referral something."""
    acknowledged(b).say("special-unit", "referral.info_requested", ref="R-1")
    return b


def _deadlines(profile: Profile) -> list[list[str]]:
    found = [story(Bench(profile)).deadlines for story in (*CLOCK_STORIES, _period_over)]
    for urgency in URGENCIES:
        b = consented(Bench(profile))
        b.say("ngo-a", "referral.submitted", ref="R-9", to=["vac"], urgency=urgency)
        b.say("ngo-a", "referral.submitted", ref="R-1", to=["special-unit"], urgency=urgency, legal_basis="x")
        b.say("special-unit", "referral.acknowledged", ref="R-1")
        b.say("special-unit", "referral.info_requested", ref="R-1")
        found.append(b.deadlines)
        b.say("ngo-a", "referral.info_supplied", ref="R-1")
        b.say("special-unit", "referral.accepted", ref="R-1")
        b.say("vac", "referral.accepted", ref="R-9")
        b.say("special-unit", "shelter.bed_requested", ref="B-9", to=["shelter"], urgency=urgency)
        b.say("special-unit", "stay.hold_requested", ref="H-9", to=["migration"])
        b.say("ngo-a", "consent.withdrawn", receivers=["vac"])
        found.append(b.deadlines)
        b.say("ngo-a", "referral.submitted", ref="R-8", to=["ngo-l"], urgency=urgency)
        found.append(b.deadlines)
    return found


LENGTHS = list(_lengths(VALUES["clocks"]))


@cache
def _deadlines_before() -> list[list[str]]:
    return _deadlines(unaltered())


@pytest.mark.thorough
@pytest.mark.parametrize("path", LENGTHS, ids=["/".join(path[1:]) for path in LENGTHS])
def test_a_clock_that_is_one_longer_is_due_at_another_time(path: tuple[str, ...]) -> None:
    """Every length of section 5 decides some due time."""
    if path[-1] == "event_days":  # the length where the event names none; the event always does
        assert altered(lambda values: _alter(values, path, lambda n: n + 1)).digest
        return
    assert _deadlines(altered(lambda values: _alter(values, path, lambda n: n + 1))) != _deadlines_before()


def _typed_late(b: Bench) -> list[Fact]:
    """The same history, each paper dated a month before it was registered."""
    return [
        Fact.of(
            Event(**{**dict(fact.event), "time": fact.event.time.replace(month=fact.event.time.month - 1)}),
            fact.recipients,
            fact.registered,
            fact.number,
        )
        for fact in b.facts
    ]


def _asked_and_stopping(b: Bench) -> Bench:
    served(b).say("ngo-l", "referral.accepted", ref="R-2")
    b.say("vac", "consent.withdrawn", receivers=["shelter"])
    return b


def _reopened(b: Bench) -> Bench:
    under_review(b).say("special-unit", "review.decided", ref="V-1")
    return b


def _arrived(b: Bench) -> Bench:
    found_abroad(b).at("d5 12:00").say("consulate", "return.completed")
    return b


@cache
def _late() -> list[list[Fact]]:
    return [
        _typed_late(story(Bench()))
        for story in (*CLOCK_STORIES, _questioned, _period_over, _asked_and_stopping, _reopened, _arrived)
    ]


def _due_when_typed_late(profile: Profile) -> list[str]:
    """Return the due times, also where the time to refer begins with the arrival."""
    abroad = profile.abroad.model_copy(update={"refer_from": "arrival"})
    found: list[str] = []
    for each in (profile, profile.model_copy(update={"abroad": abroad})):
        rules = Rules(each, AGENCIES)
        for facts in _late():
            view = rules.start(facts[0].event.subject)
            for fact in facts:
                view = rules.evolve(view, fact)
                found += [f"{clock.code} {clock.due}" for clock in rules.clocks(view)]
    return found


STARTS = [(code, number) for code, rule in VALUES["clocks"].items() for number in range(len(rule["starts"]))]


@pytest.mark.thorough
@pytest.mark.parametrize(("code", "number"), STARTS)
def test_a_clock_from_the_event_is_not_one_from_its_registration(code: str, number: int) -> None:
    """T and R: with paper typed a month late, the due times differ."""
    path = ("clocks", code, "starts", number, "at")
    profile = altered(lambda values: _alter(values, path, {"R": "T", "T": "R"}.get))
    assert _due_when_typed_late(profile) != _due_when_typed_late(unaltered())


@pytest.mark.thorough
@pytest.mark.parametrize("flag", ["unit_consent", "outlives", "moved_by", "waits_for_review"])
def test_a_clocks_other_words_are_noticed(flag: str) -> None:
    """Each clock that ends with the unit's consent, outlives the case or moves, does so in a test."""
    codes = [code for code, rule in VALUES["clocks"].items() if rule.get(flag)]
    for code in codes:
        profile = altered(lambda values, code=code: values["clocks"][code].pop(flag))  # type: ignore[misc]
        assert _moving(profile) != _moving(unaltered()), code


def _moving(profile: Profile) -> list[list[str]]:
    found = []
    for story in (acknowledged, begun, served):
        b = story(Bench(profile))
        refs = {"ngo-l": "R-2"} if story is served else {"special-unit": "R-1"}
        for by, ref in refs.items():
            b.say(by, "referral.info_requested", ref=ref)
        found.append(b.deadlines)
        b.say("ngo-a", "consent.withdrawn", receivers=["special-unit"])
        found.append(b.deadlines)
    b = _questioned(Bench(profile))
    b.say("special-unit", "consent.refused", receivers=["ngo-a"])
    found.append(b.deadlines)
    b = _period_over(Bench(profile))
    b.say("ngo-a", "consent.withdrawn", receivers=["special-unit"])
    found.append(b.deadlines)
    b = presumed(Bench(profile))
    b.say("special-unit", "recovery.extended")
    found.append(b.deadlines)
    b = presumed(Bench(profile))
    b.say("ngo-a", "consent.withdrawn", receivers=["special-unit"])
    found.append(b.deadlines)
    b = referred(Bench(profile))
    b.say("ngo-a", "consent.withdrawn", receivers=["special-unit"])
    found.append(b.deadlines)
    b = merging(Bench(profile))
    b.say("ngo-a", "consent.withdrawn", receivers=["special-unit"])
    found.append(b.deadlines)
    found.append(refused_by_grounds(Bench(profile)).deadlines)
    b = erasing(Bench(profile))
    b.say("vac", "case.withdrawn")
    found.append(b.deadlines)
    b = served(Bench(profile))
    b.say("vac", "consent.withdrawn", receivers=["ngo-l"])
    b.say("vac", "case.withdrawn")
    found.append(b.deadlines)
    b.say("shelter", "shelter.discharged", ref="B-1")
    b.say("vac", "case.closed")
    for of_a_return in (wishing, arranged, home):
        b = of_a_return(Bench(profile))
        b.say("vac", "consent.withdrawn", receivers=["iom"])
        found.append(b.deadlines)
    home_and_closed = home(Bench(profile))
    home_and_closed.say("shelter", "shelter.discharged", ref="B-1")
    home_and_closed.say("vac", "case.closed", reason="returned_home")
    return [*found, b.deadlines, home_and_closed.deadlines]


@pytest.mark.parametrize(
    ("key", "value"), [("value", "701.00"), ("currency", "EUR"), ("tariff", "az-2025"), ("valid_from", "2027-01-01")]
)
def test_an_altered_tariff_refuses_what_was_right(key: str, value: str) -> None:
    """An altered amount refuses the allowance of a recognition in April 2026."""
    profile = altered(lambda values: values["allowance"]["tariffs"][1].update({key: value}))
    b = identified(Bench(profile))
    refused = b.ask("fund", "payment.ordered", ref="P-1")
    assert refused is not None
    assert refused.rule == "G-62"


@pytest.mark.thorough
@pytest.mark.parametrize("rule", list(VALUES["refusals"]))
def test_a_rule_taken_out_of_the_profile_refuses_no_more(rule: str) -> None:
    """The order of the other rules stays; refusals that read as the removed rule then read as themselves."""

    def taken_out(values: dict[str, Any]) -> None:
        values["refusals"].pop(rule)
        for row in values["types"].values():
            if row.get("refused_as") == rule:
                del row["refused_as"]

    profile = altered(taken_out)
    by_type = Judge.of(profile).by_type
    assert by_type == {
        type: tuple(check for check in checks if check.rule != rule)
        for type, checks in Judge.of(unaltered()).by_type.items()
    }


@pytest.mark.parametrize(("rule", "said"), [("G-01", "fund"), ("G-02", "hospital"), ("G-20", "shelter")])
def test_without_refused_as_a_refusal_in_an_emergency_would_show_its_reason(rule: str, said: str) -> None:
    """Without its `refused_as`, a refusal in an emergency would tell the asker why."""
    b = planned(Bench(altered(lambda values: values["types"]["access.break_glass"].pop("refused_as"))))
    refused = b.ask(said, "access.break_glass", ref="E-1")
    assert refused is not None
    assert (refused.rule, refused.because) == (rule, None)


def test_a_value_of_another_kind_does_not_read() -> None:
    """Text for a number, a number for a word."""
    with pytest.raises((ProfileError, ValueError)):
        altered(lambda values: values["clocks"]["D-REFER"].update(length={"hours": "24"}))
