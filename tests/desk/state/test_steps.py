"""Steps of a case: each about a record that the desk knows, and a return only in its order."""

from types import SimpleNamespace
from typing import Any

import pytest

from nrmbus.desk.state.steps import _kinds, _newest, steps
from nrmbus.rules import Refusal, load_profile, profile_names
from rules import stories
from rules.given import Bench


def offered(b: Bench, me: str) -> dict[str, Refusal | None]:
    """Return what a desk of the agency *me*, which knows all that was registered, says to each step."""
    seat: Any = SimpleNamespace(rules=b.rules, me=me, now=lambda: b.now)
    return {step.data.type: step.refusal for step in steps(seat, b.view)}


def test_a_wish_to_go_home_is_a_step_for_an_adult_and_for_a_child() -> None:
    """Given a person who was found abroad or a child, then the wish can be recorded, whoever is asked in the form."""
    b = Bench()
    b.say("consulate", "case.signal_recorded", **stories.REPORTED)

    assert offered(b, "consulate")["return.consented"] is None
    assert offered(stories.child_identified(Bench()), "special-unit")["return.consented"] is None


def test_a_step_of_the_return_that_comes_later_says_what_is_first() -> None:
    """Given no wish, then the assessment is closed, and so is the journey before the assessment."""
    refusal = offered(stories.identified(Bench()), "special-unit")["return.risk_assessed"]
    assert refusal is not None
    assert refusal.rule == "G-56"
    refusal = offered(stories.wishing(Bench()), "iom")["return.travel_arranged"]
    assert refusal is not None
    assert refusal.rule == "G-57"
    assert offered(stories.assessed(Bench()), "iom")["return.travel_arranged"] is None


def test_a_childs_journey_is_closed_until_best_interests_are_decided() -> None:
    """Given a child who can return, then nobody is offered the journey before the decision."""
    b = stories.child_identified(Bench())
    b.say("special-unit", "return.consented", given_by="caregiver")
    b.say("special-unit", "return.risk_assessed")
    refusal = offered(b, "special-unit")["return.travel_arranged"]
    assert refusal is not None
    assert refusal.rule == "G-24"
    b.say("guardianship", "safeguard.best_interests_decided", outcome="return_to_parents")
    assert offered(b, "special-unit")["return.travel_arranged"] is None


def test_the_return_to_a_family_is_closed_until_best_interests_allow_a_home() -> None:
    """Given a child, then the step opens with the decision that allows relatives, whatever home the form would name first."""
    b = stories.child_identified(Bench())
    refusal = offered(b, "guardianship")["safeguard.returned_to_family"]
    assert refusal is not None
    assert refusal.rule == "G-24"
    b.say("guardianship", "safeguard.best_interests_decided", outcome="not_to_return")
    assert offered(b, "guardianship")["safeguard.returned_to_family"] is not None
    b.say("guardianship", "safeguard.best_interests_decided", outcome="kinship_care")
    assert offered(b, "guardianship")["safeguard.returned_to_family"] is None


@pytest.mark.parametrize("me", ["prosecution", "court"])
def test_what_follows_from_proceedings_is_a_step_for_those_who_conduct_them(me: str) -> None:
    """Given proceedings that the desk knows, then protection and the verdict name these proceedings."""
    b = stories.prosecuted(Bench())
    seat: Any = SimpleNamespace(rules=b.rules, me=me, now=lambda: b.now)
    about = {step.data.type: step for step in steps(seat, b.view) if step.ref in b.view.proceedings}

    assert about["justice.measure_granted"].refusal is None
    assert "justice.verdict_recorded" in about
    assert offered(b, "court")["justice.verdict_recorded"] is None


@pytest.mark.parametrize("profile", profile_names())
def test_every_kind_of_record_that_a_step_is_about_is_looked_for(profile: str) -> None:
    """A kind that nobody looks for would close the step for every desk, as not known to it.

    A withdrawal and a document are found by the Rules without a reference of the case's.
    """
    named = {row.about for name, row in load_profile(profile).types.items() if row.about and name in _newest()}

    assert named - {"withdrawal", "document"} <= set(_kinds(Bench().view))
