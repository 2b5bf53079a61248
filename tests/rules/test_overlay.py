"""Profiles that extend another: only what differs is written, and nothing but a difference is taken."""

from typing import Any

import pytest
import yaml

from agencies import POLICY
from nrmbus.rules import ProfileError, load_profile, read_profile

HEAD = f"name: az@2030-01-01\nextends: {POLICY}\n"


def extended(**tables: Any) -> str:
    """Return the text of a profile that extends the pinned one by *tables*."""
    return HEAD + yaml.safe_dump(tables)


def test_without_tables_it_is_the_other_one_under_another_name() -> None:
    """The name is part of the digest, and nothing else differs."""
    found = read_profile(HEAD)

    assert found.model_copy(update={"name": POLICY}) == load_profile(POLICY)
    assert found.digest != load_profile(POLICY).digest


def test_a_change_changes_its_value_alone() -> None:
    """Deep in a row, where the other values of the row stay."""
    found = read_profile(extended(changes={"clocks": {"D-REFER": {"length": {"hours": 48}}}}))

    before, after = load_profile(POLICY).clocks["D-REFER"], found.clocks["D-REFER"]
    assert after.length.hours == 48
    assert after.model_copy(update={"length": before.length}) == before


def test_the_digest_is_that_of_the_whole() -> None:
    """The same values written out have the same digest."""
    found = read_profile(extended(changes={"k": 12}))

    assert (
        read_profile(yaml.safe_dump(found.model_dump(mode="json", by_alias=True), sort_keys=False)).digest
        == found.digest
    )


def test_a_type_that_is_left_out_is_nowhere() -> None:
    """Neither in transitions, nor in clocks, nor in patterns that matched it alone."""
    types = ["recovery.period_started", "recovery.extended", "recovery.reviewed", "recovery.ended"]
    found = read_profile(extended(without={"types": types, "clocks": ["D-RECOVERY", "D-REVIEW30"]}))

    assert "recovery." not in found.model_dump_json()
    assert all(row.events for row in found.statuses.transitions)


def test_an_added_row_is_a_row_as_the_others() -> None:
    """A clock, with its end and its basis."""
    clock = {
        "starts": [{"events": ["case.closed"], "at": "R"}], "length": {"days": 1}, "scope": "case", "answerable": "source",
        "told": "nobody", "ends_by": [{"events": ["case.reopened"]}], "basis": "RULES.md#d-refer [D]",
    }  # fmt: skip
    assert read_profile(extended(adds={"clocks": {"D-NEW": clock}})).clocks["D-NEW"].length.days == 1


def test_another_citation_of_unread_law_marks_its_rows() -> None:
    """Each row that cites it, and no other."""
    old, new = "CoM 131/2009 s. 6.2 [S2]", "CoM 131/2009 s. 6.2 [S2]; RULES.md#p-az-2024-02-08 [u]"
    found = read_profile(extended(cites={old: new}))

    newly = set(found.unverified) - set(load_profile(POLICY).unverified)
    assert newly == {"safeguard.representative_assigned", "G-22", "G-23", "D-REPRESENT"}
    assert found.refusals["G-22"].basis == new


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("tables", "where"),
    [
        ({"changes": {"clocks": {"D-REEFR": {"length": {"hours": 48}}}}}, r"changes\.clocks\.D-REEFR: not in"),
        ({"changes": {"clocks": {"D-REFER": {"lenght": {"hours": 48}}}}}, r"changes\.clocks\.D-REFER\.lenght: not in"),
        ({"changes": {"k": 11}}, r"changes\.k: the same value"),
        ({"changes": {"clocks": {"D-REFER": {"length": {"hours": 0}}}}}, r"clocks\.D-REFER\.length\.hours"),
        ({"adds": {"clocks": {"D-REFER": {"length": {"hours": 2}}}}}, r"adds\.clocks\.D-REFER\.length\.hours: in the"),
        ({"without": {"clocks": ["D-NEVER"]}}, r"without\.clocks: D-NEVER"),
        ({"without": {"colours": ["red"]}}, r"without\.colours: no table"),
        ({"without": {"roles": ["NGOS"]}}, "no such group"),
        ({"cites": {"CoM 1/1999 [S2]": "x"}}, r"cites\.CoM 1/1999 \[S2\]: cited nowhere"),
        ({"changes": {"roles": {"DECIDERS": []}}}, "nobody could decide"),
        ({"clocks": {"D-REFER": {"length": {"hours": 48}}}}, "clocks: no table of a profile that extends"),
        ({"changes": ["k"]}, "changes: no table"),
    ],
)
def test_what_is_no_difference_is_an_error_that_names_the_place(tables: dict[str, Any], where: str) -> None:
    """Mistyped, unchanged, added twice, left out twice, cited nowhere: none passes in silence."""
    with pytest.raises(ProfileError, match=where):
        read_profile(extended(**tables))


@pytest.mark.parametrize("other", ["zz@2000-01-01", "../az@2022-04-29", ""])
def test_what_it_extends_must_be_there(other: str) -> None:
    """The message names the profiles there are, and opens no other file."""
    with pytest.raises(ProfileError, match="profile"):
        read_profile(f"name: az@2030-01-01\nextends: '{other}'\n")


def test_a_circle_of_profiles_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two profiles that extend each other end in a message, not in a loop."""
    texts = {
        "aa@2030-01-01": "name: aa@2030-01-01\nextends: bb@2030-01-01\n",
        "bb@2030-01-01": "name: bb@2030-01-01\nextends: aa@2030-01-01\n",
    }
    monkeypatch.setattr("nrmbus.rules.profile_files.profile_text", texts.__getitem__)

    with pytest.raises(ProfileError, match="aa@2030-01-01 extends bb@2030-01-01, which extends aa@2030-01-01: a cycle"):
        read_profile(texts["aa@2030-01-01"])
