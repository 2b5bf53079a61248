"""Explanations and comparisons: what a profile says, in words, follows its values."""

from typing import get_args

import pytest

from agencies import POLICY
from nrmbus.rules import load_profile, profile_text, read_profile
from nrmbus.rules.handbook import words
from nrmbus.rules.handbook.citations import citations, laws, wording
from nrmbus.rules.handbook.diagram import moving
from nrmbus.rules.handbook.differences import differences
from nrmbus.rules.handbook.explaining import Explanation, explained, words_of
from nrmbus.rules.handbook.picture import picture
from nrmbus.rules.vocabulary import Answerable, Condition, Parting, Told

PROFILE = load_profile(POLICY)
TEXT = profile_text(POLICY)


def one(what: str, text: str = TEXT) -> Explanation:
    """Return the only explanation of *what* under the profile in *text*."""
    (found,) = explained(read_profile(text), what)
    return found


def facts(each: Explanation) -> dict[str, tuple[str, ...]]:
    """Return the facts by their titles."""
    return {line.title: line.texts for line in each.lines}


def test_a_rule_is_explained_with_law_function_types_and_a_refusal() -> None:
    """By its number, or by the code that a sender got."""
    found = one("g-10")

    assert found == one("recipient_not_allowed")
    assert facts(found)["Judged by"] == ("nrmbus.rules.judge.parties.recipient_not_allowed",)
    assert "referral.submitted" in facts(found)["Applies to"]
    assert facts(found)["Refused when"][0] == wording("g-10") != ""
    assert next((each.text, each.title) for each in found.sources) == ("CoM 21/2008", laws()["CoM 21/2008"])
    assert found.example
    assert found.example["refusal"]["rule"] == "G-10"


def test_a_clock_is_explained_with_start_length_ends_and_agencies() -> None:
    """Who owes it, who is told, what moves it."""
    found = facts(one("d-answer"))

    assert found["Length"] == ("emergency: 24 hours", "urgent: 72 hours", "normal: 14 calendar days")
    assert found["Owed by"] == ("the agency that published it",)
    assert "the agency that asked" in found["Also told of a breach"]
    assert any("initial assistance begins" in each for each in found["Ends with"])
    assert found["Moved by"]


def test_a_type_is_explained_with_publishers_recipients_and_openers() -> None:
    """And why each of them."""
    found = facts(one("nrm.case.signal_recorded"))

    assert found["Told, beside the sender"] == ("special_unit: the deciding body",)
    assert "coded: the deciding body" in found["Opens the letter"]
    assert found["Starts the clocks"] == ("D-REFER",)


@pytest.mark.parametrize("what", ["T08", "presumed", "T03b"])
def test_transitions_and_statuses_are_explained(what: str) -> None:
    """By their names in the text of the Rules."""
    assert explained(PROFILE, what)
    assert explained(PROFILE, "no such row") == ()


def test_everything_in_every_table_can_be_explained() -> None:
    """Nothing of a profile is left without words."""
    for what in words_of(PROFILE):
        assert explained(PROFILE, what), what
    for table, closed in (
        (words.CONDITIONS, Condition), (words.ANSWERABLE, Answerable), (words.TOLD, Told),
    ):  # fmt: skip
        assert set(table) == set(get_args(closed))
    assert set(get_args(Parting)) < set(words.OUTLIVES)


def test_an_explanation_follows_a_value_that_is_changed_in_a_copy() -> None:
    """Nothing of it is written twice."""
    copy = TEXT.replace("length: {hours: 24}, scope: case", "length: {hours: 48}, scope: case").replace(
        "Your agency has no such case;", "There is no such case here;"
    )

    assert facts(one("D-REFER", copy))["Length"] == ("48 hours",)
    assert one("G-02", copy).sentence.startswith("There is no such case here;")


def test_two_profiles_are_compared_value_by_value() -> None:
    """More, less, otherwise, and the order of the rules; equal profiles differ in nothing."""
    assert differences(PROFILE, PROFILE) == ()
    lines = TEXT.splitlines(keepends=True)
    first = next(number for number, line in enumerate(lines) if line.startswith("  G-02:"))
    lines[first], lines[first + 1] = lines[first + 1], lines[first]
    text = "".join(line for line in lines if not line.startswith("  G-63:"))
    text = text.replace("k: 11", "k: 5").replace(
        "  SHELTERS: [shelter_state, ngo_shelter]", "  SHELTERS: [shelter_state, ngo_shelter]\n  DOCTORS: [health]"
    )

    found = differences(PROFILE, read_profile(text))
    assert [(each.kind, each.table, each.place) for each in found] == [
        ("changed", "k", ""), ("added", "roles", "DOCTORS"), ("removed", "refusals", "G-63"), ("order", "refusals", ""),
    ]  # fmt: skip


def test_a_basis_is_shown_with_the_title_of_its_law() -> None:
    """An article, a place, and the marks behind them."""
    law, place = citations("CoM 21/2008 art. 7 [S2]; RULES.md#d-refer [u]")

    assert (law.text, law.marks, law.is_resolved, law.is_exact) == ("CoM 21/2008 art. 7", ("S2",), True, True)
    assert law.title == laws()["CoM 21/2008"]
    assert (place.anchor, place.marks, place.is_resolved) == ("d-refer", ("u",), True)
    assert not next(citations("CoM 1/1999 art. 7 [S2]")).is_resolved


def test_the_picture_has_a_box_for_each_status_and_a_way_for_each_row() -> None:
    """Ways from every open status are told beside it, and no label lies on another one."""
    found = picture(PROFILE)
    boxes = [each.name for each in found.boxes]
    labels = ", ".join((*(way.label for way in found.ways), *(ids for _, ids in found.from_all))).split(", ")

    assert boxes[0] == "SUSPECTED"
    assert set(boxes) == {str(row.to) for row in moving(PROFILE) if row.to != "before"}
    assert {each for row in moving(PROFILE) for each in row.id.split(", ")} - set(labels) == {
        "T01",
        "T18",
        "T07",
        "T22",
    }
    places = [(way.x, way.y) for way in found.ways]
    assert all(abs(a[0] - b[0]) >= 46 or abs(a[1] - b[1]) >= 17 for a in places for b in places if a != b)
